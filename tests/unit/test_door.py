"""Answers go back the way their requests came, backups when they are made."""

from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
import zmq

from tests.harness import NOWHERE, START, shown_by
from zchat.chat.jobs import BackUp
from zchat.engine.door import Door, GatewayDoor
from zchat.engine.gateway_stream import GatewayStream
from zchat.engine.intake import BATCH_REQUESTS, Intake
from zchat.engine.meters import Meters
from zchat.engine.pipes import Pipes
from zchat.engine.requests import Pending
from zchat.engine.send_queue import SendQueue
from zchat.engine.sockets import Received
from zchat.errors import Code, Refused, StoreError
from zchat.rpc import results
from zchat.rpc.codec import Answer, decode_answer, encode_request
from zchat.rpc.records import RecordReader, record
from zchat.storage.base import Copied

PLENTY = 2**40


class Copy:
    """A backup that takes as long as the test wants."""

    def __init__(self) -> None:
        self.is_done = False
        self.failure: StoreError | None = None
        self.given_up = False

    def result(self) -> Copied:
        assert self.is_done
        if self.failure is not None:
            raise self.failure
        return Copied(bytes=7, epoch="e")

    def give_up(self) -> None:
        self.given_up = True


class Frame:
    """A frame whose connection is gone already."""

    def get(self, option: object) -> int:
        assert option == zmq.SRCFD
        return -1


class Wire:
    """A ROUTER: what came in, what went out, and what is backed up."""

    def __init__(self) -> None:
        self.arrived: list[list[bytes]] = []
        self.sent: list[list[bytes]] = []
        self.full = False
        self.copies: dict[Path, Copy] = {}
        self.failure: StoreError | None = None
        self._frames: list[bytes] = []

    def receive(self) -> Received:
        if not self.arrived:
            raise zmq.Again
        return Received(self.arrived.pop(0), Frame())

    def send(self, frame: bytes, flags: int) -> None:
        if self.full:
            raise zmq.Again
        self._frames.append(frame)
        if not flags & zmq.SNDMORE:
            self.sent.append(self._frames)
            self._frames = []

    def back_up(self, path: Path) -> Copy:
        if self.failure is not None:
            raise self.failure
        self.copies[path] = Copy()
        return self.copies[path]

    def answers(self) -> list[tuple[bytes, Answer]]:
        """Who was answered what since the last look."""
        sent, self.sent = self.sent, []
        return [(frames[0], decode_answer(frames[-1])) for frames in sent]


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def meters() -> Meters:
    return Meters(START)


@pytest.fixture
def make_door(wire: Wire, meters: Meters) -> Callable[[], Door]:
    def make() -> Door:
        pipes = Pipes(16, "")
        return Door(
            None,
            Intake(wire.receive, pipes.seen, True),
            SendQueue(wire.send, pipes),
            meters,
            wire.back_up,
        )

    return make


@pytest.fixture
def door(make_door: Callable[[], Door]) -> Door:
    return make_door()


def ask(
    wire: Wire, door: Door, *whom: bytes, method: str = "stats"
) -> list[Pending]:
    """The batch of a request from each of them."""
    params = {"path": "/there"} if method == "backup" else {}
    wire.arrived += [
        [origin, b"", encode_request(number, method, params)]
        for number, origin in enumerate(whom)
    ]
    return door.intake.take(True, PLENTY)


def test_each_gets_its_own_answer(
    wire: Wire, door: Door, meters: Meters
) -> None:
    first, second = ask(wire, door, b"ann", b"bob")
    first.call.end(results.NewName(name="a"))
    second.call.end(Refused(Code.CONFLICT, "Taken."))

    door.answer([first, second])

    assert [frames[:2] for frames in wire.sent] == [
        [b"ann", b""],
        [b"bob", b""],
    ]
    (_, ann), (_, bob) = wire.answers()
    assert (ann.id, ann.error, ann.result) == (0, None, {"name": "a"})
    assert bob.id == 1
    assert bob.error is not None
    assert bob.error.code is Code.CONFLICT
    assert shown_by(meters).requests == 2
    assert shown_by(meters).refusals == {"conflict": 1}


def test_what_cannot_be_read_is_answered_too(wire: Wire, door: Door) -> None:
    wire.arrived.append([b"ann", b"junk"])

    door.answer(door.intake.take(True, PLENTY))

    ((origin, answer),) = wire.answers()
    assert (origin, answer.id) == (b"ann", None)
    assert answer.error is not None
    assert answer.error.code is Code.BAD_REQUEST


def test_what_has_no_outcome_waits_for_the_next_batch(
    wire: Wire, door: Door
) -> None:
    first, second = ask(wire, door, b"ann", b"bob")
    second.call.end(results.Empty())

    door.answer([first, second])

    assert [origin for origin, _ in wire.answers()] == [b"bob"]
    assert door.intake.take(False, PLENTY) == [first]


def test_slow_clients_have_what_requests_leave(wire: Wire, door: Door) -> None:
    """Both share the memory there is."""
    wire.full = True
    done, *waiting = ask(wire, door, b"ann", *[b"bob"] * 3)
    done.call.end(results.NewName(name="x" * 5_000))
    door.answer([done, *waiting])

    held = door.send_queue.held + door.intake.held
    door.shed(held)
    assert door.send_queue.dropped == 0
    door.shed(held - 1)
    assert door.send_queue.dropped == 1


def test_a_door_knows_what_there_is_to_do(wire: Wire, door: Door) -> None:
    door.router = "its socket"
    assert door.has_arrived({"its socket": 1})
    assert not door.has_arrived({"another": 1})

    batch = ask(wire, door, b"ann", b"bob")
    waits = [door.waiting]
    door.answer(batch)
    waits.append(door.waiting)

    assert waits == [False, True]
    assert door.held == door.intake.held > 0


class TestGatewayDoor:
    @pytest.fixture
    def stream(self) -> Iterator[GatewayStream]:
        made = GatewayStream(zmq.Poller())
        yield made
        made.close()

    def test_a_gateway_is_answered_on_its_stream(
        self, stream: GatewayStream, meters: Meters
    ) -> None:
        door = GatewayDoor(stream, meters)
        with stream.connect() as gateway:
            for method in ("hello", "sync"):
                body = encode_request(1, method, {})
                gateway.sendall(record(b"lane", body))
            assert door.has_arrived(dict(stream._poller.poll(1_000)))

            first, second = door.intake.take(True, PLENTY)
            first.call.end(results.Empty())
            second.call.end(results.Empty())
            door.answer([first, second])

            reader = RecordReader(1_000)
            answers = reader.feed(gateway.recv(1_000))
            assert [decode_answer(body).result for _, body in answers] == [
                {},
                {},
            ]
            assert not door.waiting

    def test_what_was_read_and_not_taken_waits_without_a_poll(
        self, stream: GatewayStream, meters: Meters
    ) -> None:
        door = GatewayDoor(stream, meters)
        with stream.connect() as gateway:
            body = encode_request(1, "typing", {"chat_id": NOWHERE})
            gateway.sendall(record(b"", body) * (BATCH_REQUESTS + 1))

            assert len(door.intake.take(True, PLENTY)) == BATCH_REQUESTS

            assert door.waiting
            assert door.has_arrived({})


class TestBackups:
    @pytest.fixture
    def asked(self, wire: Wire, door: Door) -> Pending:
        """A backup that was asked for, in a batch that is committed."""
        (asked,) = ask(wire, door, b"op", method="backup")
        asked.call.end(BackUp("/there"))
        return asked

    def test_it_is_answered_when_it_is_made(
        self, wire: Wire, door: Door, asked: Pending
    ) -> None:
        door.answer([asked])
        (copy,) = wire.copies.values()
        door.answer_backups()
        assert door.copying
        assert list(wire.copies) == [Path("/there")]
        assert wire.answers() == []

        copy.is_done = True
        door.answer_backups()

        ((origin, answer),) = wire.answers()
        assert (origin, answer.error) == (b"op", None)
        assert answer.result == {"bytes": 7, "epoch": "e"}
        assert not door.copying

    def test_it_cannot_begin(
        self, wire: Wire, door: Door, asked: Pending
    ) -> None:
        wire.failure = StoreError("There is such a file already.")

        door.answer([asked])

        ((_, answer),) = wire.answers()
        assert answer.error is not None
        assert answer.error.code is Code.CONFLICT
        assert answer.error.message == "There is such a file already."
        assert not door.copying

    def test_it_fails(self, wire: Wire, door: Door, asked: Pending) -> None:
        door.answer([asked])
        (copy,) = wire.copies.values()
        copy.is_done = True
        copy.failure = StoreError("The disk is full.")

        door.answer_backups()

        ((_, answer),) = wire.answers()
        assert answer.error is not None
        assert answer.error.code is Code.UNAVAILABLE
        assert answer.error.message == "The disk is full."
        assert not door.copying

    def test_the_end_of_the_server_leaves_nothing_behind(
        self, wire: Wire, door: Door, asked: Pending
    ) -> None:
        door.answer([asked])

        door.give_up_backups()

        assert [copy.given_up for copy in wire.copies.values()] == [True]
        assert not door.copying


class TestLog:
    """What was refused is told at level info, the rest at debug."""

    def answer(self, wire: Wire, door: Door) -> None:
        first, second = ask(wire, door, b"ann", b"bob")
        first.call.caller_id = "an id"
        first.call.end(results.Empty())
        second.call.end(Refused(Code.CONFLICT, "Taken."))
        wire.arrived.append([b"eve", b"junk"])
        door.answer([first, second, *door.intake.take(True, PLENTY)])

    def test_everything(
        self,
        wire: Wire,
        door: Door,
        logged: list[MutableMapping[str, Any]],
    ) -> None:
        self.answer(wire, door)

        assert logged == [
            {
                "event": "answered",
                "log_level": "debug",
                "method": "stats",
                "user_id": "an id",
            },
            {
                "event": "refused",
                "log_level": "info",
                "code": "conflict",
                "method": "stats",
            },
            {"event": "refused", "log_level": "info", "code": "bad_request"},
        ]

    def test_without_what_went_well(
        self,
        wire: Wire,
        make_door: Callable[[], Door],
        logged: list[MutableMapping[str, Any]],
    ) -> None:
        info = structlog.make_filtering_bound_logger(20)
        before = structlog.get_config()["wrapper_class"]
        structlog.configure(wrapper_class=info)
        try:
            self.answer(wire, make_door())
        finally:
            structlog.configure(wrapper_class=before)

        assert [one["event"] for one in logged] == ["refused"] * 2

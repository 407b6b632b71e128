"""What the next batch takes of what waits: users in turn, in order."""

import itertools
from collections import Counter, deque
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any
from uuid import UUID

import pytest
import zmq

from zchat.engine import intake
from zchat.engine.intake import (
    BATCH_REQUESTS,
    DEFERRED_USERS,
    USER_REQUESTS,
    Intake,
)
from zchat.engine.requests import HEAVY_BYTES, Pending
from zchat.engine.sockets import Received
from zchat.errors import Code, Refused
from zchat.rpc import results
from zchat.rpc.codec import encode_request

PLENTY = 2**40
HEAVIES = -(-intake.BATCH_BYTES // HEAVY_BYTES)
"""So many requests with large answers fill a batch."""


class Frame:
    """A frame that came over the connection with the descriptor."""

    def get(self, option: object) -> int:
        assert option == zmq.SRCFD
        return 77


class Socket:
    """A socket that holds frames."""

    def __init__(self) -> None:
        self.frames: deque[list[bytes]] = deque()
        self.seen: list[str] = []
        self._ids = itertools.count(1)

    def receive(self) -> Received:
        if not self.frames:
            raise zmq.Again
        return Received(self.frames.popleft(), Frame())

    def note(self, origin: bytes, fd: int) -> None:
        assert fd == 77
        self.seen.append(origin.decode())

    def put(
        self, user: str | None, origin: str = "", times: int = 1, **given: Any
    ) -> None:
        """Requests of a user over one of its connections: sends, or
        requests with large answers."""
        method = given.pop("method", "send")
        params = {"text": "x"} if method == "send" else {}
        if user is not None:
            params["token"] = token(user)
        for _ in range(times):
            body = encode_request(next(self._ids), method, params | given)
            self.frames.append([f"{user}{origin}".encode(), body])


def token(user: str) -> str:
    return str(UUID(bytes=user.encode().ljust(16)))


@pytest.fixture
def socket() -> Socket:
    return Socket()


@pytest.fixture
def waiting(socket: Socket) -> Intake:
    return Intake(socket.receive, socket.note)


def origins(requests: Iterable[Pending]) -> list[str]:
    return [one.envelope[0].decode() for one in requests]


def ids(requests: Iterable[Pending]) -> list[int | None]:
    return [one.id for one in requests]


def end(requests: Iterable[Pending]) -> None:
    for one in requests:
        one.call.end(results.Empty())


def test_what_fits_is_taken_as_it_came(
    socket: Socket, waiting: Intake
) -> None:
    for user in "abacab":
        socket.put(user)
    socket.put("a", method="unread")

    assert origins(waiting.take(True, PLENTY)) == list("abacaba")
    assert not waiting.waiting


def test_who_may_get_large_answers_is_noted(
    socket: Socket, waiting: Intake
) -> None:
    socket.put("a")
    socket.put("b", method="sync")
    socket.put("c", method="unread", ack=True)

    waiting.take(True, PLENTY)

    assert socket.seen == ["b", "c"]


def test_nothing_is_received_unless_something_arrived(
    socket: Socket, waiting: Intake
) -> None:
    socket.put("a")

    assert waiting.take(False, PLENTY) == []
    assert ids(waiting.take(True, PLENTY)) == [1]


def test_a_batch_is_bounded_by_requests(
    socket: Socket, waiting: Intake
) -> None:
    socket.put("a", times=BATCH_REQUESTS + 1)

    assert len(waiting.take(True, PLENTY)) == BATCH_REQUESTS
    assert len(waiting.take(True, PLENTY)) == 1


@pytest.mark.parametrize(
    ("method", "given"),
    [("sync", {}), ("unread", {}), ("unread", {"ack": True})],
)
def test_a_batch_is_bounded_by_what_answers_may_take(
    socket: Socket, waiting: Intake, method: str, given: dict[str, Any]
) -> None:
    socket.put("a", times=HEAVIES + 1, method=method, **given)

    assert len(waiting.take(True, PLENTY)) == HEAVIES
    assert len(waiting.take(True, PLENTY)) == 1
    assert not waiting.waiting
    assert waiting.held == 0


def test_how_many_wait(socket: Socket, waiting: Intake) -> None:
    socket.put("a", times=HEAVIES + 3, method="sync")

    waiting.take(True, PLENTY)

    assert len(waiting) == 3


def test_a_thousand_connections_have_one_users_share(
    socket: Socket, waiting: Intake
) -> None:
    for number in range(400):
        socket.put("a", str(number), method="unread", ack=True)
    socket.put("b")

    first = waiting.take(True, PLENTY)

    assert Counter(origin[0] for origin in origins(first)) == {
        "a": HEAVIES,
        "b": 1,
    }


def test_the_connections_of_a_user_take_turns(
    socket: Socket, waiting: Intake
) -> None:
    socket.put("a", "1", times=50, method="unread")
    socket.put("a", "2", times=2, method="unread")

    taken = waiting.take(True, PLENTY)

    assert Counter(origins(taken))["a2"] == 2


def test_a_connection_keeps_its_order(socket: Socket, waiting: Intake) -> None:
    for _ in range(30):
        socket.put("a", "1", method="unread")
        socket.put("a", "2")
        socket.put("b", method="sync")

    taken: list[Pending] = waiting.take(True, PLENTY)
    while waiting.waiting:
        taken += waiting.take(True, PLENTY)

    for origin in ("a1", "a2", "b"):
        sent = ids(one for one in taken if origins([one]) == [origin])
        assert len(sent) == 30
        assert sent == sorted(filter(None, sent))


def test_a_connection_of_several_users_keeps_its_order(
    socket: Socket, waiting: Intake
) -> None:
    for number in range(BATCH_REQUESTS + 50):
        user = "ab"[number % 7 == 0]
        socket.put(user)
        socket.frames[-1][0] = b"shared"

    taken: list[Pending] = waiting.take(True, PLENTY)
    while waiting.waiting or socket.frames:
        taken += waiting.take(True, PLENTY)

    assert len(taken) == BATCH_REQUESTS + 50
    assert ids(taken) == sorted(filter(None, ids(taken)))


def test_a_frame_in_the_envelope_makes_a_lane_of_its_own(
    socket: Socket, waiting: Intake
) -> None:
    for user in "ab":
        socket.put(user, times=HEAVIES, method="sync")
    for frames in socket.frames:
        frames.insert(0, b"gateway")

    taken = waiting.take(True, PLENTY)

    assert Counter(one.envelope[1] for one in taken) == {
        b"a": HEAVIES - HEAVIES // 2,
        b"b": HEAVIES // 2,
    }


def test_what_cannot_be_read_is_answered_at_once(
    socket: Socket, waiting: Intake
) -> None:
    socket.put("a", times=HEAVIES + 9, method="sync")
    socket.frames.append([b"x", b"junk"])

    taken = waiting.take(True, PLENTY)

    assert [one.call.done for one in taken].count(True) == 1


def test_too_many_of_one_user_are_refused(
    socket: Socket, waiting: Intake
) -> None:
    refused: list[Pending] = []
    while not refused:
        socket.put("a", times=BATCH_REQUESTS, method="sync")
        refused = [one for one in waiting.take(True, PLENTY) if one.call.done]

    outcome = refused[0].call.outcome
    assert isinstance(outcome, Refused)
    assert outcome.code is Code.UNAVAILABLE
    assert len(waiting._queue) + HEAVIES == USER_REQUESTS


def test_those_without_a_token_are_one_user(
    socket: Socket, waiting: Intake
) -> None:
    for number in range(100):
        socket.put(None, str(number), method="hello")
    socket.put("a", method="sync", times=HEAVIES)

    taken = waiting.take(True, PLENTY)

    assert Counter(one.user is None for one in taken) == {
        True: HEAVIES // 2,
        False: HEAVIES // 2,
    }


def test_no_more_is_received_than_there_is_room_for(
    socket: Socket, waiting: Intake
) -> None:
    socket.put("a", times=30, method="sync", token=token("a"))

    waiting.take(True, 10_000)

    assert len(socket.frames) == 30 - 10
    before = len(socket.frames)
    waiting.take(True, waiting.held)
    assert len(socket.frames) == before


class TestHeld:
    """Requests whose bytes are on their way to the disk."""

    def test_the_connection_waits_until_they_are_there(
        self, socket: Socket, waiting: Intake
    ) -> None:
        socket.put("a", "1", times=2)
        socket.put("a", "2")
        taken = waiting.take(True, PLENTY)
        end(taken[2:])
        staged: Future[None] = Future()
        waiting.put_back(taken[:2], {taken[0].call: staged})

        socket.put("a", "1")
        socket.put("a", "2")
        socket.put("b")
        assert ids(waiting.take(True, PLENTY)) == [5, 6]
        states = [waiting.waiting]
        assert waiting.held == sum(one.size for one in taken[:2]) * 3 / 2

        staged.set_result(None)
        states.append(waiting.waiting)
        assert states == [False, True]
        assert ids(waiting.take(False, PLENTY)) == [1, 2, 4]
        assert waiting.held == 0

    def test_its_user_is_not_deferred(
        self, socket: Socket, waiting: Intake
    ) -> None:
        socket.put("a", "1")
        taken = waiting.take(True, PLENTY)
        waiting.put_back(taken, {taken[0].call: Future()})

        socket.put("a", "2", times=3)

        assert len(waiting.take(True, PLENTY)) == 3


class TestDeferred:
    """Requests that went stale in their batch."""

    def test_they_run_before_what_came_later(
        self, socket: Socket, waiting: Intake
    ) -> None:
        socket.put("a", times=4)
        taken = waiting.take(True, PLENTY)
        end(taken[:2])
        waiting.put_back(taken[2:])

        assert waiting.waiting
        socket.put("a")
        order = []
        for _ in range(3):
            batch = waiting.take(True, PLENTY)
            order += ids(batch)
            end(batch)
            waiting.put_back([])
        assert order == [3, 4, 5]
        assert not waiting.waiting

    def test_one_of_each_user_runs_in_a_batch(
        self, socket: Socket, waiting: Intake
    ) -> None:
        for number in range(5):
            socket.put("a", str(number))
            socket.put("b", str(number))
        taken = waiting.take(True, PLENTY)
        waiting.put_back(taken)
        socket.put("c", times=3)

        batch = waiting.take(True, PLENTY)

        assert Counter(one[0] for one in origins(batch)) == {
            "a": 1,
            "b": 1,
            "c": 3,
        }

    def test_until_nothing_of_the_user_waits(
        self, socket: Socket, waiting: Intake
    ) -> None:
        socket.put("a", times=3)
        waiting.put_back(waiting.take(True, PLENTY))
        for _ in range(3):
            assert len(waiting.take(True, PLENTY)) == 1
            waiting.put_back([])

        socket.put("a", times=3)
        assert len(waiting.take(True, PLENTY)) == 3

    def test_so_many_users_run_again_in_a_batch(
        self, socket: Socket, waiting: Intake
    ) -> None:
        users = [f"u{number}" for number in range(DEFERRED_USERS + 5)]
        for user in users:
            socket.put(user, times=2)
        waiting.put_back(waiting.take(True, PLENTY))

        first = waiting.take(True, PLENTY)
        waiting.put_back([])
        second = waiting.take(True, PLENTY)

        assert len(first) == len(second) == DEFERRED_USERS
        assert {one.user for one in (*first, *second)} == set(
            map(token, users)
        )

    def test_those_that_make_each_other_stale_run_twice(
        self, socket: Socket, waiting: Intake
    ) -> None:
        """Each batch, the first one of them alone is done."""
        for number in range(400):
            socket.put("a", str(number), method="unread", ack=True)
        runs = 0
        batch = waiting.take(True, PLENTY)
        while batch:
            runs += len(batch)
            end(batch[:1])
            waiting.put_back(batch[1:])
            batch = waiting.take(True, PLENTY)

        assert runs <= 2 * 400

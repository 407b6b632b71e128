"""Answers of slow readers wait, each within its bound and all within one."""

import os
import socket
from collections import defaultdict
from collections.abc import Iterator, MutableMapping
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from zchat.engine import pipes as pipes_module
from zchat.engine import send_queue, sockets
from zchat.engine.pipes import LARGE_BYTES, Pipes
from zchat.engine.send_queue import (
    DRAIN_SECONDS,
    QUICK_TRIES,
    WAITING_BYTES,
    SendQueue,
)

BIG = b"x" * 1_000_000
PIPE = 3


class Router:
    """A ROUTER whose pipes hold PIPE answers of those that do not read."""

    def __init__(self) -> None:
        self.sent: dict[bytes, list[bytes]] = defaultdict(list)
        self.reads: set[bytes] = set()
        self.gone: set[bytes] = set()
        self._frames: list[bytes] = []

    def send(self, frame: bytes, flags: int) -> None:
        origin = (self._frames or [frame])[0]
        if origin in self.gone:
            self._frames.clear()
            raise zmq.ZMQError(zmq.EHOSTUNREACH)
        if origin not in self.reads and len(self.sent[origin]) == PIPE:
            raise zmq.Again
        self._frames.append(frame)
        if flags == sockets.NOBLOCK:
            *_, body = self._frames
            self._frames = []
            self.sent[origin].append(body)


@pytest.fixture
def router() -> Router:
    return Router()


@pytest.fixture
def pairs() -> Iterator[dict[bytes, tuple[socket.socket, socket.socket]]]:
    """Connections of real sockets, by origin."""
    made = {origin: socket.socketpair() for origin in (b"ann", b"bob", b"eve")}
    yield made
    for pair in made.values():
        for end in pair:
            end.close()


Pairs = dict[bytes, tuple[socket.socket, socket.socket]]


@pytest.fixture
def pipes(pairs: Pairs) -> Pipes:
    own = Pipes(PIPE, pairs[b"ann"][0].getsockname())
    for origin, (end, _) in pairs.items():
        own.seen(origin, end.fileno())
    return own


@pytest.fixture
def queue(router: Router, pipes: Pipes) -> SendQueue:
    return SendQueue(router.send, pipes)


def is_open(other: socket.socket) -> bool:
    other.setblocking(False)
    try:
        return other.recv(1) != b""
    except BlockingIOError:
        return True


def test_answers_of_one_connection_keep_their_order(
    router: Router, queue: SendQueue
) -> None:
    bodies = [b"%d" % number for number in range(9)]
    for body in bodies:
        queue.send([b"ann"], body)
    assert router.sent[b"ann"] == bodies[:PIPE]

    router.reads.add(b"ann")
    queue.send([b"ann"], b"last")
    queue.retry()

    assert router.sent[b"ann"] == [*bodies, b"last"]
    assert not queue.waiting
    assert queue.held == 0


def test_one_who_does_not_read_holds_up_nobody(
    router: Router, queue: SendQueue
) -> None:
    for _ in range(PIPE + 1):
        queue.send([b"ann"], b"x")
    queue.send([b"bob"], b"y")

    assert router.sent[b"bob"] == [b"y"]


def test_what_waits_for_one_connection_is_bounded(
    router: Router, queue: SendQueue
) -> None:
    count = PIPE + WAITING_BYTES // len(BIG) + 1
    for _ in range(count):
        queue.send([b"ann"], BIG)
    assert queue.lost == 0

    for _ in range(5):
        queue.send([b"ann"], BIG)

    assert queue.lost == 5
    router.reads.add(b"ann")
    queue.retry()
    assert len(router.sent[b"ann"]) == count


def test_answers_to_one_who_is_gone_are_lost(
    router: Router, pipes: Pipes, queue: SendQueue
) -> None:
    for _ in range(PIPE + 2):
        queue.send([b"ann"], BIG)
    router.gone.add(b"ann")

    queue.retry()

    assert (queue.lost, queue.waiting, queue.held) == (2, False, 0)


def test_what_there_is_no_room_for_yet_waits_on(
    router: Router, queue: SendQueue
) -> None:
    for origin in (b"ann", b"bob"):
        for _ in range(PIPE + 2):
            queue.send([origin], b"x")
    router.reads.add(b"bob")

    queue.retry()

    assert len(queue) == 2
    assert queue.waiting
    assert len(router.sent[b"bob"]) == PIPE + 2


class TestTheEnd:
    """Before a server ends, it waits a while for those who read."""

    @pytest.fixture
    def naps(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """How long it slept; its clock stands still otherwise."""
        slept: list[float] = []
        clock = SimpleNamespace(
            monotonic=lambda: sum(slept), sleep=slept.append
        )
        monkeypatch.setattr(send_queue, "time", clock)
        return slept

    def test_who_reads_gets_what_waits(
        self, router: Router, queue: SendQueue, naps: list[float]
    ) -> None:
        for _ in range(PIPE + 5):
            queue.send([b"ann"], b"x")
        router.reads.add(b"ann")

        queue.drain()

        assert len(router.sent[b"ann"]) == PIPE + 5
        assert sum(naps) < DRAIN_SECONDS / 2

    def test_who_does_not_is_not_waited_for(
        self, queue: SendQueue, naps: list[float]
    ) -> None:
        for _ in range(PIPE + 1):
            queue.send([b"ann"], b"x")

        queue.drain()

        assert len(queue) == 1
        assert sum(naps) == pytest.approx(DRAIN_SECONDS, abs=0.01)

    def test_nobody_is_waited_for_where_nothing_waits(
        self, queue: SendQueue, naps: list[float]
    ) -> None:
        queue.drain()

        assert naps == []


class TestPipes:
    def test_large_answers_in_the_pipe_count(
        self, router: Router, queue: SendQueue
    ) -> None:
        router.reads.add(b"ann")
        for size in (LARGE_BYTES - 1, LARGE_BYTES, 20_000, 10_000, 8_000):
            queue.send([b"ann"], b"x" * size)

        assert queue.held == 20_000 + 10_000 + 8_000

    def test_what_was_sent_and_acknowledged_does_not(
        self, pairs: Pairs, pipes: Pipes
    ) -> None:
        for origin in pairs:
            pipes.handed(origin, 10_000)
        pairs[b"ann"][0].send(b"unread")

        pipes.settle()

        assert pipes.held == 10_000
        assert pipes.origins() == [b"ann"]

    def test_a_descriptor_that_is_something_else_now(
        self, pairs: Pairs, pipes: Pipes
    ) -> None:
        """The connection ended, and the number was given again."""
        end, _ = pairs[b"ann"]
        pipes.handed(b"ann", 10_000)
        pairs[b"bob"][0].send(b"unread")
        os.dup2(pairs[b"bob"][0].fileno(), end.fileno())

        pipes.shut(b"ann")

        assert is_open(pairs[b"bob"][1])
        pipes.handed(b"ann", 10_000)
        assert pipes.held == 0

    def test_a_socket_that_is_not_the_servers(self, pairs: Pairs) -> None:
        pipes = Pipes(PIPE, ("127.0.0.1", 8001))
        pipes.seen(b"ann", pairs[b"ann"][0].fileno())

        pipes.shut(b"ann")

        assert is_open(pairs[b"ann"][1])

    def test_a_descriptor_that_is_closed(self, pairs: Pairs) -> None:
        pipes = Pipes(PIPE, "")
        gone, other = socket.socketpair()
        fd = gone.fileno()
        pipes.seen(b"x", fd)
        pipes.handed(b"x", 9_000)
        gone.close()
        pipes.seen(b"y", fd)

        pipes.settle()
        pipes.shut(b"x")

        assert pipes.held == 0
        assert pipes.origins() == []
        other.close()

    def test_a_connection_that_ended_meanwhile(self) -> None:
        """Its descriptor is closed, or ended and not yet closed."""
        closed, other = socket.socketpair()
        with other, socket.socket() as ended:
            pipes = Pipes(PIPE, ended.getsockname())
            for origin, end in ((b"x", closed), (b"y", ended)):
                pipes.seen(origin, end.fileno())
                pipes.handed(origin, 9_000)
            closed.close()

            pipes.shut(b"x")
            pipes.shut(b"y")

        assert pipes.held == 0
        assert pipes.origins() == []

    def test_a_connection_that_asks_again_holds_what_it_held(
        self, pairs: Pairs, pipes: Pipes
    ) -> None:
        pipes.handed(b"ann", 10_000)

        pipes.seen(b"ann", pairs[b"ann"][0].fileno())

        assert pipes.held_by(b"ann") == pipes.held == 10_000

    def test_a_new_connection_under_the_same_name(
        self, pairs: Pairs, pipes: Pipes
    ) -> None:
        pipes.handed(b"ann", 10_000)

        pipes.seen(b"ann", pairs[b"bob"][0].fileno())

        assert pipes.held_by(b"ann") == pipes.held == 0

    def test_those_that_are_gone_are_forgotten(
        self, pairs: Pairs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pipes_module, "SETTLE_PEERS", 4)
        pipes = Pipes(PIPE, "")

        for number in range(100):
            gone, other = socket.socketpair()
            pipes.seen(b"%d" % number, gone.fileno())
            gone.close()
            other.close()

        assert len(pipes._peers) <= 5

    def test_who_reads_again_may_be_dropped_later(
        self, pairs: Pairs, pipes: Pipes
    ) -> None:
        """Its descriptor is still known."""
        pipes.handed(b"ann", 10_000)
        pipes.settle()
        assert pipes.held == 0

        pipes.shut(b"ann")

        assert not is_open(pairs[b"ann"][1])


class TestBudget:
    def fill(
        self, pairs: Pairs, queue: SendQueue, answers: dict[bytes, int]
    ) -> None:
        """Send big answers to connections that do not read."""
        for origin, count in answers.items():
            pairs[origin][0].send(b"unread")
            for _ in range(count):
                queue.send([origin], BIG)

    def test_within_it_nobody_is_dropped(
        self, pairs: Pairs, queue: SendQueue
    ) -> None:
        self.fill(pairs, queue, {b"ann": 1, b"bob": 5})

        queue.shed(queue.held)

        assert queue.dropped == 0

    def test_whoever_holds_most_is_dropped_first(
        self,
        pairs: Pairs,
        router: Router,
        queue: SendQueue,
        logged: list[MutableMapping[str, Any]],
    ) -> None:
        self.fill(pairs, queue, {b"ann": 1, b"bob": 5, b"eve": 2})

        queue.shed(4_000_000)

        assert queue.dropped == 1
        assert (queue.lost, queue.held) == (2, 3_000_000)
        assert [is_open(other) for _, other in pairs.values()][1:] == [
            True,
            True,
        ]
        assert logged == [
            {
                "event": "slow_client_dropped",
                "log_level": "warning",
                "bytes": 5_000_003 + 3,
                "answers": 2,
                "all": 1,
            }
        ]

    def test_what_is_in_the_pipe_alone_is_enough(
        self, pairs: Pairs, queue: SendQueue
    ) -> None:
        """Nothing waits here for the one who is dropped."""
        self.fill(pairs, queue, {b"ann": PIPE, b"bob": 1})

        queue.shed(len(BIG))

        assert (queue.dropped, queue.lost, queue.held) == (1, 0, len(BIG))
        for origin, stays in ((b"ann", False), (b"bob", True)):
            _, other = pairs[origin]
            assert other.recv(100) == b"unread"
            assert is_open(other) is stays

    def test_who_has_read_all_is_not_dropped(
        self, pairs: Pairs, router: Router, queue: SendQueue
    ) -> None:
        router.reads.add(b"ann")
        for _ in range(9):
            queue.send([b"ann"], BIG)
        assert queue.held == PIPE * len(BIG)

        queue.shed(1_000_000)

        assert (queue.dropped, queue.held) == (0, 0)


class TestQuickness:
    """A full pipe is tried again soon, until its reader proves slow."""

    @pytest.fixture(autouse=True)
    def _full(self, queue: SendQueue) -> None:
        for _ in range(PIPE + 2):
            queue.send([b"ann"], b"x")

    def test_whose_pipe_is_full_may_be_quick(
        self, queue: SendQueue, router: Router
    ) -> None:
        assert queue.is_quick
        router.reads.add(b"ann")
        queue.retry()

        assert not queue.waiting
        assert not queue.is_quick

    def test_who_does_not_read_is_slow(self, queue: SendQueue) -> None:
        for _ in range(QUICK_TRIES):
            assert queue.is_quick
            queue.retry()

        assert queue.waiting
        assert not queue.is_quick

    def test_who_reads_again_is_quick(
        self, queue: SendQueue, router: Router
    ) -> None:
        for _ in range(QUICK_TRIES):
            queue.retry()
        router.sent[b"ann"].pop()
        queue.retry()

        assert queue.waiting
        assert queue.is_quick

    def test_another_may_be_quick_beside_a_slow_one(
        self, queue: SendQueue
    ) -> None:
        for _ in range(QUICK_TRIES):
            queue.retry()
        for _ in range(PIPE + 1):
            queue.send([b"bob"], b"x")

        assert queue.is_quick

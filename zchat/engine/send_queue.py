"""Answers on their way: those of a slow reader wait, within bounds.

A ROUTER refuses what a peer's pipe has no room for. So pipes are short
(sockets.py), and more waits here, up to a bound for each connection, and
one for all of them together with what the pipes hold (pipes.py): where
that is exceeded, the connection that holds most is dropped first.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog
import zmq

from zchat.engine import sockets
from zchat.engine.pipes import LARGE_BYTES, Pipes

WAITING_BYTES: Final = 4_194_304
RETRY_SECONDS: Final = 0.001
QUICK_SECONDS: Final = 0.000_05
"""A reader's full pipe has room again after about as long."""
QUICK_TRIES: Final = 20
"""So many tries in vain, and the reader is taken for a slow one."""
DRAIN_SECONDS: Final = 1.0

log = structlog.get_logger()


class _Answer(NamedTuple):
    envelope: list[bytes]
    body: bytes

    @property
    def size(self) -> int:
        return len(self.body) + sum(map(len, self.envelope))


class _Queue:
    """What waits for one connection, in order."""

    def __init__(self) -> None:
        self.answers: deque[_Answer] = deque()
        self.size = 0


class SendQueue:
    """Sends answers on a ROUTER.

    A connection may have WAITING_BYTES waiting, and one answer more;
    what comes on top of that is lost, as is what waits for one that is
    gone. `send` is the ROUTER's, with a frame and flags. `len` is how
    many answers wait, `lost` how many were lost, `dropped` how many
    connections were dropped.
    """

    def __init__(
        self, send: Callable[[bytes, int], object], pipes: Pipes
    ) -> None:
        self._send = send
        self._pipes = pipes
        self._queues: dict[bytes, _Queue] = {}
        self._size = 0
        self._tries = 0
        self.lost = 0
        self.dropped = 0

    def __len__(self) -> int:
        return sum(len(queue.answers) for queue in self._queues.values())

    @property
    def waiting(self) -> bool:
        """Whether somebody's answers wait for room."""
        return bool(self._queues)

    @property
    def is_quick(self) -> bool:
        """Whether to try again after QUICK_SECONDS, not RETRY_SECONDS."""
        return bool(self._queues) and self._tries < QUICK_TRIES

    @property
    def held(self) -> int:
        """What waits here, and what the pipes may hold."""
        return self._size + self._pipes.held

    def send(self, envelope: list[bytes], body: bytes) -> None:
        """Send an answer, after those that wait for the same reader."""
        queue = self._queues.get(envelope[0])
        if queue is None:
            if self._is_taken(envelope, body):
                return
            queue = self._queues[envelope[0]] = _Queue()
            self._tries = 0
        if queue.size > WAITING_BYTES:
            self._lose(1, "it does not read")
            return
        answer = _Answer(envelope, body)
        queue.answers.append(answer)
        queue.size += answer.size
        self._size += answer.size

    def flush(self) -> None:
        """Nothing: what there is room for was sent at once."""

    def retry(self) -> None:
        """Send what waits, as far as there is room by now."""
        self._tries += 1
        for origin, queue in list(self._queues.items()):
            while queue.answers and self._is_taken(*queue.answers[0]):
                size = queue.answers.popleft().size
                queue.size -= size
                self._size -= size
                self._tries = 0
            if not queue.answers:
                del self._queues[origin]

    def shed(self, most_bytes: int) -> None:
        """Drop those that hold most until no more than `most_bytes` is
        held by all."""
        if self.held <= most_bytes:
            return
        self._pipes.settle()
        holders = sorted(
            {*self._queues, *self._pipes.origins()}, key=self._held_by
        )
        while holders and self.held > most_bytes:
            self._drop(holders.pop())

    def _held_by(self, origin: bytes) -> int:
        queue = self._queues.get(origin)
        return self._pipes.held_by(origin) + (queue.size if queue else 0)

    def _drop(self, origin: bytes) -> None:
        """End a connection that does not read, and forget its answers."""
        held = self._held_by(origin)
        queue = self._queues.pop(origin, None)
        answers = len(queue.answers) if queue else 0
        if queue is not None:
            self._size -= queue.size
        self._pipes.shut(origin)
        self.lost += answers
        self.dropped += 1
        log.warning(
            "slow_client_dropped",
            bytes=held,
            answers=answers,
            all=self.dropped,
        )

    def drain(self) -> None:
        """Send what waits, before the end; who does not read loses it."""
        ends = time.monotonic() + DRAIN_SECONDS
        while self._queues and time.monotonic() < ends:
            self.retry()
            time.sleep(RETRY_SECONDS)

    def _is_taken(self, envelope: list[bytes], body: bytes) -> bool:
        """Hand an answer to the socket; False: there is no room yet."""
        send = self._send
        try:
            for frame in envelope:
                send(frame, sockets.MORE)
            send(body, sockets.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError:
            self._pipes.forget(envelope[0])
            self._lose(1, "it is gone")
        else:
            if len(body) >= LARGE_BYTES:
                self._pipes.handed(envelope[0], len(body))
        return True

    def _lose(self, count: int, reason: str) -> None:
        self.lost += count
        log.debug("answer_lost", reason=reason, all=self.lost)

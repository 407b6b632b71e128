"""Answers on their way: those of a slow reader wait, up to a bound.

A ROUTER refuses what a peer's pipe has no room for, and a pipe counts
messages, not bytes. So pipes are short (sockets.py), and more waits here.
"""

import time
from collections import deque
from typing import Any, Final, NamedTuple

import structlog
import zmq

from zchat.engine import sockets

WAITING_BYTES: Final = 4_194_304
RETRY_SECONDS: Final = 0.001
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
    gone. `len` is how many answers wait, `lost` how many were lost.
    """

    def __init__(self, router: Any) -> None:
        self._send = sockets.sender(router)
        self._queues: dict[bytes, _Queue] = {}
        self.lost = 0

    def __len__(self) -> int:
        return sum(len(queue.answers) for queue in self._queues.values())

    @property
    def waiting(self) -> bool:
        """Whether somebody's answers wait for room."""
        return bool(self._queues)

    def send(self, envelope: list[bytes], body: bytes) -> None:
        """Send an answer, after those that wait for the same reader."""
        queue = self._queues.get(envelope[0])
        answer = _Answer(envelope, body)
        if queue is None:
            if self._is_taken(answer):
                return
            queue = self._queues[envelope[0]] = _Queue()
        if queue.size > WAITING_BYTES:
            self._lose(1, "it does not read")
            return
        queue.answers.append(answer)
        queue.size += answer.size

    def retry(self) -> None:
        """Send what waits, as far as there is room by now."""
        for origin, queue in list(self._queues.items()):
            while queue.answers and self._is_taken(queue.answers[0]):
                queue.size -= queue.answers.popleft().size
            if not queue.answers:
                del self._queues[origin]

    def drain(self) -> None:
        """Send what waits, before the end; who does not read loses it."""
        ends = time.monotonic() + DRAIN_SECONDS
        while self._queues and time.monotonic() < ends:
            self.retry()
            time.sleep(RETRY_SECONDS)

    def _is_taken(self, answer: _Answer) -> bool:
        """Hand an answer to the socket; False: there is no room yet."""
        try:
            for frame in answer.envelope:
                self._send(frame, sockets.MORE)
            self._send(answer.body, sockets.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError:
            self._lose(1, "it is gone")
        return True

    def _lose(self, count: int, reason: str) -> None:
        self.lost += count
        log.debug("answer_lost", reason=reason, all=self.lost)

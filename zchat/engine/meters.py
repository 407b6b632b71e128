"""What the broker counts of itself: plain numbers, read by `stats`."""

import os
import resource
import time
from bisect import bisect_left
from collections import Counter
from typing import Final

from zchat.errors import Code
from zchat.rpc.operator_results import BrokerStats, Histogram

SECONDS: Final = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
)
REQUESTS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_PAGE_BYTES: Final = resource.getpagesize()
_FOLDER: Final = "/dev/fd"
_MEMORY_PAGES: Final = "/proc/self/statm"


class Distribution:
    """How often a value was at most each of some bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def shown(self) -> Histogram:
        """The counts so far; `counts` has one more than `bounds`."""
        return Histogram(
            bounds=list(self._bounds),
            counts=list(self._counts),
            sum=self._sum,
        )


class Meters:
    """Counts since the start; adding to one costs next to nothing."""

    def __init__(self, now: int) -> None:
        self.started = now
        self.requests = 0
        self.events = 0
        self._refusals: Counter[str] = Counter()
        self._batch_seconds = Distribution(SECONDS)
        self._batch_requests = Distribution(REQUESTS)
        self._feed_seconds = Distribution(SECONDS)
        self._own_files = open_files()

    def serving(self) -> None:
        """From now on a new open file is a connection."""
        self._own_files = open_files()

    def refused(self, code: Code) -> None:
        """A request was answered with this code."""
        self._refusals[code.wire] += 1

    def batch(self, requests: int, seconds: float) -> None:
        """A batch of so many requests took so long, its commit included."""
        self._batch_requests.add(requests)
        self._batch_seconds.add(seconds)

    def fed(self, seconds: float) -> None:
        """A batch of events took so long to come from its broker here."""
        self._feed_seconds.add(seconds)

    def shown(
        self,
        *,
        now: int,
        answers_waiting: int,
        answers_lost: int,
        clients_dropped: int,
        requests_waiting: int,
        feed_gaps: int,
        store_bytes: int | None,
    ) -> BrokerStats:
        """All of it, and how the process is."""
        files = open_files()
        return BrokerStats(
            uptime=round((now - self.started) / 1_000_000, 1),
            requests=self.requests,
            refusals=dict(self._refusals),
            batch_seconds=self._batch_seconds.shown(),
            batch_requests=self._batch_requests.shown(),
            events=self.events,
            answers_waiting=answers_waiting,
            answers_lost=answers_lost,
            clients_dropped=clients_dropped,
            requests_waiting=requests_waiting,
            feed_gaps=feed_gaps,
            feed_seconds=self._feed_seconds.shown(),
            connections=max(0, files - self._own_files),
            open_files=files,
            open_files_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            memory_bytes=memory_bytes(),
            cpu_seconds=round(time.process_time(), 3),
            store_bytes=store_bytes,
        )


def open_files() -> int:
    """How many file descriptors are in use; 0 where that is not told."""
    try:
        return len(os.listdir(_FOLDER))
    except OSError:
        return 0


def memory_bytes() -> int:
    """The memory that the process holds; at its height outside Linux."""
    try:
        with open(_MEMORY_PAGES, encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

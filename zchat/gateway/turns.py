"""Turns between users: nobody's requests crowd out the others'.

The broker answers in the order of arrival, so whoever has a thousand
requests in flight makes all others wait for a thousand answers. So only a
window of requests is let into the broker at a time, of one user at most a
share of it; the rest waits here, and the users who wait take turns.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Final

WINDOW: Final = 128
SHARE: Final = 16

Job = Callable[[], None]


class Turns:
    """Starts jobs: `window` at a time, `share` of them for one key.

    A key is a user, or what is known of one. Jobs of one key start in
    the order in which they came.
    """

    def __init__(self, window: int = WINDOW, share: int = SHARE) -> None:
        self._window = window
        self._share = share
        self._running = 0
        self._running_by_key: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, deque[Job]] = {}
        self._next: OrderedDict[Hashable, None] = OrderedDict()
        """The keys that wait and have not used up their share, in turn."""

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return sum(map(len, self._waiting.values()))

    def take(self, key: Hashable) -> bool:
        """Take a place for a job at once, if nobody has to wait for it."""
        running = self._running_by_key.get(key, 0)
        if (
            self._running >= self._window
            or running >= self._share
            or key in self._waiting
        ):
            return False
        self._running += 1
        self._running_by_key[key] = running + 1
        return True

    def wait(self, key: Hashable, job: Job) -> None:
        """Start a job when it is its turn; it has its place then."""
        jobs = self._waiting.get(key)
        if jobs is None:
            jobs = self._waiting[key] = deque()
            if self._running_by_key.get(key, 0) < self._share:
                self._next[key] = None
        jobs.append(job)

    def leave(self, key: Hashable) -> None:
        """A job has ended: its place is the next one's."""
        self._running -= 1
        running = self._running_by_key[key] - 1
        if running:
            self._running_by_key[key] = running
        else:
            del self._running_by_key[key]
        if key in self._waiting:
            self._next.setdefault(key)
        while self._next and self._running < self._window:
            self._start_next()

    def _start_next(self) -> None:
        key, _ = self._next.popitem(last=False)
        jobs = self._waiting[key]
        job = jobs.popleft()
        running = self._running_by_key.get(key, 0) + 1
        self._running += 1
        self._running_by_key[key] = running
        if not jobs:
            del self._waiting[key]
        elif running < self._share:
            self._next[key] = None
        job()

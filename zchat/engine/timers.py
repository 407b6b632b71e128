"""What the broker does by itself, and when: pure timers.

Each duty is a call like any other, put into the next batch.
"""

from typing import Final

from zchat.chat.accounts import compare_names
from zchat.chat.erasure import erase
from zchat.chat.expiry import delete_expired, expire_members
from zchat.chat.files import drop_stale
from zchat.chat.heads import Quiet, tell_heads, tell_missed_heads
from zchat.chat.jobs import NoParams, Progress
from zchat.chat.presence import save_last_seen
from zchat.chat.quotas import count_totals
from zchat.chat.rules import WritingRule
from zchat.chat.schedule import send_due
from zchat.engine.batch import Call
from zchat.model import SECOND
from zchat.rpc import HEARTBEAT_SECONDS

HEAD_SECONDS: Final = (1, 5, 30)
DUE_SECONDS: Final = 0.25
ERASURE_SECONDS: Final = 0.5
IDLE_SECONDS: Final = 0.05
"""The pace of a duty that goes on while nobody else wants anything."""
EXPIRY_SECONDS: Final = 5
DELETION_SECONDS: Final = 20
STALE_SECONDS: Final = 60
TOTALS_SECONDS: Final = 60
SEEN_SECONDS: Final = 30
NAMES_SECONDS: Final = 60
HEADS_PAGE: Final = 256
_DONE: Final = Progress(more=False)


class Every:
    """Something to be done every so many seconds."""

    def __init__(self, seconds: float, now: int) -> None:
        self._period = int(seconds * SECOND)
        self.at = now + self._period

    def ripe(self, now: int) -> bool:
        """Whether it is time; if so, the next time is set.

        A clock that was set back does not put it off.
        """
        if self.at - self._period <= now < self.at:
            return False
        self.at = now + self._period
        return True


class Heads:
    """Which heads are to be told: 1, 5 and 30 s after the last counted
    event of each chat and inbox (docs/reference/protocol.md)."""

    def __init__(self) -> None:
        self._waiting: tuple[dict[bytes, int], ...] = tuple(
            {} for _ in HEAD_SECONDS
        )

    def note(self, topic: bytes, now: int) -> None:
        """The chat or inbox with the topic has a new event."""
        for waiting in self._waiting:
            waiting.pop(topic, None)
        self._waiting[0][topic] = now

    def next_at(self) -> int | None:
        """When the first head is due, in microseconds."""
        times = [
            next(iter(waiting.values())) + seconds * SECOND
            for waiting, seconds in zip(self._waiting, HEAD_SECONDS)
            if waiting
        ]
        return min(times, default=None)

    def take(self, now: int) -> list[bytes]:
        """The topics whose heads are due; each waits for its next time.

        A clock that was set back does not put them off.
        """
        ripe = []
        for stage, seconds in reversed(list(enumerate(HEAD_SECONDS))):
            waiting = self._waiting[stage]
            while waiting:
                topic, since = next(iter(waiting.items()))
                if since <= now < since + seconds * SECOND:
                    break
                del waiting[topic]
                ripe.append(topic)
                if stage + 1 < len(HEAD_SECONDS):
                    self._waiting[stage + 1][topic] = min(since, now)
        return ripe


class Task:
    """A duty that comes every so many seconds, or sooner for more."""

    def __init__(self, handler: WritingRule, seconds: float, now: int) -> None:
        self._handler = handler
        self._every = Every(seconds, now)
        self._when_idle = Every(IDLE_SECONDS, now)
        self._last: Call | None = None

    def next_at(self) -> int:
        """When it is to be done next."""
        progress = self._progress()
        if progress.more:
            return 0
        if progress.when_idle:
            return min(self._every.at, self._when_idle.at)
        return self._every.at

    def _progress(self) -> Progress:
        """What the last call has left to do."""
        outcome = self._last and self._last.outcome
        return outcome if isinstance(outcome, Progress) else _DONE

    def call(self, now: int, is_idle: bool) -> Call | None:
        """The call, if it is time for it."""
        progress = self._progress()
        is_due = self._every.ripe(now) or progress.more
        if progress.when_idle and self._when_idle.ripe(now):
            is_due |= is_idle
        if not is_due:
            return None
        self._last = Call(self._handler, NoParams())
        return self._last


class Timers:
    """When the broker does what; times are microseconds."""

    def __init__(self, now: int, lifetime: bool) -> None:
        self.heads = Heads()
        self.heartbeat = Every(HEARTBEAT_SECONDS, now)
        self._tasks = [
            Task(send_due, DUE_SECONDS, now),
            Task(drop_stale, STALE_SECONDS, now),
            Task(count_totals, TOTALS_SECONDS, now),
            Task(save_last_seen, SEEN_SECONDS, now),
            Task(compare_names, NAMES_SECONDS, now),
            Task(erase, ERASURE_SECONDS, now),
        ]
        if lifetime:
            self._tasks += [
                Task(expire_members, EXPIRY_SECONDS, now),
                Task(delete_expired, DELETION_SECONDS, now),
            ]
        self._missed = False

    def feed_lost(self) -> None:
        """Events of other brokers may have been missed just now."""
        self._missed = True

    def next_at(self) -> int:
        """When there is something to do."""
        if self._missed:
            return 0
        times = [task.next_at() for task in self._tasks]
        head = self.heads.next_at()
        if head is not None:
            times.append(head)
        return min(self.heartbeat.at, *times)

    def calls(self, now: int, is_idle: bool = True) -> list[Call]:
        """What is to be done now; idle: nobody asks for anything."""
        calls = [
            call for task in self._tasks if (call := task.call(now, is_idle))
        ]
        if self._missed:
            self._missed = False
            calls.append(Call(tell_missed_heads, NoParams(), reads=True))
        quiet = self.heads.take(now)
        for start in range(0, len(quiet), HEADS_PAGE):
            page = Quiet(tuple(quiet[start : start + HEADS_PAGE]))
            calls.append(Call(tell_heads, page, reads=True))
        return calls

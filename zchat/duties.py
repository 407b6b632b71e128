"""What the broker does by itself, and when: pure timers.

Each duty is a call like any other, put into the next batch.
"""

from collections.abc import Iterator
from typing import Final

from zchat.batch import Call
from zchat.chat.files import drop_stale
from zchat.chat.handlers import Handler
from zchat.chat.heads import Quiet, tell_heads, tell_missed_heads
from zchat.chat.lifetime import NoParams, delete_expired, expire_members
from zchat.chat.schedule import Sending, send_due
from zchat.model import SECOND
from zchat.rpc import HEARTBEAT_SECONDS

HEAD_SECONDS: Final = (1, 5, 30)
DUE_SECONDS: Final = 0.25
EXPIRY_SECONDS: Final = 5
STALE_SECONDS: Final = 60
HEADS_PAGE: Final = 256


class Every:
    """Something to be done every so many seconds."""

    def __init__(self, seconds: float, now: int) -> None:
        self._period = int(seconds * SECOND)
        self.at = now + self._period

    def ripe(self, now: int) -> bool:
        """Whether it is time; if so, the next time is set."""
        if now < self.at:
            return False
        self.at = now + self._period
        return True


class Heads:
    """Which chats' heads are to be told: 1, 5 and 30 s after the last
    message of each (protocol.md, "Events")."""

    def __init__(self) -> None:
        self._waiting: tuple[dict[str, int], ...] = tuple(
            {} for _ in HEAD_SECONDS)

    def note(self, chat_id: str, now: int) -> None:
        """The chat has a new message."""
        for waiting in self._waiting:
            waiting.pop(chat_id, None)
        self._waiting[0][chat_id] = now

    def next_at(self) -> int | None:
        """When the first head is due, in microseconds."""
        times = [
            next(iter(waiting.values())) + seconds * SECOND
            for waiting, seconds in zip(self._waiting, HEAD_SECONDS)
            if waiting]
        return min(times, default=None)

    def take(self, now: int) -> list[str]:
        """The chats whose heads are due; each waits for its next time."""
        ripe = []
        for stage, seconds in reversed(list(enumerate(HEAD_SECONDS))):
            waiting = self._waiting[stage]
            for chat_id, since in list(waiting.items()):
                if since + seconds * SECOND > now:
                    break
                del waiting[chat_id]
                ripe.append(chat_id)
                if stage + 1 < len(HEAD_SECONDS):
                    self._waiting[stage + 1][chat_id] = since
        return ripe


class Duties:
    """When the broker does what; times are microseconds."""

    def __init__(self, now: int, lifetime: bool) -> None:
        self.heads = Heads()
        self.heartbeat = Every(HEARTBEAT_SECONDS, now)
        self._due = Every(DUE_SECONDS, now)
        self._stale = Every(STALE_SECONDS, now)
        self._expiry = Every(EXPIRY_SECONDS, now) if lifetime else None
        self._sending: Call | None = None
        self._missed = False

    def feed_lost(self) -> None:
        """Events of other brokers may have been missed just now."""
        self._missed = True

    def next_at(self) -> int:
        """When there is something to do."""
        if self._missed or self._more_due():
            return 0
        times = [self.heartbeat.at, self._due.at, self._stale.at]
        if self._expiry is not None:
            times.append(self._expiry.at)
        head = self.heads.next_at()
        return min(times if head is None else [*times, head])

    def _more_due(self) -> bool:
        outcome = self._sending and self._sending.outcome
        return isinstance(outcome, Sending) and outcome.more

    def calls(self, now: int) -> list[Call]:
        """What is to be done now."""
        return list(self._calls(now))

    def _calls(self, now: int) -> Iterator[Call]:
        more = self._more_due()
        self._sending = None
        if self._due.ripe(now) or more:
            self._sending = _duty(send_due)
            yield self._sending
        if self._stale.ripe(now):
            yield _duty(drop_stale)
        if self._expiry is not None and self._expiry.ripe(now):
            yield _duty(expire_members)
            yield _duty(delete_expired)
        if self._missed:
            self._missed = False
            yield Call(tell_missed_heads, NoParams(), reads=True)
        quiet = self.heads.take(now)
        for start in range(0, len(quiet), HEADS_PAGE):
            yield Call(
                tell_heads, Quiet(tuple(quiet[start:start + HEADS_PAGE])),
                reads=True)


def _duty(handler: Handler) -> Call:
    return Call(handler, NoParams())

"""What a user may do only so often, so that it costs others little.

The counts live in memory, one broker's each, and start again from zero
after a restart: they bound cost, and are no quota that is shown. What a
batch spends counts once the batch is committed, so that one that is
repeated spends nothing twice.
"""

from collections import Counter
from enum import Enum
from typing import Final

from zchat.model import SECOND

KEPT: Final = 100_000


class Pace(Enum):
    """How often (times, seconds), for each user or as said.

    No two may be equal: an enum takes those for one.
    """

    EDITS = 60, 60
    """Edits and deletions of a user."""
    REACTIONS = 120, 60
    """Emoji that a user puts on messages, or takes off."""
    RENAMES = 20, 600
    """New names of a user: each is told to all chats of the user."""
    TOKENS = 5, 600
    """New tokens of a user: each changes the keys of all its chats."""
    TYPING = 1, 3
    """Events that a user is typing in one chat."""
    TYPING_ANYWHERE = 20, 10
    """Events that a user is typing in any chat."""

    def __init__(self, times: int, seconds: int) -> None:
        self.times = times
        self.seconds = seconds


class Paces:
    """Counts in periods that begin with the first thing in them."""

    def __init__(self) -> None:
        self._spent: dict[tuple[Pace, str], tuple[int, int]] = {}
        self._batch: Counter[tuple[Pace, str]] = Counter()
        self._now = 0

    def begin(self, now: int) -> None:
        """A batch begins at the time `now`, in microseconds."""
        self._now = now

    def wait(self, pace: Pace, whose: str) -> int:
        """Seconds until it may be done again; 0: it may be done now."""
        began, count = self._period(pace, whose)
        if count + self._batch[pace, whose] < pace.times:
            return 0
        return max(
            1, -(-(began + pace.seconds * SECOND - self._now) // SECOND)
        )

    def spend(self, pace: Pace, whose: str) -> None:
        """It is done once more."""
        self._batch[pace, whose] += 1

    def _period(self, pace: Pace, whose: str) -> tuple[int, int]:
        """When the present period began, and what was spent in it."""
        began, count = self._spent.get((pace, whose), (self._now, 0))
        if not began <= self._now < began + pace.seconds * SECOND:
            return self._now, 0
        return began, count

    def settle(self) -> None:
        """The batch is committed: what it spent is spent."""
        for (pace, whose), times in self._batch.items():
            began, count = self._period(pace, whose)
            self._spent[pace, whose] = began, count + times
        self._batch.clear()
        if len(self._spent) > KEPT:
            self._spent = {
                (pace, whose): entry
                for (pace, whose), entry in self._spent.items()
                if self._period(pace, whose)[1]
            }

    def abandon(self) -> None:
        """The batch was rolled back: it spent nothing."""
        self._batch.clear()

"""The count of one inbox: what an event's number says about the others.

The broker numbers the events of an inbox without holes, and `sync` tells the
number up to which its answer holds. So an event is one of these:

- next: nothing is missing;
- beyond a hole: what it says counts, and a sync must tell the rest;
- covered: a sync that saw more came before it. What it changes was told by
  that sync already; what it only tells (a message was sent as scheduled) is
  told now;
- a repeat, to be dropped.
"""

from enum import Enum


class Order(Enum):
    """Where an event of the inbox stands."""

    NEXT = "next"
    BEYOND_A_HOLE = "beyond a hole"
    COVERED = "covered by a sync"
    REPEAT = "a repeat"


class InboxCount:
    """The numbers of one user's inbox."""

    def __init__(self) -> None:
        self._synced: int | None = None
        self._last_event = 0
        self._has_hole = False

    def comes(self, number: int) -> Order:
        """Take the number of an event in."""
        if not number or self._synced is None:
            return Order.NEXT
        if number <= self._last_event:
            return Order.REPEAT
        known = self._known
        self._last_event = number
        if number <= self._synced:
            return Order.COVERED
        if number == known + 1:
            return Order.NEXT
        self._has_hole = True
        return Order.BEYOND_A_HOLE

    def is_behind(self, number: int) -> bool:
        """Whether events up to this number were missed."""
        return self._synced is not None and number > self._known

    def synced(self, number: int) -> bool:
        """A sync told this number; whether events were missed before it."""
        is_missing = self._has_hole or self.is_behind(number)
        self._has_hole = False
        self._synced = max(number, self._synced or 0)
        return is_missing

    def is_stale(self, number: int) -> bool:
        """Whether a sync that tells this number saw less than we did."""
        return number < self._last_event

    def forget(self) -> None:
        """The store was restored: its numbers are others."""
        self._synced = None
        self._last_event = 0
        self._has_hole = False

    @property
    def _known(self) -> int:
        return max(self._last_event, self._synced or 0)

"""Which rows of a conversation are on the screen, pure.

A conversation is too long to count its rows, so there is no number of
the top row. The place is an item and a row within it; moving walks from
there over the items around, and nothing else is laid out. Without a
place the view follows the newest message.
"""

from collections.abc import Callable
from typing import NamedTuple

from zchat.client import Message
from zchat.client.console.rows import Row
from zchat.client.console.timeline import Item, Key


class Place(NamedTuple):
    """The row at the top of the screen: the item, and which of its rows."""

    key: Key
    offset: int


def key_of(item: Item) -> Key:
    """What names an item."""
    return item.seq if isinstance(item, Message) else item.key


class Viewport:
    """The rows that a screen of `height` shows of the items.

    `rows_of` lays out the item at an index; it is asked for those alone
    that are on the screen or passed on the way. `top` is the place, None
    while the newest is followed.
    """

    def __init__(self) -> None:
        self.top: Place | None = None
        self.height = 1
        self.items: list[Item] = []
        self.rows_of: Callable[[int], list[Row]] = lambda index: []
        self._index: dict[Key, int] = {}
        self._indexed: list[Item] | None = None

    @property
    def is_following(self) -> bool:
        """Whether the newest row stays in view."""
        return self.top is None

    def show(self, items: list[Item]) -> None:
        """These are the items from now on; the place stays."""
        if items is not self._indexed:
            self._indexed = self.items = items
            self._index = {key_of(item): n for n, item in enumerate(items)}

    def rows(self) -> list[Row]:
        """The rows from top to bottom, at most `height`."""
        index, offset = self._start()
        rows: list[Row] = []
        while index < len(self.items) and len(rows) < self.height:
            rows += self.rows_of(index)[offset:]
            index, offset = index + 1, 0
        return rows[: self.height]

    def shown(self) -> range:
        """The indexes of the items that are on the screen."""
        index, offset = self._start()
        first, room = index, self.height + offset
        while index < len(self.items) and room > 0:
            room -= len(self.rows_of(index))
            index += 1
        return range(first, index)

    def scroll(self, rows: int) -> bool:
        """Move down (or up, if negative); False at the end there."""
        if not self.items:
            return False
        before = self._start()
        after = (
            self._down(before, rows) if rows > 0 else self._up(before, -rows)
        )
        self._go(after)
        return after != before

    def follow(self) -> None:
        """Show the newest, and go on so."""
        self.top = None

    def go_to(self, key: Key, rows_above: int = 0) -> bool:
        """Put an item at the top, below `rows_above`; False if not here."""
        index = self._index.get(key)
        if index is None:
            return False
        self._go(self._up((index, 0), rows_above))
        return True

    def reveal(self, key: Key) -> None:
        """Scroll just so far that the item is in view."""
        index = self._index.get(key)
        if index is None:
            return
        start = self._start()
        if (index, 0) < start:
            self._go((index, 0))
            return
        needed = len(self.rows_of(index))
        position, offset = start
        used = -offset
        while position < index and used <= self.height:
            used += len(self.rows_of(position))
            position += 1
        over = used + needed - self.height
        if position < index:
            self._go(self._up((index, 0), max(0, self.height - needed)))
        elif over > 0:
            self._go(self._down(start, min(over, used)))

    # Places.

    def _start(self) -> tuple[int, int]:
        """The index and row that are at the top."""
        if self.top is not None:
            index = self._index.get(self.top.key)
            if index is not None:
                last = max(0, len(self.rows_of(index)) - 1)
                return index, min(self.top.offset, last)
            self.top = None
        return self._bottom()

    def _bottom(self) -> tuple[int, int]:
        """The place that has the last row at the bottom."""
        return self._up((len(self.items), 0), self.height)

    def _go(self, start: tuple[int, int]) -> None:
        if start >= self._bottom():
            self.top = None
        else:
            index, offset = start
            self.top = Place(key_of(self.items[index]), offset)

    def _up(self, start: tuple[int, int], rows: int) -> tuple[int, int]:
        index, offset = start
        offset -= rows
        while offset < 0 and index > 0:
            index -= 1
            offset += len(self.rows_of(index))
        return index, max(0, offset)

    def _down(self, start: tuple[int, int], rows: int) -> tuple[int, int]:
        index, offset = start
        bottom = self._bottom()
        offset += rows
        while index < len(self.items) and offset >= len(self.rows_of(index)):
            offset -= len(self.rows_of(index))
            index += 1
        return min((index, offset), bottom)

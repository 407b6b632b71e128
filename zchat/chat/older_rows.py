"""Rows of a table that no batch has used lately, on their way out.

What is kept in memory has two generations. Batches use the younger one
(table_state.py). Once that is large it becomes the older one, and a new
one begins: a row that is used again goes over, the others leave, as many
after a batch as the younger one grew by. So memory is bounded, what is
in use stays, and no batch waits until a hundred thousand rows are freed.
"""

from collections import deque
from typing import Any

from zchat.model import Table
from zchat.queries import PRIMARY


class OlderRows:
    """The older generation of the rows of one table."""

    __slots__ = ("_table", "_rows", "_keys", "_leaving")

    def __init__(self, table: Table[Any]) -> None:
        self._table = table
        self.clear()

    def __len__(self) -> int:
        return len(self._rows)

    def clear(self) -> None:
        """Forget all of them."""
        self.take_over({}, tuple({} for _ in self._table.unique))

    def take_over(
        self, rows: dict[Any, Any], keys: tuple[dict[Any, Any], ...]
    ) -> None:
        """The younger generation has become this one."""
        self._rows = rows
        self._keys = keys
        self._leaving = deque(rows)

    def recall(self, index: int, key: Any) -> Any:
        """Take out the row with the key; None where there is none."""
        if index != PRIMARY:
            key = self._keys[index].get(key)
        row = self._rows.pop(key, None)
        if row is not None:
            for keys, unique_of in zip(self._keys, self._table.unique_of):
                keys.pop(unique_of(row), None)
        return row

    def let_go(self, count: int) -> None:
        """Forget so many, those that came first before the others."""
        while count > 0 and self._leaving:
            if self.recall(PRIMARY, self._leaving.popleft()) is not None:
                count -= 1

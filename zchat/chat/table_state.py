"""The rows of the tables that are in memory, and their changes.

`rows` maps a primary key to its row, `keys` the values of each unique
index to a primary key. None under a key means: it was looked up, and
there is none. That knowledge is worth one batch only (`absent` lists it
for the end), while rows of a cacheable table may stay: as many as two
generations take (older_rows.py).
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from zchat.chat.older_rows import OlderRows
from zchat.model import Table
from zchat.queries import PRIMARY, Statement

MISSING: Any = object()
GENERATION_ROWS: Final = 50_000
"""So many rows of a table are kept, and as many that are older."""


class TableState:
    """The rows of one table that are in memory, and their changes."""

    __slots__ = (
        "table",
        "rows",
        "keys",
        "inserts",
        "updates",
        "deletes",
        "absent",
        "_older",
        "_size",
    )

    def __init__(self, table: Table[Any]) -> None:
        self.table = table
        self.rows: dict[Any, Any] = {}
        self.keys: tuple[dict[Any, Any], ...] = tuple({} for _ in table.unique)
        self.inserts: dict[Any, Any] = {}
        self.updates: dict[Any, Any] = {}
        self.deletes: dict[Any, Any] = {}
        self.absent: list[tuple[int, Any]] = []
        self._older = OlderRows(table)
        self._size = 0

    def knows(self, index: int, key: Any) -> bool:
        """Whether the row with the key, or that there is none, is known.

        One that was not used lately is from now on.
        """
        if key in (self.rows if index == PRIMARY else self.keys[index]):
            return True
        row = self._older.recall(index, key) if self._older else None
        if row is None:
            return False
        self._know(self.table.key_of(row), row)
        return True

    def learn(
        self, index: int, wanted: Iterable[Any], found: Iterable[Any]
    ) -> None:
        """Rows came from the store; those wanted and not found are None.

        What this batch already changed is newer than what was read.
        """
        for row in found:
            key = self.table.key_of(row)
            if key not in self.rows:
                self._know(key, row)
        known = self.rows if index == PRIMARY else self.keys[index]
        for key in wanted:
            if key not in known:
                known[key] = None
                self.absent.append((index, key))

    def _know(self, key: Any, row: Any) -> None:
        self.rows[key] = row
        for keys, unique_of in zip(self.keys, self.table.unique_of):
            keys[unique_of(row)] = key

    def add(self, row: Any) -> None:
        """Insert a row whose key is new in the world."""
        key = self.table.key_of(row)
        self.inserts[key] = row
        self._know(key, row)

    def amend(self, row: Any) -> None:
        """Change a row that is there, in nothing that it is found by."""
        key = self.table.key_of(row)
        self.rows[key] = row
        changed = self.inserts if key in self.inserts else self.updates
        changed[key] = row

    def put(self, row: Any) -> None:
        """Insert or change a row."""
        key = self.table.key_of(row)
        old = self.rows.get(key)
        if old is not None:
            self._rename(key, old, row)
            changed = self.inserts if key in self.inserts else self.updates
        elif key in self.deletes:
            del self.deletes[key]
            changed = self.updates
        else:
            changed = self.inserts
        changed[key] = row
        if old is None:
            self._know(key, row)

    def _rename(self, key: Any, old: Any, row: Any) -> None:
        """The row with the key changes, perhaps its unique fields too."""
        self.rows[key] = row
        for index, unique_of in enumerate(self.table.unique_of):
            was, now = unique_of(old), unique_of(row)
            if was != now:
                self.keys[index][was] = None
                self.absent.append((index, was))
                self.keys[index][now] = key

    def delete(self, row: Any) -> None:
        """Take a row away."""
        key = self.table.key_of(row)
        if self.inserts.pop(key, None) is None:
            self.updates.pop(key, None)
            self.deletes[key] = row
        self.rows[key] = None
        self.absent.append((PRIMARY, key))
        for index, unique_of in enumerate(self.table.unique_of):
            self.keys[index][unique_of(row)] = None
            self.absent.append((index, unique_of(row)))

    def settle(self, keep: bool) -> None:
        """The batch is over: forget its changes, and rows unless kept."""
        self.inserts.clear()
        self.updates.clear()
        self.deletes.clear()
        if keep:
            self._forget_absent()
            self._age()
        else:
            if self._older:
                self._older.clear()
            self.rows.clear()
            for keys in self.keys:
                keys.clear()
        self.absent.clear()
        self._size = len(self.rows)

    def _forget_absent(self) -> None:
        """What is not there may be made by the next batch."""
        for index, key in self.absent:
            known = self.rows if index == PRIMARY else self.keys[index]
            if known.get(key, MISSING) is None:
                del known[key]

    def _age(self) -> None:
        """Make room for what came, and begin a generation when it is time."""
        self._older.let_go(len(self.rows) - self._size)
        if len(self.rows) >= GENERATION_ROWS:
            self._older.take_over(self.rows, self.keys)
            self.rows = {}
            self.keys = tuple({} for _ in self.table.unique)


class Changes(NamedTuple):
    """What a store is to write: tables that changed, in order, then
    statements."""

    tables: list[TableState]
    statements: list[tuple[Statement, dict[str, Any]]]

    def __bool__(self) -> bool:
        return bool(self.tables or self.statements)

"""The statements for the rows of each table, and values as text.

Sets travel as one array a column (`unnest`), written as PostgreSQL's
array literals here: the driver's own arrays cost ten times as much.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, get_type_hints

from msgspec.structs import astuple

from zchat.model import FILE_CHUNKS, TABLES, Table
from zchat.queries import PRIMARY, KeyLookup
from zchat.storage.base import TableChanges
from zchat.storage.postgres.link import Command

UUID_COLUMNS: Final = frozenset(
    {
        "id",
        "chat_id",
        "user_id",
        "author_id",
        "owner_id",
        "offender_id",
        "reporter_id",
        "uploader_id",
        "message_id",
        "file_id",
        "link_id",
        "scheduled_id",
        "is_comment_on",
        "actor_id",
        "subject_id",
    }
)


def text_literal(value: str) -> str:
    """The text as an element of an array."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def bytes_literal(value: bytes) -> str:
    """The bytes as an element of an array."""
    return f'"\\\\x{value.hex()}"'


class Kind:
    """How the values of one SQL type are written."""

    def __init__(self, sql: str, literal: Callable[[Any], str]) -> None:
        self.sql = sql
        self._literal = literal

    def array(self, values: Iterable[Any]) -> bytes:
        """An array literal of the values; None is NULL."""
        literal = self._literal
        parts = [
            "NULL" if value is None else literal(value) for value in values
        ]
        return f"{{{','.join(parts)}}}".encode()


UUID: Final = Kind("uuid", str)
BIGINT: Final = Kind("bigint", str)
TEXT: Final = Kind("text", text_literal)
PAYLOAD: Final = Kind("text", str)
"""Text without anything that an array would take for its own."""
BYTEA: Final = Kind("bytea", bytes_literal)
_KIND_BY_TYPE: Final[dict[Any, Kind]] = {
    int: BIGINT,
    int | None: BIGINT,
    str: TEXT,
    str | None: TEXT,
    bytes: BYTEA,
    bytes | None: BYTEA,
}


def kinds_of(table: Table[Any]) -> dict[str, Kind]:
    """The kind of each column of the table."""
    hints = get_type_hints(table.row)
    return {
        column: UUID
        if column in UUID_COLUMNS
        else _KIND_BY_TYPE[hints[column]]
        for column in table.columns
    }


def scalar(value: Any) -> bytes | None:
    """A single parameter as text."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return b"\\x" + value.hex().encode()
    return str(value).encode()


class TableSql:
    """The statements for one table's rows, in sets.

    Rows are locked in the order of the primary key; the lock lets
    nobody else change them, and is the one that a change takes.
    """

    def __init__(self, table: Table[Any]) -> None:
        self._table = table
        self._kinds = kinds_of(table)
        self._binary = table is FILE_CHUNKS
        self._insert = self._insert_text()
        self._update = self._update_text()
        self._delete = self._delete_text()
        self._load = {
            (index, lock): self._load_text(fields, lock)
            for index, fields in enumerate((*table.unique, table.key))
            for lock in (False, True)
        }

    def _arrays(self, columns: Sequence[str]) -> str:
        return ", ".join(
            f"${place}::{self._kinds[column].sql}[]"
            for place, column in enumerate(columns, 1)
        )

    def _load_text(self, fields: Sequence[str], lock: bool) -> bytes:
        table = self._table
        columns = _listed(table.columns, "t.")
        text = (
            f"SELECT {columns} FROM unnest({self._arrays(fields)}) "
            f"AS wanted ({_listed(fields)}) JOIN {table.name} AS t "
            f"ON {_same(fields, 'wanted')}"
        )
        if len(fields) == 1:
            text = (
                f"SELECT {columns} FROM {table.name} AS t "
                f'WHERE t."{fields[0]}" = ANY ({self._arrays(fields)})'
            )
        if lock:
            order = _listed(table.key, "t.")
            text += f" ORDER BY {order} FOR NO KEY UPDATE OF t"
        return text.encode()

    def _insert_text(self) -> bytes:
        columns = self._table.columns
        return (
            f"INSERT INTO {self._table.name} ({_listed(columns)}) "
            f"SELECT * FROM unnest({self._arrays(columns)})"
        ).encode()

    def _update_text(self) -> bytes:
        table = self._table
        fields = ", ".join(
            f'"{column}" = changed."{column}"'
            for column in table.columns
            if column not in table.key
        )
        return (
            f"UPDATE {table.name} AS t SET {fields} "
            f"FROM unnest({self._arrays(table.columns)}) "
            f"AS changed ({_listed(table.columns)}) "
            f"WHERE {_same(table.key, 'changed')}"
        ).encode()

    def _delete_text(self) -> bytes:
        table = self._table
        return (
            f"DELETE FROM {table.name} AS t "
            f"USING unnest({self._arrays(table.key)}) "
            f"AS gone ({_listed(table.key)}) "
            f"WHERE {_same(table.key, 'gone')}"
        ).encode()

    def load(self, source: KeyLookup, lock: bool) -> Command:
        """The command that finds the source's rows."""
        table = self._table
        index = (
            len(table.unique) if source.unique == PRIMARY else source.unique
        )
        fields = (
            table.key
            if source.unique == PRIMARY
            else table.unique[source.unique]
        )
        columns = zip(*source.keys) if len(fields) > 1 else [source.keys]
        return Command(
            f"{table.name} load {index} {int(lock)}".encode(),
            self._load[index, lock],
            [
                self._kinds[field].array(values)
                for field, values in zip(fields, columns)
            ],
            self._binary,
        )

    def write(self, delta: TableChanges) -> list[Command]:
        """The commands that write a batch's changes to the table."""
        name = self._table.name
        commands = []
        if delta.deletes:
            keys = [_tuple(self._table, row) for row in delta.deletes.values()]
            commands.append(
                Command(
                    f"{name} delete".encode(),
                    self._delete,
                    self._columns(self._table.key, keys),
                )
            )
        if delta.updates:
            commands.append(
                Command(
                    f"{name} update".encode(),
                    self._update,
                    self._values(delta.updates.values()),
                )
            )
        if delta.inserts:
            commands.append(
                Command(
                    f"{name} insert".encode(),
                    self._insert,
                    self._values(delta.inserts.values()),
                )
            )
        return commands

    def _values(self, rows: Iterable[Any]) -> list[bytes]:
        return self._columns(self._table.columns, map(astuple, rows))

    def _columns(
        self, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
    ) -> list[bytes]:
        return [
            self._kinds[column].array(values)
            for column, values in zip(columns, zip(*rows))
        ]


def _tuple(table: Table[Any], row: Any) -> tuple[Any, ...]:
    key = table.key_of(row)
    return key if len(table.key) > 1 else (key,)


def _listed(columns: Sequence[str], prefix: str = "") -> str:
    return ", ".join(f'{prefix}"{column}"' for column in columns)


def _same(columns: Sequence[str], other: str) -> str:
    return " AND ".join(
        f't."{column}" = {other}."{column}"' for column in columns
    )


TABLE_SQL: Final = {table.name: TableSql(table) for table in TABLES}

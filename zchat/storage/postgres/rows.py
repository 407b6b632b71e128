"""The statements for the rows of each table, and sets as arrays.

Sets travel as one array a column (`unnest`), in PostgreSQL's binary
format: the server takes half the time that it needs to read array
literals, and those took longer to write here as well. A column that is
empty in all rows is NULL, which `unnest` pads with.
"""

from binascii import a2b_hex
from collections.abc import Callable, Iterable, Sequence
from struct import Struct, pack
from typing import Any, Final, get_type_hints

from msgspec.structs import astuple

from zchat.model import FILE_CHUNKS, TABLES, Table
from zchat.queries import PRIMARY, KeyLookup
from zchat.storage.base import TableChanges
from zchat.storage.postgres.link import BINARY, Command

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


_UUID_BYTES: Final = 16
_UUID_LENGTH: Final = f"{_UUID_BYTES:08x}"
_NULL: Final = pack(">i", -1)
_head: Final = Struct(">iiIii").pack
"""Dimensions, whether there are NULLs, the type, elements, first index."""
_length: Final = Struct(">i").pack


class Kind:
    """How the values of one SQL type are written.

    `oids` are PostgreSQL's numbers of the type and of its arrays;
    `elements` writes several, none of them None, each after its length.
    """

    def __init__(
        self,
        sql: str,
        oids: tuple[int, int],
        elements: Callable[[Sequence[Any]], bytes],
    ) -> None:
        self.sql = sql
        self._oid, self.array_oid = oids
        self._elements = elements

    def array(self, values: Iterable[Any]) -> bytes | None:
        """A binary array of the values; NULL where all are None."""
        kept = tuple(values)
        empty = kept.count(None)
        if empty == len(kept):
            return None
        elements = self._elements
        if empty:
            body = b"".join(
                _NULL if value is None else elements((value,))
                for value in kept
            )
        else:
            body = elements(kept)
        return _head(1, int(empty > 0), self._oid, len(kept), 1) + body


def _uuids(values: Sequence[str]) -> bytes:
    """The lengths are spliced in as digits: one conversion for all."""
    digits = _UUID_LENGTH + _UUID_LENGTH.join(values).replace("-", "")
    packed = a2b_hex(digits)
    if len(packed) != len(values) * (4 + _UUID_BYTES):
        raise ValueError("an id is no UUID")
    return packed


def _bigints(values: Sequence[int]) -> bytes:
    return _integers("iq", 8, values)


def _small_integers(values: Sequence[int]) -> bytes:
    return _integers("ii", 4, values)


def _integers(form: str, size: int, values: Sequence[int]) -> bytes:
    pairs = [size] * (2 * len(values))
    pairs[1::2] = values
    return pack(">" + form * len(values), *pairs)


def _texts(values: Sequence[str]) -> bytes:
    return _blobs([value.encode() for value in values])


def _blobs(values: Sequence[bytes]) -> bytes:
    parts = []
    for value in values:
        parts.append(_length(len(value)))
        parts.append(value)
    return b"".join(parts)


UUID: Final = Kind("uuid", (2950, 2951), _uuids)
BIGINT: Final = Kind("bigint", (20, 1016), _bigints)
INTEGER: Final = Kind("integer", (23, 1007), _small_integers)
TEXT: Final = Kind("text", (25, 1009), _texts)
BYTEA: Final = Kind("bytea", (17, 1001), _blobs)
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
            (BINARY,) * len(fields),
            self._binary,
        )

    def write(self, delta: TableChanges) -> list[Command]:
        """The commands that write a batch's changes to the table."""
        table = self._table
        commands = []
        if delta.deletes:
            keys = (_tuple(table, row) for row in delta.deletes.values())
            commands.append(
                self._command("delete", self._delete, table.key, keys)
            )
        for name, text, rows in (
            ("update", self._update, delta.updates),
            ("insert", self._insert, delta.inserts),
        ):
            if rows:
                values = map(astuple, rows.values())
                commands.append(
                    self._command(name, text, table.columns, values)
                )
        return commands

    def _command(
        self,
        name: str,
        text: bytes,
        columns: Sequence[str],
        rows: Iterable[tuple[Any, ...]],
    ) -> Command:
        """The command for rows that have these columns."""
        return Command(
            f"{self._table.name} {name}".encode(),
            text,
            [
                self._kinds[column].array(values)
                for column, values in zip(columns, zip(*rows))
            ],
            (BINARY,) * len(columns),
        )


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

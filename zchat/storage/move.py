"""Moves a store from an SQLite file into an empty PostgreSQL database."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

import msgpack
import psycopg
from psycopg.types.string import TextLoader

from zchat.errors import StoreError, StoreUnusable
from zchat.model import FILE_CHUNKS, TABLES, Table
from zchat.storage import URL_PREFIXES
from zchat.storage.postgres import schema
from zchat.storage.sqlite import SqliteStore
from zchat.storage.sqlite.files import FileFolder

ROWS_AT_ONCE: Final = 2_000
CHUNKS_AT_ONCE: Final = 16


class Copied(NamedTuple):
    """What was copied of one table; the hash is hex."""

    table: str
    rows: int
    sha256: str


class Tally:
    """Counts and hashes rows that pass through it."""

    def __init__(self, table: Table[Any]) -> None:
        self._name = table.name
        self._rows = 0
        self._hash = sha256()

    def count(
        self, rows: Iterable[tuple[Any, ...]]
    ) -> Iterator[tuple[Any, ...]]:
        """The same rows."""
        for row in rows:
            self._rows += 1
            self._hash.update(msgpack.packb(row))
            yield row

    def result(self) -> Copied:
        """What has passed."""
        return Copied(self._name, self._rows, self._hash.hexdigest())


def move(path: str, url: str) -> list[Copied]:
    """Copy the store at `path` into the database at `url`.

    No broker may use either. What arrived is read back and compared;
    nothing is kept of a copy that fails. Raises StoreUnusable, and
    StoreError where the copy differs.
    """
    if not Path(path).is_file():
        raise StoreUnusable(f"There is no file {path}.")
    if not url.startswith(URL_PREFIXES):
        raise StoreUnusable(
            "Give the target as postgresql://user@host/database."
        )
    with closing(SqliteStore(path, 0, lambda: str(uuid4()))) as store:
        common_id = store.common_id
    with closing(sqlite3.connect(path)) as source:
        source.execute("PRAGMA locking_mode = EXCLUSIVE")
        source.execute("BEGIN IMMEDIATE")
        try:
            return _copy_all(source, FileFolder(Path(path)), url, common_id)
        except OSError as error:
            raise StoreUnusable(
                f"A file of the store cannot be read: {error}."
            ) from error
        except psycopg.Error as error:
            raise StoreUnusable(
                f"The database cannot take the store: {str(error).strip()}."
            ) from error


def _copy_all(
    source: sqlite3.Connection, files: FileFolder, url: str, common_id: str
) -> list[Copied]:
    with closing(schema.connect(url)) as target:
        target.adapters.register_loader("uuid", TextLoader)
        with target.transaction():
            schema.claim(target, common_id)
            copied = [
                _copy(
                    table,
                    _chunks(source, files)
                    if table is FILE_CHUNKS
                    else source.execute(_selected(table)),
                    target,
                )
                for table in TABLES
            ]
        target.execute("ANALYZE")
        return copied


def _selected(table: Table[Any]) -> str:
    """Select all of a table, in an order that both stores have."""
    columns = ", ".join(f'"{column}"' for column in table.columns)
    order = ", ".join(f'"{column}"' for column in table.key)
    return f"SELECT {columns} FROM {table.name} ORDER BY {order}"


def _chunks(
    source: sqlite3.Connection, files: FileFolder
) -> Iterator[tuple[Any, ...]]:
    """The chunks of files, with the bytes that lie beside the store."""
    for file_id, offset, data, size in source.execute(
        'SELECT file_id, "offset", data, size FROM file_chunks '
        'ORDER BY file_id, "offset"'
    ):
        if size is None:
            yield file_id, offset, data
        else:
            yield file_id, offset, files.read(file_id, offset, size)


def _copy(
    table: Table[Any],
    rows: Iterable[tuple[Any, ...]],
    target: psycopg.Connection[Any],
) -> Copied:
    """Copy a table, and compare what arrived."""
    columns = ", ".join(f'"{column}"' for column in table.columns)
    sent, arrived = Tally(table), Tally(table)
    with (
        target.cursor() as cursor,
        cursor.copy(
            f"COPY {table.name} ({columns}) FROM STDIN".encode()
        ) as copy,
    ):
        for row in sent.count(rows):
            copy.write_row(row)
    with target.cursor(name="arrived") as cursor:
        cursor.itersize = (
            CHUNKS_AT_ONCE if table is FILE_CHUNKS else ROWS_AT_ONCE
        )
        for _ in arrived.count(cursor.execute(_selected(table).encode())):
            continue
    if sent.result() != arrived.result():
        raise StoreError(
            f"The copy of {table.name} differs; nothing was kept."
        )
    return arrived.result()

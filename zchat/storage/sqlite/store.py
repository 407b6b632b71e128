"""The store in one SQLite file, owned by one broker."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic, time_ns
from typing import Any, Final, cast

import structlog
from msgspec.structs import astuple

from zchat.errors import StoreAway, StoreNotReady, StoreRejected, StoreUnusable
from zchat.model import (
    COMMON,
    COMMON_NAME,
    FILE_CHUNKS,
    MESSAGES,
    TABLES,
    Chat,
    FileChunk,
    Message,
    Table,
)
from zchat.queries import (
    MESSAGES_BEFORE,
    PRIMARY,
    QUERIES,
    SEARCH,
    STATEMENTS,
    KeyLookup,
    QueryCall,
    SearchParams,
)
from zchat.storage.base import BatchChanges, Outgoing, Store, TableChanges
from zchat.storage.search import SEARCH_SECONDS, search
from zchat.storage.sql import blocks, migrations
from zchat.storage.sqlite.backup import Backup
from zchat.storage.sqlite.files import FileFolder
from zchat.storage.sqlite.message_rows import MessageRows
from zchat.storage.sqlite.search import SqliteSearch
from zchat.storage.sqlite.watch import FileWatch, require_a_place

_CACHE_KIB: Final = 65_536
EMPTY_SECONDS: Final = 20.0
"""How long the log may hold what was deleted, at most twice that."""
_CHECKPOINT_PAGES: Final = 4_096
_FILES_AT_ONCE: Final = 16
_SET: Final = 64
_SET_PLACES: Final = ", ".join("?" * _SET)
_SYNCHRONOUS: Final = {"full": "FULL", "normal": "NORMAL"}

log = structlog.get_logger()


class _TableSql:
    """The statements for the rows of one table."""

    def __init__(self, table: Table[Any]) -> None:
        name = table.name
        columns = ", ".join(f'"{c}"' for c in table.columns)
        places = ", ".join("?" for _ in table.columns)
        fields = ", ".join(f'"{c}" = ?' for c in table.columns)
        self.insert = f"INSERT INTO {name} ({columns}) VALUES ({places})"
        self.update = f"UPDATE {name} SET {fields} WHERE {_is(table.key)}"
        self.delete = f"DELETE FROM {name} WHERE {_is(table.key)}"
        select = f"SELECT {columns} FROM {name} WHERE "
        keys = {PRIMARY: table.key, **dict(enumerate(table.unique))}
        self.by = {index: select + _is(key) for index, key in keys.items()}
        self.wide = {index: len(key) > 1 for index, key in keys.items()}
        self.in_sets = {
            index: select + _is(key[:-1], f'"{key[-1]}" IN ({_SET_PLACES})')
            for index, key in keys.items()
            if len(key) <= 2
        }
        if table is MESSAGES:
            self._place_messages(table.columns)
        if table is FILE_CHUNKS:
            self._size_chunks()

    def _place_messages(self, columns: Sequence[str]) -> None:
        """Messages are read as others, through a view, and changed where
        they lie (0007_places.sql); message_rows.py inserts them."""
        numbers = {name: f"?{n}" for n, name in enumerate(columns, 1)}
        del numbers["chat_id"], numbers["seq"]
        fields = ", ".join(f"{name} = {n}" for name, n in numbers.items())
        self.update = (
            f"UPDATE message_rows SET {fields} WHERE id = ?{len(columns) + 1}"
        )
        self.delete = "DELETE FROM message_rows WHERE id = ?"

    def _size_chunks(self) -> None:
        """The bytes of chunks lie beside the store (files.py)."""
        columns = 'file_id, "offset", data, size'
        values = "VALUES (?, ?, x'', ?)"
        self.insert = f"INSERT INTO file_chunks ({columns}) {values}"
        self.update = (
            "UPDATE file_chunks SET file_id = ?, \"offset\" = ?, data = x'', "
            'size = ? WHERE file_id = ? AND "offset" = ?'
        )
        select = f"SELECT {columns} FROM file_chunks WHERE "
        self.by = {PRIMARY: select + 'file_id = ? AND "offset" = ?'}
        self.in_sets = {}


def _is(columns: Sequence[str], *more: str) -> str:
    return " AND ".join((*(f'"{column}" = ?' for column in columns), *more))


@contextmanager
def _translated() -> Iterator[None]:
    """Driver errors become the store's (storage/base.py).

    That a value cannot be kept is no fault of the store's.
    """
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.DataError) as error:
        raise StoreRejected(str(error)) from error
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise
    except sqlite3.Error as error:
        raise StoreAway(str(error)) from error


class SqliteStore(Store):
    """One file in WAL mode, locked for this process alone.

    `new_id` makes the ids of a new store's common chat and epoch.
    `durability` is `full` (a commit has been fsynced) or `normal`.
    Raises StoreUnusable where the file is owned by another broker, is
    no zchat store, or was written by a newer version.
    """

    cacheable = True

    def __init__(
        self,
        path: str | Path,
        now: int,
        new_id: Callable[[], str],
        durability: str = "full",
    ) -> None:
        self._path = Path(path)
        self._outgoing: list[Outgoing] = []
        self._open = False
        self._added: list[Message] = []
        self._some_gone = False
        self._files_gone = True
        self._log_holds_gone = False
        self._log_emptied = 0.0
        self._search_until = 0.0
        self._backups: list[Backup] = []
        self._tables = {table.name: _TableSql(table) for table in TABLES}
        texts = blocks("sqlite", skip_locked="")
        self._queries = {q.name: (texts[q.name], q.row) for q in QUERIES}
        self._statements = {s.name: texts[s.name] for s in STATEMENTS}
        with ExitStack() as undo:
            try:
                self._connection = self._connect()
                undo.callback(self._connection.close)
                self._prepare(durability)
                self._migrate(now, new_id)
                self._message_rows = MessageRows(self._connection)
                self._watch = FileWatch(self._path)
                self._files = FileFolder(self._path)
                self._files.remove_others(self._knows_file)
                self._search = SqliteSearch(
                    self._connection,
                    self._path,
                    self.epoch,
                    texts[MESSAGES_BEFORE.name],
                )
            except (OSError, sqlite3.DatabaseError) as error:
                raise self._unusable(error) from error
            undo.pop_all()

    def _connect(self) -> sqlite3.Connection:
        """The file is its owner's alone; what SQLite lays beside it
        takes after it."""
        require_a_place(self._path)
        self._path.touch(mode=0o600)
        if self._path.is_file():
            self._path.chmod(0o600)
        return sqlite3.connect(
            self._path,
            isolation_level=None,
            timeout=0.5,
            cached_statements=256,
            check_same_thread=False,
        )

    def _prepare(self, durability: str) -> None:
        execute = self._connection.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA secure_delete = ON")
        execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")
        execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        execute("PRAGMA temp_store = MEMORY")
        execute("BEGIN IMMEDIATE")
        execute("COMMIT")

    def _unusable(self, error: Exception) -> StoreUnusable:
        if "locked" in str(error):
            return StoreNotReady(
                f"{self._path} is in use by another broker. Stop that "
                "one, or give this one another --store."
            )
        return StoreUnusable(
            f"{self._path} cannot be used as a store: {error}."
        )

    def _migrate(self, now: int, new_id: Callable[[], str]) -> None:
        execute = self._connection.execute
        (version,) = execute("PRAGMA user_version").fetchone()
        steps = migrations("sqlite")
        if version > steps[-1].number:
            raise StoreUnusable(
                f"{self._path} was written by a newer zchat (schema "
                f"{version}, this one knows {steps[-1].number}); "
                "upgrade zchat."
            )
        (tables,) = execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version == 0 and tables:
            raise StoreUnusable(
                f"{self._path} is a database of another program. Give "
                "zchat another --store."
            )
        if 0 < version < steps[-1].number:
            log.warning(
                "store_migrating",
                schema=version,
                to=steps[-1].number,
                advice="This may take a minute. Do not interrupt it.",
            )
        for step in steps:
            if step.number > version:
                self._connection.executescript(
                    f"BEGIN IMMEDIATE; {step.script};"
                    f"PRAGMA user_version = {step.number}; COMMIT"
                )
        execute("BEGIN IMMEDIATE")
        self._identify(now, new_id)
        execute("COMMIT")

    def _identify(self, now: int, new_id: Callable[[], str]) -> None:
        """Find or make the common chat and the epoch.

        A file that was copied back from elsewhere is another file: its
        epoch is new, so that clients compare what they have with it.
        """
        meta = dict(self._connection.execute("SELECT name, value FROM meta"))
        if "common_id" not in meta:
            meta["common_id"] = new_id()
            chat = Chat(
                meta["common_id"],
                COMMON,
                COMMON_NAME,
                None,
                None,
                now,
                0,
                0,
                0,
                0,
                b"",
            )
            self._connection.execute(
                self._tables["chats"].insert, astuple(chat)
            )
        place = self._path.stat()
        file = f"{place.st_dev}:{place.st_ino}"
        if meta.get("file") != file:
            meta["epoch"] = new_id()
            meta["file"] = file
        self._connection.executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items()
        )
        self.common_id = meta["common_id"]
        self.epoch = meta["epoch"]

    def now(self) -> int:
        return time_ns() // 1000

    def begin(self) -> None:
        """The transaction itself begins with the first change."""
        self._search_until = 0.0
        was_lost = self._watch.lost
        lost = self._watch.look()
        if lost != was_lost:
            if lost is None:
                log.info("store_file_back")
            else:
                log.error("store_file_lost", error=lost)
        if self._watch.is_log_alone_missing:
            self._renew_log()

    def _renew_log(self) -> None:
        """Begin a new log where the old one was removed: what stands in
        it is still readable, and goes into the store first."""
        try:
            for step in (
                "PRAGMA journal_mode = DELETE",
                "PRAGMA journal_mode = WAL",
                "BEGIN IMMEDIATE",
                "COMMIT",
            ):
                self._connection.execute(step)
        except sqlite3.Error as error:
            log.error("store_log_not_renewed", error=str(error))
        self._watch.log_renewed()
        if self._watch.lost is None:
            log.warning("store_log_renewed")

    def _require_file(self) -> None:
        if self._watch.lost is not None:
            raise StoreAway(self._watch.lost)

    def load(
        self,
        sources: Sequence[KeyLookup],
        asks: Sequence[QueryCall],
        lock: bool,
    ) -> tuple[list[list[Any]], list[list[Any]]]:
        self._require_file()
        with _translated():
            return (
                [self._rows(source) for source in sources],
                [self._answer(ask) for ask in asks],
            )

    def _rows(self, source: KeyLookup) -> list[Any]:
        """The rows of a source, many of them in sets."""
        sql = self._tables[source.table.name]
        keys: Iterable[Any] = source.keys
        found: list[Any] = []
        if len(source.keys) >= _SET and source.unique in sql.in_sets:
            keys, found = self._rows_in_sets(source, sql)
        text = sql.by[source.unique]
        wide = sql.wide[source.unique]
        make = self._make(source.table.row)
        execute = self._connection.execute
        for key in keys:
            row = execute(text, key if wide else (key,)).fetchone()
            if row is not None:
                found.append(make(*row))
        return found

    def _make(self, row: Callable[..., Any]) -> Callable[..., Any]:
        return self._chunk if row is FileChunk else row

    def _chunk(
        self, file_id: str, offset: int, data: bytes, size: int | None
    ) -> FileChunk:
        """A chunk, from its row or from beside the store."""
        if size is not None:
            try:
                self._files.finish()
                data = self._files.read(file_id, offset, size)
            except OSError as error:
                raise StoreAway(f"a file cannot be read: {error}") from error
        return FileChunk(file_id, offset, data)

    def _knows_file(self, file_id: str) -> bool:
        return (
            self._connection.execute(
                "SELECT 1 FROM files WHERE id = ?", (file_id,)
            ).fetchone()
            is not None
        )

    def _rows_in_sets(
        self, source: KeyLookup, sql: _TableSql
    ) -> tuple[list[Any], list[Any]]:
        """Keys that fill no set, and the rows of all the others."""
        text = sql.in_sets[source.unique]
        make = source.table.row
        groups: dict[tuple[Any, ...], list[Any]] = {}
        if sql.wide[source.unique]:
            for first, last in source.keys:
                groups.setdefault((first,), []).append(last)
        else:
            groups[()] = list(source.keys)
        left, found = [], []
        for first, keys in groups.items():
            full = len(keys) - len(keys) % _SET
            left += [(*first, key) if first else key for key in keys[full:]]
            for start in range(0, full, _SET):
                found += [
                    make(*row)
                    for row in self._connection.execute(
                        text, (*first, *keys[start : start + _SET])
                    )
                ]
        return left, found

    def _answer(self, ask: QueryCall) -> list[Any]:
        if ask.query is SEARCH:
            return [self._find(cast(SearchParams, ask.params))]
        text, row_type = self._queries[ask.query.name]
        make = self._make(row_type)
        rows = self._connection.execute(text, ask.params).fetchall()
        return [make(*row) for row in rows]

    def _find(self, wanted: SearchParams) -> Any:
        """A page of a search; all of a batch share its time."""
        self._search_until = self._search_until or (
            monotonic() + SEARCH_SECONDS
        )
        return search(self._search, wanted, self._search_until, monotonic)

    def write(self, changes: BatchChanges) -> None:
        self._require_file()
        execute = self._connection.execute
        with _translated():
            execute("BEGIN IMMEDIATE")
            self._open = True
            for delta in changes.tables:
                self._write_table(delta)
                if delta.table is MESSAGES:
                    self._added += delta.inserts.values()
                    self._some_gone |= bool(delta.updates or delta.deletes)
            for statement, params in changes.statements:
                execute(self._statements[statement.name], params)
                self._some_gone = True

    def _write_table(self, delta: TableChanges) -> None:
        table = delta.table
        sql = self._tables[table.name]
        many = self._connection.executemany
        values: Callable[[Any], tuple[Any, ...]] = astuple
        if table is FILE_CHUNKS:
            values = _chunk_values
            for chunk in (*delta.updates.values(), *delta.inserts.values()):
                self._files.begin_write(
                    chunk.file_id, chunk.offset, chunk.data
                )
        if delta.deletes:
            many(
                sql.delete,
                (_key(table, row) for row in delta.deletes.values()),
            )
        if delta.updates:
            many(
                sql.update,
                (
                    values(row) + _key(table, row)
                    for row in delta.updates.values()
                ),
            )
        if delta.inserts and table is MESSAGES:
            self._message_rows.insert(delta.inserts.values())
        elif delta.inserts:
            many(sql.insert, map(values, delta.inserts.values()))

    def stage(self, owner: object, chunk: FileChunk) -> Future[None] | None:
        future = self._files.stage(
            owner, chunk.file_id, chunk.offset, chunk.data
        )
        if future is not None:
            future.add_done_callback(lambda _: self._search.wake())
        return future

    def unstage(self, owner: object) -> None:
        self._files.unstage(owner)

    def commit(self, outgoing: Sequence[Outgoing]) -> None:
        if self._open:
            try:
                self._files.finish()
            except OSError as error:
                raise StoreAway(
                    f"a file cannot be written: {error}"
                ) from error
            with _translated():
                self._connection.execute("COMMIT")
            self._open = False
            self._search.committed(self._added, self._some_gone)
            self._log_holds_gone |= self._some_gone
            self._files_gone |= self._some_gone
            self._forget()
        self._outgoing.extend(outgoing)

    def _forget(self) -> None:
        self._added = []
        self._some_gone = False

    def rollback(self) -> None:
        self._forget()
        self._message_rows.forget()
        self._files.give_up()
        if self._open:
            self._open = False
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")

    def feed(self) -> tuple[list[Outgoing], bool]:
        try:
            self._search.tend()
        except sqlite3.Error as error:
            log.warning("search_not_tended", error=str(error))
        self._remove_files()
        self._empty_log()
        outgoing = self._outgoing
        self._outgoing = []
        return outgoing, False

    def _remove_files(self) -> None:
        """Remove the bytes of some files that are gone, but none while a
        copy is made that may hold them."""
        if not self._files_gone or not all(b.is_done for b in self._backups):
            return
        try:
            gone = self._connection.execute(
                "SELECT id FROM files_gone LIMIT ?", (_FILES_AT_ONCE,)
            ).fetchall()
            is_more = bool(gone)
            gone = [row for row in gone if not self._files.is_staged(*row)]
            self._files.remove(file_id for (file_id,) in gone)
            if gone:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany(
                    "DELETE FROM files_gone WHERE id = ?", gone
                )
                self._connection.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            log.warning("files_not_removed", error=str(error))
            return
        self._files_gone = is_more

    def _empty_log(self) -> None:
        """Let the log forget what was deleted, every so often.

        `secure_delete` overwrites it in the file itself, but the log
        still has the pages of before until it is emptied.
        """
        if (
            not self._log_holds_gone
            or monotonic() < self._log_emptied + EMPTY_SECONDS
        ):
            return
        holds_gone = self._search.holds_gone
        self._log_emptied = monotonic()
        try:
            (is_busy, *_) = self._connection.execute(
                "PRAGMA wal_checkpoint(TRUNCATE)"
            ).fetchone()
        except sqlite3.Error as error:
            log.warning("store_log_not_emptied", error=str(error))
            return
        self._log_holds_gone = bool(is_busy) or holds_gone

    def feed_delays(self) -> list[float]:
        return []

    def feed_fd(self) -> int | None:
        return self._search.fileno()

    def connections(self) -> tuple[int, int]:
        return 1, int(self._watch.lost is None)

    def indexed_through(self, chat_id: str) -> int:
        """Up to which seq the chat is in the search index."""
        return self._search.through([chat_id])[0]

    def back_up(self, path: Path) -> Backup:
        self._backups = [one for one in self._backups if not one.is_done]
        backup = Backup(self._connection, path, self.epoch, self._files)
        self._backups.append(backup)
        return backup

    def close(self) -> None:
        for backup in self._backups:
            backup.give_up()
        self._search.close()
        self._files.close()
        self._connection.close()


def _key(table: Table[Any], row: Any) -> tuple[Any, ...]:
    key = table.key_of(row)
    return key if len(table.key) > 1 else (key,)


def _chunk_values(chunk: FileChunk) -> tuple[Any, ...]:
    return chunk.file_id, chunk.offset, len(chunk.data)

"""Copying a store while it is served, and putting a copy in place.

SQLite's backup copies pages through the owner's own connection, from a
thread and in small steps; what is written meanwhile goes into the copy as
well. So the copy is of one moment, and holds everything that was
committed before it was begun. The bytes of files, which lie beside the
store, are put into the copy, so that it is one file.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Final

from zchat.errors import StoreError, StoreUnusable
from zchat.storage.base import Copied
from zchat.storage.sql import migrations
from zchat.storage.sqlite.files import FileFolder
from zchat.storage.sqlite.indexer import remove_index

PAGES_A_STEP: Final = 32
PAUSE_SECONDS: Final = 0.001
LOCKED_SECONDS: Final = 0.0005
FLUSH_PAGES: Final = 1_024
"""So many pages are on the disk before the next ones are written."""
INDEX_SUFFIX: Final = "-search"
_IN_USE: Final = (
    "{path} is in use by a running broker. Stop it, or copy it through its "
    "operator socket."
)


class Backup:
    """A copy under way; `result` says what became of it.

    The copy has its name when it is whole, and never before. The
    connection is used from a thread of its own.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        epoch: str,
        files: FileFolder,
    ) -> None:
        if path.exists():
            raise StoreUnusable(f"{path} exists already. Choose another name.")
        self._source = connection
        self._files = files
        self._path = path
        self._half = path.with_name(f".{path.name}.{os.getpid()}")
        self._epoch = epoch
        self._bytes = 0
        self._error: Exception | None = None
        self._given_up = False
        try:
            make_file(self._half)
        except OSError as error:
            raise StoreUnusable(
                f"{path} cannot be written: {error.strerror}."
            ) from error
        self._thread = Thread(target=self._run, name="zchat-backup")
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether `result` would not wait."""
        return not self._thread.is_alive()

    def result(self) -> Copied:
        """Wait for the end. Raises StoreError where it failed."""
        self._thread.join()
        if self._error is not None:
            raise StoreError(
                f"{self._path} cannot be written: {self._error}."
            ) from self._error
        return Copied(self._bytes, self._epoch)

    def give_up(self) -> None:
        """End it, and leave nothing behind."""
        self._given_up = True
        self._thread.join()

    def _run(self) -> None:
        try:
            self._copy()
            os.link(self._half, self._path)
            sync_folder(self._path.parent)
        except Exception as error:
            self._error = error
        finally:
            with suppress(OSError):
                self._half.unlink()

    def _copy(self) -> None:
        """Write the copy; it is durable in the end.

        Its own journal would be of no use: half a copy is thrown away.
        """
        with closing(sqlite3.connect(self._half, isolation_level=None)) as to:
            to.execute("PRAGMA journal_mode = OFF")
            to.execute("PRAGMA synchronous = OFF")
            to.execute("PRAGMA cache_size = 64")
            self._source.backup(
                to,
                pages=PAGES_A_STEP,
                progress=self._pause,
                sleep=LOCKED_SECONDS,
            )
            self._put_in_files(to)
        with closing(sqlite3.connect(self._half, isolation_level=None)) as to:
            to.execute("PRAGMA journal_mode = DELETE")
        self._bytes = sync_file(self._half)

    def _put_in_files(self, to: sqlite3.Connection) -> None:
        """The store keeps their bytes until the copy is done."""
        chunks = to.execute(
            'SELECT file_id, "offset", size FROM file_chunks '
            "WHERE size IS NOT NULL"
        ).fetchall()
        for count, (file_id, offset, size) in enumerate(chunks):
            to.execute(
                "UPDATE file_chunks SET data = ?, size = NULL "
                'WHERE file_id = ? AND "offset" = ?',
                (self._files.read(file_id, offset, size), file_id, offset),
            )
            self._pause(0, 0, count * PAGES_A_STEP)

    def _pause(self, status: int, left: int, total: int) -> None:
        """Between two steps the owner has its turn.

        What was written is flushed bit by bit: a commit of the owner's
        would otherwise wait until all of it is on the disk.
        """
        if self._given_up:
            raise InterruptedError("given up")
        done = total - left
        if done % FLUSH_PAGES < PAGES_A_STEP:
            sync_file(self._half)
        sleep(PAUSE_SECONDS)


def make_file(path: Path) -> None:
    """A new and empty file that is its owner's alone."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def sync_file(path: Path) -> int:
    """What the file holds is on the disk; its size."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """The names in the folder are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_alone(path: Path) -> sqlite3.Connection:
    """The store in a file that no broker uses, as it is.

    Nothing is migrated. Raises StoreUnusable.
    """
    if not path.is_file():
        raise StoreUnusable(f"There is no file {path}.")
    with ExitStack() as undo:
        try:
            store = undo.enter_context(
                closing(
                    sqlite3.connect(
                        path,
                        isolation_level=None,
                        timeout=0.5,
                        check_same_thread=False,
                    )
                )
            )
            store.execute("PRAGMA locking_mode = EXCLUSIVE")
            store.execute("BEGIN IMMEDIATE")
            store.execute("COMMIT")
            (version,) = store.execute("PRAGMA user_version").fetchone()
            (known,) = store.execute(
                "SELECT count(*) FROM sqlite_schema WHERE name = 'meta'"
            ).fetchone()
        except sqlite3.Error as error:
            if "locked" in str(error):
                raise StoreUnusable(_IN_USE.format(path=path)) from error
            raise StoreUnusable(
                f"{path} cannot be read as a store: {error}."
            ) from error
        newest = migrations("sqlite")[-1].number
        if not known or not version:
            raise StoreUnusable(f"{path} is no store of zchat's.")
        if version > newest:
            raise StoreUnusable(
                f"{path} was written by a newer zchat (schema {version}, "
                f"this one knows {newest}). Upgrade zchat."
            )
        undo.pop_all()
        return store


def back_up(path: Path, copy: Path) -> Copied:
    """Copy a store that no broker uses. Raises StoreError."""
    with closing(open_alone(path)) as store:
        (epoch,) = store.execute(
            "SELECT value FROM meta WHERE name = 'epoch'"
        ).fetchone()
        return Backup(store, copy, epoch, FileFolder(path)).result()


def restore(
    copy: Path, path: Path, new_id: Callable[[], str], force: bool
) -> Copied:
    """Put a copy in place as the store at `path`, with a new epoch.

    The caller has checked the copy. With `force` a store that is there
    is replaced, at once or not at all; one that a broker uses is not.
    Raises StoreError.
    """
    if path.exists():
        if not force:
            raise StoreUnusable(
                f"{path} exists already. Choose another name, or replace it "
                "with --force."
            )
        if path.stat().st_size:
            # Its log is written back, so that one file is all of it.
            open_alone(path).close()
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        make_file(half)
        try:
            with closing(open_alone(copy)) as source:
                epoch = _copy_as_new(source, half, new_id)
            size = sync_file(half)
            remove_index(path.with_name(path.name + INDEX_SUFFIX))
            half.replace(path)
            sync_folder(path.parent)
            shutil.rmtree(FileFolder(path).folder, ignore_errors=True)
        finally:
            half.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path} cannot be written: {error}.") from error
    return Copied(size, epoch)


def _copy_as_new(
    source: sqlite3.Connection, half: Path, new_id: Callable[[], str]
) -> str:
    """Copy the pages, and give the copy its own history."""
    epoch = new_id()
    place = half.stat()
    with closing(sqlite3.connect(half, isolation_level=None)) as to:
        source.backup(to)
        to.execute("PRAGMA journal_mode = DELETE")
        to.executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)",
            (
                ("epoch", epoch),
                ("file", f"{place.st_dev}:{place.st_ino}"),
            ),
        )
    return epoch

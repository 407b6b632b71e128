"""The bytes of uploaded files, in a folder beside the store.

A chunk is written at its offset by a thread and is on the disk before the
batch commits that counts it: mostly before that batch begins (`stage`);
for others the commit waits (`begin_write`, `finish`). What was written
and never counted lies behind what its file has received, or in a file
that the store does not know: it is written over, or removed at the next
start. The store keeps a
row for each chunk, with its size; a chunk of an earlier version, or of a
restored backup, stands in the row itself.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

SUFFIX: Final = "-files"
WRITERS: Final = 4
MOST_STAGED: Final = 64
"""So many chunks go ahead of their batches; for others, commits wait."""


class _Staged(NamedTuple):
    """A chunk that goes ahead of its batch."""

    owner: object
    offset: int
    data: bytes
    future: Future[None]

    def is_written(self, offset: int, data: bytes) -> bool:
        """Wait for the end; whether these bytes are on the disk."""
        wait([self.future])
        return (
            offset == self.offset
            and data is self.data
            and self.future.exception() is None
        )


class FileFolder:
    """The folder of the store at `path`; it is made when it is needed.

    Raises OSError throughout.
    """

    def __init__(self, path: Path) -> None:
        self.folder = path.with_name(path.name + SUFFIX)
        self._pool: ThreadPoolExecutor | None = None
        self._writes: list[Future[None]] = []
        self._staged: dict[str, _Staged] = {}

    def _path(self, file_id: str) -> Path:
        return self.folder / file_id[-2:] / file_id

    def begin_write(self, file_id: str, offset: int, data: bytes) -> None:
        """Write a chunk in a thread; `finish` waits for it."""
        staged = self._staged.get(file_id)
        if staged is None or not staged.is_written(offset, data):
            self._writes.append(self._submit(file_id, offset, data))

    def _submit(self, file_id: str, offset: int, data: bytes) -> Future[None]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(WRITERS, "zchat-files")
        return self._pool.submit(self._write, file_id, offset, data)

    def stage(
        self, owner: object, file_id: str, offset: int, data: bytes
    ) -> Future[None] | None:
        """Write a chunk ahead of its batch, one of a file at a time.

        None: the owner need not wait any more, or not at all; it is
        given to `begin_write` in any case.
        """
        staged = self._staged.get(file_id)
        if staged is None:
            if len(self._staged) >= MOST_STAGED:
                return None
            future = self._submit(file_id, offset, data)
            self._staged[file_id] = _Staged(owner, offset, data, future)
            return future
        if staged.owner is not owner or staged.future.done():
            return None
        return staged.future

    def unstage(self, owner: object) -> None:
        """What the owner staged is counted, or never will be.

        A chunk that is still being written is waited for, or it might
        be written over the next one.
        """
        for file_id, staged in list(self._staged.items()):
            if staged.owner is owner:
                wait([staged.future])
                del self._staged[file_id]

    def is_staged(self, file_id: str) -> bool:
        """Whether a chunk of the file goes ahead."""
        return file_id in self._staged

    def finish(self) -> None:
        """All that was begun is on the disk."""
        writes, self._writes = self._writes, []
        for write in writes:
            write.result()

    def give_up(self) -> None:
        """What was begun is not wanted any more."""
        writes, self._writes = self._writes, []
        for write in writes:
            with suppress(OSError):
                write.result()

    def _write(self, file_id: str, offset: int, data: bytes) -> None:
        path = self._path(file_id)
        is_new = False
        try:
            descriptor = os.open(path, os.O_WRONLY)
        except FileNotFoundError:
            is_new = True
            for folder in (self.folder, path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            view = memoryview(data)
            while view:
                written = os.pwrite(descriptor, view, offset)
                view, offset = view[written:], offset + written
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            for folder in (path.parent, self.folder, self.folder.parent):
                _sync(folder)

    def read(self, file_id: str, offset: int, size: int) -> bytes:
        """So many bytes of a file. Fewer are an OSError, too."""
        descriptor = os.open(self._path(file_id), os.O_RDONLY)
        try:
            data = os.pread(descriptor, size, offset)
        finally:
            os.close(descriptor)
        if len(data) != size:
            raise OSError(f"{self._path(file_id)} is too short")
        return data

    def remove(self, file_ids: Iterable[str]) -> None:
        """Remove files, where they are there."""
        for file_id in file_ids:
            self._path(file_id).unlink(missing_ok=True)

    def remove_others(self, is_known: Callable[[str], bool]) -> None:
        """Remove the files that the store does not know."""
        for path in list(self.folder.glob("*/*")):
            if not is_known(path.name):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

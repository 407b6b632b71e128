"""The bytes of uploaded files, in a folder beside the store.

A chunk is written at its offset by a thread and is on the disk before the
batch commits that counts it. What a batch wrote that never committed lies
behind what its file has received, or in a file that the store does not
know: it is written over, or removed at the next start. The store keeps a
row for each chunk, with its size; a chunk of an earlier version, or of a
restored backup, stands in the row itself.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

SUFFIX: Final = "-files"
WRITERS: Final = 8


class FileFolder:
    """The folder of the store at `path`; it is made when it is needed.

    Raises OSError throughout.
    """

    def __init__(self, path: Path) -> None:
        self.folder = path.with_name(path.name + SUFFIX)
        self._pool: ThreadPoolExecutor | None = None
        self._writes: list[Future[None]] = []

    def _path(self, file_id: str) -> Path:
        return self.folder / file_id[-2:] / file_id

    def begin_write(self, file_id: str, offset: int, data: bytes) -> None:
        """Write a chunk in a thread; `finish` waits for it."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(WRITERS, "zchat-files")
        self._writes.append(
            self._pool.submit(self._write, file_id, offset, data)
        )

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
        is_new = not path.exists()
        if is_new:
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

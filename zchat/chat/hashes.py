"""The running hashes of uploads, so that no file is read twice."""

from hashlib import sha256
from typing import Any


class Hashes:
    """SHA-256 of what uploads have received so far, in memory.

    At most `most` are kept; one that is gone is made anew from the
    chunks in the store.
    """

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._running: dict[str, tuple[int, Any]] = {}

    def at(self, file_id: str, offset: int) -> Any | None:
        """A copy of the hash of the first `offset` bytes, if known."""
        if offset == 0:
            return sha256()
        known = self._running.get(file_id)
        if known is None or known[0] != offset:
            return None
        return known[1].copy()

    def keep(self, file_id: str, offset: int, digest: Any) -> None:
        """The hash of the first `offset` bytes of the file."""
        self._running.pop(file_id, None)
        self._running[file_id] = offset, digest
        if len(self._running) > self._most:
            del self._running[next(iter(self._running))]

    def forget(self, file_id: str) -> None:
        """The file is complete, or gone."""
        self._running.pop(file_id, None)

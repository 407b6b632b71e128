"""Whether the open file is still the store at its path.

A file that is removed or replaced lives on for who has it open, and
everything written to it is lost in the end. So the path is compared with
what was opened, several times a second. The main file cannot be put back
from here; a log that is missing can, since all of it is still readable.
"""

import os
from pathlib import Path
from time import monotonic
from typing import Final

from zchat.errors import StoreUnusable

LOOK_SECONDS: Final = 0.25
LOG_SUFFIX: Final = "-wal"
LEFT_BESIDE: Final = ("-wal", "-files", "-search")
"""Files that a store lays beside itself, and leaves there."""


def identity(path: str | Path) -> tuple[int, int] | None:
    """What tells a file from others, or None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def require_a_place(path: Path) -> None:
    """A store may be opened, or made, there.

    Raises StoreUnusable where the folder is missing, where either must
    not be written, or where the store is missing and something shows
    that there was one: an empty one in its place would hide that
    everything is gone.
    """
    if not path.parent.is_dir():
        raise StoreUnusable(
            f"{path} cannot be used as a store: there is no folder "
            f"{path.parent}. Create it, or choose another --store."
        )
    for place in (path, path.parent):
        if place.exists() and not os.access(place, os.W_OK):
            raise StoreUnusable(
                f"{place} cannot be written by this user. Let it write the "
                "store and its folder, or give another --store."
            )
    if path.exists() and (not path.is_file() or path.stat().st_size):
        return
    left = [
        f"{path}{suffix}"
        for suffix in LEFT_BESIDE
        if Path(f"{path}{suffix}").exists()
    ]
    if left:
        raise StoreUnusable(
            f"There was a store at {path}, and it is gone: {left[0]} is "
            "still there. Put it back, or remove what is left to begin a "
            "new one."
        )


class FileWatch:
    """Compares the files at a store's path with the open ones."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._log = self._path + LOG_SUFFIX
        self._store_identity = identity(self._path)
        self._log_identity = identity(self._log)
        self._look_at = 0.0
        self.lost: str | None = None
        """What is wrong, as it was when it was last looked."""
        self.is_log_alone_missing = False

    def look(self) -> str | None:
        """What is wrong, if anything; looks several times a second."""
        now = monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._compare()
        return self.lost

    def log_renewed(self) -> None:
        """The log was begun again."""
        self._log_identity = identity(self._log)
        self._compare()

    def _compare(self) -> None:
        log = identity(self._log)
        store = identity(self._path)
        self.is_log_alone_missing = (
            log is None and store == self._store_identity
        )
        if store is None:
            self.lost = f"{self._path} was removed"
        elif store != self._store_identity:
            self.lost = f"{self._path} was replaced"
        elif log is None:
            self.lost = f"{self._log} was removed"
        elif log != self._log_identity:
            self.lost = f"{self._log} was replaced"
        else:
            self.lost = None

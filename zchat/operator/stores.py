"""`zchat backup`, `restore` and `check`: a store at rest."""

from pathlib import Path
from uuid import uuid4

from zchat.errors import StoreUnusable
from zchat.storage import URL_PREFIXES
from zchat.storage.base import POSTGRES_TOOLS, Copied
from zchat.storage.sqlite import backup
from zchat.storage.sqlite.check import Checked, check


def _file(store: str) -> Path:
    """The file of an SQLite store; for others StoreUnusable says what
    does the same."""
    if store.startswith(URL_PREFIXES):
        raise StoreUnusable(POSTGRES_TOOLS)
    return Path(store)


def back_up_store(store: str, copy: Path) -> Copied:
    """Copy a store that no broker uses into a new file.

    Raises StoreError.
    """
    return backup.back_up(_file(store), copy)


def check_store(store: str) -> Checked:
    """What is in a store that no broker uses, and what is wrong with it.

    Raises StoreUnusable.
    """
    return check(_file(store))


def restore_store(copy: Path, store: str, force: bool) -> Copied:
    """Put a sound copy in place as a store with a new epoch.

    Raises StoreError, also where the copy is not sound.
    """
    path = _file(store)
    faults = check(copy).faults
    if faults:
        raise StoreUnusable(
            f"{copy} is not sound: {faults[0]}. Run `zchat check {copy}`."
        )
    return backup.restore(copy, path, lambda: str(uuid4()), force)

"""`zchat backup`, `restore` and `check`."""

import socket as sockets
from pathlib import Path
from typing import Final
from uuid import uuid4

from zchat.errors import StoreUnusable
from zchat.operator.caller import OperatorCaller
from zchat.storage import URL_PREFIXES
from zchat.storage.base import POSTGRES_TOOLS, Copied
from zchat.storage.sqlite import backup
from zchat.storage.sqlite.check import Checked, check

COPY_SECONDS: Final = 3_600.0


def _file(store: str) -> Path:
    """The file of an SQLite store; for others StoreUnusable says what
    does the same."""
    if store.startswith(URL_PREFIXES):
        raise StoreUnusable(POSTGRES_TOOLS)
    return Path(store)


def back_up_store(store: str, copy: Path, socket: str | None = None) -> Copied:
    """Copy a store into a new file: by its broker, if that is running.

    Raises StoreError; Refused or NoAnswer, where the broker does.
    """
    if socket is None or not _is_served(socket):
        return backup.back_up(_file(store), copy)
    with OperatorCaller(socket, COPY_SECONDS) as caller:
        copied = caller.call("backup", path=str(copy.absolute()))
    return Copied(copied["bytes"], copied["epoch"])


def _is_served(path: str) -> bool:
    """Whether a program listens on the socket."""
    with sockets.socket(sockets.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


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

"""The server's CURVE key, and the keys that it lets in."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
import zmq

from zchat.certificates import (
    CLIENTS,
    PUBLIC_SUFFIX,
    SECRET_SUFFIX,
    SERVER,
    CurveKeys,
    read_certificate,
    read_pair,
)
from zchat.errors import ConfigError

REREAD_SECONDS: Final = 1.0
LARGEST_FOLDER: Final = 100_000

log = structlog.get_logger()


class Keyring:
    """The server's key, and the public keys that it lets in.

    `clients/` is read again where it has changed, a second late at the
    most. A file in it that holds no key is passed over; a folder that
    cannot be read lets nobody in. With `any_key`, every key is let in.
    Raises ConfigError where the server's own key is not there.
    """

    def __init__(
        self,
        folder: Path,
        any_key: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.public, self.secret = _server_pair(folder)
        self._clients = folder / CLIENTS
        self._any_key = any_key
        self._clock = clock
        self._own: set[bytes] = set()
        self._read_at: float | None = None
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._keys: dict[str, bytes] = {}
        self._allowed: frozenset[bytes] = frozenset()
        if not any_key:
            self._reread()

    def issue(self) -> CurveKeys:
        """A new pair for a program of ours, let in while we run."""
        public, secret = zmq.curve_keypair()
        self._own.add(public)
        return CurveKeys(self.public, public, secret)

    def allows(self, key: bytes) -> bool:
        """Whether a client with this public key (Z85) is let in.

        May raise OSError or ConfigError, which mean no.
        """
        if self._any_key or key in self._own:
            return True
        now = self._clock()
        if self._read_at is None or now >= self._read_at + REREAD_SECONDS:
            self._reread()
            self._read_at = now
        return key in self._allowed

    def _reread(self) -> None:
        """Take in what has changed in the folder."""
        try:
            found = _listed(self._clients)
        except (OSError, ConfigError):
            self._keys, self._seen = {}, {}
            self._allowed = frozenset()
            raise
        for name in self._keys.keys() - found.keys():
            del self._keys[name]
        for name, stamp in found.items():
            if self._seen.get(name) != stamp:
                self._keys.pop(name, None)
                self._read(name)
        self._seen = found
        self._allowed = frozenset(self._keys.values())

    def _read(self, name: str) -> None:
        try:
            self._keys[name] = read_certificate(self._clients / name).public
        except ConfigError as error:
            log.warning("client_key_unreadable", reason=str(error))


def _server_pair(folder: Path) -> tuple[bytes, bytes]:
    path = folder / f"{SERVER}{SECRET_SUFFIX}"
    pair = read_pair(path)
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"others can read {path}; say `chmod 600 {path}`")
    return pair


def _listed(folder: Path) -> dict[str, tuple[int, int, int]]:
    """The public certificates in a folder, and when each was changed."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(PUBLIC_SUFFIX):
                status = entry.stat()
                found[entry.name] = (
                    status.st_ino,
                    status.st_mtime_ns,
                    status.st_size,
                )
                if len(found) > LARGEST_FOLDER:
                    raise ConfigError(
                        f"{folder} holds more than {LARGEST_FOLDER} keys"
                    )
    return found

"""`zchat keygen`: the CURVE certificates of a server and its clients."""

import os
import re
from pathlib import Path
from typing import Final

import zmq

from zchat.certificates import (
    CLIENTS,
    PUBLIC_SUFFIX,
    SECRET_SUFFIX,
    SERVER,
    certificate_text,
)
from zchat.errors import ConfigError

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def make_keys(folder: Path, clients: tuple[str, ...]) -> list[Path]:
    """Make the server's key where there is none, and each client's.

    Returns what was written. An existing file is never written over:
    raises ConfigError then, and for a name that is no file's.
    """
    for name in clients:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r} cannot name a key. Use letters, digits, "
                "`.`, `_` and `-`."
            )
        for suffix in (PUBLIC_SUFFIX, SECRET_SUFFIX):
            path = folder / CLIENTS / f"{name}{suffix}"
            if path.exists():
                raise ConfigError(
                    f"{path} exists already. Choose another name, or "
                    "remove both files of the old key."
                )
    try:
        (folder / CLIENTS).mkdir(mode=0o700, parents=True, exist_ok=True)
        written = []
        if not (folder / f"{SERVER}{SECRET_SUFFIX}").exists():
            written += _write_pair(folder, SERVER)
        for name in clients:
            written += _write_pair(folder / CLIENTS, name)
    except OSError as error:
        raise ConfigError(
            f"{error.filename} cannot be written: {error.strerror}."
        ) from None
    return written


def _write_pair(folder: Path, name: str) -> list[Path]:
    public, secret = zmq.curve_keypair()
    paths = [folder / f"{name}{s}" for s in (SECRET_SUFFIX, PUBLIC_SUFFIX)]
    _write(paths[0], certificate_text(name, public, secret), 0o600)
    _write(paths[1], certificate_text(name, public), 0o644)
    return paths


def _write(path: Path, text: str, mode: int) -> None:
    """A new file, whole under its name or not there at all."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.link(half, path)
    finally:
        half.unlink()

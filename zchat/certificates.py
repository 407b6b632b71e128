"""CURVE certificates: a key pair in a file, in the form of ZPL.

    metadata
        name = "laptop"
    curve
        public-key = "40 characters of Z85"
        secret-key = "40 characters of Z85"

pyzmq's `zmq.auth` and czmq write and read the same (rfc.zeromq.org/4).
"""

import os
import re
import stat
from pathlib import Path
from typing import Final, NamedTuple

from zchat.errors import ConfigError

PUBLIC_SUFFIX: Final = ".key"
SECRET_SUFFIX: Final = ".key_secret"
SERVER: Final = "server"
CLIENTS: Final = "clients"
LARGEST_FILE_BYTES: Final = 16_384
_SECTION: Final = re.compile(r"^(\w+)\s*$")
_ENTRY: Final = re.compile(r"^\s+([\w-]+)\s*=\s*[\"']([^\"']*)[\"']\s*$")
_KEY: Final = re.compile(r"^[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}$(?!\n)")


class Certificate(NamedTuple):
    """A key pair in Z85; `secret` is None where only the public is."""

    public: bytes
    secret: bytes | None


class CurveKeys(NamedTuple):
    """What a client needs: the server's public key and its own pair."""

    server: bytes
    public: bytes
    secret: bytes


def read_certificate(path: Path) -> Certificate:
    """The keys in a file; raises ConfigError, whose text has none."""
    entries = _curve_entries(_text(path))
    public = entries.get("public-key", "")
    secret = entries.get("secret-key")
    if not _KEY.match(public):
        raise ConfigError(
            f"{path} holds no CURVE public key. "
            "Make one with `zchat keygen DIR`."
        )
    if secret is not None and not _KEY.match(secret):
        raise ConfigError(f"{path} holds a damaged secret key.")
    return Certificate(public.encode(), secret.encode() if secret else None)


def read_pair(path: Path) -> tuple[bytes, bytes]:
    """The public and the secret key in a file; raises ConfigError."""
    public, secret = read_certificate(path)
    if secret is None:
        raise ConfigError(
            f"{path} holds the public key only. "
            f"Give the file that ends in {SECRET_SUFFIX}."
        )
    return public, secret


def certificate_text(
    name: str, public: bytes, secret: bytes | None = None
) -> str:
    """The file of a certificate."""
    lines = [
        "#   ZeroMQ CURVE **Secret** Certificate: show it to nobody."
        if secret
        else "#   ZeroMQ CURVE Public Certificate.",
        "",
        "metadata",
        f'    name = "{name}"',
        "curve",
        f'    public-key = "{public.decode()}"',
    ]
    if secret:
        lines.append(f'    secret-key = "{secret.decode()}"')
    return "\n".join([*lines, ""])


def _text(path: Path) -> str:
    """The file's text; a pipe or a device is not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigError(f"{path} is not a file.")
            return file.read(LARGEST_FILE_BYTES).decode()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}."
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not a certificate.") from None


def _curve_entries(text: str) -> dict[str, str]:
    """The values in the section `curve`."""
    section = ""
    entries = {}
    for line in text.splitlines():
        if match := _SECTION.match(line):
            section = match[1]
        elif section == "curve" and (match := _ENTRY.match(line)):
            entries[match[1]] = match[2]
    return entries

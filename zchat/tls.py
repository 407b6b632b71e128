"""The certificate of the HTTP port, read again when its files change.

Certificates are renewed while the server runs. New connections get the
new one within a second or so; whoever is connected keeps the old. Files
that cannot be used (half written, say, or the key of another certificate)
change nothing: the old certificate stays until they can.
"""

import os
import ssl
from pathlib import Path
from typing import Final

import structlog

from zchat.errors import ConfigError

_PROTOCOLS: Final = ["http/1.1"]

log = structlog.get_logger()

Version = tuple[tuple[int, int, int], ...]
"""Of each file: when it changed (ns), its size and its inode."""


class Certificate:
    """A certificate chain and its key, both PEM files.

    Raises ConfigError if they cannot be used at the start.
    """

    def __init__(self, chain: str, key: str) -> None:
        self._chain = Path(chain)
        self._key = Path(key)
        self._version = self._look()
        self.context = self._load(_new_context())

    def refresh(self) -> None:
        """Read the files again if they are others; to be called often."""
        try:
            version = self._look()
            if version == self._version:
                return
            self._version = version
            # Tried apart: half of a pair would stay in the real one.
            self._load(_new_context())
            self._load(self.context)
        except ConfigError as error:
            log.error("certificate_kept", reason=str(error))
        else:
            log.info("certificate_loaded", chain=str(self._chain))

    def _look(self) -> Version:
        try:
            found = [os.stat(path) for path in (self._chain, self._key)]
        except OSError as error:
            raise ConfigError(
                f"{error.filename}: {error.strerror}. Give --tls-cert and "
                "--tls-key files that can be read"
            ) from None
        return tuple(
            (one.st_mtime_ns, one.st_size, one.st_ino) for one in found
        )

    def _load(self, context: ssl.SSLContext) -> ssl.SSLContext:
        try:
            context.load_cert_chain(self._chain, self._key, password=_none)
        except ssl.SSLError as error:
            raise ConfigError(
                f"{self._chain} and {self._key} are not a certificate and "
                f"its key ({error.reason or 'not PEM'}). Give PEM files that "
                "belong together, the key without a password"
            ) from None
        except OSError as error:
            raise ConfigError(
                f"cannot read {self._chain} or {self._key}: {error.strerror}. "
                "Give --tls-cert and --tls-key files that can be read"
            ) from None
        return context


def _none() -> str:
    """No password, rather than a question on the terminal."""
    return ""


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_PROTOCOLS)
    return context


def certificate(chain: str | None, key: str | None) -> Certificate | None:
    """The certificate that was set, if one was; raises ConfigError."""
    if chain is None or key is None:
        return None
    return Certificate(chain, key)

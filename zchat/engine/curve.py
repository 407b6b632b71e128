"""Who may shake hands: CURVE on both sockets, and the ZAP handler.

libzmq asks a socket at `inproc://zeromq.zap.01` about each key
(rfc.zeromq.org/27). Without an answer it lets everybody in, unless the
domain is enforced; so the sockets enforce it, the handler listens
before they bind, and whatever goes wrong in a check is a refusal.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog
import zmq
from zmq.utils import z85

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

ENDPOINT: Final = "inproc://zeromq.zap.01"
DOMAIN: Final = b"zchat"
REREAD_SECONDS: Final = 1.0
LARGEST_FOLDER: Final = 100_000
_LOG_SECONDS: Final = 1.0
_VERSION: Final = b"1.0"
_FRAMES: Final = 7

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


class ZapHandler:
    """Answers libzmq's questions on a thread of its own.

    It listens when the constructor returns. Its context must be the one
    of the sockets that it guards, and must outlive `close`.
    """

    def __init__(
        self, ctx: "zmq.Context[Any]", allows: Callable[[bytes], bool]
    ) -> None:
        self._allows = allows
        self._refused = 0
        self._log_at = 0.0
        self._socket: Any = ctx.socket(zmq.REP)
        self._socket.linger = 0
        self._socket.bind(ENDPOINT)
        self._ending: Any = ctx.socket(zmq.PAIR)
        self._ending.bind(f"inproc://zap-ending-{id(self)}")
        self._end: Any = ctx.socket(zmq.PAIR)
        self._end.connect(f"inproc://zap-ending-{id(self)}")
        self._thread = threading.Thread(
            target=self._serve, name="zap", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End the thread; from now on nobody is let in."""
        self._end.send(b"")
        self._thread.join()
        for socket in (self._end, self._ending, self._socket):
            socket.close(0)

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._ending, zmq.POLLIN)
        while self._ending not in dict(poller.poll()):
            question = self._socket.recv_multipart()
            self._socket.send_multipart(self._answer(question))

    def _answer(self, question: list[bytes]) -> list[bytes]:
        """The answer to one question; anything amiss is a refusal."""
        number = question[1] if len(question) > 1 else b""
        try:
            status, text = self._judge(question)
        except Exception as error:
            log.error("curve_check_failed", reason=type(error).__name__)
            status, text = b"500", b"The check failed"
        if status != b"200":
            self._note_refusal(question)
        return [_VERSION, number, status, text, b"", b""]

    def _judge(self, question: list[bytes]) -> tuple[bytes, bytes]:
        if len(question) != _FRAMES or question[0] != _VERSION:
            return b"400", b"Not a question"
        domain, mechanism, key = question[2], question[5], question[6]
        if domain != DOMAIN or mechanism != b"CURVE":
            return b"400", b"Only CURVE"
        if self._allows(z85.encode(key)):
            return b"200", b"OK"
        return b"400", b"Unknown key"

    def _note_refusal(self, question: list[bytes]) -> None:
        """Log refusals, at most once a second."""
        self._refused += 1
        now = time.monotonic()
        if now < self._log_at:
            return
        self._log_at = now + _LOG_SECONDS
        address = b"".join(question[3:4]).decode(errors="replace")[:64]
        log.info("curve_refused", address=address, count=self._refused)
        self._refused = 0


def encrypt(socket: Any, secret: bytes) -> None:
    """Let a socket serve CURVE alone; to be called before it binds."""
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
    socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

"""The gateway as a child process: started, watched, started again."""

import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

import structlog

from zchat.certificates import CurveKeys
from zchat.config import (
    BROKER_SOCKET,
    GATEWAY_KEYS,
    HTTP_SOCKET,
    Settings,
    arguments,
)
from zchat.errors import AddressInUse, ConfigError
from zchat.listening import tcp_listener
from zchat.tls import certificate

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 10.0
"""Who ran so long had started well: the pause after it is the first."""
STOP_SECONDS: Final = 5.0

log = structlog.get_logger()


class Pauses:
    """How long to wait before each start of what keeps ending."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE_SECONDS

    def after(self, ran_seconds: float) -> float:
        """Seconds to wait; they double while it keeps ending soon."""
        if ran_seconds >= STEADY_SECONDS:
            self._next = FIRST_PAUSE_SECONDS
        pause = self._next
        self._next = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return pause


class GatewayProcess:
    """One gateway process; a dead one is started again after a pause.

    The pause doubles while it keeps dying soon. The child sees the end
    of its standard input when this process is gone, and stops. The
    listening socket is this process's, so connections wait in it while
    there is no child. `connect` gives each child its end of a stream to
    the broker, `keys` are its own for an encrypted broker.
    Raises ConfigError where the address is taken.
    """

    def __init__(
        self,
        settings: Settings,
        connect: Callable[[], socket.socket],
        keys: CurveKeys | None = None,
    ) -> None:
        self._connect = connect
        self._keys = keys
        certificate(settings.tls_cert, settings.tls_key)
        self._listener = _listening(settings.host, settings.port)
        self._command = [
            sys.executable,
            "-m",
            "zchat",
            "gateway",
            *arguments(settings, "gateway"),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._pauses = Pauses()
        self._started = 0.0
        self._start_at = 0.0
        self._stop_by = 0.0

    def watch(self) -> None:
        """Start the child if it is not running and its pause is over."""
        now = time.monotonic()
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return
            self._ended(status, now)
        if now >= self._start_at:
            self._start(now)

    def _start(self, now: float) -> None:
        self._started = now
        listener = self._listener.fileno()
        try:
            with self._connect() as stream:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    pass_fds=(listener, stream.fileno()),
                    env=os.environ | self._told(listener, stream.fileno()),
                )
        except OSError as error:
            pause = self._put_off(now)
            log.error(
                "gateway_cannot_start", reason=str(error), again_in=pause
            )
            return
        log.info("gateway_started", pid=self._process.pid)

    def _told(self, listener: int, stream: int) -> dict[str, str]:
        """What no command line may show, or can."""
        told = {HTTP_SOCKET: str(listener), BROKER_SOCKET: str(stream)}
        if self._keys is not None:
            told[GATEWAY_KEYS] = b" ".join(self._keys).decode()
        return told

    def _ended(self, status: int, now: float) -> None:
        """Note that it died, and when to start another."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process = None
        pause = self._put_off(now)
        log.error("gateway_died", status=status, again_in=pause)

    def _put_off(self, now: float) -> float:
        """Start another after a pause, whose seconds are returned."""
        pause = self._pauses.after(now - self._started)
        self._start_at = now + pause
        return pause

    def ask_to_stop(self) -> None:
        """Take no more connections, and finish what is in flight."""
        self._stop_by = time.monotonic() + STOP_SECONDS
        self._listener.close()
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.terminate()

    def stopping(self) -> bool:
        """Whether it still finishes what is in flight."""
        return (
            self._process is not None
            and self._process.poll() is None
            and time.monotonic() < self._stop_by
        )

    def close(self) -> None:
        """It is gone for sure when this returns."""
        if self._stop_by == 0.0:
            self.ask_to_stop()
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, self._stop_by - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        log.info("gateway_stopped", status=self._process.returncode)


def _listening(host: str, port: int) -> socket.socket:
    try:
        return tcp_listener(host, port)
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        kind = AddressInUse if in_use else ConfigError
        raise kind(
            f"cannot listen on {host}:{port}: "
            f"{os.strerror(error.errno or 0)}. Stop what is there, or "
            "choose another --port"
        ) from None

"""The gateway as a child process: started, watched, started again."""

import subprocess
import sys
import time
from typing import Final

import structlog

from zchat.config import Settings, arguments

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 5.0

log = structlog.get_logger()


class GatewayChild:
    """One gateway process; a dead one is started again after a pause.

    The pause doubles while it keeps dying soon. The child sees the end
    of its standard input when this process is gone, and stops.
    """

    def __init__(self, settings: Settings) -> None:
        self._command = [
            sys.executable, "-m", "zchat", "gateway",
            *arguments(settings, "gateway")]
        self._process: subprocess.Popen[bytes] | None = None
        self._pause = FIRST_PAUSE_SECONDS
        self._started = 0.0
        self._start_at = 0.0

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
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE)
        log.info("gateway_started", pid=self._process.pid)

    def _ended(self, status: int, now: float) -> None:
        """Note that it died, and when to start another."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process = None
        if now - self._started > STEADY_SECONDS:
            self._pause = FIRST_PAUSE_SECONDS
        log.error("gateway_died", status=status, again_in=self._pause)
        self._start_at = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def stop(self) -> None:
        """Let it finish what is in flight; then it is gone for sure."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.info("gateway_stopped", status=process.returncode)

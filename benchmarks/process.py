"""The processes under measure: start, stop, CPU and memory."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Process:
    """A server in a process of its own, with its children."""

    def __init__(self, popen: "subprocess.Popen[bytes]") -> None:
        self._popen = popen
        self.pid = popen.pid

    def cpu_seconds(self) -> float:
        """User and system time so far, of all threads and children."""
        return family_cpu_seconds(self.pid)

    def memory_bytes(self) -> int:
        """Resident memory now, children included."""
        return sum(_resident_bytes(pid) for pid in _family(self.pid))

    def ended(self) -> bool:
        """Whether it is gone."""
        return self._popen.poll() is not None

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, and wait until it is gone."""
        if self.ended():
            return
        self._popen.send_signal(number)
        try:
            self._popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


def family_cpu_seconds(pid: int) -> float:
    """User and system time so far of a process and its children."""
    return sum(_cpu_seconds(member) for member in _family(pid))


def _family(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    children = [
        int(child)
        for task in tasks.iterdir()
        for child in (task / "children").read_text().split()
    ]
    return [pid, *children]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


@contextmanager
def running(
    command: Sequence[str],
    ready: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """Run a command until the block ends; it begins once `ready`.

    What the process prints goes to a file that is shown if it dies.
    """
    with tempfile.TemporaryFile() as output:
        popen = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
        )
        process = Process(popen)
        try:
            _wait_until(ready, process, output.fileno())
            yield process
        finally:
            process.stop()


def _wait_until(
    ready: Callable[[], bool], process: Process, output: int
) -> None:
    ends = time.monotonic() + START_SECONDS
    while not ready():
        if process.ended() or time.monotonic() > ends:
            said = os.pread(output, 4000, 0).decode(errors="replace")
            raise RuntimeError(f"a server did not start: {said}")
        time.sleep(0.02)


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this Python."""
    return [sys.executable, "-m", module, *arguments]


def listens(port: int) -> Callable[[], bool]:
    """Tells whether something accepts connections on a local port."""

    def ready() -> bool:
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", port), 1),
        ):
            return True
        return False

    return ready


def free_port(gather: int = 3) -> int:
    """The first of so many free local ports in a row."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
        if port + gather < 65_536 and all(
            _free(port + offset) for offset in range(gather)
        ):
            return port


def _free(port: int) -> bool:
    with socket.socket() as candidate:
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

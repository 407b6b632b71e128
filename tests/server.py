"""The real program in a folder of its own: started, stopped, killed."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

START_SECONDS = 20.0
STOP_SECONDS = 15.0
PROGRAM = (sys.executable, "-m", "zchat", "serve")
PROJECT = Path(__file__).resolve().parent.parent


def environment() -> dict[str, str]:
    """This process's, but for settings of zchat and with the project."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ZCHAT_")
    }
    return kept | {"PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "error"}


class Log:
    """What a program writes to its standard error, as it comes.

    An event is a line of `--log-json`; any other line is kept too.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._ended = False
        self._news = threading.Condition()

    def follow(self, stream: IO[str]) -> None:
        """Read to the end."""
        for line in stream:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.lines)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of that name."""
        return [
            event
            for event in map(_event, list(self.lines))
            if event.get("event") == name
        ]

    def wait_for(
        self, name: str, count: int = 1, seconds: float = START_SECONDS
    ) -> dict[str, Any]:
        """Wait until there are so many events of that name; the last."""
        with self._news:
            self._news.wait_for(
                lambda: self._ended or len(self.events(name)) >= count, seconds
            )
        found = self.events(name)
        assert len(found) >= count, (
            f"no {name} in the log:\n{self.text[-2000:]}"
        )
        return found[-1]


def _event(line: str) -> dict[str, Any]:
    if not line.startswith("{"):
        return {}
    event: dict[str, Any] = json.loads(line)
    return event


class Server:
    """`zchat serve` on three free ports.

    The store is `zchat.db` in `folder`, where it also runs; `flags` are
    added to the command line. HTTP is off unless asked for.
    """

    def __init__(
        self, folder: Path, port: int, *flags: str, http: bool = False
    ) -> None:
        self.folder = folder
        self.port = port
        self.rpc = f"tcp://127.0.0.1:{port + 1}"
        self.events = f"tcp://127.0.0.1:{port + 2}"
        self.flags = [
            "--port",
            str(port),
            "--log-json",
            *([] if http else ["--no-http"]),
            *flags,
        ]
        self.environment = environment()
        self.wrapper: tuple[str, ...] = ()
        """A command that the program is an argument of."""
        self.log = Log()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    @property
    def store(self) -> Path:
        """The file of the store."""
        return self.folder / "zchat.db"

    def launch(self) -> None:
        """Start it and do not wait; its log begins anew."""
        self.log = Log()
        with (self.folder / "stdout").open("w") as stdout:
            self._process = subprocess.Popen(
                [*self.wrapper, *PROGRAM, *self.flags],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
            )
        self._reader = threading.Thread(
            target=self.log.follow, args=(self._process.stderr,)
        )
        self._reader.start()

    def start(self, *more_flags: str) -> "Server":
        """Start it and wait until it serves."""
        self.flags += more_flags
        self.launch()
        self.log.wait_for("started")
        return self

    def send_signal(self, number: int) -> None:
        """Send a signal to this one process."""
        os.kill(self.pid, number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for its end; the exit status, negative for a signal."""
        assert self._process is not None
        assert self._reader is not None
        assert self._process.stderr is not None
        status = self._process.wait(seconds)
        self._reader.join()
        self._process.stderr.close()
        self._process = None
        return status

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it with a signal; the exit status."""
        self.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""
        self.stop(signal.SIGKILL)

    def limit(self, what: int, most: int) -> Callable[[], None]:
        """Limit a resource from now on; call what is returned to undo."""
        before = resource.prlimit(self.pid, what)
        resource.prlimit(self.pid, what, (most, before[1]))
        return lambda: _restore(self.pid, what, before)

    def close(self) -> None:
        """Make sure that it is gone."""
        if self._process is not None:
            self.kill()


def _restore(pid: int, what: int, limits: tuple[int, int]) -> None:
    resource.prlimit(pid, what, limits)


@contextmanager
def running(
    folder: Path, port: int, *flags: str, http: bool = False
) -> Iterator[Server]:
    """A server that serves, and is gone afterwards."""
    server = Server(folder, port, *flags, http=http)
    try:
        yield server.start()
    finally:
        server.close()

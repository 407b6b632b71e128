"""Runs an adapter of a client library through the cases, and tells the result.

The adapter is a program in any language. It gets the RPC endpoint as its last
argument, connects as a new user without a name, and from then on

- prints a line of JSON for each message that the library delivers, and again
  when the library says that it changed:
  `{"chat_id": …, "seq": …, "text": …}`;
- sends each line of its standard input to the common chat;
- ends when its standard input ends.
"""

import json
import queue
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Any, Final, NamedTuple

from zchat.conformance.server import ScriptedServer

_END_SECONDS: Final = 5.0


class Failed(Exception):
    """The library did not do what the case expects; says what."""


class Delivered(NamedTuple):
    """What the adapter printed of a message."""

    chat_id: str
    seq: int
    text: str


class Pace(NamedTuple):
    """How long to wait for what must come, and for what must not."""

    patience_seconds: float = 20.0
    quiet_seconds: float = 1.0


class Stage:
    """A server and an adapter that talks to it."""

    def __init__(
        self,
        server: ScriptedServer,
        adapter: "Adapter",
        pace: Pace,
    ) -> None:
        self.server = server
        self.adapter = adapter
        self._pace = pace
        self.delivered: list[Delivered] = []

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Serve until it holds; raises Failed if it does not in time."""

        def holds() -> object:
            self._take_lines()
            return condition() or self.server.faults

        seconds = self._pace.patience_seconds
        if not self.server.serve(holds, seconds):
            raise Failed(f"in {seconds:g} s: {what}")
        if self.server.faults:
            raise Failed(self.server.faults[0])

    def expect(self, *wanted: tuple[str, int, str]) -> None:
        """Just these are delivered next, in each chat in this order."""
        start = len(self.delivered)
        self.until(
            lambda: len(self.delivered) >= start + len(wanted),
            "the messages are delivered: "
            + ", ".join(f"#{seq} {text!r}" for _, seq, text in wanted),
        )
        self.rest()
        self._take_lines()
        came = self.delivered[start:]
        for chat_id in {chat_id for chat_id, *_ in wanted}:
            expected = [one for one in wanted if one[0] == chat_id]
            found = [tuple(one) for one in came if one.chat_id == chat_id]
            if found != expected:
                raise Failed(f"delivered {found}, not {expected}")
        if len(came) > len(wanted):
            raise Failed(f"delivered {came[len(wanted) :]} besides")

    def rest(self) -> None:
        """Serve for a while, so that what should not come can come."""
        self.server.serve_for(self._pace.quiet_seconds)

    def listening(self) -> None:
        """Wait until the adapter has subscribed and is caught up."""
        self.until(
            lambda: self.server.barriers and self.server.asked_for("sync"),
            "the client subscribes to a barrier and calls sync",
        )
        self.rest()

    def _take_lines(self) -> None:
        for line in self.adapter.lines():
            try:
                known = json.loads(line)
                self.delivered.append(
                    Delivered(known["chat_id"], known["seq"], known["text"])
                )
            except (ValueError, TypeError, KeyError):
                raise Failed(
                    f"the adapter printed {line!r}, which is no message"
                ) from None


class Adapter:
    """The program that is tried."""

    def __init__(self, command: Sequence[str], endpoint: str) -> None:
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [*command, endpoint],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(
            target=self._follow, args=(self._process.stdout,), daemon=True
        )
        self._thread.start()

    def _follow(self, stream: IO[str]) -> None:
        for line in stream:
            self._lines.put(line)

    def lines(self) -> list[str]:
        """What was printed since the last look."""
        found = []
        with suppress(queue.Empty):
            while True:
                found.append(self._lines.get_nowait())
        return found

    def say(self, text: str) -> None:
        """Have it send a message."""
        stream: Any = self._process.stdin
        stream.write(f"{text}\n")
        stream.flush()

    def close(self) -> None:
        """End it; kill it if it does not."""
        with suppress(OSError):
            stream: Any = self._process.stdin
            stream.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()
        stdout: Any = self._process.stdout
        stdout.close()


class Case(NamedTuple):
    """One thing that a client library must get right."""

    name: str
    play: Callable[[Stage], None]

    @property
    def summary(self) -> str:
        """What must hold, in one sentence."""
        return (self.play.__doc__ or "").partition("\n")[0]


def result_of(case: Case, command: Sequence[str], pace: Pace) -> str:
    """Play a case; why it failed, or an empty text."""
    server = ScriptedServer()
    try:
        adapter = Adapter(command, server.rpc)
        try:
            case.play(Stage(server, adapter, pace))
        except Failed as failed:
            return str(failed)
        finally:
            adapter.close()
    finally:
        server.close()
    return ""

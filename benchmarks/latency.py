"""W2: one send at a time, until another member has it."""

import sqlite3
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.listening import Reader, chat_topic, subscribers
from benchmarks.load import no_collection
from benchmarks.options import Options
from benchmarks.process import Process, free_port, listens, python, running
from benchmarks.report import Comparison, Sample, in_turn
from benchmarks.wire import Caller, request, result_of
from benchmarks.zchat_server import room_of, zchat

OPERATIONS: Final = 300
TEXT: Final = "x" * 200


def run(options: Options) -> list[Comparison]:
    """Send to receive, beside a commit and a round trip by themselves."""
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="zchat-bench-"))
        rows = sqlite3.connect(Path(folder) / "floor.db", isolation_level=None)
        stack.callback(rows.close)
        rows.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "CREATE TABLE texts (text TEXT NOT NULL)"
        )
        port = free_port()
        echo = f"tcp://127.0.0.1:{port}"
        stack.enter_context(
            running(python("benchmarks.floors.echo", echo), listens(port))
        )
        bare = stack.enter_context(Caller(echo))
        server = stack.enter_context(zchat())
        room = room_of(server.rpc, 2)
        sender = stack.enter_context(Caller(server.rpc))
        (listener,) = stack.enter_context(
            subscribers(server.events, chat_topic(room.chat_id), 1)
        )
        reader = Reader(server.rpc, room.tokens[1], room.chat_id)
        body = request(
            1, "send", token=room.tokens[0], chat_id=room.chat_id, text=TEXT
        )

        def floor() -> Sample:
            return Sample(
                _median_ms(lambda: _commit(rows))
                + _median_ms(lambda: _round_trip(bare.socket, body))
            )

        def sent() -> Sample:
            return _delivered(
                server.process, sender.socket, listener, body, reader
            )

        return [
            Comparison(
                workload="W2",
                unit="ms",
                goal=1.5,
                title="one send in flight until another member has it, p50",
                sides=in_turn(
                    {
                        "SQLite FULL commit + round trip": floor,
                        "zchat send to event": sent,
                    },
                    options.rounds,
                ),
            )
        ]


def _median_ms(
    operation: Callable[[], None], afterwards: Callable[[], None] | None = None
) -> float:
    """The median time of the operation alone, in milliseconds."""
    seconds = []
    with no_collection():
        for _ in range(OPERATIONS):
            started = time.perf_counter()
            operation()
            seconds.append(time.perf_counter() - started)
            if afterwards is not None:
                afterwards()
    return statistics.median(seconds) * 1e3


def _commit(rows: sqlite3.Connection) -> None:
    rows.execute("INSERT INTO texts VALUES (?)", (TEXT,))


def _round_trip(socket: Any, body: bytes) -> None:
    socket.send(body)
    socket.recv()


def _delivered(
    process: Process, sender: Any, listener: Any, body: bytes, reader: Reader
) -> Sample:
    """p50 from the send to the event; each event once, in order."""
    bodies: list[bytes] = []
    seqs: list[int] = []

    def until_told() -> None:
        sender.send(body)
        while True:
            event = listener.recv_multipart()[1]
            if len(event) > len(TEXT):
                bodies.append(event)
                return

    def take_answer() -> None:
        seqs.append(result_of(sender.recv())["seq"])

    used = process.cpu_seconds()
    median = _median_ms(until_told, take_answer)
    used = process.cpu_seconds() - used
    if reader.messages(bodies) != seqs or seqs != sorted(set(seqs)):
        raise RuntimeError("events were lost, doubled or out of order")
    return Sample(median, used / OPERATIONS * 1e6)

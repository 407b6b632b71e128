"""W5: durable POST /send over 64 keep-alive connections."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from benchmarks.options import Options
from benchmarks.process import Process, free_port, listens, running
from benchmarks.report import Comparison, Sample, in_turn
from benchmarks.tcp_load import http_answers, tcp_closed_loop, tcp_connections
from benchmarks.zchat_server import room_of, zchat

CONNECTIONS: Final = 64
A_CONNECTION: Final = 240
BY_SQLITE: Final = 60
"""So many a connection where each is committed by itself: a round of
either kind then lasts about a second."""
MEMBERS: Final = 10
TEXT: Final = "x" * 200


def run(options: Options) -> list[Comparison]:
    """The gateway beside FastAPI, without and with SQLite."""
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise RuntimeError(
            "W5 needs FastAPI: pip install -r requirements-bench.txt"
        )
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="zchat-bench-"))
        port = free_port()
        fastapi = stack.enter_context(
            running(
                [
                    sys.executable,
                    "-m",
                    "uvicorn",
                    "benchmarks.floors.web:app",
                    "--port",
                    str(port),
                    "--no-access-log",
                    "--log-level",
                    "warning",
                ],
                listens(port),
                {"BENCH_STORE": str(Path(folder) / "web.db")},
            )
        )
        server = stack.enter_context(zchat(http=True))
        room = room_of(server.rpc, MEMBERS)
        numbers = [str(number) for number in range(MEMBERS)]
        noop = _posts("/noop", "bench", numbers, A_CONNECTION)
        plain = _posts("/send", "bench", numbers, BY_SQLITE)
        ours = _posts("/send", room.chat_id, room.tokens, A_CONNECTION)
        measured = in_turn(
            {
                "FastAPI, no-op": _side(fastapi, port, noop, False),
                "FastAPI and SQLite": _side(fastapi, port, plain, True),
                "zchat POST /send": _side(
                    server.process, server.port, ours, True
                ),
            },
            options.rounds,
        )
        title = "durable POST /send, 64 keep-alive connections"
        return [
            Comparison(
                workload="W5",
                unit="/s",
                goal=goal,
                title=title + against,
                sides={
                    name: measured[name]
                    for name in (floor, "zchat POST /send")
                },
            )
            for floor, goal, against in (
                ("FastAPI, no-op", 2.5, ", against one that does nothing"),
                ("FastAPI and SQLite", 10.0, ", against one that does it"),
            )
        ]


def _posts(
    path: str, chat_id: str, tokens: list[str], a_connection: int
) -> list[list[bytes]]:
    """The requests of each connection, as they go onto the wire."""
    posts = []
    for connection in range(CONNECTIONS):
        body = msgspec.json.encode({"chat_id": chat_id, "message": TEXT})
        post = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {tokens[connection % MEMBERS]}\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        posts.append([post] * a_connection)
    return posts


def _side(
    process: Process, port: int, posts: list[list[bytes]], kept: bool
) -> Callable[[], Sample]:
    def measure() -> Sample:
        with tcp_connections(port, CONNECTIONS) as sockets:
            used = process.cpu_seconds()
            answered = tcp_closed_loop(sockets, posts, 1, http_answers)
            used = process.cpu_seconds() - used
        if kept:
            _check(
                [
                    [msgspec.json.decode(answer) for answer in answers]
                    for answers in answered.answers
                ]
            )
        count = sum(map(len, posts))
        return Sample(count / answered.seconds, used / count * 1e6)

    return measure


def _check(answers: list[list[Any]]) -> None:
    """Every post has its own seq, none is left out, each lane in order."""
    lanes = [[answer["seq"] for answer in own] for own in answers]
    seqs = sorted(seq for lane in lanes for seq in lane)
    if seqs != list(range(seqs[0], seqs[0] + len(seqs))) or any(
        lane != sorted(lane) for lane in lanes
    ):
        raise RuntimeError("posts were lost, doubled or out of order")

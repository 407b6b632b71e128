"""One client among many: it cannot take the others' turns or memory."""

import re
import threading
from contextlib import ExitStack
from pathlib import Path

from tests.event_stream import Stream
from tests.http_server import Client, serving
from tests.program import Program, User
from zchat.gateway.messages import Response

CONNECTIONS = 64
PIPELINED = 16
MEBIBYTE = 1024 * 1024


class Flood:
    """A user with many connections, each with a full pipeline."""

    def __init__(self, program: Program, user: User) -> None:
        request = (
            "GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {user.token}\r\n\r\n"
        ).encode()
        self._request = request
        self._stack = ExitStack()
        self._clients = [
            self._stack.enter_context(Client(program.port))
            for _ in range(CONNECTIONS)
        ]
        self._threads = [
            threading.Thread(target=self._run, args=(client,))
            for client in self._clients
        ]
        self._is_over = threading.Event()
        self.answered = 0

    def _run(self, client: Client) -> None:
        client.send(self._request * PIPELINED)
        due = PIPELINED
        while due:
            assert client.answer().status == 200
            self.answered += 1
            due -= 1
            if not self._is_over.is_set():
                client.send(self._request)
                due += 1

    def __enter__(self) -> "Flood":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(60)
        self._stack.close()


def test_a_full_pipeline_on_many_connections_delays_nobody(
    program: Program,
) -> None:
    """Counted in the flood's answers, as times depend on the machine.

    Without turns an honest request waits behind all that the flood has
    in flight, which is a thousand requests.
    """
    honest = program.user()
    waits = []
    with Flood(program, program.user()) as flood, Client(program.port) as one:
        request = (
            "GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {honest.token}\r\n\r\n"
        ).encode()
        for _ in range(30):
            before = flood.answered
            assert one.ask(request).status == 200
            waits.append(flood.answered - before)
    waits.sort()
    assert waits[len(waits) // 2] < CONNECTIONS * PIPELINED / 4


def test_who_keeps_the_most_is_dropped_before_the_memory_is_full() -> None:
    page = b"x" * MEBIBYTE
    get = b"GET /a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with (
        serving(
            handle=lambda _: Response(200, page), memory_bytes=16 * MEBIBYTE
        ) as served,
        ExitStack() as stack,
    ):
        deaf = [
            stack.enter_context(Client(served.port, receive_buffer=4096))
            for _ in range(64)
        ]
        for client in deaf:
            client.send_what_is_taken(get * 4)
        served.wait_for(lambda: served.server.dropped > 0)
        assert served.run(lambda: served.server.held_bytes) <= 16 * MEBIBYTE
        with Client(served.port) as honest:
            assert honest.ask(get).body == page


def test_requests_that_come_slowly_are_counted_too() -> None:
    head = b"POST /a HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    head += b"Content-Length: %d\r\n\r\n" % MEBIBYTE
    with serving(memory_bytes=16 * MEBIBYTE) as served, ExitStack() as stack:
        for _ in range(32):
            client = stack.enter_context(Client(served.port))
            client.send_what_is_taken(head + b"x" * (MEBIBYTE - 1))
        served.wait_for(lambda: served.server.dropped >= 16)
        assert served.run(lambda: served.server.held_bytes) <= 16 * MEBIBYTE


def gateway_of(program: Program) -> Path:
    """The folder in /proc of the program's gateway."""
    pid = program.server.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return Path("/proc") / children[0]


def peak_bytes(process: Path) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def test_streams_that_nobody_reads_cost_little(program: Program) -> None:
    """An event is kept once, however many streams it waits for."""
    ann = program.user()
    gateway = gateway_of(program)
    with ExitStack() as stack:
        streams = [
            stack.enter_context(Stream(program.port, ann)) for _ in range(200)
        ]
        for stream in streams:
            stream.until("caught_up")
        before = peak_bytes(gateway)
        for _ in range(200):
            sent = program.ask(
                "POST", "/send", {"message": "x" * 4096}, ann.bearer
            )
            assert sent.status == 200
        assert streams[0].texts(200) == ["x" * 4096] * 200
        assert program.ask("GET", "/status", None, ann.bearer).status == 200
        assert peak_bytes(gateway) - before < 40 * MEBIBYTE

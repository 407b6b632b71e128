"""An HTTP server in a thread, with a clock to set, and a raw client."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, NamedTuple

import msgspec
import uvloop

from zchat.gateway.limits import Limits
from zchat.gateway.messages import Request, Response
from zchat.gateway.server import MEMORY_BYTES, HttpServer
from zchat.gateway.site import Handler
from zchat.tls import Certificate

HOST = "127.0.0.1"
UPLOAD_LIMIT = 5 * 1024 * 1024


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> Any:
        assert self.headers["content-type"] == "application/problem+json"
        return msgspec.json.decode(self.body)


class Client:
    """One TCP connection that sends bytes and reads answers."""

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer
            )
        self._socket.settimeout(20)
        self._socket.connect((HOST, port))
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_what_is_taken(self, data: bytes) -> None:
        """Send, though the server may hang up on the way."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def half_close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close so that the server sees a broken connection."""
        self._socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    def receive(self) -> bytes:
        """Some bytes, or none at the end."""
        if self._buffer:
            data, self._buffer = self._buffer, b""
            return data
        return self._socket.recv(65536)

    def ended(self) -> bool:
        """Whether the server closes without sending anything more."""
        try:
            return self.receive() == b""
        except ConnectionResetError:
            return True

    def line(self) -> bytes:
        return self.until(b"\r\n")

    def until(self, mark: bytes) -> bytes:
        """The bytes up to a mark, which is taken off."""
        while mark not in self._buffer:
            data = self._socket.recv(65536)
            if not data:
                raise EOFError(f"closed after {self._buffer!r}")
            self._buffer += data
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = self._socket.recv(65536)
            if not data:
                raise EOFError(f"closed after {self._buffer!r}")
            self._buffer += data
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and fields of the next answer; names in lower case."""
        first, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        fields = [line.split(": ", 1) for line in lines]
        headers = {name.lower(): value for name, value in fields}
        assert len(headers) == len(fields)
        return int(status), headers

    def chunk(self) -> bytes:
        """The next chunk of a chunked body; empty at its end."""
        data = self.exactly(int(self.line(), 16))
        assert self.line() == b""
        return data

    def answer(self, method: str = "GET") -> Answer:
        """The next answer, whole."""
        status, headers = self.head()
        body = b""
        if method == "HEAD" or status in (100, 204, 304):
            return Answer(status, headers, body)
        if headers.get("transfer-encoding") == "chunked":
            while chunk := self.chunk():
                body += chunk
        elif "content-length" in headers:
            body = self.exactly(int(headers["content-length"]))
        else:
            while data := self.receive():
                body += data
        return Answer(status, headers, body)

    def ask(self, data: bytes, method: str = "GET") -> Answer:
        self.send(data)
        return self.answer(method)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()


class Served:
    """A running server, and what the test's own routes have seen.

    `/echo` gives the body back, `/wait` answers when `release` is
    called, `/upload` counts a streamed body, `/events` streams without
    an end, `/download` a million bytes, `/fail` raises.
    """

    def __init__(
        self,
        limits: Limits,
        handle: Handler | None,
        memory_bytes: int = MEMORY_BYTES,
        certificate: Certificate | None = None,
    ) -> None:
        self.clock = Clock()
        self.seen: list[Request] = []
        self.cancelled = threading.Event()
        self.entered = threading.Semaphore(0)
        self.uploaded = 0
        self.loop = uvloop.new_event_loop()
        self._gate = asyncio.Event()
        self._upload_gate = asyncio.Event()
        self._upload_gate.set()
        self._limits = limits
        self._memory_bytes = memory_bytes
        self._certificate = certificate
        self._handle = handle or self.handle
        self._routes: dict[str, Callable[[Request], Any]] = {
            "/wait": self._wait,
            "/upload": self._upload,
            "/events": lambda _: Response(
                200, content_type="text/event-stream", chunks=self._ticks()
            ),
            "/download": lambda _: Response(
                200,
                content_type="application/octet-stream",
                chunks=self._million(),
                length=1_000_000,
            ),
            "/short": lambda _: Response(
                200, chunks=self._million(), length=1_000_001
            ),
            "/inject": lambda _: Response(
                200, b"", fields=(("X-Name", "a\r\nSet-Cookie: b=c"),)
            ),
            "/fail": self._fail,
        }

    def start(self) -> None:
        ready = threading.Event()

        async def serve() -> None:
            self.server = HttpServer(
                self._handle,
                limits=self._limits,
                memory_bytes=self._memory_bytes,
                clock=self.clock,
                upload_limit=lambda method, path: (
                    UPLOAD_LIMIT if path == "/upload" else None
                ),
            )
            self.port = await self.server.start(
                HOST,
                0,
                ["https://chat.example"],
                certificate=self._certificate,
            )
            ready.set()

        self._thread = threading.Thread(target=self._run, args=(serve,))
        self._thread.start()
        assert ready.wait(10)

    def _run(self, serve: Callable[[], Any]) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(serve())
        self.loop.run_forever()
        self.loop.close()

    def begin(self, work: Any) -> "Future[Any]":
        """Let something run on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def call(self, work: Any) -> Any:
        """Await something on the server's loop."""
        return self.begin(work).result(20)

    def run(self, function: Callable[[], Any]) -> Any:
        """Call a function on the server's loop."""

        async def calling() -> Any:
            return function()

        return self.call(calling())

    def pass_seconds(self, seconds: float) -> None:
        self.clock.now += seconds
        self.run(self.server.sweep)

    def release(self) -> None:
        self.run(self._gate.set)

    def hold_uploads(self) -> None:
        self.run(self._upload_gate.clear)

    def release_uploads(self) -> None:
        self.run(self._upload_gate.set)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Until the condition holds on the server's loop."""
        deadline = time.monotonic() + 15
        while not self.run(condition):
            assert time.monotonic() < deadline, "it did not come true"
            time.sleep(0.005)

    def stop(self) -> None:
        self.call(self.server.stop(0.0))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def handle(self, request: Request) -> Any:
        self.seen.append(request)
        route = self._routes.get(request.path)
        if route is not None:
            return route(request)
        return Response(200, request.body or b"{}")

    async def _wait(self, request: Request) -> Response:
        self.entered.release()
        try:
            await self._gate.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Response(200, b'"waited"')

    async def _upload(self, request: Request) -> Response:
        self.entered.release()
        if request.query == "refuse":
            return Response(403, b"{}")
        try:
            assert request.stream is not None
            async for piece in request.stream:
                self.uploaded += len(piece)
                await self._upload_gate.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Response(200, b"%d" % self.uploaded)

    async def _ticks(self) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b": tick\n\n"
                await asyncio.sleep(0.02)
        finally:
            self.cancelled.set()

    async def _million(self) -> AsyncGenerator[bytes, None]:
        for _ in range(100):
            yield b"x" * 10_000

    def _fail(self, request: Request) -> Response:
        raise RuntimeError("secret detail")


@contextmanager
def serving(
    limits: Limits | None = None,
    handle: Handler | None = None,
    memory_bytes: int = MEMORY_BYTES,
    certificate: Certificate | None = None,
) -> Iterator[Served]:
    """A server on a port that the system chose, stopped at the end."""
    served = Served(limits or Limits(), handle, memory_bytes, certificate)
    served.start()
    try:
        yield served
    finally:
        served.stop()

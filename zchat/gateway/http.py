"""An HTTP connection at work: protocol.py on an asyncio transport."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, Protocol, cast

from zchat.errors import Code
from zchat.gateway.body import StreamedBody
from zchat.gateway.exchange import Exchange
from zchat.gateway.messages import Pushed, Response, problem
from zchat.gateway.protocol import (
    Cancel,
    Do,
    Handle,
    HttpConnection,
    Output,
    Stream,
    answer_to_error,
)
from zchat.gateway.site import Site

UNTOLD_BYTES: Final = 4_096
"""So little is not counted, which spares most requests the counting:
with all connections that there may be, it comes to 16 MiB."""


class Roster(Protocol):
    """Whoever counts the connections."""

    def admit(self, connection: "Connection") -> bool:
        """Count a new connection; False when there are too many."""

    def forget(self, connection: "Connection") -> None:
        """A connection is gone."""

    def hold(
        self, connection: "Connection", held_bytes: int, waiting_bytes: int
    ) -> None:
        """A connection keeps so many bytes, and shares in so many more."""


class Connection(asyncio.Protocol):
    """Carries out what the connection's state says, and tells it of more."""

    def __init__(
        self, site: Site, roster: Roster, clock: Callable[[], float]
    ) -> None:
        self._site = site
        self._roster = roster
        self._clock = clock
        self._state = HttpConnection(site, self._new_body, clock())
        self._is_running = False
        self._is_blocked = False
        self._held_bytes = 0
        self._drained: asyncio.Future[None] | None = None
        self._pushed: Pushed | None = None
        self._do: dict[Do, Callable[[], None]] = {}

    @property
    def unanswered(self) -> int:
        """How many requests wait for their answers."""
        return self._state.unanswered

    @property
    def is_blocked(self) -> bool:
        """Whether the client does not take what was written."""
        return self._is_blocked

    # -- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = made = cast(asyncio.Transport, transport)
        self._do = {
            Do.PAUSE_READING: made.pause_reading,
            Do.RESUME_READING: made.resume_reading,
            Do.YIELD: self._yield,
            Do.SHUT_DOWN: self._shut_down,
            Do.CLOSE: made.close,
            Do.ABORT: made.abort,
        }
        if not self._roster.admit(self):
            self._state.turn_away(
                problem(
                    503, Code.UNAVAILABLE, "Too many connections. Try again."
                )
            )
            self._run()

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.lose()
        self._run()
        self._roster.forget(self)
        self._release_writer()

    def data_received(self, data: bytes) -> None:
        self._state.receive(data, self._clock())
        self._run()

    def eof_received(self) -> bool:
        is_open = self._state.shut_down(self._clock())
        self._run()
        return is_open and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        self._is_blocked = True
        self._state.block(self._clock())
        self._run()

    def resume_writing(self) -> None:
        self._is_blocked = False
        self._state.unblock(self._clock())
        self._run()
        self._release_writer()
        if self._pushed is not None:
            self._pushed.drained()

    # -- what the state says is to be done

    def _run(self) -> None:
        """Carry out the outputs, and those that come of it, in order."""
        if self._is_running:
            return
        self._is_running = True
        out = self._state.out
        try:
            while out:
                outputs = out[:]
                out.clear()
                for output in outputs:
                    self._carry_out(output)
        finally:
            self._is_running = False
        self.tell_held()

    def _carry_out(self, output: Output) -> None:
        if isinstance(output, bytes):
            if not self._transport.is_closing():
                self._transport.write(output)
        elif isinstance(output, Handle):
            self._handle(output.exchange)
        elif isinstance(output, Stream):
            self._stream(output.exchange)
        elif isinstance(output, Cancel):
            self._cancel(output.exchange)
        elif not self._transport.is_closing():
            self._do[output]()

    def tell_held(self) -> None:
        """Let the roster know what the connection keeps in memory."""
        held = self._state.held_bytes
        held += self._transport.get_write_buffer_size()
        waiting = 0
        if self._pushed is not None:
            held += self._pushed.held_bytes
            waiting = self._pushed.waiting_bytes
        elif held <= UNTOLD_BYTES:
            held = 0
        if held != self._held_bytes:
            self._held_bytes = held
            self._roster.hold(self, held, waiting)

    def _yield(self) -> None:
        asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        self._state.resume(self._clock())
        self._run()

    def _shut_down(self) -> None:
        """TLS has no half of a connection: there the client closes, or
        the deadline passes.
        """
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _new_body(self, length: int | None) -> StreamedBody:
        return StreamedBody(length, self._want_body)

    def _want_body(self) -> None:
        self._state.want_body(self._clock())
        self._run()

    # -- what the server calls

    def is_overdue(self, now: float) -> bool:
        """Whether a deadline has passed."""
        state = self._state
        return state.read_deadline <= now or state.write_deadline <= now

    def expire(self, now: float) -> None:
        """A deadline has passed."""
        self._state.expire(now)
        self._run()

    def stop(self) -> None:
        """Finish what is in flight, then close."""
        self._state.stop(self._clock())
        self._run()

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        if self._pushed is not None:
            self._pushed.closed()
        self._transport.abort()

    # -- handlers

    def _handle(self, exchange: Exchange) -> None:
        try:
            outcome = self._site.handle(exchange.request)
        except Exception as error:
            outcome = answer_to_error(error)
        if isinstance(outcome, Response):
            self._answer(exchange, outcome)
        else:
            self._await(exchange, outcome)

    def _await(self, exchange: Exchange, outcome: Awaitable[Response]) -> None:
        exchange.work = waiting = asyncio.ensure_future(outcome)
        waiting.add_done_callback(
            lambda _: self._answer(exchange, _response_of(waiting))
        )

    def _answer(self, exchange: Exchange, response: Response) -> None:
        exchange.work = None
        if self._state.answer(exchange, response, self._clock()):
            self._run()
        else:
            self._dispose(response)

    def _cancel(self, exchange: Exchange) -> None:
        """Stop whoever works on it; the client is gone."""
        work, exchange.work = exchange.work, None
        if work is not None:
            work.cancel()
        elif exchange.response is not None:
            self._dispose(exchange.response)

    def _dispose(self, response: Response) -> None:
        """Nobody takes this answer; a generator is closed by its loop."""
        if response.push is not None:
            self._pushed = None
            response.push.closed()

    # -- bodies that come in pieces

    def _stream(self, exchange: Exchange) -> None:
        response = exchange.response
        assert response is not None
        if response.push is not None:
            self._pushed = response.push
            response.push.begin(_Sink(self, exchange))
        elif response.chunks is not None:
            exchange.work = asyncio.ensure_future(
                self._send_chunks(exchange, response.chunks)
            )

    async def _send_chunks(
        self, exchange: Exchange, chunks: AsyncGenerator[bytes, None]
    ) -> None:
        """Send a body that comes in pieces, as fast as it is taken."""
        try:
            async for chunk in chunks:
                self._state.send_piece(exchange, chunk)
                self._run()
                await self._taken()
        except Exception as error:
            self._state.break_stream(exchange, error)
        finally:
            await chunks.aclose()
        exchange.work = None
        self._state.end_stream(exchange, self._clock())
        self._run()

    async def _taken(self) -> None:
        while self._is_blocked and not self._transport.is_closing():
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def _release_writer(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def send(self, exchange: Exchange, pieces: tuple[bytes, ...]) -> None:
        """Write the next bytes of a body that is pushed."""
        self._state.send_piece(exchange, *pieces)
        self._run()

    def end(self, exchange: Exchange) -> None:
        """A body that is pushed is complete."""
        self._pushed = None
        self._state.end_stream(exchange, self._clock())
        self._run()


class _Sink:
    """Where one exchange's body is pushed to."""

    def __init__(self, connection: Connection, exchange: Exchange) -> None:
        self._connection = connection
        self._exchange = exchange

    @property
    def blocked(self) -> bool:
        return self._connection.is_blocked

    def send(self, *pieces: bytes) -> None:
        self._connection.send(self._exchange, pieces)

    def tell_held(self) -> None:
        self._connection.tell_held()

    def end(self) -> None:
        self._connection.end(self._exchange)


def _response_of(waited: "asyncio.Future[Response]") -> Response:
    """What a handler that had to wait came to."""
    if waited.cancelled():
        return problem(
            503, Code.UNAVAILABLE, "The server is stopping. Try again."
        )
    error = waited.exception()
    return waited.result() if error is None else answer_to_error(error)

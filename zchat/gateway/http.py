"""One HTTP/1.1 connection: requests handed on, answers sent in order."""

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncGenerator
from math import inf
from typing import TYPE_CHECKING, Any, Final, cast

import structlog

from zchat.errors import Code, Refused
from zchat.gateway.heads import CONTINUE, answer_head, has_body
from zchat.gateway.messages import (
    Fields,
    Refusal,
    Request,
    Response,
    problem,
    problem_of,
)
from zchat.gateway.reader import (
    HEAD_SLICE_BYTES,
    Incoming,
    RequestReader,
    Stage,
)

if TYPE_CHECKING:
    from zchat.gateway.server import HttpServer

log = structlog.get_logger()

_CHUNKED: Final = (("Transfer-Encoding", "chunked"),)
_LAST_CHUNK: Final = b"0\r\n\r\n"


class Exchange:
    """A request and the answer that it will get."""

    def __init__(
        self, connection: "Connection", incoming: Incoming, started: float
    ) -> None:
        self._connection = connection
        self.incoming = incoming
        self.keep_alive = incoming.keep_alive
        self.started = started
        self.cross_origin: Fields = ()
        self.response: Response | None = None
        self.waiting: asyncio.Future[Response] | None = None
        self.sender: asyncio.Task[None] | None = None

    def finish(self, waited: "asyncio.Future[Response]") -> None:
        """Take the answer of a handler that had to wait."""
        self.waiting = None
        if self.response is not None:
            return
        if waited.cancelled():
            self.response = problem(
                503, Code.UNAVAILABLE, "The server is stopping. Try again."
            )
        else:
            error = waited.exception()
            self.response = (
                waited.result() if error is None else (answer_to_error(error))
            )
        self._connection.advance()

    def cancel(self) -> None:
        """Stop whoever works on it; the client is gone."""
        for work in (self.waiting, self.sender):
            if work is not None:
                work.cancel()


def answer_to_error(error: BaseException) -> Response:
    """The answer where a handler raised; never a traceback."""
    if isinstance(error, Refusal):
        return error.response
    if isinstance(error, Refused):
        return problem_of(error)
    incident = uuid.uuid4().hex[:12]
    log.error("incident", incident=incident, exc_info=error)
    return problem(
        500,
        Code.INTERNAL,
        "Internal server error. Report the incident id to the operator.",
        incident=incident,
    )


class Connection(asyncio.Protocol):
    """Reads requests off one transport and writes their answers.

    Requests of a pipeline are handed on as they come, and answered in
    their order. Reading stops while too many are unanswered, while the
    client does not take its answers, and while a route has not taken
    the body that it streams. `read_deadline` and `write_deadline` are
    looked at by the server's sweep.
    """

    def __init__(self, server: "HttpServer") -> None:
        self._server = server
        self._limits = server.limits
        self._reader = RequestReader(
            server.limits,
            server.access.refusal,
            server.upload_limit,
            self._take,
            self._body_wanted,
        )
        self._queue: deque[Exchange] = deque()
        self._held = b""
        self._feeding = False
        self._paused = False
        self._write_blocked = False
        self._drained: asyncio.Future[None] | None = None
        self._last = False
        self._half_closed = False
        self._lingering = False
        self._linger_left = server.limits.linger_bytes
        self._timed = (0, Stage.BETWEEN)
        self._upload_deadline = inf
        self.read_deadline = inf
        self.write_deadline = inf

    @property
    def unanswered(self) -> int:
        """How many requests wait for their answers."""
        return len(self._queue)

    # -- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.read_deadline = self._server.clock() + self._limits.head_seconds
        if not self._server.admit(self):
            self._refuse(
                problem(
                    503, Code.UNAVAILABLE, "Too many connections. Try again."
                )
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.forget(self)
        self._last = True
        self._held = b""
        self._drop_queue()
        self._release_writer()

    def eof_received(self) -> bool:
        """The client sends no more; what it asked for is still given.

        A stream without an end is closed: nobody can tell whether
        anybody still listens.
        """
        if (
            not self._queue
            or self._held
            or (self._reader.stage is not Stage.BETWEEN)
        ):
            return False
        self._half_closed = True
        self._end_after(self._queue[-1])
        self._end_endless()
        return True

    def pause_writing(self) -> None:
        self._write_blocked = True
        self.write_deadline = self._server.clock() + self._limits.write_seconds
        self._pause()

    def resume_writing(self) -> None:
        self._write_blocked = False
        self.write_deadline = inf
        self._release_writer()
        self._resume()

    def data_received(self, data: bytes) -> None:
        if self._last:
            self._linger_left -= len(data)
            if self._linger_left < 0:
                self._transport.abort()
        elif self._paused:
            self._held += data
        else:
            self._consume(data)

    # -- reading

    def _consume(self, data: bytes) -> None:
        """Parse as much as the bounds allow, and hold the rest back."""
        reader = self._reader
        self._feeding = True
        try:
            if len(data) <= HEAD_SLICE_BYTES:
                reader.feed(data)
            else:
                self._feed_in_slices(data)
        except Refusal as refusal:
            if not self._last:
                self._refuse(refusal.response)
        finally:
            self._feeding = False
        if reader.stage is Stage.BETWEEN:
            if self._queue:
                self.read_deadline = inf
        elif not self._last:
            self._time_reading()
            self._send_continue()
        if self._must_pause():
            self._pause()

    def _feed_in_slices(self, data: bytes) -> None:
        view = memoryview(data)
        offset = 0
        while offset < len(data) and not self._last:
            if self._must_pause():
                self._held = bytes(view[offset:])
                return
            end = offset + self._reader.slice_bytes()
            self._reader.feed(view[offset:end])
            offset = end

    def _time_reading(self) -> None:
        """Set the deadline of what began to arrive and is not all there.

        An upload is given more time with every piece, up to a limit.
        """
        reader = self._reader
        timed = (reader.begun, reader.stage)
        if timed == self._timed and reader.uploading is None:
            return
        if timed != self._timed:
            self._upload_deadline = (
                self._server.clock()
                + self._limits.body_seconds
                + reader.expected_bytes / self._limits.upload_bytes_per_second
            )
        self._timed = timed
        self._set_read_deadline()

    def _set_read_deadline(self) -> None:
        """What the client has to send next must be here by then."""
        now = self._server.clock()
        limits = self._limits
        stage = self._reader.stage
        if self._last:
            self.read_deadline = inf
        elif stage is Stage.HEAD:
            self.read_deadline = now + limits.head_seconds
        elif stage is Stage.BODY:
            self.read_deadline = min(
                now + limits.body_seconds, self._upload_deadline
            )
        else:
            self.read_deadline = (
                inf if self._queue else now + limits.idle_seconds
            )

    def _must_pause(self) -> bool:
        if self._write_blocked or (
            len(self._queue) >= self._limits.unanswered
        ):
            return True
        uploading = self._reader.uploading
        return (
            uploading is not None
            and uploading.body is not None
            and (uploading.body.full)
        )

    def _pause(self) -> None:
        if not self._paused and not self._last:
            self._paused = True
            self.read_deadline = inf
            self._transport.pause_reading()

    def _resume(self) -> None:
        """Go on reading if nothing stands against it any more."""
        if (
            not self._paused
            or self._feeding
            or self._must_pause()
            or (self._transport.is_closing())
        ):
            return
        self._paused = False
        self._set_read_deadline()
        held, self._held = self._held, b""
        if held:
            self._consume(held)
        if not self._paused:
            self._transport.resume_reading()

    def _body_wanted(self) -> None:
        """The route reads the body that it streams: let it come."""
        self._send_continue()
        self._resume()

    def _send_continue(self) -> None:
        """Ask for the body, once all earlier answers are out."""
        uploading = self._reader.uploading
        asked = (
            uploading is None
            or uploading.body is None
            or (uploading.body.asked)
        )
        earlier = len(self._queue) - (uploading is not None)
        if self._reader.continue_due and asked and not earlier:
            self._reader.continue_due = False
            self._transport.write(CONTINUE)

    # -- handling

    def _take(self, incoming: Incoming) -> None:
        """Hand a request on; the reader calls this."""
        if self._last:
            return
        server = self._server
        exchange = Exchange(self, incoming, server.clock())
        self._queue.append(exchange)
        self.read_deadline = inf
        if not incoming.keep_alive and incoming.body is None:
            self._last = True
        request = incoming.request
        outcome: Any = None
        if b"origin" in request.headers:
            exchange.cross_origin = server.access.cross_origin_fields(
                request.headers
            )
            outcome = server.access.preflight(request.method, request.headers)
        if outcome is None:
            try:
                outcome = server.handle(request)
            except Exception as error:
                outcome = answer_to_error(error)
        if outcome.__class__ is Response:
            exchange.response = outcome
            self.advance()
        else:
            exchange.waiting = asyncio.ensure_future(outcome)
            exchange.waiting.add_done_callback(exchange.finish)

    # -- answering

    def advance(self) -> None:
        """Send the answers that are ready and whose turn it is."""
        queue = self._queue
        while queue and queue[0].response is not None:
            exchange = queue[0]
            response = queue[0].response
            self._judge_end(exchange)
            if response.chunks is None or (
                exchange.incoming.request.method == "HEAD"
            ):
                self._write_whole(exchange, response)
                if self._done(exchange, response):
                    return
                continue
            if exchange.sender is None:
                exchange.sender = asyncio.ensure_future(
                    self._stream(exchange, response, response.chunks)
                )
            break
        if self._reader.continue_due:
            self._send_continue()
        if self._paused:
            self._resume()
        if not queue and self._reader.stage is Stage.BETWEEN:
            self._set_read_deadline()

    def _judge_end(self, exchange: Exchange) -> None:
        """Find out whether this answer has to be the last one."""
        if exchange.incoming is self._reader.uploading:
            self._leave_body_unread(exchange)
        elif self._server.stopping and exchange is self._queue[-1]:
            self._end_after(exchange)

    def _leave_body_unread(self, exchange: Exchange) -> None:
        """An early answer: what still comes of the body is thrown away."""
        self._end_after(exchange)
        self._reader.continue_due = False
        self._lingering = True

    def _write_whole(self, exchange: Exchange, response: Response) -> None:
        body = response.body
        length = len(body) if response.chunks is None else response.length
        try:
            head = self._head_of(exchange, response, length)
        except ValueError as error:
            response = answer_to_error(error)
            body = response.body
            head = self._head_of(exchange, response, len(body))
        if exchange.incoming.request.method == "HEAD" or (
            not has_body(response.status)
        ):
            self._transport.write(head)
        else:
            self._transport.write(head + body)

    def _head_of(
        self,
        exchange: Exchange,
        response: Response,
        length: int | None,
        more: Fields = (),
    ) -> bytes:
        connection = ""
        if not exchange.keep_alive:
            connection = "Connection: close\r\n"
        elif exchange.incoming.old:
            connection = "Connection: keep-alive\r\n"
        return answer_head(
            response.status,
            response.content_type,
            length,
            response.fields + exchange.cross_origin + more,
            self._server.usual_fields,
            connection,
        )

    def _done(self, exchange: Exchange, response: Response) -> bool:
        """The answer is out; whether it was the connection's last."""
        self._queue.popleft()
        server = self._server
        server.observe(
            exchange.incoming.request,
            response.status,
            server.clock() - exchange.started,
        )
        if exchange.keep_alive:
            return False
        self._close()
        return True

    async def _stream(
        self,
        exchange: Exchange,
        response: Response,
        chunks: AsyncGenerator[bytes, None],
    ) -> None:
        """Send a body that comes in pieces, as fast as it is taken."""
        endless = response.length is None
        chunked = endless and not exchange.incoming.old
        if endless and not chunked:
            self._end_after(exchange)
        try:
            self._transport.write(
                self._head_of(
                    exchange,
                    response,
                    response.length,
                    _CHUNKED if chunked else (),
                )
            )
            if not (endless and self._nobody_stays()):
                await self._send_chunks(chunks, response.length, chunked)
        except asyncio.CancelledError:
            if not self._queue:
                raise
            self._end_after(exchange)
        except Exception as error:
            answer_to_error(error)
            self._transport.abort()
            return
        finally:
            await chunks.aclose()
        if self._transport.is_closing():
            return
        if chunked:
            self._transport.write(_LAST_CHUNK)
        if not self._done(exchange, response):
            self.advance()

    async def _send_chunks(
        self,
        chunks: AsyncGenerator[bytes, None],
        length: int | None,
        chunked: bool,
    ) -> None:
        sent_bytes = 0
        async for chunk in chunks:
            if not chunk:
                continue
            sent_bytes += len(chunk)
            self._transport.write(
                b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk
            )
            while self._write_blocked and not self._transport.is_closing():
                self._drained = asyncio.get_running_loop().create_future()
                await self._drained
        if length is not None and sent_bytes != length:
            raise ValueError(
                f"a body of {length} bytes was announced and {sent_bytes} came"
            )

    def _release_writer(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # -- the end

    def _nobody_stays(self) -> bool:
        """Whether a stream without an end would have no listener."""
        return self._half_closed or self._server.stopping

    def _refuse(self, response: Response) -> None:
        """Answer what cannot be served, then read no more."""
        if self._transport.is_closing():
            return
        self._last = True
        self._lingering = True
        self.read_deadline = inf
        exchange = self._exchange_of(self._reader.uploading)
        if exchange is None:
            exchange = Exchange(
                self,
                Incoming(
                    Request(self._reader.method, "", "", {}), False, False
                ),
                self._server.clock(),
            )
            self._queue.append(exchange)
        exchange.keep_alive = False
        if exchange.response is None:
            exchange.response = response
            exchange.cancel()
        self.advance()

    def _exchange_of(self, incoming: Incoming | None) -> Exchange | None:
        for exchange in self._queue:
            if exchange.incoming is incoming:
                return exchange
        return None

    def _end_after(self, exchange: Exchange) -> None:
        """Let this answer be the last one."""
        exchange.keep_alive = False
        self._last = True
        self.read_deadline = inf

    def _end_endless(self) -> None:
        for exchange in self._queue:
            response = exchange.response
            if (
                exchange.sender is not None
                and response is not None
                and (response.length is None)
            ):
                exchange.sender.cancel()

    def _drop_queue(self) -> None:
        dropped = list(self._queue)
        self._queue.clear()
        for exchange in dropped:
            exchange.cancel()

    def _close(self) -> None:
        """Close; where the client may still be sending, not too hastily.

        A connection that is closed with bytes unread is reset, and the
        client may lose the answer that is on its way.
        """
        self._last = True
        self._drop_queue()
        if self._transport.is_closing():
            return
        deadline = self._server.clock() + self._limits.linger_seconds
        if not self._lingering:
            self.read_deadline = inf
            self.write_deadline = deadline
            self._transport.close()
            return
        self.read_deadline = deadline
        self._transport.write_eof()
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def expire(self, now: float) -> None:
        """A deadline has passed: say so if there is a request to answer."""
        stage = self._reader.stage
        if self._last or self.write_deadline <= now:
            self._transport.abort()
        elif stage is Stage.BETWEEN:
            self._close()
        else:
            self._refuse(
                problem(
                    408,
                    Code.BAD_REQUEST,
                    f"The {stage.name.lower()} of the "
                    "request did not come in time.",
                )
            )

    def stop(self) -> None:
        """Finish what is in flight, then close."""
        if not self._queue and self._reader.stage is Stage.BETWEEN:
            self._close()
        else:
            self._end_endless()

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        self._transport.abort()

"""One HTTP/1.1 connection without its socket: bytes in, outputs out.

The connection is told what happened (bytes came, the client takes no
more, an answer is ready, time passed) and appends to `out` what is to be
done about it. It reads no clock and touches no socket, so every order of
events can be tested; `http.py` carries the outputs out on asyncio.

- Requests of a pipeline are handed on as they come (`Handle`) and
  answered in their order.
- Reading stops while too many are unanswered, while the client does not
  take its answers, and while a route has not taken the body that it
  streams. Bytes that came already are held, and `held` being empty is
  what lets reading go on.
- Nobody may take the whole turn: after REQUESTS_A_TURN requests the rest
  of what came waits for `resume`, which `Do.YIELD` asks for once all
  others had theirs.
- What the client has to do next has a deadline, `read_deadline`; taking
  its answers has another, `write_deadline`.
"""

import uuid
from collections import deque
from enum import Enum
from math import inf
from typing import Any, Final

import msgspec
import structlog

from zchat.errors import Code, Refused
from zchat.gateway.exchange import Exchange
from zchat.gateway.heads import CONTINUE, answer_head, has_body
from zchat.gateway.messages import (
    Fields,
    Refusal,
    Request,
    Response,
    problem,
    problem_of,
)
from zchat.gateway.reader import HEAD_SLICE_BYTES, NewBody, RequestReader
from zchat.gateway.site import Site
from zchat.gateway.states import (
    ENDING,
    READING,
    Happening,
    Machine,
    State,
)

REQUESTS_A_TURN: Final = 4
_CHUNKED: Final = (("Transfer-Encoding", "chunked"),)
_LAST_CHUNK: Final = b"0\r\n\r\n"

log = structlog.get_logger()


class Do(Enum):
    """What is to be done with the transport."""

    PAUSE_READING = "read no more from the client"
    RESUME_READING = "read again"
    YIELD = "call `resume` when others had their turn"
    SHUT_DOWN = "send what was written, then the end"
    CLOSE = "send what was written, then close"
    ABORT = "close at once"


class Handle(msgspec.Struct, frozen=True):
    """Serve the exchange's request, then call `answer`."""

    exchange: Exchange


class Stream(msgspec.Struct, frozen=True):
    """Bring the response's body with `send_piece` and `end_stream`."""

    exchange: Exchange


class Cancel(msgspec.Struct, frozen=True):
    """Nobody waits for the exchange's answer any more."""

    exchange: Exchange


Output = bytes | Do | Handle | Stream | Cancel


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


class HttpConnection:
    """The state of one connection; `now` is always the site's clock."""

    def __init__(self, site: Site, new_body: NewBody, now: float) -> None:
        self._site = site
        self._limits = site.limits
        self._machine = Machine()
        self._reader = RequestReader(
            site.limits,
            self._machine,
            site.access.refusal,
            site.upload_limit,
            new_body,
            self._take,
            next(site.numbers),
        )
        self._queue: deque[Exchange] = deque()
        self._held = b""
        self._reads = True
        self._is_blocked = False
        self._discard_left = site.limits.linger_bytes
        self._now = now
        self._timed: tuple[Any, ...] = (0, State.IDLE, True, True)
        self._body_deadline = inf
        self.read_deadline = now + site.limits.head_seconds
        self.write_deadline = inf
        self.out: list[Output] = []

    @property
    def state(self) -> State:
        """What the next byte of the client belongs to."""
        return self._machine.state

    @property
    def unanswered(self) -> int:
        """How many requests wait for their answers."""
        return len(self._queue)

    @property
    def due(self) -> tuple[Exchange, ...]:
        """The exchanges whose answers are not all out, in their order."""
        return tuple(self._queue)

    @property
    def held_bytes(self) -> int:
        """What it keeps of requests and of answers that wait."""
        if not self._queue and self._machine.state is State.IDLE:
            return len(self._held)
        held = len(self._held) + self._reader.held_bytes
        for exchange in self._queue:
            held += exchange.held_bytes
        return held

    # -- what happens to the transport

    def receive(self, data: bytes, now: float) -> None:
        """Bytes came."""
        self._now = now
        if self._machine.state not in READING:
            self._discard(data)
            return
        if self._held or not self._reads:
            self._held += data
            return
        self._consume(data)
        self._settle()

    def resume(self, now: float) -> None:
        """Others had their turn: go on with what is held."""
        self._now = now
        self._settle()

    def shut_down(self, now: float) -> bool:
        """The client sends no more; whether its answers are still due.

        A stream without an end is closed: nobody can tell whether
        anybody still listens.
        """
        self._now = now
        state = self.state
        is_whole = state is State.IDLE and not self._held
        if not self._queue or not (is_whole or state in ENDING):
            return False
        self._machine.happened(Happening.SHUT_DOWN)
        self._end_endless()
        self._settle()
        return True

    def lose(self) -> None:
        """The connection is gone."""
        self._machine.happened(Happening.LOST)
        self._held = b""
        self._drop(self._queue)

    def block(self, now: float) -> None:
        """The client does not take what was written."""
        self._now = now
        self._is_blocked = True
        self.write_deadline = now + self._limits.write_seconds
        self._settle()

    def unblock(self, now: float) -> None:
        """It takes more."""
        self._now = now
        self._is_blocked = False
        self.write_deadline = inf
        self._settle()

    def want_body(self, now: float) -> None:
        """The route reads the body that it streams: let it come."""
        self._now = now
        self._settle()

    # -- reading

    def _consume(self, data: bytes) -> None:
        """Parse as much as the bounds allow, and hold the rest back."""
        try:
            if len(data) <= HEAD_SLICE_BYTES:
                self._reader.feed(data)
            else:
                self._feed_in_slices(data)
        except Refusal as refusal:
            if self.state in READING:
                self._turn_away(refusal.response)

    def _feed_in_slices(self, data: bytes) -> None:
        reader = self._reader
        view = memoryview(data)
        turn_ends = reader.begun + REQUESTS_A_TURN
        offset = 0
        while offset < len(data) and self.state in READING:
            if self._must_wait():
                self._held = bytes(view[offset:])
                return
            if reader.begun >= turn_ends:
                self._held = bytes(view[offset:])
                self.out.append(Do.YIELD)
                return
            end = offset + reader.slice_bytes()
            reader.feed(view[offset:end])
            offset = end

    def _discard(self, data: bytes) -> None:
        """Throw away what nobody will read, but not for ever."""
        self._discard_left -= len(data)
        if self._discard_left < 0:
            self.out.append(Do.ABORT)

    def _must_wait(self) -> bool:
        """Whether what the client sends next has to wait."""
        if self._is_blocked or len(self._queue) >= self._limits.unanswered:
            return True
        uploading = self._reader.uploading
        return (
            uploading is not None
            and uploading.body is not None
            and uploading.body.full
        )

    def _settle(self) -> None:
        """After anything happened: read on or not, and until when."""
        if self._is_at_ease():
            self._time()
            return
        if self._held and Do.YIELD not in self.out:
            if self.state not in READING:
                self._held = b""
            elif not self._must_wait():
                held, self._held = self._held, b""
                self._consume(held)
        self._send_continue()
        self._regulate()
        self._time()

    def _is_at_ease(self) -> bool:
        """Whether it reads, and nothing that came waits: the usual case."""
        return (
            self._machine.state is State.IDLE
            and self._reads
            and not self._held
            and not self._is_blocked
            and len(self._queue) < self._limits.unanswered
        )

    def _regulate(self) -> None:
        """Let the transport read as long as somebody wants the bytes."""
        state = self.state
        if state in READING:
            reads = not (self._held or self._must_wait())
        elif state is State.REFUSED or state is State.LINGERING:
            reads = True
        else:
            return
        if reads is not self._reads:
            self._reads = reads
            self.out.append(Do.RESUME_READING if reads else Do.PAUSE_READING)

    def _time(self) -> None:
        """Set the deadline when what it depends on is another.

        Bytes alone put nothing off, except that an upload is given more
        time with every piece, up to a limit.
        """
        state = self._machine.state
        timed = (self._reader.begun, state, not self._queue, self._reads)
        if timed == self._timed and state is not State.UPLOAD:
            return
        limits = self._limits
        now = self._now
        if timed[:2] != self._timed[:2]:
            self._body_deadline = (
                now
                + limits.body_seconds
                + self._reader.expected_bytes / limits.upload_bytes_per_second
            )
        self._timed = timed
        if state is State.LINGERING:
            self.read_deadline = now + limits.linger_seconds
        elif not self._reads or state not in READING:
            self.read_deadline = inf
        elif state is State.HEAD:
            self.read_deadline = now + limits.head_seconds
        elif state is State.IDLE:
            self.read_deadline = (
                inf if self._queue else now + limits.idle_seconds
            )
        else:
            self.read_deadline = min(
                now + limits.body_seconds, self._body_deadline
            )

    def _send_continue(self) -> None:
        """Ask for the body, once all earlier answers are out."""
        reader = self._reader
        if not reader.continue_due or self.state not in READING:
            return
        uploading = reader.uploading
        earlier = len(self._queue)
        if uploading is not None and uploading.body is not None:
            if not uploading.body.asked:
                return
            earlier -= 1
        if not earlier:
            reader.continue_due = False
            self.out.append(CONTINUE)

    def _take(self, exchange: Exchange) -> None:
        """Hand a request on; the reader calls this."""
        exchange.started = self._now
        self._queue.append(exchange)
        headers = exchange.request.headers
        if b"origin" in headers:
            access = self._site.access
            exchange.cross_origin = access.cross_origin_fields(headers)
            preflight = access.preflight(exchange.request.method, headers)
            if preflight is not None:
                exchange.response = preflight
                self._advance()
                return
        self.out.append(Handle(exchange))

    # -- answering

    def answer(
        self, exchange: Exchange, response: Response, now: float
    ) -> bool:
        """The answer of a handler is ready; whether anybody waits for it."""
        if exchange.response is not None or exchange not in self._queue:
            return False
        self._now = now
        exchange.response = response
        if exchange is self._queue[0]:
            self._advance()
        self._settle()
        return True

    def _advance(self) -> None:
        """Write the answers that are ready and whose turn it is."""
        queue = self._queue
        while queue:
            exchange = queue[0]
            response = exchange.response
            if response is None or exchange.is_streaming:
                return
            self._judge_end(exchange, response)
            if response.is_whole:
                self._write_whole(exchange, response)
                self._done(exchange, response)
            elif exchange.request.method == "HEAD":
                self.out.append(Cancel(exchange))
                self._write_whole(exchange, response)
                self._done(exchange, response)
            else:
                self._begin_stream(exchange, response)

    def _judge_end(self, exchange: Exchange, response: Response) -> None:
        """Find out whether this answer has to be the last one."""
        if exchange is self._reader.uploading:
            self._reader.continue_due = False
            self._machine.happened(Happening.TURNED_AWAY)
        elif exchange.old and self._is_endless(exchange, response):
            self._drop(self._behind(exchange))
            self._read_no_more()
        elif self._site.is_stopping and exchange is self._queue[-1]:
            self._read_no_more()

    def _read_no_more(self) -> None:
        """Let what is due be all: what came of another request is lost."""
        state = self.state
        if state is State.IDLE and not self._held:
            self._machine.happened(Happening.WAS_LAST)
        elif state in READING:
            self._machine.happened(Happening.TURNED_AWAY)

    def _write_whole(self, exchange: Exchange, response: Response) -> None:
        body = response.body
        length = len(body) if response.is_whole else response.length
        try:
            head = self._head_of(exchange, response, length)
        except ValueError as error:
            response = answer_to_error(error)
            body = response.body
            head = self._head_of(exchange, response, len(body))
        if exchange.request.method == "HEAD" or not has_body(response.status):
            self.out.append(head)
        else:
            self.out.append(head + body)

    def _head_of(
        self,
        exchange: Exchange,
        response: Response,
        length: int | None,
        more: Fields = (),
    ) -> bytes:
        connection = ""
        if self._machine.state in ENDING and exchange is self._queue[-1]:
            connection = "Connection: close\r\n"
        elif exchange.old:
            connection = "Connection: keep-alive\r\n"
        return answer_head(
            response.status,
            response.content_type,
            length,
            response.fields + exchange.cross_origin + more,
            self._site.usual_fields,
            connection,
        )

    def _done(self, exchange: Exchange, response: Response) -> None:
        """The answer is out; with the last one the connection ends."""
        self._queue.popleft()
        self._site.observe(
            exchange.request, response.status, self._now - exchange.started
        )
        if not self._queue and self._machine.state in ENDING:
            self._finish()

    # -- bodies that come in pieces

    @staticmethod
    def _is_endless(exchange: Exchange, response: Response) -> bool:
        return response.is_endless and exchange.request.method != "HEAD"

    def _begin_stream(self, exchange: Exchange, response: Response) -> None:
        is_chunked = response.is_endless and not exchange.old
        self.out.append(
            self._head_of(
                exchange,
                response,
                response.length,
                _CHUNKED if is_chunked else (),
            )
        )
        exchange.is_streaming = True
        if response.is_endless and self._nobody_stays():
            self._end_endless()
        else:
            self.out.append(Stream(exchange))

    def _nobody_stays(self) -> bool:
        """Whether a stream without an end would have no listener."""
        return self.state is State.HALF_CLOSED or self._site.is_stopping

    def send_piece(self, exchange: Exchange, *pieces: bytes) -> None:
        """The next bytes of a streamed body, one chunk of them."""
        size = sum(map(len, pieces))
        if not size or not self._is_sending(exchange):
            return
        assert exchange.response is not None
        exchange.sent_bytes += size
        if exchange.old or exchange.response.length is not None:
            self.out += pieces
        else:
            self.out += (b"%x\r\n" % size, *pieces, b"\r\n")

    def end_stream(self, exchange: Exchange, now: float) -> None:
        """The streamed body is complete.

        One of another length than was announced breaks the connection,
        which is the only way left to say so.
        """
        response = exchange.response
        if response is None or not self._is_sending(exchange):
            return
        self._now = now
        if response.length is None:
            if not exchange.old:
                self.out.append(_LAST_CHUNK)
        elif response.length != exchange.sent_bytes:
            answer_to_error(
                ValueError(
                    f"a body of {response.length} bytes was announced and "
                    f"{exchange.sent_bytes} came"
                )
            )
            self.out.append(Do.ABORT)
            return
        self._done(exchange, response)
        self._advance()
        self._settle()

    def break_stream(self, exchange: Exchange, error: BaseException) -> None:
        """The streamed body cannot be completed."""
        if self._is_sending(exchange):
            answer_to_error(error)
            self.out.append(Do.ABORT)

    def _is_sending(self, exchange: Exchange) -> bool:
        queue = self._queue
        return bool(queue) and queue[0] is exchange

    def _end_endless(self) -> None:
        """End the stream that has no end of its own, if one is open."""
        exchange = self._queue[0] if self._queue else None
        if exchange is None or exchange.response is None:
            return
        if exchange.is_streaming and exchange.response.is_endless:
            self.out.append(Cancel(exchange))
            if exchange is self._queue[-1]:
                self._read_no_more()
            self.end_stream(exchange, self._now)

    # -- the end

    def turn_away(self, response: Response) -> None:
        """Answer a connection that cannot be served at all."""
        self._turn_away(response)
        self._settle()

    def _turn_away(self, response: Response) -> None:
        """Answer what cannot be served, then read no more."""
        self._held = b""
        reader = self._reader
        uploading = reader.uploading
        self._machine.happened(Happening.TURNED_AWAY)
        if uploading is not None and uploading in self._queue:
            exchange = uploading
            self.out.append(Cancel(exchange))
        else:
            request = Request(reader.method, "", "", {})
            exchange = Exchange(request, False, False)
            exchange.started = self._now
            self._queue.append(exchange)
        if exchange.response is None:
            exchange.response = response
        self._advance()

    def _behind(self, exchange: Exchange) -> deque[Exchange]:
        """Take what comes after the exchange off the queue."""
        behind: deque[Exchange] = deque()
        while self._queue[-1] is not exchange:
            behind.appendleft(self._queue.pop())
        return behind

    def _drop(self, exchanges: deque[Exchange]) -> None:
        while exchanges:
            self.out.append(Cancel(exchanges.popleft()))

    def _finish(self) -> None:
        """Everything is written: close, but not too hastily."""
        self._machine.happened(Happening.ANSWERED)
        if self.state is State.LINGERING:
            self.out.append(Do.SHUT_DOWN)
            return
        self.out.append(Do.CLOSE)
        self.write_deadline = self._now + self._limits.linger_seconds

    def expire(self, now: float) -> None:
        """A deadline has passed: say so if there is a request to answer."""
        self._now = now
        state = self.state
        if state not in READING or self.write_deadline <= now:
            self.out.append(Do.ABORT)
        elif state is State.IDLE:
            self._finish()
        else:
            what = "head" if state is State.HEAD else "body"
            self.turn_away(
                problem(
                    408,
                    Code.BAD_REQUEST,
                    f"The {what} of the request did not come in time.",
                )
            )

    def stop(self, now: float) -> None:
        """The site is stopping: finish what is in flight, then close."""
        self._now = now
        if not self._queue and self.state is State.IDLE and not self._held:
            self._finish()
        else:
            self._end_endless()
            self._settle()

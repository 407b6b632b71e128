"""Reads requests off the bytes of one connection; knows no transport.

It drives the connection's state (states.py) as far as that follows from
what the client sends: BEGAN, BODY_COMES, UPLOAD_COMES and COMPLETE are
reported here, from within the parser's callbacks.
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import httptools

from zchat.errors import Code
from zchat.gateway.exchange import Exchange, StreamedRequestBody
from zchat.gateway.limits import Limits
from zchat.gateway.messages import Headers, Refusal, Request, Response, problem
from zchat.gateway.states import IN_A_BODY, Happening, Machine, State

# The parser cannot be paused within what it was given, so it is given
# little at a time where many requests might be in it.
HEAD_SLICE_BYTES: Final = 1024
BODY_SLICE_BYTES: Final = 4096

# A body in chunks of one byte takes six bytes for each.
_CHUNKING_RATIO: Final = 16

# Fields of which two would say two things; all others are lists.
_SINGLE: Final = frozenset(
    (
        b"authorization",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"idempotency-key",
        b"last-event-id",
        b"origin",
        b"range",
        b"transfer-encoding",
        b"x-content-sha256",
    )
)

Judge = Callable[[bytes | None, Headers], Response | None]
UploadLimit = Callable[[str, str], int | None]
NewBody = Callable[[int | None], StreamedRequestBody]


class RequestReader:
    """Turns bytes into requests, and into refusals where they are due.

    `judge` sees each head before its body is read; `deliver` takes each
    request, complete or, where `upload_limit` names a limit in bytes,
    with the body to come, which `new_body` makes for a length in bytes.
    `begun` counts the requests that began to arrive.
    """

    def __init__(
        self,
        limits: Limits,
        machine: Machine,
        judge: Judge,
        upload_limit: UploadLimit,
        new_body: NewBody,
        deliver: Callable[[Exchange], None],
        connection: int = 0,
    ) -> None:
        self._limits = limits
        self._connection = connection
        self._machine = machine
        self._judge = judge
        self._upload_limit = upload_limit
        self._new_body = new_body
        self._deliver = deliver
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: Headers = {}
        self._fed_bytes = 0
        self._feeding_bytes = 0
        self._pieces: list[bytes] = []
        self._body_bytes = 0
        self._body_limit = 0
        self._body_left = 0
        self._arriving: Exchange | None = None
        self.begun = 0
        self.uploading: Exchange | None = None
        self.continue_due = False

    @property
    def method(self) -> str:
        """The method of the request whose body is being read, or ""."""
        return self._arriving.request.method if self._arriving else ""

    @property
    def held_bytes(self) -> int:
        """How many bytes of an unfinished body are kept."""
        return self._body_bytes if self._pieces else 0

    @property
    def expected_bytes(self) -> int:
        """How many bytes of the body may still come."""
        return self._body_left or self._body_limit

    def slice_bytes(self) -> int:
        """How many bytes may be fed before the bounds are looked at."""
        if self._machine.state not in IN_A_BODY:
            return HEAD_SLICE_BYTES
        return max(HEAD_SLICE_BYTES, self._body_left or BODY_SLICE_BYTES)

    def feed(self, data: bytes | memoryview) -> None:
        """Parse the next bytes; raises Refusal, and is then done with."""
        self._feeding_bytes = len(data)
        try:
            while True:
                try:
                    self._parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as upgrade:
                    data = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, Refusal):
                raise error.__context__ from None
            raise Refusal(
                problem(
                    400,
                    Code.BAD_REQUEST,
                    f"This is not valid HTTP/1.1: {error}.",
                )
            ) from None
        if self._machine.state is not State.IDLE:
            self._count_fed()

    def _count_fed(self) -> None:
        """Bound what the parser holds back, and what is no body.

        That is an unfinished head, chunk extensions and trailers.
        """
        self._fed_bytes += self._feeding_bytes
        most = self._limits.head_bytes + HEAD_SLICE_BYTES
        if self._machine.state in IN_A_BODY:
            most += _CHUNKING_RATIO * self._body_bytes + self._body_left
        if self._fed_bytes > most:
            raise self._head_too_large()

    # -- what the parser calls

    def on_message_begin(self) -> None:
        self.begun += 1
        self._machine.happened(Happening.BEGAN)
        self._target = b""
        self._headers = {}
        self._fed_bytes = 0

    def on_url(self, target: bytes) -> None:
        self._target += target
        if len(self._target) > self._limits.target_bytes:
            raise Refusal(
                problem(
                    414,
                    Code.TOO_LARGE,
                    "The URL is too long.",
                    limit=self._limits.target_bytes,
                )
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        headers = self._headers
        if name in headers:
            if name in _SINGLE:
                raise Refusal(
                    problem(
                        400,
                        Code.BAD_REQUEST,
                        "This header may be given only once.",
                        field=name.decode("ascii"),
                    )
                )
            value = headers[name] + b", " + value
        headers[name] = value

    def on_headers_complete(self) -> None:
        parser = self._parser
        headers = self._headers
        if self._fed_bytes + self._feeding_bytes > (
            self._limits.head_bytes
        ) or (len(headers) > self._limits.head_fields):
            self._measure_head()
        version = parser.get_http_version()
        if version != "1.1" and version != "1.0":
            raise Refusal(
                problem(
                    505,
                    Code.BAD_REQUEST,
                    "Only HTTP/1.1 and HTTP/1.0 are supported.",
                )
            )
        old = version == "1.0"
        method = parser.get_method().decode("ascii")
        path, query, host = self._split_target(method, old)
        self._arriving = exchange = Exchange(
            Request(method, path, query, headers, b"", None, self._connection),
            parser.should_keep_alive(),
            old,
        )
        refused = self._judge(host, headers)
        if refused is not None:
            raise Refusal(refused)
        length = headers.get(b"content-length")
        if length is not None or b"transfer-encoding" in headers:
            self._begin_body(exchange, int(length or 0))
        elif method == "CONNECT":
            raise Refusal(
                problem(501, Code.BAD_REQUEST, "CONNECT is not supported.")
            )

    def on_body(self, piece: bytes) -> None:
        size = len(piece)
        self._body_bytes += size
        if self._body_left:
            self._body_left -= size
        if self._body_bytes > self._body_limit:
            raise self._body_too_large()
        if self.uploading is None:
            self._pieces.append(piece)
        elif self.uploading.body is not None:
            self.uploading.body.feed(piece)

    def on_message_complete(self) -> None:
        self._machine.happened(Happening.COMPLETE)
        self.continue_due = False
        exchange, self._arriving = self._arriving, None
        uploading, self.uploading = self.uploading, None
        if uploading is not None and uploading.body is not None:
            uploading.body.finish()
            if not uploading.keep_alive:
                self._machine.happened(Happening.WAS_LAST)
        elif exchange is not None:
            pieces = self._pieces
            if pieces:
                exchange.request = exchange.request.with_body(
                    pieces[0] if len(pieces) == 1 else b"".join(pieces)
                )
                self._pieces = []
            if not exchange.keep_alive:
                self._machine.happened(Happening.WAS_LAST)
            self._deliver(exchange)

    # -- the head

    def _measure_head(self) -> None:
        """Refuse a head that really is too large."""
        size = len(self._target) + sum(
            len(name) + len(value) + 4 for name, value in self._headers.items()
        )
        if size > self._limits.head_bytes or (
            len(self._headers) > self._limits.head_fields
        ):
            raise self._head_too_large()

    def _head_too_large(self) -> Refusal:
        return Refusal(
            problem(
                431,
                Code.TOO_LARGE,
                "The request headers are too large.",
                limit=self._limits.head_bytes,
            )
        )

    def _split_target(
        self, method: str, old: bool
    ) -> tuple[str, str, bytes | None]:
        """Path, query and the authority that the request is meant for."""
        host = self._headers.get(b"host")
        if host is None and not old:
            raise Refusal(
                problem(
                    400,
                    Code.BAD_REQUEST,
                    "HTTP/1.1 requires a Host header.",
                    field="Host",
                )
            )
        target = self._target.decode("latin-1")
        if "#" in target:
            raise Refusal(
                problem(
                    400,
                    Code.BAD_REQUEST,
                    "The target must not contain a fragment (#).",
                )
            )
        if target.startswith("/"):
            path, _, query = target.partition("?")
        elif method == "CONNECT" or (method, target) == ("OPTIONS", "*"):
            path, query = "*", ""
        else:
            path, query, host = _split_absolute(target)
        return path, query, host

    # -- the body

    def _begin_body(self, exchange: Exchange, length: int) -> None:
        """Judge the body before it comes, and open the way for it."""
        self._judge_framing(exchange)
        request = exchange.request
        upload_limit = self._upload_limit(request.method, request.path)
        self._machine.happened(
            Happening.BODY_COMES
            if upload_limit is None
            else Happening.UPLOAD_COMES
        )
        self._headers = {}
        self._fed_bytes = -self._feeding_bytes
        self._body_bytes = 0
        self._body_left = length
        self._body_limit = (
            self._limits.body_bytes if upload_limit is None else upload_limit
        )
        if length > self._body_limit:
            raise self._body_too_large()
        self.continue_due = b"expect" in request.headers and not exchange.old
        if upload_limit is not None:
            is_chunked = b"transfer-encoding" in request.headers
            exchange.body = self._new_body(None if is_chunked else length)
            exchange.request = request.with_stream(exchange.body)
            self.uploading = exchange
            self._deliver(exchange)

    def _judge_framing(self, exchange: Exchange) -> None:
        """Refuse what another server might frame in another way."""
        headers = exchange.request.headers
        coding = headers.get(b"transfer-encoding")
        if coding is not None and (
            exchange.old or coding.lower() != b"chunked"
        ):
            raise Refusal(
                problem(
                    400 if exchange.old else 501,
                    Code.BAD_REQUEST,
                    "The only supported transfer coding is chunked, in "
                    "HTTP/1.1.",
                    field="Transfer-Encoding",
                )
            )
        if self._parser.should_upgrade():
            raise Refusal(
                problem(
                    501,
                    Code.BAD_REQUEST,
                    "A request for an upgrade must not have a body.",
                    field="Upgrade",
                )
            )
        expected = headers.get(b"expect")
        if expected is not None and expected.lower() != b"100-continue":
            raise Refusal(
                problem(
                    417,
                    Code.BAD_REQUEST,
                    "The only supported expectation is 100-continue.",
                    field="Expect",
                )
            )

    def _body_too_large(self) -> Refusal:
        return Refusal(
            problem(
                413,
                Code.TOO_LARGE,
                "The body is too large.",
                limit=self._body_limit,
            )
        )


def _split_absolute(target: str) -> tuple[str, str, bytes]:
    """Path, query and authority of a target in absolute form.

    The authority goes before the Host field (RFC 9112, 3.2.2).
    """
    try:
        split = urlsplit(target)
    except ValueError:
        split = urlsplit("")
    if split.scheme != "http" or not split.netloc:
        raise Refusal(
            problem(
                400,
                Code.BAD_REQUEST,
                "The target must be a path or an http:// URL.",
            )
        )
    return split.path or "/", split.query, split.netloc.encode("latin-1")

"""Requests as the routes see them, answers as the routes give them."""

from collections.abc import AsyncGenerator, AsyncIterator
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec

from zchat.errors import Code, Refused

Headers = dict[bytes, bytes]
Fields = tuple[tuple[str, str], ...]

JSON: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 1
_CHALLENGE: Final[Fields] = (("WWW-Authenticate", "Bearer"),)
_PARAMETERS: Final = frozenset(("status", "code", "detail", "fields"))


class Body(Protocol):
    """A request's body that arrives while it is read, in pieces.

    `length` is what Content-Length says, in bytes, or None. Iteration
    ends with the body; a client that goes away cancels the reader.
    """

    length: int | None

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Sink(Protocol):
    """Where a body is pushed to."""

    @property
    def blocked(self) -> bool:
        """Whether the client does not take what was sent."""

    def send(self, *pieces: bytes) -> None:
        """Write the next bytes."""

    def tell_held(self) -> None:
        """What the body keeps (`held_bytes`) has changed."""

    def end(self) -> None:
        """The body is complete."""


class Pushed(Protocol):
    """A body that is pushed as it comes into being.

    `held_bytes` is what it keeps of its own while the client takes
    nothing, `waiting_bytes` that with what it shares with others.
    """

    @property
    def held_bytes(self) -> int: ...

    @property
    def waiting_bytes(self) -> int: ...

    def begin(self, sink: Sink) -> None:
        """The head is written: `sink` takes the body."""

    def drained(self) -> None:
        """The client takes more, after it was blocked."""

    def closed(self) -> None:
        """Nobody listens any more; called at least once, begun or not."""


class Request(msgspec.Struct, frozen=True):
    """One request; header names are lower case, `path` still encoded.

    `body` is whole. On a route that streams it is empty and `stream`
    brings it. `connection` is the number of the client's.
    """

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes = b""
    stream: Body | None = None
    connection: int = 0

    def with_body(self, body: bytes) -> "Request":
        """The same request with its whole body."""
        return Request(
            self.method,
            self.path,
            self.query,
            self.headers,
            body,
            None,
            self.connection,
        )

    def with_stream(self, stream: Body) -> "Request":
        """The same request with a body that is still coming."""
        return Request(
            self.method,
            self.path,
            self.query,
            self.headers,
            b"",
            stream,
            self.connection,
        )


class Response(msgspec.Struct, frozen=True):
    """One answer; `fields` are header fields beyond the usual ones.

    With `chunks` the body is what they yield, with `push` what is pushed
    into the connection, and `body` is not used; then `length` is its
    size in bytes, or None for a stream that has no end of its own.
    """

    status: int
    body: bytes = b""
    content_type: str = JSON
    fields: Fields = ()
    chunks: AsyncGenerator[bytes, None] | None = None
    length: int | None = None
    push: Pushed | None = None

    @property
    def is_whole(self) -> bool:
        """Whether `body` is all of it."""
        return self.chunks is None and self.push is None

    @property
    def is_endless(self) -> bool:
        """Whether it goes on until one side ends it."""
        return self.length is None and not self.is_whole


class Refusal(Exception):
    """A request that is answered and not served."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def problem(
    status: int, code: Code, detail: str, fields: Fields = (), **members: Any
) -> Response:
    """An error as `application/problem+json` (RFC 9457).

    `members` are added to the standard ones; `retry_after` among them
    becomes a Retry-After field too.
    """
    retry_after = members.get("retry_after")
    if retry_after is None and code is Code.UNAVAILABLE:
        retry_after = members["retry_after"] = RETRY_AFTER_SECONDS
    if isinstance(retry_after, (int, float)):
        fields += (("Retry-After", str(max(1, -int(-retry_after // 1)))),)
    standard = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code.wire,
        "detail": detail,
    }
    document = msgspec.json.encode(standard | members | standard) + b"\n"
    return Response(status, document, PROBLEM_JSON, fields)


def problem_of(refused: Refused) -> Response:
    """The answer for a refusal, with the status that its code has."""
    members = {
        name: value
        for name, value in refused.data.items()
        if name not in _PARAMETERS
    }
    fields = _CHALLENGE if refused.code is Code.UNAUTHORIZED else ()
    return problem(
        refused.code.http, refused.code, refused.message, fields, **members
    )

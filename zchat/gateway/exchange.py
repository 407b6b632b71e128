"""A request and the answer that it gets, from the first to the last byte."""

from typing import Any, Final, Protocol

from zchat.gateway.messages import Body, Fields, Request, Response


class StreamedRequestBody(Body, Protocol):
    """A body that a connection feeds while a route reads it.

    `asked`: the route has begun to read. `full`: it is so far behind
    that the connection should not read on.
    """

    asked: bool

    @property
    def full(self) -> bool: ...

    def feed(self, piece: bytes) -> None: ...

    def finish(self) -> None: ...


HEAD_BYTES: Final = 2048
"""What a request takes up beside its body: head, answer's head, objects."""


class Exchange:
    """One request of a connection; `old` is HTTP/1.0.

    `body` is there on routes that stream. `started` is in the clock's
    seconds. `is_streaming`: the answer's head is out and its body
    follows in pieces, `sent_bytes` so far. `work` is whatever the
    connection's owner has to cancel when nobody waits for the answer.
    """

    __slots__ = (
        "body",
        "cross_origin",
        "is_streaming",
        "keep_alive",
        "old",
        "request",
        "response",
        "sent_bytes",
        "started",
        "work",
    )

    def __init__(
        self,
        request: Request,
        keep_alive: bool,
        old: bool,
        body: StreamedRequestBody | None = None,
    ) -> None:
        self.request = request
        self.keep_alive = keep_alive
        self.old = old
        self.body = body
        self.started = 0.0
        self.cross_origin: Fields = ()
        self.response: Response | None = None
        self.is_streaming = False
        self.sent_bytes = 0
        self.work: Any = None

    @property
    def held_bytes(self) -> int:
        """What it takes up: the request, and an answer that waits."""
        response = self.response
        held = HEAD_BYTES + len(self.request.body)
        return held if response is None else held + len(response.body)

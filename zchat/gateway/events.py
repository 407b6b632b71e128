"""The caller's events as `text/event-stream`, decrypted and resumable.

A stream is a device (zchat/client/device.py) whose events are written out
as they are delivered: each message once and in order, whatever was lost
on the way. Each event's id is the place that the stream has reached in
every chat, together with the store's epoch, so a client resumes with the
id alone. An id of another epoch counts messages that are no more: then,
and whenever the epoch changes under an open stream, the client is told to
forget what it has (`reset`).
"""

import time
from secrets import token_urlsafe
from typing import Final

import msgspec

from zchat.client.session import Cursors
from zchat.errors import Code, Refused
from zchat.gateway.binding import Binding, Call, json_answer
from zchat.gateway.calls import Caller
from zchat.gateway.event_ids import cursors_of
from zchat.gateway.event_stream import EventStream
from zchat.gateway.feed import EventFeed
from zchat.gateway.messages import Request, Response
from zchat.gateway.paced_link import PacedLink
from zchat.gateway.router import Values
from zchat.gateway.shared_text import SharedTexts
from zchat.gateway.tickets import Tickets
from zchat.rpc import HEARTBEAT_SECONDS, results
from zchat.rpc.methods import METHOD_BY_NAME, TOKEN, Route

EVENT_STREAM: Final = "text/event-stream"
_LAST_ID: Final = "last_event_id"
_TICKET: Final = "ticket"
_EVENTS: Final = Route("GET", "/events", {"user_id": TOKEN})
_EVENTS_TICKET: Final = Route("POST", "/events/ticket", {"user_id": TOKEN})


class EventStreams:
    """Serves `GET /events`: each stream is a device of its caller.

    `link` is for the streams alone. At most `limit` are open at a time.
    `heartbeat_seconds` is the broker's, once it has told.
    """

    def __init__(self, caller: Caller, link: PacedLink, limit: int) -> None:
        self._caller = caller
        self._link = link
        self._limit = limit
        self._feed = EventFeed()
        self.texts = SharedTexts()
        self._tickets = Tickets(time.monotonic, lambda: token_urlsafe(24))
        self._sync = Binding(METHOD_BY_NAME["sync"], _EVENTS)
        self._status = Binding(METHOD_BY_NAME["status"], _EVENTS_TICKET)
        self.heartbeat_seconds: float = HEARTBEAT_SECONDS
        self.open = 0

    async def ticket(self, request: Request, values: Values) -> Response:
        """Give a ticket for one stream of the caller."""
        call = self._status.call(request, values)
        _refuse_unknown(call)
        await self._caller.check_claim(call)
        status = await self._caller.ask("status", call.wire(), may_repeat=True)
        ticket = self._tickets.issue(status["user"]["id"], str(call.token))
        return json_answer(ticket)

    async def serve(self, request: Request, values: Values) -> Response:
        """Begin a stream now, or where an earlier one broke off."""
        call = self._sync.call(request, values)
        header = request.headers.get(b"last-event-id")
        given = call.params.pop(_LAST_ID, None)
        last_id = header.decode("latin-1") if header else given
        self._redeem_ticket(call)
        _refuse_unknown(call)
        await self._caller.check_claim(call)
        return Response(
            200,
            content_type=EVENT_STREAM,
            fields=(("X-Accel-Buffering", "no"),),
            push=await self._stream(call, last_id),
        )

    def _redeem_ticket(self, call: Call) -> None:
        """Let a ticket stand for the token."""
        ticket = call.params.pop(_TICKET, None)
        if ticket is None:
            return
        if call.token is not None:
            raise Refused(
                Code.BAD_REQUEST,
                "A ticket and a token were given. Give one of them.",
                field=_TICKET,
            )
        call.token = self._tickets.redeem(str(ticket))

    async def _stream(self, call: Call, last_id: object) -> EventStream:
        """A new stream; its place is taken before it waits for anything."""
        if self.open >= self._limit:
            raise Refused(
                Code.UNAVAILABLE,
                f"{self._limit} event streams are open. Try again later.",
                retry_after=10,
            )
        self.open += 1
        try:
            user_id = await self._caller.user_id(call.token)
            answer = await self._caller.ask(
                "sync", call.wire(), may_repeat=True
            )
            sync = msgspec.convert(answer, results.Sync)
            return EventStream(
                self._link,
                self._feed,
                self.texts,
                str(call.token),
                user_id,
                self.heartbeat_seconds,
                sync,
                _cursors(sync, last_id),
                self._ended,
            )
        except BaseException:
            self.open -= 1
            raise

    def _ended(self) -> None:
        self.open -= 1


def _cursors(sync: results.Sync, last_id: object) -> Cursors | None:
    """Where an event id says that a stream is resumed."""
    if not last_id:
        return None
    try:
        return cursors_of(str(last_id), [chat.id for chat in sync.chats])
    except ValueError:
        raise Refused(
            Code.BAD_REQUEST,
            "Last-Event-ID must be an id from this stream.",
            field="Last-Event-ID",
        ) from None


def _refuse_unknown(call: Call) -> None:
    for name in call.params:
        raise Refused(
            Code.BAD_REQUEST,
            f"Unknown parameter `{name}`. Leave it out.",
            field=name,
        )

"""The caller's events as `text/event-stream`, decrypted and resumable.

A stream is a device (zchat/client/device.py) whose events are written out
as they are delivered: each message once and in order, whatever was lost
on the way. Each event's id is the place that the stream has reached in
every chat, together with the store's epoch, so a client resumes with the
id alone. An id of another epoch counts messages that are no more: then,
and whenever the epoch changes under an open stream, the client is told to
forget what it has (`reset`) and the stream begins again at the heads.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from secrets import token_urlsafe
from typing import Final

import msgspec

from zchat.client.connection import Link
from zchat.client.device import Device
from zchat.client.session import (
    CaughtUp,
    Cursors,
    Event,
    Session,
)
from zchat.errors import Code, Refused
from zchat.gateway.binding import Binding, Call, json_answer
from zchat.gateway.calls import Caller
from zchat.gateway.event_ids import Places, cursors_of
from zchat.gateway.messages import Request, Response
from zchat.gateway.router import Values
from zchat.gateway.stream_text import (
    Heartbeat,
    Open,
    Reset,
    event_text,
    opening_text,
    own_text,
)
from zchat.gateway.tickets import Tickets
from zchat.rpc import HEARTBEAT_SECONDS
from zchat.rpc.events import ChatAdded, MessageSent
from zchat.rpc.methods import METHOD_BY_NAME, TOKEN, Route

EVENT_STREAM: Final = "text/event-stream"
_SILENCE_SECONDS: Final = 15.0
_LAST_ID: Final = "last_event_id"
_TICKET: Final = "ticket"
_EVENTS: Final = Route("GET", "/events", {"user_id": TOKEN})
_EVENTS_TICKET: Final = Route("POST", "/events/ticket", {"user_id": TOKEN})


class Beginning(msgspec.Struct, frozen=True):
    """Where a stream begins: the epoch, and the cursors to resume from.

    `cursors` None begins at the heads. `is_reset`: the client came with
    an id of another epoch.
    """

    epoch: str
    cursors: dict[str, int] | None = None
    is_reset: bool = False


class EventStreams:
    """Serves `GET /events`: each stream is a device of its caller.

    At most `limit` are open at a time. `heartbeat_seconds` is the
    broker's, once it has told.
    """

    def __init__(self, caller: Caller, link: Link, limit: int) -> None:
        self._caller = caller
        self._link = link
        self._limit = limit
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
        user_id = await self._caller.user_id(call.token)
        chunks = self._stream(call, user_id, last_id)
        await anext(chunks)
        return Response(
            200,
            content_type=EVENT_STREAM,
            fields=(("X-Accel-Buffering", "no"),),
            chunks=chunks,
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

    async def _beginning(self, call: Call, last_id: object) -> Beginning:
        """Where the store and an event id say that a stream begins."""
        sync = await self._caller.ask("sync", call.wire(), may_repeat=True)
        epoch = sync["epoch"]
        if not last_id:
            return Beginning(epoch)
        try:
            cursors = cursors_of(
                str(last_id), epoch, [chat["id"] for chat in sync["chats"]]
            )
        except ValueError:
            raise Refused(
                Code.BAD_REQUEST,
                "Last-Event-ID must be an id from this stream.",
                field="Last-Event-ID",
            ) from None
        return Beginning(epoch, cursors, is_reset=cursors is None)

    async def _stream(
        self, call: Call, user_id: str, last_id: object
    ) -> AsyncGenerator[bytes, None]:
        """The stream; its first, empty chunk says that it may begin.

        Its place is taken before it waits for anything. Once begun, it
        gives the place back whether or not anybody reads on: a
        generator that is dropped is closed by its loop.
        """
        if self.open >= self._limit:
            raise Refused(
                Code.UNAVAILABLE,
                f"{self._limit} event streams are open. Try again later.",
                retry_after=10,
            )
        self.open += 1
        try:
            beginning = await self._beginning(call, last_id)
            yield b""
            epoch, cursors = beginning.epoch, beginning.cursors
            yield opening_text(
                Open(user_id, epoch, resumed=cursors is not None),
                beginning.is_reset,
            )
            while epoch:
                device = Device(
                    self._link,
                    str(call.token),
                    Session(
                        user_id,
                        self.heartbeat_seconds,
                        cursors=None
                        if cursors is None
                        else Cursors.of(epoch, cursors),
                    ),
                )
                events = _events(device, epoch, cursors)
                async with aclosing(events):
                    async for chunk in events:
                        yield chunk
                epoch = _epoch_after(device, epoch)
                cursors = None
                if epoch:
                    yield own_text(Reset(epoch))
        finally:
            self.open -= 1


def _refuse_unknown(call: Call) -> None:
    for name in call.params:
        raise Refused(
            Code.BAD_REQUEST,
            f"Unknown parameter `{name}`. Leave it out.",
            field=name,
        )


def _epoch_after(device: Device, epoch: str) -> str:
    """The epoch to begin again in; empty if the stream is over."""
    if device.epoch in (None, epoch):
        return ""
    return str(device.epoch)


async def _events(
    device: Device, epoch: str, cursors: dict[str, int] | None
) -> AsyncGenerator[bytes, None]:
    """What a device delivers, until it fails or the epoch changes."""
    places = None if cursors is None else Places(epoch, cursors)
    try:
        while True:
            event = await _next_event(device)
            if device.epoch not in (None, epoch):
                return
            if event is None:
                yield own_text(Heartbeat(epoch))
                continue
            if isinstance(event, CaughtUp):
                places = Places(epoch, device.cursors().seqs)
            elif places is not None:
                _follow(places, event)
            yield event_text(event, places.text if places else "")
    except Refused:
        return
    finally:
        device.close()


def _follow(places: Places, event: Event) -> None:
    """Keep the places in step with what is sent."""
    match event:
        case MessageSent(chat_id=chat_id, seq=seq):
            places.move(chat_id, seq)
        case ChatAdded(chat_id=chat_id):
            places.add(chat_id)


async def _next_event(device: Device) -> Event | None:
    """The next event, or None after a time of silence."""
    try:
        async with asyncio.timeout(_SILENCE_SECONDS):
            return await device.next_event()
    except TimeoutError:
        return None

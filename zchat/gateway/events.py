"""The caller's events as `text/event-stream`, decrypted and resumable."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Final

import msgspec

from zchat.client.connection import Link
from zchat.client.device import Device
from zchat.client.session import (
    CaughtUp,
    Event,
    MessageEvent,
    Notice,
    Session,
)
from zchat.errors import Code, Refused
from zchat.gateway.binding import Binding, Call
from zchat.gateway.calls import Caller
from zchat.gateway.messages import Request, Response
from zchat.gateway.router import Values
from zchat.rpc import HEARTBEAT_SECONDS
from zchat.rpc.methods import METHOD_BY_NAME, TOKEN, Route

EVENT_STREAM: Final = "text/event-stream"
_SILENCE_SECONDS: Final = 15.0
_BEGIN: Final = b"retry: 2000\n\n"
_STILL_HERE: Final = b": still here\n\n"
_LAST_ID: Final = "last_event_id"
_ROUTE: Final = Route("GET", "/events", {"user_id": TOKEN})

# A place takes 11 bytes, so an id stays below the limit on a header.
_CHAT_BYTES: Final = 6
_SEQ_BYTES: Final = 5
_PLACE_BYTES: Final = _CHAT_BYTES + _SEQ_BYTES
_MOST_PLACES: Final = 1000


class Places:
    """How far a stream has come in each chat; its text is the event id.

    Of a chat's id the last bytes stand for it: they are random, and a
    user's chats are few.
    """

    def __init__(self, seq_by_chat: Mapping[str, int]) -> None:
        self._bytes = bytearray()
        self._offset_of: dict[bytes, int] = {}
        for chat_id, seq in seq_by_chat.items():
            self.move(chat_id, seq)

    def move(self, chat_id: str, seq: int) -> None:
        """The chat's events have been sent up to `seq`."""
        short = _short(chat_id)
        offset = self._offset_of.setdefault(short, len(self._bytes))
        self._bytes[offset : offset + _PLACE_BYTES] = short + seq.to_bytes(
            _SEQ_BYTES, "big"
        )

    def add(self, chat_id: str) -> None:
        """The chat was told of; a place that it has is kept."""
        if _short(chat_id) not in self._offset_of:
            self.move(chat_id, 0)

    @property
    def text(self) -> str:
        """The id of the last event sent; empty when it would be too long."""
        if len(self._offset_of) > _MOST_PLACES:
            return ""
        return urlsafe_b64encode(self._bytes).decode("ascii")


def cursors_of(text: str, chat_ids: Iterable[str]) -> dict[str, int]:
    """The cursors in an event id, of those chats; raises ValueError.

    Chats that are not in it came later: they have no cursor.
    """
    data = urlsafe_b64decode(text.encode("ascii"))
    if not data or len(data) % _PLACE_BYTES:
        raise ValueError("not an event id")
    seq_by_short = {
        data[start : start + _CHAT_BYTES]: int.from_bytes(
            data[start + _CHAT_BYTES : start + _PLACE_BYTES], "big"
        )
        for start in range(0, len(data), _PLACE_BYTES)
    }
    return {
        chat_id: seq_by_short[_short(chat_id)]
        for chat_id in chat_ids
        if _short(chat_id) in seq_by_short
    }


def _short(chat_id: str) -> bytes:
    return bytes.fromhex(chat_id.replace("-", ""))[-_CHAT_BYTES:]


class EventStreams:
    """Serves `GET /events`: each stream is a device of its caller.

    At most `limit` are open at a time. `heartbeat_seconds` is the
    broker's, once it has told.
    """

    def __init__(self, caller: Caller, link: Link, limit: int) -> None:
        self._caller = caller
        self._link = link
        self._limit = limit
        self._binding = Binding(METHOD_BY_NAME["sync"], _ROUTE)
        self.heartbeat_seconds: float = HEARTBEAT_SECONDS
        self.open = 0

    async def serve(self, request: Request, values: Values) -> Response:
        """Begin a stream now, or where an earlier one broke off."""
        call = self._binding.call(request, values)
        header = request.headers.get(b"last-event-id")
        given = call.params.pop(_LAST_ID, None)
        last_id = header.decode("latin-1") if header else given
        if call.params:
            name = next(iter(call.params))
            raise Refused(
                Code.BAD_REQUEST,
                f"{name} is unknown here; leave it out.",
                field=name,
            )
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

    async def _cursors(self, call: Call, last_id: object) -> dict[str, int]:
        sync = await self._caller.ask("sync", call.wire(), may_repeat=True)
        try:
            return cursors_of(
                str(last_id), [chat["id"] for chat in sync["chats"]]
            )
        except ValueError:
            raise Refused(
                Code.BAD_REQUEST,
                "Last-Event-ID must be an id that this stream gave.",
                field="Last-Event-ID",
            ) from None

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
                f"{self._limit} event streams are open; try again later.",
                retry_after=10,
            )
        self.open += 1
        try:
            cursors = await self._cursors(call, last_id) if last_id else None
            yield b""
            async with aclosing(
                self._events(str(call.token), user_id, cursors)
            ) as events:
                async for chunk in events:
                    yield chunk
        finally:
            self.open -= 1

    async def _events(
        self, token: str, user_id: str, cursors: dict[str, int] | None
    ) -> AsyncGenerator[bytes, None]:
        places = None if cursors is None else Places(cursors)
        device = Device(
            self._link,
            token,
            Session(user_id, self.heartbeat_seconds, cursors=cursors),
        )
        try:
            yield _BEGIN
            while True:
                event = await _next_event(device)
                if event is None:
                    yield _STILL_HERE
                    continue
                if isinstance(event, CaughtUp):
                    places = Places(device.cursors())
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
        case MessageEvent(chat_id, message):
            places.move(chat_id, message.seq)
        case Notice("chat_added", str(chat_id)):
            places.add(chat_id)


async def _next_event(device: Device) -> Event | None:
    """The next event, or None after a time of silence."""
    try:
        async with asyncio.timeout(_SILENCE_SECONDS):
            return await device.next_event()
    except TimeoutError:
        return None


def event_text(event: Event, id: str) -> bytes:
    """One event on the stream; `id` is where to resume, if known."""
    match event:
        case MessageEvent(chat_id, message):
            name = "message"
            data = {
                "event": name,
                "chat_id": chat_id,
                "seq": message.seq,
                "message": message,
            }
        case Notice(name, chat_id, fields):
            data = {"event": name, "chat_id": chat_id, **fields}
        case _:
            name = "caught_up"
            data = {"event": name}
    head = b"id: %b\n" % id.encode() if id else b""
    return b"event: %b\n%bdata: %b\n\n" % (
        name.encode(),
        head,
        msgspec.json.encode(data),
    )

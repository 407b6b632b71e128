"""The text of the event stream: what `GET /events` writes.

The events of chats and inboxes travel as they are
(docs/reference/events.md); the four here are about the stream itself.
"""

from typing import Final

import msgspec

from zchat.client.session import CaughtUp, Event, Missed, Notice, Restored
from zchat.rpc import events

RETRY_MILLISECONDS: Final = 2000
END: Final = b"\n\n"
_NAME: Final = "event"


class Open(msgspec.Struct, frozen=True, tag="open", tag_field=_NAME):
    """The first event: whose stream it is, and where it begins.

    `resumed` true: after the event whose id was given, with all that
    came since. False: now, at the newest message of every chat.
    """

    user_id: str
    epoch: str
    resumed: bool


class CaughtUpText(
    msgspec.Struct, frozen=True, tag="caught_up", tag_field=_NAME
):
    """All that was sent before the stream began, or was interrupted, came.

    What follows comes as it happens. Its `id` is the first that can be
    resumed from where `open` was not `resumed`.
    """


class Reset(msgspec.Struct, frozen=True, tag="reset", tag_field=_NAME):
    """The store was restored: forget what you have, and saved ids too.

    The messages that it counts as unread follow.
    """

    epoch: str


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat", tag_field=_NAME):
    """Nothing happened for 15 seconds, and the stream is alive."""

    epoch: str


class MissedText(msgspec.Struct, frozen=True, tag="missed", tag_field=_NAME):
    """Events were lost between the broker and the gateway.

    Ask again for the chat's members and the names of its authors; with
    `chat_id` null, for scheduled messages and join requests. Messages
    are never missed.
    """

    chat_id: str | None


STREAM_EVENTS: Final[tuple[type[msgspec.Struct], ...]] = (
    Open,
    CaughtUpText,
    Reset,
    Heartbeat,
    MissedText,
)
"""The events that only the stream has."""
HANDLED_HERE: Final = (events.Head, events.InboxHead, events.KeyChanged)
"""The events that the gateway acts on and does not pass on."""


StreamEvent = Open | CaughtUpText | Reset | Heartbeat | MissedText


def opening_text(opening: Open) -> bytes:
    """How a stream begins."""
    return b"retry: %d\n\n" % RETRY_MILLISECONDS + own_text(opening)


def own_text(event: StreamEvent) -> bytes:
    """An event of the stream itself."""
    name = str(event.__struct_config__.tag)
    return _head(name, "") + msgspec.json.encode(event) + END


def event_text(event: Event, id: str) -> bytes:
    """One event of the caller's; `id` is where to resume, if known."""
    return event_head(event, id) + event_json(event) + END


def event_head(event: Event, id: str) -> bytes:
    """The text of an event up to its JSON."""
    match event:
        case events.Event():
            return _head(events.name_of(type(event)), id)
        case Notice(name):
            return _head(name, id)
        case Missed():
            return _head("missed", id)
        case CaughtUp():
            return _head("caught_up", id)
        case Restored():
            return _head("reset", "")


def event_json(event: Event) -> bytes:
    """An event as JSON, which is the same on every stream."""
    match event:
        case events.Event():
            return msgspec.json.encode(event)
        case Notice(name, chat_id, fields):
            return msgspec.json.encode(
                {_NAME: name, "chat_id": chat_id, **fields}
            )
        case Missed(chat_id):
            return msgspec.json.encode(MissedText(chat_id))
        case CaughtUp():
            return msgspec.json.encode(CaughtUpText())
        case Restored(epoch):
            return msgspec.json.encode(Reset(epoch))


def _head(name: str, id: str) -> bytes:
    return b"event: %b\n%bdata: " % (
        name.encode(),
        b"id: %b\n" % id.encode() if id else b"",
    )

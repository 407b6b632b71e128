"""The text of the event stream: what `GET /events` writes.

The events of chats and inboxes travel as they are
(docs/reference/events.md); the four here are about the stream itself.
"""

from typing import Final

import msgspec

from zchat.client.session import CaughtUp, Event, Missed, Notice, Restored
from zchat.rpc import events

RETRY_MILLISECONDS: Final = 2000
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

    The stream goes on at the newest message of every chat.
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


STREAM_EVENTS: Final = (Open, CaughtUpText, Reset, Heartbeat, MissedText)
"""The events that only the stream has."""


def opening_text(opening: Open, is_reset: bool) -> bytes:
    """How a stream begins; with `is_reset` the given id is of no use."""
    text = b"retry: %d\n\n" % RETRY_MILLISECONDS + own_text(opening)
    return text + own_text(Reset(opening.epoch)) if is_reset else text


def own_text(
    event: Open | CaughtUpText | Reset | Heartbeat | MissedText, id: str = ""
) -> bytes:
    """An event of the stream itself."""
    return _text(str(event.__struct_config__.tag), event, id)


def event_text(event: Event, id: str) -> bytes:
    """One event of the caller's; `id` is where to resume, if known."""
    match event:
        case events.Event():
            return _text(events.name_of(type(event)), event, id)
        case Notice(name, chat_id, fields):
            data = {_NAME: name, "chat_id": chat_id, **fields}
            return _text(name, data, id)
        case Missed(chat_id):
            return own_text(MissedText(chat_id), id)
        case Restored(epoch):
            return own_text(Reset(epoch))
        case CaughtUp():
            return own_text(CaughtUpText(), id)


def _text(name: str, data: object, id: str) -> bytes:
    return b"event: %b\n%bdata: %b\n\n" % (
        name.encode(),
        b"id: %b\n" % id.encode() if id else b"",
        msgspec.json.encode(data),
    )

"""What a client is told of, as frozen values: one class per event.

The session tells of events in the form of the wire; here they become what
a program takes: a class to match on, with datetimes and values of
`zchat.client.values`. Brokers may send events that this client does not
know; they come as `OtherEvent`.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import Struct

from zchat.client import session
from zchat.client.session import CaughtUp, Missed, Restored
from zchat.client.values import Message, Person
from zchat.rpc import events as wire

__all__ = [
    "Banned",
    "CaughtUp",
    "ChatAdded",
    "ChatRemoved",
    "ChatRenamed",
    "Event",
    "Expired",
    "JoinAnswered",
    "JoinDecided",
    "JoinRequested",
    "MemberJoined",
    "MemberLeft",
    "MemberRenamed",
    "Mentioned",
    "MessageChanged",
    "Missed",
    "MessageEvent",
    "OtherEvent",
    "OwnerChanged",
    "ReadMoved",
    "Renamed",
    "Restored",
    "RoleChanged",
    "ScheduledChanged",
    "ScheduledFailed",
    "ScheduledSent",
    "Seen",
    "SettingsChanged",
    "Typing",
    "event_of",
]


class MessageEvent(Struct, frozen=True):
    """A message of a chat, once, and in the order of `message.seq`."""

    chat_id: str
    message: Message


class MessageChanged(Struct, frozen=True):
    """A message was edited, deleted or reacted to; this is what it is."""

    chat_id: str
    message: Message


class MemberJoined(Struct, frozen=True):
    "A user joined the chat."

    chat_id: str
    user: Person


class MemberLeft(Struct, frozen=True):
    """A user left the chat or was removed from it."""

    chat_id: str
    user: Person


class MemberRenamed(Struct, frozen=True):
    """A member has another name: so have their messages and p2p chats."""

    chat_id: str
    user: Person


class OwnerChanged(Struct, frozen=True):
    """The group has another owner."""

    chat_id: str
    owner_id: str


class Typing(Struct, frozen=True):
    """A member is writing something."""

    chat_id: str
    user: Person


class Seen(Struct, frozen=True):
    """Another member has read up to `seq`."""

    chat_id: str
    user_id: str
    seq: int


class ChatRenamed(Struct, frozen=True):
    "The chat was renamed."

    chat_id: str
    name: str


class Expired(Struct, frozen=True):
    """The messages up to `seq` were deleted by their age."""

    chat_id: str
    seq: int


class ChatAdded(Struct, frozen=True):
    "The user joined a chat."

    chat_id: str
    name: str
    kind: str
    title: str


class ChatRemoved(Struct, frozen=True):
    """The user is no longer in this chat."""

    chat_id: str


class ReadMoved(Struct, frozen=True):
    """One of the user's devices moved the read position to `seq`."""

    chat_id: str
    seq: int


class Mentioned(Struct, frozen=True):
    """A message mentions the user; with `on` False, no longer."""

    chat_id: str
    message_id: str
    seq: int
    on: bool


class Banned(Struct, frozen=True):
    """The user was banned until this time; None: the ban was lifted."""

    until: datetime | None


class RoleChanged(Struct, frozen=True):
    """The user is now a `member`, `moderator` or `admin`."""

    role: str


class SettingsChanged(Struct, frozen=True):
    """One of the user's devices changed the settings."""

    receipts: bool


class Renamed(Struct, frozen=True):
    """The user has another name; `Client.name` is the new one already."""

    name: str


class ScheduledSent(Struct, frozen=True):
    """A scheduled message was sent as `message_id`, at `seq`."""

    id: str
    chat_id: str
    message_id: str
    seq: int


class ScheduledFailed(Struct, frozen=True):
    """A scheduled message could not be sent; `error` is the code."""

    id: str
    chat_id: str
    error: str


class ScheduledChanged(Struct, frozen=True):
    """A message was scheduled (`pending`) or `cancelled`."""

    id: str
    state: str


class JoinRequested(Struct, frozen=True):
    """A user asks to come into a group of which the caller is the owner."""

    chat_id: str
    user: Person


class JoinAnswered(Struct, frozen=True):
    """One of the owner's devices let somebody in, or turned them away."""

    chat_id: str
    user_id: str


class JoinDecided(Struct, frozen=True):
    """The owner approved or denied; `chat_id` is the group if approved."""

    chat_id: str | None
    link_id: str
    approved: bool


class OtherEvent(Struct, frozen=True):
    """An event that this client does not know, with its fields."""

    name: str
    chat_id: str | None
    data: Mapping[str, Any]


Event = (
    MessageEvent
    | MessageChanged
    | MemberJoined
    | MemberLeft
    | MemberRenamed
    | OwnerChanged
    | Typing
    | Seen
    | ChatRenamed
    | Expired
    | ChatAdded
    | ChatRemoved
    | ReadMoved
    | Mentioned
    | Banned
    | Renamed
    | RoleChanged
    | SettingsChanged
    | ScheduledSent
    | ScheduledFailed
    | ScheduledChanged
    | JoinRequested
    | JoinAnswered
    | JoinDecided
    | CaughtUp
    | Missed
    | Restored
    | OtherEvent
)

CLASS_OF: Final[Mapping[type[wire.Event], type[Struct]]] = {
    wire.MessageSent: MessageEvent,
    wire.MessageChanged: MessageChanged,
    wire.MemberJoined: MemberJoined,
    wire.MemberLeft: MemberLeft,
    wire.MemberRenamed: MemberRenamed,
    wire.OwnerChanged: OwnerChanged,
    wire.Typing: Typing,
    wire.Seen: Seen,
    wire.ChatRenamed: ChatRenamed,
    wire.Expired: Expired,
    wire.ChatAdded: ChatAdded,
    wire.ChatRemoved: ChatRemoved,
    wire.Read: ReadMoved,
    wire.Mentioned: Mentioned,
    wire.Banned: Banned,
    wire.Renamed: Renamed,
    wire.RoleChanged: RoleChanged,
    wire.SettingsChanged: SettingsChanged,
    wire.ScheduledSent: ScheduledSent,
    wire.ScheduledFailed: ScheduledFailed,
    wire.ScheduledChanged: ScheduledChanged,
    wire.JoinRequested: JoinRequested,
    wire.JoinAnswered: JoinAnswered,
    wire.JoinDecided: JoinDecided,
}
"""The class of each event of the wire that reaches the program."""


def event_of(told: session.Event) -> Event:
    """What the program gets for what the session told."""
    match told:
        case wire.Event():
            return _of_the_wire(told)
        case session.Notice(name, chat_id, data):
            return OtherEvent(name, chat_id, _frozen(data))
        case _:
            return told


def _of_the_wire(told: wire.Event) -> Event:
    try:
        found: Any = msgspec.convert(
            told, CLASS_OF[type(told)], from_attributes=True
        )
    except msgspec.ValidationError:
        data = msgspec.to_builtins(told)
        return OtherEvent(
            data.pop("event"), data.pop("chat_id", None), _frozen(data)
        )
    return found  # type: ignore[no-any-return]


def _frozen(value: Any) -> Any:
    """The value, read-only all the way down."""
    match value:
        case dict():
            return MappingProxyType(
                {name: _frozen(each) for name, each in value.items()}
            )
        case list():
            return tuple(_frozen(each) for each in value)
        case _:
            return value

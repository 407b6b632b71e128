"""Every event of the wire: one typed struct each.

The rules tell these structs; the codec packs them with their name under
`event`; the reference in `docs/` and the tests are read off their
fields. A client decodes a body with `decode_event`, which ignores what
it does not know.

Two counts tell a client that it missed something. An event of a chat
carries the `revision` that it made, an event of an inbox its `inbox`;
each is one more than that of the event before. Both are filled in when
the event is told. Messages count by `seq` instead, and what is gone as
soon as it was seen (`typing`, `seen`, and the heads) does not count.
"""

from typing import Annotated, Any, Final, Union

import msgspec
from msgspec import Meta, Struct

from zchat.rpc.results import Message, Moment, Person

_ChatId = Annotated[str, Meta(description="The chat.")]
_User = Annotated[Person, Meta(description="Id and name.")]
_Scheduled = Annotated[str, Meta(description="The scheduled message.")]


class Event(Struct, frozen=True, kw_only=True, tag_field="event", gc=False):
    """The base of all; fields may be added, never taken away."""


class ChatEvent(Event, frozen=True, kw_only=True, gc=False):
    """Something in one chat, for all who are in it."""

    chat_id: _ChatId


class CountedEvent(ChatEvent, frozen=True, kw_only=True, gc=False):
    """Something that a chat counts by its `revision`."""

    revision: Annotated[
        int, Meta(description="The revision of the chat that this made.")
    ] = 0


class InboxEvent(Event, frozen=True, kw_only=True, gc=False):
    """Something for all devices of one user."""

    inbox: Annotated[
        int, Meta(description="The count of the inbox that this made.")
    ] = 0


# Events of a chat


class MessageSent(ChatEvent, frozen=True, tag="message", gc=False):
    """A message was sent."""

    seq: Annotated[int, Meta(description="Its place in the chat.")]
    message: Annotated[Message, Meta(description="The whole MESSAGE.")]


class MessageChanged(
    CountedEvent, frozen=True, tag="message_changed", gc=False
):
    """A message was edited, deleted or reacted to."""

    message: Annotated[
        Message, Meta(description="The whole MESSAGE as it is now.")
    ]


class MemberJoined(CountedEvent, frozen=True, tag="member_joined", gc=False):
    """A user came into the chat."""

    user: _User


class MemberLeft(CountedEvent, frozen=True, tag="member_left", gc=False):
    """A user left or was removed."""

    user: _User


class MemberRenamed(CountedEvent, frozen=True, tag="member_renamed", gc=False):
    """A member has another name: so have their messages and p2p chats."""

    user: Annotated[Person, Meta(description="Id and the new name.")]


class ChatRenamed(CountedEvent, frozen=True, tag="chat_renamed", gc=False):
    """The chat has another name."""

    name: Annotated[str, Meta(description="The new name.")]


class OwnerChanged(CountedEvent, frozen=True, tag="owner_changed", gc=False):
    """The group has another owner."""

    owner_id: Annotated[str, Meta(description="The new owner.")]


class KeyChanged(CountedEvent, frozen=True, tag="key_changed", gc=False):
    """The event key changed: call sync."""


class Expired(CountedEvent, frozen=True, tag="expired", gc=False):
    """Messages were deleted by their age."""

    seq: Annotated[int, Meta(description="All up to it are gone.")]


class Head(ChatEvent, frozen=True, tag="head", gc=False):
    """Both counts of the chat, 1, 5 and 30 s after its last event."""

    seq: Annotated[int, Meta(description="Its newest message.")]
    revision: Annotated[int, Meta(description="Its newest revision.")]


class Typing(ChatEvent, frozen=True, tag="typing", gc=False):
    """A member is writing something."""

    user: _User


class Seen(ChatEvent, frozen=True, tag="seen", gc=False):
    """A member has read up to a message; groups of at most 100 only."""

    user_id: Annotated[str, Meta(description="Who.")]
    seq: Annotated[int, Meta(description="Read up to here.")]


# Events of an inbox


class ChatAdded(InboxEvent, frozen=True, tag="chat_added", gc=False):
    """The user is now in this chat."""

    chat_id: _ChatId
    name: Annotated[str, Meta(description="Its name; `p2p` for a p2p chat.")]
    title: Annotated[str, Meta(description="What a person is shown.")]
    kind: Annotated[str, Meta(description="`common`, `p2p` or `group`.")]


class ChatRemoved(InboxEvent, frozen=True, tag="chat_removed", gc=False):
    """The user is no longer in it."""

    chat_id: _ChatId


class Read(InboxEvent, frozen=True, tag="read", gc=False):
    """A device moved the read position."""

    chat_id: _ChatId
    seq: Annotated[int, Meta(description="The position.")]


class Mentioned(InboxEvent, frozen=True, tag="mentioned", gc=False):
    """A message mentions the user, or does so no longer."""

    chat_id: _ChatId
    message_id: Annotated[str, Meta(description="The message.")]
    seq: Annotated[int, Meta(description="Its place in the chat.")]
    on: Annotated[
        bool,
        Meta(description="False: it was edited or deleted, and does not now."),
    ]


class Banned(InboxEvent, frozen=True, tag="banned", gc=False):
    """The user was banned, or a ban was lifted."""

    until: Annotated[
        Moment | None, Meta(description="The end of the ban; null: lifted.")
    ]


class Renamed(InboxEvent, frozen=True, tag="renamed", gc=False):
    """The user has another name."""

    name: Annotated[str, Meta(description="The new name.")]


class RoleChanged(InboxEvent, frozen=True, tag="role_changed", gc=False):
    """The user has another role."""

    role: Annotated[str, Meta(description="`member`, `moderator` or `admin`.")]


class SettingsChanged(
    InboxEvent, frozen=True, tag="settings_changed", gc=False
):
    """A device changed the user's settings."""

    receipts: Annotated[
        bool, Meta(description="Whether others see how far the user read.")
    ]


class ScheduledSent(InboxEvent, frozen=True, tag="scheduled_sent", gc=False):
    """A scheduled message was sent."""

    id: _Scheduled
    chat_id: _ChatId
    message_id: Annotated[str, Meta(description="The message.")]
    seq: Annotated[int, Meta(description="Its place in the chat.")]


class ScheduledFailed(
    InboxEvent, frozen=True, tag="scheduled_failed", gc=False
):
    """A scheduled message could not be sent."""

    id: _Scheduled
    chat_id: _ChatId
    error: Annotated[str, Meta(description="The error code.")]


class ScheduledChanged(
    InboxEvent, frozen=True, tag="scheduled_changed", gc=False
):
    """A message was scheduled or cancelled."""

    id: _Scheduled
    state: Annotated[str, Meta(description="`pending` or `cancelled`.")]


class JoinRequested(InboxEvent, frozen=True, tag="join_requested", gc=False):
    """Somebody asks the owner to join a group."""

    chat_id: _ChatId
    user: _User


class JoinAnswered(InboxEvent, frozen=True, tag="join_answered", gc=False):
    """A device of the owner let somebody in, or turned them away."""

    chat_id: _ChatId
    user_id: Annotated[str, Meta(description="Who waits no longer.")]


class JoinDecided(InboxEvent, frozen=True, tag="join_decided", gc=False):
    """The owner of a group approved or denied the user's request."""

    chat_id: Annotated[
        str | None, Meta(description="The group; null when denied.")
    ]
    link_id: Annotated[str, Meta(description="The link that was used.")]
    approved: Annotated[bool, Meta(description="Whether the user is in.")]


class InboxHead(InboxEvent, frozen=True, tag="inbox_head", gc=False):
    """The inbox's count again, 1, 5 and 30 s after its last event."""


EVENTS: Final[tuple[type[Event], ...]] = (
    MessageSent,
    MessageChanged,
    MemberJoined,
    MemberLeft,
    MemberRenamed,
    ChatRenamed,
    OwnerChanged,
    KeyChanged,
    Expired,
    Head,
    Typing,
    Seen,
    ChatAdded,
    ChatRemoved,
    Read,
    Mentioned,
    Banned,
    Renamed,
    RoleChanged,
    SettingsChanged,
    ScheduledSent,
    ScheduledFailed,
    ScheduledChanged,
    JoinRequested,
    JoinAnswered,
    JoinDecided,
    InboxHead,
)


class _Named(Struct, frozen=True):
    """What every event has."""

    event: str


def name_of(event: type[Event]) -> str:
    """The name that stands under `event`."""
    return str(event.__struct_config__.tag)


EVENT_BY_NAME: Final = {name_of(event): event for event in EVENTS}
_ANY_EVENT: Final[Any] = Union[EVENTS]  # noqa: UP007
_decode: Final = msgspec.msgpack.Decoder(_ANY_EVENT).decode
_decode_name: Final = msgspec.msgpack.Decoder(_Named).decode


def decode_event(body: bytes) -> Event | None:
    """The event in an opened body; None: of a kind not known here.

    Raises ValueError where the body is no event.
    """
    try:
        event: Event = _decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        try:
            known = _decode_name(body).event in EVENT_BY_NAME
        except (msgspec.DecodeError, RecursionError):
            known = True
        if known:
            raise ValueError(str(error)) from None
        return None
    return event

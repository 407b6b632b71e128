"""What the client hands out: frozen values, times as datetimes.

What has neither a time nor a list is the struct of `zchat.rpc.results`
itself. The others mirror it: the wire carries times as text and lists as
lists, while a program gets what Python has for them. A test compares the
fields. Fields that an older server does not send have a default.
"""

from datetime import datetime

from msgspec import Struct, structs

from zchat.rpc.results import (
    Changed,
    ChatFacts,
    Connected,
    Download,
    EventKey,
    FileInfo,
    Hello,
    Limits,
    NewToken,
    Person,
    RenamedMember,
    SyncChat,
    Upload,
    Uploaded,
    UserSettings,
)

__all__ = [
    "Changed",
    "Changes",
    "Chat",
    "ChatFacts",
    "Connected",
    "Download",
    "Edited",
    "EventKey",
    "FileInfo",
    "Found",
    "FoundMessage",
    "Hello",
    "History",
    "JoinRequest",
    "Joined",
    "KnownChat",
    "Limits",
    "LinkInfo",
    "ListedUser",
    "Message",
    "NewLink",
    "NewToken",
    "Person",
    "Quota",
    "Reaction",
    "RenamedMember",
    "Scheduled",
    "ScheduledMessage",
    "Sent",
    "Status",
    "StatusUser",
    "Sync",
    "SyncChat",
    "SyncUser",
    "Unread",
    "UnreadChat",
    "Upload",
    "Uploaded",
    "UserSettings",
]


class Value(Struct, frozen=True, kw_only=True, gc=False):
    """The base of everything that is handed out."""


class Reaction(Value, frozen=True, kw_only=True):
    """One emoji on a message, and the first 50 users who put it there."""

    emoji: str
    count: int
    users: tuple[str, ...]


class Message(Value, frozen=True, kw_only=True):
    """A message of a chat, or the tombstone of a deleted one.

    `seq` counts the messages of the chat from 1. `is_comment_on` is the
    id of the message that this one comments on, `comments` how many
    comments it has itself, `mentions` the ids of the members whom it
    mentions. `revision` is that of its last change, 0 if it never
    changed.
    """

    id: str
    seq: int
    created: datetime
    author: Person
    text: str
    is_comment_on: str | None
    comments: int
    files: tuple[FileInfo, ...]
    mentions: tuple[str, ...] = ()
    revision: int = 0
    edited: datetime | None = None
    deleted: datetime | None = None
    reactions: tuple[Reaction, ...] = ()


class Chat(Value, frozen=True, kw_only=True):
    """A chat with its newest messages, newest first.

    `kind` is `common`, `p2p` or `group`; `title` is what a person is
    shown. `authors` are at most 200 members, `size` counts all. `head`
    is the newest `seq`, `revision` counts what else happened, `read` is
    the caller's read position.
    """

    id: str
    name: str
    title: str = ""
    kind: str
    messages: tuple[Message, ...]
    authors: tuple[Person, ...]
    size: int
    head: int
    revision: int = 0
    read: int
    unread: int

    def __post_init__(self) -> None:
        """Servers that know no titles show the name."""
        if not self.title:
            structs.force_setattr(self, "title", self.name)


class KnownChat(Value, frozen=True, kw_only=True):
    """A chat as the events have told of it until now.

    `cursor` and `revision` are the counts up to which messages and
    changes were delivered, `head` the newest seq known to exist, `read`
    the caller's read position. `unread` and `mentions` count messages
    behind it, `requests` the join requests that wait for the caller.
    """

    id: str
    name: str
    title: str
    kind: str
    cursor: int
    revision: int
    head: int
    read: int
    unread: int
    mentions: int
    requests: int


class History(Value, frozen=True, kw_only=True):
    """A page of messages, oldest first; `head` is the chat's newest seq."""

    messages: tuple[Message, ...]
    has_older: bool
    has_newer: bool
    head: int


class Messages(Value, frozen=True, kw_only=True):
    """Messages, oldest first."""

    messages: tuple[Message, ...]


class UnreadChat(Value, frozen=True, kw_only=True):
    """One chat's unread messages, oldest first."""

    id: str
    name: str
    title: str = ""
    messages: tuple[Message, ...]


class Unread(Value, frozen=True, kw_only=True):
    """What is unread; with `more`, ask again for the rest."""

    chats: tuple[UnreadChat, ...]
    more: bool


class Quota(Value, frozen=True, kw_only=True):
    """What is left of the rate limit.

    `period` is in seconds. `resets_at` is None while no period runs.
    """

    limit: int
    remaining: int
    period: int
    resets_at: datetime | None


class SyncUser(Value, frozen=True, kw_only=True):
    """The caller; `quota` is None where there is no rate limit."""

    id: str
    name: str
    role: str
    banned_until: datetime | None
    quota: Quota | None
    receipts: bool


class Sync(Value, frozen=True, kw_only=True):
    """All that a device needs to start or to catch up."""

    epoch: str
    gaps: int = 0
    inbox: int = 0
    inbox_key: EventKey
    user: SyncUser | None = None
    scheduled: int = 0
    chats: tuple[SyncChat, ...]


class Changes(Value, frozen=True, kw_only=True):
    """What happened to a chat after a revision; with `more`, ask again.

    `renamed` are members with other names, at most the latest 200.
    """

    revision: int
    messages: tuple[Message, ...]
    chat: ChatFacts
    more: bool
    renamed: tuple[RenamedMember, ...] = ()


class Edited(Value, frozen=True, kw_only=True):
    """The revision of the chat that this made, and when."""

    revision: int
    edited: datetime


class FoundMessage(Message, frozen=True, kw_only=True):
    """A message, and the chat that it is in."""

    chat_id: str


class Found(Value, frozen=True, kw_only=True):
    """What a search found, newest first; `next` None: that was all."""

    messages: tuple[FoundMessage, ...]
    next: str | None


class Sent(Value, frozen=True, kw_only=True):
    """Where the message now stands."""

    id: str
    seq: int
    chat_id: str
    created: datetime


class StatusUser(Value, frozen=True, kw_only=True):
    """The caller; `quota` is None where there is no rate limit."""

    id: str
    name: str
    banned_until: datetime | None
    quota: Quota | None


class Status(Value, frozen=True, kw_only=True):
    """The server as the caller sees it."""

    time: datetime
    connections_db_max: int
    connections_db_now: int
    chat_default: str
    chats_count: int
    chats_with_user_count: int
    user: StatusUser


class Scheduled(Value, frozen=True, kw_only=True):
    """The message that waits for its time."""

    id: str
    send_at: datetime


class ScheduledMessage(Value, frozen=True, kw_only=True):
    """A scheduled message and what became of it.

    `state` is `pending`, `sent`, `failed` or `cancelled`; `error` is the
    code of what failed, `message_id` the message that was sent.
    """

    id: str
    chat_id: str
    text: str
    send_at: datetime
    state: str
    error: str | None = None
    message_id: str | None = None


class ScheduledMessages(Value, frozen=True, kw_only=True):
    """The caller's scheduled messages, by time."""

    messages: tuple[ScheduledMessage, ...]


class ListedUser(Person, frozen=True, kw_only=True):
    """A member; `last_seen` None: never since this is kept.

    `read` is how far the member has read; None in the common chat, and
    where the member hides it.
    """

    role: str = "member"
    online: bool = False
    last_seen: datetime | None = None
    read: int | None = None


class Users(Value, frozen=True, kw_only=True):
    """A page of members, by user id."""

    users: tuple[ListedUser, ...]


class NewLink(Value, frozen=True, kw_only=True):
    """A link into a group. `link` is shown this once."""

    link: str
    link_id: str
    expires_at: datetime


class LinkInfo(Value, frozen=True, kw_only=True):
    """A link as its owner sees it afterwards."""

    link_id: str
    expires_at: datetime
    max_uses: int | None
    uses: int


class Links(Value, frozen=True, kw_only=True):
    """The live links of a group."""

    links: tuple[LinkInfo, ...]


class Joined(Value, frozen=True, kw_only=True):
    """`state` is `pending` until the owner approves, then `member`."""

    state: str
    chat_id: str | None = None


class JoinRequest(Value, frozen=True, kw_only=True):
    """A user who waits for the owner's decision."""

    user: Person
    created: datetime


class JoinRequests(Value, frozen=True, kw_only=True):
    """Who waits, longest first."""

    requests: tuple[JoinRequest, ...]


class Chats(Value, frozen=True, kw_only=True):
    """A page of chats, or one chat under `history`."""

    chats: tuple[Chat, ...] = ()
    history: Chat | None = None

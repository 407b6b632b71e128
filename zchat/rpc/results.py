"""What each method answers: one frozen struct per result."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

Moment = Annotated[str, Meta(description="RFC 3339, with an offset.")]


class Result(Struct, frozen=True, kw_only=True, gc=False):
    """The base of all; fields may be added, never taken away."""


class Empty(Result, frozen=True, kw_only=True):
    """Done; there is nothing to tell."""


class Limits(Result, frozen=True, kw_only=True):
    """The operator's limits, for clients that check before they ask."""

    text: int
    name: int
    page: int
    history_depth: int
    file_bytes: int
    files_per_message: int
    chunk_size: int
    request_bytes: int
    scheduled: int
    idempotency_key: int
    edit_seconds: int
    reactions: int


class Hello(Result, frozen=True, kw_only=True):
    """Who answers, and where the events are."""

    protocol: int
    server: str
    epoch: str
    events: str
    heartbeat: int
    registration: str = "open"
    limits: Limits


class Connected(Result, frozen=True, kw_only=True):
    """The caller's token and public id."""

    token: str
    user_id: str
    name: str
    chat_default: str


class Quota(Result, frozen=True, kw_only=True):
    """What is left of the rate limit; `resets_at` null: not begun."""

    limit: int
    remaining: int
    period: int
    resets_at: Moment | None


class StatusUser(Result, frozen=True, kw_only=True):
    """The caller; `quota` is null where there is no rate limit."""

    id: str
    name: str
    banned_until: Moment | None
    quota: Quota | None


class Status(Result, frozen=True, kw_only=True):
    """The server as the caller sees it."""

    time: Moment
    connections_db_max: int
    connections_db_now: int
    chat_default: str
    chats_count: int
    chats_with_user_count: int
    user: StatusUser


class Sent(Result, frozen=True, kw_only=True):
    """Where the message now stands."""

    id: str
    seq: int
    chat_id: str
    created: Moment


class Person(Result, frozen=True, kw_only=True):
    """A user as others see it: the public id and the name."""

    id: str
    name: str


class FileInfo(Result, frozen=True, kw_only=True):
    """A file on a message."""

    file_id: str
    name: str
    size: int
    type: str
    sha256: str


class Reaction(Result, frozen=True, kw_only=True):
    """One emoji on a message, and the first 50 users who put it there."""

    emoji: str
    count: int
    users: list[str]


class Message(Result, frozen=True, kw_only=True):
    """A message; a `revision` of 0 means that it never changed."""

    id: str
    seq: int
    created: Moment
    author: Person
    text: str
    is_comment_on: str | None
    comments: int
    files: list[FileInfo]
    mentions: list[str] = []
    revision: int = 0
    edited: Moment | None = None
    deleted: Moment | None = None
    reactions: list[Reaction] = []


class Chat(Result, frozen=True, kw_only=True):
    """A chat as results show it; messages newest first."""

    id: str
    name: str
    title: str
    kind: str
    messages: list[Message]
    authors: list[Person]
    size: int
    head: int
    revision: int
    read: int
    unread: int


class Chats(Result, frozen=True, kw_only=True):
    """A page of chats, or one chat under `history`."""

    chats: list[Chat] | UnsetType = UNSET
    history: Chat | UnsetType = UNSET


class History(Result, frozen=True, kw_only=True):
    """A page of messages, oldest first."""

    messages: list[Message]
    has_older: bool
    has_newer: bool
    head: int


class Messages(Result, frozen=True, kw_only=True):
    """Messages, oldest first."""

    messages: list[Message]


class UnreadChat(Result, frozen=True, kw_only=True):
    """One chat's unread messages, oldest first."""

    id: str
    name: str
    title: str
    messages: list[Message]


class Unread(Result, frozen=True, kw_only=True):
    """What came since the last poll; `more`: ask again."""

    chats: list[UnreadChat]
    more: bool


class ReadPosition(Result, frozen=True, kw_only=True):
    """The read position as it now stands."""

    seq: int


class EventKey(Result, frozen=True, kw_only=True):
    """What opens the sealed events of one chat or inbox."""

    id: int
    secret: bytes


class SyncChat(Result, frozen=True, kw_only=True):
    """One chat as a device needs it; no key: its events are plain."""

    id: str
    name: str
    title: str
    kind: str
    head: int
    revision: int
    read: int
    unread: int
    mentions: int
    requests: int
    event_key: EventKey | None
    visible_after: int = 0


class SyncUser(Result, frozen=True, kw_only=True):
    """The caller; `quota` is null where there is no rate limit."""

    id: str
    name: str
    role: str
    banned_until: Moment | None
    quota: Quota | None
    receipts: bool


class Sync(Result, frozen=True, kw_only=True):
    """All that a device needs to start or to catch up."""

    epoch: str
    gaps: int
    inbox: int
    inbox_key: EventKey
    user: SyncUser
    scheduled: int
    chats: list[SyncChat]


class ChatFacts(Result, frozen=True, kw_only=True):
    """What a chat is now, apart from its messages."""

    name: str
    title: str
    owner_id: str | None
    size: int
    event_key: EventKey | None


class RenamedMember(Person, frozen=True, kw_only=True):
    """A member's name of now, and the revision that told it."""

    revision: int


class Changes(Result, frozen=True, kw_only=True):
    """What happened to a chat after a revision; `more`: ask again.

    `renamed` are members with other names, at most the latest 200.
    """

    revision: int
    messages: list[Message]
    chat: ChatFacts
    more: bool
    renamed: list[RenamedMember] = []


class Changed(Result, frozen=True, kw_only=True):
    """The revision of the chat that this made."""

    revision: int


class Edited(Result, frozen=True, kw_only=True):
    """The revision of the chat that this made, and when."""

    revision: int
    edited: Moment


class FoundMessage(Message, frozen=True, kw_only=True):
    """A message, and the chat that it is in."""

    chat_id: str


class Found(Result, frozen=True, kw_only=True):
    """What a search found, newest first; `next` null: that was all."""

    messages: list[FoundMessage]
    next: str | None


class NewToken(Result, frozen=True, kw_only=True):
    """The caller's new token; the old one is dead."""

    token: str


class UserSettings(Result, frozen=True, kw_only=True):
    """The caller's settings as they now stand."""

    receipts: bool


class ChatId(Result, frozen=True, kw_only=True):
    """The chat."""

    chat_id: str


class ReportId(Result, frozen=True, kw_only=True):
    """The complaint; how many warnings there are is not told."""

    id: str


class ListedUser(Person, frozen=True, kw_only=True):
    """A member; `last_seen` null: never since this is kept.

    `read` is how far the member has read; null in the common chat, and
    where the member hides it.
    """

    role: str
    online: bool
    last_seen: Moment | None
    read: int | None


class Users(Result, frozen=True, kw_only=True):
    """A page of members, by user id."""

    users: list[ListedUser]


class NewName(Result, frozen=True, kw_only=True):
    """The name as it now stands."""

    name: str


class Scheduled(Result, frozen=True, kw_only=True):
    """The waiting message."""

    id: str
    send_at: Moment


class ScheduledMessage(Result, frozen=True, kw_only=True):
    """A scheduled message and what became of it."""

    id: str
    chat_id: str
    text: str
    send_at: Moment
    state: str
    error: str | UnsetType = UNSET
    message_id: str | UnsetType = UNSET


class ScheduledMessages(Result, frozen=True, kw_only=True):
    """The caller's scheduled messages, by time."""

    messages: list[ScheduledMessage]


class Upload(Result, frozen=True, kw_only=True):
    """Where an upload stands."""

    file_id: str
    offset: int
    chunk_size: int


class Uploaded(Result, frozen=True, kw_only=True):
    """How far an upload is."""

    offset: int
    complete: bool


class Download(Result, frozen=True, kw_only=True):
    """A piece of a file."""

    data: bytes
    size: int
    name: str
    type: str


class NewLink(Result, frozen=True, kw_only=True):
    """A link into a group; it is shown once."""

    link: str
    link_id: str
    expires_at: Moment


class LinkInfo(Result, frozen=True, kw_only=True):
    """A link as its owner sees it afterwards."""

    link_id: str
    expires_at: Moment
    max_uses: int | None
    uses: int


class Links(Result, frozen=True, kw_only=True):
    """The live links of a group."""

    links: list[LinkInfo]


class Joined(Result, frozen=True, kw_only=True):
    """`pending` until the owner approves, then `member`."""

    state: str
    chat_id: str | UnsetType = UNSET


class JoinRequest(Result, frozen=True, kw_only=True):
    """Somebody who waits for the owner."""

    user: Person
    created: Moment


class JoinRequests(Result, frozen=True, kw_only=True):
    """Who waits, longest first."""

    requests: list[JoinRequest]

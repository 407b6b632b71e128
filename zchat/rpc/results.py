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


class Hello(Result, frozen=True, kw_only=True):
    """Who answers, and where the events are."""

    protocol: int
    server: str
    epoch: str
    events: str
    heartbeat: int
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
    """A user as others see it."""

    id: str
    name: str


class FileInfo(Result, frozen=True, kw_only=True):
    """A file on a message."""

    file_id: str
    name: str
    size: int
    type: str
    sha256: str


class Message(Result, frozen=True, kw_only=True):
    """A message as results and events show it."""

    id: str
    seq: int
    created: Moment
    author: Person
    text: str
    is_comment_on: str | None
    comments: int
    files: list[FileInfo]


class Chat(Result, frozen=True, kw_only=True):
    """A chat as results show it; messages newest first."""

    id: str
    name: str
    kind: str
    messages: list[Message]
    authors: list[Person]
    size: int
    head: int
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
    kind: str
    head: int
    read: int
    unread: int
    event_key: EventKey | None


class Sync(Result, frozen=True, kw_only=True):
    """All that a device needs to start or to catch up."""

    epoch: str
    gaps: int = 0
    inbox_key: EventKey
    chats: list[SyncChat]


class ChatId(Result, frozen=True, kw_only=True):
    """The chat."""

    chat_id: str


class ReportId(Result, frozen=True, kw_only=True):
    """The complaint; how many warnings there are is not told."""

    id: str


class Users(Result, frozen=True, kw_only=True):
    """A page of members, by user id."""

    users: list[Person]


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

"""What each method takes: one frozen struct per method.

The caller's token travels beside these and is taken off before they
are checked (codec.py); only `connect`, which answers it, names it.
"""

from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from zchat.rpc import (
    EMOJI_LENGTH,
    FILES_PER_MESSAGE,
    PAGE_LIMIT,
    SEARCH_LONGEST,
    SEARCH_SHORTEST,
)

# Python's $ also stands before a last line feed, hence what follows it.
ID_PATTERN: Final = (
    r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$(?!\n)"
)
SHA256_PATTERN: Final = r"^[0-9a-fA-F]{64}$(?!\n)"
STATE_PATTERN: Final = "^(pending|sent|failed|cancelled)$"

LOWER: Final = "lower"
"""Marks text that is read without regard to case, as lower-case."""
_ANY_CASE: Final = {LOWER: True}

Id = Annotated[
    str,
    Meta(pattern=ID_PATTERN, description="A UUID string.", extra=_ANY_CASE),
]
Name = Annotated[str, Meta(min_length=1, max_length=32)]
ChatName = Annotated[str, Meta(min_length=1, max_length=64)]
FileName = Annotated[str, Meta(min_length=1, max_length=255)]
Key = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="Repeating the request with the same key changes nothing.",
    ),
]
Seq = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Limit = Annotated[int, Meta(ge=1, le=PAGE_LIMIT)]
Depth = Annotated[int, Meta(ge=0, le=PAGE_LIMIT)]
FileIds = Annotated[list[Id], Meta(max_length=FILES_PER_MESSAGE)]
Reason = Annotated[str, Meta(min_length=1, max_length=500)]
Moment = Annotated[
    datetime, Meta(tz=True, description="RFC 3339, with an offset.")
]
Sha256 = Annotated[str, Meta(pattern=SHA256_PATTERN, extra=_ANY_CASE)]
Emoji = Annotated[str, Meta(min_length=1, max_length=EMOJI_LENGTH)]
SearchText = Annotated[
    str, Meta(min_length=SEARCH_SHORTEST, max_length=SEARCH_LONGEST)
]
LinkText = Annotated[str, Meta(min_length=1, max_length=128)]


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all: unknown fields are refused by name."""


class Hello(Params, frozen=True, kw_only=True):
    """No parameters."""


class Connect(Params, frozen=True, kw_only=True):
    """A new user's wish for a name; with a token, who comes back."""

    name: Name | None = None
    token: Annotated[
        Any, Meta(description="The token of an existing user.")
    ] = None
    invite: LinkText | None = None


class Status(Params, frozen=True, kw_only=True):
    """No parameters but the token."""


class Send(Params, frozen=True, kw_only=True):
    """A message; without `chat_id` it goes to the common chat."""

    chat_id: Id | None = None
    text: str
    comment_on: Id | None = None
    files: FileIds | None = None
    idempotency_key: Key | None = None


class Comment(Params, frozen=True, kw_only=True):
    """A message on another message, in the same chat."""

    message_id: Id
    text: str
    idempotency_key: Key | None = None


class Chats(Params, frozen=True, kw_only=True):
    """One chat, or a page of the caller's chats after `after`; a page
    ends at 4,000 messages, and there are more until one is empty."""

    chat_id: Id | None = None
    depth: Depth | None = None
    limit: Limit | None = None
    after: Id | None = None


class History(Params, frozen=True, kw_only=True):
    """A page: before, after or around a seq, else the newest."""

    chat_id: Id
    before: Seq | None = None
    after: Seq | None = None
    around: Seq | None = None
    limit: Limit | None = None


class Comments(Params, frozen=True, kw_only=True):
    """The comments on one message; `after` is the last seq seen."""

    message_id: Id
    after: Seq | None = None
    limit: Limit | None = None


class Unread(Params, frozen=True, kw_only=True):
    """What came since the read positions; `ack` moves them past it."""

    ack: bool = False
    limit: Limit | None = None


class Read(Params, frozen=True, kw_only=True):
    """The read position moves forward to `seq`, never back."""

    chat_id: Id
    seq: Seq


class Sync(Params, frozen=True, kw_only=True):
    """No parameters but the token."""


class P2P(Params, frozen=True, kw_only=True):
    """The other user."""

    user_id: Id


class Exit(Params, frozen=True, kw_only=True):
    """The chat to leave."""

    chat_id: Id


class Report(Params, frozen=True, kw_only=True):
    """A complaint about a user, with a message as evidence if wished."""

    user_id: Id
    reason: Reason
    message_id: Id | None = None


class Users(Params, frozen=True, kw_only=True):
    """A page of a chat's members; `after` is the last user id seen."""

    chat_id: Id
    after: Id | None = None
    limit: Limit | None = None


class Rename(Params, frozen=True, kw_only=True):
    """The caller's new name."""

    name: Name


class Schedule(Params, frozen=True, kw_only=True):
    """A message to be sent at a time."""

    chat_id: Id | None = None
    text: str
    comment_on: Id | None = None
    files: FileIds | None = None
    idempotency_key: Key | None = None
    send_at: Moment


class ScheduledList(Params, frozen=True, kw_only=True):
    """All of the caller's scheduled messages, or those in one state."""

    state: Annotated[str, Meta(pattern=STATE_PATTERN)] | None = None


class Cancel(Params, frozen=True, kw_only=True):
    """The scheduled message to cancel."""

    id: Id


class Upload(Params, frozen=True, kw_only=True):
    """A file to come, or to be resumed."""

    chat_id: Id
    name: FileName
    size: Annotated[int, Meta(ge=0, le=2**53 - 1)]
    sha256: Sha256


class UploadChunk(Params, frozen=True, kw_only=True):
    """The next bytes of a file, at most CHUNK_BYTES."""

    file_id: Id
    offset: Seq
    data: bytes


class Download(Params, frozen=True, kw_only=True):
    """A range of a file; an answer holds at most CHUNK_BYTES."""

    file_id: Id
    offset: Seq = 0
    length: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None


class CreateChat(Params, frozen=True, kw_only=True):
    """The name of the new group."""

    name: ChatName


class RenameChat(Params, frozen=True, kw_only=True):
    """A group and its new name."""

    chat_id: Id
    name: ChatName


class ChatAndUser(Params, frozen=True, kw_only=True):
    """A group and a user: invite, remove, approve, deny."""

    chat_id: Id
    user_id: Id


class InviteLink(Params, frozen=True, kw_only=True):
    """A new link into a group; `expires_in` is in seconds."""

    chat_id: Id
    expires_in: Annotated[int, Meta(ge=1, le=31_536_000)] | None = None
    max_uses: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class OneChat(Params, frozen=True, kw_only=True):
    """A group: invite_links, join_requests."""

    chat_id: Id


class OneLink(Params, frozen=True, kw_only=True):
    """A link: join, revoke_link."""

    link: LinkText


class Edit(Params, frozen=True, kw_only=True):
    """A message of the caller's, and what it shall say."""

    message_id: Id
    text: str
    idempotency_key: Key | None = None


class Delete(Params, frozen=True, kw_only=True):
    """The message to delete."""

    message_id: Id


class React(Params, frozen=True, kw_only=True):
    """An emoji to put on a message, or to take off it."""

    message_id: Id
    emoji: Emoji
    on: bool = True


class Changes(Params, frozen=True, kw_only=True):
    """A chat, and the revision after which things may be new."""

    chat_id: Id
    after: Seq
    limit: Limit | None = None


class Search(Params, frozen=True, kw_only=True):
    """What to look for; `before` is the `next` of the page before."""

    text: SearchText
    chat_id: Id | None = None
    author_id: Id | None = None
    has_file: bool | None = None
    before: Id | None = None
    limit: Limit | None = None


class RotateToken(Params, frozen=True, kw_only=True):
    """No parameters but the token."""


class Typing(Params, frozen=True, kw_only=True):
    """The chat in which the caller is writing."""

    chat_id: Id


class ChangeSettings(Params, frozen=True, kw_only=True):
    """The settings to change; those left out stay."""

    receipts: bool | None = None

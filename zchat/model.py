"""The values of the domain, and the tables that keep them.

Ids are lower-case UUID strings, times are microseconds since the epoch
in UTC, `seq` counts 1, 2, 3 … within a chat.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

OPERATOR_ID: Final = "00000000-0000-7000-8000-6f70657261ff"
"""The user that announcements are from; nobody holds its token."""
SECOND: Final = 1_000_000
CHUNK_BYTES: Final = 262_144
LAST_ID: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"

COMMON, P2P, GROUP = "common", "p2p", "group"
COMMON_NAME: Final = "default"
"""The common chat's name."""
MEMBER, MODERATOR, ADMIN = "member", "moderator", "admin"
OPEN, INVITE, CLOSED = "open", "invite", "closed"
"""Who may make an account (`--registration`)."""
WAITING, DISMISSED, UPHELD = "open", "dismissed", "upheld"
"""What became of a complaint."""
PENDING, SENT, FAILED, CANCELLED = "pending", "sent", "failed", "cancelled"


@lru_cache(maxsize=1024)
def _second_text(seconds: int) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def time_text(microseconds: int) -> str:
    """The moment as RFC 3339 text with an offset."""
    seconds, rest = divmod(microseconds, SECOND)
    return f"{_second_text(seconds)}.{rest:06d}+00:00"


def first_id_at(microseconds: int) -> str:
    """The smallest UUID version 7 of the moment's millisecond."""
    time = f"{microseconds // 1000:012x}"
    return f"{time[:8]}-{time[8:]}-7000-8000-000000000000"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's choices that the rules follow
    (docs/reference/settings.md)."""

    history_depth: int = 20
    rate_limit: int | None = None
    rate_period_seconds: int = 3600
    message_ttl_seconds: int | None = None
    max_warnings: int = 3
    ban_seconds: int = 14400
    max_file_bytes: int = 5_242_880
    max_text: int = 4096
    new_users: int = 600
    max_users: int | None = 100_000
    unattached_bytes: int = 67_108_864
    user_file_bytes: int | None = 1_073_741_824
    all_file_bytes: int | None = 10_737_418_240
    reporter_age_seconds: int = 0
    reporter_messages: int = 0
    edit_seconds: int = 86_400
    registration: str = OPEN


class EventKey(msgspec.Struct, frozen=True, gc=False):
    """What seals the events of one chat or one inbox."""

    number: int
    secret: bytes


class User(msgspec.Struct, frozen=True, gc=False):
    """An account; the token itself is never kept.

    `inbox` counts the events of its inbox. `receipts` is 1 where others
    see how far the user has read, else 0. `name_skeleton` is None until
    it was worked out for an account of an earlier version. `closed` is
    when an operator closed the account.
    """

    id: str
    token_hash: bytes
    name: str
    name_key: str
    created: int
    inbox_number: int
    inbox_secret: bytes
    quota_started: int | None = None
    quota_used: int = 0
    banned_until: int | None = None
    warnings_round: int = 0
    role: str = MEMBER
    last_seen: int | None = None
    receipts: int = 1
    inbox: int = 0
    name_skeleton: str | None = None
    closed: int | None = None

    @property
    def inbox_key(self) -> EventKey:
        return EventKey(self.inbox_number, self.inbox_secret)


class Chat(msgspec.Struct, frozen=True, gc=False):
    """A chat; `purged_seq` is the seq up to which all was deleted.

    `head` counts its messages, `revision` whatever else happened in it.
    All members of a group may see the messages from `shared_from` on.
    """

    id: str
    kind: str
    name: str
    owner_id: str | None
    pair: str | None
    created: int
    head: int
    purged_seq: int
    size: int
    key_number: int
    key_secret: bytes
    revision: int = 0
    shared_from: int = 0

    @property
    def event_key(self) -> EventKey | None:
        """None for the common chat, whose events are plain."""
        if self.kind == COMMON:
            return None
        return EventKey(self.key_number, self.key_secret)


class Member(msgspec.Struct, frozen=True, gc=False):
    """A user in a chat; `read_seq` is the read position.

    `renamed` is the revision of the chat that told the member's last
    change of name, 0 for none. What the member may see depends on the
    chat as well: see `Membership`.
    """

    chat_id: str
    user_id: str
    joined: int
    first_seq: int
    read_seq: int
    expired_through: int = 0
    renamed: int = 0


class Membership(NamedTuple):
    """A chat and a user's membership in it: what is visible of it.

    Visible are the messages from `first_seq` on that come after what
    has expired for the member (`expired_through`, message-ttl) and
    after what was deleted from the chat (`purged_seq`).
    """

    chat: Chat
    member: Member

    @property
    def visible_after(self) -> int:
        """The seq after which the member sees messages.

        Where messages expire, more may have done so than is noted yet:
        see `chat.expiry.visible_after`.
        """
        return max(self.stored_after, self.member.expired_through)

    @property
    def stored_after(self) -> int:
        """The seq after which messages are visible or have been so."""
        return max(self.member.first_seq - 1, self.chat.purged_seq)

    @property
    def unread_after(self) -> int:
        """The seq after which messages are unread."""
        return max(self.stored_after, self.member.read_seq)


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message, or the tombstone that a deleted one leaves.

    `files`, `mentions` (user ids) and `reactions` are JSON text of what
    is shown with it, or None where there is nothing. `revision` is that
    of its last change in the chat, 0 if it never changed. `sent_hash`
    is the SHA-256 of the text that was sent, where that was edited
    since and an idempotency key may still be repeated.
    """

    id: str
    chat_id: str
    seq: int
    author_id: str
    created: int
    text: str
    is_comment_on: str | None = None
    comments: int = 0
    files: str | None = None
    idempotency_key: str | None = None
    revision: int = 0
    edited: int | None = None
    deleted: int | None = None
    mentions: str | None = None
    reactions: str | None = None
    sent_hash: bytes | None = None


class AuthoredMessage(Message, frozen=True, gc=False):
    """A message with its author's present name, as queries return it."""

    author_name: str = ""


class Edit(msgspec.Struct, frozen=True, gc=False):
    """An edit that carried an idempotency key, and its answer."""

    author_id: str
    idempotency_key: str
    message_id: str
    text_hash: bytes
    revision: int
    edited: int


class Reactor(msgspec.Struct, frozen=True, gc=False):
    """A user who put an emoji on a message."""

    message_id: str
    emoji: str
    user_id: str
    created: int


class Mention(msgspec.Struct, frozen=True, gc=False):
    """A message that mentions a user; it counts until it is read."""

    user_id: str
    chat_id: str
    seq: int
    created: int


class Complaint(msgspec.Struct, frozen=True, gc=False):
    """One report; a round ends with the offender's ban."""

    id: str
    offender_id: str
    round: int
    reporter_id: str
    reason: str
    message_id: str | None
    evidence: str | None
    created: int
    state: str = WAITING


class Audit(msgspec.Struct, frozen=True, gc=False):
    """What an operator or a moderator did; never changed or deleted.

    `actor_id` is None for the operator's socket, `detail` JSON text.
    """

    id: str
    created: int
    actor_id: str | None
    action: str
    subject_id: str | None
    detail: str


class Invite(msgspec.Struct, frozen=True, gc=False):
    """A code that lets newcomers in; only its SHA-256 is kept."""

    id: str
    code_hash: bytes
    created: int
    expires_at: int
    max_uses: int
    uses: int
    revoked_at: int | None


class Scheduled(msgspec.Struct, frozen=True, gc=False):
    """A message that waits for its time, or what became of it."""

    id: str
    author_id: str
    chat_id: str
    text: str
    is_comment_on: str | None
    file_ids: str | None
    send_at: int
    state: str
    error: str | None
    created: int
    idempotency_key: str | None
    message_id: str | None


class StoredFile(msgspec.Struct, frozen=True, gc=False):
    """An upload; its `resume_key` is gone when it is complete.

    `created` is when its day to be attached begins: when the upload
    begins, or when the message that it waited for came to nothing.
    """

    id: str
    chat_id: str
    uploader_id: str
    name: str
    size: int
    sha256: str
    received: int
    message_id: str | None
    scheduled_id: str | None
    created: int
    resume_key: str | None

    @property
    def complete(self) -> bool:
        return self.resume_key is None

    @property
    def in_use(self) -> bool:
        """Whether it is on a message, or on one that waits."""
        return self.message_id is not None or self.scheduled_id is not None


class FileChunk(msgspec.Struct, frozen=True, gc=False):
    """One piece of a file; `offset` is a multiple of CHUNK_BYTES."""

    file_id: str
    offset: int
    data: bytes


class Link(msgspec.Struct, frozen=True, gc=False):
    """An invitation to a group; only the link's SHA-256 is kept."""

    id: str
    link_hash: bytes
    chat_id: str
    created: int
    expires_at: int
    max_uses: int | None
    uses: int
    revoked_at: int | None


class JoinRequest(msgspec.Struct, frozen=True, gc=False):
    """A stranger who presented a link and waits for the owner."""

    chat_id: str
    user_id: str
    link_id: str
    created: int


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A member's read position passed `seq` at the time `at`."""

    chat_id: str
    user_id: str
    seq: int
    at: int


class Erasure(msgspec.Struct, frozen=True, gc=False):
    """A user whose texts and files go, and how far that went.

    Of the messages up to the id `message_id` none of the user's are
    left; `messages` says how many were deleted.
    """

    user_id: str
    message_id: str
    messages: int


Row = TypeVar("Row", bound=msgspec.Struct)


class Table(Generic[Row]):
    """Where the rows of one type are kept.

    `key` and each of `unique` name fields; a unique with a None in it
    is no entry. A `lasting` table's rows may be kept in memory from one
    batch to the next where the store is owned by one broker.
    """

    def __init__(
        self,
        name: str,
        row: type[Row],
        key: tuple[str, ...],
        unique: tuple[tuple[str, ...], ...] = (),
        cacheable: bool = False,
    ) -> None:
        self.name = name
        self.row = row
        self.key = key
        self.unique = unique
        self.cacheable = cacheable
        self.columns = row.__struct_fields__
        self.key_of: Callable[[Any], Any] = attrgetter(*key)
        self.unique_of: tuple[Callable[[Any], Any], ...] = tuple(
            attrgetter(*fields) for fields in unique
        )
        self.names = frozenset(key).union(*unique)
        """The fields by which rows are found."""

    def __repr__(self) -> str:
        return f"Table({self.name})"


USERS = Table(
    "users",
    User,
    ("id",),
    (("token_hash",), ("name_key",), ("name_skeleton",)),
    cacheable=True,
)
CHATS = Table("chats", Chat, ("id",), (("pair",),), cacheable=True)
MEMBERS = Table("members", Member, ("chat_id", "user_id"), cacheable=True)
MESSAGES = Table(
    "messages", Message, ("id",), (("author_id", "idempotency_key"),)
)
EDITS = Table("edits", Edit, ("author_id", "idempotency_key"))
REACTORS = Table("reactors", Reactor, ("message_id", "emoji", "user_id"))
MENTIONS = Table("mentions", Mention, ("user_id", "chat_id", "seq"))
COMPLAINTS = Table(
    "complaints",
    Complaint,
    ("id",),
    (("offender_id", "round", "reporter_id"),),
)
AUDIT = Table("audit", Audit, ("id",))
INVITES = Table("invites", Invite, ("id",), (("code_hash",),))
SCHEDULED = Table(
    "scheduled", Scheduled, ("id",), (("author_id", "idempotency_key"),)
)
FILES = Table("files", StoredFile, ("id",), (("resume_key",),))
FILE_CHUNKS = Table("file_chunks", FileChunk, ("file_id", "offset"))
LINKS = Table("links", Link, ("id",), (("link_hash",),))
JOIN_REQUESTS = Table("join_requests", JoinRequest, ("chat_id", "user_id"))
DELIVERIES = Table("deliveries", Delivery, ("chat_id", "user_id", "seq"))
ERASURES = Table("erasures", Erasure, ("user_id",))

TABLES: tuple[Table[Any], ...] = (
    USERS,
    CHATS,
    MEMBERS,
    MESSAGES,
    EDITS,
    REACTORS,
    MENTIONS,
    COMPLAINTS,
    AUDIT,
    INVITES,
    SCHEDULED,
    FILES,
    FILE_CHUNKS,
    LINKS,
    JOIN_REQUESTS,
    DELIVERIES,
    ERASURES,
)

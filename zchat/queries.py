"""The questions that the rules ask a store, beyond rows by their key.

The SQL of each stands under its name in `storage/sql/queries.sql`; the
answer is always a list of rows. A statement changes rows in bulk at the
end of a batch and answers nothing.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any, Final, Generic, NamedTuple, TypedDict, TypeVar

import msgspec

from zchat.model import (
    AuthoredMessage,
    Erasure,
    FileChunk,
    Invite,
    JoinRequest,
    Link,
    Scheduled,
    StoredFile,
    Table,
)

Answer = TypeVar("Answer")


class Query(Generic[Answer]):
    """A named question; each row of the answer becomes a `row`."""

    def __init__(self, name: str, row: type[Answer]) -> None:
        self.name = name
        self.row = row

    def __repr__(self) -> str:
        return f"Query({self.name})"


class Statement:
    """A named change of many rows, run when the batch is flushed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Statement({self.name})"


class Count(msgspec.Struct, frozen=True, gc=False):
    """How many there are."""

    count: int


class Found(msgspec.Struct, frozen=True, gc=False):
    """The id of something."""

    id: str


class Named(msgspec.Struct, frozen=True, gc=False):
    """A user's id and name."""

    id: str
    name: str


class Renamed(Named, frozen=True, gc=False):
    """A member's new name, and the revision that told it."""

    revision: int


class ListedMember(msgspec.Struct, frozen=True, gc=False):
    """A member of a chat, with what others may know."""

    id: str
    name: str
    role: str
    last_seen: int | None
    receipts: int
    read_seq: int


class CountedChat(msgspec.Struct, frozen=True, gc=False):
    """How many of something there are in a chat."""

    id: str
    count: int


class AccountRow(msgspec.Struct, frozen=True, gc=False):
    """An account as operators see it."""

    id: str
    name: str
    role: str
    created: int
    last_seen: int | None
    banned_until: int | None
    closed: int | None
    warnings: int
    chats: int
    scheduled: int


class ComplaintRow(msgspec.Struct, frozen=True, gc=False):
    """A complaint with the names of both."""

    id: str
    reporter_id: str
    reporter_name: str
    offender_id: str
    offender_name: str
    reason: str
    message_id: str | None
    evidence: str | None
    created: int
    state: str


class AuditRow(msgspec.Struct, frozen=True, gc=False):
    """An entry of the audit log, with names where they are users."""

    id: str
    created: int
    actor_id: str | None
    actor_name: str | None
    action: str
    subject_id: str | None
    subject_name: str | None
    detail: str


class CountedAll(msgspec.Struct, frozen=True, gc=False):
    """How many rows there are of what an operator asks about."""

    users: int
    chats: int
    messages: int
    files: int
    file_bytes: int
    scheduled: int
    complaints: int


class Through(msgspec.Struct, frozen=True, gc=False):
    """A seq, or None where there is none."""

    seq: int | None


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """Up to where messages were delivered, and up to where they expired;
    None where nothing was."""

    through: int | None
    expired: int | None


class UserFiles(msgspec.Struct, frozen=True, gc=False):
    """How many of a user's files are on no message, the bytes of those,
    and of all."""

    unattached: int
    unattached_bytes: int
    bytes: int


class ServerTotals(msgspec.Struct, frozen=True, gc=False):
    """How many users there are, and what all files take."""

    users: int
    file_bytes: int


class MemberThrough(msgspec.Struct, frozen=True, gc=False):
    """Up to where a member's messages have expired."""

    chat_id: str
    user_id: str
    seq: int


class ChatThrough(msgspec.Struct, frozen=True, gc=False):
    """Up to where nobody may see a chat's messages any longer."""

    chat_id: str
    seq: int


QUERIES: list[Query[Any]] = []
STATEMENTS: list[Statement] = []
"""All there are, for the stores to look up their SQL."""


def _query(name: str, row: type[Answer]) -> Query[Answer]:
    query = Query(name, row)
    QUERIES.append(query)
    return query


def _statement(name: str) -> Statement:
    statement = Statement(name)
    STATEMENTS.append(statement)
    return statement


# Messages: seq > floor is visible to the asker.
MESSAGES_BEFORE = _query("messages_before", AuthoredMessage)
MESSAGES_AFTER = _query("messages_after", AuthoredMessage)
UNREAD_AFTER = _query("unread_after", AuthoredMessage)
COMMENTS_ON = _query("comments_on", AuthoredMessage)
CHANGED_AFTER = _query("changed_after", AuthoredMessage)
REACTORS_ON = _query("reactors_on", Found)
MENTIONS_OF = _query("mentions_of", CountedChat)
COUNT_OWN = _query("count_own", Count)
EXPIRED_FOR = _query("expired_for", Through)
DELIVERED_TO = _query("delivered_to", Delivered)
# Chats and members
CHATS_OF_USER = _query("chats_of_user", Found)
RECENT_CHATS = _query("recent_chats", Found)
COUNT_CHATS = _query("count_chats", Count)
COUNT_CHATS_OF_USER = _query("count_chats_of_user", Count)
MEMBERS_PAGE = _query("members_page", Named)
RENAMED_AFTER = _query("renamed_after", Renamed)
LISTED_MEMBERS = _query("listed_members", ListedMember)
PLAIN_NAMES = _query("plain_names", Found)
SHARED_CHATS = _query("shared_chats", Count)
NEXT_OWNER = _query("next_owner", Found)
# Moderation
COUNT_REPORTERS = _query("count_reporters", Count)
COUNT_FEW_MESSAGES = _query("count_few_messages", Count)
# Operators
COUNT_ALL = _query("count_all", CountedAll)
ACCOUNTS_PAGE = _query("accounts_page", AccountRow)
COMPLAINTS_PAGE = _query("complaints_page", ComplaintRow)
AUDIT_PAGE = _query("audit_page", AuditRow)
LIVE_INVITES = _query("live_invites", Invite)
# Schedule
SCHEDULED_OF = _query("scheduled_of", Scheduled)
COUNT_PENDING = _query("count_pending", Count)
DUE = _query("due", Scheduled)
# Files
FILES_OF = _query("files_of", UserFiles)
SERVER_TOTALS = _query("server_totals", ServerTotals)
STALE_UPLOADS = _query("stale_uploads", StoredFile)
CHUNKS_OF = _query("chunks_of", FileChunk)
# Erasing
NEXT_ERASURE = _query("next_erasure", Erasure)
END_OF_MESSAGES = _query("end_of_messages", Found)
MESSAGES_OF_AUTHOR = _query("messages_of_author", Found)
UPLOADS_OF = _query("uploads_of", Found)
# Rooms
LINKS_OF = _query("links_of", Link)
REQUESTS_OF_OWNER = _query("requests_of_owner", CountedChat)
JOIN_REQUESTS_OF = _query("join_requests_of", JoinRequest)
# Lifetime
EXPIRED_MEMBERS = _query("expired_members", MemberThrough)
EXPIRED_CHATS = _query("expired_chats", ChatThrough)

START_LIFETIME = _statement("start_lifetime")
FORGET_DELIVERIES = _statement("forget_deliveries")
DELETE_MESSAGE_CHUNKS = _statement("delete_message_chunks")
DELETE_MESSAGE_FILES = _statement("delete_message_files")
DELETE_MESSAGE_SCHEDULES = _statement("delete_message_schedules")
DELETE_MESSAGE_EDITS = _statement("delete_message_edits")
DELETE_MESSAGE_REACTORS = _statement("delete_message_reactors")
DELETE_MESSAGE_MENTIONS = _statement("delete_message_mentions")
DELETE_MESSAGES = _statement("delete_messages")
DELETE_CHUNKS_OF_FILE = _statement("delete_chunks_of_file")
DELETE_CHAT_CHUNKS = _statement("delete_chat_chunks")
DELETE_CHAT_FILES = _statement("delete_chat_files")
DELETE_CHAT_MESSAGES = _statement("delete_chat_messages")
DELETE_CHAT_LINKS = _statement("delete_chat_links")
DELETE_CHAT_REQUESTS = _statement("delete_chat_requests")
DELETE_CHAT_DELIVERIES = _statement("delete_chat_deliveries")
KEEP_EXPIRY = _statement("keep_expiry")
DELETE_OLD_DELIVERIES = _statement("delete_old_deliveries")
DELETE_MEMBER_MENTIONS = _statement("delete_member_mentions")
FORGET_EDITS = _statement("forget_edits")
FORGET_REACTORS = _statement("forget_reactors")
BLANK_SCHEDULE = _statement("blank_schedule")
RELEASE_SCHEDULED_FILES = _statement("release_scheduled_files")
CANCEL_SCHEDULED = _statement("cancel_scheduled")
WITHDRAW_REQUESTS = _statement("withdraw_requests")


class SearchScope(NamedTuple):
    """A chat to search, of which messages above `floor` are visible."""

    chat_id: str
    floor: int


class SearchParams(TypedDict):
    """What `SEARCH` is asked.

    `text` has one character or more, in any case. `before` is the `next`
    of the page before; `limit` counts messages.
    """

    text: str
    scopes: Sequence[SearchScope]
    author_id: str | None
    has_file: bool | None
    before: str | None
    limit: int


class Searched(msgspec.Struct, frozen=True, gc=False):
    """A page of messages that hold a text, newest first.

    `next` asks for what is older, and is None at the end. A page whose
    search took too long has fewer messages than its limit, none even,
    and a `next`.
    """

    messages: list[AuthoredMessage]
    next: str | None


SEARCH: Final = Query("search", Searched)
"""The messages of some chats whose text holds another, newest first.

Takes `SearchParams`, answers one row. No SQL of its own: each store
answers it through its index (storage/search.py).
"""


def fold(text: str) -> str:
    """The text as searches compare it: without case, width or form.

    Both sides of a comparison are folded, so `ПРИВЕТ` finds `Привет`,
    and `strasse` finds `Straße` (Unicode's NFKC and full case folding).
    The letters i of Turkish, whose cases cross those of others, are one:
    `istanbul` finds `İstanbul`.
    """
    normalize = unicodedata.normalize
    folded = normalize("NFKC", text).casefold()
    if not folded.isascii():
        folded = folded.replace("i\u0307", "i").replace("ı", "i")
    return normalize("NFKC", folded)


PRIMARY = -1


class KeyLookup(NamedTuple):
    """Rows wanted by key: the primary one, or a unique of the table."""

    table: Table[Any]
    unique: int
    keys: dict[Any, None]


class QueryCall(NamedTuple):
    """One question with its parameters."""

    query: Query[Any]
    params: dict[str, Any]

"""The questions that the rules ask a store, beyond rows by their key.

The SQL of each stands under its name in `storage/sql/queries.sql`; the
answer is always a list of rows. A statement changes rows in bulk at the
end of a batch and answers nothing.
"""

from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from zchat.model import (
    AuthoredMessage,
    FileChunk,
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


class Through(msgspec.Struct, frozen=True, gc=False):
    """A seq, or None where there is none."""

    seq: int | None


class MemberThrough(msgspec.Struct, frozen=True, gc=False):
    """Up to where a member's messages have expired."""

    chat_id: str
    user_id: str
    seq: int


class ChatThrough(msgspec.Struct, frozen=True, gc=False):
    """Up to where nobody may see a chat's messages any longer."""

    chat_id: str
    seq: int


# Messages: seq > floor is visible to the asker.
MESSAGES_BEFORE = Query("messages_before", AuthoredMessage)
MESSAGES_AFTER = Query("messages_after", AuthoredMessage)
UNREAD_AFTER = Query("unread_after", AuthoredMessage)
COMMENTS_ON = Query("comments_on", AuthoredMessage)
COUNT_OWN = Query("count_own", Count)
EXPIRED_FOR = Query("expired_for", Through)
# Chats and members
CHATS_OF_USER = Query("chats_of_user", Found)
RECENT_CHATS = Query("recent_chats", Found)
COUNT_CHATS = Query("count_chats", Count)
COUNT_CHATS_OF_USER = Query("count_chats_of_user", Count)
MEMBERS_PAGE = Query("members_page", Named)
SHARED_CHATS = Query("shared_chats", Count)
NEXT_OWNER = Query("next_owner", Found)
# Moderation
COUNT_REPORTERS = Query("count_reporters", Count)
# Schedule
SCHEDULED_OF = Query("scheduled_of", Scheduled)
COUNT_PENDING = Query("count_pending", Count)
DUE = Query("due", Scheduled)
# Files
COUNT_UPLOADS = Query("count_uploads", Count)
STALE_UPLOADS = Query("stale_uploads", StoredFile)
CHUNKS_OF = Query("chunks_of", FileChunk)
# Rooms
LINKS_OF = Query("links_of", Link)
JOIN_REQUESTS_OF = Query("join_requests_of", JoinRequest)
# Lifetime
EXPIRED_MEMBERS = Query("expired_members", MemberThrough)
EXPIRED_CHATS = Query("expired_chats", ChatThrough)

START_LIFETIME = Statement("start_lifetime")
FORGET_DELIVERIES = Statement("forget_deliveries")
DELETE_MESSAGE_CHUNKS = Statement("delete_message_chunks")
DELETE_MESSAGE_FILES = Statement("delete_message_files")
DELETE_MESSAGE_SCHEDULES = Statement("delete_message_schedules")
DELETE_MESSAGES = Statement("delete_messages")
DELETE_CHUNKS_OF_FILE = Statement("delete_chunks_of_file")
DELETE_CHAT_CHUNKS = Statement("delete_chat_chunks")
DELETE_CHAT_FILES = Statement("delete_chat_files")
DELETE_CHAT_MESSAGES = Statement("delete_chat_messages")
DELETE_CHAT_LINKS = Statement("delete_chat_links")
DELETE_CHAT_REQUESTS = Statement("delete_chat_requests")
DELETE_CHAT_DELIVERIES = Statement("delete_chat_deliveries")
DELETE_MEMBER_DELIVERIES = Statement("delete_member_deliveries")

QUERIES: tuple[Query[Any], ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Query)
)
STATEMENTS: tuple[Statement, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Statement)
)

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

"""Rows, ids and changes for tests that use a store directly."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import count
from typing import Any
from uuid import uuid4

from zchat.chat.table_state import Changes, TableState
from zchat.model import (
    AUDIT,
    CHATS,
    COMPLAINTS,
    DELIVERIES,
    EDITS,
    ERASURES,
    FILE_CHUNKS,
    FILES,
    GROUP,
    INVITES,
    JOIN_REQUESTS,
    LINKS,
    MEMBERS,
    MENTIONS,
    MESSAGES,
    PENDING,
    REACTORS,
    SCHEDULED,
    TABLES,
    USERS,
    Audit,
    Chat,
    Complaint,
    Delivery,
    Edit,
    Erasure,
    FileChunk,
    Invite,
    JoinRequest,
    Link,
    Member,
    Mention,
    Message,
    Reactor,
    Scheduled,
    StoredFile,
    Table,
    User,
)
from zchat.queries import PRIMARY, KeyLookup, Query, QueryCall, Statement
from zchat.storage.base import Outgoing, Store

NOW = 1_700_000_000_000_000
"""When the stores of tests are made."""
_numbers = count(1)


def new_id() -> str:
    return str(uuid4())


def number(place: int) -> str:
    """The id at a place in the order of ids."""
    return f"00000000-0000-4000-8000-{place:012x}"


def user(**fields: Any) -> User:
    """A user of whom nothing else is known."""
    name = f"user-{next(_numbers)}"
    return User(
        **{
            "id": new_id(),
            "token_hash": sha256(name.encode()).digest(),
            "name": name,
            "name_key": name,
            "created": 1,
            "inbox_number": 1,
            "inbox_secret": bytes(range(32)),
            **fields,
        }
    )


def chat(**fields: Any) -> Chat:
    """A group that nobody is in."""
    return Chat(
        **{
            "id": new_id(),
            "kind": GROUP,
            "name": "a group",
            "owner_id": None,
            "pair": None,
            "created": 1,
            "head": 0,
            "purged_seq": 0,
            "size": 0,
            "key_number": 1,
            "key_secret": bytes(32),
            **fields,
        }
    )


def member(chat: Chat, user: User, **fields: Any) -> Member:
    return Member(
        **{
            "chat_id": chat.id,
            "user_id": user.id,
            "joined": 1,
            "first_seq": 1,
            "read_seq": 0,
            **fields,
        }
    )


def message(chat: Chat, author: User, seq: int, **fields: Any) -> Message:
    return Message(
        **{
            "id": new_id(),
            "chat_id": chat.id,
            "seq": seq,
            "author_id": author.id,
            "created": seq,
            "text": f"text {seq}",
            "is_comment_on": None,
            "comments": 0,
            "files": None,
            "idempotency_key": None,
            "revision": 0,
            "edited": None,
            "deleted": None,
            "mentions": None,
            "reactions": None,
            "sent_hash": None,
            **fields,
        }
    )


def complaint(offender: User, reporter: User, **fields: Any) -> Complaint:
    return Complaint(
        **{
            "id": new_id(),
            "offender_id": offender.id,
            "round": 0,
            "reporter_id": reporter.id,
            "reason": "rude",
            "message_id": None,
            "evidence": None,
            "created": 1,
            **fields,
        }
    )


def scheduled(chat: Chat, author: User, **fields: Any) -> Scheduled:
    return Scheduled(
        **{
            "id": new_id(),
            "author_id": author.id,
            "chat_id": chat.id,
            "text": "later",
            "is_comment_on": None,
            "file_ids": None,
            "send_at": 100,
            "state": PENDING,
            "error": None,
            "created": 1,
            "idempotency_key": None,
            "message_id": None,
            **fields,
        }
    )


def stored_file(chat: Chat, uploader: User, **fields: Any) -> StoredFile:
    return StoredFile(
        **{
            "id": new_id(),
            "chat_id": chat.id,
            "uploader_id": uploader.id,
            "name": "a.txt",
            "size": 3,
            "sha256": "00" * 32,
            "received": 0,
            "message_id": None,
            "scheduled_id": None,
            "created": 1,
            "resume_key": None,
            **fields,
        }
    )


def link(chat: Chat, **fields: Any) -> Link:
    return Link(
        **{
            "id": new_id(),
            "link_hash": sha256(new_id().encode()).digest(),
            "chat_id": chat.id,
            "created": 1,
            "expires_at": 100,
            "max_uses": None,
            "uses": 0,
            "revoked_at": None,
            **fields,
        }
    )


def row_of_each() -> dict[Table[Any], Any]:
    """A row of every table, with awkward values in it."""
    who, other = (
        user(
            name='na\\me "ü" {,}',
            quota_started=5,
            banned_until=2**52,
            last_seen=7,
            name_skeleton="\u0456",
        ),
        user(),
    )
    room = chat(name="NULL", pair="a:b", owner_id=who.id, key_secret=b'\\x00"')
    note = message(
        room,
        who,
        1,
        text='line\nNULL \\N "{}" \u2603 \U0001f600 \t',
        is_comment_on=new_id(),
        files='[{"name": "\\u0000"}]',
        idempotency_key="",
        revision=4,
        edited=5,
        deleted=6,
        mentions=f'["{who.id}"]',
        reactions='[{"emoji": "\U0001f44d"}]',
        sent_hash=b'\\x00"',
    )
    file = stored_file(
        room, who, message_id=note.id, scheduled_id=new_id(), resume_key="k"
    )
    return {
        USERS: who,
        CHATS: room,
        MEMBERS: member(room, who),
        MESSAGES: note,
        EDITS: Edit(who.id, "k", note.id, b"\x00", 4, 5),
        REACTORS: Reactor(note.id, "\U0001f468\u200d\U0001f469", who.id, 8),
        MENTIONS: Mention(who.id, room.id, 1, 9),
        COMPLAINTS: complaint(other, who, evidence=""),
        AUDIT: Audit(new_id(), 1, who.id, "ban", other.id, '{"a": "\\n"}'),
        INVITES: Invite(new_id(), b"\x00", 1, 2, 3, 4, 5),
        SCHEDULED: scheduled(room, who, idempotency_key="k", error="x"),
        FILES: file,
        FILE_CHUNKS: FileChunk(file.id, 0, bytes(range(256)) * 1024),
        LINKS: link(room, max_uses=1, revoked_at=3),
        JOIN_REQUESTS: JoinRequest(room.id, other.id, new_id(), 1),
        DELIVERIES: Delivery(room.id, who.id, 1, 2),
        ERASURES: Erasure(who.id, note.id, 3),
    }


_TABLE_BY_ROW = {table.row: table for table in TABLES}


def changes(
    insert: Iterable[Any] = (),
    update: Iterable[Any] = (),
    delete: Iterable[Any] = (),
    run: Sequence[tuple[Statement, dict[str, Any]]] = (),
) -> Changes:
    """What a batch with these rows and statements would write."""
    states = {table: TableState(table) for table in TABLES}
    for kind, rows in (
        ("inserts", insert),
        ("updates", update),
        ("deletes", delete),
    ):
        for row in rows:
            table = _TABLE_BY_ROW[type(row)]
            state = states[table]
            {
                "inserts": state.inserts,
                "updates": state.updates,
                "deletes": state.deletes,
            }[kind][table.key_of(row)] = row
    return Changes(list(states.values()), list(run))


@contextmanager
def batch(store: Store, outgoing: Sequence[Outgoing] = ()) -> Iterator[None]:
    """A batch; it is committed with these events."""
    store.begin()
    try:
        yield
        store.commit(outgoing)
    except BaseException:
        store.rollback()
        raise


def write(
    store: Store, *insert: Any, outgoing: Sequence[Outgoing] = (), **other: Any
) -> None:
    """Insert rows (or `update`, `delete`, `run`) in a batch of its own."""
    with batch(store, outgoing):
        written = changes(insert, **other)
        if written:
            store.write(written)


def source(table: Table[Any], *keys: Any, unique: int = PRIMARY) -> KeyLookup:
    return KeyLookup(table, unique, dict.fromkeys(keys))


def load(
    store: Store,
    table: Table[Any],
    *keys: Any,
    unique: int = PRIMARY,
    lock: bool = False,
) -> list[Any]:
    """Rows by key, in a batch of its own."""
    with batch(store):
        (rows,), _ = store.load(
            [source(table, *keys, unique=unique)], [], lock
        )
    return rows


def ask(
    store: Store, query: Query[Any], lock: bool = False, **params: Any
) -> list[Any]:
    """The answer to a query, in a batch of its own."""
    with batch(store):
        _, (rows,) = store.load([], [QueryCall(query, params)], lock)
    return rows

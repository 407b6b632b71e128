"""Stores with many messages, written through the storage layer.

A big one takes a minute or two to make, so it is kept in the system's
folder for temporary files until the schema changes. Its search index is
complete, so that nobody builds it while something is measured.
"""

import hashlib
import os
import random
import tempfile
import time
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

from zchat.chat.table_state import Changes, TableState
from zchat.engine.entropy import SystemEntropy
from zchat.model import (
    CHATS,
    GROUP,
    MEMBERS,
    MESSAGES,
    TABLES,
    USERS,
    Chat,
    Member,
    Message,
    Table,
    User,
)
from zchat.rpc.credentials import token_hash
from zchat.storage.sql import migrations
from zchat.storage.sqlite import SqliteStore
from zchat.storage.sqlite.search import SUFFIX

BATCH: Final = 20_000
TEXT_BYTES: Final = 200
INDEXED_SECONDS: Final = 0.01
_SYLLABLES: Final = "ba ce di fo gu ha ki lo mu na po ra si te vu zo".split()
WORDS: Final = [
    "".join(syllables)
    for length in (1, 2, 3)
    for syllables in product(_SYLLABLES, repeat=length)
][:2_000]
RANKS: Final = [1 / place for place in range(1, len(WORDS) + 1)]
"""Weights of the words, as natural languages have them (Zipf)."""


class Seeded(NamedTuple):
    """A store's file, and its one group with so many users in it."""

    path: Path
    chat_id: str
    users: int
    messages: int

    def token(self, number: int) -> str:
        """The token of one of its users, counted around."""
        return str(UUID(int=number % self.users))


def seeded(users: int, messages: int) -> Seeded:
    """The store of that size, made if it is not there yet."""
    folder = Path(tempfile.gettempdir()) / f"zchat-bench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    schema = "".join(step.script for step in migrations("sqlite"))
    mark = hashlib.sha256(schema.encode()).hexdigest()[:12]
    path = folder / f"{mark}-{users}-{messages}.db"
    chat_id = str(UUID(int=7))
    if not path.exists():
        for old in folder.glob(f"*-{users}-{messages}.db*"):
            old.unlink()
        making = path.with_suffix(".making")
        _make(making, chat_id, users, messages)
        for suffix in (SUFFIX, ""):
            Path(f"{making}{suffix}").rename(f"{path}{suffix}")
    return Seeded(path, chat_id, users, messages)


def _make(path: Path, chat_id: str, users: int, messages: int) -> None:
    for left in path.parent.glob(f"{path.name}*"):
        left.unlink()
    entropy = SystemEntropy()
    now = time.time_ns() // 1000
    with closing(
        SqliteStore(path, now, lambda: entropy.id(now), "normal")
    ) as store:
        people = [_user(number, now) for number in range(users)]
        for start in range(0, users, BATCH):
            some = people[start : start + BATCH]
            _write(
                store,
                [
                    *some,
                    *(Member(chat_id, user.id, now, 1, 0) for user in some),
                ],
            )
        _write(
            store,
            [
                Chat(
                    chat_id,
                    GROUP,
                    "bench",
                    people[0].id,
                    None,
                    now,
                    messages,
                    0,
                    users,
                    1,
                    bytes(32),
                )
            ],
        )
        for start in range(1, messages + 1, BATCH):
            ends = min(start + BATCH, messages + 1)
            _write(
                store,
                [
                    Message(
                        id=entropy.id(now),
                        chat_id=chat_id,
                        seq=seq,
                        author_id=people[seq % users].id,
                        created=now,
                        text=text_of(seq),
                        is_comment_on=None,
                        comments=0,
                        files=None,
                        idempotency_key=None,
                        revision=0,
                        edited=None,
                        deleted=None,
                        mentions=None,
                        reactions=None,
                        sent_hash=None,
                    )
                    for seq in range(start, ends)
                ],
            )
            store.feed()
        while store.indexed_through(chat_id) < messages:
            store.feed()
            time.sleep(INDEXED_SECONDS)


def text_of(seq: int) -> str:
    """What the message with that seq says: its number, then words."""
    chosen = random.Random(seq)
    words = " ".join(
        chosen.choices(WORDS, RANKS, k=TEXT_BYTES // 4)  # 4: short words
    )
    return f"{seq} {words}"[:TEXT_BYTES]


def _user(number: int, now: int) -> User:
    name = f"user-{number}"
    hashed = token_hash(str(UUID(int=number)))
    assert hashed is not None
    return User(
        str(UUID(int=number + 2**64)), hashed, name, name, now, 1, bytes(32)
    )


_TABLE_BY_ROW: Final[dict[type, Table[Any]]] = {
    User: USERS,
    Member: MEMBERS,
    Chat: CHATS,
    Message: MESSAGES,
}


def _write(store: SqliteStore, rows: list[Any]) -> None:
    """One transaction that inserts the rows."""
    states = {table.name: TableState(table) for table in TABLES}
    for row in rows:
        states[_TABLE_BY_ROW[type(row)].name].put(row)
    store.begin()
    store.write(Changes(list(states.values()), []))
    store.commit([])

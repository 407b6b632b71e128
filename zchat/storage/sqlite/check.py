"""Checking a store: the file itself, what refers to what, the counts."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from zchat.errors import StoreUnusable
from zchat.model import TABLES
from zchat.storage.sql import migrations
from zchat.storage.sqlite.backup import open_alone
from zchat.storage.sqlite.files import FileFolder

MOST_FAULTS: Final = 20
"""Of the file itself; one fault there shows up in many places."""

_REFERENCES: Final = (
    ("members", "chat_id", "chats"),
    ("members", "user_id", "users"),
    ("messages", "chat_id", "chats"),
    ("messages", "author_id", "users"),
    ("complaints", "offender_id", "users"),
    ("scheduled", "author_id", "users"),
    ("files", "chat_id", "chats"),
    ("files", "uploader_id", "users"),
    ("files", "message_id", "messages"),
    ("file_chunks", "file_id", "files"),
    ("links", "chat_id", "chats"),
    ("join_requests", "chat_id", "chats"),
    ("join_requests", "user_id", "users"),
    ("deliveries", "chat_id", "chats"),
    ("edits", "message_id", "messages"),
    ("reactors", "message_id", "messages"),
    ("reactors", "user_id", "users"),
    ("mentions", "chat_id", "chats"),
    ("mentions", "user_id", "users"),
    ("erasures", "user_id", "users"),
)
"""A table, a column, and the table whose ids stand in it."""

_RULES: Final = (
    (
        "chats have another size than members",
        "SELECT count(*) FROM chats AS c WHERE size <> "
        "(SELECT count(*) FROM members AS m WHERE m.chat_id = c.id)",
    ),
    (
        "chats have holes in their messages, or another head",
        "SELECT count(*) FROM chats AS c LEFT JOIN ("
        "SELECT chat_id, count(*) AS count, max(seq) AS last "
        "FROM messages GROUP BY chat_id) AS m ON m.chat_id = c.id "
        "WHERE coalesce(m.count, 0) <> c.head - c.purged_seq "
        "OR coalesce(m.last, c.head) <> c.head",
    ),
    (
        "members have read more than there is",
        "SELECT count(*) FROM members AS m JOIN chats AS c "
        "ON c.id = m.chat_id WHERE m.read_seq > c.head",
    ),
    (
        "messages name other files than those attached to them",
        "SELECT count(*) FROM messages AS m WHERE "
        "coalesce(json_array_length(m.files), 0) <> "
        "(SELECT count(*) FROM files AS f WHERE f.message_id = m.id)",
    ),
    (
        "files have another size than was received",
        "SELECT count(*) FROM files AS f WHERE received <> ("
        "SELECT coalesce(sum(coalesce(p.size, length(data))), 0) "
        "FROM file_chunks AS p "
        "WHERE p.file_id = f.id) "
        "OR (resume_key IS NULL AND received <> size)",
    ),
)
"""A fault, and how many there are of it."""


class Checked(NamedTuple):
    """What is in a store, in rows by table, and what is wrong with it."""

    rows: dict[str, int]
    epoch: str
    faults: list[str]


def check(path: Path) -> Checked:
    """Check a store that no broker uses. Raises StoreUnusable."""
    with closing(open_alone(path)) as store:
        (version,) = store.execute("PRAGMA user_version").fetchone()
        if version < migrations("sqlite")[-1].number:
            raise StoreUnusable(
                f"{path} was written by an earlier zchat. Start `zchat "
                "serve` on it, or on a copy, once; then check it."
            )
        faults = list(_file_faults(store))
        if faults:
            return Checked({}, "", faults)
        faults += _reference_faults(store)
        faults += _rule_faults(store)
        faults += _content_faults(store, FileFolder(path))
        rows = {
            table.name: store.execute(
                f"SELECT count(*) FROM {table.name}"
            ).fetchone()[0]
            for table in TABLES
        }
        (epoch,) = store.execute(
            "SELECT value FROM meta WHERE name = 'epoch'"
        ).fetchone()
        return Checked(rows, epoch, faults)


def _file_faults(store: sqlite3.Connection) -> Iterator[str]:
    """What SQLite finds wrong with its file."""
    try:
        for (text,) in store.execute(f"PRAGMA integrity_check({MOST_FAULTS})"):
            if text != "ok":
                yield f"the file is damaged: {text}"
    except sqlite3.DatabaseError as error:
        yield f"the file is damaged: {error}"


def _reference_faults(store: sqlite3.Connection) -> Iterator[str]:
    for table, column, target in _REFERENCES:
        (count,) = store.execute(
            f"SELECT count(*) FROM {table} AS t WHERE {column} IS NOT NULL "
            f"AND NOT EXISTS (SELECT 1 FROM {target} AS x "
            f"WHERE x.id = t.{column})"
        ).fetchone()
        if count:
            yield f"{count} {table} have a {column} that is not in {target}"


def _rule_faults(store: sqlite3.Connection) -> Iterator[str]:
    for fault, sql in _RULES:
        (count,) = store.execute(sql).fetchone()
        if count:
            yield f"{count} {fault}"


def _content_faults(
    store: sqlite3.Connection, files: FileFolder
) -> Iterator[str]:
    """Complete files whose bytes are missing, or have another hash."""
    for file_id, announced in store.execute(
        "SELECT id, sha256 FROM files WHERE resume_key IS NULL"
    ):
        digest = sha256()
        try:
            for offset, data, size in store.execute(
                'SELECT "offset", data, size FROM file_chunks '
                'WHERE file_id = ? ORDER BY "offset"',
                (file_id,),
            ):
                digest.update(
                    data if size is None else files.read(file_id, offset, size)
                )
        except OSError as error:
            yield f"the file {file_id} cannot be read: {error}"
            continue
        if digest.hexdigest() != announced:
            yield f"the file {file_id} has another sha256 than announced"

"""A store of the first version, opened by this one."""

import lzma
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.bare import Client, context
from tests.server import Server, running
from tests.stores import ask, load, new_id
from zchat import queries
from zchat.model import CHATS, MESSAGES, TABLES
from zchat.operator.stores import check_store
from zchat.storage.sqlite import SqliteStore

DATA = Path(__file__).parents[1] / "data"
BOB = "54210047-cb6a-4f18-adcd-ecad4403e82d"
"""The token of somebody in it: in the common chat, a group and a p2p."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The store, as the first version left it."""
    path = tmp_path / "zchat.db"
    packed = (DATA / "first-version.db.xz").read_bytes()
    path.write_bytes(lzma.decompress(packed))
    return path


def counts(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as lite:
        return {
            table: lite.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for (table,) in lite.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table'"
            ).fetchall()
            if table in {known.name for known in TABLES}
        }


def test_everything_of_the_first_version_is_there(path: Path) -> None:
    with closing(sqlite3.connect(path)) as lite:
        assert lite.execute("PRAGMA user_version").fetchone() == (1,)
        before = lite.execute(
            "SELECT id, chat_id, seq, author_id, created, text, "
            "is_comment_on, comments, files, idempotency_key FROM messages"
        ).fetchall()
    old = counts(path)
    assert len(before) == old["messages"] > 90

    with closing(SqliteStore(path, 1, new_id)) as store:
        for row in before:
            (message,) = load(store, MESSAGES, row[0])
            assert tuple(
                getattr(message, name) for name in MESSAGES.columns[:10]
            ) == tuple(row)

    checked = check_store(str(path))
    assert checked.faults == []
    assert {name: checked.rows[name] for name in old} == old


def test_it_goes_on_being_used(
    path: Path, free_port: Callable[[], int]
) -> None:
    """Somebody comes back with the token, reads, and is answered."""
    server = Server(path.parent, free_port())
    try:
        server.start()
        with context() as ctx:
            client = Client(ctx, server.rpc, server.events)
            bob = client.user(BOB)
            chats = bob.call("sync")["chats"]
            assert [(c["head"], c["read"], c["unread"]) for c in chats] == [
                (58, 58, 0),
                (2, 2, 0),
                (31, 31, 0),
            ]
            group = chats[2]["id"]
            bob.send("and on", chat_id=group)
            newest = bob.call("history", chat_id=group, limit=2)["messages"]
            assert [m["seq"] for m in newest] == [31, 32]
            assert newest[0]["files"][0]["name"] == "a.bin"
            data = bob.call(
                "download", file_id=newest[0]["files"][0]["file_id"]
            )["data"]
            assert len(data) == 1000
    finally:
        server.close()
    with running(path.parent, free_port()):
        """It starts again."""


def test_own_messages_are_counted_in_blocks(path: Path) -> None:
    """As many as one by one, wherever the read position is."""
    with closing(SqliteStore(path, 1, new_id)) as store:
        (common,) = load(store, CHATS, store.common_id)
        for user_id in {
            row.author_id
            for row in ask(
                store,
                queries.MESSAGES_AFTER,
                chat_id=common.id,
                after=0,
                limit=100,
            )
        }:
            for after in (0, 1, 30, common.head):
                (found,) = ask(
                    store,
                    queries.COUNT_OWN,
                    chat_id=common.id,
                    user_id=user_id,
                    after=after,
                )
                (count,) = store._connection.execute(
                    "SELECT count(*) FROM messages WHERE chat_id = ? "
                    "AND author_id = ? AND seq > ?",
                    (common.id, user_id, after),
                ).fetchone()
                assert found.count == count

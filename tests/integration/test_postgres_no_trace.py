"""What is left of a deleted text in the files of a PostgreSQL database."""

import random
import string
from collections.abc import Callable
from contextlib import closing

import pytest
from msgspec.structs import replace

from tests.bare import wait_until
from tests.postgres import Cluster
from tests.stores import (
    batch,
    changes,
    chat,
    message,
    new_id,
    source,
    user,
    write,
)
from zchat.model import MESSAGES
from zchat.storage import open_store
from zchat.storage.base import Outgoing

NOW = 1_700_000_000_000_000
SECRET = "qzxjkvbwpf"
COUNT = 128


def _letters(number: int) -> str:
    """Text too long for its row, that compresses badly."""
    made = random.Random(number)
    return "".join(made.choice(string.printable[:62]) for _ in range(6_000))


TEXTS: dict[str, Callable[[int], str]] = {
    "short": lambda number: f"{SECRET} {number}",
    "beside the row": lambda number: SECRET + _letters(number),
}


def _files_with(server: Cluster, database: str, secret: str) -> list[str]:
    """The database's files that hold the secret, once all are written."""
    server.execute("CHECKPOINT", database)
    ((oid,),) = server.execute(
        "SELECT oid FROM pg_database WHERE datname = current_database()",
        database,
    )
    return [
        path.name
        for path in (server.data / "base" / str(oid)).iterdir()
        if path.is_file() and secret.encode() in path.read_bytes()
    ]


@pytest.mark.parametrize("kind", TEXTS)
def test_vacuum_full_leaves_nothing_of_a_deleted_text(
    postgres_cluster: Cluster, postgres_url: str, kind: str
) -> None:
    """Neither in the table, its indexes, the search index nor the
    planner's statistics."""
    database = postgres_url.split("/")[3].partition("?")[0]

    def run(sql: str) -> list[tuple[object, ...]]:
        return postgres_cluster.execute(sql, database)

    room, who = chat(head=COUNT), user()
    notes = [
        message(room, who, seq, text=TEXTS[kind](seq))
        for seq in range(1, COUNT + 1)
    ]
    with closing(open_store(postgres_url, NOW, new_id)) as store:
        written = [Outgoing(b"t", b"", room.id, COUNT)]
        write(store, room, who, *notes, outgoing=written)
        wait_until(
            lambda: store.feed() and run("SELECT 1 FROM search_blocks"),
            "the search is filled",
        )
        run("VACUUM ANALYZE")
        assert not run(
            "SELECT 1 FROM pg_stats WHERE attname IN ('text', 'evidence')"
        )
        assert len(_files_with(postgres_cluster, database, SECRET)) == 1

        with batch(store):
            store.load([source(MESSAGES, *(n.id for n in notes))], [], True)
            store.write(
                changes(
                    update=[
                        replace(note, text="", deleted=9) for note in notes
                    ]
                )
            )
        wait_until(
            lambda: not run("SELECT 1 FROM search_dirty"), "it is out of there"
        )
        assert run("SELECT DISTINCT text FROM messages") == [("",)]
        run("VACUUM FULL messages")

        assert _files_with(postgres_cluster, database, SECRET) == []

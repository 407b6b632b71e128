"""The bytes of files beside an SQLite store, through faults and copies."""

import os
import sqlite3
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.stores import (
    ask,
    batch,
    changes,
    chat,
    load,
    new_id,
    source,
    stored_file,
    user,
    write,
)
from zchat import queries
from zchat.errors import StoreAway
from zchat.model import CHUNK_BYTES, FILE_CHUNKS, FileChunk, StoredFile
from zchat.operator.stores import check_store, restore_store
from zchat.storage.base import Outgoing
from zchat.storage.sqlite import SqliteStore
from zchat.storage.sqlite import store as store_module
from zchat.storage.sqlite.files import SUFFIX

BYTES = os.urandom(CHUNK_BYTES + 1000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "zchat.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path, 1, new_id)) as opened:
        yield opened


def kept(path: Path) -> list[str]:
    """The files in the folder."""
    return sorted(p.name for p in Path(f"{path}{SUFFIX}").glob("*/*"))


def put(store: SqliteStore) -> StoredFile:
    """A whole file of two chunks."""
    room, ann = chat(size=0), user()
    file = stored_file(
        room,
        ann,
        size=len(BYTES),
        received=len(BYTES),
        sha256=sha256(BYTES).hexdigest(),
    )
    write(
        store,
        room,
        ann,
        file,
        FileChunk(file.id, 0, BYTES[:CHUNK_BYTES]),
        FileChunk(file.id, CHUNK_BYTES, BYTES[CHUNK_BYTES:]),
    )
    return file


def bytes_of(store: SqliteStore, file: StoredFile) -> bytes:
    chunks = ask(store, queries.CHUNKS_OF, file_id=file.id, offset=0, limit=10)
    return b"".join(chunk.data for chunk in chunks)


def test_bytes_lie_beside_the_store(store: SqliteStore, path: Path) -> None:
    """Readable by their owner alone, and nowhere else."""
    file = put(store)

    assert bytes_of(store, file) == BYTES
    assert kept(path) == [file.id]
    (found,) = Path(f"{path}{SUFFIX}").glob("*/*")
    assert found.read_bytes() == BYTES
    assert found.stat().st_mode & 0o777 == 0o600
    for folder in found.parents[:2]:
        assert folder.stat().st_mode & 0o777 == 0o700
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert BYTES[:64] not in path.read_bytes()


def test_chunk_is_read_in_the_batch_that_writes_it(
    store: SqliteStore,
) -> None:
    chunk = FileChunk(new_id(), 0, b"at once")
    with batch(store):
        store.write(changes([chunk]))
        key = (chunk.file_id, 0)
        ((found,),), _ = store.load([source(FILE_CHUNKS, key)], [], False)
        assert found == chunk


def test_what_was_rolled_back_is_removed_at_the_start(
    store: SqliteStore, path: Path
) -> None:
    file = put(store)
    store.begin()
    store.write(changes([FileChunk(new_id(), 0, b"lost")]))
    store.rollback()
    assert len(kept(path)) == 2
    store.close()

    with closing(SqliteStore(path, 1, new_id)) as again:
        assert kept(path) == [file.id]
        assert bytes_of(again, file) == BYTES


def test_removed_files_go_from_the_disk(
    store: SqliteStore, path: Path, tmp_path: Path
) -> None:
    """Also at the next start, and not while a copy still needs them."""
    first, second = put(store), put(store)
    forget = queries.DELETE_CHUNKS_OF_FILE
    write(store, delete=[first], run=[(forget, {"file_id": first.id})])
    store.feed()
    assert kept(path) == [second.id]

    under_way = store.back_up(tmp_path / "copy.db")
    write(store, delete=[second], run=[(forget, {"file_id": second.id})])
    under_way.result()
    store.close()
    assert kept(path) == [second.id]
    with closing(SqliteStore(path, 1, new_id)) as again:
        again.feed()
        assert kept(path) == []


class TestTidyingFails:
    """What is only tidied up stops nothing, and is tried again."""

    @pytest.fixture(autouse=True)
    def at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store_module, "EMPTY_SECONDS", 0)

    @pytest.fixture
    def logged(self) -> Iterator[list[MutableMapping[str, Any]]]:
        with capture_logs() as entries:
            yield entries

    def remove(self, store: SqliteStore) -> None:
        """A file goes, and its removal is told."""
        file = put(store)
        store.feed()
        forget = queries.DELETE_CHUNKS_OF_FILE
        store.begin()
        store.write(
            changes(delete=[file], run=[(forget, {"file_id": file.id})])
        )
        store.commit([Outgoing(b"topic", b"body")])

    def fed(self, store: SqliteStore) -> list[bytes]:
        outgoing, lost = store.feed()
        assert not lost
        return [one.body for one in outgoing]

    def test_a_file_that_cannot_be_removed(
        self,
        store: SqliteStore,
        path: Path,
        logged: list[MutableMapping[str, Any]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.remove(store)

        def fail(ids: object) -> None:
            raise OSError("read-only")

        with monkeypatch.context() as patched:
            patched.setattr(store._files, "remove", fail)
            assert self.fed(store) == [b"body"]

        assert [one["event"] for one in logged] == ["files_not_removed"]
        assert len(kept(path)) == 1
        write(store, user())
        store.feed()
        assert kept(path) == []

    def test_what_was_removed_and_is_still_listed(
        self,
        store: SqliteStore,
        path: Path,
        logged: list[MutableMapping[str, Any]],
    ) -> None:
        """The store cannot be written at the moment."""
        self.remove(store)
        store._connection.execute("PRAGMA query_only = ON")

        assert self.fed(store) == [b"body"]

        assert "files_not_removed" in [one["event"] for one in logged]
        assert kept(path) == []
        store._connection.execute("PRAGMA query_only = OFF")
        write(store, user())
        store.feed()
        assert not store._connection.execute(
            "SELECT id FROM files_gone"
        ).fetchall()

    def test_an_index_that_cannot_be_looked_after(
        self,
        store: SqliteStore,
        logged: list[MutableMapping[str, Any]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.remove(store)

        def fail() -> None:
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(store._search, "tend", fail)

        assert self.fed(store) == [b"body"]
        assert logged[0]["event"] == "search_not_tended"


def test_a_file_that_cannot_be_written_is_refused(
    store: SqliteStore, path: Path
) -> None:
    """Nothing of the batch is kept, and it goes on."""
    Path(f"{path}{SUFFIX}").write_text("in the way")
    who = user()

    with pytest.raises(StoreAway, match="cannot be written"):
        write(store, who, FileChunk(new_id(), 0, b"x"))

    assert check_rows(store) == 0
    Path(f"{path}{SUFFIX}").unlink()
    put(store)


def check_rows(store: SqliteStore) -> int:
    (count,) = store._connection.execute(
        "SELECT (SELECT count(*) FROM users) + "
        "(SELECT count(*) FROM file_chunks)"
    ).fetchone()
    return int(count)


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    os.truncate(path, CHUNK_BYTES + 1)


def change(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"changed")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [(remove, "cannot be read"), (cut, "too short"), (change, "sha256")],
)
def test_a_spoilt_file_is_found_and_told(
    store: SqliteStore,
    path: Path,
    spoil: Callable[[Path], None],
    told: str,
) -> None:
    file = put(store)
    spoil(next(Path(f"{path}{SUFFIX}").glob("*/*")))

    if spoil is not change:
        with pytest.raises(StoreAway, match="cannot be read"):
            bytes_of(store, file)
    store.close()

    (fault,) = check_store(str(path)).faults
    assert told in fault
    assert file.id in fault


def test_a_backup_holds_the_files(
    store: SqliteStore, path: Path, tmp_path: Path
) -> None:
    """In its one file; a store that is replaced loses its folder."""
    file = put(store)
    copy = tmp_path / "copy.db"
    store.back_up(copy).result()
    assert check_store(str(copy)).faults == []
    later = put(store)
    store.close()

    restore_store(copy, str(path), force=True)

    assert kept(path) == []
    with closing(SqliteStore(path, 1, new_id)) as again:
        assert bytes_of(again, file) == BYTES
        assert bytes_of(again, later) == b""
        assert (
            load(again, FILE_CHUNKS, (file.id, 0))[0].data
            == (BYTES[:CHUNK_BYTES])
        )
        newer = put(again)
        assert kept(path) == [newer.id]
    assert check_store(str(path)).faults == []

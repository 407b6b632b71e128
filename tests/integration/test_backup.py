"""Backups: taken while a store is used, checked, and put in place."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from tests.stores import (
    NOW,
    batch,
    changes,
    chat,
    load,
    member,
    message,
    new_id,
    stored_file,
    user,
    write,
)
from zchat.cli import main
from zchat.errors import StoreError, StoreUnusable
from zchat.model import CHATS, MESSAGES, FileChunk
from zchat.operator.stores import back_up_store, check_store, restore_store
from zchat.storage.base import Store
from zchat.storage.postgres import PostgresStore
from zchat.storage.sqlite import SqliteStore, backup


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "zchat.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(SqliteStore(path, NOW, new_id)) as opened:
        yield opened


def fill(store: Store, messages: int = 50) -> str:
    """A sound group with messages and a file; its id."""
    ann, bob = user(), user()
    room = chat(head=messages, size=2)
    file = stored_file(
        room,
        ann,
        size=3,
        received=3,
        sha256=sha256(b"abc").hexdigest(),
    )
    sent = [message(room, ann, seq) for seq in range(1, messages)]
    last = message(room, ann, messages, files='[{"file_id": "x"}]')
    write(
        store,
        ann,
        bob,
        room,
        member(room, ann),
        member(room, bob, read_seq=messages),
        *sent,
        last,
        replace(file, message_id=last.id),
        FileChunk(file.id, 0, b"abc"),
    )
    return room.id


def test_copy_taken_while_the_store_is_used(
    store: SqliteStore, path: Path, tmp_path: Path
) -> None:
    """It is of one moment, and holds what was committed before."""
    copy = tmp_path / "copy.db"
    room_id = fill(store, 3000)
    (room,) = load(store, CHATS, room_id)
    ann = user()
    write(store, ann)

    under_way = store.back_up(copy)
    while not under_way.is_done:
        room = replace(room, head=room.head + 1)
        write(store, message(room, ann, room.head), update=[room])
    copied = under_way.result()

    assert copied == (copy.stat().st_size, store.epoch)
    assert copy.stat().st_mode & 0o777 == 0o600
    checked = check_store(str(copy))
    assert checked.faults == []
    assert 3000 <= checked.rows["messages"] <= room.head
    assert sorted(p.name for p in tmp_path.glob("*copy*")) == ["copy.db"]


def test_copy_holds_no_half_of_a_batch(
    store: SqliteStore, tmp_path: Path
) -> None:
    """A batch that is open when the copy is begun is not in it."""
    copy = tmp_path / "copy.db"
    fill(store)
    with batch(store):
        store.write(changes([user(id="half")]))
        under_way = store.back_up(copy)
        assert not under_way.is_done

    under_way.result()
    assert check_store(str(copy)).faults == []


def test_store_that_closes_leaves_no_half_copy(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(backup, "PAGES_A_STEP", 1)
    store = SqliteStore(path, NOW, new_id)
    fill(store)
    under_way = store.back_up(tmp_path / "copy.db")
    store.close()

    with pytest.raises(StoreError, match="given up"):
        under_way.result()
    assert not list(tmp_path.glob("*copy*"))


def test_file_that_is_there_is_not_overwritten(
    store: SqliteStore, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("mine")

    with pytest.raises(StoreUnusable, match="exists already"):
        store.back_up(copy)
    with pytest.raises(StoreUnusable, match="cannot be written"):
        store.back_up(tmp_path / "nowhere" / "copy.db")

    assert copy.read_text() == "mine"


def test_restored_store_has_all_and_another_epoch(
    path: Path, tmp_path: Path
) -> None:
    copy, new = tmp_path / "copy.db", tmp_path / "new.db"
    with closing(SqliteStore(path, NOW, new_id)) as store:
        fill(store)
        epoch = store.epoch
        store.back_up(copy).result()

    restored = restore_store(copy, str(new), force=False)

    assert restored.epoch != epoch
    assert new.stat().st_mode & 0o777 == 0o600
    with closing(SqliteStore(new, NOW, new_id)) as again:
        assert again.epoch == restored.epoch
    assert check_store(str(new)).rows["messages"] == 50


def test_restoring_over_a_store(path: Path, tmp_path: Path) -> None:
    """Only with force, and never one that is in use."""
    copy = tmp_path / "copy.db"
    with closing(SqliteStore(path, NOW, new_id)) as store:
        fill(store)
        store.back_up(copy).result()
        late = user()
        write(store, late)
        epoch = store.epoch
        for force in (False, True):
            with pytest.raises(StoreUnusable, match=r"exists|in use"):
                restore_store(copy, str(path), force)

    with pytest.raises(StoreUnusable, match="--force"):
        restore_store(copy, str(path), force=False)
    restore_store(copy, str(path), force=True)

    with closing(SqliteStore(path, NOW, new_id)) as store:
        assert store.epoch != epoch
    assert check_store(str(path)).rows["users"] == 2


@pytest.mark.parametrize(
    "text", [b"", b"junk" * 1000, b"SQLite format 3\0" + bytes(5000)]
)
def test_what_is_no_backup_is_not_restored(
    tmp_path: Path, text: bytes
) -> None:
    copy, new = tmp_path / "copy.db", tmp_path / "new.db"
    copy.write_bytes(text)

    with pytest.raises(StoreError):
        restore_store(copy, str(new), force=True)

    assert not new.exists()


def test_damaged_backup_is_not_restored(path: Path, tmp_path: Path) -> None:
    copy, new = tmp_path / "copy.db", tmp_path / "new.db"
    with closing(SqliteStore(path, NOW, new_id)) as store:
        fill(store, 500)
    back_up_store(str(path), copy)
    damaged = bytearray(copy.read_bytes())
    page = damaged.index(b"text 250") // 4096 * 4096
    damaged[page : page + 200] = b"\xff" * 200
    copy.write_bytes(damaged)

    with pytest.raises(StoreUnusable, match="not sound"):
        restore_store(copy, str(new), force=False)

    assert not new.exists()
    assert any("damaged" in fault for fault in check_store(str(copy)).faults)


def test_there_is_none(path: Path, tmp_path: Path) -> None:
    for use in (
        lambda: check_store(str(path)),
        lambda: restore_store(path, str(tmp_path / "new.db"), force=False),
    ):
        with pytest.raises(StoreUnusable, match="There is no file"):
            use()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("by", "told"), [(-1, "earlier zchat"), (1, "Upgrade zchat")]
)
def test_store_of_another_version_is_not_checked(
    path: Path, by: int, told: str
) -> None:
    """An earlier one would look full of faults."""
    with closing(SqliteStore(path, NOW, new_id)) as store:
        fill(store)
    with closing(sqlite3.connect(path)) as lite:
        (version,) = lite.execute("PRAGMA user_version").fetchone()
        lite.execute(f"PRAGMA user_version = {version + by}")

    with pytest.raises(StoreUnusable, match=told):
        check_store(str(path))


def test_backup_of_a_later_version_is_not_restored(
    path: Path, tmp_path: Path
) -> None:
    copy, new = tmp_path / "copy.db", tmp_path / "new.db"
    with closing(SqliteStore(path, NOW, new_id)) as store:
        fill(store)
    back_up_store(str(path), copy)
    with closing(sqlite3.connect(copy)) as lite:
        lite.execute("PRAGMA user_version = 999")

    with pytest.raises(StoreUnusable, match="Upgrade zchat"):
        restore_store(copy, str(new), force=False)

    assert not new.exists()


FAULTS = {
    "chats have another size": "UPDATE chats SET size = 7 WHERE size = 2",
    "have holes": "DELETE FROM messages WHERE seq = 5",
    "another head": "UPDATE chats SET head = 60 WHERE head = 50",
    "read more than there is": "UPDATE members SET read_seq = 51",
    "name other files": "UPDATE messages SET files = NULL",
    "another size than was received": "UPDATE files SET received = 2",
    "another sha256": "UPDATE file_chunks SET data = x'616264', size = NULL",
    "cannot be read": "UPDATE file_chunks SET size = 4",
    "have a author_id": "UPDATE messages SET author_id = 'x' WHERE seq = 1",
    "have a user_id": "UPDATE members SET user_id = 'x' WHERE read_seq = 0",
    "have a file_id": "UPDATE file_chunks SET file_id = 'x'",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found(path: Path, fault: str) -> None:
    with closing(SqliteStore(path, NOW, new_id)) as store:
        fill(store)
    assert check_store(str(path)).faults == []
    with closing(sqlite3.connect(path)) as lite:
        lite.execute(FAULTS[fault])
        lite.commit()

    faults = check_store(str(path)).faults

    assert any(fault in found for found in faults), faults


def test_purged_chat_is_sound(path: Path) -> None:
    with closing(SqliteStore(path, NOW, new_id)) as store:
        room_id = fill(store)
        (room,) = load(store, CHATS, room_id)
        write(store, update=[replace(room, purged_seq=49)])
        store._connection.execute("DELETE FROM messages WHERE seq < 50")

    assert check_store(str(path)).faults == []


def test_commands(path: Path, tmp_path: Path) -> None:
    with closing(SqliteStore(path, NOW, new_id)) as store:
        fill(store)
        in_use = CliRunner().invoke(main, ["check", str(path)])
    copy, new = tmp_path / "copy.db", tmp_path / "new.db"
    run = CliRunner().invoke

    assert (in_use.exit_code, "in use" in in_use.output) == (2, True)
    saved = run(main, ["backup", str(copy), "--store", str(path)])
    assert (saved.exit_code, "epoch" in saved.output) == (0, True)
    assert (
        run(main, ["backup", str(copy), "--store", str(path)]).exit_code == 2
    )
    restored = run(main, ["restore", str(copy), "--store", str(new)])
    assert (restored.exit_code, "restored" in restored.output) == (0, True)
    checked = run(main, ["check", str(new)])
    assert (checked.exit_code, "No faults" in checked.output) == (0, True)
    with closing(sqlite3.connect(new)) as lite:
        lite.execute("DELETE FROM users")
        lite.commit()
    checked = run(main, ["check", str(new)])
    assert (checked.exit_code, "not in users" in checked.output) == (1, True)


def test_postgres_has_its_own_tools(postgres_url: str, tmp_path: Path) -> None:
    with closing(PostgresStore(postgres_url, NOW, new_id)) as store:
        for attempt in (
            lambda: store.back_up(tmp_path / "copy.db"),
            lambda: back_up_store(postgres_url, tmp_path / "copy.db"),
            lambda: restore_store(tmp_path / "copy.db", postgres_url, True),
            lambda: check_store(postgres_url),
        ):
            with pytest.raises(StoreUnusable, match="pg_dump"):
                attempt()


def test_copy_of_an_index_is_no_part_of_it(path: Path, tmp_path: Path) -> None:
    """The index is made again: an old one would know another history."""
    copy = tmp_path / "copy.db"
    with closing(SqliteStore(path, NOW, new_id)) as store:
        fill(store)
        store.back_up(copy).result()
    assert Path(f"{path}{backup.INDEX_SUFFIX}").exists()

    restore_store(copy, str(path), force=True)

    assert not Path(f"{path}{backup.INDEX_SUFFIX}").exists()
    shutil.copy(path, tmp_path / "third.db")
    with closing(SqliteStore(tmp_path / "third.db", NOW, new_id)) as third:
        assert len(load(third, MESSAGES)) == 0

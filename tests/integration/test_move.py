"""Moving a store from SQLite to PostgreSQL."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from tests.stores import chat, load, message, new_id, row_of_each, user, write
from zchat.cli import main
from zchat.errors import StoreUnusable
from zchat.model import CHATS, TABLES
from zchat.storage import open_store
from zchat.storage.postgres import schema


@pytest.fixture
def rows(tmp_path: Path) -> dict[Any, Any]:
    """A row of each table, kept in the file `zchat.db`."""
    kept = row_of_each()
    with closing(open_store(str(tmp_path / "zchat.db"), 1, new_id)) as old:
        room, who = chat(), user()
        write(
            old,
            *kept.values(),
            room,
            who,
            *(message(room, who, seq) for seq in range(1, 3000)),
        )
    return kept


def migrate(folder: Path, url: str) -> Result:
    return CliRunner().invoke(main, ["migrate", str(folder / "zchat.db"), url])


def test_everything_is_moved(
    tmp_path: Path, rows: dict[Any, Any], postgres_url: str
) -> None:
    result = migrate(tmp_path, postgres_url)

    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.output.splitlines()[:-1]] == [
        table.name for table in TABLES
    ]
    counts = dict(line.split()[:2] for line in result.output.splitlines()[:-1])
    assert counts["messages"] == "3000"
    with closing(open_store(postgres_url, 9, new_id)) as new:
        for table, row in rows.items():
            assert load(new, table, table.key_of(row)) == [row]
        assert load(new, CHATS, new.common_id)[0].created == 1
    with closing(open_store(str(tmp_path / "zchat.db"), 9, new_id)) as old:
        assert old.common_id == new.common_id
        assert old.epoch != new.epoch


def test_database_with_a_store_is_left_alone(
    tmp_path: Path, rows: dict[Any, Any], postgres_url: str
) -> None:
    with closing(open_store(postgres_url, 1, new_id)) as there:
        known = there.epoch, there.common_id

    result = migrate(tmp_path, postgres_url)

    assert result.exit_code == 2
    assert "already holds a store" in result.output
    with closing(open_store(postgres_url, 1, new_id)) as there:
        assert (there.epoch, there.common_id) == known


def test_copy_that_differs_is_not_kept(
    tmp_path: Path, rows: dict[Any, Any], postgres_url: str
) -> None:
    with closing(sqlite3.connect(tmp_path / "zchat.db")) as file:
        file.execute("UPDATE links SET id = upper(id)")
        file.commit()

    result = migrate(tmp_path, postgres_url)

    assert result.exit_code == 2
    assert "The copy of links differs" in result.output
    with closing(psycopg.connect(postgres_url)) as connection:
        assert connection.execute(
            "SELECT to_regclass('messages')"
        ).fetchone() == (None,)


def test_value_that_the_database_refuses(
    tmp_path: Path, rows: dict[Any, Any], postgres_url: str
) -> None:
    with closing(sqlite3.connect(tmp_path / "zchat.db")) as file:
        file.execute("UPDATE messages SET author_id = 'nobody'")
        file.commit()

    result = migrate(tmp_path, postgres_url)

    assert result.exit_code == 2
    assert "cannot take the store" in result.output


def test_file_in_use(
    tmp_path: Path, rows: dict[Any, Any], postgres_url: str
) -> None:
    with closing(open_store(str(tmp_path / "zchat.db"), 1, new_id)):
        result = migrate(tmp_path, postgres_url)

    assert result.exit_code == 2
    assert "in use by another broker" in result.output


@pytest.mark.parametrize(
    ("file", "url", "error"),
    [
        ("missing", "postgresql:///x", "There is no file"),
        ("zchat.db", "other.db", "postgresql://user@host/database"),
        ("zchat.db", "postgresql:///x?host=/nowhere", "cannot take"),
    ],
)
def test_wrong_arguments(
    tmp_path: Path, rows: dict[Any, Any], file: str, url: str, error: str
) -> None:
    result = CliRunner().invoke(main, ["migrate", str(tmp_path / file), url])

    assert result.exit_code == 2
    assert error in result.output


def test_broker_cannot_start_on_a_store_that_is_moved(
    tmp_path: Path,
    rows: dict[Any, Any],
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    claim = schema.claim

    def meanwhile(*arguments: Any) -> None:
        claim(*arguments)
        with pytest.raises(StoreUnusable):
            open_store(str(tmp_path / "zchat.db"), 1, new_id)

    monkeypatch.setattr(schema, "claim", meanwhile)

    assert migrate(tmp_path, postgres_url).exit_code == 0

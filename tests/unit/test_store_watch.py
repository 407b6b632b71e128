"""Whether an open store is still the one at its path."""

from pathlib import Path

import pytest

from zchat.storage.sqlite import watch
from zchat.storage.sqlite.watch import LOOK_SECONDS, FileWatch


class Files:
    """A store and its log, a clock, and what watches them."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.store = folder / "zchat.db"
        self.log = folder / "zchat.db-wal"
        for path in (self.store, self.log):
            path.touch()
        self.watch = FileWatch(self.store)

    def look(self) -> str | None:
        """What is wrong, a while later."""
        self.now += LOOK_SECONDS
        return self.watch.look()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    made = Files(tmp_path)
    monkeypatch.setattr(watch, "monotonic", lambda: made.now)
    return made


def replace(path: Path) -> None:
    """Put another file there, which has another identity for sure."""
    path.rename(path.with_suffix(".old"))
    path.touch()


def test_nothing_is_wrong(files: Files) -> None:
    files.store.write_bytes(b"changed")

    assert files.look() is None
    assert not files.watch.is_log_alone_missing


def test_it_looks_every_so_often(files: Files) -> None:
    assert files.look() is None
    files.store.unlink()

    files.now += LOOK_SECONDS / 2

    assert files.watch.look() is None
    assert files.look() is not None


@pytest.mark.parametrize("which", ["store", "log"])
def test_a_file_that_is_gone_or_another(files: Files, which: str) -> None:
    path: Path = getattr(files, which)
    kept = path.with_suffix(".kept")
    path.rename(kept)
    assert files.look() == f"{path} was removed"
    path.touch()
    assert files.look() == f"{path} was replaced"

    kept.replace(path)

    assert files.look() is None


def test_a_log_alone_can_be_begun_again(files: Files) -> None:
    files.log.unlink()
    files.look()
    missing = [files.watch.is_log_alone_missing]

    files.log.touch()
    files.watch.log_renewed()
    missing.append(files.watch.is_log_alone_missing)

    assert missing == [True, False]
    assert files.watch.lost is None
    assert files.look() is None


def test_not_where_the_store_is_another_too(files: Files) -> None:
    """Its log would be written into a stranger's store."""
    files.log.unlink()
    replace(files.store)

    assert files.look() == f"{files.store} was replaced"
    assert not files.watch.is_log_alone_missing

"""The store's file taken away, put back and replaced under the server.

And: what is acknowledged is on the disk, counted in system calls.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.attack.test_rpc_store import cannot_start
from tests.bare import Client, User, context, wait_until
from tests.server import Server, running
from tests.stores import new_id
from zchat.storage.sqlite import SqliteStore

STRACE = shutil.which("strace")
# Root may write anything, unless it gives that up.
AS_OTHERS = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    if os.geteuid() == 0
    else ()
)
SENDS = 25


def refused(user: User) -> bool:
    """Whether a send is refused, since the store is away."""
    user.post("send", text="is anybody there?")
    error = user.caller.answer().error
    if error is not None:
        assert error["code"] == "unavailable"
    return error is not None


def texts(user: User) -> list[str]:
    """What stands in the common chat, newest first."""
    found = user.call("history", chat_id=user.common, limit=200)
    return [message["text"] for message in reversed(found["messages"])]


def remove(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def replace(path: Path) -> None:
    with closing(SqliteStore(path.with_name("new.db"), 1, new_id)):
        pass
    path.rename(path.with_name("elsewhere.db"))
    path.with_name("new.db").rename(path)


@pytest.mark.parametrize("spoil", [remove, replace])
def test_a_store_that_is_taken_away_is_noticed(
    tmp_path: Path,
    free_port: Callable[[], int],
    spoil: Callable[[Path], None],
) -> None:
    """Nothing more is acknowledged, and all is well once it is back."""
    with running(tmp_path, free_port()) as server, context() as ctx:
        ann = Client(ctx, server.rpc, server.events).user()
        ann.send("kept")
        spoil(server.store)

        wait_until(lambda: refused(ann), "sends are refused")

        assert server.log.wait_for("store_file_lost")["level"] == "error"
        assert ann.caller.call("hello")["protocol"] == 1
        assert refused(ann)
        (tmp_path / "elsewhere.db").replace(server.store)
        wait_until(lambda: not refused(ann), "sends are taken again")
        ann.send("kept too")
        server.stop()
        server.start()
        assert texts(ann)[:1] == ["kept too"]
        assert "kept" in texts(ann)


def test_a_log_that_is_removed_costs_nothing(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """What was acknowledged before is there, after a kill as well."""
    with running(tmp_path, free_port()) as server, context() as ctx:
        ann = Client(ctx, server.rpc, server.events).user()
        for number in range(20):
            ann.send(f"before {number}")
        Path(f"{server.store}-wal").unlink()

        server.log.wait_for("store_log_renewed")

        for number in range(20):
            ann.send(f"after {number}")
        server.kill()
        server.start()
        assert len(set(texts(ann))) == 40


@pytest.mark.parametrize("empty", [False, True])
def test_an_empty_store_never_takes_the_place_of_one(
    tmp_path: Path, free_port: Callable[[], int], empty: bool
) -> None:
    with running(tmp_path, free_port()) as server, context() as ctx:
        Client(ctx, server.rpc, server.events).user().send("kept")
    server.store.unlink()
    if empty:
        server.store.touch()

    line = cannot_start(server)

    assert "There was a store" in line
    for left in tmp_path.glob("zchat.db-*"):
        left.unlink()
    with running(tmp_path, free_port()):
        """It is wanted, now that nothing is left."""


def test_a_missing_folder_is_told(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    store = tmp_path / "none" / "zchat.db"

    line = cannot_start(Server(tmp_path, free_port(), "--store", str(store)))

    assert f"there is no folder {store.parent}" in line
    assert not store.parent.exists()


@contextmanager
def counted_syncs(pid: int, output: Path) -> Iterator[Callable[[], int]]:
    """How many times a process has waited for the disk since then."""
    assert STRACE is not None
    with subprocess.Popen(
        [
            STRACE,
            "--quiet=attach,exit",
            "-f",
            "-e",
            "trace=fsync,fdatasync",
            "-p",
            str(pid),
            "-o",
            str(output),
        ],
        stderr=subprocess.PIPE,
        text=True,
    ) as tracer:
        try:
            wait_until(
                lambda: "TracerPid:\t0" not in status(pid), "it is traced"
            )
            yield lambda: len(
                re.findall(r"(?:fsync|fdatasync)\(", output.read_text())
            )
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait()


def status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


def can_trace() -> bool:
    """Whether this machine lets us trace a process of ours."""
    if STRACE is None:
        return False
    return (
        subprocess.run(
            [STRACE, "-o", "/dev/null", "true"],
            check=False,
            capture_output=True,
        ).returncode
        == 0
    )


@pytest.mark.skipif(not can_trace(), reason="strace cannot be used here")
@pytest.mark.parametrize(
    ("durability", "waits"), [("full", True), ("normal", False)]
)
def test_an_acknowledged_send_has_waited_for_the_disk(
    tmp_path: Path,
    free_port: Callable[[], int],
    durability: str,
    waits: bool,
) -> None:
    with (
        running(tmp_path, free_port(), "--durability", durability) as server,
        context() as ctx,
    ):
        ann = Client(ctx, server.rpc, server.events).user()
        ann.send("first")
        with counted_syncs(server.pid, tmp_path / "syncs") as syncs:
            before = syncs()
            for number in range(SENDS):
                ann.send(str(number))
            count = syncs() - before
    assert (count >= SENDS) == waits, count


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("normal", 1)])
def test_durability_is_what_sqlite_was_told(
    tmp_path: Path, durability: str, level: int
) -> None:
    """The same where no system calls can be counted."""
    with closing(
        SqliteStore(tmp_path / "zchat.db", 1, new_id, durability)
    ) as store:
        for pragma, value in (
            ("synchronous", level),
            ("journal_mode", "wal"),
            ("locking_mode", "exclusive"),
        ):
            assert store._connection.execute(
                f"PRAGMA {pragma}"
            ).fetchone() == (value,)


def what_is_in(folder: Path) -> dict[str, int]:
    """The files of a folder, and how each may be used."""
    return {path.name: path.stat().st_mode for path in folder.iterdir()}


def read_only(path: Path) -> None:
    path.chmod(0o444)


def in_read_only_folder(path: Path) -> None:
    path.parent.chmod(0o555)


def to_be_made_there(path: Path) -> None:
    path.unlink()
    path.parent.chmod(0o555)


@pytest.mark.skipif(
    AS_OTHERS != () and shutil.which("setpriv") is None,
    reason="root may write anything; setpriv would take that from it",
)
@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (read_only, "a/zchat.db"),
        (in_read_only_folder, "a"),
        (to_be_made_there, "a"),
    ],
)
def test_a_store_that_cannot_be_written_is_told(
    tmp_path: Path,
    free_port: Callable[[], int],
    spoil: Callable[[Path], None],
    name: str,
) -> None:
    """At the start, in words, and without making it writable."""
    path = tmp_path / "a" / "zchat.db"
    path.parent.mkdir()
    with closing(SqliteStore(path, 1, new_id)):
        pass
    for index in path.parent.glob("zchat.db-*"):
        index.unlink()
    spoil(path)
    before = what_is_in(path.parent)
    server = Server(tmp_path, free_port(), "--store", str(path))
    server.wrapper = AS_OTHERS

    line = cannot_start(server)

    assert line == (
        f"zchat: {tmp_path / name} cannot be written by this user. Let it "
        "write the store and its folder, or give another --store."
    )
    assert what_is_in(path.parent) == before

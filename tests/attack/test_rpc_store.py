"""Stores that cannot be used, and disks that are full."""

import os
import resource
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.bare import Client, User, context, wait_until
from tests.server import Server, running


def cannot_start(server: Server, status: int = 2) -> str:
    """The one line that a server says which cannot start."""
    server.launch()
    try:
        assert server.wait() == status
    finally:
        server.close()
    said = server.log.text + (server.folder / "stdout").read_text()
    lines = said.splitlines()
    assert len(lines) == 1, said
    assert lines[0].startswith("zchat: ")
    return lines[0]


def test_a_second_broker_on_the_store_is_refused(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with running(tmp_path, free_port()) as first, context() as ctx:
        folder = tmp_path / "second"
        folder.mkdir()
        line = cannot_start(
            Server(folder, free_port(), "--store", str(first.store)),
            os.EX_TEMPFAIL,
        )
        assert "in use by another broker" in line
        assert "--store" in line
        assert Client(ctx, first.rpc, first.events).user().send("mine")


@pytest.mark.parametrize("offset", [1, 2])
def test_a_port_in_use_is_told(
    tmp_path: Path, free_port: Callable[[], int], offset: int
) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port + offset)):
        line = cannot_start(Server(tmp_path, port), os.EX_TEMPFAIL)
    assert line.count("Address already in use") == 1
    assert line.count(str(port + offset)) == 1
    assert f"tcp://127.0.0.1:{port + offset}" in line
    assert "--port" in line
    with running(tmp_path, port):
        """Nothing of the failed start is in the way."""


def test_a_port_of_http_in_use_is_told(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        line = cannot_start(Server(tmp_path, port, http=True), os.EX_TEMPFAIL)
    assert line.count("Address already in use") == 1


def test_a_database_that_is_not_there_yet(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/zchat"

    line = cannot_start(
        Server(tmp_path, free_port(), "--store", url), os.EX_TEMPFAIL
    )

    assert "refused" in line


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA user_version = 999")


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store:
        store.execute("CREATE TABLE users (id)")


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.write_bytes(os.urandom(8192)), "not a database"),
        (lambda path: path.mkdir(), "cannot be used as a store"),
        (newer, "newer zchat"),
        (foreign, "another program"),
        (below_a_file, "cannot be used as a store"),
    ],
    ids=["random", "folder", "newer", "foreign", "below a file"],
)
def test_a_store_that_is_none_is_told(
    tmp_path: Path,
    free_port: Callable[[], int],
    spoil: Callable[[Path], object],
    told: str,
) -> None:
    path = tmp_path / "folder" / "bad.db"
    path.parent.mkdir()
    spoil(path)
    line = cannot_start(Server(tmp_path, free_port(), "--store", str(path)))
    assert told in line
    assert str(path) in line


def test_a_store_that_rots_while_served_says_so(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Old pages are garbage: an error to whom it concerns, no crash."""
    with running(tmp_path, free_port()) as server, context() as ctx:
        client = Client(ctx, server.rpc, server.events)
        ann = client.user()
        for number in range(300):
            ann.post("send", text=str(number) + "x" * 2000)
        ann.caller.answers(300)
        server.stop()
        size = server.store.stat().st_size
        with server.store.open("r+b") as store:
            store.seek(size // 2)
            store.write(os.urandom(size // 2))
        server.start()
        ids = [
            ann.post("history", chat_id=ann.common, before=seq, limit=1)
            for seq in range(2, 300)
        ]
        errors = [
            answer.error
            for answer in ann.caller.answers(len(ids)).values()
            if answer.error
        ]
        assert {error["code"] for error in errors} == {"unavailable"}
        assert client.caller().call("hello")["protocol"] == 1
        assert server.log.events("store_away")
        assert server.stop() == 0


def full(user: User) -> bool:
    """Whether a send is refused since nothing can be written."""
    user.post("send", text="x" * 4000)
    error = user.caller.answer().error
    if error is None:
        return False
    assert error["code"] == "unavailable"
    assert error["data"]["retry_after"] > 0
    return True


def test_a_full_disk_is_told_and_service_comes_back(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """A limit on file sizes stands in for the end of the disk."""
    with running(tmp_path, free_port()) as server, context() as ctx:
        client = Client(ctx, server.rpc, server.events)
        ann, bob = client.users(2)
        listener = client.listener(bob)
        first = ann.send("before", idempotency_key="first")
        wal = server.store.with_name("zchat.db-wal")
        room = server.limit(
            resource.RLIMIT_FSIZE, wal.stat().st_size + 100_000
        )
        wait_until(lambda: full(ann), "the disk is full")
        for _ in range(3):
            assert full(bob)
            assert ann.texts()[0] == "before"
            assert bob.call("status")["user"]["id"] == bob.id
        refused = client.caller().refused("connect")
        assert refused.code == "unavailable"
        head = ann.call("chats")["chats"][0]["head"]
        assert server.log.events("store_away")
        room()
        after = ann.send("after", idempotency_key="after")
        assert after["seq"] == head + 1
        assert listener.next("message", seq=after["seq"])
        server.kill()
        server.start()
        assert ann.send("before", idempotency_key="first") == first
        assert ann.send("after", idempotency_key="after") == after
        assert bob.texts()[-1] == "after"


def test_a_full_disk_at_the_start_is_told(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    server = Server(tmp_path, free_port())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        server.launch()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    try:
        assert server.wait() == 2
    finally:
        server.close()
    assert "cannot be used as a store" in server.log.text

"""What the console and the blocking client have to survive."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server import Server, environment, running
from zchat.client import BlockingClient as Client
from zchat.client.connection import NoAnswer


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server"), free_port()) as made:
        yield made


def run(
    server: Server, home: Path, typed: bytes, *command: str
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "zchat", *command],
        input=typed,
        env=environment()
        | {
            "XDG_CONFIG_HOME": str(home),
            "ZCHAT_SERVER": server.rpc,
            "PYTHONIOENCODING": "utf-8",
        },
        capture_output=True,
        check=False,
        timeout=30,
    )


def test_nothing_that_is_typed_ends_the_conversation(
    server: Server, tmp_path: Path
) -> None:
    huge = b"9" * 5000
    ended = run(
        server,
        tmp_path,
        b"\n".join(
            (
                b"/comment #99999999999999999999 hi",
                b"/comment #%s hi" % huge,
                b"/history " + huge,
                b"/link " + huge,
                b"/open " + huge,
                b"/link 99999999999999999999",
                b"/download 1 ~nobody-at-all",
                b"not \xff text",
                b"/upload a\0b",
                b"still here",
                b"/open default",
                b"",
            )
        ),
        "chat",
    )
    assert (ended.stderr, ended.returncode) == (b"", 0)
    assert b"cannot be sent" in ended.stdout
    assert b"you: still here" in ended.stdout


def test_bytes_that_are_no_text_are_refused(
    server: Server, tmp_path: Path
) -> None:
    ended = run(server, tmp_path, b"not \xff text", "send")
    assert ended.returncode == 1
    assert b"cannot be sent" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_leaving_says_where_one_is(server: Server, tmp_path: Path) -> None:
    ended = run(server, tmp_path, b"/group g\n/exit\n/exit\n", "chat")
    assert b"-- this is default --" in ended.stdout
    assert b"you left the common chat" in ended.stdout
    again = run(server, tmp_path, b"back again\n/open default\n", "chat")
    assert b"you: back again" in again.stdout


def test_an_empty_file_and_a_long_name_arrive(
    server: Server, tmp_path: Path
) -> None:
    name = "\u0436" * 120 + ".txt"
    with Client.connect(server.rpc, name=f"ann-{os.urandom(4).hex()}") as ann:
        file_id = ann.upload(b"", name=name)
        sent = ann.send("empty", files=[file_id])
        ann.download_to(file_id, tmp_path / ("\u0436" * 120))
    ended = run(
        server,
        tmp_path,
        b"/download #%d %s\n" % (sent.seq, bytes(tmp_path)),
        "chat",
    )
    assert b"0 bytes --" in ended.stdout
    assert [path.stat().st_size for path in tmp_path.glob("*.txt")] == [0]


def test_a_closed_client_says_so(server: Server) -> None:
    client = Client.connect(server.rpc)
    client.close()
    with pytest.raises(NoAnswer, match="closed"):
        client.status()
    assert client.next_event() is None
    assert list(client.events()) == []
    assert client.cursors().seqs.keys() == {client.chat_default}
    assert client.known_chats.keys() == {client.chat_default}

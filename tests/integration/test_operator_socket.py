"""The operator's socket of the real program, and `zchat admin` on it."""

import json
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from click import Context, Group
from click.testing import CliRunner, Result

from tests.bare import Caller, Client, Sockets, context, wait_until
from tests.server import Server, running
from zchat import cli


def admin(server: Server, *words: str) -> Result:
    """`zchat admin` in the server's folder."""
    return CliRunner().invoke(
        cli.main, ["admin", words[0], "--store", str(server.store), *words[1:]]
    )


def asked(server: Server, *words: str) -> Any:
    """What it prints with --json."""
    done = admin(server, *words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


@pytest.fixture
def ctx() -> Iterator[Sockets]:
    with context() as made:
        yield made


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("op"), free_port()) as made:
        yield made


def socket_of(server: Server) -> Path:
    return server.folder / "zchat.db.sock"


def test_only_its_owner_can_open_it(server: Server) -> None:
    status = socket_of(server).stat()
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o600


def test_the_server_tells_how_it_is(server: Server, ctx: Sockets) -> None:
    client = Client(ctx, server.rpc, server.events)
    before = asked(server, "stats")
    user = client.user()
    user.send("one")
    assert user.refused("history", chat_id="x").code == "bad_request"
    after = asked(server, "stats")
    assert after["counts"]["users"] == before["counts"]["users"] + 1
    assert after["counts"]["messages"] == before["counts"]["messages"] + 1
    broker = after["broker"]
    assert broker["requests"] >= before["broker"]["requests"] + 3
    assert broker["refusals"]["bad_request"] == 1
    assert broker["events"] > before["broker"]["events"]
    assert sum(broker["batch_seconds"]["counts"]) > 3
    assert broker["batch_seconds"]["sum"] > 0
    assert broker["memory_bytes"] > 10_000_000
    assert broker["store_bytes"] > 10_000
    assert 0 < broker["open_files"] < broker["open_files_limit"]
    text = admin(server, "stats").output
    assert "bad_request 1" in text
    assert "messages sent" in text


def test_no_user_may_ask_by_the_other_door(
    server: Server, ctx: Sockets
) -> None:
    client = Client(ctx, server.rpc, server.events)
    assert client.user().refused("stats").code == "forbidden"
    assert client.caller().refused("stats").code == "unauthorized"


def test_users_methods_are_not_served_here(
    server: Server, ctx: Sockets
) -> None:
    user = Client(ctx, server.rpc, server.events).user()
    here = Caller(ctx, f"ipc://{socket_of(server)}")
    assert here.call("hello")["protocol"] == 1
    for method, params in (
        ("send", {"text": "x", "token": user.token}),
        ("send", {"text": "x"}),
        ("connect", {}),
        ("connect", {"token": user.token}),
        ("sync", {}),
    ):
        assert here.refused(method, **params).code == "forbidden"
    assert here.refused("nothing").code == "unknown_method"
    assert here.raw(b"\xc1").error is not None


def test_both_doors_may_have_connections_of_one_name(
    server: Server, ctx: Sockets
) -> None:
    """Two ROUTERs give out routing ids without knowing of each other."""
    callers = []
    for endpoint in (server.rpc, f"ipc://{socket_of(server)}"):
        socket = ctx.socket(zmq.DEALER)
        socket.routing_id = b"the same"
        socket.connect(endpoint)
        caller = Caller.__new__(Caller)
        caller.socket = socket
        caller._last_id = 0
        callers.append(caller)
    user, operator = callers
    token = user.call("connect")["token"]
    for number in range(20):
        user.post("send", token=token, text=str(number))
        operator.post("stats")
    assert len(user.answers(20)) == 20
    assert all(a.result["counts"] for a in operator.answers(20).values())


def test_the_socket_goes_with_the_broker_and_a_stale_one_is_replaced(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    server = Server(tmp_path, free_port())
    try:
        server.start()
        server.kill()
        assert socket_of(server).exists()
        assert admin(server, "stats", "--timeout", "1").exit_code == 3
        server.start()
        assert asked(server, "stats")["counts"]["users"] == 0
        assert server.stop() == 0
        assert not socket_of(server).exists()
        gone = admin(server, "stats")
        assert gone.exit_code == 2
        assert "No broker is running here" in gone.output
    finally:
        server.close()


def test_nothing_else_is_written_over(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    server = Server(tmp_path, free_port(), "--operator-socket", str(precious))
    try:
        server.launch()
        assert server.wait() == 2
        assert "no socket" in server.log.text
        assert precious.read_text() == "kept"
    finally:
        server.close()


def test_one_that_is_in_use_is_not_taken(
    server: Server, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    second = Server(
        tmp_path, free_port(), "--operator-socket", str(socket_of(server))
    )
    try:
        second.launch()
        assert second.wait() == 2
        assert "in use by another broker" in second.log.text
        assert asked(server, "stats")["version"]
    finally:
        second.close()


def test_a_path_that_is_too_long_goes_to_the_runtime_folder(
    tmp_path: Path,
    free_port: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    run = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run))
    port = free_port()
    store = str(deep / "zchat.db")
    with running(tmp_path, port, "--store", store):
        (made,) = (run / "zchat").iterdir()
        assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700
        words = ["admin", "stats", "--store", store, "--port", str(port)]
        done = CliRunner().invoke(cli.main, words)
        assert done.exit_code == 0, done.output
    shutil.rmtree(run)


def test_it_may_be_off(tmp_path: Path, free_port: Callable[[], int]) -> None:
    with running(tmp_path, free_port(), "--operator-socket", "off") as server:
        assert not socket_of(server).exists()


@pytest.mark.parametrize("kind", ["file", "folder", "fifo", "listener"])
def test_what_is_no_broker_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.sock"
    listener = socket.socket(socket.AF_UNIX)
    if kind == "file":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        listener.bind(str(path))
        listener.listen()
    words = ["admin", "stats", "--operator-socket", str(path)]
    done = CliRunner().invoke(cli.main, [*words, "--timeout", "0.3"])
    listener.close()
    assert done.exit_code == (3 if kind == "listener" else 2)
    assert done.output.count("\n") == 1


def test_what_an_operator_does_from_a_shell(
    tmp_path: Path, free_port: Callable[[], int], ctx: Sockets
) -> None:
    with running(tmp_path, free_port(), "--registration", "invite") as server:
        client = Client(ctx, server.rpc, server.events)
        stranger = client.caller()
        assert stranger.refused("connect").code == "forbidden"
        code = asked(server, "invite", "--uses", "2")["code"]
        there = ["--server", server.rpc, "--config-dir", str(tmp_path)]
        console = ["status", *there, "--name", "Cat"]
        needs = CliRunner().invoke(cli.main, console)
        assert needs.exit_code == 1
        assert "invite code" in needs.output
        one = asked(server, "invite")["code"]
        came = CliRunner().invoke(cli.main, [*console, "--invite", one])
        assert came.exit_code == 0, came.output
        users = {
            name: stranger.call("connect", name=name, invite=code)
            for name in ("Ann", "Ben")
        }
        ann, ben = users["Ann"], users["Ben"]
        complaint = stranger.call(
            "report",
            token=ann["token"],
            user_id=ben["user_id"],
            reason="\x1b[31m rude \n",
        )["id"]
        shown = admin(server, "complaints").output
        assert "rude" in shown
        assert "\x1b" not in shown
        for words, said in (
            (("ban", "ben", "--seconds", "60"), "Ben is banned until"),
            (("resolve", complaint, "dismissed"), "dismissed"),
            (("unban", ben["user_id"]), "may write again"),
            (("role", "ANN", "moderator"), "a moderator"),
            (("announce", "hello", "all"), "Announced"),
        ):
            done = admin(server, *words)
            assert done.exit_code == 0, done.output
            assert said.lower() in done.output.lower()
        assert stranger.call("complaints", token=ann["token"])
        new = asked(server, "reset-token", "Ann", "--yes")["token"]
        assert stranger.refused("status", token=ann["token"]).code == (
            "unauthorized"
        )
        assert stranger.call("status", token=new)["user"]["name"] == "Ann"
        assert admin(server, "close", "Ben", "--yes").exit_code == 0
        assert stranger.refused("status", token=ben["token"])
        rows = {
            user["name"]: user for user in asked(server, "accounts")["users"]
        }
        assert rows["Ben"]["closed"]
        assert rows["Ann"]["role"] == "moderator"
        entries = asked(server, "audit")["entries"]
        (ban,) = (entry for entry in entries if entry["action"] == "ban")
        assert ban["detail"]["reason"] == "No reason given."
        log = [entry["action"] for entry in entries]
        assert log == [
            "close_account",
            "reset_token",
            "announce",
            "set_role",
            "unban",
            "resolve",
            "ban",
            "create_invite",
            "create_invite",
        ]
        for token in (new, code, ann["token"]):
            assert token not in server.log.text


def test_an_account_is_erased(server: Server, ctx: Sockets) -> None:
    client = Client(ctx, server.rpc, server.events)
    ann, ben = client.users(2)
    ann.call("rename", name="erased")
    ben.send("by another")
    for number in range(3):
        ann.send(f"unspeakable {number}")

    done = admin(server, "close", "erased", "--erase", "--yes")

    assert done.exit_code == 0, done.output
    assert "being deleted" in done.output

    wait_until(
        lambda: ben.texts()[-4:] == ["by another", "", "", ""], "an erasure"
    )
    assert ben.call("search", text="unspeakable")["messages"] == []
    entry = asked(server, "audit")["entries"][0]
    assert (entry["action"], entry["subject_name"], entry["detail"]) == (
        "close_account",
        "erased",
        {"erase": 1},
    )


def test_what_destroys_asks_first(server: Server, ctx: Sockets) -> None:
    user = Client(ctx, server.rpc, server.events).user()
    for command in ("reset-token", "close"):
        done = CliRunner().invoke(
            cli.main,
            ["admin", command, user.id, "--store", str(server.store)],
            input="n\n",
        )
        assert done.exit_code == 1
        assert "Nothing was changed" in done.output
        assert user.call("status")
    assert admin(server, "account", "nobody-at-all").exit_code == 1


def test_every_command_says_what_it_does() -> None:
    group = cli.main.get_command(Context(cli.main), "admin")
    assert isinstance(group, Group)
    for name in group.list_commands(Context(group)):
        done = CliRunner().invoke(cli.main, ["admin", name, "--help"])
        assert done.exit_code == 0
        assert "--json" in done.output


def test_a_backup_of_a_running_store(
    tmp_path: Path, free_port: Callable[[], int], ctx: Sockets
) -> None:
    with running(tmp_path, free_port()) as server:
        user = Client(ctx, server.rpc, server.events).user()
        sent = user.send("kept")

        def back_up(name: str) -> Result:
            words = ["backup", str(tmp_path / name), "--store"]
            return CliRunner().invoke(cli.main, [*words, str(server.store)])

        assert back_up("copy.db").exit_code == 0
        user.send("too late")
        again = back_up("copy.db")
        assert again.exit_code == 2
        assert "exists already" in again.output
        assert back_up("no/such/folder/x.db").exit_code == 2
        assert user.refused("backup", path="x").code == "forbidden"
        done = CliRunner().invoke(
            cli.main,
            [
                "restore",
                str(tmp_path / "copy.db"),
                "--store",
                str(tmp_path / "new.db"),
            ],
        )
        assert done.exit_code == 0, done.output
        log = [entry["action"] for entry in asked(server, "audit")["entries"]]
        assert log == ["backup"] * 3
    restored = Server(tmp_path, free_port(), "--store", "new.db")
    try:
        restored.start()
        there = Client(ctx, restored.rpc, restored.events).user(user.token)
        assert there.texts() == ["kept"]
        page = there.call("history", chat_id=there.common)
        assert page["messages"][0]["id"] == sent["id"]
    finally:
        restored.close()


def test_on_postgresql_it_is_in_the_runtime_folder(
    tmp_path: Path,
    free_port: Callable[[], int],
    ctx: Sockets,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run))
    port = free_port()
    where = ["--store", postgres_url, "--port", str(port)]

    def ask(*words: str) -> Any:
        line = ["admin", words[0], *where, "--json", *words[1:]]
        done = CliRunner().invoke(cli.main, line)
        assert done.exit_code == 0, done.output
        return json.loads(done.output)

    with running(tmp_path, port, "--store", postgres_url) as server:
        client = Client(ctx, server.rpc, server.events)
        ann, bob = client.users(2)
        group = ann.call("create_chat", name="Hers")["chat_id"]
        ann.call("invite", chat_id=group, user_id=bob.id)
        complaint = bob.call("report", user_id=ann.id, reason="rude")["id"]
        ask("ban", ann.id, "--seconds", "60")
        assert [u["id"] for u in ask("accounts", "--banned")["users"]] == [
            ann.id
        ]
        ask("unban", ann.name)
        ask("resolve", complaint, "dismissed")
        ask("role", bob.name, "moderator")
        assert bob.call("complaints")["complaints"][0]["state"] == "dismissed"
        ask("announce", "hello")
        ask("close", ann.id, "--yes")
        assert ann.refused("status").code == "unauthorized"
        bob.call("rename_chat", chat_id=group, name="His")
        token = ask("reset-token", bob.id, "--yes")["token"]
        assert client.user(token).texts() == ["hello"]
        assert ask("stats")["counts"]["users"] == 3
        assert len(ask("audit")["entries"]) == 7
    shutil.rmtree(run)

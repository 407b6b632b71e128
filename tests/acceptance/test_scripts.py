"""The commands for scripts, against the real program."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server import PROJECT, Server, environment, running
from zchat.client import BlockingClient
from zchat.client.console import entry
from zchat.errors import ConfigError


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with running(folder, free_port(), http=True) as made:
        yield made


@pytest.fixture
def ann(server: Server) -> Iterator[BlockingClient]:
    """Somebody else, who is on no console."""
    name = f"ann-{os.urandom(4).hex()}"
    with BlockingClient.connect(server.rpc, name=name) as client:
        yield client


class Shell:
    """Runs `zchat` as one user, the shared flags before the command."""

    def __init__(self, home: Path, server: str) -> None:
        self.home = home
        self.server = server
        self.name = f"ben-{os.urandom(4).hex()}"

    def run(
        self,
        command: str,
        *arguments: str,
        typed: str = "",
        profile: str = "b",
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "zchat",
                "--server",
                self.server,
                "--profile",
                profile,
                *command.split(),
                *arguments,
            ],
            cwd=self.home,
            env=environment()
            | {"XDG_CONFIG_HOME": str(self.home), "TZ": "UTC"},
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def done(self, command: str, *arguments: str, typed: str = "") -> str:
        ended = self.run(command, *arguments, typed=typed)
        assert (ended.stderr, ended.returncode) == ("", 0)
        return ended.stdout

    def json(self, command: str, *arguments: str, typed: str = "") -> Any:
        """The JSON of each line."""
        text = self.done(command, "--json", *arguments, typed=typed)
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def ben(server: Server, tmp_path: Path) -> Shell:
    made = Shell(tmp_path, server.rpc)
    made.done("status", "--name", made.name)
    return made


def test_names_do_where_an_id_does(ben: Shell, ann: BlockingClient) -> None:
    (sent,) = ben.json("send", "--to", ann.name, "for you")
    (chat,) = ben.json("p2p", f"@{ann.name}")
    assert chat == {"chat_id": sent["chat_id"]}
    ben.done("send", "--to", ann.user_id, "--comment-on", "#1", "and more")
    found = ben.json("history", "--to", ann.name)
    assert [each["text"] for each in found] == ["for you", "and more"]
    assert found[1]["is_comment_on"] == sent["id"]
    names = [user["name"] for user in ben.json("users", "--chat", ann.name)]
    assert sorted(names) == sorted([ann.name, ben.name])
    ended = ben.run("send", "--to", "nobody-at-all", "x")
    assert (ended.returncode, "Use the user's id" in ended.stderr) == (2, True)


def test_standard_input_and_nothing_to_send(ben: Shell) -> None:
    ben.done("send", "-", typed="from a pipe\n")
    ben.done("send", typed="without a dash")
    texts = [each["text"] for each in ben.json("history", "--limit", "2")]
    assert texts == ["from a pipe", "without a dash"]
    for arguments in ([""], ["-"], [" "]):
        ended = ben.run("send", *arguments)
        assert ended.returncode == 2
        assert "nothing to send" in ended.stderr


def test_history_in_both_directions(ben: Shell, ann: BlockingClient) -> None:
    chat = ann.p2p(ben.json("status")[0]["user"]["id"])
    for number in range(1, 8):
        ann.send(str(number), chat)

    def seqs(*arguments: str) -> list[int]:
        found = ben.json("history", "--chat", ann.name, *arguments)
        return [each["seq"] for each in found]

    assert seqs("--limit", "3") == [5, 6, 7]
    assert seqs("--limit", "3", "--before", "5") == [2, 3, 4]
    assert seqs("--limit", "3", "--after", "5") == [6, 7]
    assert ben.run("history", "--before", "2", "--after", "1").returncode == 2
    assert ben.json("chats")[0]["chats"][1]["unread"] == 7


def test_files_and_standard_streams(ben: Shell) -> None:
    content = os.urandom(300_000)
    source = ben.home / "picture.bin"
    source.write_bytes(content)
    (sent,) = ben.json("upload", str(source), "look", "here")
    (saved,) = ben.json("download", sent["file_id"])
    assert saved == {"path": "picture (2).bin", "size": len(content)}
    assert (ben.home / saved["path"]).read_bytes() == content
    ben.done("download", sent["file_id"], "other.bin")
    assert (ben.home / "other.bin").read_bytes() == content
    (small,) = ben.json("upload", "-", "--as", "n.txt", typed="piped")
    assert ben.done("download", small["file_id"], "-") == "piped"
    assert ben.run("upload", "-").returncode == 2
    assert ben.run("upload", "/nowhere").returncode == 2


def test_scheduling(ben: Shell) -> None:
    (made,) = ben.json("schedule", "+1h", "later")
    assert ben.json("schedule", "--list")[0]["text"] == "later"
    ben.done("schedule", "--cancel", made["id"])
    assert ben.json("schedule", "--list")[0]["state"] == "cancelled"
    for arguments in (["never", "x"], [], ["+1h", "--list"], ["+1h", ""]):
        assert ben.run("schedule", *arguments).returncode == 2
    assert ben.run("schedule", "--cancel", made["id"]).returncode == 1


def test_groups(ben: Shell, ann: BlockingClient) -> None:
    ben.done("groups create", "friends")
    ben.done("groups invite", "friends", ann.name)
    assert ann.all_chats()[1].title == "friends"
    ben.done("groups rename", "friends", "comrades")
    ben.done("groups remove", "comrades", ann.name)
    link = ben.done("groups link", "comrades", "--uses", "2").strip()
    assert ann.join(link).state == "pending"
    (request,) = ben.json("groups requests", "comrades")
    assert request["user"]["name"] == ann.name
    ben.done("groups approve", "comrades", ann.name)
    (group,) = ben.json("groups list")
    assert (group["title"], group["size"]) == ("comrades", 2)
    ben.done("groups leave", "comrades")
    assert ben.json("groups list") == []
    assert ben.run("groups deny", "comrades", ann.name).returncode == 2


def test_what_becomes_of_a_message(ben: Shell, ann: BlockingClient) -> None:
    (sent,) = ben.json("send", "--to", ann.name, "Привет wrold")
    ben.done("edit", sent["id"], "Привет", "world")
    ben.done("react", "#1", "👍", "--to", ann.name)
    (found,) = ben.json("search", "привет w", "--author", ben.name)
    assert (found["text"], found["chat_id"]) == (
        "Привет world",
        sent["chat_id"],
    )
    assert found["reactions"][0]["emoji"] == "👍"
    shown = ben.done("search", "WORLD", "--chat", ann.name)
    assert shown.startswith(f"[{ann.name}] ")
    assert shown.endswith("you: Привет world (edited) (👍 1)\n")
    ben.done("react", "1", "👍", "--off", "--to", ann.name)
    ben.done("delete", "1", "--to", ann.name)
    (gone,) = ben.json("history", "--to", ann.name)
    assert (gone["text"], gone["reactions"]) == ("", [])
    assert gone["deleted"] is not None
    assert ben.run("search", "x").returncode == 1
    assert ben.run("edit", "no-message", "x").returncode == 2
    assert ben.run("edit", sent["id"], " ").returncode == 2


def test_the_port_of_http_is_told(server: Server, tmp_path: Path) -> None:
    shell = Shell(tmp_path, f"127.0.0.1:{server.port}")
    ended = shell.run("status")
    assert ended.returncode == 2
    assert f"--server 127.0.0.1:{server.port + 1}" in ended.stderr
    shell.server = f"http://127.0.0.1:{server.port}"
    ended = shell.run("status")
    assert ended.returncode == 2
    assert "HTTP" in ended.stderr


def test_the_port_of_http_is_told_after_a_quick_failure(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry, "_PROBE_SECONDS", 60)
    options = entry.Options(
        f"127.0.0.1:{server.port}", "default", tmp_path, "ann", 10
    )
    with pytest.raises(ConfigError, match="speaks HTTP"):
        asyncio.run(entry.Entry(options).connect())


def test_flags_behind_the_command_win(ben: Shell) -> None:
    ended = ben.run("status", "--server", "127.0.0.1:1", "--timeout", "0.3")
    assert ended.returncode == 3
    assert ben.run("serve").returncode == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "zchat", "completion", shell],
        capture_output=True,
        text=True,
        check=True,
        cwd=PROJECT,
        timeout=60,
    ).stdout
    assert "_ZCHAT_COMPLETE" in made
    if shutil.which(shell) is not None:
        script = tmp_path / "script"
        script.write_text(made)
        subprocess.run([shell, "-n", str(script)], check=True, timeout=60)

"""The console client as a person and a script use it."""

import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.bare import wait_until
from tests.server import Log, Server, environment, running
from zchat.client import BlockingClient as Client
from zchat.client import Cursors

PATIENCE_SECONDS = 30.0
HOSTILE = "\x1b]0;title\x07\x1b[31mred\x9b2J\u202egnp.exe\nAnn: forged"
CONTROLS = set("\x1b\x07\x9b\u202e\r")


class Person:
    """Somebody with a config folder who runs `zchat`."""

    def __init__(self, home: Path, name: str, server: str) -> None:
        self.home = home
        self.name = name
        self.environment = environment() | {
            "XDG_CONFIG_HOME": str(home),
            "ZCHAT_SERVER": server,
            "TZ": "UTC",
        }

    def command(self, command: str, *arguments: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "zchat",
            command,
            "--name",
            self.name,
            *arguments,
        ]

    @property
    def id(self) -> str:
        """The user's id; makes the user at first."""
        user_id: str = self.json("status")["user"]["id"]
        return user_id

    def has_kept(self, chat_id: str, seq: int) -> bool:
        """Whether `read` would go on behind this message."""
        return any(
            Cursors.from_json(path.read_text()).seqs.get(chat_id) == seq
            for path in self.home.glob("*/*/cursors-*.json")
        )

    def run(
        self, command: str, *arguments: str, typed: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(command, *arguments),
            env=self.environment,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    def done(self, command: str, *arguments: str, typed: str = "") -> str:
        """What it prints; it must succeed and complain of nothing."""
        ended = self.run(command, *arguments, typed=typed)
        assert (ended.stderr, ended.returncode) == ("", 0)
        return ended.stdout

    def json(self, command: str, *arguments: str) -> Any:
        return json.loads(self.done(command, "--json", *arguments))

    @contextmanager
    def running(self, command: str, *arguments: str) -> Iterator["Running"]:
        started = Running(
            subprocess.Popen(
                self.command(command, *arguments),
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        try:
            yield started
        finally:
            started.close()


class Running:
    """A command that runs: lines go in, and come out."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.log = Log()
        self._reader = threading.Thread(
            target=self.log.follow, args=(process.stdout,)
        )
        self._reader.start()

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def shows(self, words: str, count: int = 1) -> None:
        """Wait until it has printed this so many times."""
        wait_until(
            lambda: self.log.text.count(words) >= count,
            f"{words!r} in {self.log.text}",
            PATIENCE_SECONDS,
        )

    def end(self) -> int:
        status = self.process.wait(PATIENCE_SECONDS)
        self._reader.join()
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.end()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server"), free_port()) as made:
        yield made


Meet = Callable[[str], Person]


@pytest.fixture
def meet(server: Server, tmp_path: Path) -> Meet:
    """Makes a person; the names are a test's own."""
    suffix = os.urandom(4).hex()

    def make(name: str) -> Person:
        return Person(
            tmp_path / name,
            f"{name}-{suffix}",
            server.rpc.removeprefix("tcp://"),
        )

    return make


@pytest.fixture
def ann(server: Server) -> Iterator[Client]:
    """Somebody else, who is on no console."""
    with Client.connect(
        server.rpc, name=f"ann-{os.urandom(4).hex()}"
    ) as client:
        yield client


class TestCommands:
    def test_the_first_use_makes_a_user_who_is_kept(self, meet: Meet) -> None:
        ben = meet("ben")
        first = ben.json("status")
        assert first["user"]["name"] == ben.name
        assert ben.json("status")["user"] == first["user"]
        [path] = ben.home.glob("zchat/default/token-*.json")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        other = ben.json(
            "status", "--profile", "other", "--name", f"{ben.name}-2"
        )
        assert other["user"]["id"] != first["user"]["id"]

    def test_send_and_read(self, meet: Meet, ann: Client) -> None:
        ben = meet("ben")
        ben.done("read")
        sent = ann.send("hello world")
        line = ben.done("read")
        assert re.fullmatch(
            rf"\[default\] \d\d:\d\d #{sent.seq} {ann.name}: "
            r"hello world\n",
            line,
        )
        assert ben.done("read") == ""
        ben.done("send", typed="from\nstandard input\n")
        shown = ben.done("send", "bye", "bye")
        assert re.fullmatch(r"sent #\d+ \S+\n", shown)
        texts = [
            message.text
            for message in ann.history(ann.chat_default, limit=2).messages
        ]
        assert texts == ["from\nstandard input", "bye bye"]
        lines = ben.done("read", "--json").splitlines()
        assert [json.loads(line)["message"]["text"] for line in lines] == texts

    def test_read_marks_as_read_unless_told_otherwise(
        self, meet: Meet, ann: Client
    ) -> None:
        ben = meet("ben")
        assert ben.id
        ann.send("one")
        ben.done("read", "--keep-unread")
        assert ben.json("chats")["chats"][0]["unread"] == 1
        ann.send("two")
        ben.done("read")
        assert ben.json("chats")["chats"][0]["unread"] == 0

    def test_private_messages_comments_and_files(
        self, meet: Meet, ann: Client, tmp_path: Path
    ) -> None:
        ben = meet("ben")
        path = tmp_path / "file.txt"
        path.write_text("content")
        sent = ben.json("send", "--to", ann.user_id, "secret")
        ben.json("send", "--chat", ann.name, "--file", str(path))
        ben.json(
            "send",
            "--comment-on",
            sent["id"],
            "--chat",
            sent["chat_id"],
            "comment",
        )
        page = ann.history(sent["chat_id"])
        assert [message.text for message in page.messages] == [
            "secret",
            "",
            "comment",
        ]
        assert page.messages[1].files[0].name == "file.txt"
        assert page.messages[2].is_comment_on == sent["id"]
        lines = ben.done("read", "--chat", ann.name).splitlines()
        assert [line.partition("you: ")[2] for line in lines] == [
            "secret (1 comments)",
            "[file file.txt, 7 bytes]",
            "(comment) comment",
        ]

    def test_a_repeat_with_the_same_key(self, meet: Meet) -> None:
        ben = meet("ben")
        first = ben.json("send", "--key", "k", "once")
        assert ben.json("send", "--key", "k", "once") == first

    def test_chats_and_status_for_people(
        self, meet: Meet, ann: Client
    ) -> None:
        ben = meet("ben")
        ann.send("hi", ann.p2p(ben.id))
        lines = ben.done("chats").splitlines()
        assert "default" in lines[0]
        assert re.match(r" +1 unread +\S+ +p2p", lines[1])
        assert ben.name in ben.done("status")

    @pytest.mark.parametrize(
        ("arguments", "status"),
        [
            (["send", "--chat", "nowhere", "x"], 2),
            (["send", "--to", "nobody-at-all", "x"], 2),
            (["send", ""], 2),
            (["send", " \n"], 2),
            (["send", "--to", "x", "--chat", "y", "z"], 2),
            (["send", "--file", "/nowhere", "x"], 2),
            (["send", "--nonsense", "x"], 2),
            (["status", "--server", "a b"], 2),
            (["status", "--profile", "../x"], 2),
            (["status", "--server", "127.0.0.1:1", "--timeout", "0.3"], 3),
        ],
    )
    def test_exit_statuses(
        self, meet: Meet, arguments: list[str], status: int
    ) -> None:
        ended = meet("ben").run(*arguments)
        assert ended.returncode == status
        assert ended.stdout == ""
        assert "Traceback" not in ended.stderr
        assert len(ended.stderr.splitlines()[-1]) > 10

    def test_a_name_that_is_taken(self, meet: Meet, ann: Client) -> None:
        ben = meet("ben")
        ben.name = ann.name
        ended = ben.run("status")
        assert ended.returncode == 1
        assert not list(ben.home.glob("zchat/*/token-*"))

    def test_a_token_that_the_server_does_not_know(self, meet: Meet) -> None:
        ben = meet("ben")
        ben.done("status")
        [path] = ben.home.glob("zchat/default/token-*.json")
        kept = json.loads(path.read_text())
        path.write_text(json.dumps(kept | {"token": "x"}))
        ended = ben.run("status")
        assert ended.returncode == 1
        assert "zchat forget" in ended.stderr
        assert "dropped" in ben.done("forget")
        ben.name += "-2"
        assert ben.json("status")["user"]["name"] == ben.name
        assert ben.run("forget", "--profile", "nobody").returncode == 2

    def test_two_first_uses_at_once_make_one_identity(
        self, meet: Meet
    ) -> None:
        ben = meet("ben")
        command = [
            part
            for part in ben.command("status", "--json")
            if part not in ("--name", ben.name)
        ]
        started = [
            subprocess.Popen(
                command, env=ben.environment, stdout=subprocess.PIPE
            )
            for _ in range(3)
        ]
        answers = [
            process.communicate(timeout=PATIENCE_SECONDS)[0]
            for process in started
        ]
        assert [process.returncode for process in started] == [0] * 3
        assert (
            len({json.loads(answer)["user"]["id"] for answer in answers}) == 1
        )

    def test_the_reader_may_go_away(self, meet: Meet, ann: Client) -> None:
        ben = meet("ben")
        assert ben.id
        ann.send("x" * 4000)
        process = subprocess.Popen(
            ben.command("read", "--follow"),
            env=ben.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        ann.send("nobody reads this")
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(PATIENCE_SECONDS) == 0
        process.stderr.close()


class TestFollow:
    def test_new_messages_come_until_interrupted(
        self, meet: Meet, ann: Client
    ) -> None:
        ben = meet("ben")
        with ben.running("read", "--follow") as reading:
            wait_until(
                lambda: list(ben.home.glob("*/*/cursors-*")),
                "it has begun",
                PATIENCE_SECONDS,
            )
            for text in ("one", "two"):
                ann.send(text)
                reading.shows(f": {text}")
            reading.process.send_signal(signal.SIGINT)
            assert reading.end() == 130
            assert "Traceback" not in reading.log.text

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
    def test_it_goes_on_where_it_was(
        self, meet: Meet, ann: Client, number: signal.Signals
    ) -> None:
        ben = meet("ben")
        chat = ann.p2p(ben.id)
        texts = [f"text {n}" for n in range(4)]
        shown = []
        for first, second in zip(texts[::2], texts[1::2], strict=True):
            ann.send(first, chat)
            with ben.running("read", "--follow") as reading:
                reading.shows(first)
                seq = ann.send(second, chat).seq
                reading.shows(second)
                wait_until(partial(ben.has_kept, chat, seq), "it is kept")
                reading.process.send_signal(number)
                reading.end()
            shown += re.findall("text .", reading.log.text)
        assert shown == texts

    def test_one_chat_alone_has_its_own_cursor(
        self, meet: Meet, ann: Client
    ) -> None:
        ben = meet("ben")
        ann.send("private", ann.p2p(ben.id))
        ann.send("common")
        assert "private" in ben.done("read", "--chat", ann.name)
        assert ben.done("read", "--chat", ann.name) == ""
        assert "common" in ben.done("read")

    def test_over_a_killed_broker(
        self, tmp_path: Path, free_port: Callable[[], int]
    ) -> None:
        with (
            running(tmp_path, free_port()) as own,
            Client.connect(own.rpc, name="ann") as ann,
        ):
            ben = Person(tmp_path / "ben", "ben", own.rpc)
            assert ben.id
            with ben.running("read", "--follow") as reading:
                for n in range(2):
                    ann.send(f"text {n}")
                    reading.shows(f"text {n}")
                    own.kill()
                    own.start()
                ann.send("last")
                reading.shows("last")
            assert re.findall("text .|last", reading.log.text) == [
                "text 0",
                "text 1",
                "last",
            ]


class TestChat:
    def test_a_conversation(self, meet: Meet, ann: Client) -> None:
        ben = meet("ben")
        with ben.running("chat") as right:
            right.shows("-- default --")
            ann.send("hello there")
            right.shows(f"{ann.name}: hello there")
            right.type("hello back")
            right.shows("you: hello back")
            private = ann.p2p(ben.id)
            right.shows(f"-- you are now in {ann.name} --")
            ann.send("for you alone", private)
            right.shows(f"[{ann.name}] ")
            right.shows(f"#1 {ann.name}: for you alone")
            right.type("/chats")
            right.shows(f"   2     1 unread  {ann.name} (p2p, 2)")
            right.type("/open 2")
            right.shows("for you alone", 2)
            right.type("/comment #1 thank you")
            right.shows("you: (comment) thank you")
            right.type("/comments 1")
            right.shows("   ")
            right.type("//slash")
            right.shows("you: /slash")
            right.type(f"/open {ann.chat_default}")
            right.shows("-- default --", 2)
            right.type(f"/p2p {ann.name}")
            right.shows(f"-- {ann.name} --", 2)
            right.type("/name")
            right.shows("! Type /name NAME...")
            right.type("/nonsense")
            right.shows("! Unknown command /nonsense. See /help.")
            right.type("/p2p nobody-at-all")
            right.shows("! There is nobody called")
            right.type("/quit")
            assert right.end() == 0
        assert [message.text for message in ann.history(private).messages] == [
            "for you alone",
            "thank you",
            "/slash",
        ]

    def test_the_end_of_input_ends_it(self, meet: Meet) -> None:
        shown = meet("ben").done("chat", typed="last words\n")
        assert "-- default --" in shown

    def test_a_group(self, meet: Meet, ann: Client) -> None:
        ben = meet("ben")
        with ben.running("chat") as left:
            left.shows("-- default --")
            left.type("/group friends")
            left.shows("-- friends --")
            left.type("/link 3")
            left.shows("(until ")
            link = re.findall(r"-- (\S+) \(until ", left.log.text)[0]
            left.type("/links")
            left.shows("   1 0 of 3 uses")
            assert ann.join(link).state == "pending"
            left.shows(f"{ann.name} asks to come into friends")
            left.type("/requests")
            left.shows(f"   1 {ann.name} since")
            left.type("/approve 1")
            left.shows(f"{ann.name} came into friends")
            left.type("/rename comrades")
            left.shows("a chat is now called comrades")
            left.type(f"/remove {ann.name}")
            left.shows(f"{ann.name} left comrades")
            ann.join(link)
            left.shows("asks to come into comrades")
            left.type(f"/deny {ann.name}")
            left.type(f"/invite {ann.name}")
            left.shows(f"{ann.name} came into comrades")
            left.type("/users")
            left.shows(f"{ann.name}  {ann.user_id}")
            left.type("/revoke 1")
            left.shows("-- revoked --")
            left.type("/exit")
            left.shows("you are no longer in a chat")
        assert ann.all_chats()[1].size == 1

    def test_joining_by_a_link(self, meet: Meet, ann: Client) -> None:
        ben = meet("ben")
        group = ann.create_chat("friends")
        link = ann.invite_link(group).link
        with ben.running("chat") as right:
            right.shows("-- default --")
            right.type(f"/join {link}")
            right.shows("the owner has to let you in")
            ann.approve(group, ben.id)
            right.shows("you are now in friends")
            right.type("/open friends")
            right.shows("-- friends --")
            right.type("/rename mine")
            right.shows("! ")
            ann.remove(group, ben.id)
            right.shows("you are no longer in a chat")
            right.type("back in the common chat")
            right.shows("you: back in the common chat")

    def test_schedule_report_status_and_name(
        self, meet: Meet, ann: Client
    ) -> None:
        ben = meet("ben")
        said = ann.send("something rude")
        with ben.running("chat") as left:
            left.shows("-- default --")
            left.type("/schedule +1h later")
            left.shows("-- waits until ")
            left.type("/scheduled")
            left.shows("(pending) later")
            left.type("/cancel 1")
            left.shows("-- cancelled --")
            left.type("/schedule never x")
            left.shows("! 'never' is no time")
            left.type(f"/report #{said.seq} it is rude")
            left.shows("-- reported --")
            left.type(f"/report {ann.name} again")
            left.shows("! ", 2)
            left.type(f"/name {ben.name}-2")
            left.shows(f"you are now called {ben.name}-2")
            left.type("/status")
            left.shows(f"{ben.name}-2  ")
            left.type("/help")
            left.shows("/quit")

    def test_files(self, meet: Meet, tmp_path: Path) -> None:
        ben = meet("ben")
        (tmp_path / "in").mkdir()
        (tmp_path / "out").mkdir()
        path = tmp_path / "in" / "picture.png"
        path.write_bytes(os.urandom(300_000))
        with ben.running("chat") as left:
            left.shows("-- default --")
            left.type(f"/upload {path} look")
            left.shows("look [file picture.png, 293.0 KiB]")
            seq = re.findall(r"#(\d+) you: look", left.log.text)[0]
            for name in ("picture.png", "picture (2).png"):
                saved = tmp_path / "out" / name
                left.type(f"/download {seq} {tmp_path / 'out'}")
                left.shows(f"{saved}, 293.0 KiB")
                assert saved.read_bytes() == path.read_bytes()
            left.type("/upload /nowhere")
            left.shows("! No such file or directory")

    def test_older_messages(self, meet: Meet, ann: Client) -> None:
        ben = meet("ben")
        chat = ann.p2p(ben.id)
        for n in range(1, 24):
            ann.send(f"message {n}", chat)
        with ben.running("chat", "--chat", ann.name) as right:
            right.shows("message 23")
            assert "#3 " not in right.log.text
            assert "#4 " in right.log.text
            right.type("/history 2")
            right.shows("#3 ")
            assert "#1 " not in right.log.text
            right.type("/history")
            right.shows("#1 ")
            right.type("/history")
            right.shows("there is nothing older")

    def test_over_a_killed_broker(
        self, tmp_path: Path, free_port: Callable[[], int]
    ) -> None:
        with (
            running(tmp_path, free_port()) as own,
            Client.connect(own.rpc, name="ann") as ann,
        ):
            ben = Person(tmp_path / "ben", "ben", own.rpc)
            with ben.running("chat") as right:
                right.shows("-- default --")
                ann.send("before")
                right.shows("ann: before")
                own.kill()
                right.shows("-- connection lost")
                right.type("meanwhile")
                own.start()
                right.shows("you: meanwhile")
                ann.send("after")
                right.shows("ann: after")
            assert right.log.text.count("meanwhile") == 1
            assert [
                message.text
                for message in ann.history(ann.chat_default).messages
            ] == ["before", "meanwhile", "after"]


def test_nothing_that_others_write_controls_the_terminal(
    meet: Meet, ann: Client
) -> None:
    ben = meet("ben")
    chat = ann.p2p(ben.id)
    ann.send(HOSTILE, chat)
    shown = ben.done("read", "--keep-unread")
    assert "\n      | Ann: forged\n" in shown
    for text in (
        shown,
        ben.done("chats"),
        ben.done("chats", "--json", "--depth", "5"),
    ):
        assert not CONTROLS & set(text)
    with ben.running("chat", "--chat", ann.name) as right:
        right.shows("| Ann: forged")
        ann.send(HOSTILE, chat)
        right.shows("| Ann: forged", 2)
        assert not CONTROLS & set(right.log.text)


@pytest.mark.parametrize("ending", ["quit", "interrupted"])
def test_at_a_terminal(meet: Meet, ann: Client, ending: str) -> None:
    """What is being typed stays below what comes; the end restores it."""
    ben = meet("ben")
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    process = subprocess.Popen(
        ben.command("chat", "--plain"),
        env=ben.environment | {"TERM": "xterm"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    shown = ""

    def shows(words: str) -> None:
        nonlocal shown
        ends = time.monotonic() + PATIENCE_SECONDS
        while words not in shown:
            left = max(0.0, ends - time.monotonic())
            assert select.select([master], [], [], left)[0], shown
            shown += os.read(master, 65536).decode()

    try:
        shows("\r\n> ")
        os.write(master, b"half a li")
        shows("half a li")
        ann.send("interrupting")
        shows("interrupting")
        shows("\n> half a li")
        os.write(master, b"ne\n")
        shows("you: half a line")
        if ending == "quit":
            os.write(master, b"/quit\n")
            assert process.wait(PATIENCE_SECONDS) == 0
        else:
            os.write(master, b"not fini")
            shows("not fini")
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_SECONDS) == 130
        assert termios.tcgetattr(slave) == before
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)

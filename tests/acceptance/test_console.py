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
from pathlib import Path
from typing import Any

import pytest

from tests.bare import wait_until
from tests.server import Log, Server, environment, running

PATIENCE_SECONDS = 30.0
HOSTILE = "\x1b]0;title\x07\x1b[31mred\x9b2J\u202egnp.exe\nAnn: forged"
CONTROLS = set("\x1b\x07\x9b\u202e\r")


class Person:
    """Somebody with a config folder who runs `zchat`."""

    def __init__(self, home: Path, name: str, server: str) -> None:
        self.home = home
        self.name = name
        self.environment = environment() | {
            "XDG_CONFIG_HOME": str(home), "ZCHAT_SERVER": server,
            "TZ": "UTC"}

    def command(self, command: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "zchat", command, "--name",
                self.name, *arguments]

    def run(self, command: str, *arguments: str, typed: str = ""
            ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(command, *arguments), env=self.environment,
            input=typed, capture_output=True, text=True, check=False,
            timeout=PATIENCE_SECONDS)

    def done(self, command: str, *arguments: str, typed: str = "") -> str:
        """What it prints; it must succeed and complain of nothing."""
        ended = self.run(command, *arguments, typed=typed)
        assert (ended.stderr, ended.returncode) == ("", 0)
        return ended.stdout

    def json(self, command: str, *arguments: str) -> Any:
        return json.loads(self.done(command, "--json", *arguments))

    @contextmanager
    def running(self, command: str, *arguments: str
                ) -> Iterator["Running"]:
        started = Running(subprocess.Popen(
            self.command(command, *arguments), env=self.environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True))
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
            target=self.log.follow, args=(process.stdout,))
        self._reader.start()

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def shows(self, words: str, count: int = 1) -> None:
        """Wait until it has printed this so many times."""
        wait_until(
            lambda: self.log.text.count(words) >= count,
            f"{words!r} in {self.log.text}", PATIENCE_SECONDS)

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
        tmp_path_factory: pytest.TempPathFactory,
        free_port: Callable[[], int]) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server"), free_port()) as made:
        yield made


Meet = Callable[[str], Person]


@pytest.fixture
def meet(server: Server, tmp_path: Path) -> Meet:
    """Makes a person; the names are a test's own."""
    suffix = os.urandom(4).hex()

    def make(name: str) -> Person:
        person = Person(
            tmp_path / name, f"{name}-{suffix}",
            server.rpc.removeprefix("tcp://"))
        return person

    return make


class TestCommands:
    def test_the_first_use_makes_a_user_who_is_kept(
            self, meet: Meet) -> None:
        ann = meet("ann")
        first = ann.json("status")
        assert first["user"]["name"] == ann.name
        assert ann.json("status")["user"] == first["user"]
        [path] = ann.home.glob("zchat/default/token-*.json")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        other = ann.json("status", "--profile", "other", "--name", "")
        assert other["user"]["id"] != first["user"]["id"]

    def test_send_and_read(self, meet: Meet) -> None:
        ann, ben = meet("ann"), meet("ben")
        ben.done("read")
        sent = ann.json("send", "hello", "world")
        line = ben.done("read")
        assert re.fullmatch(
            rf"\[default\] \d\d:\d\d #{sent['seq']} {ann.name}: "
            r"hello world\n", line)
        assert ben.done("read") == ""
        ann.done("send", typed="from\nstandard input\n")
        assert json.loads(ben.done("read", "--json"))["message"][
            "text"] == "from\nstandard input"
        assert re.fullmatch(r"sent #\d+ \S+\n", ann.done("send", "bye"))

    def test_read_marks_as_read_unless_told_otherwise(
            self, meet: Meet) -> None:
        ann, ben = meet("ann"), meet("ben")
        ben.done("status")
        ann.done("send", "one")
        ben.done("read", "--keep-unread")
        assert ben.json("chats")["chats"][0]["unread"] == 1
        ann.done("send", "two")
        ben.done("read")
        assert ben.json("chats")["chats"][0]["unread"] == 0

    def test_private_messages_comments_and_files(
            self, meet: Meet, tmp_path: Path) -> None:
        ann, ben = meet("ann"), meet("ben")
        ben_id = ben.json("status")["user"]["id"]
        path = tmp_path / "file.txt"
        path.write_text("content")
        sent = ann.json("send", "--to", ben_id, "secret")
        ann.json("send", "--chat", sent["chat_id"], "--file", str(path))
        ann.json("send", "--comment-on", sent["id"], "--chat",
                 sent["chat_id"], "comment")
        lines = ben.done("read", "--chat", ann.name).splitlines()
        assert [line.partition(f"{ann.name}: ")[2] for line in lines] == [
            "secret (1 comments)", "[file file.txt, 7 bytes]",
            "(comment) comment"]

    def test_a_repeat_with_the_same_key(self, meet: Meet) -> None:
        ann = meet("ann")
        first = ann.json("send", "--key", "k", "once")
        assert ann.json("send", "--key", "k", "once") == first

    def test_chats_and_status_for_people(self, meet: Meet) -> None:
        ann, ben = meet("ann"), meet("ben")
        ann.done("send", "--to", ben.json("status")["user"]["id"], "hi")
        lines = ben.done("chats").splitlines()
        assert "default" in lines[0]
        assert re.match(r" +1 unread +\S+ +p2p", lines[1])
        assert ben.name in ben.done("status")

    @pytest.mark.parametrize(("arguments", "status"), [
        (["send", "--chat", "nowhere", "x"], 2),
        (["send", "--to", "me", "x"], 1),
        (["send", "--to", "x", "--chat", "y", "z"], 2),
        (["send", "--file", "/nowhere", "x"], 2),
        (["send", "--nonsense", "x"], 2),
        (["status", "--server", "a b"], 2),
        (["status", "--profile", "../x"], 2),
        (["status", "--server", "127.0.0.1:1", "--timeout", "0.3"], 3),
    ])
    def test_exit_statuses(
            self, meet: Meet, arguments: list[str], status: int) -> None:
        ended = meet("ann").run(*arguments)
        assert ended.returncode == status
        assert ended.stdout == ""
        assert "Traceback" not in ended.stderr
        assert len(ended.stderr.splitlines()[-1]) > 10

    def test_a_name_that_is_taken(self, meet: Meet) -> None:
        ann, ben = meet("ann"), meet("ben")
        ann.done("status")
        ben.name = ann.name
        ended = ben.run("status")
        assert ended.returncode == 1
        assert not list(ben.home.glob("zchat/*/token-*"))

    def test_a_token_that_the_server_does_not_know(
            self, meet: Meet) -> None:
        ann = meet("ann")
        ann.done("status")
        [path] = ann.home.glob("zchat/default/token-*.json")
        kept = json.loads(path.read_text())
        path.write_text(json.dumps(kept | {"token": "x"}))
        ended = ann.run("status")
        assert ended.returncode == 1
        assert "--profile" in ended.stderr

    def test_two_first_uses_at_once_make_one_identity(
            self, meet: Meet) -> None:
        ann = meet("ann")
        command = [part for part in ann.command("status", "--json")
                   if part not in ("--name", ann.name)]
        started = [
            subprocess.Popen(command, env=ann.environment,
                             stdout=subprocess.PIPE)
            for _ in range(4)]
        answers = [process.communicate(timeout=PATIENCE_SECONDS)[0]
                   for process in started]
        assert [process.returncode for process in started] == [0] * 4
        assert len({json.loads(answer)["user"]["id"]
                    for answer in answers}) == 1

    def test_the_reader_may_go_away(self, meet: Meet) -> None:
        ann, ben = meet("ann"), meet("ben")
        ben.done("status")
        ann.done("send", "x" * 4000)
        process = subprocess.Popen(
            ben.command("read", "--follow"), env=ben.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        ann.done("send", "nobody reads this")
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(PATIENCE_SECONDS) == 0
        process.stderr.close()


class TestFollow:
    def test_new_messages_come_until_interrupted(self, meet: Meet) -> None:
        ann, ben = meet("ann"), meet("ben")
        with ben.running("read", "--follow") as reading:
            wait_until(lambda: list(ben.home.glob("*/*/cursors-*")),
                       "it has begun")
            ann.done("send", "one")
            reading.shows(": one")
            ann.done("send", "two")
            reading.shows(": two")
            reading.process.send_signal(signal.SIGINT)
            assert reading.end() == 130
            assert "Traceback" not in reading.log.text

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
    def test_it_goes_on_where_it_was(
            self, meet: Meet, number: signal.Signals) -> None:
        ann, ben = meet("ann"), meet("ben")
        ben.done("read")
        texts = [f"text {n}" for n in range(6)]
        shown = []
        for first, second in zip(texts[::2], texts[1::2], strict=True):
            ann.done("send", first)
            with ben.running("read", "--follow") as reading:
                reading.shows(first)
                ann.done("send", second)
                reading.shows(second)
                wait_until(
                    lambda: ben.json("chats")["chats"][0]["unread"] == 0,
                    "it was marked as read, and kept before")
                reading.process.send_signal(number)
                reading.end()
            shown += re.findall("text .", reading.log.text)
        assert shown == texts

    def test_one_chat_alone_has_its_own_cursor(self, meet: Meet) -> None:
        ann, ben = meet("ann"), meet("ben")
        ben_id = ben.json("status")["user"]["id"]
        ann.done("send", "--to", ben_id, "private")
        ann.done("send", "common")
        assert "private" in ben.done("read", "--chat", ann.name)
        assert ben.done("read", "--chat", ann.name) == ""
        rest = ben.done("read")
        assert "common" in rest

    def test_over_a_killed_broker(
            self, tmp_path: Path, free_port: Callable[[], int]) -> None:
        with running(tmp_path, free_port()) as own:
            ann = Person(tmp_path / "ann", "ann", own.rpc)
            ben = Person(tmp_path / "ben", "ben", own.rpc)
            ben.done("status")
            with ben.running("read", "--follow") as reading:
                for n in range(3):
                    ann.done("send", f"text {n}")
                    reading.shows(f"text {n}")
                    own.kill()
                    own.start()
                ann.done("send", "last")
                reading.shows("last")
            assert re.findall("text .|last", reading.log.text) == [
                "text 0", "text 1", "text 2", "last"]


class TestChat:
    def test_a_conversation(self, meet: Meet) -> None:
        ann, ben = meet("ann"), meet("ben")
        with ann.running("chat") as left, ben.running("chat") as right:
            for side in (left, right):
                side.shows("-- default --")
            left.type("hello there")
            left.shows("you: hello there")
            right.shows(f"{ann.name}: hello there")
            left.type(f"/p2p {ben.name}")
            right.shows(f"-- you are now in {ann.name} --")
            left.shows(f"-- {ben.name} --")
            left.type("for you alone")
            right.shows(f"[{ann.name}] ")
            right.shows("#1 " + ann.name + ": for you alone")
            right.type("/chats")
            right.shows(f"  2     1 unread  {ann.name} (p2p, 2)")
            right.type("/open 2")
            right.shows("for you alone", 2)
            right.type("/comment #1 thank you")
            left.shows(f"{ben.name}: (comment) thank you")
            left.type("/comments 1")
            left.shows("   ")
            right.type("/name")
            right.shows("! Type /name NAME...")
            right.type("/nonsense")
            right.shows("! There is no /nonsense; see /help.")
            right.type("//slash")
            left.shows(f"{ben.name}: /slash")
            right.type("/quit")
            assert right.end() == 0
            assert left.process.stdin is not None
            left.process.stdin.close()
            assert left.end() == 0

    def test_a_group(self, meet: Meet) -> None:
        ann, ben = meet("ann"), meet("ben")
        with ann.running("chat") as left, ben.running("chat") as right:
            left.shows("-- default --")
            right.shows("-- default --")
            left.type("/group friends")
            left.shows("-- friends --")
            left.type("/link 3")
            left.shows("(until ")
            link = re.findall(r"-- (\S+) \(until ", left.log.text)[0]
            left.type("/links")
            left.shows("   1 0 of 3 uses")
            right.type(f"/join {link}")
            right.shows("the owner has to let you in")
            left.shows(f"{ben.name} asks to come into friends")
            left.type("/requests")
            left.shows(f"   1 {ben.name} since")
            left.type("/approve 1")
            right.shows("you are now in friends")
            right.type("/open friends")
            right.type("/rename mine")
            right.shows("! ", 1)
            left.type("/rename comrades")
            right.shows("a chat is now called comrades")
            left.type(f"/remove {ben.name}")
            right.shows("you are no longer in a chat")
            right.type("/users")
            right.shows(ann.name)
            left.type("/revoke 1")
            left.shows("-- revoked --")
            left.type("/exit")
            left.shows("you are no longer in a chat")

    def test_schedule_report_status_and_name(self, meet: Meet) -> None:
        ann, ben = meet("ann"), meet("ben")
        said = ben.json("send", "something rude")
        with ann.running("chat") as left:
            left.shows("-- default --")
            left.type("/schedule +1h later")
            left.shows("-- waits until ")
            left.type("/scheduled")
            left.shows("(pending) later")
            left.type("/cancel 1")
            left.shows("-- cancelled --")
            left.type("/schedule never x")
            left.shows("! 'never' is no time")
            left.type(f"/report #{said['seq']} it is rude")
            left.shows("-- reported --")
            left.type(f"/report {ben.name} again")
            left.shows("! ", 2)
            left.type(f"/name {ann.name}-2")
            left.shows(f"you are now called {ann.name}-2")
            left.type("/status")
            left.shows(f"{ann.name}-2  ")
            left.type("/help")
            left.shows("/quit")

    def test_files(self, meet: Meet, tmp_path: Path) -> None:
        ann = meet("ann")
        (tmp_path / "in").mkdir()
        (tmp_path / "out").mkdir()
        path = tmp_path / "in" / "picture.png"
        path.write_bytes(os.urandom(300_000))
        with ann.running("chat") as left:
            left.shows("-- default --")
            left.type(f"/upload {path} look")
            left.shows("look [file picture.png, 293.0 KiB]")
            seq = re.findall(r"#(\d+) you: look", left.log.text)[0]
            for name in ("picture.png", "picture (2).png"):
                left.type(f"/download {seq} {tmp_path / 'out'}")
                left.shows(name)
                saved = tmp_path / "out" / name
                assert saved.read_bytes() == path.read_bytes()
            left.type("/upload /nowhere")
            left.shows("! [Errno 2]")

    def test_older_messages(self, meet: Meet) -> None:
        ann, ben = meet("ann"), meet("ben")
        sent = ann.json("send", "--to", ben.json("status")["user"]["id"],
                        "message 1")
        for n in range(2, 24):
            ann.done("send", "--chat", sent["chat_id"], f"message {n}")
        with ben.running("chat", "--chat", ann.name) as right:
            right.shows("message 23")
            assert "#3 " not in right.log.text
            assert "#4 " in right.log.text
            right.type("/history 2")
            right.shows("#3 ")
            right.shows("#2 ")
            right.type("/history")
            right.shows("#1 ")
            right.type("/history")
            right.shows("there is nothing older")

    def test_over_a_killed_broker(
            self, tmp_path: Path, free_port: Callable[[], int]) -> None:
        with running(tmp_path, free_port()) as own:
            ann = Person(tmp_path / "ann", "ann", own.rpc)
            ben = Person(tmp_path / "ben", "ben", own.rpc)
            with ann.running("chat") as left, ben.running("chat") as right:
                left.shows("-- default --")
                right.shows("-- default --")
                left.type("before")
                right.shows("ann: before")
                own.kill()
                left.shows("-- connection lost")
                left.type("meanwhile")
                own.start()
                right.shows("ann: meanwhile")
                left.shows("you: meanwhile")
            assert right.log.text.count("meanwhile") == 1


class TestHostile:
    """Nothing that others write reaches the terminal as a control."""

    def test_in_every_command(self, meet: Meet, server: Server) -> None:
        ann, ben = meet("ann"), meet("ben")
        ben_id = ben.json("status")["user"]["id"]
        ann.done("send", "--to", ben_id, HOSTILE)
        shown = ben.done("read", "--keep-unread")
        assert "\n      | Ann: forged\n" in shown
        for text in (shown, ben.done("chats"), ben.done("status"),
                     ben.done("chats", "--json", "--depth", "5")):
            assert not CONTROLS & set(text)
        with ben.running("chat", "--chat", ann.name) as right:
            right.shows("| Ann: forged")
            ann.done("send", "--to", ben_id, HOSTILE)
            right.shows("| Ann: forged", 2)
            assert not CONTROLS & set(right.log.text)


def test_at_a_terminal(meet: Meet) -> None:
    """What is being typed stays below what comes; the end restores it."""
    ann, ben = meet("ann"), meet("ben")
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    process = subprocess.Popen(
        ann.command("chat"), env=ann.environment | {"TERM": "xterm"},
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    shown = ""

    def shows(words: str) -> None:
        nonlocal shown
        ends = time.monotonic() + PATIENCE_SECONDS
        while words not in shown:
            assert select.select([master], [], [], ends - time.monotonic())[
                0], shown
            shown += os.read(master, 65536).decode()

    try:
        shows("-- default --")
        os.write(master, b"half a li")
        shows("half a li")
        ben.done("send", "interrupting")
        shows("interrupting")
        shows("\n> half a li")
        os.write(master, b"ne\n")
        shows("you: half a line")
        os.write(master, b"/quit\n")
        assert process.wait(PATIENCE_SECONDS) == 0
        assert termios.tcgetattr(slave) == before
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)

"""The programs in examples/ do what they say, on the real server."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.server import PROJECT, Server, environment, running
from zchat.client import BlockingClient, MessageEvent

PATIENCE_SECONDS = 40.0


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("examples"), free_port()) as made:
        yield made


@contextmanager
def program(name: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A program of examples/, killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, str(PROJECT / "examples" / name), *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def next_message(client: BlockingClient, author_id: str) -> str:
    """The text of the next message of that user."""
    while True:
        event = client.next_event(PATIENCE_SECONDS)
        if (
            isinstance(event, MessageEvent)
            and event.message.author.id == author_id
        ):
            return event.message.text


def test_the_echo_bot_answers_each_message_once(
    server: Server, tmp_path: Path
) -> None:
    state = str(tmp_path / "state.json")
    given = ("--server", server.rpc, "--state", state)
    with BlockingClient.connect(server.rpc) as ann:
        with program("echo_bot.py", *given) as bot:
            bot_id = line_of(bot).rpartition(" ")[2]
            chat = ann.p2p(bot_id)
            ann.send("one", chat)
            assert next_message(ann, bot_id) == "You said: one"
            bot.send_signal(signal.SIGKILL)
        ann.send("two", chat)
        with program("echo_bot.py", *given) as bot:
            assert line_of(bot).rpartition(" ")[2] == bot_id
            assert next_message(ann, bot_id) == "You said: two"
            bot.send_signal(signal.SIGINT)
            assert line_of(bot) == "stopped"
            assert bot.wait(PATIENCE_SECONDS) == 0
        texts = [message.text for message in ann.history(chat).messages]
    assert texts == ["one", "You said: one", "two", "You said: two"]


def test_a_question_gets_its_answers(server: Server, tmp_path: Path) -> None:
    plan = tmp_path / "plan.txt"
    plan.write_text("first this, then that")
    with (
        BlockingClient.connect(server.rpc) as ann,
        program(
            "ask.py",
            "Shall we?",
            *("--server", server.rpc, "--file", str(plan)),
            *("--seconds", "5"),
        ) as asking,
    ):
        assert line_of(asking) == "asked"
        message = None
        while message is None:
            event = ann.next_event(PATIENCE_SECONDS)
            if isinstance(event, MessageEvent):
                message = event.message
        assert message.text == "Shall we?"
        [file] = message.files
        assert ann.download(file.file_id).data == plan.read_bytes()
        ann.send("no answer")
        ann.comment(message.id, "Yes.")
        assert line_of(asking) == f"{ann.name}: Yes."
        assert asking.wait(PATIENCE_SECONDS) == 0


def test_nobody_answers_and_no_server(
    server: Server, free_port: Callable[[], int]
) -> None:
    with program(
        "ask.py", "Well?", "--server", server.rpc, "--seconds", "0.2"
    ) as asking:
        assert asking.wait(PATIENCE_SECONDS) == 1
    with program("ask.py", "Well?", "--server", "http://a/b") as asking:
        assert asking.wait(PATIENCE_SECONDS) == 2

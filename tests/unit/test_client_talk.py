"""The conversation: what is shown, what is read, who is meant."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from zchat.client import (
    CaughtUp,
    Chat,
    Cursors,
    Event,
    History,
    Message,
    MessageEvent,
    NoAnswer,
    Person,
)
from zchat.client.connection import Link
from zchat.client.console import conversation, paths, slash, talk, terminal
from zchat.client.console.seen import Seen
from zchat.errors import Code, ConfigError, Refused

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CHAT = "chat"


def message(seq: int, mark: str = "") -> Message:
    return Message(
        id=f"{seq}{mark}",
        seq=seq,
        created=NOW,
        author=Person(id="ann", name="ann"),
        text=f"text {seq}{mark}",
        is_comment_on=None,
        comments=0,
        files=(),
    )


def chat_of(first: int, head: int, read: int = 0) -> Chat:
    return Chat(
        id=CHAT,
        name="default",
        title="default",
        kind="common",
        size=1,
        head=head,
        revision=0,
        read=read,
        unread=0,
        authors=(),
        messages=tuple(message(seq) for seq in range(head, first - 1, -1)),
    )


class Server:
    """Stands for a client: answers as told, keeps the read positions."""

    def __init__(self, chat: Chat) -> None:
        self.chat_default = CHAT
        self.user_id = "me"
        self.known_chats: dict[str, Any] = {}
        self.is_up = True
        self.newest = chat
        self.members: list[Person] = []
        self.happening: asyncio.Queue[Event] = asyncio.Queue()
        self.marked: list[int] = []
        self.faults: list[NoAnswer] = []
        self.sent: list[str] = []

    async def chat(self, chat_id: str, depth: int) -> Chat:
        return self.newest

    async def all_chats(self) -> list[Chat]:
        return []

    def cursors(self) -> Cursors:
        return Cursors()

    async def all_users(self, chat_id: str) -> list[Person]:
        return self.members

    async def events(self) -> AsyncIterator[Event]:
        while True:
            yield await self.happening.get()

    async def read(self, chat_id: str, seq: int) -> None:
        if self.faults:
            raise self.faults.pop()
        self.marked.append(seq)

    async def send(self, text: str, chat_id: str) -> None:
        self.sent.append(text)
        await asyncio.Event().wait()


def talk_with(server: Server) -> tuple[talk.Talk, list[str]]:
    shown: list[str] = []
    return talk.Talk(
        server,  # type: ignore[arg-type]
        shown.append,
        lambda: NOW,
        slash.dispatch,
    ), shown


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def typed(*lines: str) -> AsyncIterator[str]:
    for line in lines:
        yield line
        await settle()


def texts(shown: list[str]) -> list[str]:
    return [line.partition("ann: ")[2] for line in shown if "ann: " in line]


def test_what_comes_late_is_shown_and_nothing_twice() -> None:
    async def work() -> None:
        server = Server(chat_of(31, 50, read=10))
        told, shown = talk_with(server)
        await told.open(CHAT)
        assert told._unmarked == {CHAT: 10}
        for seq in range(11, 52):
            told._happened(MessageEvent(CHAT, message(seq)))
        assert sorted(texts(shown)) == sorted(
            f"text {seq}" for seq in range(11, 52)
        )
        assert told._unmarked == {CHAT: 51}

    asyncio.run(work())


def test_a_store_that_was_set_back_hides_nothing() -> None:
    async def work() -> None:
        server = Server(chat_of(1, 5))
        told, shown = talk_with(server)
        await told.open(CHAT)
        told._happened(MessageEvent(CHAT, message(6)))
        told._happened(MessageEvent(CHAT, message(4, "b")))
        assert texts(shown)[-1] == "text 4b"
        assert told._unmarked == {CHAT: 4}

    asyncio.run(work())


def test_pages_close_the_gap() -> None:
    seen = Seen()
    seen.opened(chat_of(31, 50, read=20), 0, False)
    assert seen.readable(20) == 20
    seen.older(
        History(
            messages=tuple(message(seq) for seq in range(21, 31)),
            has_older=True,
            has_newer=True,
            head=50,
        )
    )
    assert seen.readable(20) == 50
    assert seen.oldest == 21


def test_a_lost_read_mark_goes_out_when_caught_up() -> None:
    async def work() -> None:
        server = Server(chat_of(1, 5))
        server.faults.append(NoAnswer("away", sent=False))
        told, _ = talk_with(server)
        task = asyncio.create_task(told._mark_read())
        await told.open(CHAT)
        await settle()
        assert server.marked == []
        told._happened(CaughtUp())
        await settle()
        assert server.marked == [5]
        task.cancel()

    asyncio.run(work())


def test_help_and_quit_need_no_server() -> None:
    async def work() -> None:
        server = Server(chat_of(1, 1))
        server.is_up = False
        server.happening.put_nowait(CaughtUp())
        told, shown = talk_with(server)
        async with asyncio.timeout(5):
            await told.run(typed("hello", "/help", "/quit"), None)
        assert server.sent == ["hello"]
        assert "-- waiting for the server --" in shown
        assert any(line.startswith("/quit ") for line in shown)

    asyncio.run(work())


def test_a_name_means_who_has_it_now() -> None:
    async def work() -> None:
        server = Server(chat_of(1, 1))
        told, _ = talk_with(server)
        told.people = {"old": "bob", "gone": "eve"}
        server.members = [
            Person(id="new", name="bob"),
            Person(id="old", name="robert"),
        ]
        assert await told.person("bob") == "new"
        assert await told.person("eve") == "gone"
        server.members = [Person(id="old", name="robert")]
        told.people = {"old": "bob"}
        with pytest.raises(ConfigError, match="nobody called"):
            await told.person("bob")

    asyncio.run(work())


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("007", 7),
        ("0", 0),
        ("9" * 20, None),
        ("9" * 5000, None),
        ("\u0663", None),
        ("-1", None),
        ("", None),
    ],
)
def test_numbers_that_are_typed(text: str, number: int | None) -> None:
    assert conversation.whole_number(text) == number


@pytest.mark.parametrize("value", ["\ud800", 2**80, object()])
def test_what_cannot_be_sent_is_refused(value: object) -> None:
    async def work() -> None:
        link = Link(["tcp://127.0.0.1:1"])
        try:
            with pytest.raises(Refused, match="cannot be sent") as caught:
                link.request("send", {"text": value}, lambda e, r: None)
        finally:
            link.close()
        assert caught.value.code is Code.BAD_REQUEST

    asyncio.run(work())


@pytest.mark.parametrize("path", ["a\0b", "~nobody-is-called-so/x"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ConfigError, match="is no path"):
        paths.local(path)


@pytest.mark.parametrize(
    ("typed_", "written"),
    [
        ("abc", "\r\x1b[Jnew\n> abc"),
        ("x" * 20, "\x1b[2A\r\x1b[Jnew\n> " + "x" * 20),
        ("x" * 8, "\x1b[1A\r\x1b[Jnew\n> xxxxxxxx \r"),
        ("\u65e5" * 5, "\x1b[1A\r\x1b[Jnew\n> " + "\u65e5" * 5),
    ],
)
def test_a_line_comes_above_what_is_typed(typed_: str, written: str) -> None:
    assert terminal.between("new", typed_, 10) == written

"""The main screens as they are drawn, compared with what was approved.

A stage stands for the client: it answers with fixed values, so that a
screen is the same on every machine. `ZCHAT_SNAPSHOTS=write` writes the
snapshots anew; look at the difference before you commit it.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tests.screen import PATIENCE_SECONDS, text_of
from zchat.client import (
    CaughtUp,
    Chat,
    ChatFacts,
    Client,
    Event,
    FileInfo,
    History,
    KnownChat,
    ListedUser,
    Message,
    Person,
    Quota,
    Reaction,
    ScheduledMessage,
    Status,
    StatusUser,
    Typing,
)
from zchat.client.console.app import Console
from zchat.client.console.entry import Entry, Options
from zchat.client.values import Changes, Limits

SNAPSHOTS: Final = Path(__file__).parent.parent / "snapshots"
NOW: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ADA = Person(id="ada", name="ada")
BOB = Person(id="bob", name="bob")
KIM = Person(id="kim", name="кирилл")
WEI = Person(id="wei", name="小林")


def said(
    seq: int, who: Person, minutes_ago: int, words: str, **more: Any
) -> Message:
    fields: dict[str, Any] = {
        "id": f"m{seq}",
        "seq": seq,
        "created": NOW - timedelta(minutes=minutes_ago),
        "author": who,
        "text": words,
        "is_comment_on": None,
        "comments": 0,
        "files": (),
    }
    return Message(**(fields | more))


SLIDES = FileInfo(
    file_id="f", name="slides.pdf", size=23456, type="t", sha256="s"
)
COMMON = (
    said(1, BOB, 1500, "Good evening! Is the room for tomorrow settled?"),
    said(2, ADA, 1498, "Yes, room 4.", comments=1),
    said(
        3,
        ADA,
        60,
        "Hello, everyone! The workshop starts at ten; bring a laptop and "
        "something to drink.",
        reactions=(Reaction(emoji="👍", count=3, users=("bob", "ada")),),
    ),
    said(4, BOB, 52, "Morning! I am on the train."),
    said(5, BOB, 51, "Has anybody the slides? https://example.org/s.pdf"),
    said(6, ADA, 50, "Here they are", files=(SLIDES,)),
    said(7, BOB, 40, "Thank you!", is_comment_on="m6"),
    said(8, KIM, 30, "Привет! Я опоздаю на пять минут.", edited=NOW),
    said(9, WEI, 20, "你好，我们马上开始 🎉"),
    said(10, KIM, 10, "\x1b[31mred\x07 \u202egnp.exe\nada  09:00\tforged"),
    said(11, BOB, 5, "@ada can you let me in?", mentions=("ada",)),
    said(12, WEI, 4, "", deleted=NOW),
)


def known(
    chat_id: str, title: str, kind: str, head: int, unread: int = 0
) -> KnownChat:
    return KnownChat(
        id=chat_id,
        name=title,
        title=title,
        kind=kind,
        cursor=head,
        head=head,
        read=head - unread,
        unread=unread,
        revision=0,
        mentions=1 if kind == "group" else 0,
        requests=2 if kind == "group" else 0,
    )


class Stage:
    """Stands for a client: fixed answers, events when told."""

    user_id = "ada"
    name = "ada"
    chat_default = "c1"
    is_up = True
    events_waiting = 0
    limits = Limits(
        text=4096,
        name=32,
        page=200,
        history_depth=20,
        file_bytes=5 << 20,
        files_per_message=10,
        chunk_size=1 << 18,
        request_bytes=1 << 20,
        scheduled=50,
        idempotency_key=64,
        edit_seconds=86400,
        reactions=20,
    )

    def __init__(self) -> None:
        self.known_chats = {
            "c1": known("c1", "default", "common", 12, 2),
            "c2": known("c2", "bob", "p2p", 3, 1),
            "c3": known("c3", "workshop", "group", 40, 17),
        }
        self.happening: asyncio.Queue[Event] = asyncio.Queue()
        self.banned_until: datetime | None = None
        self.names: dict[str, str] = {}
        self.happening.put_nowait(CaughtUp())

    async def __aenter__(self) -> "Stage":
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def events(self) -> AsyncIterator[Event]:
        while True:
            yield await self.happening.get()

    async def history(self, chat_id: str, **asked: Any) -> History:
        found = COMMON if chat_id == "c1" else ()
        return History(
            messages=found, has_older=False, has_newer=False, head=len(found)
        )

    async def users(self, chat_id: str, **asked: Any) -> Any:
        return tuple(
            ListedUser(
                id=who.id,
                name=self.names.get(who.id, who.name),
                role="moderator" if who is KIM else "member",
                online=who is not WEI,
                last_seen=NOW,
                read=None,
            )
            for who in (ADA, BOB, KIM, WEI)
        )

    async def chat(self, chat_id: str, **asked: Any) -> Chat:
        return Chat(
            id=chat_id,
            name="workshop",
            title="workshop",
            kind="group",
            messages=(),
            authors=(),
            size=4,
            head=40,
            revision=3,
            read=40,
            unread=0,
        )

    async def changes(self, chat_id: str, after: int) -> Changes:
        return Changes(
            revision=3,
            messages=(),
            chat=ChatFacts(
                name="workshop",
                title="workshop",
                owner_id="bob",
                size=4,
                event_key=None,
            ),
            more=False,
        )

    async def status(self) -> Status:
        return Status(
            time=NOW,
            connections_db_max=1,
            connections_db_now=1,
            chat_default="c1",
            chats_count=3,
            chats_with_user_count=3,
            user=StatusUser(
                id="ada",
                name="ada",
                banned_until=self.banned_until,
                quota=Quota(
                    limit=20,
                    remaining=17,
                    period=3600,
                    resets_at=NOW + timedelta(minutes=30),
                ),
            ),
        )

    async def scheduled(self, state: str) -> Any:
        return (
            ScheduledMessage(
                id="s1",
                chat_id="c1",
                text="Lunch is in the yard",
                send_at=NOW + timedelta(hours=1),
                state=state,
            ),
        )

    async def send(self, text: str, chat_id: str, **more: Any) -> Any:
        await asyncio.Event().wait()

    async def read(self, chat_id: str, seq: int) -> int:
        return seq

    async def typing(self, chat_id: str) -> None:
        pass


class StageDoor(Entry):
    """The way onto the stage."""

    def __init__(self, home: Path, stage: Stage) -> None:
        super().__init__(Options("127.0.0.1", "default", home, "ada", 1.0))
        self._stage = stage

    async def connect(self, name: str | None = None, **more: Any) -> Client:
        more["on_up"]()
        return self._stage  # type: ignore[return-value]


class Play:
    """One performance: the stage, the screen, and its keys."""

    def __init__(self, app: Console, stage: Stage, pilot: Any) -> None:
        self.app = app
        self.stage = stage
        self.pilot = pilot

    async def until(self, words: str) -> None:
        """Wait for what the snapshot must hold."""
        ends = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while words not in text_of(self.app):
            assert asyncio.get_running_loop().time() < ends, text_of(self.app)
            await asyncio.sleep(0.02)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)


async def conversation(play: Play) -> None:
    await play.until("17 of 20 left until 12:30")
    await play.until("◷ 13:00")


async def selected(play: Play) -> None:
    await conversation(play)
    await play.press("up", "up")
    await play.until("c comment")


async def commenting(play: Play) -> None:
    await selected(play)
    await play.press("up", "c", *"coming")
    await play.until("Comment on")
    await play.until("coming")


async def banned(play: Play) -> None:
    await conversation(play)
    play.stage.banned_until = NOW + timedelta(hours=4)
    desk = play.app.desk
    assert desk is not None
    desk.chore(desk.look_at_standing())
    await play.until("You are banned until 16:00")


async def away(play: Play) -> None:
    await conversation(play)
    desk = play.app.desk
    assert desk is not None
    desk.went_down()
    desk.submit("Is anybody there?", "c1")
    await play.until("connection lost")
    await play.until("waiting for the server")


async def typing(play: Play) -> None:
    await conversation(play)
    play.stage.happening.put_nowait(Typing("c1", BOB))
    await play.until("bob is typing")


async def switching(play: Play) -> None:
    await conversation(play)
    await play.press("ctrl+k")
    await play.until("17 unread")


async def helping(play: Play) -> None:
    await conversation(play)
    await play.press("f1")
    await play.until("Show this help.")


Scene = Callable[[Play], Coroutine[Any, Any, None]]


@pytest.mark.parametrize("size", [(80, 24), (200, 60)], ids=str)
@pytest.mark.parametrize(
    "scene",
    [
        conversation,
        selected,
        commenting,
        banned,
        away,
        typing,
        switching,
        helping,
    ],
    ids=lambda scene: scene.__name__,
)
def test_a_screen(scene: Scene, size: tuple[int, int], tmp_path: Path) -> None:
    async def perform() -> str:
        stage = Stage()
        app = Console(StageDoor(tmp_path, stage), lambda: NOW, theme="dark")
        async with app.run_test(size=size) as pilot:
            play = Play(app, stage, pilot)
            await scene(play)
            await pilot.pause(0.1)
            await pilot.pause()
            shown = text_of(app)
            app.exit()
        return shown

    shown = asyncio.run(perform()) + "\n"
    path = SNAPSHOTS / f"{scene.__name__}-{size[0]}x{size[1]}.txt"
    if os.environ.get("ZCHAT_SNAPSHOTS") == "write":
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")


def test_who_comes_back_sees_the_names_of_now(tmp_path: Path) -> None:
    async def perform() -> None:
        stage = Stage()
        app = Console(StageDoor(tmp_path, stage), lambda: NOW)
        async with app.run_test(size=(80, 24)) as pilot:
            play = Play(app, stage, pilot)
            await play.until("Thank you!")
            assert "robert" not in text_of(app)
            stage.names["bob"] = "robert"
            stage.happening.put_nowait(CaughtUp())
            await play.until("robert")
            app.exit()

    asyncio.run(perform())

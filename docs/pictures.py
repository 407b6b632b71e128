"""Draws the console's pictures: the real screens before a real broker.

`python -m docs.pictures` writes them to docs/pictures/. They show the
time at which they were made, so no test compares them; make them anew
when a screen changes.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.process import free_port
from tests.screen import Screen, screen
from tests.server import running
from zchat.client import Client

FOLDER: Final = Path(__file__).parent / "pictures"
WEB_FONT: Final = re.compile(r"@font-face \{.*?\}\s*", re.S)


def write(screen: Screen, name: str) -> None:
    """Write what is on the screen, without fonts from elsewhere."""
    drawn = screen.app.export_screenshot(title="zchat chat")
    drawn = WEB_FONT.sub("", drawn).replace("Fira Code", "DejaVu Sans Mono")
    path = FOLDER / f"{name}.svg"
    path.write_text(drawn, encoding="utf-8")
    print(path.relative_to(FOLDER.parent.parent))


async def _talk(server: str, ada: Screen) -> None:
    """Others say something in a few chats."""
    async with AsyncClients(server) as people:
        bob, kim, mei = [
            await people(name) for name in ("bob", "кирилл", "小林")
        ]
        me = ada.desk.client.user_id
        own = ada.desk.client
        first = await own.send(
            "Hello, everyone! The workshop starts at ten; bring a laptop."
        )
        await bob.send("Morning! I am on the train, there in half an hour.")
        await bob.send("Has anybody got the slides?")
        file_id = await own.upload(b"x" * 23456, name="slides.pdf")
        await own.send("Here they are", files=[file_id])
        await bob.send("Thank you!", comment_on=first.id)
        said = await kim.send("Привет! Я опоздаю на пять минут.")
        await mei.send("你好，我们马上开始 🎉")
        for who in (bob, mei):
            await who.react(first.id, "👍")
        await own.react(said.id, "👍")
        group = await own.create_chat("workshop")
        for who in (bob, kim):
            await own.invite(group, who.user_id)
        await bob.send("Room 4 is free, and it has a projector.", group)
        await kim.send("@ada I bring the cables.", group)
        await bob.send("Lunch together afterwards?", await bob.p2p(me))
        await own.schedule(
            "We begin in five minutes!",
            datetime.now(UTC) + timedelta(minutes=25),
        )
        await bob.typing(own.chat_default)
        await ada.shows("你好", "◷", "@ bob", "bob is typing", "👍 2")


class AsyncClients:
    """Makes clients, and closes them all in the end."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._made: list[Client] = []

    async def __aenter__(self) -> "AsyncClients":
        return self

    async def __call__(self, name: str) -> Client:
        made = await Client.connect(self._server, name=name, listen=False)
        self._made.append(made)
        return made

    async def __aexit__(self, *error: object) -> None:
        for made in self._made:
            await made.close()


@asynccontextmanager
async def _ada(
    home: Path, server: str, size: tuple[int, int], theme: str
) -> AsyncIterator[Screen]:
    async with screen(home, server, "ada", size, theme=theme) as ada:
        await ada.shows("● ada")
        yield ada


async def _draw(home: Path, server: str) -> None:
    async with _ada(home, server, (110, 34), "dark") as ada:
        await _talk(server, ada)
        await asyncio.sleep(0.5)
        write(ada, "console")
        await ada.press("up", "up", "up", "up", "up")
        await ada.shows("c comment")
        write(ada, "console-selected")
        await ada.press("escape", "ctrl+k")
        await ada.shows("Go to a chat")
        await ada.press("w")
        await asyncio.sleep(0.5)
        write(ada, "console-switch")
    async with _ada(home, server, (80, 24), "light") as ada:
        await ada.shows("你好")
        await asyncio.sleep(0.5)
        write(ada, "console-small")


def main() -> None:
    """Draw all of them."""
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory() as name:
        folder = Path(name)
        with running(folder, free_port()) as server:
            asyncio.run(_draw(folder / "ada", server.rpc))
    asyncio.run(_first(folder))


async def _first(folder: Path) -> None:
    """The question of a first start, which needs no server."""
    async with screen(folder / "new", "127.0.0.1:1", size=(80, 16)) as new:
        await new.shows("What should others call you?")
        write(new, "console-first")


if __name__ == "__main__":
    main()

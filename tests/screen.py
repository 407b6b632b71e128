"""The full screen of the console, run in this process by Textual's pilot."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from textual.pilot import Pilot

from zchat.client.console.app import Console
from zchat.client.console.desk import Desk
from zchat.client.console.entry import Entry, Options
from zchat.client.console.panes import Panes

PATIENCE_SECONDS = 30.0
SMALL = (80, 24)
LARGE = (200, 60)


def now() -> datetime:
    return datetime.now(UTC)


def text_of(app: Console) -> str:
    """What stands on the screen, row by row."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)


class Screen:
    """One person before the full screen."""

    def __init__(self, app: Console, pilot: "Pilot[None]") -> None:
        self.app = app
        self.pilot = pilot

    @property
    def desk(self) -> Desk:
        """What the screen shows."""
        assert self.app.desk is not None
        return self.app.desk

    @property
    def panes(self) -> Panes:
        """What the screen is made of."""
        assert self.app.panes is not None
        return self.app.panes

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return text_of(self.app)

    async def until(self, holds: Callable[[], object], what: str) -> None:
        """Wait until something holds; a patient poll."""
        ends = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while not holds():
            assert asyncio.get_running_loop().time() < ends, (
                f"still not so: {what}\n{self.text}"
            )
            await asyncio.sleep(0.02)

    async def shows(self, *words: str) -> None:
        """Wait until all of this stands on the screen."""
        for word in words:
            await self.until(partial(self._has, word), word)

    async def hides(self, *words: str) -> None:
        """Wait until none of this stands there."""
        for word in words:
            await self.until(partial(self._lacks, word), f"no {word}")

    def _has(self, word: str) -> bool:
        return word in self.text

    def _lacks(self, word: str) -> bool:
        return word not in self.text

    async def press(self, *keys: str) -> None:
        """Press keys, named as Textual names them."""
        await self.pilot.press(*keys)

    async def type(self, words: str, *, enter: bool = True) -> None:
        """Write into the composer, and send it."""
        self.panes.composer.insert(words)
        if enter:
            await self.press("enter")


@asynccontextmanager
async def screen(
    home: Path,
    server: str,
    name: str | None = None,
    size: tuple[int, int] = SMALL,
    chat: str | None = None,
    theme: str = "dark",
    wait_seconds: float = 10.0,
) -> AsyncIterator[Screen]:
    """The program at work; with a name it does not ask for one."""
    options = Options(server, "default", home, name, wait_seconds)
    app = Console(Entry(options), now, chat, theme)
    async with app.run_test(size=size) as pilot:
        yield Screen(app, pilot)
        app.exit()

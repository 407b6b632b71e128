"""A conversation in lines: what comes in is shown, what is typed is done."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from zchat.client import (
    CaughtUp,
    ChatRemoved,
    Client,
    Event,
    FileInfo,
    Message,
    MessageChanged,
    MessageEvent,
    NoAnswer,
)
from zchat.client.console.conversation import Conversation, Quit, notice
from zchat.client.console.seen import Seen
from zchat.client.console.text import harmless, message_line, size_text
from zchat.errors import Refused

HISTORY: Final = 20
NEEDS_NO_SERVER: Final = frozenset({"/help", "/quit"})
_LOOK_SECONDS: Final = 0.5

Run = Callable[[Conversation, str], Awaitable[None]]


class Talk(Conversation):
    """The conversation of the line mode: `write` puts out one line."""

    def __init__(
        self,
        client: Client,
        write: Callable[[str], None],
        now: Callable[[], datetime],
        slash: Run,
    ) -> None:
        super().__init__(client, now)
        self._write = write
        self._slash = slash
        self._seen: defaultdict[str, Seen] = defaultdict(Seen)
        self._waiting: asyncio.Queue[str | None] = asyncio.Queue()
        self._unmarked: dict[str, int] = {}
        self._changed: dict[str, tuple[datetime | None, datetime | None]] = {}
        self._mark = asyncio.Event()
        self._ready = asyncio.Event()

    async def run(self, lines: AsyncIterator[str], chat: str | None) -> None:
        """Show what comes and do what is typed, until /quit or the end.

        Raises what ends the events: Refused.
        """
        tasks = [
            asyncio.create_task(work)
            for work in (
                self._take_events(),
                self._mark_read(),
                self._take_lines(lines),
                self._do_lines(chat),
            )
        ]
        try:
            done, _ = await asyncio.wait(
                tasks, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                with suppress(Quit):
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # What is put out.

    def show(self, line: str) -> None:
        """Write one line."""
        self._write(line)

    def say(self, text: str) -> None:
        """Write what happened, between dashes."""
        self._write(f"-- {text} --")

    def fail(self, text: str) -> None:
        """Write what did not work, behind a mark."""
        self._write(f"! {text}")

    async def show_help(self, lines: Sequence[str]) -> None:
        """Write what can be typed."""
        for line in lines:
            self._write(line)

    async def post(
        self, text: str, chat_id: str, paths: Sequence[str] = ()
    ) -> None:
        """Upload the files, then send the message."""
        files = [await self.client.upload(path, chat_id) for path in paths]
        await self.client.send(text, chat_id, files=files)

    async def save(self, file: FileInfo, path: Path) -> None:
        """Download a file, then write where it is."""
        size = await self.client.download_to(file.file_id, path)
        self.say(f"{harmless(str(path))}, {size_text(size)}")

    # What is typed.

    async def _take_lines(self, lines: AsyncIterator[str]) -> None:
        """Hand on what is typed; ends by /quit alone.

        While the server is away, what needs none is done out of turn.
        """
        async for line in lines:
            if line.strip().lower() in NEEDS_NO_SERVER:
                if not await self._in_turn_or_away():
                    self.say(
                        "the server is away: what was typed before still waits"
                    )
                await self.do(line.strip().lower())
                continue
            if line.strip() and not self.client.is_up:
                self.say("waiting for the server")
            self._waiting.put_nowait(line)
        self._waiting.put_nowait(None)
        await asyncio.Event().wait()

    async def _in_turn_or_away(self) -> bool:
        """Wait until all lines before are done; False: not, it is away."""
        done = asyncio.ensure_future(self._waiting.join())
        try:
            while self.client.is_up and not done.done():
                await asyncio.wait([done], timeout=_LOOK_SECONDS)
            await asyncio.sleep(0)
            return done.done()
        finally:
            done.cancel()

    async def _do_lines(self, chat: str | None) -> None:
        """Do the lines in their order, until the end of the input."""
        await self._ready.wait()
        await self.attempt(self.list_chats())
        if chat is not None:
            self.chat_id = self.chat_named(chat)
        await self.attempt(self.open(self.chat_id))
        while (line := await self._waiting.get()) is not None:
            await self.attempt(self.do(line))
            self._waiting.task_done()

    async def do(self, line: str) -> None:
        """One typed line: a command behind a slash, else a message."""
        if line.startswith("/") and not line.startswith("//"):
            await self._slash(self, line[1:])
        elif line.strip():
            await self.client.send(line.removeprefix("/"), self.chat_id)

    # What is shown.

    async def open(self, chat_id: str) -> None:
        """Make a chat the open one and show its newest messages."""
        chat = await self.client.chat(chat_id, depth=HISTORY)
        self.chat_id = chat_id
        self.say(harmless(chat.title))
        for message in reversed(chat.messages):
            self.show_message(message)
        seen = self._seen[chat_id]
        seen.opened(
            chat,
            self.client.cursors().seqs.get(chat_id, 0),
            len(chat.messages) < HISTORY,
        )
        if seen.readable(chat.read) < chat.head:
            self.say("there are older unread messages; see /history")
        self._will_mark(chat_id)

    async def show_older(self, count: int) -> None:
        """Show what stands before the oldest message shown."""
        chat_id = self.chat_id
        seen = self._seen[chat_id]
        if seen.oldest is None:
            await self.open(chat_id)
            return
        page = await self.client.history(
            chat_id, before=seen.oldest, limit=count
        )
        seen.older(page)
        self._will_mark(chat_id)
        if not page.messages:
            self.say("there is nothing older")
            return
        for message in page.messages:
            self.show_message(message)

    def show_message(self, message: Message, prefix: str = "") -> None:
        """Show one message."""
        self.people[message.author.id] = message.author.name
        self.show(
            prefix + message_line(message, self.client.user_id, self.now())
        )

    # Events.

    async def _take_events(self) -> None:
        async for event in self.client.events():
            self._happened(event)

    def _happened(self, event: Event) -> None:
        match event:
            case CaughtUp():
                self._ready.set()
                self._mark.set()
            case MessageEvent():
                self._message_came(event.chat_id, event.message)
            case MessageChanged(chat_id, message):
                self._message_changed(chat_id, message)
            case _:
                if isinstance(event, ChatRemoved):
                    self.came_out(event.chat_id)
                told = notice(self, event)
                if told:
                    self.say(told)

    def _message_came(self, chat_id: str, message: Message) -> None:
        is_open = chat_id == self.chat_id
        if self._seen[chat_id].comes(message):
            self.show_message(
                message, "" if is_open else f"[{self.chat_name(chat_id)}] "
            )
        if is_open:
            self._will_mark(chat_id)

    def _message_changed(self, chat_id: str, message: Message) -> None:
        """Show an edited or deleted message again; reactions are not told."""
        now = (message.edited, message.deleted)
        if chat_id == self.chat_id and now not in (
            (None, None),
            self._changed.get(message.id),
        ):
            self.show_message(message, "* ")
        self._changed[message.id] = now

    def came_out(self, chat_id: str | None) -> bool:
        """As for every conversation; says which chat is open then."""
        if not super().came_out(chat_id):
            return False
        self.say(f"this is {self.chat_name(self.chat_id)}")
        return True

    def _will_mark(self, chat_id: str) -> None:
        """Move the read position behind what was shown without a gap."""
        known = self.client.known_chats.get(chat_id)
        seq = self._seen[chat_id].readable(known.read if known else 0)
        if seq:
            self._unmarked[chat_id] = seq
            self._mark.set()

    async def _mark_read(self) -> None:
        """Move the read positions; what is lost goes when caught up."""
        while True:
            await self._mark.wait()
            self._mark.clear()
            unmarked, self._unmarked = self._unmarked, {}
            for chat_id, seq in unmarked.items():
                try:
                    await self.client.read(chat_id, seq)
                except NoAnswer:
                    self._unmarked.setdefault(chat_id, seq)
                except Refused:
                    continue

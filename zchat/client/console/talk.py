"""A conversation in lines: what comes in is shown, what is typed is done."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final
from uuid import UUID

from zchat.client import (
    Banned,
    CaughtUp,
    ChatAdded,
    ChatRemoved,
    ChatRenamed,
    Client,
    Event,
    JoinDecided,
    JoinRequested,
    MemberJoined,
    MemberLeft,
    Message,
    MessageEvent,
    NoAnswer,
    Person,
    Renamed,
    ScheduledFailed,
)
from zchat.client.console.seen import Seen
from zchat.client.console.text import clock_time, harmless, message_line
from zchat.errors import Code, ConfigError, Refused

HISTORY: Final = 20
NEEDS_NO_SERVER: Final = frozenset({"/help", "/quit"})
_LARGEST_NUMBER: Final = 2**53 - 1
_LOOK_SECONDS: Final = 0.5

Run = Callable[["Talk", str], Awaitable[None]]


class Quit(Exception):
    """The person wants to go."""


class Talk:
    """The chat that is open, and all that was shown.

    `show` writes one line. Messages are known by their number (`seq`)
    in the open chat, chats and other things by their number in the list
    shown last.
    """

    def __init__(
        self,
        client: Client,
        show: Callable[[str], None],
        now: Callable[[], datetime],
        slash: Run,
    ) -> None:
        self.client = client
        self.show = show
        self.now = now
        self.chat_id = client.chat_default
        self.listed: dict[str, list[str]] = {}
        self._slash = slash
        self._people: dict[str, str] = {}
        self._seen: defaultdict[str, Seen] = defaultdict(Seen)
        self._waiting: asyncio.Queue[str | None] = asyncio.Queue()
        self._unmarked: dict[str, int] = {}
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

    # What is typed.

    async def _take_lines(self, lines: AsyncIterator[str]) -> None:
        """Hand on what is typed; ends by /quit alone.

        While the server is away, what needs none is done out of turn.
        """
        async for line in lines:
            if line.strip().lower() in NEEDS_NO_SERVER:
                if not await self._in_turn_or_away():
                    self.show(
                        "-- the server is away: what was typed "
                        "before still waits --"
                    )
                await self.do(line.strip().lower())
                continue
            if line.strip() and not self.client.is_up:
                self.show("-- waiting for the server --")
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

    async def attempt(self, work: Awaitable[None]) -> None:
        """Await it; what failed and why is shown."""
        try:
            await work
        except (Refused, NoAnswer) as error:
            self.show(f"! {failure(error, self.now())}")
        except OSError as error:
            self.show(f"! {file_failure(error)}")
        except ConfigError as error:
            self.show(f"! {harmless(str(error))}")

    # What is shown.

    async def list_chats(self) -> None:
        """Show the chats with their unread counts."""
        chats = await self.client.all_chats()
        self.listed["chats"] = [chat.id for chat in chats]
        for number, chat in enumerate(chats, 1):
            mark = "*" if chat.id == self.chat_id else " "
            self.show(
                f"{mark}{number:3} {chat.unread:5} unread  "
                f"{harmless(chat.title)} ({chat.kind}, {chat.size})"
            )

    async def open(self, chat_id: str) -> None:
        """Make a chat the open one and show its newest messages."""
        chat = await self.client.chat(chat_id, depth=HISTORY)
        self.chat_id = chat_id
        self.show(f"-- {harmless(chat.title)} --")
        for message in reversed(chat.messages):
            self.show_message(message)
        seen = self._seen[chat_id]
        seen.opened(
            chat,
            self.client.cursors().seqs.get(chat_id, 0),
            len(chat.messages) < HISTORY,
        )
        if seen.readable(chat.read) < chat.head:
            self.show("-- there are older unread messages; see /history --")
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
            self.show("-- there is nothing older --")
            return
        for message in page.messages:
            self.show_message(message)

    def show_message(self, message: Message, prefix: str = "") -> None:
        """Show one message."""
        self._people[message.author.id] = message.author.name
        self.show(
            prefix + message_line(message, self.client.user_id, self.now())
        )

    def chat_name(self, chat_id: str | None) -> str:
        """A chat's name, made harmless."""
        known = self.client.known_chats.get(chat_id or "")
        return harmless(known.name) if known and known.name else "chat"

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
            case _:
                told = notice(self, event)
                if told:
                    self.show(f"-- {told} --")

    def _message_came(self, chat_id: str, message: Message) -> None:
        is_open = chat_id == self.chat_id
        if self._seen[chat_id].comes(message):
            self.show_message(
                message, "" if is_open else f"[{self.chat_name(chat_id)}] "
            )
        if is_open:
            self._will_mark(chat_id)

    def came_out(self, chat_id: str | None) -> None:
        """The open chat is no longer ours: go to the common one."""
        if chat_id == self.chat_id != self.client.chat_default:
            self.chat_id = self.client.chat_default
            self.show(f"-- this is {self.chat_name(self.chat_id)} --")

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

    # What names mean.

    def numbered(self, kind: str, text: str) -> str | None:
        """The id behind a number of the list shown last."""
        listed = self.listed.get(kind, [])
        number = whole_number(text, len(listed))
        return listed[number - 1] if number else None

    def chat_named(self, text: str) -> str:
        """The id of a chat: its number in the list, its name or its id."""
        known = self.client.known_chats
        number = self.numbered("chats", text)
        if number is not None:
            return number
        found = [
            chat.id for chat in known.values() if text in (chat.id, chat.name)
        ]
        if len(found) == 1:
            return found[0]
        raise ConfigError(
            f"You are in no chat called {text!r}; see /chats."
            if not found
            else f"Several chats are called {text!r}; use the number that "
            "/chats shows."
        )

    async def person(self, text: str) -> str:
        """The id of a user: an id, or the name of somebody around."""
        if is_id(text):
            return text
        name = text.removeprefix("@").casefold()
        for chat_id in dict.fromkeys((self.chat_id, self.client.chat_default)):
            for user in await self._members(chat_id):
                self._people[user.id] = user.name
                if user.name.casefold() == name:
                    return user.id
        found = [
            user_id
            for user_id, known in self._people.items()
            if known.casefold() == name
        ]
        if len(found) == 1:
            return found[0]
        raise ConfigError(
            f"There is nobody called {text!r} here."
            if not found
            else f"Several were called {text!r}; use the id."
        )

    async def _members(self, chat_id: str) -> Sequence[Person]:
        """Who is in a chat; nobody if it is no longer ours."""
        try:
            return await self.client.all_users(chat_id)
        except Refused as refused:
            if refused.code not in (Code.FORBIDDEN, Code.NOT_FOUND):
                raise
            return []

    async def message(self, text: str) -> Message:
        """A message of the open chat by its number."""
        number = whole_number(text.removeprefix("#"))
        if number is None:
            raise ConfigError(
                f"{text[:40]!r} is no message; use the number behind its #."
            )
        page = await self.client.history(
            self.chat_id, after=max(0, number - 1), limit=1
        )
        if not page.messages or page.messages[0].seq != number:
            raise ConfigError(f"There is no message #{number} here.")
        return page.messages[0]


def whole_number(text: str, most: int = _LARGEST_NUMBER) -> int | None:
    """The number from 0 to `most` that was typed, or None."""
    if not (text.isascii() and text.isdecimal()):
        return None
    digits = text.lstrip("0") or "0"
    if len(digits) > len(str(most)) or int(digits) > most:
        return None
    return int(digits)


def file_failure(error: OSError) -> str:
    """What is wrong with which file, on one harmless line."""
    parts = (error.strerror or str(error), error.filename)
    return harmless(": ".join(str(part) for part in parts if part))


def is_id(text: str) -> bool:
    """Whether this is a UUID."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def failure(error: Refused | NoAnswer, now: datetime) -> str:
    """What failed and why, on one harmless line."""
    if isinstance(error, NoAnswer):
        return f"No answer: {harmless(str(error))}"
    until = error.data.get("until")
    if error.code is Code.BANNED and isinstance(until, str):
        try:
            moment = datetime.fromisoformat(until)
        except ValueError:
            return f"You are banned until {harmless(until)}."
        return f"You are banned until {clock_time(moment, now)}."
    return harmless(error.message)


def notice(talk: Talk, event: Event) -> str:
    """What is shown of an event; empty: nothing."""
    match event:
        case MemberJoined(chat_id, user):
            return f"{harmless(user.name)} came into {talk.chat_name(chat_id)}"
        case MemberLeft(chat_id, user):
            return f"{harmless(user.name)} left {talk.chat_name(chat_id)}"
        case ChatAdded(chat_id):
            return f"you are now in {talk.chat_name(chat_id)}"
        case ChatRemoved(chat_id):
            talk.came_out(chat_id)
            return "you are no longer in a chat; see /chats"
        case ChatRenamed(chat_id):
            return f"a chat is now called {talk.chat_name(chat_id)}"
        case _:
            return _own_notice(talk, event)


def _own_notice(talk: Talk, event: Event) -> str:
    match event:
        case Banned(None):
            return "your ban was lifted"
        case Banned(datetime() as until):
            return f"you are banned until {clock_time(until, talk.now())}"
        case Renamed(name):
            return f"you are now called {harmless(name)}"
        case ScheduledFailed(error=error):
            return f"a scheduled message was not sent: {harmless(error)}"
        case JoinRequested(chat_id, user):
            return (
                f"{harmless(user.name)} asks to come into "
                f"{talk.chat_name(chat_id)}; see /requests"
            )
        case JoinDecided(approved=True):
            return "you were let in; see /chats"
        case JoinDecided():
            return "you were not let in"
        case _:
            return ""

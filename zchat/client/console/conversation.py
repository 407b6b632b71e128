"""What a person does in chats, whatever shows it: names, notes, failures.

The line console and the full screen are two of these. The commands
behind a slash work on either.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from zchat.client import (
    Banned,
    ChatAdded,
    ChatRemoved,
    ChatRenamed,
    Client,
    Event,
    FileInfo,
    JoinDecided,
    JoinRequested,
    MemberJoined,
    MemberLeft,
    Message,
    NoAnswer,
    Person,
    Renamed,
    ScheduledFailed,
)
from zchat.client.console.text import clock_time, harmless
from zchat.errors import Code, ConfigError, Refused

_LARGEST_NUMBER: Final = 2**53 - 1


class Quit(Exception):
    """The person wants to go."""


class Conversation(ABC):
    """The chat that is open, and what can be done there.

    Messages are known by their number (`seq`) in the open chat, chats
    and other things by their number in the list shown last.
    """

    def __init__(self, client: Client, now: Callable[[], datetime]) -> None:
        self.client = client
        self.now = now
        self.chat_id = client.chat_default
        self.listed: dict[str, list[str]] = {}
        self.people: dict[str, str] = {}

    @abstractmethod
    def show(self, line: str) -> None:
        """Show one line, which must be harmless already."""

    @abstractmethod
    def say(self, text: str) -> None:
        """Tell what happened, in harmless words."""

    @abstractmethod
    def fail(self, text: str) -> None:
        """Tell what did not work, in harmless words."""

    @abstractmethod
    async def open(self, chat_id: str) -> None:
        """Make a chat the open one."""

    @abstractmethod
    async def show_older(self, count: int) -> None:
        """Show what stands before the oldest message shown."""

    @abstractmethod
    def show_message(self, message: Message, prefix: str = "") -> None:
        """Show one message among the answers of a command."""

    @abstractmethod
    async def post(
        self, text: str, chat_id: str, paths: Sequence[str] = ()
    ) -> None:
        """Send a message with files, once."""

    @abstractmethod
    async def save(self, file: FileInfo, path: Path) -> None:
        """Download a file to a path, and tell how it went."""

    @abstractmethod
    async def show_help(self, lines: Sequence[str]) -> None:
        """Show what can be typed."""

    async def attempt(self, work: Awaitable[None]) -> None:
        """Await it; what failed and why is shown."""
        try:
            await work
        except (Refused, NoAnswer) as error:
            self.fail(failure(error, self.now()))
        except OSError as error:
            self.fail(file_failure(error))
        except ConfigError as error:
            self.fail(harmless(str(error)))

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

    def came_out(self, chat_id: str | None) -> bool:
        """The chat is no longer ours: whether it was the open one.

        The common chat is then open.
        """
        if chat_id != self.chat_id or chat_id == self.client.chat_default:
            return False
        self.chat_id = self.client.chat_default
        return True

    def chat_name(self, chat_id: str | None) -> str:
        """A chat's name, made harmless."""
        known = self.client.known_chats.get(chat_id or "")
        return harmless(known.title) if known and known.title else "chat"

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
            chat.id
            for chat in known.values()
            if text in (chat.id, chat.title, chat.name)
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
                self.people[user.id] = user.name
                if user.name.casefold() == name:
                    return user.id
        found = [
            user_id
            for user_id, known in self.people.items()
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


def notice(talk: Conversation, event: Event) -> str:
    """What is shown of an event; empty: nothing."""
    match event:
        case MemberJoined(chat_id, user):
            return f"{harmless(user.name)} came into {talk.chat_name(chat_id)}"
        case MemberLeft(chat_id, user):
            return f"{harmless(user.name)} left {talk.chat_name(chat_id)}"
        case ChatAdded(chat_id):
            return f"you are now in {talk.chat_name(chat_id)}"
        case ChatRemoved(chat_id):
            return "you are no longer in a chat; see /chats"
        case ChatRenamed(chat_id):
            return f"a chat is now called {talk.chat_name(chat_id)}"
        case _:
            return _own_notice(talk, event)


def _own_notice(talk: Conversation, event: Event) -> str:
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

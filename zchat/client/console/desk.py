"""What the full screen shows, and everything that can be done with it.

The desk holds the conversations, sends what was typed and follows the
events; it knows nothing of widgets. `changed` is called whenever
something that is shown may be another: the screen then draws what it
sees, as often as it can and not once for each event.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from zchat.client import (
    Client,
    FileInfo,
    KnownChat,
    Message,
    NoAnswer,
    Quota,
)
from zchat.client.console.conversation import (
    Conversation,
)
from zchat.client.console.loading import Timelines
from zchat.client.console.presence import Presence
from zchat.client.console.reading import ReadMarks
from zchat.client.console.sending import Sender
from zchat.client.console.text import harmless, message_line, size_text
from zchat.client.console.timeline import State, Timeline, Waiting
from zchat.errors import Refused

SEARCHED_CHARACTERS: Final = 2
"""Fewer the server does not search for."""
FOUND_MOST: Final = 50


class Standing(Struct, frozen=True):
    """What the user may do now."""

    banned_until: datetime | None = None
    quota: Quota | None = None


class ChatLine(Struct, frozen=True):
    """One chat as the list of chats shows it."""

    id: str
    title: str
    kind: str
    unread: int
    is_called: bool
    is_open: bool


class Desk(Conversation):
    """The conversations of one user, and the one that is open."""

    def __init__(
        self,
        client: Client,
        now: Callable[[], datetime],
        changed: Callable[[], None],
        *,
        is_up: bool = True,
    ) -> None:
        super().__init__(client, now)
        self.changed = changed
        self.called: Callable[[], None] = lambda: None
        self.helped: Callable[[], None] = lambda: None
        self.standing = Standing()
        self.is_up = is_up
        self.is_caught_up = False
        self.jumped_to: int | None = None
        self.timelines = Timelines(client, self.chore, changed)
        self.presence = Presence(client, now)
        self.marks = ReadMarks(client)
        self.sender = Sender(
            client, now, self.timeline_of, changed, self._was_sent
        )
        self._chores: set[asyncio.Task[None]] = set()
        if is_up:
            self.sender.came_up()

    def chore(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this meanwhile; what fails is told."""
        task = asyncio.ensure_future(self.attempt(work))
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def drop_chores(self) -> None:
        """Cancel what is still being done."""
        for task in self._chores:
            task.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)

    # The connection.

    def came_up(self) -> None:
        """A connection is there."""
        self.is_up = True
        self.sender.came_up()
        self.changed()

    def went_down(self) -> None:
        """The connection is lost; the client makes another."""
        self.is_up = False
        self.is_caught_up = False
        self.sender.went_down()
        self.changed()

    # What is shown.

    @property
    def timeline(self) -> Timeline:
        """The conversation that is open."""
        return self.timeline_of(self.chat_id)

    def timeline_of(self, chat_id: str) -> Timeline:
        """The conversation of a chat."""
        return self.timelines.of(chat_id)

    @property
    def chat(self) -> KnownChat | None:
        """The chat that is open; None if it is no longer ours."""
        return self.client.known_chats.get(self.chat_id)

    def lines(self) -> list[ChatLine]:
        """The chats, the common one first, the newest last."""
        return [
            ChatLine(
                chat.id,
                harmless(chat.title),
                chat.kind,
                self.marks.unread(chat),
                chat.mentions > 0,
                chat.id == self.chat_id,
            )
            for chat in self.client.known_chats.values()
        ]

    def names(self) -> list[str]:
        """Names to complete: of the members here, then of all others."""
        here = self.presence.others(self.chat_id)
        names = [user.name for user in here]
        return list(dict.fromkeys([*names, *self.people.values()]))

    def next_unread(self) -> str | None:
        """The chat to look at next: where one is called, then private."""
        others = [
            line for line in self.lines() if line.unread and not line.is_open
        ]
        others.sort(key=lambda line: (not line.is_called, line.kind != "p2p"))
        return others[0].id if others else None

    def neighbour(self, step: int) -> str:
        """The chat so many places below the open one."""
        ids = list(self.client.known_chats)
        if self.chat_id not in ids:
            return self.client.chat_default
        return ids[(ids.index(self.chat_id) + step) % len(ids)]

    def show(self, line: str) -> None:
        """Put a line among the messages."""
        self.timeline.note(line)
        self.changed()

    def say(self, text: str) -> None:
        """As `show`."""
        self.show(text)

    def fail(self, text: str) -> None:
        """Put what did not work among the messages."""
        self.timeline.note(text, is_error=True)
        self.changed()

    def show_message(self, message: Message, prefix: str = "") -> None:
        """Put a message among the notes."""
        self.show(
            prefix + message_line(message, self.client.user_id, self.now())
        )

    async def show_help(self, lines: Sequence[str]) -> None:
        """Open the help."""
        self.helped()

    # Going about.

    async def open(self, chat_id: str) -> None:
        """Make a chat the open one, where one left off in it."""
        self._leave()
        self.chat_id = chat_id
        timeline = self.timeline
        known = self.chat
        timeline.marker = known.read if known and known.unread else None
        self.timelines.visit(chat_id)
        self.changed()
        if not timeline.is_loaded:
            await self.timelines.load(timeline, known)
        self.chore(self._look_at_members(chat_id))
        self.changed()

    def _leave(self) -> None:
        timeline = self.timeline
        timeline.marker = None
        timeline.version += 1

    async def show_older(self, count: int) -> None:
        """Load what stands before."""
        self.timelines.reach(self.timeline, older=True)

    async def newest(self) -> None:
        """Go to the end of the conversation."""
        await self.timelines.newest(self.timeline)

    async def jump(self, seq: int) -> None:
        """Show the place of a message in the open conversation."""
        await self.timelines.around(self.timeline, seq)
        self.jumped_to = seq
        self.changed()

    # Sending.

    async def post(
        self, text: str, chat_id: str, paths: Sequence[str] = ()
    ) -> None:
        """Send a message with files; it is shown until it is confirmed."""
        self.submit(text, chat_id, paths=paths)

    def submit(
        self,
        text: str,
        chat_id: str,
        *,
        comment_on: str | None = None,
        paths: Sequence[str] = (),
    ) -> None:
        """As `post`, perhaps as a comment; nothing is new any more."""
        self.timeline_of(chat_id).marker = None
        self.sender.submit(text, chat_id, comment_on=comment_on, paths=paths)

    def retry(self, key: str) -> None:
        """Send once more what was refused in the open chat."""
        self.sender.retry(self.chat_id, key)

    def give_up(self, key: str) -> None:
        """Take away what is not sent yet."""
        self.timeline.drop(key)
        self.changed()

    def _was_sent(self) -> None:
        """Something was taken or refused: another quota, or a ban."""
        standing = self.standing
        failed = any(
            each.state is State.FAILED for each in self.timeline.outgoing
        )
        if failed or standing.quota is not None:
            self.chore(self.look_at_standing())

    async def save(self, file: FileInfo, path: Path) -> None:
        """Download a file; how far it is stands among the messages."""
        shown = harmless(str(path))
        timeline = self.timeline
        key = timeline.note(f"{shown}  0%")

        def tell(done: int, size: int) -> None:
            percent = 100 * done // max(1, size)
            timeline.edit_note(key, f"{shown}  {percent}%")
            self.changed()

        self.changed()
        try:
            size = await self.client.download_to(
                file.file_id, path, progress=tell
            )
        except BaseException:
            timeline.edit_note(key, f"{shown}  not saved")
            raise
        timeline.edit_note(key, f"{shown}  {size_text(size)}, saved")
        self.changed()

    # What becomes of a message afterwards.

    async def edit(self, message: Message, text: str) -> None:
        """Give an own message another text."""
        await self.client.edit(message.id, text)

    async def delete(self, message: Message) -> None:
        """Delete a message: an own one, or as an owner or moderator."""
        await self.client.delete(message.id)

    async def react(self, message: Message, emoji: str) -> None:
        """Put an emoji on a message, or take one's own off again."""
        is_there = any(
            reaction.emoji == emoji and self.client.user_id in reaction.users
            for reaction in message.reactions
        )
        await self.client.react(message.id, emoji, on=not is_there)

    async def search(self, text: str) -> Sequence[tuple[str, Message]]:
        """Messages of all chats that hold a text, newest first.

        Those that are loaded, where the server cannot be asked.
        """
        if len(text) >= SEARCHED_CHARACTERS and self.is_up:
            try:
                found = await self.client.search(text, limit=FOUND_MOST)
                return [(each.chat_id, each) for each in found.messages]
            except (Refused, NoAnswer):
                pass
        wanted = text.casefold()
        return [
            (self.chat_id, message)
            for message in reversed(self.timeline.messages)
            if wanted and wanted in message.text.casefold()
        ][:FOUND_MOST]

    async def show_found(self, chat_id: str, seq: int) -> None:
        """Go to a message of any chat."""
        if chat_id != self.chat_id:
            await self.open(chat_id)
        await self.jump(seq)

    async def open_private(self, user_id: str) -> None:
        """Open the private chat with a user."""
        await self.open(await self.client.p2p(user_id))

    def is_typing(self) -> None:
        """The user is writing in the open chat: tell the others."""
        if self.is_up:
            self.chore(self.presence.tell_typing(self.chat_id))

    def is_seen(self) -> bool:
        """Whether the other has read the last own message, if it is last."""
        messages = self.timeline.messages
        return (
            bool(messages)
            and messages[-1].author.id == self.client.user_id
            and self.presence.have_seen(self.chat_id, messages[-1])
        )

    # Reading.

    def was_shown(self, first: int, last: int) -> None:
        """The messages of the open chat from `first` to `last` were seen."""
        if (known := self.chat) is not None:
            self.marks.was_shown(known, self.timeline, first, last)

    async def mark_all_read(self) -> None:
        """Call all of the open chat read, seen or not."""
        if (known := self.chat) is not None:
            self.timeline.marker = None
            self.timeline.version += 1
            await self.marks.mark_all(known)
            self.changed()

    # What is asked again when it may be another.

    def members_changed(self, chat_id: str) -> None:
        """Somebody else may be in a chat by now."""
        if chat_id in self.presence:
            self.chore(self._look_at_members(chat_id))

    async def look_at_standing(self) -> None:
        """Ask what the user may do."""
        found = (await self.client.status()).user
        self.standing = Standing(found.banned_until, found.quota)
        self.changed()

    async def look_at_scheduled(self) -> None:
        """Ask what waits for its time."""
        waiting: defaultdict[str, list[Waiting]] = defaultdict(list)
        for message in await self.client.scheduled("pending"):
            waiting[message.chat_id].append(
                Waiting(message.id, message.text, message.send_at)
            )
        for chat_id in {*self.timelines.known(), *waiting}:
            self.timeline_of(chat_id).wait_for(waiting[chat_id])
        self.changed()

    def look_at_members(self) -> None:
        """Who is online in the open chat may be others by now."""
        if self.is_up:
            self.chore(self._look_at_members(self.chat_id))

    async def _look_at_members(self, chat_id: str) -> None:
        if await self.presence.look(chat_id):
            users = self.presence.of(chat_id).users
            self.name(chat_id, {user.id: user.name for user in users})
            self.changed()

    def name(self, chat_id: str, names: Mapping[str, str]) -> None:
        """Call the members of a chat as they are called now."""
        self.people.update(names)
        self.timeline_of(chat_id).named(names)

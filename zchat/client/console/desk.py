"""What the full screen shows, and everything that can be done with it.

The desk holds the conversations, sends what was typed and follows the
events; it knows nothing of widgets. `changed` is called whenever
something that is shown may be another: the screen then draws what it
sees, as often as it can and not once for each event.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from zchat.client import (
    Banned,
    CaughtUp,
    ChatRemoved,
    ChatRenamed,
    Client,
    Event,
    Expired,
    FileInfo,
    History,
    JoinRequested,
    KnownChat,
    ListedUser,
    MemberJoined,
    MemberLeft,
    MemberRenamed,
    Message,
    MessageChanged,
    MessageEvent,
    NoAnswer,
    OwnerChanged,
    Quota,
    Restored,
    RoleChanged,
    ScheduledChanged,
    ScheduledFailed,
    ScheduledSent,
    Seen,
    Typing,
)
from zchat.client.console.conversation import (
    Conversation,
    notice,
)
from zchat.client.console.finding import find_message
from zchat.client.console.sending import Sender
from zchat.client.console.text import harmless, message_line, size_text
from zchat.client.console.timeline import State, Timeline, Waiting
from zchat.errors import Code, Refused

PAGE: Final = 100
SEARCHED_CHARACTERS: Final = 2
"""Fewer the server does not search for."""
FOUND_MOST: Final = 50
TOLD_TYPING: Final = timedelta(seconds=3)
TYPING: Final = timedelta(seconds=6)
"""How long somebody is called typing after the last sign of it."""
LISTED_MEMBERS: Final = 200
KEPT_TIMELINES: Final = 20
_READ_SECONDS: Final = 0.3
_GONE: Final = (Code.FORBIDDEN, Code.NOT_FOUND)


class Standing(Struct, frozen=True):
    """What the user may do now."""

    banned_until: datetime | None = None
    quota: Quota | None = None


class Members(Struct, frozen=True):
    """Who is in a chat: at most LISTED_MEMBERS, and how many in all.

    `owner_id` is a group's owner.
    """

    users: tuple[ListedUser, ...] = ()
    size: int = 0
    owner_id: str | None = None


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
        self.role = "member"
        self.is_up = is_up
        self.is_caught_up = False
        self.jumped_to: int | None = None
        self.members: dict[str, Members] = {}
        self.targets: dict[str, Message | None] = {}
        self._timelines: dict[str, Timeline] = {}
        self._loading: set[tuple[str, str]] = set()
        self._typing: dict[tuple[str, str], datetime] = {}
        self._told_typing = datetime.min.replace(tzinfo=UTC)
        self._seen: dict[tuple[str, str], int] = {}
        self._shown: defaultdict[str, int] = defaultdict(int)
        self._mark = asyncio.Event()
        self.sender = Sender(
            client, now, self.timeline_of, changed, self._was_sent
        )
        self._chores: set[asyncio.Task[None]] = set()
        self._visited: list[str] = []
        if is_up:
            self.sender.came_up()

    async def run(self, chat: str | None = None) -> None:
        """Follow the events until cancelled; raises what ends them."""
        tasks = [
            asyncio.create_task(work)
            for work in (
                self._take_events(),
                self.sender.run(),
                self._mark_read(),
                self._begin(chat),
            )
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in [*tasks, *self._chores]:
                task.cancel()
            await asyncio.gather(*tasks, *self._chores, return_exceptions=True)

    async def _begin(self, chat: str | None) -> None:
        await self.attempt(self._look_at_standing())
        await self.attempt(self._look_at_scheduled())
        await self.attempt(self._look_at_role())
        if chat is not None:
            await self.attempt(self._open_named(chat))

    async def _open_named(self, chat: str) -> None:
        await self.open(self.chat_named(chat))

    def chore(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this meanwhile; what fails is told."""
        task = asyncio.ensure_future(self.attempt(work))
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

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
        if chat_id not in self._timelines:
            self._timelines[chat_id] = Timeline(chat_id)
        return self._timelines[chat_id]

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
                self._unread(chat),
                chat.mentions > 0,
                chat.id == self.chat_id,
            )
            for chat in self.client.known_chats.values()
        ]

    def _unread(self, chat: KnownChat) -> int:
        """How much is unread; nothing while all of it is on the screen."""
        if self._shown[chat.id] >= chat.head:
            return 0
        return chat.unread

    def names(self) -> list[str]:
        """Names to complete: of the members here, then of all others."""
        here = self.members.get(self.chat_id, Members()).users
        own = self.client.user_id
        names = [user.name for user in here if user.id != own]
        return list(dict.fromkeys([*names, *self.people.values()]))

    def typists(self) -> list[str]:
        """Who is writing in the open chat, harmless."""
        recent = self.now() - TYPING
        return [
            harmless(name)
            for (chat_id, name), when in self._typing.items()
            if chat_id == self.chat_id and when > recent
        ]

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
        self._visit(chat_id)
        self.changed()
        if not timeline.is_loaded:
            await self._load(timeline, known)
        self.chore(self._look_at_members(chat_id))
        self.changed()

    def _leave(self) -> None:
        timeline = self.timeline
        timeline.marker = None
        timeline.version += 1

    def _visit(self, chat_id: str) -> None:
        """Let go of the conversations that were left longest ago."""
        if chat_id in self._visited:
            self._visited.remove(chat_id)
        self._visited.append(chat_id)
        for old in self._visited[:-KEPT_TIMELINES]:
            if not self.timeline_of(old).outgoing:
                self._visited.remove(old)
                del self._timelines[old]

    async def _load(self, timeline: Timeline, known: KnownChat | None) -> None:
        key = (timeline.chat_id, "open")
        if key in self._loading:
            return
        self._loading.add(key)
        try:
            page = await self._first_page(timeline.chat_id, known)
            timeline.opened(page)
        finally:
            self._loading.discard(key)
            self.changed()

    async def _first_page(
        self, chat_id: str, known: KnownChat | None
    ) -> History:
        """The newest page, or the one where what is unread begins."""
        if known is not None and known.unread > PAGE // 2:
            return await self.client.history(
                chat_id, around=known.read + 1, limit=PAGE
            )
        return await self.client.history(chat_id, limit=PAGE)

    def is_loading(self, chat_id: str) -> bool:
        """Whether messages of this chat are on their way."""
        return any(chat == chat_id for chat, _ in self._loading)

    def reach(self, *, older: bool) -> None:
        """Load more at this end of the open conversation, if there is."""
        timeline = self.timeline
        more = timeline.has_older if older else timeline.has_newer
        key = (timeline.chat_id, "older" if older else "newer")
        if more and timeline.is_loaded and key not in self._loading:
            self._loading.add(key)
            self.chore(self._load_more(timeline, older, key))

    async def _load_more(
        self, timeline: Timeline, older: bool, key: tuple[str, str]
    ) -> None:
        try:
            if older:
                timeline.add_older(
                    await self.client.history(
                        timeline.chat_id, before=timeline.first, limit=PAGE
                    )
                )
            else:
                timeline.add_newer(
                    await self.client.history(
                        timeline.chat_id, after=timeline.last, limit=PAGE
                    )
                )
        finally:
            self._loading.discard(key)
            self.changed()

    async def show_older(self, count: int) -> None:
        """Load what stands before."""
        self.reach(older=True)

    async def newest(self) -> None:
        """Go to the end of the conversation."""
        timeline = self.timeline
        if timeline.has_newer:
            timeline.opened(
                await self.client.history(timeline.chat_id, limit=PAGE)
            )
            self.changed()

    async def jump(self, seq: int) -> None:
        """Show the place of a message in the open conversation."""
        timeline = self.timeline
        if timeline.message(seq) is None:
            timeline.opened(
                await self.client.history(
                    timeline.chat_id, around=seq, limit=PAGE
                )
            )
        self.jumped_to = seq
        self.changed()

    def target(self, message_id: str) -> Message | None:
        """A message that is commented on; it is fetched if need be."""
        found = self.timeline.by_id(message_id)
        if found is not None:
            return found
        if message_id not in self.targets:
            key = (self.chat_id, message_id)
            if key not in self._loading:
                self._loading.add(key)
                self.chore(self._find_target(self.chat_id, message_id, key))
        return self.targets.get(message_id)

    def is_gone(self, message_id: str) -> bool:
        """Whether a message that is commented on was looked for in vain."""
        return message_id in self.targets and self.targets[message_id] is None

    async def _find_target(
        self, chat_id: str, message_id: str, key: tuple[str, str]
    ) -> None:
        timeline = self.timeline_of(chat_id)
        try:
            self.targets[message_id] = await find_message(
                self.client, chat_id, message_id, timeline.first
            )
            timeline.version += 1
        except NoAnswer:
            pass
        except Refused:
            self.targets[message_id] = None
        finally:
            self._loading.discard(key)
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
            self.chore(self._look_at_standing())

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

    def is_typing(self) -> None:
        """The user is writing in the open chat: tell the others."""
        now = self.now()
        if self.is_up and now - self._told_typing > TOLD_TYPING:
            self._told_typing = now
            self.chore(self._tell_typing())

    async def _tell_typing(self) -> None:
        with suppress(NoAnswer, Refused):
            await self.client.typing(self.chat_id)

    def is_seen(self) -> bool:
        """Whether the other has read the last own message, if it is last."""
        messages = self.timeline.messages
        return (
            bool(messages)
            and messages[-1].author.id == self.client.user_id
            and self._read_by_other() >= messages[-1].seq
        )

    def _read_by_other(self) -> int:
        """How far the other has read in the open private chat."""
        others = [
            user.id
            for user in self.members.get(self.chat_id, Members()).users
            if user.id != self.client.user_id
        ]
        return max(
            (self._seen.get((self.chat_id, each), 0) for each in others),
            default=0,
        )

    # Reading.

    def was_shown(self, first: int, last: int) -> None:
        """The messages of the open chat from `first` to `last` were seen.

        What lies between them and the read position must have been seen
        too, or the position stays.
        """
        known = self.chat
        if known is None:
            return
        through = max(self._shown[self.chat_id], known.read)
        loaded = self.timeline
        before = loaded.before(first)
        if before > through:
            return
        if last > self._shown[self.chat_id]:
            self._shown[self.chat_id] = last
            if last > known.read:
                self._mark.set()

    async def mark_all_read(self) -> None:
        """Call all of the open chat read, seen or not."""
        known = self.chat
        if known is not None:
            self._shown[self.chat_id] = known.head
            self.timeline.marker = None
            self.timeline.version += 1
            await self.client.read(self.chat_id, known.head)
            self.changed()

    async def _mark_read(self) -> None:
        while True:
            await self._mark.wait()
            await asyncio.sleep(_READ_SECONDS)
            self._mark.clear()
            for chat in self.client.known_chats.values():
                if chat.read < self._shown[chat.id] <= chat.head:
                    try:
                        await self.client.read(chat.id, self._shown[chat.id])
                    except NoAnswer:
                        self._mark.set()
                    except Refused:
                        continue

    # Events.

    async def _take_events(self) -> None:
        async for event in self.client.events():
            self._happened(event)
            self.changed()
            if not self.client.events_waiting:
                await asyncio.sleep(0)

    def _happened(self, event: Event) -> None:
        match event:
            case CaughtUp():
                self.is_caught_up = True
                self._mark.set()
                if not self.timeline.is_loaded:
                    self.chore(self.open(self.chat_id))
            case MessageEvent(chat_id, message):
                self._message_came(chat_id, message)
            case MessageChanged(chat_id, message):
                self.timeline_of(chat_id).changed(message)
                if message.id in self.targets:
                    self.targets[message.id] = message
            case Expired(chat_id, seq):
                self.timeline_of(chat_id).expired(seq)
            case Restored():
                self._restored()
            case Typing() | Seen():
                self._somebody_did(event)
            case _:
                self._told(event)

    def _somebody_did(self, event: Typing | Seen) -> None:
        match event:
            case Typing(chat_id, user):
                if user.id != self.client.user_id:
                    self._typing[chat_id, user.name] = self.now()
            case Seen(chat_id, user_id, seq):
                self._seen[chat_id, user_id] = seq

    def _restored(self) -> None:
        """Another store: what is loaded counts no more."""
        for chat_id, timeline in list(self._timelines.items()):
            fresh = Timeline(chat_id)
            fresh.outgoing = timeline.outgoing
            self._timelines[chat_id] = fresh
        self.targets.clear()
        self._shown.clear()
        self.say("the server's store was restored from a copy")

    def _message_came(self, chat_id: str, message: Message) -> None:
        timeline = self.timeline_of(chat_id)
        self.people[message.author.id] = message.author.name
        self._typing.pop((chat_id, message.author.name), None)
        timeline.came(message)
        if message.is_comment_on is not None:
            timeline.commented(message.is_comment_on)
        if message.author.id == self.client.user_id:
            self.sender.confirm(chat_id, message)
            return
        known = self.client.known_chats.get(chat_id)
        is_private = known is not None and known.kind == "p2p"
        if is_private or self.is_calling(message):
            self.called()

    def is_calling(self, message: Message) -> bool:
        """Whether a message mentions the user."""
        return self.client.user_id in message.mentions

    def _told(self, event: Event) -> None:
        told = notice(self, event)
        place = self._place_of(event)
        match event:
            case ChatRemoved(chat_id):
                self._timelines.pop(chat_id, None)
                self.members.pop(chat_id, None)
                if self.came_out(chat_id):
                    self.chore(self.open(self.chat_id))
            case MemberRenamed(chat_id, user):
                self.people[user.id] = user.name
                self._members_changed(chat_id)
            case MemberJoined(chat_id) | MemberLeft(chat_id):
                self._members_changed(chat_id)
            case OwnerChanged(chat_id):
                self._members_changed(chat_id)
            case RoleChanged(role):
                self.role = role
            case Banned():
                self.chore(self._look_at_standing())
            case ScheduledSent() | ScheduledChanged() | ScheduledFailed():
                self.chore(self._look_at_scheduled())
        if told:
            is_error = isinstance(event, Banned | ScheduledFailed)
            self.timeline_of(place or self.chat_id).note(
                told, is_error=is_error
            )

    @staticmethod
    def _place_of(event: Event) -> str | None:
        """The chat in which an event is told; None: where one is."""
        match event:
            case (
                MemberJoined(chat_id)
                | MemberLeft(chat_id)
                | ChatRenamed(chat_id)
                | JoinRequested(chat_id)
            ):
                return chat_id
            case _:
                return None

    def _members_changed(self, chat_id: str) -> None:
        if chat_id in self.members:
            self.chore(self._look_at_members(chat_id))

    async def _look_at_standing(self) -> None:
        found = (await self.client.status()).user
        self.standing = Standing(found.banned_until, found.quota)
        self.changed()

    async def _look_at_scheduled(self) -> None:
        waiting: defaultdict[str, list[Waiting]] = defaultdict(list)
        for message in await self.client.scheduled("pending"):
            waiting[message.chat_id].append(
                Waiting(message.id, message.text, message.send_at)
            )
        for chat_id in {*self._timelines, *waiting}:
            self.timeline_of(chat_id).wait_for(waiting[chat_id])
        self.changed()

    async def _look_at_role(self) -> None:
        user = (await self.client.sync()).user
        if user is not None:
            self.role = user.role
            self.changed()

    def look_at_members(self) -> None:
        """Who is online in the open chat may be others by now."""
        if self.is_up:
            self.chore(self._look_at_members(self.chat_id))

    async def _look_at_members(self, chat_id: str) -> None:
        with suppress(NoAnswer):
            try:
                members = await self._members_of(chat_id)
            except Refused as refused:
                if refused.code not in _GONE:
                    raise
                return
            for user in members.users:
                self.people[user.id] = user.name
                if user.read is not None:
                    place = (chat_id, user.id)
                    known = self._seen.get(place, 0)
                    self._seen[place] = max(user.read, known)
            self.members[chat_id] = members
            self.changed()

    async def _members_of(self, chat_id: str) -> Members:
        users = await self.client.users(chat_id, limit=LISTED_MEMBERS)
        size, owner_id = len(users), None
        known = self.client.known_chats.get(chat_id)
        is_group = known is not None and known.kind == "group"
        if is_group or size == LISTED_MEMBERS:
            chat = await self.client.chat(chat_id, depth=0)
            size = chat.size
            if is_group:
                found = await self.client.changes(chat_id, chat.revision)
                owner_id = found.chat.owner_id
        listed = sorted(
            users, key=lambda user: (not user.online, user.name.casefold())
        )
        return Members(tuple(listed), size, owner_id)

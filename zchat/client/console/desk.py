"""What the full screen shows, and everything that can be done with it.

The desk holds the conversations, sends what was typed and follows the
events; it knows nothing of widgets. `changed` is called whenever
something that is shown may be another: the screen then draws what it
sees, as often as it can and not once for each event.

What is typed is sent in its order and once: a message keeps one
idempotency key until the server has confirmed or refused it, through
any number of broken connections.
"""

import asyncio
import secrets
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
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
    MemberJoined,
    MemberLeft,
    MemberRenamed,
    Mentioned,
    Message,
    MessageChanged,
    MessageEvent,
    NoAnswer,
    Person,
    Quota,
    Restored,
    ScheduledChanged,
    ScheduledFailed,
    ScheduledSent,
    Typing,
)
from zchat.client.console.conversation import (
    Conversation,
    failure,
    file_failure,
    notice,
)
from zchat.client.console.finding import find_message
from zchat.client.console.text import harmless, message_line, size_text
from zchat.client.console.timeline import Outgoing, State, Timeline, Waiting
from zchat.errors import Code, Refused

PAGE: Final = 100
TYPING: Final = timedelta(seconds=6)
"""How long somebody is called typing after the last sign of it."""
LISTED_MEMBERS: Final = 200
KEPT_TIMELINES: Final = 20
_READ_SECONDS: Final = 0.3
_RETRY_SECONDS: Final = 1.0
_GONE: Final = (Code.FORBIDDEN, Code.NOT_FOUND)


class Standing(Struct, frozen=True):
    """What the user may do now."""

    banned_until: datetime | None = None
    quota: Quota | None = None


class Members(Struct, frozen=True):
    """Who is in a chat: at most LISTED_MEMBERS, and how many in all."""

    users: tuple[Person, ...] = ()
    size: int = 0


class ChatLine(Struct, frozen=True):
    """One chat as the list of chats shows it."""

    id: str
    title: str
    kind: str
    unread: int
    is_called: bool
    is_open: bool


class _Task(Struct, frozen=True):
    """A message that waits for its turn to be sent."""

    chat_id: str
    key: str


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
        self.members: dict[str, Members] = {}
        self.targets: dict[str, Message | None] = {}
        self._timelines: dict[str, Timeline] = {}
        self._loading: set[tuple[str, str]] = set()
        self._to_send: deque[_Task] = deque()
        self._work_came = asyncio.Event()
        self._sent: dict[str, str] = {}
        self._calling: set[str] = set()
        self._typing: dict[tuple[str, str], datetime] = {}
        self._shown: defaultdict[str, int] = defaultdict(int)
        self._mark = asyncio.Event()
        self._up = asyncio.Event()
        self._chores: set[asyncio.Task[None]] = set()
        self._visited: list[str] = []
        if is_up:
            self._up.set()

    async def run(self, chat: str | None = None) -> None:
        """Follow the events until cancelled; raises what ends them."""
        tasks = [
            asyncio.create_task(work)
            for work in (
                self._take_events(),
                self._send_all(),
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
        self._up.set()
        self._set_states(State.WAITING, State.SENDING)
        self.changed()

    def went_down(self) -> None:
        """The connection is lost; the client makes another."""
        self.is_up = False
        self.is_caught_up = False
        self._up.clear()
        self._set_states(State.SENDING, State.WAITING)
        self.changed()

    def _set_states(self, before: State, after: State) -> None:
        for timeline in self._timelines.values():
            for outgoing in list(timeline.outgoing):
                if outgoing.state is before:
                    timeline.update(outgoing._replace(state=after))

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
                chat.id in self._calling,
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
        self._calling.discard(chat_id)
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
        """Put a message behind those that wait to be sent."""
        outgoing = Outgoing(
            secrets.token_hex(16),
            text,
            comment_on,
            tuple(paths),
            tuple(Path(path).name for path in paths),
            State.SENDING if self.is_up else State.WAITING,
        )
        timeline = self.timeline_of(chat_id)
        timeline.put(outgoing)
        timeline.marker = None
        self._queue(chat_id, outgoing.key)

    def _queue(self, chat_id: str, key: str) -> None:
        self._to_send.append(_Task(chat_id, key))
        self._work_came.set()
        self.changed()

    def retry(self, key: str) -> None:
        """Send once more what was refused."""
        for outgoing in self.timeline.outgoing:
            if outgoing.key == key and outgoing.state is State.FAILED:
                self.timeline.update(outgoing._replace(state=State.SENDING))
                self._queue(self.chat_id, key)

    def give_up(self, key: str) -> Outgoing | None:
        """Take away what is not sent yet; returns it."""
        self.changed()
        return self.timeline.drop(key)

    async def _send_all(self) -> None:
        while True:
            await self._work_came.wait()
            self._work_came.clear()
            while self._to_send:
                task = self._to_send.popleft()
                while await self._send_or_wait(task):
                    await asyncio.sleep(_RETRY_SECONDS)
                    await self._up.wait()

    async def _send_or_wait(self, task: _Task) -> bool:
        """Try to send it; True: later again."""
        timeline = self.timeline_of(task.chat_id)
        outgoing = next(
            (each for each in timeline.outgoing if each.key == task.key), None
        )
        if outgoing is None:
            return False
        try:
            await self._send(timeline, outgoing)
        except NoAnswer:
            timeline.update(outgoing._replace(state=State.WAITING))
            return True
        except Refused as refused:
            if refused.code is Code.UNAVAILABLE:
                timeline.update(outgoing._replace(state=State.WAITING))
                return True
            self._failed(timeline, outgoing, failure(refused, self.now()))
        except OSError as error:
            self._failed(timeline, outgoing, file_failure(error))
        finally:
            self.changed()
        return False

    def _failed(
        self, timeline: Timeline, outgoing: Outgoing, reason: str
    ) -> None:
        timeline.update(outgoing._replace(state=State.FAILED, reason=reason))
        self.chore(self._look_at_standing())

    async def _send(self, timeline: Timeline, outgoing: Outgoing) -> None:
        files = []
        for number, path in enumerate(outgoing.paths):

            def tell(done: int, size: int, number: int = number) -> None:
                part = (number + done / max(1, size)) / len(outgoing.paths)
                timeline.update(
                    outgoing._replace(state=State.UPLOADING, done=part)
                )
                self.changed()

            files.append(
                await self.client.upload(path, timeline.chat_id, progress=tell)
            )
        sent = await self.client.send(
            outgoing.text,
            timeline.chat_id,
            comment_on=outgoing.comment_on,
            files=files,
            idempotency_key=outgoing.key,
        )
        if timeline.last >= sent.seq or timeline.has_newer:
            timeline.drop(outgoing.key)
        else:
            self._sent[sent.id] = outgoing.key
        if self.standing.quota is not None:
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
            case Typing(chat_id, user):
                self._typing[chat_id, user.name] = self.now()
            case Mentioned(chat_id, on=True) if chat_id != self.chat_id:
                self._calling.add(chat_id)
            case Expired(chat_id, seq):
                self.timeline_of(chat_id).expired(seq)
            case Restored():
                self._restored()
            case _:
                self._told(event)

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
            self._confirm(timeline, message)
            return
        known = self.client.known_chats.get(chat_id)
        is_private = known is not None and known.kind == "p2p"
        if is_private or self.is_calling(message):
            if chat_id != self.chat_id:
                self._calling.add(chat_id)
            self.called()

    def is_calling(self, message: Message) -> bool:
        """Whether a message names the user."""
        return f"@{self.client.name}".casefold() in message.text.casefold()

    def _confirm(self, timeline: Timeline, message: Message) -> None:
        """An own message came: what waited for it is done."""
        key = self._sent.pop(message.id, None)
        if key is None:
            for outgoing in timeline.outgoing:
                if (
                    outgoing.state in (State.SENDING, State.UPLOADING)
                    and outgoing.text == message.text
                    and outgoing.comment_on == message.is_comment_on
                    and len(outgoing.files) == len(message.files)
                ):
                    key = outgoing.key
                    break
        if key is not None:
            timeline.drop(key)

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

    async def _look_at_members(self, chat_id: str) -> None:
        with suppress(NoAnswer):
            try:
                users = await self.client.users(chat_id, limit=LISTED_MEMBERS)
                size = len(users)
                if size == LISTED_MEMBERS:
                    size = (await self.client.chat(chat_id, depth=0)).size
            except Refused as refused:
                if refused.code not in _GONE:
                    raise
                return
            self.people.update((user.id, user.name) for user in users)
            self.members[chat_id] = Members(
                tuple(sorted(users, key=lambda user: user.name.casefold())),
                size,
            )
            self.changed()

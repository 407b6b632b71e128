"""The session: one device's chats, inbox and connection, put together."""

from enum import Enum
from typing import Any, Final

from msgspec.structs import replace

from zchat.client.session.chat_log import ChatLog
from zchat.client.session.commands import (
    AskChanges,
    CaughtUp,
    Command,
    Deliver,
    Event,
    Fetch,
    Missed,
    Notice,
    Reconnect,
    Restored,
    Subscribe,
    Unsubscribe,
)
from zchat.client.session.cursors import Cursors
from zchat.client.session.handshake import Handshake
from zchat.client.session.inbox import InboxCount, Order
from zchat.client.session.key_ring import Closed, KeyRing, Unopened
from zchat.client.session.pulse import Pulse
from zchat.rpc import codec, events, results, topics

FETCHES_AT_ONCE: Final = 8

UserEvent = (
    events.Renamed
    | events.Banned
    | events.RoleChanged
    | events.SettingsChanged
)


class Start(Enum):
    """Where a device without saved cursors begins in each chat."""

    HEAD = "head"
    UNREAD = "unread"


class Session:
    """One device: its chats, keys, cursors, and what it still lacks.

    `cursors` resume a device that was here before: it gets everything
    since. Chats that are in none of them start at `start` in a fresh
    device, else with the first message that may be seen. A sync that was
    asked before `connected` says where a fresh device starts. `name` and
    `user` are the user's name and the rest about the user, as far as it
    was told here. Every input returns the commands to carry out, in
    order.

    In another epoch the numbers count other messages. All is forgotten
    then, and each chat begins behind what the restored store calls read.
    """

    def __init__(
        self,
        user_id: str,
        heartbeat_seconds: float,
        *,
        cursors: Cursors | None = None,
        start: Start = Start.HEAD,
        name: str = "",
    ) -> None:
        self.user_id = user_id
        self.name = name
        self.user: results.SyncUser | None = None
        self.scheduled = 0
        self.chats: dict[str, ChatLog] = {}
        self._start = start if cursors is None else None
        self._left = {
            at.chat_id: at for at in (cursors.chats if cursors else ())
        }
        self._resumed = set(self._left)
        self._removed_at: dict[str, int] = {}
        self._epoch = cursors.epoch if cursors else None
        self._inbox_topic = topics.inbox_topic(user_id)
        self._chat_of = {
            topics.chat_topic(chat_id): chat_id for chat_id in self._left
        }
        self._commands: list[Command] = []
        self._handshake = Handshake(self._commands)
        self._pulse = Pulse(heartbeat_seconds, self._epoch)
        self._keys = KeyRing()
        self._inbox = InboxCount()
        self._behind: dict[str, None] = {}
        self._fetches = 0
        self._on_inbox_event: dict[type[events.InboxEvent], Any] = {
            events.ChatAdded: self._on_chat_added,
            events.ChatRemoved: self._on_chat_removed,
            events.Read: self._on_read,
            events.Mentioned: self._on_mentioned,
            events.Renamed: self._on_own_name,
            events.Banned: self._on_user_changed,
            events.RoleChanged: self._on_user_changed,
            events.SettingsChanged: self._on_user_changed,
            events.JoinRequested: self._on_join_requested,
            events.JoinAnswered: self._on_join_answered,
        }

    @property
    def epoch(self) -> str | None:
        """The store's epoch, as the last sync or the cursors tell it."""
        return self._epoch

    def cursors(self) -> Cursors:
        """How far each chat was delivered, to be saved."""
        known = {chat.id: chat.place for chat in self.chats.values()}
        return Cursors(self._epoch, tuple((self._left | known).values()))

    # The connection.

    def connected(self, now: float) -> list[Command]:
        """A new event connection is there: start from the top."""
        self._handshake.connected()
        self._pulse.connected(now)
        self._handshake.from_the_top(
            (topics.HEARTBEAT, self._inbox_topic, *self._chat_of)
        )
        return self._done()

    def renewed(self, now: float) -> list[Command]:
        """A barrier came unasked: something on the way connected anew.

        The subscriptions are in place again; what came between is lost.
        """
        self._pulse.connected(now)
        self._handshake.from_the_top(())
        return self._done()

    def disconnected(self) -> list[Command]:
        """The event connection is gone; another is on its way."""
        self._handshake.disconnected()
        return self._done()

    def live(self, command: Subscribe) -> list[Command]:
        """The barrier behind this Subscribe came back."""
        if self._handshake.live(command):
            self._ask_sync()
        return self._done()

    def tick(self, now: float) -> list[Command]:
        """Time passes: to be called about once a second."""
        if not self._handshake.is_connected:
            return self._done()
        since = self._handshake.waiting_since(now)
        if self._pulse.is_silent(now) or self._pulse.has_lasted(since, now):
            self._commands.append(Reconnect())
            return self.disconnected()
        if self._handshake.is_due:
            self._ask_sync()
        for chat in self.chats.values():
            if chat.is_stalled:
                chat.is_stalled = False
                self._note_hole(chat)
        return self._done()

    def published(self, topic: bytes, body: bytes) -> list[Command]:
        """A message of the event socket."""
        if topic != topics.HEARTBEAT:
            self._open(Unopened(topic, body, self._handshake.syncs_asked))
        elif self._pulse.beat(body):
            self._handshake.from_the_top(())
        return self._done()

    def was_read(self, chat_id: str, seq: int) -> list[Command]:
        """The answer to a `read` of this device: where the position is."""
        self._on_read(events.Read(chat_id=chat_id, seq=seq))
        return self._done()

    def _done(self) -> list[Command]:
        self._start_fetches()
        if (
            self._handshake.is_catching_up
            and self._handshake.is_connected
            and not self._handshake.is_busy
            and not self._fetches
            and not any(chat.is_stalled for chat in self.chats.values())
        ):
            self._handshake.is_catching_up = False
            self._tell(CaughtUp())
        commands = self._commands.copy()
        self._commands.clear()
        return commands

    def _tell(self, event: Event) -> None:
        self._commands.append(Deliver(event))

    # Sync.

    def _ask_sync(self) -> None:
        if self._handshake.ask_sync():
            for chat in self.chats.values():
                chat.sync_asked()

    def synced(self, sync: results.Sync) -> list[Command]:
        """The answer to AskSync."""
        self._handshake.synced()
        if self._epoch not in (None, sync.epoch):
            self._forget(sync.epoch)
        self._epoch = sync.epoch
        self._pulse.synced(sync.epoch, sync.gaps)
        self._keys.keep(self._inbox_topic, sync.inbox_key)
        self._take_inbox(sync)
        present = {chat.id for chat in sync.chats}
        for chat in list(self.chats.values()):
            if chat.id not in present:
                self._remove(chat)
        for found in sync.chats:
            if self._removed_at.get(found.id, 0) <= sync.inbox:
                self._merge(found)
        self._removed_at.clear()
        self._start = None
        self._resumed.clear()
        self._tune()
        self._open_again()
        for chat in self.chats.values():
            self._follow(chat)
        if self._handshake.must_repeat:
            self._ask_sync()
        return self._done()

    def sync_refused(self) -> list[Command]:
        """The sync failed; the next tick asks again."""
        self._handshake.refused()
        return self._done()

    def _forget(self, epoch: str) -> None:
        """The store was restored: what is known counts no more."""
        self._tell(Restored(epoch))
        self.chats.clear()
        self.user = None
        self._left.clear()
        self._behind.clear()
        self._keys.forget_all()
        self._inbox.forget()
        self._start = Start.UNREAD

    def _take_inbox(self, sync: results.Sync) -> None:
        """What a sync tells of the user, and whether events were missed."""
        if self._inbox.is_stale(sync.inbox):
            self._handshake.ask_later()
            return
        if self._inbox.synced(sync.inbox):
            self._tell(Missed(None))
        self.scheduled = sync.scheduled
        before, self.user = self.user, sync.user
        self.name = sync.user.name
        if before is None:
            return
        if before.name != self.name:
            self._tell(events.Renamed(name=self.name))
        if before.banned_until != sync.user.banned_until:
            self._tell(events.Banned(until=sync.user.banned_until))
        if before.role != sync.user.role:
            self._tell(events.RoleChanged(role=sync.user.role))
        if before.receipts != sync.user.receipts:
            self._tell(events.SettingsChanged(receipts=sync.user.receipts))

    def _merge(self, found: results.SyncChat) -> None:
        """Take one chat of a sync in."""
        chat = self.chats.get(found.id)
        if chat is None:
            chat = self._add(found)
        else:
            if chat.synced(found):
                self._handshake.ask_later()
            if chat.read_moved(found.read):
                self._tell(events.Read(chat_id=chat.id, seq=chat.read))
        self._keys.keep(topics.chat_topic(found.id), found.event_key)

    def _add(self, found: results.SyncChat) -> ChatLog:
        seq, revision = self._beginning(found)
        if self._start is None and found.id not in self._resumed:
            self._tell(
                events.ChatAdded(
                    chat_id=found.id,
                    name=found.name,
                    title=found.title,
                    kind=found.kind,
                )
            )
        chat = self.chats[found.id] = ChatLog(
            found, self.user_id, seq, revision, self._tell
        )
        return chat

    def _beginning(self, found: results.SyncChat) -> tuple[int, int]:
        """The seq and the revision behind which a chat's events begin.

        A saved cursor beyond the head is of a store that was set back. One
        that this session left is right, and the sync may be an old one.
        """
        left = self._left.pop(found.id, None)
        if left is not None:
            revision = found.revision
            if left.revision is not None:
                revision = min(left.revision, revision)
            if found.id in self._resumed:
                return min(left.seq, found.head), revision
            return left.seq, revision
        seq_by_start = {
            Start.HEAD: found.head,
            Start.UNREAD: found.read,
            None: 0,
        }
        return seq_by_start[self._start], found.revision

    def _remove(self, chat: ChatLog) -> None:
        del self.chats[chat.id]
        self._behind.pop(chat.id, None)
        self._keys.forget(topics.chat_topic(chat.id))
        self._left[chat.id] = chat.place
        self._tell(events.ChatRemoved(chat_id=chat.id))

    def _tune(self) -> None:
        """Subscribe to just the chats that there are."""
        surplus = tuple(
            topic
            for topic, chat_id in self._chat_of.items()
            if chat_id not in self.chats
        )
        for topic in surplus:
            del self._chat_of[topic]
        if surplus:
            self._commands.append(Unsubscribe(surplus))
        wanted = {
            topic: chat_id
            for chat_id in self.chats
            if (topic := topics.chat_topic(chat_id)) not in self._chat_of
        }
        if wanted:
            self._chat_of |= wanted
            self._handshake.subscribe(tuple(wanted))

    # Holes.

    def _follow(self, chat: ChatLog) -> None:
        """Deliver what is due, and note what is missing for that."""
        if self._handshake.is_confirmed:
            chat.follow()
        self._note_hole(chat)

    def _note_hole(self, chat: ChatLog) -> None:
        if chat.is_behind:
            self._behind[chat.id] = None

    def _start_fetches(self) -> None:
        while (
            self._behind
            and self._fetches < FETCHES_AT_ONCE
            and self._handshake.is_confirmed
        ):
            chat = self.chats[next(iter(self._behind))]
            del self._behind[chat.id]
            request = chat.missing()
            if request is not None:
                self._fetches += 1
                self._commands.append(request)

    def fetched(self, fetch: Fetch, page: results.History) -> list[Command]:
        """The answer to a Fetch."""
        chat = self._answered(fetch)
        if chat is not None:
            chat.take_page(fetch, page)
            self._follow(chat)
        return self._done()

    def changed(
        self, asked: AskChanges, found: results.Changes
    ) -> list[Command]:
        """The answer to AskChanges."""
        chat = self._answered(asked)
        if chat is not None:
            self._keys.keep(topics.chat_topic(chat.id), found.chat.event_key)
            chat.take_changes(asked, found)
            self._follow(chat)
        return self._done()

    def fetch_refused(self, request: Fetch | AskChanges) -> list[Command]:
        """The request failed: perhaps the chat is no longer ours."""
        chat = self._answered(request)
        if chat is not None:
            chat.is_stalled = True
            self._ask_sync()
        return self._done()

    def _answered(self, request: Fetch | AskChanges) -> ChatLog | None:
        """The chat that still waits for this answer."""
        self._fetches -= 1
        chat = self.chats.get(request.chat_id)
        return chat if chat and chat.answered(request) else None

    # Events.

    def _open(self, sealed: Unopened) -> None:
        if sealed.topic != self._inbox_topic and (
            sealed.topic not in self._chat_of
        ):
            return
        plain = self._keys.open(sealed.topic, sealed.body)
        if isinstance(plain, bytes):
            self._happened(self._chat_of.get(sealed.topic), plain)
        elif (
            plain is Closed.FOR_LATER
            and sealed.asked == self._handshake.syncs_asked
        ):
            self._keys.wait(sealed)
            self._ask_sync()

    def _open_again(self) -> None:
        """Try what could not be opened before this sync."""
        for sealed in self._keys.take_waiting():
            self._open(sealed)

    def _happened(self, chat_id: str | None, plain: bytes) -> None:
        try:
            event = events.decode_event(plain)
            if event is None:
                self._tell(_unknown(chat_id, plain))
                return
        except ValueError:
            return
        if isinstance(event, events.InboxEvent) and chat_id is None:
            self._take_inbox_event(event)
        if isinstance(event, events.ChatEvent) and event.chat_id == chat_id:
            self._take_chat_event(self.chats[event.chat_id], event)

    def _take_chat_event(self, chat: ChatLog, event: events.ChatEvent) -> None:
        match event:
            case events.MessageSent(message=message):
                chat.take(message)
            case events.CountedEvent():
                if isinstance(event, events.KeyChanged) and (
                    event.revision > chat.revision
                ):
                    self._ask_sync()
                chat.take_event(event)
            case events.Head(seq=seq, revision=revision):
                chat.learn(seq, revision)
            case _:
                self._tell(event)
        self._follow(chat)

    def _take_inbox_event(self, event: events.InboxEvent) -> None:
        if isinstance(event, events.InboxHead):
            if self._inbox.is_behind(event.inbox):
                self._ask_sync()
            return
        order = self._inbox.comes(event.inbox)
        if order is Order.REPEAT:
            return
        if order is Order.BEYOND_A_HOLE:
            self._ask_sync()
        act = self._on_inbox_event.get(type(event))
        if act is None:
            self._tell(event)
        elif order is not Order.COVERED:
            act(event)
        elif isinstance(event, HINTS):
            self._tell(event)

    def _on_chat_added(self, event: events.ChatAdded) -> None:
        self._ask_sync()

    def _on_chat_removed(self, event: events.ChatRemoved) -> None:
        self._removed_at[event.chat_id] = event.inbox
        chat = self.chats.get(event.chat_id)
        if chat is not None:
            self._remove(chat)
            self._tune()

    def _on_read(self, event: events.Read) -> None:
        chat = self.chats.get(event.chat_id)
        if chat is not None and chat.read_moved(event.seq):
            if not chat.is_all_read:
                self._handshake.ask_later()
            self._tell(event)

    def _on_mentioned(self, event: events.Mentioned) -> None:
        chat = self.chats.get(event.chat_id)
        if chat is not None and event.seq > chat.read:
            chat.mentions = max(0, chat.mentions + (1 if event.on else -1))
        self._tell(event)

    def _on_own_name(self, event: events.Renamed) -> None:
        self.name = event.name
        self._on_user_changed(event)

    def _on_user_changed(self, event: UserEvent) -> None:
        if self.user is not None:
            self.user = _changed_user(self.user, event)
        self._tell(event)

    def _on_join_requested(self, event: events.JoinRequested) -> None:
        self._count_requests(event.chat_id, 1)
        self._tell(event)

    def _on_join_answered(self, event: events.JoinAnswered) -> None:
        self._count_requests(event.chat_id, -1)
        self._tell(event)

    def _count_requests(self, chat_id: str, more: int) -> None:
        chat = self.chats.get(chat_id)
        if chat is not None:
            chat.requests = max(0, chat.requests + more)


HINTS: Final = (
    events.Mentioned,
    events.JoinRequested,
    events.JoinAnswered,
)
"""Events that a sync tells as a count only: they are told all the same."""


def _changed_user(
    user: results.SyncUser, event: UserEvent
) -> results.SyncUser:
    """The user with what an event of the inbox says of it."""
    match event:
        case events.Renamed(name=name):
            return replace(user, name=name)
        case events.Banned(until=until):
            return replace(user, banned_until=until)
        case events.RoleChanged(role=role):
            return replace(user, role=role)
    return replace(user, receipts=event.receipts)


def _unknown(chat_id: str | None, plain: bytes) -> Notice:
    """An event of a kind that is not known here; raises ValueError."""
    data = codec.unpack(plain)
    name = data.pop("event")
    return Notice(name, data.pop("chat_id", chat_id), data)

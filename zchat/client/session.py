"""The state of one device, pure: what came goes in, commands come out.

The rules of docs/reference/protocol.md, "How a client misses nothing",
without a socket, a clock or a loop: a shell carries out the commands and
reports what became of them. Each message is delivered once and, within its
chat, in order, whatever the event socket drops or repeats.
"""

from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from zchat.rpc import PAGE_LIMIT, codec, results, sealing, topics

MISSED_HEARTBEATS: Final = 3
HELD_LIMIT: Final = 1000
UNOPENED_LIMIT: Final = 256
FETCHES_AT_ONCE: Final = 8
KEPT_KEYS: Final = 4


class Start(Enum):
    """Where a device without saved cursors begins in each chat."""

    HEAD = "head"
    UNREAD = "unread"


class ChatCursor(Struct, frozen=True):
    """How far one chat was delivered: the seq of its last message."""

    chat_id: str
    seq: int


class Cursors(Struct, frozen=True):
    """How far each chat was delivered, to be saved and resumed from.

    `epoch` is the store's: in a restored store the numbers count other
    messages, so a device that resumes there forgets them.
    """

    epoch: str | None = None
    chats: tuple[ChatCursor, ...] = ()

    @classmethod
    def of(cls, epoch: str | None, seqs: Mapping[str, int]) -> "Cursors":
        """The cursors of these chats; `epoch` None: whatever it is."""
        return cls(
            epoch, tuple(ChatCursor(id, seq) for id, seq in seqs.items())
        )

    @property
    def seqs(self) -> dict[str, int]:
        """The seq by chat id."""
        return {cursor.chat_id: cursor.seq for cursor in self.chats}

    def to_json(self) -> str:
        """The cursors as text, for a file."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "Cursors":
        """What `to_json` made; raises ValueError for anything else."""
        return msgspec.json.decode(text, type=cls)


class NewMessage(Struct, frozen=True):
    """A message of a chat: once, and in the order of `message.seq`."""

    chat_id: str
    message: results.Message


class Notice(Struct, frozen=True):
    """Any other event of the table in rpc/methods.py, with its fields.

    `chat_added`, `chat_removed`, `chat_renamed` and `read` come also
    where the device learns of the change only afterwards.
    """

    name: str
    chat_id: str | None
    data: Mapping[str, Any]


class CaughtUp(Struct, frozen=True):
    """Everything sent before the (re)connection has been delivered."""


class Restored(Struct, frozen=True):
    """The server's store was restored from a copy: forget what came.

    The messages that the restored store counts as unread follow, some of
    them for the second time.
    """

    epoch: str


Event = NewMessage | Notice | CaughtUp | Restored


class Subscribe(Struct, frozen=True):
    """Subscribe, then call `live` when a barrier says that it is done."""

    topics: tuple[bytes, ...]


class Unsubscribe(Struct, frozen=True):
    """Forget these topics."""

    topics: tuple[bytes, ...]


class AskSync(Struct, frozen=True):
    """Call `sync`, then `synced` or `sync_refused`."""


class Fetch(Struct, frozen=True):
    """Call `history(after=…)`, then `fetched` or `fetch_refused`."""

    chat_id: str
    after: int
    limit: int


class Reconnect(Struct, frozen=True):
    """The event connection is dead: make another, then `connected`."""


class Deliver(Struct, frozen=True):
    """Give the event to the application."""

    event: Event


Command = Subscribe | Unsubscribe | AskSync | Fetch | Reconnect | Deliver


class ChatState(Struct, kw_only=True):
    """One chat as the device knows it.

    `cursor` is the seq up to which all was delivered, `head` the
    newest seq known to exist, `counted` the head that `unread` takes
    in. Without keys its events are plain.
    """

    id: str
    name: str
    kind: str
    cursor: int
    head: int
    read: int
    unread: int
    counted: int
    keys: dict[int, bytes] = field(default_factory=dict)
    held: dict[int, results.Message] = field(default_factory=dict)
    fetching: Fetch | None = None


class _Unopened(Struct, frozen=True):
    """A body whose key is not here; `asked` syncs were asked before."""

    topic: bytes
    body: bytes
    asked: int


class Session:
    """One device: its chats, keys, cursors, and what it still lacks.

    `cursors` resume a device that was here before: it gets all that
    came since. Chats that are in none of them start at `start` in a
    fresh device, else with the first message that may be seen. A sync
    that was asked before `connected` says where a fresh device starts.
    `name` is the user's name, as far as it was told here. Every input
    returns the commands to carry out, in order.

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
        self.chats: dict[str, ChatState] = {}
        self._heartbeat_seconds = heartbeat_seconds
        self._start = start if cursors is None else None
        self._left = cursors.seqs if cursors else {}
        self._inbox = topics.inbox_topic(user_id)
        self._inbox_keys: dict[int, bytes] = {}
        self._chat_of = {
            topics.chat_topic(chat_id): chat_id for chat_id in self._left
        }
        self._commands: list[Command] = []
        self._unopened: deque[_Unopened] = deque(maxlen=UNOPENED_LIMIT)
        self._behind: dict[str, None] = {}
        self._fetches = 0
        self._connected = False
        self._catching_up = False
        self._subscribing: Subscribe | None = None
        self._subscribing_since: float | None = None
        self._syncing = False
        self._sync_again = False
        self._sync_due = False
        self._syncs_asked = 0
        self._at_sync = {id: (seq, 0) for id, seq in self._left.items()}
        self._synced_once = False
        self._is_confirmed = False
        self._top_at = -1
        self._stalled: set[str] = set()
        self._epoch = cursors.epoch if cursors else None
        self._epoch_told: str | None = None
        self._gaps: int | None = None
        self._heartbeat_came = False
        self._last_heartbeat = 0.0
        self._on_chat_event: dict[
            str, Callable[[ChatState, dict[str, Any]], None]
        ] = {
            "message": self._on_message,
            "head": self._on_head,
            "chat_renamed": self._on_renamed,
            "key_changed": self._on_key_changed,
        }
        self._on_inbox_event: dict[str, Callable[[dict[str, Any]], None]] = {
            "chat_added": self._on_chat_added,
            "chat_removed": self._on_chat_removed,
            "read": self._on_read,
            "renamed": self._on_own_name,
            "inbox_head": lambda event: None,
        }

    @property
    def epoch(self) -> str | None:
        """The store's epoch, as the last sync or the cursors tell it."""
        return self._epoch

    def cursors(self) -> Cursors:
        """How far each chat was delivered, to be saved."""
        seqs = self._left | {
            chat.id: chat.cursor for chat in self.chats.values()
        }
        return Cursors.of(self._epoch, seqs)

    def connected(self, now: float) -> list[Command]:
        """A new event connection is there: start from the top.

        Each broker counts its own gaps, so they count anew.
        """
        self._connected = True
        self._gaps = None
        self._last_heartbeat = now
        self._from_the_top((topics.HEARTBEAT, self._inbox, *self._chat_of))
        return self._done()

    def renewed(self, now: float) -> list[Command]:
        """A barrier came unasked: something on the way connected anew.

        The subscriptions are in place again; what came between is lost.
        """
        self._gaps = None
        self._last_heartbeat = now
        self._from_the_top(())
        return self._done()

    def disconnected(self) -> list[Command]:
        """The event connection is gone; another is on its way."""
        self._connected = False
        self._subscribing = None
        return self._done()

    def live(self, command: Subscribe) -> list[Command]:
        """The barrier behind this Subscribe came back."""
        if command is self._subscribing:
            self._subscribing = None
            self._ask_sync()
        return self._done()

    def synced(self, sync: results.Sync) -> list[Command]:
        """The answer to AskSync."""
        self._syncing = False
        if self._epoch not in (None, sync.epoch):
            self._forget(sync.epoch)
        self._epoch = self._epoch_told = sync.epoch
        self._is_confirmed = self._syncs_asked > self._top_at
        if self._gaps is None:
            self._gaps = sync.gaps
        self._keep_key(self._inbox_keys, sync.inbox_key)
        present = {chat.id for chat in sync.chats}
        for chat in list(self.chats.values()):
            if chat.id not in present:
                self._remove(chat)
        added = [found for found in sync.chats if self._merge(found)]
        self._start = None
        self._synced_once = True
        self._tune(added)
        self._open_again()
        for chat in self.chats.values():
            self._follow(chat)
            self._catch_up(chat)
        if self._sync_again:
            self._ask_sync()
        return self._done()

    def sync_refused(self) -> list[Command]:
        """The sync failed; the next tick asks again."""
        self._syncing = False
        self._sync_due = True
        return self._done()

    def fetched(self, fetch: Fetch, page: results.History) -> list[Command]:
        """The answer to a Fetch."""
        chat = self._end_fetch(fetch)
        if chat is not None:
            self._take_page(chat, fetch.after, page)
        return self._done()

    def fetch_refused(self, fetch: Fetch) -> list[Command]:
        """The fetch failed: perhaps the chat is no longer ours."""
        chat = self._end_fetch(fetch)
        if chat is not None:
            self._stalled.add(chat.id)
            self._ask_sync()
        return self._done()

    def published(self, topic: bytes, body: bytes) -> list[Command]:
        """A message of the event socket."""
        if topic == topics.HEARTBEAT:
            self._on_heartbeat(body)
        else:
            self._open(topic, body, self._syncs_asked)
        return self._done()

    def tick(self, now: float) -> list[Command]:
        """Time passes: to be called about once a second."""
        if not self._connected:
            return self._done()
        if self._heartbeat_came:
            self._heartbeat_came = False
            self._last_heartbeat = now
        if self._subscribing is None:
            self._subscribing_since = None
        elif self._subscribing_since is None:
            self._subscribing_since = now
        since = min(self._last_heartbeat, self._subscribing_since or now)
        if now - since > MISSED_HEARTBEATS * self._heartbeat_seconds:
            self._commands.append(Reconnect())
            return self.disconnected()
        if self._sync_due:
            self._ask_sync()
        stalled, self._stalled = self._stalled, set()
        for chat_id in sorted(stalled & self.chats.keys()):
            self._catch_up(self.chats[chat_id])
        return self._done()

    def _done(self) -> list[Command]:
        self._start_fetches()
        waiting = (
            self._syncing
            or self._subscribing
            or self._fetches
            or self._sync_due
            or self._stalled
        )
        if self._catching_up and self._connected and not waiting:
            self._catching_up = False
            self._commands.append(Deliver(CaughtUp()))
        commands, self._commands = self._commands, []
        return commands

    def _notice(
        self, name: str, chat_id: str | None, data: dict[str, Any]
    ) -> None:
        self._commands.append(Deliver(Notice(name, chat_id, data)))

    # From the top: subscribe, barrier, sync, fetch.

    def _from_the_top(self, wanted: tuple[bytes, ...]) -> None:
        """Begin again; until a sync says that the epoch is the same,
        messages are held back.
        """
        self._catching_up = True
        self._is_confirmed = False
        self._top_at = self._syncs_asked
        self._subscribe(wanted)

    def _subscribe(self, wanted: tuple[bytes, ...]) -> None:
        if not self._connected:
            return
        self._subscribing = Subscribe(wanted)
        self._subscribing_since = None
        self._commands.append(self._subscribing)

    def _ask_sync(self) -> None:
        """Sync; an answer under way may be older than what made us ask."""
        if self._syncing:
            self._sync_again = True
            return
        self._syncing = True
        self._sync_again = False
        self._sync_due = False
        self._syncs_asked += 1
        self._at_sync = {id: (cursor, 0) for id, cursor in self._left.items()}
        for chat in self.chats.values():
            self._at_sync[chat.id] = (chat.cursor, chat.read)
        self._commands.append(AskSync())

    def _forget(self, epoch: str) -> None:
        """The store was restored: what is known counts no more."""
        self._commands.append(Deliver(Restored(epoch)))
        self.chats.clear()
        self._left.clear()
        self._at_sync.clear()
        self._behind.clear()
        self._stalled.clear()
        self._inbox_keys.clear()
        self._start = Start.UNREAD

    def _merge(self, found: results.SyncChat) -> bool:
        """Take one chat of a sync in; whether it is new here."""
        chat = self.chats.get(found.id)
        if chat is None:
            is_resumed = not self._synced_once and found.id in self._left
            self.chats[found.id] = chat = self._first_seen(found)
            if self._start is None and not is_resumed:
                self._notice(
                    "chat_added",
                    chat.id,
                    {"name": chat.name, "kind": chat.kind},
                )
        else:
            self._update(chat, found)
        if found.event_key is not None:
            self._keep_key(chat.keys, found.event_key)
        return topics.chat_topic(found.id) not in self._chat_of

    def _first_seen(self, found: results.SyncChat) -> ChatState:
        cursor = self._left.pop(found.id, None)
        if cursor is None:
            cursor = {
                Start.HEAD: found.head,
                Start.UNREAD: found.read,
                None: 0,
            }[self._start]
        elif found.head < self._at_sync.get(found.id, (0, 0))[0]:
            cursor = found.head
        return ChatState(
            id=found.id,
            name=found.title,
            kind=found.kind,
            cursor=cursor,
            head=max(cursor, found.head),
            read=found.read,
            unread=found.unread,
            counted=found.head,
        )

    def _update(self, chat: ChatState, found: results.SyncChat) -> None:
        cursor_then, read_then = self._at_sync.get(chat.id, (0, 0))
        if found.head < cursor_then or found.read < read_then:
            self._restored(chat, found)
        chat.head = max(chat.head, found.head)
        chat.kind = found.kind
        if chat.name != found.title:
            chat.name = found.title
            self._notice("chat_renamed", chat.id, {"name": chat.name})
        if found.read > chat.read:
            chat.read = found.read
            self._notice("read", chat.id, {"seq": chat.read})
        if found.read < chat.read or found.head < chat.cursor:
            self._sync_due = True
        else:
            chat.unread = found.unread
            chat.counted = found.head

    def _restored(self, chat: ChatState, found: results.SyncChat) -> None:
        """The store was set back: what is beyond its head is no more."""
        chat.cursor = min(chat.cursor, found.head)
        chat.head = found.head
        chat.read = found.read
        chat.keys.clear()
        chat.held.clear()
        chat.fetching = None

    def _remove(self, chat: ChatState) -> None:
        del self.chats[chat.id]
        self._behind.pop(chat.id, None)
        self._stalled.discard(chat.id)
        self._left[chat.id] = chat.cursor
        self._notice("chat_removed", chat.id, {})

    def _tune(self, added: list[results.SyncChat]) -> None:
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
        wanted = {topics.chat_topic(chat.id): chat.id for chat in added}
        if wanted:
            self._chat_of |= wanted
            self._subscribe(tuple(wanted))

    # Messages: order, gaps, pages.

    def _catch_up(self, chat: ChatState) -> None:
        is_waiting = chat.fetching or chat.id in self._stalled
        if chat.cursor < chat.head and not is_waiting:
            self._behind[chat.id] = None

    def _start_fetches(self) -> None:
        while self._behind and self._fetches < FETCHES_AT_ONCE:
            chat = self.chats[next(iter(self._behind))]
            del self._behind[chat.id]
            self._fetches += 1
            chat.fetching = Fetch(chat.id, chat.cursor, PAGE_LIMIT)
            self._commands.append(chat.fetching)

    def _end_fetch(self, fetch: Fetch) -> ChatState | None:
        """The chat that still waits for this fetch."""
        self._fetches -= 1
        chat = self.chats.get(fetch.chat_id)
        if chat is None or chat.fetching is not fetch:
            return None
        chat.fetching = None
        return chat

    def _take_page(
        self, chat: ChatState, after: int, page: results.History
    ) -> None:
        """What a page leaves out up to its end does not exist any more."""
        for message in page.messages:
            if message.seq > chat.cursor:
                chat.held[message.seq] = message
        through = page.head
        if page.has_newer:
            through = page.messages[-1].seq if page.messages else after
        chat.head = max(chat.head, page.head)
        self._advance(chat, through)
        if through <= after and chat.cursor < chat.head:
            self._stalled.add(chat.id)
        self._catch_up(chat)

    def _advance(self, chat: ChatState, through: int) -> None:
        """Deliver what is held up to a seq, and what follows on it."""
        for seq in sorted(seq for seq in chat.held if seq <= through):
            self._deliver(chat, chat.held.pop(seq))
        chat.cursor = max(chat.cursor, through)
        self._follow(chat)

    def _follow(self, chat: ChatState) -> None:
        """Deliver what is held and next."""
        while self._is_confirmed and chat.cursor + 1 in chat.held:
            chat.cursor += 1
            self._deliver(chat, chat.held.pop(chat.cursor))

    def _deliver(self, chat: ChatState, message: results.Message) -> None:
        if (
            message.seq > max(chat.counted, chat.read)
            and message.author.id != self.user_id
        ):
            chat.unread += 1
        self._commands.append(Deliver(NewMessage(chat.id, message)))

    # Events: keys and what each event means.

    @staticmethod
    def _keep_key(keys: dict[int, bytes], key: results.EventKey) -> None:
        """Events under the keys before may still be on their way."""
        keys[key.id] = key.secret
        for number in sorted(keys)[:-KEPT_KEYS]:
            del keys[number]

    def _open(self, topic: bytes, body: bytes, asked: int) -> None:
        chat = None
        keys = self._inbox_keys
        if topic != self._inbox:
            if topic not in self._chat_of:
                return
            chat = self.chats.get(self._chat_of[topic])
            keys = chat.keys if chat else {}
        if chat is not None and not chat.keys:
            self._happened(chat, body)
            return
        number = sealing.key_number(body)
        if chat is not None or topic == self._inbox:
            if number is None or number < min(keys, default=0):
                return
            secret = keys.get(number)
            plain = secret and sealing.unseal(secret, topic, body)
            if plain:
                self._happened(chat, plain)
                return
        if asked == self._syncs_asked:
            self._unopened.append(_Unopened(topic, body, asked))
            self._ask_sync()

    def _open_again(self) -> None:
        """Try what could not be opened before this sync.

        What came before it was asked and stays closed is not for us.
        """
        unopened = list(self._unopened)
        self._unopened.clear()
        for closed in unopened:
            self._open(closed.topic, closed.body, closed.asked)

    def _happened(self, chat: ChatState | None, plain: bytes) -> None:
        try:
            event = codec.unpack(plain)
        except ValueError:
            return
        name = event.get("event") if type(event) is dict else None
        if type(name) is not str:
            return
        if chat is not None and name in self._on_chat_event:
            self._on_chat_event[name](chat, event)
        elif chat is None and name in self._on_inbox_event:
            self._on_inbox_event[name](event)
        else:
            del event["event"]
            named = event.pop("chat_id", None)
            if chat is not None:
                named = chat.id
            self._notice(name, named, event)

    def _on_heartbeat(self, body: bytes) -> None:
        try:
            heartbeat = codec.unpack(body)
        except ValueError:
            return
        self._heartbeat_came = True
        if type(heartbeat) is not dict:
            return
        epoch, gaps = heartbeat.get("epoch"), heartbeat.get("gaps", 0)
        if type(epoch) is not str or type(gaps) is not int:
            return
        known = self._epoch_told or self._epoch
        is_other = known not in (None, epoch) or self._gaps not in (None, gaps)
        self._epoch_told, self._gaps = epoch, gaps
        if is_other:
            self._from_the_top(())

    def _on_message(self, chat: ChatState, event: dict[str, Any]) -> None:
        try:
            message = msgspec.convert(event.get("message"), results.Message)
        except msgspec.ValidationError:
            return
        chat.head = max(chat.head, message.seq)
        if message.seq <= chat.cursor:
            return
        if message.seq == chat.cursor + 1 or len(chat.held) < HELD_LIMIT:
            chat.held[message.seq] = message
        self._follow(chat)
        self._catch_up(chat)

    def _on_head(self, chat: ChatState, event: dict[str, Any]) -> None:
        seq = event.get("seq")
        if type(seq) is int:
            chat.head = max(chat.head, seq)
            self._catch_up(chat)

    def _on_renamed(self, chat: ChatState, event: dict[str, Any]) -> None:
        name = event.get("name")
        if self._syncing:
            self._sync_again = True
        if type(name) is str and name != chat.name:
            chat.name = name
            self._notice("chat_renamed", chat.id, {"name": name})

    def _on_key_changed(self, chat: ChatState, event: dict[str, Any]) -> None:
        self._ask_sync()

    def _on_chat_added(self, event: dict[str, Any]) -> None:
        self._ask_sync()

    def _on_chat_removed(self, event: dict[str, Any]) -> None:
        if self._syncing:
            self._sync_again = True
        chat = self.chats.get(str(event.get("chat_id")))
        if chat is not None:
            self._remove(chat)
            self._tune([])

    def _on_own_name(self, event: dict[str, Any]) -> None:
        name = event.get("name")
        if type(name) is str:
            self.name = name
            self._notice("renamed", None, {"name": name})

    def _on_read(self, event: dict[str, Any]) -> None:
        chat = self.chats.get(str(event.get("chat_id")))
        seq = event.get("seq")
        if chat is None or type(seq) is not int or seq <= chat.read:
            return
        chat.read = seq
        if seq >= chat.head:
            chat.unread = 0
        else:
            self._sync_due = True
        self._notice("read", chat.id, {"seq": seq})

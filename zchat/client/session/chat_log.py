"""One chat as a device knows it: its two counts, and what is missing in them.

The broker counts the messages of a chat (`seq`) and everything else that
happens in it (`revision`), both without a hole. A number that is next is
delivered, a smaller one dropped, a larger one held while the hole is fetched:
messages with `history`, the rest with `changes`. What a page of history leaves
out up to its end has expired; what `changes` leaves out (who came and went) is
not repeated, so `Missed` says that it has to be asked for.

Two rules keep an old state from being delivered after a newer one:

- Messages first. Changes are delivered only while no message is missing, so
  that a change is of a message that was delivered.
- If it is not (its event and the page of changes may overtake each other), the
  change waits and replaces the message when that is delivered.
"""

from collections.abc import Callable
from typing import Final

from zchat.client.session.commands import AskChanges, Event, Fetch, Missed
from zchat.client.session.cursors import ChatCursor
from zchat.rpc import PAGE_LIMIT, results
from zchat.rpc.events import (
    ChatRenamed,
    CountedEvent,
    KeyChanged,
    MemberRenamed,
    MessageChanged,
    MessageSent,
)

HELD_LIMIT: Final = 1000
P2P: Final = "p2p"


class ChatLog:
    """The state of one chat; what is due goes to `deliver`.

    `cursor` and `revision` are the counts up to which everything was
    delivered, `head` and `newest` the largest known to exist. `counted`
    is the head that `unread` takes in.
    """

    def __init__(
        self,
        found: results.SyncChat,
        user_id: str,
        cursor: int,
        revision: int,
        deliver: Callable[[Event], None],
    ) -> None:
        self._user_id = user_id
        self._deliver = deliver
        self.id = found.id
        self.kind = found.kind
        self.name = found.name
        self.title = found.title
        self.cursor = cursor
        self.head = max(cursor, found.head)
        self.revision = revision
        self.newest = max(revision, found.revision)
        self.read = found.read
        self.unread = found.unread
        self.mentions = found.mentions
        self.requests = found.requests
        self.is_stalled = False
        self._counted = found.head
        self._facts_of = found.revision
        self._held: dict[int, results.Message] = {}
        self._held_events: dict[int, CountedEvent] = {}
        self._newer: dict[int, results.Message] = {}
        self._fetching: Fetch | None = None
        self._asking: AskChanges | None = None
        self._is_incomplete = False
        self._at_sync = (cursor, revision, found.read)

    @property
    def place(self) -> ChatCursor:
        """Up to where everything was delivered."""
        return ChatCursor(self.id, self.cursor, self.revision)

    # What comes in.

    def take(self, message: results.Message) -> None:
        """A message that was sent."""
        self.learn(message.seq, 0)
        if message.seq <= self.cursor:
            return
        if message.seq == self.cursor + 1 or len(self._held) < HELD_LIMIT:
            self._held[message.seq] = message

    def take_event(self, event: CountedEvent) -> None:
        """Anything else that happened, by its revision."""
        self.learn(0, event.revision)
        if event.revision <= self.revision:
            return
        is_next = event.revision == self.revision + 1
        if is_next or len(self._held_events) < HELD_LIMIT:
            self._held_events[event.revision] = event

    def learn(self, seq: int, revision: int) -> None:
        """So many messages and revisions are known to exist."""
        self.head = max(self.head, seq)
        self.newest = max(self.newest, revision)

    def take_page(self, fetch: Fetch, page: results.History) -> None:
        """Messages behind a seq, as history has them."""
        for message in page.messages:
            if message.seq > self.cursor:
                self._held[message.seq] = message
        through = page.head
        if page.has_newer:
            through = page.messages[-1].seq if page.messages else fetch.after
        self.learn(page.head, 0)
        for seq in sorted(seq for seq in self._held if seq <= through):
            self._deliver_message(self._held.pop(seq))
        self.cursor = max(self.cursor, through)
        self.is_stalled = through <= fetch.after and self.cursor < self.head
        self._drop_overtaken()

    def take_changes(self, asked: AskChanges, found: results.Changes) -> None:
        """What changed after a revision, each message as it is now."""
        through = found.revision
        if found.more:
            through = (
                found.messages[-1].revision if found.messages else asked.after
            )
        due: dict[int, CountedEvent] = {
            message.revision: MessageChanged(
                chat_id=self.id, revision=message.revision, message=message
            )
            for message in found.messages
        }
        for one in found.renamed:
            due[one.revision] = MemberRenamed(
                chat_id=self.id,
                revision=one.revision,
                user=results.Person(id=one.id, name=one.name),
            )
        for revision in [n for n in self._held_events if n <= through]:
            due.setdefault(revision, self._held_events.pop(revision))
        told = [n for n in sorted(due) if self.revision < n <= through]
        if len(told) < through - self.revision:
            self._is_incomplete = True
        for revision in told:
            self._happened(due[revision])
        self.revision = max(self.revision, through)
        self.learn(0, found.revision)
        self._take_facts(found.revision, found.chat.name, found.chat.title)
        self.is_stalled = (
            through <= asked.after and self.revision < self.newest
        )
        if self._is_incomplete and not found.more:
            self._is_incomplete = False
            self._deliver(Missed(self.id))

    # What goes out.

    def follow(self) -> None:
        """Deliver what is held and next: messages first."""
        while self.cursor + 1 in self._held:
            self.cursor += 1
            self._deliver_message(self._held.pop(self.cursor))
        while (
            self.cursor >= self.head and self.revision + 1 in self._held_events
        ):
            self.revision += 1
            self._happened(self._held_events.pop(self.revision))

    def missing(self) -> Fetch | AskChanges | None:
        """The next request that fills a hole, unless one is under way."""
        if not self.is_behind:
            return None
        if self.cursor < self.head:
            self._fetching = Fetch(self.id, self.cursor, PAGE_LIMIT)
            return self._fetching
        self._asking = AskChanges(self.id, self.revision, PAGE_LIMIT)
        return self._asking

    @property
    def is_behind(self) -> bool:
        """Whether a request would fill a hole now."""
        if self.is_stalled:
            return False
        if self.cursor < self.head:
            return self._fetching is None
        return self.revision < self.newest and self._asking is None

    def answered(self, request: Fetch | AskChanges) -> bool:
        """A request came to its end; whether its answer still counts."""
        if request is self._fetching:
            self._fetching = None
            return True
        if request is self._asking:
            self._asking = None
            return True
        return False

    def _deliver_message(self, message: results.Message) -> None:
        newer = self._newer.pop(message.seq, None)
        if newer is not None and newer.revision > message.revision:
            message = newer
        is_counted = message.seq <= max(self._counted, self.read)
        if not is_counted and message.author.id != self._user_id:
            self.unread += 1
        self._deliver(
            MessageSent(chat_id=self.id, seq=message.seq, message=message)
        )

    def _happened(self, event: CountedEvent) -> None:
        match event:
            case MessageChanged(message=message) if message.seq > self.cursor:
                self._newer[message.seq] = message
                self.learn(message.seq, 0)
                return
            case ChatRenamed(name=name):
                if event.revision <= self._facts_of or name == self.name:
                    return
                self._facts_of = event.revision
                self.name = name
                self.title = self.title if self.kind == P2P else name
            case MemberRenamed(user=user) if (
                self.kind == P2P and user.id != self._user_id
            ):
                self._facts_of = event.revision
                self.title = user.name
            case KeyChanged():
                return
        self._deliver(event)

    def _drop_overtaken(self) -> None:
        """Forget changes of messages that do not exist any more."""
        for seq in [seq for seq in self._newer if seq <= self.cursor]:
            del self._newer[seq]

    # What a sync tells.

    def sync_asked(self) -> None:
        """Remember what is known while a sync is under way."""
        self._at_sync = (self.cursor, self.revision, self.read)

    def synced(self, found: results.SyncChat) -> bool:
        """Take in what a sync tells; whether it may be out of date."""
        cursor, revision, read = self._at_sync
        if (
            found.head < cursor
            or found.revision < revision
            or found.read < read
        ):
            self._restored(found)
        self.learn(found.head, found.revision)
        self.kind = found.kind
        self.requests = found.requests
        self._take_facts(found.revision, found.name, found.title)
        is_old = found.read < self.read or found.head < self.cursor
        if not is_old:
            self.unread = found.unread
            self.mentions = found.mentions
            self._counted = found.head
        return is_old

    def _take_facts(self, revision: int, name: str, title: str) -> None:
        if revision < self._facts_of:
            return
        self._facts_of = revision
        if (self.name, self.title) != (name, title):
            self.name, self.title = name, title
            self._deliver(
                ChatRenamed(chat_id=self.id, revision=revision, name=name)
            )

    def _restored(self, found: results.SyncChat) -> None:
        """The store was set back: what is beyond its counts is no more."""
        self.cursor = min(self.cursor, found.head)
        self.head = found.head
        self.revision = min(self.revision, found.revision)
        self.newest = found.revision
        self.read = found.read
        self._facts_of = found.revision
        self._held.clear()
        self._held_events.clear()
        self._newer.clear()
        self._fetching = self._asking = None

    # What the inbox tells.

    def read_moved(self, seq: int) -> bool:
        """A device moved the read position; whether it did so at all."""
        if seq <= self.read:
            return False
        self.read = seq
        return True

    @property
    def is_all_read(self) -> bool:
        """Whether the read position is at the head: nothing is unread."""
        if self.read < self.head:
            return False
        self.unread = self.mentions = 0
        return True

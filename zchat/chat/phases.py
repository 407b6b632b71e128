"""What a rule may do, and when: look, load, ask; then, in its turn, change.

A rule that changes something has two phases. Before its turn it holds a
`Writing`: it loads rows by key and asks the store, and all rules of the
batch do so side by side, so nothing may change yet. `await work.turn()`
is the serial point: the runner lets the rules pass it one at a time, in
the order in which their requests arrived. What it gives is a `Turn`, the
only object that can change rows, tell events or note anything; it cannot
load or ask, so a rule runs from its turn to its end without a break, and
sees all that those before it did.

A rule that only reads holds a `Reading`, which has no turn. It runs
after the changes of the batch were flushed, and sees them.

So the type checker refuses a rule that changes rows too early or in a
request that only reads, and at run time such a rule finds no attribute
to do it with (tests/unit/test_phases.py).

What was loaded is always looked up again in the turn: the same `get`
answers with what the rules before have made of it. What the store was
asked cannot be looked up again; for that there are subjects
(subjects.py).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from zchat.chat.awaitables import Question, Staging, TurnWait, Want
from zchat.chat.environment import Entropy, Facts
from zchat.chat.hashes import Hashes
from zchat.chat.paces import Pace, Paces
from zchat.chat.subjects import Counted, Subject
from zchat.chat.table_state import TableState
from zchat.chat.times_seen import TimesSeen
from zchat.chat.totals import Totals
from zchat.errors import Code, Refused
from zchat.model import (
    CHATS,
    MEMBERS,
    USERS,
    Chat,
    EventKey,
    FileChunk,
    Membership,
    Row,
    Rules,
    Table,
    User,
)
from zchat.queries import PRIMARY, Query, QueryCall, Statement
from zchat.rpc import events, results
from zchat.rpc.topics import chat_topic, inbox_topic

Answer = TypeVar("Answer")


class StaleRead(Exception):
    """What a rule asked is no longer true: it waits for the next batch."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """What is told to a chat or an inbox once the batch is durable.

    `key` seals it; None leaves it plain. `chat_id` and `seq` are set on
    messages only. A counted event is followed by heads, so that whoever
    lost it learns of it. A local event goes to this broker's subscribers
    alone.
    """

    topic: bytes
    key: EventKey | None
    body: events.Event
    chat_id: str | None = None
    seq: int = 0
    counted: bool = False
    local: bool = False


def _head_of(chat: Chat) -> events.Head:
    """Both counts of a chat, as they now stand."""
    return events.Head(chat_id=chat.id, seq=chat.head, revision=chat.revision)


class Shared(NamedTuple):
    """What the phases of all rules of a broker hold together."""

    rules: Rules
    entropy: Entropy
    common_id: str
    hashes: Hashes
    paces: Paces
    times_seen: TimesSeen
    totals: Totals
    states: Mapping[str, TableState]
    events: list[Event]
    notes: list[tuple[str, dict[str, Any]]]
    statements: list[tuple[Statement, dict[str, Any]]]
    stale: set[tuple[Any, ...]]
    adjustments: Counter[tuple[Any, ...]]


class View:
    """What every phase can look at: rows that were loaded, as they stand.

    `now` is the batch's time in microseconds, `now_text` the same as
    text.
    """

    __slots__ = (
        "rules",
        "entropy",
        "common_id",
        "hashes",
        "paces",
        "times_seen",
        "totals",
        "facts",
        "now",
        "now_text",
        "_states",
    )

    def __init__(self, shared: Shared, facts: Facts) -> None:
        self.rules = shared.rules
        self.entropy = shared.entropy
        self.common_id = shared.common_id
        self.hashes = shared.hashes
        self.paces = shared.paces
        self.times_seen = shared.times_seen
        self.totals = shared.totals
        self.facts = facts
        self.now = 0
        self.now_text = ""
        self._states = shared.states

    def get(self, table: Table[Row], key: Any) -> Row | None:
        """The loaded row as it now stands."""
        row: Row | None = self._states[table.name].rows[key]
        return row

    def get_unique(
        self, table: Table[Row], index: int, value: Any
    ) -> Row | None:
        """The loaded row whose unique fields have the value."""
        state = self._states[table.name]
        key = state.keys[index][value]
        row: Row | None = None if key is None else state.rows[key]
        return row

    def find_unique(
        self, table: Table[Row], index: int, value: Any
    ) -> Row | None:
        """As `get_unique`, but None also where it was not loaded."""
        state = self._states[table.name]
        key = state.keys[index].get(value)
        row: Row | None = None if key is None else state.rows[key]
        return row

    def find(self, table: Table[Row], key: Any) -> Row | None:
        """As `get`, but None also where it was not loaded."""
        row: Row | None = self._states[table.name].rows.get(key)
        return row

    def is_loaded(self, *wanted: tuple[Table[Any], Any]) -> bool:
        """Whether all these rows, by primary key, were looked up."""
        for table, key in wanted:
            if not self._states[table.name].knows(PRIMARY, key):
                return False
        return True

    def is_member(self, chat_id: str, user_id: str) -> bool:
        """Whether the user is in the chat, as far as was loaded."""
        return self.find(MEMBERS, (chat_id, user_id)) is not None

    def user(self, user_id: str) -> User:
        """A user known to exist and loaded."""
        user: User = self._states["users"].rows[user_id]
        return user

    def chat(self, chat_id: str) -> Chat:
        """A chat known to exist and loaded."""
        chat: Chat = self._states["chats"].rows[chat_id]
        return chat

    def membership(self, chat_id: str, user_id: str) -> Membership | None:
        """The chat and membership, or None: no chat, or not in it."""
        chat = self._states["chats"].rows[chat_id]
        member = self._states["members"].rows[chat_id, user_id]
        if chat is None or member is None:
            return None
        return Membership(chat, member)

    def place(self, chat_id: str, user_id: str) -> Membership:
        """A membership known to exist and loaded."""
        member = self._states["members"].rows[chat_id, user_id]
        return Membership(self.chat(chat_id), member)


class Reading(View):
    """What a rule may do that changes nothing, or not yet."""

    __slots__ = ("_events",)

    def __init__(self, shared: Shared, facts: Facts) -> None:
        super().__init__(shared, facts)
        self._events = shared.events

    async def load(self, table: Table[Row], key: Any) -> Row | None:
        """The row with the primary key, or None."""
        state = self._states[table.name]
        if not state.knows(PRIMARY, key):
            await Want([(table, PRIMARY, key)])
        row: Row | None = state.rows[key]
        return row

    async def load_each(
        self, wanted: Sequence[tuple[Table[Any], Any]]
    ) -> None:
        """Rows of several tables by their primary keys, in one go."""
        missing = [
            (table, PRIMARY, key)
            for table, key in wanted
            if not self._states[table.name].knows(PRIMARY, key)
        ]
        if missing:
            await Want(missing)

    async def load_all(self, table: Table[Row], wanted: Iterable[Any]) -> None:
        """The rows of one table with these primary keys, in one go."""
        await self.load_each([(table, key) for key in wanted])

    async def load_unique(
        self, table: Table[Row], index: int, value: Any
    ) -> Row | None:
        """The row whose `unique[index]` fields have the value."""
        if not self._states[table.name].knows(index, value):
            await Want([(table, index, value)])
        return self.get_unique(table, index, value)

    async def load_membership(
        self, chat_id: str, user_id: str
    ) -> Membership | None:
        """The chat and the user's membership in it, the chat first."""
        await self.load_each(((CHATS, chat_id), (MEMBERS, (chat_id, user_id))))
        return self.membership(chat_id, user_id)

    async def ask(self, query: Query[Answer], **params: Any) -> list[Answer]:
        """The answer of the store.

        A rule that changes something asks before its turn, and gets
        what was true before this batch; one that only reads sees the
        batch's changes.
        """
        return await Question(QueryCall(query, params))

    def tell_head(self, chat: Chat) -> None:
        """The chat's counts, to this broker's subscribers.

        It repeats what is known and changes nothing, hence it needs no
        turn.
        """
        self._events.append(
            Event(
                chat_topic(chat.id),
                chat.event_key,
                _head_of(chat),
                local=True,
            )
        )

    def tell_inbox_head(self, user: User) -> None:
        """The count of an inbox, to this broker's subscribers."""
        self._events.append(
            Event(
                inbox_topic(user.id),
                user.inbox_key,
                events.InboxHead(inbox=user.inbox),
                local=True,
            )
        )


class Turn(View):
    """A rule's turn: it may change what it loaded, and tell of it."""

    __slots__ = ("_events", "_notes", "_statements", "_stale", "_adjustments")

    def __init__(self, shared: Shared, facts: Facts) -> None:
        super().__init__(shared, facts)
        self._events = shared.events
        self._notes = shared.notes
        self._statements = shared.statements
        self._stale = shared.stale
        self._adjustments = shared.adjustments

    # Staleness

    def invalidate(self, subject: Subject, *ids: str) -> None:
        """What was asked about the subject may be untrue from now on."""
        self._stale.add((subject, *ids))

    def require_fresh(self, subject: Subject, *ids: str) -> None:
        """The checks that follow rest on what was asked about it.

        An answer of `ask` was true when the batch began. Where a rule
        before this one invalidated its subject, this one is run again
        in the next batch (it raises StaleRead); so it must not have
        changed anything yet.
        """
        if self.is_stale(subject, *ids):
            raise StaleRead

    def is_stale(self, subject: Subject, *ids: str) -> bool:
        """Whether a rule of this batch invalidated the subject."""
        return (subject, *ids) in self._stale

    def adjust_count(self, by: int, counted: Counted, *ids: str) -> None:
        """There are so many more, or fewer, than an ask counted."""
        self._adjustments[counted, *ids] += by

    def count_adjustment(self, counted: Counted, *ids: str) -> int:
        """How many more there are than an ask of this batch counted."""
        return self._adjustments[counted, *ids]

    # Pace

    def spend(self, pace: Pace, user_id: str) -> None:
        """Count one more, or refuse what the user does too often."""
        seconds = self.paces.wait(pace, user_id)
        if seconds:
            raise Refused(
                Code.RATE_LIMITED,
                f"You do this too often. Try again in {seconds} s.",
                retry_after=seconds,
                limit=pace.times,
                remaining=0,
            )
        self.paces.spend(pace, user_id)

    # Changing

    def put(self, table: Table[Row], row: Row) -> Row:
        """Insert or change a row; its key must have been loaded or new."""
        self._states[table.name].put(row)
        return row

    def add(self, table: Table[Row], row: Row) -> Row:
        """Insert a row whose key was made just now."""
        self._states[table.name].add(row)
        return row

    def change(self, table: Table[Row], row: Row, **fields: Any) -> Row:
        """A row that is there, with other values in some fields."""
        changed = replace(row, **fields)
        state = self._states[table.name]
        if table.names.isdisjoint(fields):
            state.amend(changed)
        else:
            state.put(changed)
        return changed

    def delete(self, table: Table[Row], row: Row) -> None:
        """Take a row away."""
        self._states[table.name].delete(row)

    def run(self, statement: Statement, **params: Any) -> None:
        """Run a statement when the batch is flushed, after the rows."""
        self._statements.append((statement, params))

    # Telling

    def tell_change(self, event: events.CountedEvent) -> Chat:
        """Tell a chat what happened in it, as its next revision.

        Sealed with the key that the chat has now. Returns the chat with
        the new revision.
        """
        chat = self.chat(event.chat_id)
        revision = chat.revision + 1
        self._events.append(
            Event(
                chat_topic(chat.id),
                chat.event_key,
                replace(event, revision=revision),
                counted=True,
            )
        )
        return self.change(CHATS, chat, revision=revision)

    def tell_hint(self, chat_id: str) -> Chat:
        """Count a revision that some members may not see.

        The chat is told its counts only: whoever may see what happened
        asks for it.
        """
        chat = self.chat(chat_id)
        chat = self.change(CHATS, chat, revision=chat.revision + 1)
        self._events.append(
            Event(
                chat_topic(chat.id),
                chat.event_key,
                _head_of(chat),
                counted=True,
            )
        )
        return chat

    def tell_passing(self, event: events.ChatEvent) -> None:
        """Tell a chat what is gone once it was seen: nothing counts it."""
        chat = self.chat(event.chat_id)
        self._events.append(Event(chat_topic(chat.id), chat.event_key, event))

    def tell_message(self, chat: Chat, message: results.Message) -> None:
        """The event of a new message."""
        self._events.append(
            Event(
                chat_topic(chat.id),
                chat.event_key,
                events.MessageSent(
                    chat_id=chat.id, seq=message.seq, message=message
                ),
                chat.id,
                message.seq,
                True,
            )
        )

    def tell_user(self, user_id: str, event: events.InboxEvent) -> User:
        """Tell all devices of a user, as the inbox's next event.

        Returns the user with the new count.
        """
        user = self.user(user_id)
        count = user.inbox + 1
        self._events.append(
            Event(
                inbox_topic(user.id),
                user.inbox_key,
                replace(event, inbox=count),
                counted=True,
            )
        )
        return self.change(USERS, user, inbox=count)

    def note(self, event: str, /, **fields: Any) -> None:
        """Something for the operator's log, once it is durable."""
        self._notes.append((event, fields))


class Writing(Reading):
    """What a rule may do that changes something, before its turn."""

    __slots__ = ("_wait",)

    def __init__(
        self, shared: Shared, facts: Facts, wait: TurnWait[Turn]
    ) -> None:
        super().__init__(shared, facts)
        self._wait = wait

    def turn(self) -> TurnWait[Turn]:
        """Wait until all have loaded and those before are done."""
        return self._wait

    def stage(self, chunk: FileChunk) -> Staging:
        """Let the bytes reach the disk before a batch counts them.

        They count for nothing by themselves. Perhaps the rule is run
        again from its beginning then, so it checks what it can before.
        """
        return Staging(chunk)

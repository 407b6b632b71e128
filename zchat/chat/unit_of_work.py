"""The unit of work: rows by key, changes, and events of one batch.

A rule loads with `await`, waits for its turn, and from then on looks
and changes without waiting. `turn` resumes the rules in the order in
which their requests arrived, so what a rule looks up after it includes
what those before it did.
"""

from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from zchat.chat.hashes import Hashes
from zchat.model import (
    CHATS,
    MEMBERS,
    TABLES,
    Chat,
    EventKey,
    Member,
    Row,
    Rules,
    Table,
    User,
    time_text,
)
from zchat.queries import PRIMARY, KeyLookup, Query, QueryCall, Statement
from zchat.rpc.topics import chat_topic, inbox_topic

Answer = TypeVar("Answer")
MISSING: Any = object()
MEMORY_ROWS = 100_000


class Entropy(Protocol):
    """Where new ids and secrets come from."""

    def id(self, now: int) -> str:
        """A UUID version 7 for the time `now`, in microseconds."""

    def token(self) -> str:
        """A UUID version 4."""

    def secret(self, size: int) -> bytes:
        """So many random bytes."""

    def word(self) -> str:
        """A few random characters for a name."""


class Facts(NamedTuple):
    """What the rules may tell of the server itself."""

    version: str
    epoch: str
    events: str
    connections: Callable[[], tuple[int, int]]
    gaps: int = 0


class Event(NamedTuple):
    """What is told to a chat or an inbox once the batch is durable.

    `key` seals it; None leaves it plain. `chat_id` and `seq` are set on
    messages only. A local event goes to this broker's subscribers alone.
    """

    topic: bytes
    key: EventKey | None
    body: dict[str, Any]
    chat_id: str | None = None
    seq: int = 0
    local: bool = False


class _Turn:
    def __await__(self) -> Generator["_Turn", None, None]:
        yield self


TURN = _Turn()


class StaleRead(Exception):
    """What a rule asked is no longer true: it waits for the next batch."""


class Want:
    """Rows by key that a rule waits for."""

    __slots__ = ("entries",)

    def __init__(self, entries: list[tuple[Table[Any], int, Any]]) -> None:
        self.entries = entries

    def __await__(self) -> Generator["Want", None, None]:
        yield self


class Question:
    """An ask that a rule waits for, and later its answer."""

    __slots__ = ("ask", "rows")

    def __init__(self, ask: QueryCall) -> None:
        self.ask = ask
        self.rows: list[Any] = []

    def __await__(self) -> Generator["Question", None, list[Any]]:
        yield self
        return self.rows


class Several:
    """What the parts of one rule wait for at the same time."""

    __slots__ = ("wants",)

    def __init__(self, wants: list[Any]) -> None:
        self.wants = wants

    def __await__(self) -> Generator["Several", None, None]:
        yield self


async def gather(parts: Sequence[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """The results of parts of a rule that load at the same time.

    For rules that only read, and whose parts would otherwise go to the
    store one after another.
    """
    answers: dict[int, Answer] = {}
    running = list(enumerate(parts))
    try:
        while running:
            wants, waiting = [], []
            for place, part in running:
                try:
                    wants.append(part.send(None))
                    waiting.append((place, part))
                except StopIteration as stop:
                    answers[place] = stop.value
            if wants:
                await Several(wants)
            running = waiting
    finally:
        for part in parts:
            part.close()
    return [answers[place] for place in range(len(parts))]


class TableState:
    """The rows of one table that are in memory, and their changes."""

    __slots__ = (
        "table",
        "rows",
        "keys",
        "inserts",
        "updates",
        "deletes",
        "absent",
    )

    def __init__(self, table: Table[Any]) -> None:
        self.table = table
        self.rows: dict[Any, Any] = {}
        self.keys: tuple[dict[Any, Any], ...] = tuple({} for _ in table.unique)
        self.inserts: dict[Any, Any] = {}
        self.updates: dict[Any, Any] = {}
        self.deletes: dict[Any, Any] = {}
        self.absent: list[tuple[int, Any]] = []

    def learn(
        self, index: int, wanted: Iterable[Any], found: Iterable[Any]
    ) -> None:
        """Rows came from the store; those wanted and not found are None.

        What this batch already changed is newer than what was read.
        """
        for row in found:
            key = self.table.key_of(row)
            if key not in self.rows:
                self._know(key, row)
        known = self.rows if index == PRIMARY else self.keys[index]
        for key in wanted:
            if key not in known:
                known[key] = None
                self.absent.append((index, key))

    def _know(self, key: Any, row: Any) -> None:
        self.rows[key] = row
        for keys, unique_of in zip(self.keys, self.table.unique_of):
            keys[unique_of(row)] = key

    def put(self, row: Any) -> None:
        """Insert or change a row."""
        key = self.table.key_of(row)
        old = self.rows.get(key)
        if old is not None:
            self._rename(key, old, row)
            changed = self.inserts if key in self.inserts else self.updates
        elif key in self.deletes:
            del self.deletes[key]
            changed = self.updates
        else:
            changed = self.inserts
        changed[key] = row
        if old is None:
            self._know(key, row)

    def _rename(self, key: Any, old: Any, row: Any) -> None:
        """The row with the key changes, perhaps its unique fields too."""
        self.rows[key] = row
        for index, unique_of in enumerate(self.table.unique_of):
            was, now = unique_of(old), unique_of(row)
            if was != now:
                self.keys[index][was] = None
                self.absent.append((index, was))
                self.keys[index][now] = key

    def delete(self, row: Any) -> None:
        """Take a row away."""
        key = self.table.key_of(row)
        if self.inserts.pop(key, None) is None:
            self.updates.pop(key, None)
            self.deletes[key] = row
        self.rows[key] = None
        self.absent.append((PRIMARY, key))
        for index, unique_of in enumerate(self.table.unique_of):
            self.keys[index][unique_of(row)] = None
            self.absent.append((index, unique_of(row)))

    def settle(self, keep: bool) -> None:
        """The batch is over: forget its changes, and rows unless kept."""
        if not (self.rows or self.absent):
            return
        self.inserts.clear()
        self.updates.clear()
        self.deletes.clear()
        if not keep or len(self.rows) > MEMORY_ROWS:
            self.rows.clear()
            for keys in self.keys:
                keys.clear()
        else:
            for index, key in self.absent:
                known = self.rows if index == PRIMARY else self.keys[index]
                if known.get(key, MISSING) is None:
                    del known[key]
        self.absent.clear()


class Changes(NamedTuple):
    """What a store is to write: tables that changed, in order, then
    statements."""

    tables: list[TableState]
    statements: list[tuple[Statement, dict[str, Any]]]

    def __bool__(self) -> bool:
        return bool(self.tables or self.statements)


class UnitOfWork:
    """What the rules of one batch read and change.

    `now` is the batch's time in microseconds, `now_text` the same as
    text; `lasting` says that rows
    may outlive the batch, because no other broker changes them.
    """

    def __init__(
        self,
        rules: Rules,
        facts: Facts,
        entropy: Entropy,
        common_id: str,
        cacheable: bool = False,
    ) -> None:
        self.rules = rules
        self.facts = facts
        self.entropy = entropy
        self.common_id = common_id
        self.cacheable = cacheable
        self.now = 0
        self.now_text = ""
        self.events: list[Event] = []
        self._states = {table.name: TableState(table) for table in TABLES}
        self._statements: list[tuple[Statement, dict[str, Any]]] = []
        self._stale: set[tuple[Any, ...]] = set()
        self._count_adjustments: Counter[tuple[Any, ...]] = Counter()
        self.hashes = Hashes()
        self.notes: list[tuple[str, dict[str, Any]]] = []

    # Loading: before the turn

    async def load(self, table: Table[Row], key: Any) -> Row | None:
        """The row with the primary key, or None."""
        state = self._states[table.name]
        if key not in state.rows:
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
            if key not in self._states[table.name].rows
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
        if value not in self._states[table.name].keys[index]:
            await Want([(table, index, value)])
        return self.get_unique(table, index, value)

    async def load_membership(self, chat_id: str, user_id: str) -> None:
        """The chat and the user's membership in it, the chat first."""
        await self.load_each(((CHATS, chat_id), (MEMBERS, (chat_id, user_id))))

    async def ask(self, query: Query[Answer], **params: Any) -> list[Answer]:
        """The answer of the store as it stood before this batch's turns.

        A rule that changes asks before its turn; one that only reads
        runs after the changes were flushed, and sees them.
        """
        return await Question(QueryCall(query, params))

    def turn(self) -> _Turn:
        """Wait until all have loaded and those before are done."""
        return TURN

    def unknown(
        self, table: Table[Any], index: int, values: Sequence[Any]
    ) -> dict[Any, None]:
        """Those of the values that have not been loaded, each once."""
        known = self._states[table.name].keys[index]
        return {value: None for value in values if value not in known}

    # Looking and changing: after the turn

    def invalidate(self, *subject: Any) -> None:
        """What was asked about the subject may be untrue from now on."""
        self._stale.add(subject)

    def require_fresh(self, *subject: Any) -> None:
        """The checks that follow rest on what was asked about it.

        An answer of `ask` was true when the batch began. Where somebody
        touched its subject since, the rule is run again in the next
        batch; so it must not have changed anything yet.
        """
        if self.is_stale(*subject):
            raise StaleRead

    def is_stale(self, *subject: Any) -> bool:
        """Whether somebody of this batch touched the subject."""
        return subject in self._stale

    def adjust_count(self, by: int, *subject: Any) -> None:
        """There are so many more, or fewer, than an ask counted."""
        self._count_adjustments[subject] += by

    def count_adjustment(self, *subject: Any) -> int:
        """How many more there are than an ask of this batch counted."""
        return self._count_adjustments[subject]

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

    def find(self, table: Table[Row], key: Any) -> Row | None:
        """As `get`, but None also where it was not loaded."""
        row: Row | None = self._states[table.name].rows.get(key)
        return row

    def is_member(self, chat_id: str, user_id: str) -> bool:
        """Whether the user is in the chat, as far as was loaded."""
        return self.find(MEMBERS, (chat_id, user_id)) is not None

    def put(self, table: Table[Row], row: Row) -> Row:
        """Insert or change a row; its key must have been loaded or new."""
        self._states[table.name].put(row)
        return row

    def change(self, table: Table[Row], row: Row, **fields: Any) -> Row:
        """The row with other values in some fields, put."""
        return self.put(table, msgspec.structs.replace(row, **fields))

    def delete(self, table: Table[Row], row: Row) -> None:
        """Take a row away."""
        self._states[table.name].delete(row)

    def run(self, statement: Statement, **params: Any) -> None:
        """Run a statement when the batch is flushed, after the rows."""
        self._statements.append((statement, params))

    def user(self, user_id: str) -> User:
        """A user known to exist and loaded."""
        user: User = self._states["users"].rows[user_id]
        return user

    def chat(self, chat_id: str) -> Chat:
        """A chat known to exist and loaded."""
        chat: Chat = self._states["chats"].rows[chat_id]
        return chat

    def membership(
        self, chat_id: str, user_id: str
    ) -> tuple[Chat, Member] | None:
        """The chat and membership, or None: no chat, or not in it."""
        chat = self._states["chats"].rows[chat_id]
        member = self._states["members"].rows[chat_id, user_id]
        if chat is None or member is None:
            return None
        return chat, member

    # Telling

    def tell_chat(self, chat: Chat, event: str, /, **fields: Any) -> None:
        """An event to all who are in the chat, sealed with its key."""
        self.events.append(
            Event(
                chat_topic(chat.id),
                chat.event_key,
                {"event": event, "chat_id": chat.id, **fields},
            )
        )

    def tell_message(
        self, chat: Chat, seq: int, message: dict[str, Any]
    ) -> None:
        """The event of a new message; `message` is a MESSAGE map."""
        self.events.append(
            Event(
                chat_topic(chat.id),
                chat.event_key,
                {
                    "event": "message",
                    "chat_id": chat.id,
                    "seq": seq,
                    "message": message,
                },
                chat.id,
                seq,
            )
        )

    def tell_head(self, chat: Chat) -> None:
        """The chat's head, to this broker's subscribers."""
        self.events.append(
            Event(
                chat_topic(chat.id),
                chat.event_key,
                {"event": "head", "chat_id": chat.id, "seq": chat.head},
                local=True,
            )
        )

    def tell_user(self, user: User, event: str, /, **fields: Any) -> None:
        """An event to all devices of a user."""
        self.events.append(
            Event(
                inbox_topic(user.id),
                user.inbox_key,
                {"event": event, **fields},
            )
        )

    def note(self, event: str, /, **fields: Any) -> None:
        """Something for the operator's log, once it is durable."""
        self.notes.append((event, fields))

    # For the runner of batches

    def learn(
        self, sources: list[KeyLookup], found: Sequence[Sequence[Any]]
    ) -> None:
        """What the store answered for the sources."""
        for source, rows in zip(sources, found):
            self._states[source.table.name].learn(
                source.unique, source.keys, rows
            )

    def changes(self) -> Changes:
        """All that is to be written."""
        return Changes(
            [
                state
                for state in self._states.values()
                if state.inserts or state.updates or state.deletes
            ],
            self._statements,
        )

    def settle(self) -> None:
        """The batch is committed: start anew for the next one."""
        self._end(self.cacheable)

    def abandon(self) -> None:
        """The batch was rolled back: nothing in memory is true now."""
        self._end(False)

    def _end(self, keep: bool) -> None:
        for state in self._states.values():
            state.settle(keep and state.table.cacheable)
        self._statements.clear()
        self._stale.clear()
        self._count_adjustments.clear()
        self.notes.clear()
        self.events.clear()

    def begin(self, now: int) -> None:
        """A batch begins at the time `now`, in microseconds."""
        self.now = now
        self.now_text = time_text(now)

"""The contract of a store on PostgreSQL: batches, locks and the feed."""

import re
import secrets
import selectors
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Final, cast

import psycopg
from psycopg import pq

from zchat.errors import (
    StoreAway,
    StoreBusy,
    StoreDoubtful,
    StoreError,
    StoreNotReady,
    StoreUnusable,
)
from zchat.model import SECOND, TABLES, FileChunk
from zchat.queries import (
    MESSAGES_BEFORE,
    QUERIES,
    SEARCH,
    STATEMENTS,
    KeyLookup,
    QueryCall,
    SearchParams,
)
from zchat.storage.base import (
    POSTGRES_TOOLS,
    BatchChanges,
    Copying,
    Outgoing,
    Store,
)
from zchat.storage.postgres import schema
from zchat.storage.postgres.clock import DatabaseClock
from zchat.storage.postgres.dialer import Dialer
from zchat.storage.postgres.feed import (
    Listener,
    OwnBatches,
    channel_of,
    payloads,
)
from zchat.storage.postgres.indexer import Indexer
from zchat.storage.postgres.link import (
    BINARY,
    REPLY_SECONDS,
    Command,
    Link,
    LinkLost,
    LockTimeout,
    NoReply,
)
from zchat.storage.postgres.rows import TABLE_SQL, TEXT, scalar
from zchat.storage.postgres.search import PostgresSearch
from zchat.storage.search import SEARCH_SECONDS, search
from zchat.storage.sql import blocks

PAUSE_SECONDS: Final = 1.0
PROBE_SECONDS: Final = 1.0
COLLISIONS: Final = 5
"""So many batches in a row that met locks are repeated; a lock that is
still there then is not another broker's."""
HEADS_KEPT: Final = 64
CONNECTIONS: Final = 2
_PARAMETER: Final = re.compile(r"(?<!:):([a-z_]+)")
_TABLE_ORDER: Final = {table.name: place for place, table in enumerate(TABLES)}

_BEGIN: Final = Command(b"begin", b"BEGIN")
_BEGIN_READING: Final = Command(
    b"begin reading", b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
)
_COMMIT: Final = Command(b"commit", b"COMMIT")
_ROLLBACK: Final = Command(b"rollback", b"ROLLBACK")
_PROBE: Final = Command(b"probe", b"SET LOCAL lock_timeout = '100ms'")
_HURRY: Final = Command(b"hurry", b"SET LOCAL lock_timeout = '50ms'")
_NOTIFY: Final = b"SELECT pg_notify($1, p) FROM unnest($2::text[]) AS p"


class _NamedSql:
    """A block of `queries.sql` with numbered parameters."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name.encode()
        self._params = list(dict.fromkeys(_PARAMETER.findall(text)))
        self._text = _PARAMETER.sub(
            lambda match: f"${self._params.index(match[1]) + 1}", text
        ).encode()

    def command(self, params: dict[str, Any]) -> Command:
        """The command with these parameters."""
        return Command(
            self._name,
            self._text,
            [scalar(params[name]) for name in self._params],
        )


def _may_come(error: psycopg.Error) -> bool:
    """Whether the database may be usable later as it is: it is not there
    yet, but would let us in."""
    return isinstance(
        error, psycopg.OperationalError
    ) and "authentication failed" not in str(error)


class PostgresStore(Store):
    """A database that any number of brokers share.

    One connection runs the batches, the other listens for events. A
    batch that writes is READ COMMITTED and locks the rows that it loads
    until it ends; so a chat's `seq` is counted by one broker at a time,
    and its events are notified in the order of the commits. A batch
    that only reads sees one snapshot.

    `new_id` makes the ids of a new store's common chat and epoch; `now`
    is its time in microseconds. `durability` is `full` (a commit is as
    durable as the database's own synchronous_commit makes it, and never
    less than fsynced there) or `normal` (not waited for). Raises
    StoreUnusable where the database cannot be reached or used.
    """

    cacheable = False

    def __init__(
        self,
        url: str,
        now: int,
        new_id: Callable[[], str],
        durability: str = "full",
    ) -> None:
        self._url = url
        self._now = now
        self._new_id = new_id
        self._durability = durability
        texts = blocks("postgres", skip_locked="FOR NO KEY UPDATE SKIP LOCKED")
        self._queries = {
            q.name: _NamedSql(q.name, texts[q.name]) for q in QUERIES
        }
        self._statements = {
            s.name: _NamedSql(s.name, texts[s.name]) for s in STATEMENTS
        }
        self._heads: dict[str, int] = {}
        self._search = PostgresSearch(
            lambda commands: self._run(commands, writing=False),
            lambda result, make: self._link().rows(result, make),
            self._queries[MESSAGES_BEFORE.name].command,
        )
        self._search_until = 0.0
        self._clock = DatabaseClock()
        self._paused_until = 0.0
        self._probing = False
        self._collisions = 0
        self.common_id = ""
        self._label = secrets.token_hex(8)
        self._batch = 0
        self._own = OwnBatches()
        self._delays: list[float] = []
        self._mode = ""
        self._queue: list[Command] = []
        self._changed = self._hurried = False
        self._local: list[Outgoing] = []
        self._selector = selectors.DefaultSelector()
        try:
            self._connect()
        except psycopg.Error as error:
            kind = StoreNotReady if _may_come(error) else StoreUnusable
            raise kind(
                "The database cannot be used as a store: "
                f"{' '.join(str(error).split())}."
            ) from error

    # Connections

    def _connect(self) -> None:
        self._work = Dialer("work", self._dial_work)
        try:
            self._listen = Dialer("feed", self._dial_feed)
        except psycopg.Error:
            self._work.close()
            raise
        listener = self._listen.current()
        assert listener is not None
        self.epoch = listener.epoch
        self._selector.register(listener.fileno(), selectors.EVENT_READ)
        self._indexer = Indexer(lambda: schema.connect(self._url), self._clock)

    def _dial_work(self) -> Link:
        connection = schema.connect(self._url)
        try:
            schema.configure(connection, self._durability)
            self._clock.measure(connection)
            common_id = schema.prepare(
                connection, self._now, self._new_id, dict(self._heads)
            )
            if self.common_id not in ("", common_id):
                raise StoreUnusable(
                    "The database now holds another store. Restart zchat."
                )
            self.common_id = common_id
            return Link(connection)
        except BaseException:
            connection.close()
            raise

    def _dial_feed(self) -> Listener:
        connection = schema.connect(self._url)
        try:
            return Listener(connection, channel_of(self.common_id), self._own)
        except BaseException:
            connection.close()
            raise

    def _link(self) -> Link:
        """The connection for batches; none: StoreAway, at once."""
        link = self._work.current()
        if link is None:
            link = self._work.renew()
            if link is None:
                raise StoreAway("the database cannot be reached")
        return link

    # A batch

    def now(self) -> int:
        return self._clock.now()

    def begin(self) -> None:
        self._search_until = 0.0

    def load(
        self,
        sources: Sequence[KeyLookup],
        asks: Sequence[QueryCall],
        lock: bool,
    ) -> tuple[list[list[Any]], list[list[Any]]]:
        places = sorted(
            range(len(sources)),
            key=lambda place: (
                _TABLE_ORDER[sources[place].table.name],
                sources[place].unique,
            ),
        )
        commands = [
            TABLE_SQL[sources[place].table.name].load(sources[place], lock)
            for place in places
        ]
        plain = [ask for ask in asks if ask.query is not SEARCH]
        commands += [
            self._queries[ask.query.name].command(ask.params) for ask in plain
        ]
        results = self._run(commands, writing=lock)
        rows = self._link().rows
        found: list[list[Any]] = [[] for _ in sources]
        for place, result in zip(places, results):
            found[place] = rows(result, sources[place].table.row)
        others = iter(zip(plain, results[len(sources) :]))
        answers = []
        for ask in asks:
            if ask.query is SEARCH:
                answers.append([self._find(cast(SearchParams, ask.params))])
            else:
                _, result = next(others)
                answers.append(rows(result, ask.query.row))
        if lock and not self._hurried:
            self._hurried = True
            self._queue.append(_HURRY)
        return found, answers

    def _find(self, wanted: SearchParams) -> Any:
        """A page of a search; all of a batch share its time."""
        self._search_until = self._search_until or (
            monotonic() + SEARCH_SECONDS
        )
        return search(self._search, wanted, self._search_until, monotonic)

    def write(self, changes: BatchChanges) -> None:
        """The changes go out with the next load, or with the commit."""
        self._open(writing=True)
        self._changed = True
        for delta in changes.tables:
            self._queue += TABLE_SQL[delta.table.name].write(delta)
        self._queue += [
            self._statements[statement.name].command(params)
            for statement, params in changes.statements
        ]

    def stage(self, owner: object, chunk: FileChunk) -> None:
        """Chunks are rows as others, and reach the disk with them."""

    def unstage(self, owner: object) -> None:
        """Nothing was staged."""

    def commit(self, outgoing: Sequence[Outgoing]) -> None:
        shared = [event for event in outgoing if not event.local]
        label = ""
        if shared:
            self._open(writing=True)
            self._changed = True
            label = self._next_label()
            self._queue.append(self._notification(label, shared))
        if self._mode:
            self._end()
        if label:
            self._own.keep(label, shared)
        self._local += [event for event in outgoing if event.local]
        self._remember(shared)

    def _open(self, writing: bool) -> None:
        """The transaction that the next commands need begins."""
        mode = "write" if writing else "read"
        if self._mode == "write" or self._mode == mode:
            return
        if self._mode:
            self._queue.append(_COMMIT)
        self._queue.append(_BEGIN if writing else _BEGIN_READING)
        if self._probing:
            self._queue.append(_PROBE)
        self._mode = mode

    def _run(
        self, commands: Sequence[Command], writing: bool
    ) -> list[pq.abc.PGresult]:
        """What waits, then the commands; the results of these.

        After one that got no answer in time there is a pause in which
        nothing is asked, then a short attempt: so the loop has time for
        everything else.
        """
        if monotonic() < self._paused_until:
            raise StoreAway("the database does not answer in time")
        self._open(writing)
        queue, self._queue = self._queue, []
        link = self._link()
        try:
            found = link.exchange(
                [*queue, *commands],
                PROBE_SECONDS if self._probing else REPLY_SECONDS,
            )[len(queue) :]
        except LinkLost as error:
            if isinstance(error, NoReply):
                self._pause()
            self._work.lose(str(error))
            raise
        except LockTimeout as error:
            self._collisions += 1
            if self._hurried and self._collisions <= COLLISIONS:
                raise
            self._pause()
            raise StoreAway(str(error)) from error
        self._probing = False
        return found

    def _pause(self) -> None:
        self._paused_until = monotonic() + PAUSE_SECONDS
        self._probing = True
        self._collisions = 0

    def _end(self) -> None:
        """Commit; what changed nothing is not waited for on the disk."""
        changed = self._changed
        writing = self._mode == "write"
        try:
            (result,) = self._run([_COMMIT if changed else _ROLLBACK], writing)
        except LinkLost as error:
            if changed:
                raise StoreDoubtful(str(error)) from error
            raise
        if changed and result.command_status != b"COMMIT":
            raise StoreBusy("the transaction was rolled back")
        self._collisions = 0
        self._forget()

    def rollback(self) -> None:
        mode = self._mode
        self._forget()
        link = self._work.current()
        if mode and link is not None:
            try:
                link.exchange([_ROLLBACK])
            except StoreError as error:
                self._work.lose(str(error))

    def _forget(self) -> None:
        self._mode = ""
        self._queue = []
        self._changed = self._hurried = False

    # The feed

    def _next_label(self) -> str:
        self._batch += 1
        return f"{self._label}{self._batch:x}"

    def _notification(
        self, label: str, outgoing: Sequence[Outgoing]
    ) -> Command:
        parts = payloads(label, self._clock.now(), outgoing)
        return Command(
            b"notify",
            _NOTIFY,
            [channel_of(self.common_id).encode(), TEXT.array(parts)],
            (BINARY, BINARY),
        )

    def _remember(self, outgoing: Sequence[Outgoing]) -> None:
        """The newest heads, for the time after a failover."""
        for event in outgoing:
            if event.chat_id is not None:
                self._heads.pop(event.chat_id, None)
                self._heads[event.chat_id] = event.seq
        for chat_id in list(self._heads)[:-HEADS_KEPT]:
            del self._heads[chat_id]

    def feed(self) -> tuple[list[Outgoing], bool]:
        events, self._local = self._local, []
        listener, lost = self._listener()
        if listener is None:
            return events, False
        try:
            received = listener.receive()
        except psycopg.Error as error:
            self._selector.unregister(listener.fileno())
            self._listen.lose(str(error).strip())
            return events, False
        self.epoch = listener.epoch
        now = self._clock.now()
        self._delays += [max(0, now - sent) / SECOND for sent in received.sent]
        for chat_id in dict.fromkeys(e.chat_id for e in received.events):
            if chat_id is not None:
                self._indexer.note(chat_id)
        return events + received.events, lost or received.lost

    def feed_delays(self) -> list[float]:
        delays, self._delays = self._delays, []
        return delays

    def _listener(self) -> tuple[Listener | None, bool]:
        """Who listens now, and whether nobody did for a while."""
        listener = self._listen.current()
        if listener is not None:
            return listener, False
        listener = self._listen.renew()
        if listener is not None:
            self._own.clear()
            self._selector.register(listener.fileno(), selectors.EVENT_READ)
        return listener, listener is not None

    def feed_fd(self) -> int:
        return self._selector.fileno()

    def connections(self) -> tuple[int, int]:
        opened = (self._work.current(), self._listen.current())
        return CONNECTIONS, sum(one is not None for one in opened)

    def back_up(self, path: Path) -> Copying:
        raise StoreUnusable(POSTGRES_TOOLS)

    def close(self) -> None:
        self._selector.close()
        self._indexer.close()
        self._work.close()
        self._listen.close()

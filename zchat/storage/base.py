"""The contract of a store: one transaction a batch, sets in and out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from msgspec import Struct

from zchat.model import FileChunk, Table
from zchat.queries import KeyLookup, QueryCall, Statement

POSTGRES_TOOLS: Final = (
    "A PostgreSQL store is backed up, restored and checked with "
    "PostgreSQL's own tools: pg_dump, pg_restore and pg_amcheck. See "
    "docs/howto/backup.md."
)


class Outgoing(Struct, frozen=True, gc=False):
    """A finished event: topic and body as they go onto the socket.

    `chat_id` and `seq` are set on messages. A counted event is one that
    every broker follows with heads of its topic. A local one is not
    shown to other brokers.
    """

    topic: bytes
    body: bytes
    chat_id: str | None = None
    seq: int = 0
    counted: bool = False
    local: bool = False


class TableChanges(Protocol):
    """The rows of one table that a batch inserts, changes, deletes."""

    @property
    def table(self) -> Table[Any]:
        """Which table."""

    @property
    def inserts(self) -> dict[Any, Any]:
        """New rows by primary key."""

    @property
    def updates(self) -> dict[Any, Any]:
        """Changed rows by primary key."""

    @property
    def deletes(self) -> dict[Any, Any]:
        """Deleted rows by primary key."""


class BatchChanges(Protocol):
    """All that a batch writes; falsy where it is nothing."""

    @property
    def tables(self) -> Sequence[TableChanges]:
        """Per changed table, in the fixed order of `model.TABLES`."""

    @property
    def statements(self) -> Sequence[tuple[Statement, dict[str, Any]]]:
        """Bulk changes, run in order after the rows were written."""

    def __bool__(self) -> bool:
        """Whether there is anything to write."""


class Copied(NamedTuple):
    """A finished backup: its size, and the epoch that it was taken of."""

    bytes: int
    epoch: str


class Copying(Protocol):
    """A backup under way, which `Store.back_up` begins."""

    @property
    def is_done(self) -> bool:
        """Whether `result` would not wait."""

    def result(self) -> Copied:
        """Wait for the end. Raises StoreError where it failed."""

    def give_up(self) -> None:
        """End it, and leave nothing behind."""


class Store(ABC):
    """One store as one broker uses it, from one thread.

    A batch is `begin`, any number of `load`, at most one `write`, then
    `commit` or `rollback`. Everything may raise `StoreAway` (nothing
    was changed; try later) and `StoreBusy` (repeat the batch). After
    `write`, which may put its work off, everything may also raise
    `StoreRejected` (a constraint was broken). `commit` may raise
    `StoreDoubtful` (away, and it may have happened). After each of them
    the caller calls `rollback`.
    """

    epoch: str
    """A UUID of this store's history; a restored copy has another."""

    common_id: str
    """The id of the one common chat, made with the store."""

    cacheable: bool
    """Whether rows may be kept in memory between batches, because this
    broker is the only one that changes them."""

    @abstractmethod
    def now(self) -> int:
        """The time in microseconds, the same for all of its brokers."""

    @abstractmethod
    def begin(self) -> None:
        """A batch begins."""

    @abstractmethod
    def load(
        self,
        sources: Sequence[KeyLookup],
        asks: Sequence[QueryCall],
        lock: bool,
    ) -> tuple[list[list[Any]], list[list[Any]]]:
        """The rows of each source that exist, and each ask's answer.

        With `lock`, rows by key cannot be changed by another broker
        until the batch ends; they are taken table by table in the order
        of `model.TABLES`, each in the order of its primary key; asks
        are answered after that. What takes rows that nobody else is
        taking (`sql/queries.sql`) needs it too. `queries.SEARCH` is an
        ask of rules that only read: all searches of a batch share
        `search.SEARCH_SECONDS`.
        """

    @abstractmethod
    def write(self, changes: BatchChanges) -> None:
        """Deletes, then updates, then inserts; then the statements.

        A message's chat is there, and the message never changes its
        chat or its seq.
        """

    @abstractmethod
    def stage(self, owner: object, chunk: FileChunk) -> Future[None] | None:
        """Begin to put a chunk on the disk ahead of the batch writing it.

        The owner waits for what is returned before it asks again, and
        then goes on. None: it goes on at once; `write` does the rest.
        """

    @abstractmethod
    def unstage(self, owner: object) -> None:
        """The owner's batch is over, whether it wrote the chunk or not."""

    @abstractmethod
    def commit(self, outgoing: Sequence[Outgoing]) -> None:
        """The batch is durable, and its events are on the feed."""

    @abstractmethod
    def rollback(self) -> None:
        """The batch did not happen; never raises."""

    @abstractmethod
    def feed(self) -> tuple[list[Outgoing], bool]:
        """Events to publish, in commit order, and whether some were lost.

        Where several brokers share the store, theirs are among them,
        each chat's in the order of `seq`. To be called every turn of
        the loop: a feed that broke comes back here, and so does what the
        store does by itself, in small portions.
        """

    @abstractmethod
    def feed_delays(self) -> list[float]:
        """The seconds that each batch of events took to reach `feed`.

        From just before its commit, by whichever broker; of the batches
        since this was last called. Empty where the store is not shared.
        """

    @abstractmethod
    def feed_fd(self) -> int | None:
        """A descriptor that is readable when `feed` should be called, or
        None where there is no such reason."""

    @abstractmethod
    def connections(self) -> tuple[int, int]:
        """How many connections to the database may be, and are, open."""

    @abstractmethod
    def back_up(self, path: Path) -> Copying:
        """Begin to copy all that is committed by now into a new file.

        The store goes on being used meanwhile. Raises StoreUnusable
        where the file cannot be made, or the store has tools of its own.
        """

    @abstractmethod
    def close(self) -> None:
        """Give everything back; the store cannot be used afterwards."""

"""One connection to PostgreSQL: commands out, results in, one round trip.

The connection stays in pipeline mode. Nothing waits longer than it is
told to, so that a database that hangs cannot hold up the broker's loop.
"""

import select
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Loader, Transformer
from psycopg.types.string import TextLoader

from zchat.errors import StoreAway, StoreBusy, StoreError, StoreRejected

REPLY_SECONDS: Final = 5.0
_LOST_CLASSES: Final = frozenset({"08", "57"})
_REJECTED_CLASSES: Final = frozenset({"22", "23"})
_BUSY_STATES: Final = frozenset({"40001", "40P01"})
READ_ONLY_STATE: Final = "25006"
LOCK_TIMEOUT_STATE: Final = "55P03"


TEXT: Final = int(pq.Format.TEXT)
BINARY: Final = int(pq.Format.BINARY)


class Command(NamedTuple):
    """A statement, prepared under its name, with its parameters.

    `formats` are TEXT or BINARY, one a parameter; without them all are
    text. `binary` asks for a result in binary.
    """

    name: bytes
    text: bytes
    params: Sequence[bytes | None] = ()
    formats: Sequence[int] | None = None
    binary: bool = False


class LinkLost(StoreAway):
    """The connection is gone; what was under way may have happened."""


class NoReply(LinkLost):
    """The database did not answer in time."""


class LockTimeout(StoreBusy):
    """Another broker holds a row for too long."""


class _UuidText(Loader):
    """A binary uuid as lower-case text."""

    format = pq.Format.BINARY

    def load(self, data: Buffer) -> str:
        return str(UUID(bytes=bytes(data)))


def error_of(result: pq.abc.PGresult) -> StoreError:
    """The store's error for a command that failed."""
    field = result.error_field(pq.DiagnosticField.SQLSTATE)
    state = field.decode() if field else ""
    primary = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
    text = f"{primary.decode(errors='replace') if primary else ''} ({state})"
    if state in _BUSY_STATES:
        return StoreBusy(text)
    if state == LOCK_TIMEOUT_STATE:
        return LockTimeout(text)
    if state[:2] in _REJECTED_CLASSES:
        return StoreRejected(text)
    if not state or state[:2] in _LOST_CLASSES or state == READ_ONLY_STATE:
        return LinkLost(text)
    return StoreAway(text)


class Link:
    """A connection in pipeline mode.

    `exchange` raises LinkLost where the connection broke or the
    database did not answer in time, and what `error_of` makes of the
    first command that failed.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._prepared: set[bytes] = set()
        connection.adapters.register_loader("uuid", TextLoader)
        connection.adapters.register_loader("uuid", _UuidText)
        self._transformer = Transformer(connection)
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()
        self._poll = select.poll()
        self._fd = self._pgconn.socket

    def exchange(
        self, commands: Sequence[Command], seconds: float = REPLY_SECONDS
    ) -> list[pq.abc.PGresult]:
        """Run the commands; the result of each, in order.

        After the first that fails the server skips the rest.
        """
        try:
            return self._exchange(commands, monotonic() + seconds)
        except psycopg.Error as error:
            raise LinkLost(str(error).strip()) from error

    def _exchange(
        self, commands: Sequence[Command], deadline: float
    ) -> list[pq.abc.PGresult]:
        pgconn = self._pgconn
        sent = set(self._prepared)
        new = [self._send(command, sent) for command in commands]
        pgconn.pipeline_sync()
        found: list[pq.abc.PGresult] = []
        failure: StoreError | None = None
        for command, is_new in zip(commands, new):
            if is_new:
                failure = self._keep(command, deadline) or failure
            result = self._result(deadline)
            found.append(result)
            failure = failure or _failure(result)
        self._result(deadline)
        if failure is not None:
            raise failure
        return found

    def _send(self, command: Command, prepared: set[bytes]) -> bool:
        """Queue a command; whether it had to be prepared as well."""
        new = command.name not in prepared
        if new:
            prepared.add(command.name)
            self._pgconn.send_prepare(command.name, command.text)
        self._pgconn.send_query_prepared(
            command.name,
            command.params,
            command.formats,
            int(command.binary),
        )
        return new

    def _keep(self, command: Command, deadline: float) -> StoreError | None:
        result = self._result(deadline)
        if result.status == pq.ExecStatus.COMMAND_OK:
            self._prepared.add(command.name)
        return _failure(result)

    def _result(self, deadline: float) -> pq.abc.PGresult:
        """The next result; those of one command end with a None."""
        pgconn = self._pgconn
        while True:
            self._flush(deadline)
            while pgconn.is_busy():
                self._wait(select.POLLIN, deadline)
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is not None:
                return result
            if pgconn.status != pq.ConnStatus.OK:
                raise LinkLost(pgconn.get_error_message().strip())

    def _flush(self, deadline: float) -> None:
        while self._pgconn.flush():
            self._wait(select.POLLIN | select.POLLOUT, deadline)
            self._pgconn.consume_input()

    def _wait(self, events: int, deadline: float) -> None:
        left = deadline - monotonic()
        self._poll.register(self._fd, events)
        if left <= 0 or not self._poll.poll(left * 1000):
            raise NoReply("the database does not answer")

    def rows(self, result: pq.abc.PGresult, make: Any) -> list[Any]:
        """The result's rows, each `make` of its values."""
        transformer = self._transformer
        transformer.set_pgresult(result)
        return transformer.load_rows(
            0, result.ntuples, lambda values: make(*values)
        )

    def close(self) -> None:
        """Close the connection; the server rolls back what is open."""
        self._connection.close()


def _failure(result: pq.abc.PGresult) -> StoreError | None:
    if result.status == pq.ExecStatus.FATAL_ERROR:
        return error_of(result)
    return None

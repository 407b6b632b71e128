"""The events of a batch as notifications, and back.

A batch's events are one packed text, cut into payloads of less than
8,000 bytes. PostgreSQL delivers the notifications of a transaction
together and in order, transactions in the order of their commits.

A broker hears its own batches as well: so it learns where they stand
among those of others. It has their events already, and reads no more of
them than their label.
"""

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import psycopg

from zchat.storage.base import Outgoing

STUCK_SECONDS: Final = 30
EPOCH_HEADING: Final = "epoch "
"""Before the new epoch, in a notification of its own."""
_HEADING: Final = re.compile(r"([0-9a-f]+):(\d+):(\d+):(\d+):")
PART_BYTES: Final = 7_900
"""Of a payload, which must stay below 8,000 with its heading."""
OWN_BATCHES_KEPT: Final = 64
"""More than that wait only where the feed is stuck."""
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Outgoing]).decode


def payloads(label: str, sent: int, outgoing: Sequence[Outgoing]) -> list[str]:
    """The payloads that carry the events.

    `label` tells batches apart; PostgreSQL drops a payload that is
    equal to one before it in the same transaction, and none here is.
    `sent` is the time in microseconds.
    """
    text = b2a_base64(_encode(outgoing), newline=False).decode()
    parts = [
        text[start : start + PART_BYTES]
        for start in range(0, len(text), PART_BYTES)
    ]
    return [
        f"{label}:{index}:{len(parts)}:{sent}:{part}"
        for index, part in enumerate(parts)
    ]


class OwnBatches:
    """The events of this broker's batches that have not come back.

    Only the newest are kept: what was forgotten is read like another
    broker's.
    """

    def __init__(self) -> None:
        self._events: dict[str, Sequence[Outgoing]] = {}

    def keep(self, label: str, events: Sequence[Outgoing]) -> None:
        """The batch is committed."""
        self._events[label] = events
        if len(self._events) > OWN_BATCHES_KEPT:
            del self._events[next(iter(self._events))]

    def take(self, label: str) -> Sequence[Outgoing] | None:
        """The batch has come back: its events, where they were kept."""
        return self._events.pop(label, None)

    def clear(self) -> None:
        """Nothing that is kept comes back any more."""
        self._events.clear()


class Assembly:
    """Puts payloads together again.

    `lost` says that some are missing; `sent` are the times of the
    batches that were completed.
    """

    def __init__(self, own: OwnBatches) -> None:
        self.lost = False
        self.sent: list[int] = []
        self._own = own
        self._label = ""
        self._parts: list[str] = []

    def add(self, payload: str) -> Sequence[Outgoing]:
        """The events of the batch that this payload completes."""
        heading = _HEADING.match(payload)
        if heading is None:
            return self._miss()
        label, index, count, sent = heading.groups()
        text = payload[heading.end() :]
        if int(index) == 0:
            self.lost |= bool(self._parts)
            self._label, self._parts = label, []
        elif label != self._label or int(index) != len(self._parts):
            return self._miss()
        self._parts.append(text)
        if len(self._parts) < int(count):
            return []
        text = "".join(self._parts)
        self._parts = []
        self.sent.append(int(sent))
        own = self._own.take(label)
        if own is not None:
            return own
        try:
            return _decode(a2b_base64(text))
        except (ValueError, msgspec.MsgspecError):
            return self._miss()

    def _miss(self) -> list[Outgoing]:
        self.lost = True
        self._parts = []
        return []


def channel_of(common_id: str) -> str:
    """The channel of the store with this common chat."""
    return f"zchat_{common_id.replace('-', '')}"


def epoch_of(connection: psycopg.Connection[Any]) -> str:
    """The store's epoch."""
    row = connection.execute(
        "SELECT value FROM meta WHERE name = 'epoch'"
    ).fetchone()
    assert row is not None
    return str(row[0])


class Received(NamedTuple):
    """Events, whether some were lost, and when each batch was sent.

    The times are microseconds, by the clock of the database.
    """

    events: list[Outgoing]
    lost: bool
    sent: list[int]


class Listener:
    """A connection that listens on one channel.

    The server's queue of notifications cannot shrink below what a
    listener has not read; one that reads nothing over TCP is cut off.
    `epoch` is the store's as it was last told.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        channel: str,
        own: OwnBatches,
    ) -> None:
        connection.execute(
            f"SET tcp_user_timeout = '{STUCK_SECONDS}s'; "
            "SET application_name = 'zchat feed'".encode()
        )
        connection.execute(f'LISTEN "{channel}"'.encode())
        self.epoch = epoch_of(connection)
        self._connection = connection
        self._fd = connection.pgconn.socket
        self._assembly = Assembly(own)

    def fileno(self) -> int:
        """What is readable when notifications have come."""
        return self._fd

    def receive(self) -> Received:
        """The events that are there.

        Raises psycopg.Error where the connection is gone.
        """
        pgconn = self._connection.pgconn
        pgconn.consume_input()
        events: list[Outgoing] = []
        while notification := pgconn.notifies():
            payload = notification.extra.decode()
            if payload.startswith(EPOCH_HEADING):
                self.epoch = payload.removeprefix(EPOCH_HEADING)
            else:
                events += self._assembly.add(payload)
        assembly = self._assembly
        received = Received(events, assembly.lost, assembly.sent)
        assembly.lost, assembly.sent = False, []
        return received

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

"""The events of a batch as notifications, and back.

A batch's events are one packed text, cut into payloads of less than
8,000 bytes. PostgreSQL delivers the notifications of a transaction
together and in order, transactions in the order of their commits.
"""

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from zchat.storage.base import Outgoing

CHATS_KEPT: Final = 4_096
STUCK_SECONDS: Final = 30
EPOCH_HEADING: Final = "epoch "
"""Before the new epoch, in a notification of its own."""
_HEADING: Final = re.compile(r"([0-9a-f]+):(\d+):(\d+):")
PART_BYTES: Final = 7_900
"""Of a payload, which must stay below 8,000 with its heading."""
_Entry = tuple[bytes, bytes, bytes | None, int, bool]
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[_Entry]).decode


def payloads(label: str, outgoing: Sequence[Outgoing]) -> list[str]:
    """The payloads that carry the events.

    `label` tells batches apart; PostgreSQL drops a payload that is
    equal to one before it in the same transaction, and none here is.
    """
    text = b2a_base64(
        _encode(
            [
                (
                    event.topic,
                    event.body,
                    event.chat_id and _id_bytes(event.chat_id),
                    event.seq,
                    event.counted,
                )
                for event in outgoing
            ]
        ),
        newline=False,
    ).decode()
    parts = [
        text[start : start + PART_BYTES]
        for start in range(0, len(text), PART_BYTES)
    ]
    return [
        f"{label}:{index}:{len(parts)}:{part}"
        for index, part in enumerate(parts)
    ]


class Assembly:
    """Puts payloads together again; `lost` says that some are missing."""

    def __init__(self) -> None:
        self.lost = False
        self._label = ""
        self._parts: list[str] = []

    def add(self, payload: str) -> list[Outgoing]:
        """The events of the batch that this payload completes."""
        heading = _HEADING.match(payload)
        if heading is None:
            return self._miss()
        label, index, count = heading.groups()
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
        try:
            return [_event(entry) for entry in _decode(a2b_base64(text))]
        except (ValueError, msgspec.MsgspecError):
            return self._miss()

    def _miss(self) -> list[Outgoing]:
        self.lost = True
        self._parts = []
        return []


def _event(entry: _Entry) -> Outgoing:
    topic, body, chat, seq, counted = entry
    chat_id = _id_text(chat) if chat else None
    return Outgoing(topic, body, chat_id, seq, counted)


@lru_cache(CHATS_KEPT)
def _id_bytes(id: str) -> bytes:
    return UUID(id).bytes


@lru_cache(CHATS_KEPT)
def _id_text(id: bytes) -> str:
    return str(UUID(bytes=id))


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


class Listener:
    """A connection that listens on one channel.

    The server's queue of notifications cannot shrink below what a
    listener has not read; one that reads nothing over TCP is cut off.
    `epoch` is the store's as it was last told.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], channel: str
    ) -> None:
        connection.execute(
            f"SET tcp_user_timeout = '{STUCK_SECONDS}s'; "
            "SET application_name = 'zchat feed'".encode()
        )
        connection.execute(f'LISTEN "{channel}"'.encode())
        self.epoch = epoch_of(connection)
        self._connection = connection
        self._fd = connection.pgconn.socket
        self._assembly = Assembly()

    def fileno(self) -> int:
        """What is readable when notifications have come."""
        return self._fd

    def receive(self) -> tuple[list[Outgoing], bool]:
        """The events that are there, and whether some were lost.

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
        lost, self._assembly.lost = self._assembly.lost, False
        return events, lost

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

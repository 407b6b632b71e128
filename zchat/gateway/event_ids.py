"""Event ids: how far a stream has come in every chat, and in which epoch.

A stream's id is all that the gateway needs to resume it, so nothing is
kept between two streams. It holds the store's epoch, because the counts
of another epoch (a restored store) mean other messages.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from zchat.client.session import ChatCursor, Cursors, Event
from zchat.rpc.events import ChatAdded, CountedEvent, MessageSent

# A place takes 16 bytes, so an id stays below the limit on a header.
_EPOCH_BYTES: Final = 16
_CHAT_BYTES: Final = 6
_COUNT_BYTES: Final = 5
_PLACE_BYTES: Final = _CHAT_BYTES + 2 * _COUNT_BYTES
_MOST_PLACES: Final = 680
_UNKNOWN: Final = 2 ** (8 * _COUNT_BYTES) - 1
"""In place of a revision: what changed before is not told."""


class Places:
    """How far a stream has come in each chat; its text is the event id.

    Of a chat's id the last bytes stand for it: they are random, and a
    user's chats are few.
    """

    def __init__(self, cursors: Cursors) -> None:
        self._bytes = bytearray(_epoch_bytes(cursors.epoch))
        self._offset_of: dict[bytes, int] = {}
        for at in cursors.chats:
            revision = _UNKNOWN if at.revision is None else at.revision
            self._append(_short(at.chat_id), at.seq, revision)

    def _append(self, short: bytes, seq: int, revision: int) -> None:
        self._offset_of[short] = len(self._bytes) + _CHAT_BYTES
        self._bytes += short + _count(seq) + _count(revision)

    def follow(self, event: Event) -> None:
        """An event has been sent: move the place that it counts in."""
        match event:
            case MessageSent(chat_id=chat_id, seq=seq):
                self._move(chat_id, 0, seq)
            case CountedEvent(chat_id=chat_id, revision=revision):
                self._move(chat_id, _COUNT_BYTES, revision)
            case ChatAdded(chat_id=chat_id):
                short = _short(chat_id)
                if short not in self._offset_of:
                    self._append(short, 0, 0)

    def _move(self, chat_id: str, after: int, count: int) -> None:
        short = _short(chat_id)
        if short not in self._offset_of:
            self._append(short, 0, 0)
        start = self._offset_of[short] + after
        self._bytes[start : start + _COUNT_BYTES] = _count(count)

    @property
    def text(self) -> str:
        """The id of the last event sent; empty when it would be too long."""
        if len(self._offset_of) > _MOST_PLACES:
            return ""
        return urlsafe_b64encode(self._bytes).decode("ascii")


def cursors_of(text: str, chat_ids: Iterable[str]) -> Cursors:
    """The cursors in an event id, of those chats; raises ValueError.

    Chats that are not in it came later: they have no cursor.
    """
    data = urlsafe_b64decode(text.encode("ascii"))
    epoch, places = data[:_EPOCH_BYTES], data[_EPOCH_BYTES:]
    if len(epoch) < _EPOCH_BYTES or len(places) % _PLACE_BYTES:
        raise ValueError("not an event id")
    counts_by_short = {
        places[start : start + _CHAT_BYTES]: places[
            start + _CHAT_BYTES : start + _PLACE_BYTES
        ]
        for start in range(0, len(places), _PLACE_BYTES)
    }
    return Cursors(
        str(UUID(bytes=epoch)),
        tuple(
            _cursor(chat_id, counts_by_short[_short(chat_id)])
            for chat_id in chat_ids
            if _short(chat_id) in counts_by_short
        ),
    )


def _cursor(chat_id: str, counts: bytes) -> ChatCursor:
    seq = int.from_bytes(counts[:_COUNT_BYTES], "big")
    revision = int.from_bytes(counts[_COUNT_BYTES:], "big")
    return ChatCursor(chat_id, seq, None if revision == _UNKNOWN else revision)


def _epoch_bytes(epoch: str | None) -> bytes:
    if epoch is None:
        raise ValueError("a stream's cursors have an epoch")
    return UUID(epoch).bytes


def _count(number: int) -> bytes:
    return number.to_bytes(_COUNT_BYTES, "big")


def _short(chat_id: str) -> bytes:
    return bytes.fromhex(chat_id.replace("-", ""))[-_CHAT_BYTES:]

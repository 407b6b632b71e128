"""Event ids: how far a stream has come in every chat, and in which epoch.

A stream's id is all that the gateway needs to resume it, so nothing is
kept between two streams. It holds the store's epoch, because the counts
of another epoch (a restored store) mean other messages.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

# A place takes 11 bytes, so an id stays below the limit on a header.
_EPOCH_BYTES: Final = 16
_CHAT_BYTES: Final = 6
_SEQ_BYTES: Final = 5
_PLACE_BYTES: Final = _CHAT_BYTES + _SEQ_BYTES
_MOST_PLACES: Final = 1000


class Places:
    """How far a stream has come in each chat; its text is the event id.

    `epoch` is the store's, a UUID. Of a chat's id the last bytes stand
    for it: they are random, and a user's chats are few.
    """

    def __init__(self, epoch: str, seq_by_chat: Mapping[str, int]) -> None:
        self._bytes = bytearray(_epoch_bytes(epoch))
        self._offset_of: dict[bytes, int] = {}
        for chat_id, seq in seq_by_chat.items():
            self.move(chat_id, seq)

    def move(self, chat_id: str, seq: int) -> None:
        """The chat's events have been sent up to `seq`."""
        short = _short(chat_id)
        offset = self._offset_of.setdefault(short, len(self._bytes))
        self._bytes[offset : offset + _PLACE_BYTES] = short + seq.to_bytes(
            _SEQ_BYTES, "big"
        )

    def add(self, chat_id: str) -> None:
        """The chat was told of; a place that it has is kept."""
        if _short(chat_id) not in self._offset_of:
            self.move(chat_id, 0)

    @property
    def text(self) -> str:
        """The id of the last event sent; empty when it would be too long."""
        if len(self._offset_of) > _MOST_PLACES:
            return ""
        return urlsafe_b64encode(self._bytes).decode("ascii")


def cursors_of(
    text: str, epoch: str, chat_ids: Iterable[str]
) -> dict[str, int] | None:
    """The cursors in an event id, of those chats; raises ValueError.

    None if the id is of another epoch. Chats that are not in it came
    later: they have no cursor.
    """
    data = urlsafe_b64decode(text.encode("ascii"))
    places = data[_EPOCH_BYTES:]
    if len(data) < _EPOCH_BYTES or len(places) % _PLACE_BYTES:
        raise ValueError("not an event id")
    if data[:_EPOCH_BYTES] != _epoch_bytes(epoch):
        return None
    seq_by_short = {
        places[start : start + _CHAT_BYTES]: int.from_bytes(
            places[start + _CHAT_BYTES : start + _PLACE_BYTES], "big"
        )
        for start in range(0, len(places), _PLACE_BYTES)
    }
    return {
        chat_id: seq_by_short[_short(chat_id)]
        for chat_id in chat_ids
        if _short(chat_id) in seq_by_short
    }


def _epoch_bytes(epoch: str) -> bytes:
    return UUID(epoch).bytes


def _short(chat_id: str) -> bytes:
    return bytes.fromhex(chat_id.replace("-", ""))[-_CHAT_BYTES:]

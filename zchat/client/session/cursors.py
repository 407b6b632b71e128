"""Where a device stands in each chat, to be saved and resumed from."""

from collections.abc import Mapping
from typing import Self

import msgspec
from msgspec import Struct


class ChatCursor(Struct, frozen=True):
    """How far one chat was delivered: its last `seq` and `revision`.

    Without a revision, what changed while away is not told.
    """

    chat_id: str
    seq: int
    revision: int | None = None


class Cursors(Struct, frozen=True):
    """How far each chat was delivered.

    `epoch` is the store's: in a restored store the numbers count other
    messages, so a device that resumes there forgets them. None stands
    for whatever epoch the store has.
    """

    epoch: str | None = None
    chats: tuple[ChatCursor, ...] = ()

    @classmethod
    def of(cls, epoch: str | None, seqs: Mapping[str, int]) -> Self:
        """The cursors of these chats, without revisions."""
        return cls(
            epoch, tuple(ChatCursor(id, seq) for id, seq in seqs.items())
        )

    @property
    def seqs(self) -> dict[str, int]:
        """The seq by chat id."""
        return {cursor.chat_id: cursor.seq for cursor in self.chats}

    def to_json(self) -> str:
        """The cursors as text, for a file."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """What `to_json` made; raises ValueError for anything else."""
        return msgspec.json.decode(text, type=cls)

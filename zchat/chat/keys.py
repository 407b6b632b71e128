"""Idempotency keys: one space for all that an author sends and edits.

A key belongs to what it was first used for: a message (`send`,
`comment`), a scheduled message, or an edit. Used again for the same
content it gets the first answer, for anything else `conflict`.
"""

from hashlib import sha256
from typing import Any, Final

from zchat.chat.phases import Reading, View
from zchat.errors import Code, Refused
from zchat.model import EDITS, MESSAGES, SCHEDULED, Table

BY_KEY: Final = 0
"""The place of (author, key) among the unique fields."""


def text_hash(text: str) -> bytes:
    """What is kept of a text to know it again."""
    return sha256(text.encode(errors="surrogatepass")).digest()


async def load_key(work: Reading, author_id: str, key: str | None) -> None:
    """Load what a key of the author's was used for.

    It was used for one thing at most, and mostly for a message.
    """
    if key is None:
        return
    if await work.load_unique(MESSAGES, BY_KEY, (author_id, key)) is None:
        await work.load_unique(SCHEDULED, BY_KEY, (author_id, key))
        await work.load(EDITS, (author_id, key))


def refuse_used(
    view: View, author_id: str, key: str | None, within: Table[Any]
) -> None:
    """Refuse a key that was used for anything that is not in `within`."""
    if key is None:
        return
    used = {
        MESSAGES: view.get_unique(MESSAGES, BY_KEY, (author_id, key)),
        SCHEDULED: view.find_unique(SCHEDULED, BY_KEY, (author_id, key)),
        EDITS: view.find(EDITS, (author_id, key)),
    }
    if any(row and table is not within for table, row in used.items()):
        raise other_content()


def other_content() -> Refused:
    """A key was used again for something else."""
    return Refused(
        Code.CONFLICT,
        "This idempotency_key was used for other content. Use a new one.",
        field="idempotency_key",
    )

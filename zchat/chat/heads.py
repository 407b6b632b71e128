"""The heads of chats, told again after their last message."""

from typing import Final, NamedTuple

from zchat.chat.jobs import NoParams
from zchat.chat.phases import Reading
from zchat.model import CHATS, SECOND, first_id_at
from zchat.queries import RECENT_CHATS

MISSED_SECONDS: Final = 600


class Quiet(NamedTuple):
    """Chats whose last message was some seconds ago."""

    chat_ids: tuple[str, ...]


async def tell_heads(work: Reading, caller_id: None, params: Quiet) -> None:
    """Tell each chat's head, so that even a lost last message shows."""
    await work.load_all(CHATS, params.chat_ids)
    for chat_id in params.chat_ids:
        chat = work.get(CHATS, chat_id)
        if chat is not None:
            work.tell_head(chat)


async def tell_missed_heads(
    work: Reading, caller_id: None, params: NoParams
) -> None:
    """Tell the heads of all chats that lately had messages.

    For a broker that may have missed events of others; who holds less
    than a head says, fetches the rest.
    """
    recent = await work.ask(
        RECENT_CHATS, first_id=first_id_at(work.now - MISSED_SECONDS * SECOND)
    )
    await tell_heads(work, None, Quiet(tuple(found.id for found in recent)))

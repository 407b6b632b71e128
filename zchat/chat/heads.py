"""The counts of chats and inboxes, told again after their last event."""

from typing import Final, NamedTuple

from zchat.chat.jobs import NoParams
from zchat.chat.phases import Reading
from zchat.model import CHATS, SECOND, USERS, first_id_at
from zchat.queries import RECENT_CHATS
from zchat.rpc.topics import chat_topic, id_of, is_inbox

MISSED_SECONDS: Final = 600


class Quiet(NamedTuple):
    """Topics whose last counted event was some seconds ago."""

    topics: tuple[bytes, ...]


async def tell_heads(work: Reading, caller_id: None, params: Quiet) -> None:
    """Tell the counts of each chat and inbox.

    So whoever lost even the last event learns that there was one.
    """
    user_ids = [id_of(topic) for topic in params.topics if is_inbox(topic)]
    chat_ids = [id_of(topic) for topic in params.topics if not is_inbox(topic)]
    await work.load_each(
        [
            *((USERS, user_id) for user_id in user_ids),
            *((CHATS, chat_id) for chat_id in chat_ids),
        ]
    )
    for chat_id in chat_ids:
        chat = work.get(CHATS, chat_id)
        if chat is not None:
            work.tell_head(chat)
    for user_id in user_ids:
        work.tell_inbox_head(work.user(user_id))


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
    await tell_heads(
        work, None, Quiet(tuple(chat_topic(found.id) for found in recent))
    )

"""Erasing: all that a user wrote and uploaded goes with the account.

A user may have written a hundred thousand messages, and no store has an
index of them by author. So all messages are gone through in the order of
their ids, in pages, and what the user wrote on a page is deleted as any
message is. How far that went stands in the store, hence a broker that
starts again goes on where it was. Pages with nothing of the user's
follow one another at once; the others come at the pace of the timer, a
slow one while others want something of the broker, so that they do not
wait and subscribers can follow what they are told.

What a complaint keeps as evidence stays: it is a copy.
"""

from typing import Final, NamedTuple

from zchat.chat.awaitables import gather
from zchat.chat.changes import bury, load_burial
from zchat.chat.files import drop
from zchat.chat.jobs import NoParams, Progress
from zchat.chat.memberships import NIL_ID
from zchat.chat.phases import Reading, Turn, Writing
from zchat.model import (
    CHATS,
    ERASURES,
    FILES,
    LAST_ID,
    MESSAGES,
    SCHEDULED,
    Erasure,
)
from zchat.queries import (
    END_OF_MESSAGES,
    MESSAGES_OF_AUTHOR,
    NEXT_ERASURE,
    SCHEDULED_OF,
    UPLOADS_OF,
)

SEEN_PAGE: Final = 2_000
ERASED_PAGE: Final = 100


class _Page(NamedTuple):
    """Ids of what is to go now.

    `through` is the id up to which no message of the user's is left
    then; with `last` nothing at all is.
    """

    messages: list[str]
    uploads: list[str]
    scheduled: list[str]
    through: str
    last: bool


def begin(turn: Turn, user_id: str) -> None:
    """All that the user wrote and uploaded is to go.

    The user's erasure must have been loaded. Asked for again, it begins
    from the start.
    """
    turn.put(ERASURES, Erasure(user_id, NIL_ID, 0))


async def erase(work: Writing, caller_id: None, params: NoParams) -> Progress:
    """Delete a page of what an erased user left."""
    waiting = await work.ask(NEXT_ERASURE)
    if not waiting:
        return Progress(more=False)
    found = waiting[0]
    await work.load(ERASURES, found.user_id)
    page = await _load_page(work, found)
    turn = await work.turn()
    if turn.get(ERASURES, found.user_id) != found:
        return Progress(more=False)
    gone = _delete_messages(turn, page.messages)
    _delete_rest(turn, page)
    erased = found.messages + gone
    if page.last:
        turn.delete(ERASURES, found)
        turn.note("account_erased", user_id=found.user_id, messages=erased)
    else:
        turn.change(ERASURES, found, message_id=page.through, messages=erased)
    is_empty = not (page.messages or page.uploads or page.scheduled)
    return Progress(
        more=is_empty and not page.last,
        when_idle=not is_empty and not page.last,
    )


async def _load_page(work: Reading, found: Erasure) -> _Page:
    user_id, after = found.user_id, found.message_id
    ends = await work.ask(END_OF_MESSAGES, after=after, skipped=SEEN_PAGE - 1)
    through = ends[0].id if ends else LAST_ID
    written = await work.ask(
        MESSAGES_OF_AUTHOR,
        user_id=user_id,
        after=after,
        through=through,
        limit=ERASED_PAGE,
    )
    uploads = await work.ask(UPLOADS_OF, user_id=user_id, limit=ERASED_PAGE)
    scheduled = await work.ask(
        SCHEDULED_OF, author_id=user_id, state="", limit=ERASED_PAGE
    )
    page = _Page(
        messages=[one.id for one in written],
        uploads=[one.id for one in uploads],
        scheduled=[one.id for one in scheduled],
        through=written[-1].id if len(written) == ERASED_PAGE else through,
        last=not ends
        and ERASED_PAGE not in (len(written), len(uploads), len(scheduled)),
    )
    await _load_rows(work, page)
    return page


async def _load_rows(work: Reading, page: _Page) -> None:
    await work.load_each(
        (
            *((MESSAGES, one) for one in page.messages),
            *((SCHEDULED, one) for one in page.scheduled),
            *((FILES, one) for one in page.uploads),
        )
    )
    messages = [work.get(MESSAGES, one) for one in page.messages]
    await gather([load_burial(work, one) for one in messages if one])


def _delete_messages(turn: Turn, message_ids: list[str]) -> int:
    """How many are deleted: some may have gone just now."""
    gone = 0
    for message_id in message_ids:
        message = turn.get(MESSAGES, message_id)
        if (
            message is not None
            and message.deleted is None
            and turn.get(CHATS, message.chat_id) is not None
        ):
            bury(turn, message)
            gone += 1
    return gone


def _delete_rest(turn: Turn, page: _Page) -> None:
    """What is on no message goes, and what was ever scheduled."""
    for file_id in page.uploads:
        file = turn.get(FILES, file_id)
        if file is not None and file.message_id is None:
            drop(turn, file)
    for scheduled_id in page.scheduled:
        row = turn.get(SCHEDULED, scheduled_id)
        if row is not None:
            turn.delete(SCHEDULED, row)

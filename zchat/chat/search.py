"""Searching for messages: only in what the caller may read now."""

from zchat.chat.awaitables import gather
from zchat.chat.chats import places_of
from zchat.chat.errors import no_chat
from zchat.chat.expiry import visible_after
from zchat.chat.phases import Reading
from zchat.chat.rendering import found
from zchat.chat.rules import reads
from zchat.model import Membership
from zchat.queries import SEARCH, SearchScope
from zchat.rpc import params as given
from zchat.rpc import results

SEARCH_PAGE = 50


@reads("search")
async def search(
    work: Reading, caller_id: str, params: given.Search
) -> results.Found:
    """Find messages by a part of their text."""
    if params.chat_id is None:
        places = await places_of(work, caller_id)
    else:
        place = await work.load_membership(params.chat_id, caller_id)
        if place is None:
            raise no_chat()
        places = [place]
    scopes = await gather([_scope(work, place) for place in places])
    (page,) = await work.ask(
        SEARCH,
        text=params.text,
        scopes=scopes,
        author_id=params.author_id,
        has_file=params.has_file,
        before=params.before,
        limit=params.limit or SEARCH_PAGE,
    )
    return results.Found(
        messages=[found(message) for message in page.messages],
        next=page.next,
    )


async def _scope(work: Reading, place: Membership) -> SearchScope:
    return SearchScope(place.chat.id, await visible_after(work, place))

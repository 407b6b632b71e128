"""Who is there: when each user last asked for something.

A user is online who made a request within the last ONLINE_SECONDS; a
device that has nothing to ask calls a cheap method once a minute. That
cannot be forged, as a subscription to somebody's topic could be. The
times live in memory and are written down twice a minute, so they also
hold after a restart and for brokers that share a store.
"""

from typing import Final

from zchat.chat.jobs import NoParams, Progress
from zchat.chat.phases import Writing
from zchat.model import USERS

SAVED_PAGE: Final = 500


async def save_last_seen(
    work: Writing, caller_id: None, params: NoParams
) -> Progress:
    """Write down for a page of users when they were last seen."""
    seen = work.times_seen.take_unsaved(work.now, SAVED_PAGE)
    await work.load_all(USERS, seen)
    turn = await work.turn()
    for user_id, at in seen.items():
        user = turn.get(USERS, user_id)
        if user is not None and at > (user.last_seen or 0):
            turn.change(USERS, user, last_seen=at)
    return Progress(more=len(seen) == SAVED_PAGE)

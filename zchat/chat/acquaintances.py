"""Who knows whom: users are there for those they share a chat with."""

from zchat.chat.refusals import no_user
from zchat.chat.work import Work
from zchat.lookups import SHARED_CHATS
from zchat.model import MEMBERS, USERS, User


async def load_acquaintance(
        work: Work, caller_id: str, other_id: str) -> bool:
    """Load the other user; whether the two shared a private chat.

    Most meet in the common chat, for which nothing is asked.
    """
    await work.load_each((
        (USERS, other_id), (MEMBERS, (work.common_id, caller_id)),
        (MEMBERS, (work.common_id, other_id))))
    if _both_in_common(work, caller_id, other_id):
        return False
    (shared,) = await work.ask(
        SHARED_CHATS, user_id=caller_id, other_id=other_id)
    return shared.count > 0


def acquaintance(
        work: Work, caller_id: str, other_id: str, shared: bool) -> User:
    """The other user, if in some chat with the caller now; else refused.

    `shared` is what `load_acquaintance` said before the turn.
    """
    other = work.get(USERS, other_id)
    if other is not None and _both_in_common(work, caller_id, other_id):
        return other
    work.rely("chats of", caller_id)
    work.rely("chats of", other_id)
    if other is None or not shared:
        raise no_user()
    return other


def _both_in_common(work: Work, caller_id: str, other_id: str) -> bool:
    return work.is_member(work.common_id, caller_id) \
        and work.is_member(work.common_id, other_id)

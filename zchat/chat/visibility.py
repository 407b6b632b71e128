"""Who knows whom: users are there for those they share a chat with."""

from zchat.chat.errors import no_user
from zchat.chat.unit_of_work import UnitOfWork
from zchat.model import MEMBERS, USERS, User
from zchat.queries import SHARED_CHATS


async def load_acquaintance(
    work: UnitOfWork, caller_id: str, other_id: str
) -> bool:
    """Load the other user; whether the two shared a private chat.

    Most meet in the common chat, for which nothing is asked.
    """
    await work.load_each(
        (
            (USERS, other_id),
            (MEMBERS, (work.common_id, caller_id)),
            (MEMBERS, (work.common_id, other_id)),
        )
    )
    if _both_in_common(work, caller_id, other_id):
        return False
    (shared,) = await work.ask(
        SHARED_CHATS, user_id=caller_id, other_id=other_id
    )
    return shared.count > 0


def acquaintance(
    work: UnitOfWork, caller_id: str, other_id: str, shared: bool
) -> User:
    """The other user, if in some chat with the caller now; else refused.

    `shared` is what `load_acquaintance` said before the turn.
    """
    other = work.get(USERS, other_id)
    if other is not None and _both_in_common(work, caller_id, other_id):
        return other
    work.require_fresh("chats of", caller_id)
    work.require_fresh("chats of", other_id)
    if other is None or not shared:
        raise no_user()
    return other


def _both_in_common(work: UnitOfWork, caller_id: str, other_id: str) -> bool:
    return work.is_member(work.common_id, caller_id) and work.is_member(
        work.common_id, other_id
    )

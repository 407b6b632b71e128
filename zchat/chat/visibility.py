"""Who knows whom: users are there for those they share a chat with."""

from zchat.chat.errors import no_user
from zchat.chat.phases import Reading, Turn, View
from zchat.chat.subjects import Subject
from zchat.errors import Code, Refused
from zchat.model import MEMBERS, OPERATOR_ID, USERS, User
from zchat.queries import SHARED_CHATS


async def load_acquaintance(
    work: Reading, caller_id: str, other_id: str
) -> bool:
    """Load the other user; whether the two shared a private chat.

    Most meet in the common chat, for which nothing is asked. The user
    that announcements are from is nobody's acquaintance.
    """
    if other_id == OPERATOR_ID:
        raise Refused(
            Code.FORBIDDEN,
            "This is the account of announcements, which nobody reads. "
            "Ask the operator of the server another way.",
        )
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
    turn: Turn, caller_id: str, other_id: str, shared: bool
) -> User:
    """The other user, if in some chat with the caller now; else refused.

    `shared` is what `load_acquaintance` said before the turn.
    """
    other = turn.get(USERS, other_id)
    if other is not None and _both_in_common(turn, caller_id, other_id):
        return other
    turn.require_fresh(Subject.CHATS_OF, caller_id)
    turn.require_fresh(Subject.CHATS_OF, other_id)
    if other is None or not shared:
        raise no_user()
    return other


def _both_in_common(view: View, caller_id: str, other_id: str) -> bool:
    return view.is_member(view.common_id, caller_id) and view.is_member(
        view.common_id, other_id
    )

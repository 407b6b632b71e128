"""Who may do what an operator does, on whom, and the log of it.

A rule for operators is called without a caller where the request came in
by the operator's socket (engine/door.py): whoever may open that file may
do everything. Over the ordinary socket a user needs a role. Roles rise:
member, moderator, admin. A moderator acts on members only; an admin acts
on everybody. A role may be taken away by a request just before, so it is
looked at again in the turn.
"""

from typing import Any, Final

import msgspec

from zchat.chat.moderation import refuse_banned
from zchat.chat.phases import Turn, View
from zchat.errors import Code, Refused
from zchat.model import (
    ADMIN,
    AUDIT,
    MEMBER,
    MODERATOR,
    OPERATOR_ID,
    USERS,
    Audit,
    User,
)

_RANK: Final = {MEMBER: 0, MODERATOR: 1, ADMIN: 2}
_ONLY: Final = {
    MODERATOR: "Only a moderator can do this.",
    ADMIN: "Only an admin can do this.",
}


def require(view: View, caller_id: str | None, role: str) -> User | None:
    """The caller, who has the role or a higher one; else refused.

    None is the operator at the socket.
    """
    if caller_id is None:
        return None
    caller = view.user(caller_id)
    if _RANK[caller.role] < _RANK[role]:
        raise Refused(Code.FORBIDDEN, _ONLY[role])
    refuse_banned(view, caller)
    return caller


def require_operator(caller_id: str | None) -> None:
    """Refuse users of any role: this is for the socket alone."""
    if caller_id is not None:
        raise Refused(
            Code.FORBIDDEN,
            "Only the operator of the machine can do this, with `zchat "
            "admin`.",
        )


def subject(turn: Turn, actor: User | None, user_id: str) -> User:
    """The loaded account to act on, if the actor may."""
    user = turn.get(USERS, user_id)
    if user is None:
        raise Refused(
            Code.NOT_FOUND, "Account not found. Look it up by its name."
        )
    if user.id == OPERATOR_ID:
        raise Refused(
            Code.FORBIDDEN, "The account of announcements stays as it is."
        )
    if actor is not None and actor.role != ADMIN and user.role != MEMBER:
        raise Refused(
            Code.FORBIDDEN, "Only an admin can act on a moderator or an admin."
        )
    return user


def open_subject(turn: Turn, actor: User | None, user_id: str) -> User:
    """As `subject`; refuses an account that was closed."""
    user = subject(turn, actor, user_id)
    if user.closed is not None:
        raise Refused(Code.CONFLICT, "This account is closed.")
    return user


def record(
    turn: Turn,
    actor: User | None,
    action: str,
    subject_id: str | None,
    **detail: Any,
) -> None:
    """Write down what was done, in the store and in the log.

    The log gets no detail: it may hold what people wrote.
    """
    turn.put(
        AUDIT,
        Audit(
            id=turn.entropy.id(turn.now),
            created=turn.now,
            actor_id=None if actor is None else actor.id,
            action=action,
            subject_id=subject_id,
            detail=msgspec.json.encode(detail).decode(),
        ),
    )
    turn.note(
        "operator_acted",
        action=action,
        actor_id="operator" if actor is None else actor.id,
        subject_id=subject_id,
    )

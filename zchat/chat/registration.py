"""The door: who may make an account, and the codes that let people in.

`--registration open` lets everybody in, `closed` nobody; with `invite` a
newcomer gives a code that an operator made. A code that is missing,
unknown, expired, used up or revoked gets one answer.
"""

from base64 import b32encode
from typing import Final

from zchat.chat.phases import Reading, Turn, View, Writing
from zchat.chat.roles import record, require
from zchat.chat.rules import reads, writes
from zchat.errors import Code, Refused
from zchat.model import (
    ADMIN,
    CLOSED,
    INVITE,
    INVITES,
    SECOND,
    Invite,
    time_text,
)
from zchat.queries import LIVE_INVITES
from zchat.rpc import PAGE_LIMIT
from zchat.rpc import operator_params as given
from zchat.rpc import operator_results as results
from zchat.rpc.credentials import link_hash
from zchat.rpc.results import Empty

BY_CODE: Final = 0
CODE_BYTES: Final = 15
INVITE_SECONDS: Final = 604_800


async def load_invite(work: Writing, code: str | None) -> None:
    """Load what `invited` looks at."""
    if work.rules.registration == INVITE and code is not None:
        await work.load_unique(INVITES, BY_CODE, link_hash(code))


def invited(view: View, code: str | None) -> Invite | None:
    """The invite that lets a newcomer in; None where none is needed."""
    if view.rules.registration == CLOSED:
        raise Refused(
            Code.FORBIDDEN,
            "This server accepts no new accounts. Connect with the token of "
            "an account.",
        )
    if view.rules.registration != INVITE:
        return None
    invite = code and view.get_unique(INVITES, BY_CODE, link_hash(code))
    if not invite or not _is_alive(view, invite):
        raise Refused(
            Code.FORBIDDEN,
            "This server needs a valid invite code. Ask its operator for one.",
            field="invite",
        )
    return invite


def use_invite(turn: Turn, invite: Invite | None) -> None:
    """Somebody came in by the invite."""
    if invite is not None:
        turn.change(INVITES, invite, uses=invite.uses + 1)


def _is_alive(view: View, invite: Invite) -> bool:
    return (
        invite.revoked_at is None
        and invite.expires_at > view.now
        and invite.uses < invite.max_uses
    )


@writes("create_invite")
async def create_invite(
    work: Writing, caller_id: str | None, params: given.CreateInvite
) -> results.NewInvite:
    """Make a code that lets newcomers in; it is shown once."""
    turn = await work.turn()
    actor = require(turn, caller_id, ADMIN)
    secret = turn.entropy.secret(CODE_BYTES)
    code = b32encode(secret).decode().lower()
    lasts = params.expires_in or INVITE_SECONDS
    invite = turn.put(
        INVITES,
        Invite(
            id=turn.entropy.id(turn.now),
            code_hash=link_hash(code),
            created=turn.now,
            expires_at=turn.now + lasts * SECOND,
            max_uses=params.uses or 1,
            uses=0,
            revoked_at=None,
        ),
    )
    record(turn, actor, "create_invite", invite.id, uses=invite.max_uses)
    return results.NewInvite(
        code=code, id=invite.id, expires_at=time_text(invite.expires_at)
    )


@reads("invites")
async def invites(
    work: Reading, caller_id: str | None, params: given.Invites
) -> results.Invites:
    """The invites that still let somebody in, newest first."""
    require(work, caller_id, ADMIN)
    found = await work.ask(LIVE_INVITES, at=work.now, limit=PAGE_LIMIT)
    return results.Invites(
        invites=[
            results.InviteInfo(
                id=invite.id,
                created=time_text(invite.created),
                expires_at=time_text(invite.expires_at),
                max_uses=invite.max_uses,
                uses=invite.uses,
            )
            for invite in found
        ]
    )


@writes("revoke_invite")
async def revoke_invite(
    work: Writing, caller_id: str | None, params: given.RevokeInvite
) -> Empty:
    """Make an invite useless from now on."""
    require(work, caller_id, ADMIN)
    await work.load(INVITES, params.id)
    turn = await work.turn()
    actor = require(turn, caller_id, ADMIN)
    invite = turn.get(INVITES, params.id)
    if invite is None:
        raise Refused(
            Code.NOT_FOUND, "Invite not found. See the list of invites."
        )
    if invite.revoked_at is None:
        turn.change(INVITES, invite, revoked_at=turn.now)
        record(turn, actor, "revoke_invite", invite.id)
    return Empty()

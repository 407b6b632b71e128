"""What moderators do: look at complaints, ban and unban."""

from zchat.chat.memberships import NIL_ID
from zchat.chat.moderation import round_of
from zchat.chat.phases import Reading, Turn, Writing
from zchat.chat.roles import open_subject, record, require, subject
from zchat.chat.rules import reads, writes
from zchat.chat.subjects import Subject
from zchat.errors import Code, Refused
from zchat.model import (
    COMPLAINTS,
    MODERATOR,
    SECOND,
    USERS,
    WAITING,
    User,
    time_text,
)
from zchat.queries import COMPLAINTS_PAGE
from zchat.rpc import PAGE_LIMIT, events
from zchat.rpc import operator_params as given
from zchat.rpc import operator_results as results
from zchat.rpc.results import Empty, Person


@reads("complaints")
async def complaints(
    work: Reading, caller_id: str | None, params: given.Complaints
) -> results.Complaints:
    """A page of complaints with their evidence, oldest first."""
    require(work, caller_id, MODERATOR)
    found = await work.ask(
        COMPLAINTS_PAGE,
        state=params.state or "",
        after=params.after or NIL_ID,
        limit=params.limit or PAGE_LIMIT,
    )
    return results.Complaints(
        complaints=[
            results.ComplaintInfo(
                id=row.id,
                reporter=Person(id=row.reporter_id, name=row.reporter_name),
                offender=Person(id=row.offender_id, name=row.offender_name),
                reason=row.reason,
                message_id=row.message_id,
                evidence=row.evidence,
                created=time_text(row.created),
                state=row.state,
            )
            for row in found
        ]
    )


@writes("resolve")
async def resolve(
    work: Writing, caller_id: str | None, params: given.Resolve
) -> Empty:
    """Decide on a complaint; a dismissed one counts for no ban."""
    require(work, caller_id, MODERATOR)
    complaint = await work.load(COMPLAINTS, params.id)
    if complaint is not None:
        await work.load(USERS, complaint.offender_id)
    turn = await work.turn()
    actor = require(turn, caller_id, MODERATOR)
    complaint = turn.get(COMPLAINTS, params.id)
    if complaint is None:
        raise Refused(
            Code.NOT_FOUND, "Complaint not found. See the list of complaints."
        )
    _refuse_own(actor, complaint.offender_id)
    subject(turn, actor, complaint.offender_id)
    if complaint.state != WAITING:
        raise Refused(
            Code.CONFLICT, f"This complaint was {complaint.state} already."
        )
    turn.change(COMPLAINTS, complaint, state=params.verdict)
    turn.invalidate(Subject.COMPLAINTS, complaint.offender_id)
    record(
        turn,
        actor,
        "resolve",
        complaint.offender_id,
        complaint=complaint.id,
        verdict=params.verdict,
    )
    return Empty()


@writes("ban")
async def ban(
    work: Writing, caller_id: str | None, params: given.Ban
) -> results.BanEnd:
    """Ban a user for some time; a ban that stands is replaced."""
    require(work, caller_id, MODERATOR)
    await work.load(USERS, params.user_id)
    turn = await work.turn()
    actor = require(turn, caller_id, MODERATOR)
    _refuse_own(actor, params.user_id)
    user = open_subject(turn, actor, params.user_id)
    seconds = params.seconds or turn.rules.ban_seconds
    until = turn.now + seconds * SECOND
    _set_ban(turn, user, round_of(turn, user), until)
    record(
        turn,
        actor,
        "ban",
        user.id,
        until=time_text(until),
        reason=params.reason,
    )
    return results.BanEnd(until=time_text(until))


@writes("unban")
async def unban(
    work: Writing, caller_id: str | None, params: given.Unban
) -> Empty:
    """End a ban now; the user's warnings start again from zero."""
    require(work, caller_id, MODERATOR)
    await work.load(USERS, params.user_id)
    turn = await work.turn()
    actor = require(turn, caller_id, MODERATOR)
    user = subject(turn, actor, params.user_id)
    if user.banned_until is None or user.banned_until <= turn.now:
        raise Refused(Code.CONFLICT, "This user is not banned.")
    _set_ban(turn, user, user.warnings_round + 1, None)
    record(turn, actor, "unban", user.id)
    return Empty()


def _set_ban(turn: Turn, user: User, round: int, until: int | None) -> None:
    turn.invalidate(Subject.COMPLAINTS, user.id)
    turn.change(USERS, user, banned_until=until, warnings_round=round)
    turn.tell_user(
        user.id,
        events.Banned(until=None if until is None else time_text(until)),
    )


def _refuse_own(actor: User | None, user_id: str) -> None:
    """Nobody is the judge of themselves."""
    if actor is not None and actor.id == user_id:
        raise Refused(Code.FORBIDDEN, "This is about you. Leave it to others.")

"""The rules on behaviour: quota, complaints, bans."""

from typing import Final

from zchat.chat.errors import no_message, no_user
from zchat.chat.expiry import visible_after
from zchat.chat.phases import Reading, Turn, View, Writing
from zchat.chat.rules import writes
from zchat.chat.subjects import Counted, Subject
from zchat.chat.visibility import acquaintance, load_acquaintance
from zchat.errors import Code, Refused
from zchat.model import (
    COMPLAINTS,
    MESSAGES,
    SECOND,
    USERS,
    Complaint,
    Message,
    User,
    time_text,
)
from zchat.queries import COUNT_FEW_MESSAGES, COUNT_REPORTERS
from zchat.rpc import events, results
from zchat.rpc import params as given

BY_ROUND: Final = 0
BATCHES_APART: Final = 10 * SECOND
"""So long before another broker's batch one may have begun that comes
after it."""


def refuse_banned(view: View, user: User) -> None:
    """Refuse what a ban forbids; it ends by itself."""
    if user.banned_until is not None and user.banned_until > view.now:
        until = time_text(user.banned_until)
        raise Refused(
            Code.BANNED,
            f"You are banned until {until}. You can still read.",
            until=until,
        )


def banned_until(view: View, user: User) -> str | None:
    """When the user's ban ends; None where there is none now."""
    if user.banned_until is None or user.banned_until <= view.now:
        return None
    return time_text(user.banned_until)


def _quota_used(view: View, user: User) -> int:
    """How much of the present period's quota is used.

    A batch that waited for another broker's may have begun before that
    period did.
    """
    period = view.rules.rate_period_seconds * SECOND
    started = user.quota_started
    if started is None or not (
        started - BATCHES_APART <= view.now < started + period
    ):
        return 0
    return user.quota_used


def spend_quota(turn: Turn, user: User) -> None:
    """Count a message to the common chat, or refuse it.

    The period begins with the first message in it; when it has ended
    the count starts again from zero (docs/howto/rate-limit.md).
    """
    limit = turn.rules.rate_limit
    if limit is None:
        return
    used = _quota_used(turn, user)
    started = user.quota_started if used else turn.now
    if used >= limit:
        assert started is not None
        ends = started + turn.rules.rate_period_seconds * SECOND
        seconds = -(-(ends - turn.now) // SECOND)
        raise Refused(
            Code.RATE_LIMITED,
            f"You may send {limit} messages to the "
            f"common chat per period. Try again in {seconds} s.",
            retry_after=seconds,
            limit=limit,
            remaining=0,
        )
    turn.change(USERS, user, quota_started=started, quota_used=used + 1)


def quota_of(view: View, user: User) -> results.Quota | None:
    """The quota as `status` shows it; None where there is no limit."""
    limit = view.rules.rate_limit
    if limit is None:
        return None
    period = view.rules.rate_period_seconds
    used = _quota_used(view, user)
    resets_at = None
    if used and user.quota_started is not None:
        resets_at = time_text(user.quota_started + period * SECOND)
    return results.Quota(
        limit=limit,
        remaining=max(0, limit - used),
        period=period,
        resets_at=resets_at,
    )


def round_of(view: View, user: User) -> int:
    """The round that complaints count for; a ban's end begins the next."""
    ended = user.banned_until is not None and user.banned_until <= view.now
    return user.warnings_round + ended


@writes("report")
async def report(
    work: Writing, caller_id: str, params: given.Report
) -> results.ReportId:
    """Complain about a user; enough distinct reporters make a ban."""
    offender_id = params.user_id
    if offender_id == caller_id:
        raise Refused(
            Code.BAD_REQUEST, "You cannot report yourself.", field="user_id"
        )
    shared = await load_acquaintance(work, caller_id, offender_id)
    message = await _evidence(work, caller_id, params.message_id)
    offender = work.get(USERS, offender_id)
    if offender is None:
        raise no_user()
    round = round_of(work, offender)
    subject = (offender_id, round, caller_id)
    await work.load_unique(COMPLAINTS, BY_ROUND, subject)
    counts = await _complaints_count(work, work.user(caller_id))
    reporters = await _load_reporters(work, offender_id, round)
    turn = await work.turn()
    turn.require_fresh(Subject.COMPLAINTS, offender_id)
    if message is None or message.author_id != offender_id:
        acquaintance(turn, caller_id, offender_id, shared)
        if message is not None:
            raise Refused(
                Code.BAD_REQUEST,
                "This message was not written by the user you report.",
                field="message_id",
            )
    if turn.get_unique(COMPLAINTS, BY_ROUND, subject) is not None:
        raise Refused(Code.CONFLICT, "You have already reported this user.")
    complaint = turn.put(
        COMPLAINTS,
        Complaint(
            id=turn.entropy.id(turn.now),
            offender_id=offender_id,
            round=round,
            reporter_id=caller_id,
            reason=params.reason,
            message_id=message.id if message else None,
            evidence=message.text if message else None,
            created=turn.now,
        ),
    )
    if counts:
        turn.adjust_count(1, Counted.COMPLAINTS, offender_id)
        _judge(
            turn,
            turn.user(offender_id),
            round,
            reporters + turn.count_adjustment(Counted.COMPLAINTS, offender_id),
        )
    return results.ReportId(id=complaint.id)


async def _complaints_count(work: Reading, user: User) -> bool:
    """Whether the user's complaints count towards a ban.

    All are kept; the operator may let only those count that come from
    accounts of some age, who wrote to the common chat.
    """
    rules = work.rules
    if work.now - user.created < rules.reporter_age_seconds * SECOND:
        return False
    if not rules.reporter_messages:
        return True
    (written,) = await work.ask(
        COUNT_FEW_MESSAGES,
        chat_id=work.common_id,
        user_id=user.id,
        limit=rules.reporter_messages,
    )
    return written.count >= rules.reporter_messages


async def _load_reporters(work: Reading, offender_id: str, round: int) -> int:
    """How many complaints of the round count by now."""
    rules = work.rules
    (found,) = await work.ask(
        COUNT_REPORTERS,
        offender_id=offender_id,
        round=round,
        made_by=work.now - rules.reporter_age_seconds * SECOND,
        messages=rules.reporter_messages,
        common_id=work.common_id,
    )
    return found.count


async def _evidence(
    work: Reading, caller_id: str, message_id: str | None
) -> Message | None:
    """The message that is reported; the caller must see it."""
    if message_id is None:
        return None
    message = await work.load(MESSAGES, message_id)
    if message is None:
        raise no_message()
    await work.load_membership(message.chat_id, caller_id)
    found = work.membership(message.chat_id, caller_id)
    if found is None or message.seq <= await visible_after(work, found):
        raise no_message()
    return message


def _judge(turn: Turn, offender: User, round: int, reporters: int) -> None:
    """Ban the offender where this complaint was the one too many."""
    if round != offender.warnings_round:
        offender = turn.change(
            USERS, offender, warnings_round=round, banned_until=None
        )
    if offender.banned_until is None and reporters >= turn.rules.max_warnings:
        until = turn.now + turn.rules.ban_seconds * SECOND
        offender = turn.change(USERS, offender, banned_until=until)
        turn.note("user_banned", user_id=offender.id, until=time_text(until))
        turn.tell_user(offender.id, events.Banned(until=time_text(until)))

"""Messages that wait for their time: scheduling, cancelling, sending."""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from zchat.chat.awaitables import gather
from zchat.chat.jobs import NoParams, Progress
from zchat.chat.keys import BY_KEY, load_key, other_content, refuse_used
from zchat.chat.mentions import load_mentioned
from zchat.chat.messages import (
    Draft,
    LoadedDraft,
    check_draft,
    deliver,
    draft_of,
    load_floor,
    rows_of,
)
from zchat.chat.phases import Reading, Turn, View, Writing
from zchat.chat.rules import reads, writes
from zchat.chat.subjects import Counted
from zchat.errors import Code, Refused
from zchat.model import (
    CANCELLED,
    FAILED,
    FILES,
    PENDING,
    SCHEDULED,
    SECOND,
    SENT,
    USERS,
    Scheduled,
    StoredFile,
    time_text,
)
from zchat.queries import COUNT_PENDING, DUE, SCHEDULED_OF
from zchat.rpc import SCHEDULE_DAYS, SCHEDULED_LIMIT, events, results
from zchat.rpc import params as given

DUE_PAGE: Final = 128
LISTED: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_decode_ids = msgspec.json.Decoder(tuple[str, ...]).decode


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


@writes("schedule")
async def schedule(
    work: Writing, caller_id: str, params: given.Schedule
) -> results.Scheduled:
    """Send a message at a time in the future."""
    draft = draft_of(work, caller_id, params)
    send_at = _microseconds(params.send_at)
    await work.load_each(rows_of(draft))
    floor = await load_floor(work, draft)
    waiting = await work.ask(COUNT_PENDING, author_id=caller_id)
    await load_key(work, caller_id, draft.key)
    turn = await work.turn()
    refuse_used(turn, caller_id, draft.key, within=SCHEDULED)
    earlier = draft.key is not None and turn.find_unique(
        SCHEDULED, BY_KEY, (caller_id, draft.key)
    )
    if earlier:
        return _repeated(earlier, draft, send_at)
    _, _, files = check_draft(turn, turn.user(caller_id), draft, floor)
    _check_time(turn, send_at)
    count = waiting[0].count + turn.count_adjustment(
        Counted.SCHEDULED, caller_id
    )
    if count >= SCHEDULED_LIMIT:
        raise Refused(
            Code.CONFLICT,
            f"You have {SCHEDULED_LIMIT} pending messages, the maximum. "
            "Cancel one first.",
        )
    return _wait(turn, draft, files, send_at)


def _check_time(view: View, send_at: int) -> None:
    if send_at <= view.now:
        raise Refused(
            Code.BAD_REQUEST,
            "The time must be in the future.",
            field="send_at",
        )
    if send_at > view.now + SCHEDULE_DAYS * 86_400 * SECOND:
        raise Refused(
            Code.BAD_REQUEST,
            f"The time must be at most {SCHEDULE_DAYS} days away.",
            field="send_at",
        )


def _repeated(
    earlier: Scheduled, draft: Draft, send_at: int
) -> results.Scheduled:
    same = msgspec.structs.replace(draft, key=None, scheduled_id=earlier.id)
    if earlier.state == SENT and not (earlier.text or earlier.file_ids):
        # It may have been deleted since, which leaves nothing to compare.
        same = msgspec.structs.replace(same, text="", file_ids=())
    if (_draft_of_row(earlier), earlier.send_at) != (same, send_at):
        raise other_content()
    return results.Scheduled(id=earlier.id, send_at=time_text(earlier.send_at))


def _wait(
    turn: Turn, draft: Draft, files: list[StoredFile], send_at: int
) -> results.Scheduled:
    """Keep the draft and its files until their time."""
    turn.adjust_count(1, Counted.SCHEDULED, draft.author_id)
    row = turn.put(
        SCHEDULED,
        Scheduled(
            id=turn.entropy.id(turn.now),
            author_id=draft.author_id,
            chat_id=draft.chat_id,
            text=draft.text,
            is_comment_on=draft.comment_on,
            file_ids=msgspec.json.encode(draft.file_ids).decode()
            if draft.file_ids
            else None,
            send_at=send_at,
            state=PENDING,
            error=None,
            created=turn.now,
            idempotency_key=draft.key,
            message_id=None,
        ),
    )
    for file in files:
        turn.change(FILES, file, scheduled_id=row.id)
    _tell_changed(turn, row)
    return results.Scheduled(id=row.id, send_at=time_text(send_at))


def _tell_changed(turn: Turn, row: Scheduled) -> None:
    turn.tell_user(
        row.author_id, events.ScheduledChanged(id=row.id, state=row.state)
    )


def _draft_of_row(row: Scheduled) -> Draft:
    return Draft(
        author_id=row.author_id,
        chat_id=row.chat_id,
        text=row.text,
        comment_on=row.is_comment_on,
        file_ids=_file_ids(row),
        scheduled_id=row.id,
    )


def _file_ids(row: Scheduled) -> tuple[str, ...]:
    return _decode_ids(row.file_ids) if row.file_ids else ()


def _release_files(turn: Turn, row: Scheduled) -> None:
    """Nothing comes of the message: its files wait for another.

    They have a day from now on, however long they waited with it.
    """
    for file_id in _file_ids(row):
        file = turn.get(FILES, file_id)
        if file is not None and file.scheduled_id == row.id:
            turn.change(FILES, file, scheduled_id=None, created=turn.now)


@reads("scheduled")
async def scheduled(
    work: Reading, caller_id: str, params: given.ScheduledList
) -> results.ScheduledMessages:
    """The caller's scheduled messages by time, or those in one state."""
    rows = await work.ask(
        SCHEDULED_OF,
        author_id=caller_id,
        state=params.state or "",
        limit=LISTED,
    )
    return results.ScheduledMessages(
        messages=[
            results.ScheduledMessage(
                id=row.id,
                chat_id=row.chat_id,
                text=row.text,
                send_at=time_text(row.send_at),
                state=row.state,
                error=row.error or msgspec.UNSET,
                message_id=row.message_id or msgspec.UNSET,
            )
            for row in rows
        ]
    )


@writes("cancel")
async def cancel(
    work: Writing, caller_id: str, params: given.Cancel
) -> results.Empty:
    """Cancel a waiting message, or answer that it is too late."""
    row_id = params.id
    row = await work.load(SCHEDULED, row_id)
    if row is not None:
        await work.load_all(FILES, _file_ids(row))
    turn = await work.turn()
    row = turn.get(SCHEDULED, row_id)
    if row is None or row.author_id != caller_id:
        raise Refused(Code.NOT_FOUND, "Scheduled message not found.")
    if row.state != PENDING:
        raise Refused(
            Code.CONFLICT,
            f"Too late: the message is already {row.state}.",
            state=row.state,
        )
    turn.adjust_count(-1, Counted.SCHEDULED, caller_id)
    _release_files(turn, row)
    _tell_changed(turn, turn.change(SCHEDULED, row, state=CANCELLED))
    return results.Empty()


async def send_due(
    work: Writing, caller_id: None, params: NoParams
) -> Progress:
    """Send a page of the messages whose time has come.

    Ban, membership and quota are judged now; if they forbid it the
    message has failed, and its author's devices are told.
    """
    due = await work.ask(DUE, at=work.now, limit=DUE_PAGE)
    drafts = [_draft_of_row(row) for row in due]
    await work.load_each(
        [
            *((USERS, row.author_id) for row in due),
            *(found for draft in drafts for found in rows_of(draft)),
            *((SCHEDULED, row.id) for row in due),
        ]
    )
    everybody = await gather(
        [
            load_mentioned(work, draft.chat_id, draft.author_id, draft.text)
            for draft in drafts
        ]
    )
    turn = await work.turn()
    for row, draft, all_ids in zip(due, drafts, everybody):
        now = turn.get(SCHEDULED, row.id)
        if now is not None and now.state == PENDING:
            _send_one(turn, now, draft, all_ids)
    return Progress(more=len(due) == DUE_PAGE)


def _send_one(
    turn: Turn, row: Scheduled, draft: Draft, everybody: list[str]
) -> None:
    """Send one message whose time has come, or note why not."""
    turn.adjust_count(-1, Counted.SCHEDULED, row.author_id)
    try:
        sent = deliver(turn, draft, LoadedDraft(everybody))
    except Refused as refused:
        _release_files(turn, row)
        turn.change(SCHEDULED, row, state=FAILED, error=refused.code.wire)
        turn.tell_user(
            row.author_id,
            events.ScheduledFailed(
                id=row.id, chat_id=row.chat_id, error=refused.code.wire
            ),
        )
        return
    turn.change(SCHEDULED, row, state=SENT, message_id=sent.id)
    turn.tell_user(
        row.author_id,
        events.ScheduledSent(
            id=row.id, chat_id=row.chat_id, message_id=sent.id, seq=sent.seq
        ),
    )

"""What accounts and files may cost: of one user, and of the server.

Accounts are free, so whatever each may take is bounded for all of them
together too. A user's files are counted by the store whenever an upload
begins, with what the batch has changed since. The server's totals would
take long to count each time: they are counted now and then, and kept
right in between by what this broker adds. What others add, and what was
rolled back, shows at the next count.
"""

from typing import Final

from zchat.chat.jobs import NoParams, Progress
from zchat.chat.phases import Reading, Turn
from zchat.chat.subjects import Counted
from zchat.errors import Code, Refused
from zchat.model import SECOND, StoredFile
from zchat.queries import FILES_OF, SERVER_TOTALS, UserFiles

UNATTACHED_FILES: Final = 50
LEAST_FILE_BYTES: Final = 16_384
"""What a file counts for at least: its row and its name cost too."""
MINUTE: Final = 60 * SECOND


async def count_totals(
    work: Reading, caller_id: None, params: NoParams
) -> Progress:
    """Count what the whole server has, for the bounds below."""
    (found,) = await work.ask(SERVER_TOTALS, least=LEAST_FILE_BYTES)
    work.totals.users = found.users
    work.totals.file_bytes = found.file_bytes
    return Progress(more=False)


def admit_user(turn: Turn) -> None:
    """Count one more account, or refuse it.

    The minute begins with the first account in it; when it has ended,
    the count starts again from zero.
    """
    totals, rules = turn.totals, turn.rules
    if rules.max_users is not None and totals.users >= rules.max_users:
        raise Refused(
            Code.CONFLICT,
            f"This server has {rules.max_users} users, the maximum. Ask its "
            "operator.",
            limit=rules.max_users,
        )
    if not totals.minute_began <= turn.now < totals.minute_began + MINUTE:
        totals.minute_began = turn.now
        totals.made = 0
    if rules.new_users and totals.made >= rules.new_users:
        ends = totals.minute_began + MINUTE
        seconds = -(-(ends - turn.now) // SECOND)
        raise Refused(
            Code.RATE_LIMITED,
            f"This server makes {rules.new_users} new users per minute. Try "
            f"again in {seconds} s.",
            retry_after=seconds,
            limit=rules.new_users,
            remaining=0,
        )
    totals.made += 1
    totals.users += 1


async def load_files(work: Reading, user_id: str) -> UserFiles:
    """What the store has of a user's files, for `begin_file`."""
    (found,) = await work.ask(
        FILES_OF, user_id=user_id, least=LEAST_FILE_BYTES
    )
    return found


def cost_of(size: int) -> int:
    """What a file counts for, in bytes."""
    return max(size, LEAST_FILE_BYTES)


def begin_file(turn: Turn, user_id: str, size: int, stored: UserFiles) -> None:
    """Count one more file of the user's, or refuse it."""
    rules, totals, cost = turn.rules, turn.totals, cost_of(size)
    count = stored.unattached + turn.count_adjustment(Counted.UPLOADS, user_id)
    if count >= UNATTACHED_FILES:
        raise Refused(
            Code.CONFLICT,
            f"You have {UNATTACHED_FILES} unattached files, the maximum. "
            "Send some first.",
            limit=UNATTACHED_FILES,
        )
    waiting = stored.unattached_bytes + turn.count_adjustment(
        Counted.UPLOAD_BYTES, user_id
    )
    most = max(rules.unattached_bytes, cost_of(rules.max_file_bytes))
    if waiting + cost > most:
        raise Refused(
            Code.CONFLICT,
            f"Your unattached files would take more than {most} bytes. Send "
            "some first.",
            limit=most,
        )
    own = stored.bytes + turn.count_adjustment(Counted.FILE_BYTES, user_id)
    if rules.user_file_bytes is not None and own + cost > (
        rules.user_file_bytes
    ):
        raise Refused(
            Code.CONFLICT,
            f"Your files would take more than {rules.user_file_bytes} bytes. "
            "Delete messages with files first.",
            limit=rules.user_file_bytes,
        )
    if rules.all_file_bytes is not None and totals.file_bytes + cost > (
        rules.all_file_bytes
    ):
        raise Refused(
            Code.CONFLICT,
            "This server has no room for more files. Ask its operator.",
            limit=rules.all_file_bytes,
        )
    totals.file_bytes += cost
    turn.adjust_count(1, Counted.UPLOADS, user_id)
    turn.adjust_count(cost, Counted.UPLOAD_BYTES, user_id)
    turn.adjust_count(cost, Counted.FILE_BYTES, user_id)


def attach_file(turn: Turn, file: StoredFile) -> None:
    """The file is on a message now: it is no unattached one."""
    turn.adjust_count(-1, Counted.UPLOADS, file.uploader_id)
    cost = cost_of(file.size)
    turn.adjust_count(-cost, Counted.UPLOAD_BYTES, file.uploader_id)


def drop_file(turn: Turn, file: StoredFile) -> None:
    """The unattached file is gone."""
    attach_file(turn, file)
    drop_attached(turn, file)


def drop_attached(turn: Turn, file: StoredFile) -> None:
    """The file is gone with the message that it was on."""
    cost = cost_of(file.size)
    turn.totals.file_bytes -= cost
    turn.adjust_count(-cost, Counted.FILE_BYTES, file.uploader_id)

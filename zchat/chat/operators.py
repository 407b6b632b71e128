"""What operators do: see how the server is.

A rule is called without a caller where the request came in by the
operator's socket (engine/door.py): who may open that file may do all.
"""

from zchat.chat.phases import Reading
from zchat.chat.rules import reads
from zchat.errors import Code, Refused
from zchat.model import time_text
from zchat.queries import COUNT_ALL
from zchat.rpc import operator_params as given
from zchat.rpc import operator_results as results


def require_operator(caller_id: str | None) -> None:
    """Refuse users; the operator's socket names no caller."""
    if caller_id is not None:
        raise Refused(Code.FORBIDDEN, "Only an operator can do this.")


@reads("stats")
async def stats(
    work: Reading, caller_id: str | None, params: given.Stats
) -> results.Stats:
    """How the server is, and how much there is in its store."""
    require_operator(caller_id)
    (counts,) = await work.ask(COUNT_ALL)
    most, now = work.facts.connections()
    return results.Stats(
        time=time_text(work.now),
        version=work.facts.version,
        epoch=work.facts.epoch,
        connections_db_max=most,
        connections_db_now=now,
        broker=work.facts.figures(),
        counts=results.Counts(
            users=counts.users,
            chats=counts.chats,
            messages=counts.messages,
            files=counts.files,
            file_bytes=counts.file_bytes,
            scheduled=counts.scheduled,
            complaints=counts.complaints,
        ),
    )

"""Telling a chat that somebody is writing: an event, and nothing more."""

from zchat.chat.errors import no_chat
from zchat.chat.memberships import person
from zchat.chat.moderation import refuse_banned
from zchat.chat.paces import Pace
from zchat.chat.phases import Writing
from zchat.chat.rules import writes
from zchat.rpc import events, results
from zchat.rpc import params as given


@writes("typing")
async def typing(
    work: Writing, caller_id: str, params: given.Typing
) -> results.Empty:
    """Tell a chat that the caller is writing; too often is once."""
    await work.load_membership(params.chat_id, caller_id)
    turn = await work.turn()
    if turn.membership(params.chat_id, caller_id) is None:
        raise no_chat()
    caller = turn.user(caller_id)
    refuse_banned(turn, caller)
    paces = (
        (Pace.TYPING, f"{caller_id} {params.chat_id}"),
        (Pace.TYPING_ANYWHERE, caller_id),
    )
    if not any(turn.paces.wait(pace, whose) for pace, whose in paces):
        for pace, whose in paces:
            turn.paces.spend(pace, whose)
        turn.tell_passing(
            events.Typing(chat_id=params.chat_id, user=person(caller))
        )
    return results.Empty()

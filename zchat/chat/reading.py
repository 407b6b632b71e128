"""Read positions, and what came after them."""

from typing import NamedTuple

from zchat.chat.chats import Place, places_of, unread_count
from zchat.chat.errors import no_chat
from zchat.chat.expiry import begin_delivery
from zchat.chat.memberships import name_for
from zchat.chat.messages import fitting, shown
from zchat.chat.unit_of_work import UnitOfWork
from zchat.model import (
    MEMBERS,
    AuthoredMessage,
    Chat,
    Member,
)
from zchat.queries import UNREAD_AFTER
from zchat.rpc import PAGE_LIMIT, params, results


async def read(
    work: UnitOfWork, caller_id: str, p: params.Read
) -> results.ReadPosition:
    """Move the read position forward; the other devices are told."""
    chat_id = p.chat_id.lower()
    await work.load_membership(chat_id, caller_id)
    await work.turn()
    found = work.membership(chat_id, caller_id)
    if found is None:
        raise no_chat()
    return results.ReadPosition(seq=_move(work, Place(*found), p.seq).read_seq)


def _move(work: UnitOfWork, place: Place, seq: int) -> Member:
    """The read position goes to `seq` at most, and never back."""
    chat, member = place
    seq = min(seq, chat.head)
    if seq <= member.read_seq:
        return member
    work.invalidate("unread", member.user_id)
    begin_delivery(work, chat.id, member.user_id, seq)
    work.tell_user(work.user(member.user_id), "read", chat_id=chat.id, seq=seq)
    return work.change(MEMBERS, member, read_seq=seq)


class _Came(NamedTuple):
    """What came in one chat, and how far that goes."""

    chat: Chat
    name: str
    messages: list[AuthoredMessage]
    through: int


async def unread(
    work: UnitOfWork, caller_id: str, p: params.Unread
) -> results.Unread:
    """What came since the read positions, oldest first, in pages.

    With `ack` the positions move past what is returned; so of two that
    poll at once, each message goes to one.
    """
    left = p.limit or PAGE_LIMIT
    came: list[_Came] = []
    more = False
    for place in await places_of(work, caller_id):
        if place.chat.head <= place.member.read_seq:
            continue
        if left == 0:
            more = more or await unread_count(work, place) > 0
            continue
        part, cut = await _came(work, place, left)
        came.append(part)
        more = more or cut
        left = 0 if cut else left - len(part.messages)
    if p.ack:
        await work.turn()
        work.require_fresh("unread", caller_id)
        work.require_fresh("chats of", caller_id)
        for part in came:
            found = work.membership(part.chat.id, caller_id)
            if found is not None:
                _move(work, Place(*found), part.through)
    return results.Unread(
        more=more,
        chats=[
            results.UnreadChat(
                id=part.chat.id,
                name=part.name,
                messages=[shown(row) for row in part.messages],
            )
            for part in came
            if part.messages
        ],
    )


async def _came(
    work: UnitOfWork, place: Place, limit: int
) -> tuple[_Came, bool]:
    """The oldest unread messages of a chat, and whether there are more."""
    chat, member = place
    after = max(member.read_seq, chat.purged_seq, member.first_seq - 1)
    rows: list[AuthoredMessage] = []
    if await unread_count(work, place):
        rows = await work.ask(
            UNREAD_AFTER,
            chat_id=chat.id,
            user_id=member.user_id,
            after=after,
            limit=limit + 1,
        )
    taken = min(limit, fitting(rows))
    more = len(rows) > taken
    rows = rows[:taken]
    name = await name_for(work, chat, member.user_id)
    through = rows[-1].seq if more else chat.head
    return _Came(chat, name, rows, through), more

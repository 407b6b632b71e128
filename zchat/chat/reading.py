"""Read positions, and what came after them."""

from collections.abc import Sequence
from typing import NamedTuple

from zchat.chat.chats import places_of, unread_count
from zchat.chat.errors import no_chat
from zchat.chat.expiry import begin_delivery
from zchat.chat.memberships import title_for, wire_name
from zchat.chat.messages import fitting
from zchat.chat.phases import Reading, Turn, Writing
from zchat.chat.rendering import shown
from zchat.chat.rules import reads, writes
from zchat.chat.subjects import Subject
from zchat.model import (
    COMMON,
    MEMBERS,
    AuthoredMessage,
    Chat,
    Member,
    Membership,
)
from zchat.queries import UNREAD_AFTER
from zchat.rpc import PAGE_LIMIT, RECEIPTS_LIMIT, events, results
from zchat.rpc import params as given


@writes("read")
async def read(
    work: Writing, caller_id: str, params: given.Read
) -> results.ReadPosition:
    """Move the read position forward; the other devices are told."""
    chat_id = params.chat_id
    await work.load_membership(chat_id, caller_id)
    turn = await work.turn()
    found = turn.membership(chat_id, caller_id)
    if found is None:
        raise no_chat()
    return results.ReadPosition(seq=_move(turn, found, params.seq).read_seq)


def _move(turn: Turn, place: Membership, seq: int) -> Member:
    """The read position goes to `seq` at most, and never back."""
    chat, member = place
    seq = min(seq, chat.head)
    if seq <= member.read_seq:
        return member
    turn.invalidate(Subject.UNREAD, member.user_id)
    begin_delivery(turn, chat.id, member.user_id, seq)
    turn.tell_user(member.user_id, events.Read(chat_id=chat.id, seq=seq))
    if (
        chat.kind != COMMON
        and chat.size <= RECEIPTS_LIMIT
        and turn.user(member.user_id).receipts
    ):
        turn.tell_passing(
            events.Seen(chat_id=chat.id, user_id=member.user_id, seq=seq)
        )
    return turn.change(MEMBERS, member, read_seq=seq)


class _Came(NamedTuple):
    """What came in one chat, and how far that goes."""

    chat: Chat
    title: str
    messages: list[AuthoredMessage]
    through: int


@reads("unread")
async def unread(
    work: Reading, caller_id: str, params: given.Unread
) -> results.Unread:
    """What came since the read positions, oldest first, in pages."""
    return _unread(*await _all_that_came(work, caller_id, params))


@writes("unread")
async def take_unread(
    work: Writing, caller_id: str, params: given.Unread
) -> results.Unread:
    """As `unread`, and the positions move past what is returned.

    So of two that poll at once, each message goes to one.
    """
    came, more = await _all_that_came(work, caller_id, params)
    turn = await work.turn()
    turn.require_fresh(Subject.UNREAD, caller_id)
    turn.require_fresh(Subject.CHATS_OF, caller_id)
    for part in came:
        _move(turn, turn.place(part.chat.id, caller_id), part.through)
    return _unread(came, more)


async def _all_that_came(
    work: Reading, caller_id: str, params: given.Unread
) -> tuple[list[_Came], bool]:
    """A page of what came in all chats, and whether there is more."""
    left = params.limit or PAGE_LIMIT
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
    return came, more


def _unread(came: Sequence[_Came], more: bool) -> results.Unread:
    return results.Unread(
        more=more,
        chats=[
            results.UnreadChat(
                id=part.chat.id,
                name=wire_name(part.chat),
                title=part.title,
                messages=[shown(row) for row in part.messages],
            )
            for part in came
            if part.messages
        ],
    )


async def _came(
    work: Reading, place: Membership, limit: int
) -> tuple[_Came, bool]:
    """The oldest unread messages of a chat, and whether there are more."""
    chat, member = place
    rows: list[AuthoredMessage] = []
    if await unread_count(work, place):
        rows = await work.ask(
            UNREAD_AFTER,
            chat_id=chat.id,
            user_id=member.user_id,
            after=place.unread_after,
            limit=limit + 1,
        )
    taken = min(limit, fitting(rows))
    more = len(rows) > taken
    rows = rows[:taken]
    title = await title_for(work, chat, member.user_id)
    through = rows[-1].seq if more else chat.head
    return _Came(chat, title, rows, through), more

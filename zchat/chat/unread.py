"""What came while away: chats, read positions, unread, sync."""

from collections.abc import Sequence
from typing import NamedTuple

from zchat.chat.errors import no_chat
from zchat.chat.expiry import begin_delivery, visible_after
from zchat.chat.messages import PAGE_TEXT, fitting, newest, shown
from zchat.chat.rooms import NIL_ID, name_for
from zchat.chat.unit_of_work import UnitOfWork, gather
from zchat.model import CHATS, MEMBERS, AuthoredMessage, Chat, Member
from zchat.queries import CHATS_OF_USER, COUNT_OWN, MEMBERS_PAGE, UNREAD_AFTER
from zchat.rpc import (
    AUTHORS_LIMIT,
    CHATS_MESSAGES,
    PAGE_LIMIT,
    params,
    results,
)

EVERY_CHAT = 1_000_000


class Place(NamedTuple):
    """A chat and the caller's membership in it."""

    chat: Chat
    member: Member


async def _places(
    work: UnitOfWork,
    user_id: str,
    after: str | None = None,
    limit: int = EVERY_CHAT,
) -> list[Place]:
    """The user's chats, the common one first, then by id."""
    others = await work.ask(
        CHATS_OF_USER,
        user_id=user_id,
        common_id=work.common_id,
        after=(after if after and after != work.common_id else NIL_ID),
        limit=limit,
    )
    ids = [found.id for found in others]
    if after is None:
        ids.insert(0, work.common_id)
    await work.load_all(CHATS, ids)
    await work.load_all(MEMBERS, [(chat_id, user_id) for chat_id in ids])
    found = [work.membership(chat_id, user_id) for chat_id in ids]
    return [Place(*place) for place in found if place][:limit]


async def unread_count(work: UnitOfWork, place: Place) -> int:
    """How many messages of others came after the read position."""
    chat, member = place
    after = max(member.read_seq, chat.purged_seq, member.first_seq - 1)
    if chat.head <= after:
        return 0
    own = await work.ask(
        COUNT_OWN, chat_id=chat.id, user_id=member.user_id, after=after
    )
    return max(0, chat.head - after - own[0].count)


async def chats(
    work: UnitOfWork, caller_id: str, p: params.Chats
) -> results.Chats:
    """The caller's chats with their newest messages, or one of them."""
    depth = work.rules.history_depth if p.depth is None else p.depth
    if p.chat_id is not None:
        chat_id = p.chat_id.lower()
        await work.load_membership(chat_id, caller_id)
        found = work.membership(chat_id, caller_id)
        if found is None:
            raise no_chat()
        return results.Chats(
            history=await _shown_chat(work, Place(*found), depth)
        )
    places = await _places(
        work,
        caller_id,
        p.after and p.after.lower(),
        min(p.limit or PAGE_LIMIT, CHATS_MESSAGES // max(depth, 1)),
    )
    page = await gather([_shown_chat(work, place, depth) for place in places])
    return results.Chats(chats=page[: _fitting_chats(page)])


def _fitting_chats(found: Sequence[results.Chat]) -> int:
    """How many of the chats a page takes; one always."""
    left = PAGE_TEXT
    for count, chat in enumerate(found):
        left -= sum(len(message.text) for message in chat.messages)
        if left < 0 and count:
            return count
    return len(found)


async def _shown_chat(
    work: UnitOfWork, place: Place, depth: int
) -> results.Chat:
    chat, member = place
    floor = max(await visible_after(work, member), chat.purged_seq)
    messages = await newest(work, chat.id, floor, depth)
    people = await work.ask(
        MEMBERS_PAGE, chat_id=chat.id, after=NIL_ID, limit=AUTHORS_LIMIT
    )
    return results.Chat(
        id=chat.id,
        name=await name_for(work, chat, member.user_id),
        kind=chat.kind,
        messages=[shown(row) for row in messages],
        authors=[
            results.Person(id=user.id, name=user.name) for user in people
        ],
        size=chat.size,
        head=chat.head,
        read=member.read_seq,
        unread=await unread_count(work, place),
    )


async def sync(
    work: UnitOfWork, caller_id: str, p: params.Sync
) -> results.Sync:
    """All that a device needs to start or to catch up."""
    user = work.user(caller_id)
    return results.Sync(
        epoch=work.facts.epoch,
        gaps=work.facts.gaps,
        inbox_key=results.EventKey(
            id=user.inbox_number, secret=user.inbox_secret
        ),
        chats=await gather(
            [_synced(work, place) for place in await _places(work, caller_id)]
        ),
    )


async def _synced(work: UnitOfWork, place: Place) -> results.SyncChat:
    chat, member = place
    key = None
    if chat.event_key is not None:
        key = results.EventKey(
            id=chat.event_key.number, secret=chat.event_key.secret
        )
    return results.SyncChat(
        id=chat.id,
        name=await name_for(work, chat, member.user_id),
        kind=chat.kind,
        head=chat.head,
        read=member.read_seq,
        unread=await unread_count(work, place),
        event_key=key,
    )


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
    for place in await _places(work, caller_id):
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

"""The chats of a user: listing them, private chats, members, leaving."""

from collections.abc import Sequence
from typing import NamedTuple

from zchat.chat.errors import no_chat
from zchat.chat.expiry import visible_after
from zchat.chat.memberships import (
    BY_PAIR,
    NIL_ID,
    enter,
    leave,
    name_for,
    new_chat,
    pair_of,
    refuse_to_return_yet,
)
from zchat.chat.messages import PAGE_TEXT, newest, shown
from zchat.chat.moderation import refuse_banned
from zchat.chat.unit_of_work import UnitOfWork, gather
from zchat.chat.visibility import acquaintance, load_acquaintance
from zchat.errors import Code, Refused
from zchat.model import (
    CHATS,
    GROUP,
    MEMBERS,
    P2P,
    USERS,
    Chat,
    Member,
)
from zchat.queries import (
    CHATS_OF_USER,
    COUNT_OWN,
    MEMBERS_PAGE,
    NEXT_OWNER,
)
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


async def places_of(
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
    places = await places_of(
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


async def p2p(
    work: UnitOfWork, caller_id: str, p: params.P2P
) -> results.ChatId:
    """The one private chat of the caller and the other."""
    other_id = p.user_id.lower()
    if other_id == caller_id:
        raise Refused(
            Code.BAD_REQUEST,
            "A private chat needs another user than yourself.",
            field="user_id",
        )
    shared = await load_acquaintance(work, caller_id, other_id)
    pair = pair_of(caller_id, other_id)
    chat = await work.load_unique(CHATS, BY_PAIR, pair)
    if chat is not None:
        await work.load_all(
            MEMBERS, [(chat.id, caller_id), (chat.id, other_id)]
        )
    await work.turn()
    acquaintance(work, caller_id, other_id, shared)
    chat = work.get_unique(CHATS, BY_PAIR, pair)
    if chat is None:
        refuse_banned(work, work.user(caller_id))
        chat = new_chat(work, P2P, "", None, pair)
    else:
        for user_id in (caller_id, other_id):
            refuse_to_return_yet(work, chat.id, user_id)
    for user_id in (caller_id, other_id):
        if not work.is_member(chat.id, user_id):
            chat = enter(work, chat, work.user(user_id), first_seq=1)
    return results.ChatId(chat_id=chat.id)


async def exit_chat(
    work: UnitOfWork, caller_id: str, p: params.Exit
) -> results.Empty:
    """Leave a chat; an owner hands it to the longest-standing member."""
    chat_id = p.chat_id.lower()
    await work.load_membership(chat_id, caller_id)
    chat = work.get(CHATS, chat_id)
    heirs = []
    if chat is not None and chat.kind == GROUP:
        heirs = await work.ask(NEXT_OWNER, chat_id=chat_id, user_id=caller_id)
        await work.load_all(USERS, [heir.id for heir in heirs])
    await work.turn()
    found = work.membership(chat_id, caller_id)
    if found is None:
        raise no_chat()
    chat, member = found
    if chat.owner_id == caller_id:
        work.require_fresh("members", chat_id)
        if heirs:
            chat = work.change(CHATS, chat, owner_id=heirs[0].id)
    leave(work, chat, member, work.user(caller_id))
    return results.Empty()


async def users(
    work: UnitOfWork, caller_id: str, p: params.Users
) -> results.Users:
    """A page of a chat's members by user id."""
    chat_id = p.chat_id.lower()
    await work.load_membership(chat_id, caller_id)
    if work.membership(chat_id, caller_id) is None:
        raise no_chat()
    found = await work.ask(
        MEMBERS_PAGE,
        chat_id=chat_id,
        after=(p.after or NIL_ID).lower(),
        limit=p.limit or PAGE_LIMIT,
    )
    return results.Users(
        users=[results.Person(id=user.id, name=user.name) for user in found]
    )

"""The chats of a user: listing them, private chats, members, leaving."""

from collections.abc import Sequence

from zchat.chat.awaitables import gather
from zchat.chat.errors import no_chat
from zchat.chat.expiry import (
    NOTHING_EARLIER,
    Earlier,
    load_earlier,
    visible_after,
)
from zchat.chat.memberships import (
    BY_PAIR,
    NIL_ID,
    enter,
    leave,
    new_chat,
    pair_of,
    refuse_to_return_yet,
    title_for,
    wire_name,
)
from zchat.chat.messages import PAGE_BYTES, newest, size_of
from zchat.chat.moderation import refuse_banned
from zchat.chat.phases import Reading, Turn, View, Writing
from zchat.chat.rendering import shown
from zchat.chat.rules import reads, writes
from zchat.chat.subjects import Subject
from zchat.chat.times_seen import is_online
from zchat.chat.visibility import acquaintance, load_acquaintance
from zchat.errors import Code, Refused
from zchat.model import (
    CHATS,
    COMMON,
    GROUP,
    MEMBERS,
    P2P,
    USERS,
    Chat,
    Membership,
    time_text,
)
from zchat.queries import (
    CHATS_OF_USER,
    COUNT_OWN,
    LISTED_MEMBERS,
    MEMBERS_PAGE,
    NEXT_OWNER,
    ListedMember,
)
from zchat.rpc import (
    AUTHORS_LIMIT,
    CHATS_MESSAGES,
    PAGE_LIMIT,
    events,
    results,
)
from zchat.rpc import (
    params as given,
)

EVERY_CHAT = 1_000_000


async def places_of(
    work: Reading,
    user_id: str,
    after: str | None = None,
    limit: int = EVERY_CHAT,
) -> list[Membership]:
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
    return [place for place in found if place][:limit]


async def unread_count(work: Reading, place: Membership) -> int:
    """How many messages of others came after the read position."""
    chat, member = place
    after = place.unread_after
    if chat.head <= after:
        return 0
    own = await work.ask(
        COUNT_OWN, chat_id=chat.id, user_id=member.user_id, after=after
    )
    return max(0, chat.head - after - own[0].count)


@reads("chats")
async def chats(
    work: Reading, caller_id: str, params: given.Chats
) -> results.Chats:
    """The caller's chats with their newest messages, or one of them."""
    depth = work.rules.history_depth if params.depth is None else params.depth
    if params.chat_id is not None:
        chat_id = params.chat_id
        await work.load_membership(chat_id, caller_id)
        found = work.membership(chat_id, caller_id)
        if found is None:
            raise no_chat()
        return results.Chats(history=await _shown_chat(work, found, depth))
    places = await places_of(
        work,
        caller_id,
        params.after,
        min(params.limit or PAGE_LIMIT, CHATS_MESSAGES // max(depth, 1)),
    )
    page = await gather([_shown_chat(work, place, depth) for place in places])
    return results.Chats(chats=page[: _fitting_chats(page)])


def _fitting_chats(found: Sequence[results.Chat]) -> int:
    """How many of the chats a page takes; one always."""
    left = PAGE_BYTES
    for count, chat in enumerate(found):
        left -= sum(size_of(message.text) for message in chat.messages)
        if left < 0 and count:
            return count
    return len(found)


async def _shown_chat(
    work: Reading, place: Membership, depth: int
) -> results.Chat:
    chat, member = place
    floor = await visible_after(work, place)
    messages = await newest(work, chat.id, floor, depth)
    people = await work.ask(
        MEMBERS_PAGE, chat_id=chat.id, after=NIL_ID, limit=AUTHORS_LIMIT
    )
    return results.Chat(
        id=chat.id,
        name=wire_name(chat),
        title=await title_for(work, chat, member.user_id),
        kind=chat.kind,
        messages=[shown(row) for row in messages],
        authors=[
            results.Person(id=user.id, name=user.name) for user in people
        ],
        size=chat.size,
        head=chat.head,
        revision=chat.revision,
        read=member.read_seq,
        unread=await unread_count(work, place),
    )


@writes("p2p")
async def p2p(
    work: Writing, caller_id: str, params: given.P2P
) -> results.ChatId:
    """The one private chat of the caller and the other."""
    other_id = params.user_id
    if other_id == caller_id:
        raise Refused(
            Code.BAD_REQUEST,
            "You cannot open a private chat with yourself.",
            field="user_id",
        )
    shared = await load_acquaintance(work, caller_id, other_id)
    pair = pair_of(caller_id, other_id)
    chat = await work.load_unique(CHATS, BY_PAIR, pair)
    earlier: dict[str, Earlier] = {}
    if chat is not None:
        await work.load_all(
            MEMBERS, [(chat.id, caller_id), (chat.id, other_id)]
        )
        earlier = {
            user_id: await load_earlier(work, chat.id, user_id)
            for user_id in (caller_id, other_id)
            if not work.is_member(chat.id, user_id)
        }
    turn = await work.turn()
    acquaintance(turn, caller_id, other_id, shared)
    chat = turn.get_unique(CHATS, BY_PAIR, pair)
    if chat is None:
        refuse_banned(turn, turn.user(caller_id))
        chat = new_chat(turn, P2P, "", None, pair)
    else:
        for user_id in (caller_id, other_id):
            refuse_to_return_yet(turn, chat.id, user_id)
    for user_id in (caller_id, other_id):
        if not turn.is_member(chat.id, user_id):
            chat = enter(
                turn,
                chat,
                turn.user(user_id),
                first_seq=1,
                earlier=earlier.get(user_id, NOTHING_EARLIER),
            )
    return results.ChatId(chat_id=chat.id)


@writes("exit")
async def exit_chat(
    work: Writing, caller_id: str, params: given.Exit
) -> results.Empty:
    """Leave a chat; an owner hands it to the longest-standing member."""
    chat_id = params.chat_id
    await work.load_membership(chat_id, caller_id)
    chat = work.get(CHATS, chat_id)
    heirs = []
    if chat is not None and chat.kind == GROUP:
        heirs = await work.ask(NEXT_OWNER, chat_id=chat_id, user_id=caller_id)
        await work.load_all(USERS, [heir.id for heir in heirs])
    turn = await work.turn()
    found = turn.membership(chat_id, caller_id)
    if found is None:
        raise no_chat()
    chat, member = found
    if chat.owner_id == caller_id:
        turn.require_fresh(Subject.MEMBERS, chat_id)
        if heirs:
            chat = hand_on(turn, chat, heirs[0].id)
    leave(turn, chat, member, turn.user(caller_id))
    return results.Empty()


def hand_on(turn: Turn, chat: Chat, heir_id: str) -> Chat:
    """A group gets another owner, whom join requests may be told to:
    so the heir must have been loaded."""
    turn.change(CHATS, chat, owner_id=heir_id)
    return turn.tell_change(
        events.OwnerChanged(chat_id=chat.id, owner_id=heir_id)
    )


@reads("users")
async def users(
    work: Reading, caller_id: str, params: given.Users
) -> results.Users:
    """A page of a chat's members by user id."""
    chat_id = params.chat_id
    place = await work.load_membership(chat_id, caller_id)
    if place is None:
        raise no_chat()
    found = await work.ask(
        LISTED_MEMBERS,
        chat_id=chat_id,
        after=params.after or NIL_ID,
        limit=params.limit or PAGE_LIMIT,
    )
    return results.Users(
        users=[_listed(work, place.chat, member) for member in found]
    )


def _listed(
    view: View, chat: Chat, member: ListedMember
) -> results.ListedUser:
    """A member as the others see it; the common chat has no receipts."""
    last_seen = view.times_seen.last(member.id, member.last_seen)
    hidden = chat.kind == COMMON or not member.receipts
    return results.ListedUser(
        id=member.id,
        name=member.name,
        role=member.role,
        online=is_online(last_seen, view.now),
        last_seen=None if last_seen is None else time_text(last_seen),
        read=None if hidden else member.read_seq,
    )

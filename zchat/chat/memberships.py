"""Entering and leaving chats, and what a chat is to one of its members."""

from typing import Final

from zchat.chat.expiry import begin_delivery
from zchat.chat.unit_of_work import UnitOfWork
from zchat.errors import Code, Refused
from zchat.model import (
    CHATS,
    COMMON,
    GROUP,
    MEMBERS,
    P2P,
    USERS,
    Chat,
    Member,
    User,
)
from zchat.queries import (
    COUNT_CHATS_OF_USER,
    DELETE_CHAT_CHUNKS,
    DELETE_CHAT_DELIVERIES,
    DELETE_CHAT_FILES,
    DELETE_CHAT_LINKS,
    DELETE_CHAT_MESSAGES,
    DELETE_CHAT_REQUESTS,
    DELETE_MEMBER_DELIVERIES,
    DELETE_MESSAGE_SCHEDULES,
)
from zchat.rpc import MEMBERSHIPS_LIMIT
from zchat.rpc.sealing import SECRET_BYTES

BY_PAIR: Final = 0


NIL_ID: Final = "00000000-0000-0000-0000-000000000000"


def pair_of(one: str, other: str) -> str:
    """What makes the one private chat of two users unique."""
    return ":".join(sorted((one, other)))


def partner_id(chat: Chat, user_id: str) -> str:
    """The other user of a private chat."""
    one, _, other = (chat.pair or "").partition(":")
    return other if one == user_id else one


async def name_for(work: UnitOfWork, chat: Chat, user_id: str) -> str:
    """The chat's name as this user sees it: a private chat has the
    other's."""
    if chat.kind != P2P:
        return chat.name
    other = await work.load(USERS, partner_id(chat, user_id))
    return other.name if other else ""


def person(user: User) -> dict[str, str]:
    """The user as events show it."""
    return {"id": user.id, "name": user.name}


def enter(work: UnitOfWork, chat: Chat, user: User, first_seq: int) -> Chat:
    """The user becomes a member; nothing from before is unread.

    A group's key changes, lest a newcomer who recorded the events of
    before can open them now.
    """
    work.invalidate("members", chat.id)
    work.invalidate("chats of", user.id)
    if chat.kind == GROUP and chat.size:
        chat = _change_key(work, chat)
    work.put(
        MEMBERS,
        Member(
            chat_id=chat.id,
            user_id=user.id,
            joined=work.now,
            first_seq=first_seq,
            read_seq=chat.head,
        ),
    )
    begin_delivery(work, chat.id, user.id, chat.head)
    chat = work.change(CHATS, chat, size=chat.size + 1)
    work.tell_chat(chat, "member_joined", user=person(user))
    name = chat.name
    if chat.kind == P2P:
        name = work.user(partner_id(chat, user.id)).name
    work.tell_user(
        user, "chat_added", chat_id=chat.id, name=name, kind=chat.kind
    )
    return chat


def _change_key(work: UnitOfWork, chat: Chat) -> Chat:
    """Who holds the old key learns that there is another; no more."""
    work.tell_chat(chat, "key_changed")
    return work.change(
        CHATS,
        chat,
        key_number=chat.key_number + 1,
        key_secret=work.entropy.secret(SECRET_BYTES),
    )


def refuse_to_return_yet(work: UnitOfWork, chat_id: str, user_id: str) -> None:
    """Who left in this batch comes back in the next.

    What a leaver leaves behind is cleared when the batch is flushed.
    """
    work.require_fresh("left", chat_id, user_id)


def leave(work: UnitOfWork, chat: Chat, member: Member, user: User) -> None:
    """The user is no member any more, and cannot read what follows."""
    work.invalidate("members", chat.id)
    work.invalidate("chats of", user.id)
    work.invalidate("left", chat.id, user.id)
    work.delete(MEMBERS, member)
    work.run(DELETE_MEMBER_DELIVERIES, chat_id=chat.id, user_id=user.id)
    work.tell_user(user, "chat_removed", chat_id=chat.id)
    chat = work.change(CHATS, chat, size=chat.size - 1)
    if chat.kind == COMMON:
        work.tell_chat(chat, "member_left", user=person(user))
    elif chat.size:
        chat = _change_key(work, chat)
        work.tell_chat(chat, "member_left", user=person(user))
    else:
        _delete_chat(work, chat)


def _delete_chat(work: UnitOfWork, chat: Chat) -> None:
    """A private chat that everybody left."""
    work.note("chat_deleted", chat_id=chat.id)
    work.invalidate("messages gone", chat.id)
    work.delete(CHATS, chat)
    work.run(DELETE_MESSAGE_SCHEDULES, chat_id=chat.id, seq=chat.head)
    for statement in (
        DELETE_CHAT_CHUNKS,
        DELETE_CHAT_FILES,
        DELETE_CHAT_MESSAGES,
        DELETE_CHAT_LINKS,
        DELETE_CHAT_REQUESTS,
        DELETE_CHAT_DELIVERIES,
    ):
        work.run(statement, chat_id=chat.id)


def new_chat(
    work: UnitOfWork,
    kind: str,
    name: str,
    owner_id: str | None,
    pair: str | None,
) -> Chat:
    """A chat without members."""
    chat = work.put(
        CHATS,
        Chat(
            id=work.entropy.id(work.now),
            kind=kind,
            name=name,
            owner_id=owner_id,
            pair=pair,
            created=work.now,
            head=0,
            purged_seq=0,
            size=0,
            key_number=1,
            key_secret=work.entropy.secret(SECRET_BYTES),
        ),
    )
    work.note("chat_made", chat_id=chat.id, kind=kind)
    return chat


async def load_memberships(work: UnitOfWork, user_id: str) -> int:
    """In how many chats the user is."""
    (found,) = await work.ask(COUNT_CHATS_OF_USER, user_id=user_id)
    return found.count


def require_room(work: UnitOfWork, user_id: str, memberships: int) -> None:
    """Refuse one group too many: each costs at every `sync`."""
    if (
        memberships + work.count_adjustment("groups of", user_id)
        >= MEMBERSHIPS_LIMIT
    ):
        raise Refused(
            Code.CONFLICT,
            f"One user may be in {MEMBERSHIPS_LIMIT} chats; leave one first.",
            limit=MEMBERSHIPS_LIMIT,
        )
    work.adjust_count(1, "groups of", user_id)

"""Entering and leaving chats, and what a chat is to one of its members."""

from typing import Final

from zchat.chat.expiry import (
    NOTHING_EARLIER,
    Earlier,
    begin_delivery,
    keep_expiry,
)
from zchat.chat.phases import Reading, Turn, View
from zchat.chat.subjects import Counted, Subject
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
    DELETE_MEMBER_MENTIONS,
    DELETE_MESSAGE_EDITS,
    DELETE_MESSAGE_MENTIONS,
    DELETE_MESSAGE_REACTORS,
    DELETE_MESSAGE_SCHEDULES,
)
from zchat.rpc import MEMBERSHIPS_LIMIT, events
from zchat.rpc.results import Person
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


def wire_name(chat: Chat) -> str:
    """The chat's name on the wire: every p2p chat has the same."""
    return P2P if chat.kind == P2P else chat.name


async def title_for(work: Reading, chat: Chat, user_id: str) -> str:
    """What this user is shown as the chat's name: in a p2p chat the
    other's name."""
    if chat.kind == P2P:
        await work.load(USERS, partner_id(chat, user_id))
    return loaded_title(work, chat, user_id)


def loaded_title(view: View, chat: Chat, user_id: str) -> str:
    """As `title_for`, where the other of a p2p chat was loaded."""
    if chat.kind != P2P:
        return chat.name
    other = view.get(USERS, partner_id(chat, user_id))
    return other.name if other else ""


def person(user: User) -> Person:
    """The user as others see it."""
    return Person(id=user.id, name=user.name)


def enter(
    turn: Turn,
    chat: Chat,
    user: User,
    first_seq: int,
    earlier: Earlier = NOTHING_EARLIER,
) -> Chat:
    """The user becomes a member; nothing from before is unread.

    Who may have been a member before needs `earlier`, from
    `expiry.load_earlier`.

    A group's key changes, lest a newcomer who recorded the events of
    before can open them now.
    """
    turn.invalidate(Subject.MEMBERS, chat.id)
    turn.invalidate(Subject.CHATS_OF, user.id)
    if chat.kind == GROUP and chat.size:
        chat = change_key(turn, chat)
    turn.put(
        MEMBERS,
        Member(
            chat_id=chat.id,
            user_id=user.id,
            joined=turn.now,
            first_seq=first_seq,
            read_seq=chat.head,
            expired_through=earlier.expired,
        ),
    )
    if chat.head > earlier.through:
        begin_delivery(turn, chat.id, user.id, chat.head)
    chat = turn.change(
        CHATS,
        chat,
        size=chat.size + 1,
        shared_from=max(chat.shared_from, first_seq),
    )
    chat = turn.tell_change(
        events.MemberJoined(chat_id=chat.id, user=person(user))
    )
    turn.tell_user(
        user.id,
        events.ChatAdded(
            chat_id=chat.id,
            name=wire_name(chat),
            title=loaded_title(turn, chat, user.id),
            kind=chat.kind,
        ),
    )
    return chat


def change_key(turn: Turn, chat: Chat) -> Chat:
    """Who holds the old key learns that there is another; no more."""
    chat = turn.tell_change(events.KeyChanged(chat_id=chat.id))
    return turn.change(
        CHATS,
        chat,
        key_number=chat.key_number + 1,
        key_secret=turn.entropy.secret(SECRET_BYTES),
    )


def refuse_to_return_yet(turn: Turn, chat_id: str, user_id: str) -> None:
    """Who left in this batch comes back in the next.

    What a leaver leaves behind is cleared when the batch is flushed.
    """
    turn.require_fresh(Subject.LEFT, chat_id, user_id)


def leave(turn: Turn, chat: Chat, member: Member, user: User) -> None:
    """The user is no member any more, and cannot read what follows."""
    turn.invalidate(Subject.MEMBERS, chat.id)
    turn.invalidate(Subject.CHATS_OF, user.id)
    turn.invalidate(Subject.LEFT, chat.id, user.id)
    turn.delete(MEMBERS, member)
    keep_expiry(turn, member)
    turn.run(DELETE_MEMBER_MENTIONS, chat_id=chat.id, user_id=user.id)
    turn.tell_user(user.id, events.ChatRemoved(chat_id=chat.id))
    chat = turn.change(CHATS, chat, size=chat.size - 1)
    if chat.kind == COMMON or chat.size:
        if chat.kind != COMMON:
            change_key(turn, chat)
        turn.tell_change(events.MemberLeft(chat_id=chat.id, user=person(user)))
    else:
        _delete_chat(turn, chat)


def _delete_chat(turn: Turn, chat: Chat) -> None:
    """A private chat that everybody left."""
    turn.note("chat_deleted", chat_id=chat.id)
    turn.invalidate(Subject.MESSAGES_GONE, chat.id)
    turn.delete(CHATS, chat)
    for statement in (
        DELETE_MESSAGE_SCHEDULES,
        DELETE_MESSAGE_EDITS,
        DELETE_MESSAGE_REACTORS,
        DELETE_MESSAGE_MENTIONS,
    ):
        turn.run(statement, chat_id=chat.id, seq=chat.head)
    for statement in (
        DELETE_CHAT_CHUNKS,
        DELETE_CHAT_FILES,
        DELETE_CHAT_MESSAGES,
        DELETE_CHAT_LINKS,
        DELETE_CHAT_REQUESTS,
        DELETE_CHAT_DELIVERIES,
    ):
        turn.run(statement, chat_id=chat.id)


def new_chat(
    turn: Turn,
    kind: str,
    name: str,
    owner_id: str | None,
    pair: str | None,
) -> Chat:
    """A chat without members."""
    chat = turn.put(
        CHATS,
        Chat(
            id=turn.entropy.id(turn.now),
            kind=kind,
            name=name,
            owner_id=owner_id,
            pair=pair,
            created=turn.now,
            head=0,
            purged_seq=0,
            size=0,
            key_number=1,
            key_secret=turn.entropy.secret(SECRET_BYTES),
        ),
    )
    turn.note("chat_made", chat_id=chat.id, kind=kind)
    return chat


async def load_memberships(work: Reading, user_id: str) -> int:
    """In how many chats the user is."""
    (found,) = await work.ask(COUNT_CHATS_OF_USER, user_id=user_id)
    return found.count


def require_room(turn: Turn, user_id: str, memberships: int) -> None:
    """Refuse one group too many: each costs at every `sync`."""
    if (
        memberships + turn.count_adjustment(Counted.GROUPS, user_id)
        >= MEMBERSHIPS_LIMIT
    ):
        raise Refused(
            Code.CONFLICT,
            f"You are in {MEMBERSHIPS_LIMIT} chats, the maximum. "
            "Leave one first.",
            limit=MEMBERSHIPS_LIMIT,
        )
    turn.adjust_count(1, Counted.GROUPS, user_id)

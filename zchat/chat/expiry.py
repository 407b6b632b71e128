"""Lifetime: a delivered message is visible for so many seconds more.

A message is delivered to a member when the read position passes it.
What nobody may see any longer is deleted (docs/howto/message-lifetime.md).
"""

from typing import Final, NamedTuple

from zchat.chat.jobs import NoParams, Progress
from zchat.chat.phases import Reading, Turn, View, Writing
from zchat.chat.subjects import Subject
from zchat.model import (
    CHATS,
    DELIVERIES,
    MEMBERS,
    SECOND,
    Chat,
    Delivery,
    Member,
    Membership,
    first_id_at,
)
from zchat.queries import (
    DELETE_MESSAGE_CHUNKS,
    DELETE_MESSAGE_EDITS,
    DELETE_MESSAGE_FILES,
    DELETE_MESSAGE_MENTIONS,
    DELETE_MESSAGE_REACTORS,
    DELETE_MESSAGE_SCHEDULES,
    DELETE_MESSAGES,
    DELETE_OLD_DELIVERIES,
    DELIVERED_TO,
    EXPIRED_CHATS,
    EXPIRED_FOR,
    EXPIRED_MEMBERS,
    FORGET_DELIVERIES,
    KEEP_EXPIRY,
    START_LIFETIME,
)
from zchat.rpc import events

UNDELIVERED_SECONDS: Final = 30 * 86_400
EXPIRY_PAGE: Final = 1_000
DELETED_CHATS: Final = 50
DELETED_MESSAGES: Final = 2_000


def begin_delivery(turn: Turn, chat_id: str, user_id: str, seq: int) -> None:
    """All up to `seq` is delivered to the member now."""
    if turn.rules.message_ttl_seconds is not None and seq:
        turn.put(DELIVERIES, Delivery(chat_id, user_id, seq, turn.now))


def _expired_before(view: View) -> int | None:
    """What was delivered at or before this time is expired."""
    if view.rules.message_ttl_seconds is None:
        return None
    return view.now - view.rules.message_ttl_seconds * SECOND


async def visible_after(work: Reading, membership: Membership) -> int:
    """The seq after which the member sees messages at this moment."""
    member = membership.member
    at = _expired_before(work)
    if at is None:
        return membership.visible_after
    expired = await work.ask(
        EXPIRED_FOR, chat_id=member.chat_id, user_id=member.user_id, at=at
    )
    return max(membership.visible_after, expired[0].seq or 0)


class Earlier(NamedTuple):
    """What was delivered to a user who was in the chat before, and up to
    where that has expired by now; 0 where nothing was."""

    through: int = 0
    expired: int = 0


NOTHING_EARLIER: Final = Earlier()


async def load_earlier(work: Reading, chat_id: str, user_id: str) -> Earlier:
    """What an earlier membership left behind, for who comes back.

    Deliveries outlive the membership: otherwise leaving and coming back
    would make messages visible for another lifetime.
    """
    at = _expired_before(work)
    if at is None:
        return NOTHING_EARLIER
    (found,) = await work.ask(
        DELIVERED_TO, chat_id=chat_id, user_id=user_id, at=at
    )
    return Earlier(found.through or 0, found.expired or 0)


def keep_expiry(turn: Turn, member: Member) -> None:
    """The member leaves: what has expired stays so after a return."""
    if member.expired_through:
        turn.run(
            KEEP_EXPIRY,
            chat_id=member.chat_id,
            user_id=member.user_id,
            seq=member.expired_through,
        )


async def start(work: Writing, caller_id: None, params: NoParams) -> None:
    """At the start: what was read before counts as delivered now."""
    turn = await work.turn()
    if turn.rules.message_ttl_seconds is not None:
        turn.run(START_LIFETIME, at=turn.now)


async def expire_members(
    work: Writing, caller_id: None, params: NoParams
) -> Progress:
    """Note for a page of members up to where they see nothing more.

    As `delete_expired` for servers with a lifetime alone.
    """
    at = _expired_before(work)
    assert at is not None
    expired = await work.ask(EXPIRED_MEMBERS, at=at, limit=EXPIRY_PAGE)
    await work.load_all(
        MEMBERS, [(found.chat_id, found.user_id) for found in expired]
    )
    turn = await work.turn()
    for found in expired:
        member = turn.get(MEMBERS, (found.chat_id, found.user_id))
        if member is not None and found.seq > member.expired_through:
            turn.change(MEMBERS, member, expired_through=found.seq)
        turn.run(
            FORGET_DELIVERIES,
            chat_id=found.chat_id,
            user_id=found.user_id,
            seq=found.seq,
        )
    return Progress(more=len(expired) == EXPIRY_PAGE)


async def delete_expired(
    work: Writing, caller_id: None, params: NoParams
) -> Progress:
    """Delete what no member of a chat may see any longer, in pages.

    Asked again once the chats are locked: who came in meanwhile sees
    some of it.
    """
    assert work.rules.message_ttl_seconds is not None
    aged_id = first_id_at(work.now - UNDELIVERED_SECONDS * SECOND)
    for _ in range(2):
        expired = await work.ask(
            EXPIRED_CHATS, limit=DELETED_CHATS, aged_id=aged_id
        )
        await work.load_all(CHATS, [found.chat_id for found in expired])
    turn = await work.turn()
    more = len(expired) == DELETED_CHATS
    for found in expired:
        chat = turn.get(CHATS, found.chat_id)
        if (
            chat is None
            or found.seq <= chat.purged_seq
            or turn.is_stale(Subject.MEMBERS, chat.id)
        ):
            continue
        seq = min(found.seq, chat.purged_seq + DELETED_MESSAGES)
        more = more or seq < found.seq
        _delete_through(turn, chat, seq)
    return Progress(more=more)


def _delete_through(turn: Turn, chat: Chat, seq: int) -> None:
    """The chat's messages up to a seq are gone, with what hung on them."""
    turn.invalidate(Subject.MESSAGES_GONE, chat.id)
    for statement in (
        DELETE_MESSAGE_CHUNKS,
        DELETE_MESSAGE_FILES,
        DELETE_MESSAGE_SCHEDULES,
        DELETE_MESSAGE_EDITS,
        DELETE_MESSAGE_REACTORS,
        DELETE_MESSAGE_MENTIONS,
        DELETE_MESSAGES,
        DELETE_OLD_DELIVERIES,
    ):
        turn.run(statement, chat_id=chat.id, seq=seq)
    turn.change(CHATS, chat, purged_seq=seq)
    turn.tell_change(events.Expired(chat_id=chat.id, seq=seq))

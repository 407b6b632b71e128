"""Groups: making, naming, inviting, removing."""

from zchat.chat.errors import no_chat, owner_only
from zchat.chat.memberships import (
    enter,
    leave,
    load_memberships,
    new_chat,
    refuse_to_return_yet,
    require_room,
)
from zchat.chat.moderation import refuse_banned
from zchat.chat.unit_of_work import UnitOfWork
from zchat.chat.visibility import acquaintance, load_acquaintance
from zchat.errors import Code, Refused
from zchat.model import (
    CHATS,
    GROUP,
    JOIN_REQUESTS,
    MEMBERS,
    USERS,
    Chat,
    User,
)
from zchat.rpc import params, results


async def create_chat(
    work: UnitOfWork, caller_id: str, p: params.CreateChat
) -> results.ChatId:
    """Make a group; the caller is its owner."""
    memberships = await load_memberships(work, caller_id)
    await work.turn()
    caller = work.user(caller_id)
    refuse_banned(work, caller)
    require_room(work, caller_id, memberships)
    chat = new_chat(work, GROUP, _chat_name(p.name), caller_id, None)
    return results.ChatId(chat_id=enter(work, chat, caller, first_seq=1).id)


def _chat_name(name: str) -> str:
    if name != name.strip() or not name.isprintable():
        raise Refused(
            Code.BAD_REQUEST,
            "A chat's name must not begin or end with a "
            "blank, nor hold control characters.",
            field="name",
        )
    return name


def owned(work: UnitOfWork, chat_id: str, caller_id: str) -> Chat:
    """The caller's own group; to strangers it is not there."""
    found = work.membership(chat_id, caller_id)
    if found is None:
        raise no_chat()
    if found[0].owner_id != caller_id:
        raise owner_only()
    return found[0]


async def rename_chat(
    work: UnitOfWork, caller_id: str, p: params.RenameChat
) -> results.Empty:
    """Change the name of the caller's group."""
    chat_id = p.chat_id.lower()
    await work.load_membership(chat_id, caller_id)
    await work.turn()
    chat = owned(work, chat_id, caller_id)
    name = _chat_name(p.name)
    if name != chat.name:
        chat = work.change(CHATS, chat, name=name)
        work.tell_chat(chat, "chat_renamed", name=name)
    return results.Empty()


async def invite(
    work: UnitOfWork, caller_id: str, p: params.ChatAndUser
) -> results.Empty:
    """Add an acquaintance to the caller's group."""
    chat_id, user_id = p.chat_id.lower(), p.user_id.lower()
    await work.load_membership(chat_id, caller_id)
    await work.load_all(MEMBERS, [(chat_id, user_id)])
    await work.load(JOIN_REQUESTS, (chat_id, user_id))
    shared = await load_acquaintance(work, caller_id, user_id)
    memberships = await load_memberships(work, user_id)
    await work.turn()
    chat = owned(work, chat_id, caller_id)
    if work.is_member(chat_id, user_id):
        return results.Empty()
    user = acquaintance(work, caller_id, user_id, shared)
    refuse_to_return_yet(work, chat_id, user_id)
    require_room(work, user_id, memberships)
    admit(work, chat, user)
    return results.Empty()


def admit(work: UnitOfWork, chat: Chat, user: User) -> None:
    """A user comes into a group and sees what is sent from now on."""
    waiting = work.get(JOIN_REQUESTS, (chat.id, user.id))
    if waiting is not None:
        work.delete(JOIN_REQUESTS, waiting)
    enter(work, chat, user, first_seq=chat.head + 1)


async def remove(
    work: UnitOfWork, caller_id: str, p: params.ChatAndUser
) -> results.Empty:
    """Remove a member from the caller's group."""
    chat_id, user_id = p.chat_id.lower(), p.user_id.lower()
    await work.load_membership(chat_id, caller_id)
    await work.load_all(MEMBERS, [(chat_id, user_id)])
    await work.load(USERS, user_id)
    await work.turn()
    chat = owned(work, chat_id, caller_id)
    if user_id == caller_id:
        raise Refused(
            Code.BAD_REQUEST,
            "To leave your own group, use `exit`.",
            field="user_id",
        )
    member = work.get(MEMBERS, (chat_id, user_id))
    if member is None:
        raise Refused(Code.NOT_FOUND, "This user is not in the group.")
    leave(work, chat, member, work.user(user_id))
    return results.Empty()

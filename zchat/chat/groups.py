"""Groups: making, naming, inviting, removing."""

from typing import Final

from zchat.chat.errors import no_chat, owner_only
from zchat.chat.expiry import Earlier, load_earlier
from zchat.chat.memberships import (
    enter,
    leave,
    load_memberships,
    new_chat,
    refuse_to_return_yet,
    require_room,
)
from zchat.chat.moderation import refuse_banned
from zchat.chat.names import name_key
from zchat.chat.phases import Turn, View, Writing
from zchat.chat.rules import writes
from zchat.chat.visibility import acquaintance, load_acquaintance
from zchat.errors import Code, Refused
from zchat.model import (
    CHATS,
    COMMON_NAME,
    GROUP,
    JOIN_REQUESTS,
    MEMBERS,
    P2P,
    USERS,
    Chat,
    JoinRequest,
    User,
)
from zchat.rpc import events, results
from zchat.rpc import params as given

_NAMES_OF_OTHERS: Final = frozenset({COMMON_NAME, P2P})
"""What `name` is of the common chat and of private ones on the wire."""


@writes("create_chat")
async def create_chat(
    work: Writing, caller_id: str, params: given.CreateChat
) -> results.ChatId:
    "Create a group, owned by the caller."
    memberships = await load_memberships(work, caller_id)
    turn = await work.turn()
    caller = turn.user(caller_id)
    refuse_banned(turn, caller)
    require_room(turn, caller_id, memberships)
    chat = new_chat(turn, GROUP, _chat_name(params.name), caller_id, None)
    return results.ChatId(chat_id=enter(turn, chat, caller, first_seq=1).id)


def _chat_name(name: str) -> str:
    if name != name.strip() or not name.isprintable():
        raise Refused(
            Code.BAD_REQUEST,
            "A chat name must not start or end with a space or contain "
            "control characters.",
            field="name",
        )
    if name_key(name) in _NAMES_OF_OTHERS:
        raise Refused(
            Code.BAD_REQUEST,
            f"A group cannot be named `{name}`, as other chats are. Choose "
            "another name.",
            field="name",
        )
    return name


def owned(view: View, chat_id: str, caller_id: str) -> Chat:
    """The caller's own group; to strangers it is not there."""
    found = view.membership(chat_id, caller_id)
    if found is None:
        raise no_chat()
    if found[0].owner_id != caller_id:
        raise owner_only()
    return found[0]


@writes("rename_chat")
async def rename_chat(
    work: Writing, caller_id: str, params: given.RenameChat
) -> results.Empty:
    """Change the name of the caller's group."""
    chat_id = params.chat_id
    await work.load_membership(chat_id, caller_id)
    turn = await work.turn()
    chat = owned(turn, chat_id, caller_id)
    name = _chat_name(params.name)
    if name != chat.name:
        turn.change(CHATS, chat, name=name)
        turn.tell_change(events.ChatRenamed(chat_id=chat.id, name=name))
    return results.Empty()


@writes("invite")
async def invite(
    work: Writing, caller_id: str, params: given.ChatAndUser
) -> results.Empty:
    """Add an acquaintance to the caller's group."""
    chat_id, user_id = params.chat_id, params.user_id
    await work.load_membership(chat_id, caller_id)
    await work.load_all(MEMBERS, [(chat_id, user_id)])
    await work.load(JOIN_REQUESTS, (chat_id, user_id))
    shared = await load_acquaintance(work, caller_id, user_id)
    memberships = await load_memberships(work, user_id)
    earlier = await load_earlier(work, chat_id, user_id)
    turn = await work.turn()
    chat = owned(turn, chat_id, caller_id)
    if turn.is_member(chat_id, user_id):
        return results.Empty()
    user = acquaintance(turn, caller_id, user_id, shared)
    refuse_to_return_yet(turn, chat_id, user_id)
    require_room(turn, user_id, memberships)
    admit(turn, chat, user, earlier)
    return results.Empty()


def admit(turn: Turn, chat: Chat, user: User, earlier: Earlier) -> None:
    """A user comes into a group and sees what is sent from now on."""
    waiting = turn.get(JOIN_REQUESTS, (chat.id, user.id))
    if waiting is not None and chat.owner_id is not None:
        settle_request(turn, waiting, chat.owner_id)
    enter(turn, chat, user, chat.head + 1, earlier)


def settle_request(turn: Turn, request: JoinRequest, owner_id: str) -> None:
    """Nobody waits any longer; the owner's other devices are told."""
    turn.delete(JOIN_REQUESTS, request)
    turn.tell_user(
        owner_id,
        events.JoinAnswered(chat_id=request.chat_id, user_id=request.user_id),
    )


@writes("remove")
async def remove(
    work: Writing, caller_id: str, params: given.ChatAndUser
) -> results.Empty:
    """Remove a member from the caller's group."""
    chat_id, user_id = params.chat_id, params.user_id
    await work.load_membership(chat_id, caller_id)
    await work.load_all(MEMBERS, [(chat_id, user_id)])
    await work.load(USERS, user_id)
    turn = await work.turn()
    chat = owned(turn, chat_id, caller_id)
    if user_id == caller_id:
        raise Refused(
            Code.BAD_REQUEST,
            "Use `exit` to leave your own group.",
            field="user_id",
        )
    member = turn.get(MEMBERS, (chat_id, user_id))
    if member is None:
        raise Refused(
            Code.NOT_FOUND, "This user is not a member of the group."
        )
    leave(turn, chat, member, turn.user(user_id))
    return results.Empty()

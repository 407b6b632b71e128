"""Who is in which chat: private chats, groups, links, leaving."""

from typing import Final

from zchat.chat.errors import no_chat, owner_only
from zchat.chat.expiry import begin_delivery
from zchat.chat.moderation import refuse_banned
from zchat.chat.unit_of_work import UnitOfWork
from zchat.chat.visibility import acquaintance, load_acquaintance
from zchat.errors import Code, Refused
from zchat.model import (
    CHATS,
    COMMON,
    GROUP,
    JOIN_REQUESTS,
    LINKS,
    MEMBERS,
    P2P,
    SECOND,
    USERS,
    Chat,
    JoinRequest,
    Link,
    Member,
    User,
    time_text,
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
    JOIN_REQUESTS_OF,
    LINKS_OF,
    MEMBERS_PAGE,
    NEXT_OWNER,
)
from zchat.rpc import MEMBERSHIPS_LIMIT, PAGE_LIMIT, params, results
from zchat.rpc.credentials import link_hash
from zchat.rpc.sealing import SECRET_BYTES

BY_PAIR: Final = 0
BY_HASH: Final = 0
LINK_SECONDS: Final = 86_400
LIVE_LINKS: Final = 100
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


def _new_chat(
    work: UnitOfWork,
    kind: str,
    name: str,
    owner_id: str | None,
    pair: str | None,
) -> Chat:
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
        chat = _new_chat(work, P2P, "", None, pair)
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


# Groups


async def _load_memberships(work: UnitOfWork, user_id: str) -> int:
    """In how many chats the user is."""
    (found,) = await work.ask(COUNT_CHATS_OF_USER, user_id=user_id)
    return found.count


def _require_room(work: UnitOfWork, user_id: str, memberships: int) -> None:
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


async def create_chat(
    work: UnitOfWork, caller_id: str, p: params.CreateChat
) -> results.ChatId:
    """Make a group; the caller is its owner."""
    memberships = await _load_memberships(work, caller_id)
    await work.turn()
    caller = work.user(caller_id)
    refuse_banned(work, caller)
    _require_room(work, caller_id, memberships)
    chat = _new_chat(work, GROUP, _chat_name(p.name), caller_id, None)
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


def _owned(work: UnitOfWork, chat_id: str, caller_id: str) -> Chat:
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
    chat = _owned(work, chat_id, caller_id)
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
    memberships = await _load_memberships(work, user_id)
    await work.turn()
    chat = _owned(work, chat_id, caller_id)
    if work.is_member(chat_id, user_id):
        return results.Empty()
    user = acquaintance(work, caller_id, user_id, shared)
    refuse_to_return_yet(work, chat_id, user_id)
    _require_room(work, user_id, memberships)
    _admit(work, chat, user)
    return results.Empty()


def _admit(work: UnitOfWork, chat: Chat, user: User) -> None:
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
    chat = _owned(work, chat_id, caller_id)
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


# Links


async def invite_link(
    work: UnitOfWork, caller_id: str, p: params.InviteLink
) -> results.NewLink:
    """Make a link into the caller's group; it is shown once."""
    chat_id = p.chat_id.lower()
    await work.load_membership(chat_id, caller_id)
    live = await work.ask(
        LINKS_OF, chat_id=chat_id, at=work.now, limit=LIVE_LINKS
    )
    await work.turn()
    _owned(work, chat_id, caller_id)
    if len(live) + work.count_adjustment("links", chat_id) >= LIVE_LINKS:
        raise Refused(
            Code.CONFLICT,
            f"This group has {LIVE_LINKS} live links; revoke one first.",
        )
    work.adjust_count(1, "links", chat_id)
    text = work.entropy.token()
    lasts = LINK_SECONDS if p.expires_in is None else p.expires_in
    link = work.put(
        LINKS,
        Link(
            id=work.entropy.id(work.now),
            link_hash=link_hash(text),
            chat_id=chat_id,
            created=work.now,
            expires_at=work.now + lasts * SECOND,
            max_uses=p.max_uses,
            uses=0,
            revoked_at=None,
        ),
    )
    return results.NewLink(
        link=text, link_id=link.id, expires_at=time_text(link.expires_at)
    )


async def invite_links(
    work: UnitOfWork, caller_id: str, p: params.OneChat
) -> results.Links:
    """The live links of the caller's group, newest first."""
    chat_id = p.chat_id.lower()
    await work.load_membership(chat_id, caller_id)
    _owned(work, chat_id, caller_id)
    found = await work.ask(
        LINKS_OF, chat_id=chat_id, at=work.now, limit=LIVE_LINKS
    )
    return results.Links(
        links=[
            results.LinkInfo(
                link_id=link.id,
                expires_at=time_text(link.expires_at),
                max_uses=link.max_uses,
                uses=link.uses,
            )
            for link in found
        ]
    )


def _dead_link() -> Refused:
    """The one answer for every kind of link that is of no use."""
    return Refused(
        Code.NOT_FOUND, "This link is of no use; ask for a new one."
    )


def _is_alive(work: UnitOfWork, link: Link) -> bool:
    return (
        link.revoked_at is None
        and link.expires_at > work.now
        and link.uses != link.max_uses
    )


def _alive(work: UnitOfWork, link: Link | None) -> Link:
    if link is None or not _is_alive(work, link):
        raise _dead_link()
    return link


async def revoke_link(
    work: UnitOfWork, caller_id: str, p: params.OneLink
) -> results.Empty:
    """Make a link useless, named by itself or by its id."""
    digest = link_hash(p.link)
    link = await work.load_unique(LINKS, BY_HASH, digest)
    if link is None:
        link = (
            await work.load(LINKS, p.link.lower()) if _is_id(p.link) else None
        )
    if link is None:
        raise _dead_link()
    await work.load_membership(link.chat_id, caller_id)
    await work.turn()
    found = work.membership(link.chat_id, caller_id)
    now = work.get(LINKS, link.id)
    if found is None or found[0].owner_id != caller_id or now is None:
        raise _dead_link()
    if now.revoked_at is None:
        if _is_alive(work, now):
            work.adjust_count(-1, "links", now.chat_id)
        work.change(LINKS, now, revoked_at=work.now)
    return results.Empty()


def _is_id(text: str) -> bool:
    return (
        len(text) == len(NIL_ID)
        and text.count("-") == 4
        and not text.strip("-0123456789abcdefABCDEF")
    )


async def join(
    work: UnitOfWork, caller_id: str, p: params.OneLink
) -> results.Joined:
    """Present a link; the owner is told and decides."""
    link = await work.load_unique(LINKS, BY_HASH, link_hash(p.link))
    link = _alive(work, link)
    await work.load_membership(link.chat_id, caller_id)
    await work.load(JOIN_REQUESTS, (link.chat_id, caller_id))
    chat = work.get(CHATS, link.chat_id)
    if chat is not None and chat.owner_id is not None:
        await work.load(USERS, chat.owner_id)
    await work.turn()
    chat = work.get(CHATS, link.chat_id)
    link = _alive(work, work.get(LINKS, link.id))
    if chat is None:
        raise _dead_link()
    if work.is_member(chat.id, caller_id):
        return results.Joined(state="member", chat_id=chat.id)
    if work.get(JOIN_REQUESTS, (chat.id, caller_id)) is None:
        work.put(
            JOIN_REQUESTS, JoinRequest(chat.id, caller_id, link.id, work.now)
        )
        work.tell_user(
            work.user(chat.owner_id or ""),
            "join_requested",
            chat_id=chat.id,
            user=person(work.user(caller_id)),
        )
    return results.Joined(state="pending")


async def join_requests(
    work: UnitOfWork, caller_id: str, p: params.OneChat
) -> results.JoinRequests:
    """Who waits to come into the caller's group, longest first."""
    chat_id = p.chat_id.lower()
    await work.load_membership(chat_id, caller_id)
    _owned(work, chat_id, caller_id)
    waiting = await work.ask(
        JOIN_REQUESTS_OF, chat_id=chat_id, limit=PAGE_LIMIT
    )
    await work.load_all(USERS, [request.user_id for request in waiting])
    return results.JoinRequests(
        requests=[
            results.JoinRequest(
                user=results.Person(
                    id=request.user_id, name=work.user(request.user_id).name
                ),
                created=time_text(request.created),
            )
            for request in waiting
        ]
    )


async def _load_request(
    work: UnitOfWork, caller_id: str, p: params.ChatAndUser
) -> None:
    """What approving and denying need."""
    chat_id, user_id = p.chat_id.lower(), p.user_id.lower()
    await work.load_membership(chat_id, caller_id)
    await work.load_all(MEMBERS, [(chat_id, user_id)])
    await work.load(USERS, user_id)
    request = await work.load(JOIN_REQUESTS, (chat_id, user_id))
    if request is not None:
        await work.load(LINKS, request.link_id)


def _waiting(
    work: UnitOfWork, caller_id: str, p: params.ChatAndUser
) -> tuple[Chat, JoinRequest, Link | None]:
    """The caller's group, who waits, and the link it came by."""
    chat_id, user_id = p.chat_id.lower(), p.user_id.lower()
    chat = _owned(work, chat_id, caller_id)
    request = work.get(JOIN_REQUESTS, (chat_id, user_id))
    if request is None:
        raise Refused(Code.NOT_FOUND, "This user does not wait to come in.")
    return chat, request, work.find(LINKS, request.link_id)


async def approve(
    work: UnitOfWork, caller_id: str, p: params.ChatAndUser
) -> results.Empty:
    """Let somebody in who waits; this is what uses the link."""
    await _load_request(work, caller_id, p)
    memberships = await _load_memberships(work, p.user_id.lower())
    await work.turn()
    chat, request, link = _waiting(work, caller_id, p)
    if link is None or link.uses == link.max_uses:
        raise Refused(
            Code.CONFLICT,
            "The link that this user came by is used up; "
            "`invite` lets the user in all the same.",
        )
    refuse_to_return_yet(work, chat.id, request.user_id)
    _require_room(work, request.user_id, memberships)
    work.change(LINKS, link, uses=link.uses + 1)
    user = work.user(request.user_id)
    _admit(work, chat, user)
    work.tell_user(
        user, "join_decided", chat_id=chat.id, link_id=link.id, approved=True
    )
    return results.Empty()


async def deny(
    work: UnitOfWork, caller_id: str, p: params.ChatAndUser
) -> results.Empty:
    """Turn somebody away who waits."""
    await _load_request(work, caller_id, p)
    await work.turn()
    _, request, _ = _waiting(work, caller_id, p)
    work.delete(JOIN_REQUESTS, request)
    work.tell_user(
        work.user(request.user_id),
        "join_decided",
        chat_id=None,
        link_id=request.link_id,
        approved=False,
    )
    return results.Empty()

"""Links into groups, and the requests to join that they bring."""

from typing import Final

from zchat.chat.groups import admit, owned
from zchat.chat.memberships import (
    NIL_ID,
    load_memberships,
    person,
    refuse_to_return_yet,
    require_room,
)
from zchat.chat.unit_of_work import UnitOfWork
from zchat.errors import Code, Refused
from zchat.model import (
    CHATS,
    JOIN_REQUESTS,
    LINKS,
    MEMBERS,
    SECOND,
    USERS,
    Chat,
    JoinRequest,
    Link,
    time_text,
)
from zchat.queries import (
    JOIN_REQUESTS_OF,
    LINKS_OF,
)
from zchat.rpc import PAGE_LIMIT, params, results
from zchat.rpc.credentials import link_hash

BY_HASH: Final = 0


LINK_SECONDS: Final = 86_400


LIVE_LINKS: Final = 100


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
    owned(work, chat_id, caller_id)
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
    owned(work, chat_id, caller_id)
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
    owned(work, chat_id, caller_id)
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
    chat = owned(work, chat_id, caller_id)
    request = work.get(JOIN_REQUESTS, (chat_id, user_id))
    if request is None:
        raise Refused(Code.NOT_FOUND, "This user does not wait to come in.")
    return chat, request, work.find(LINKS, request.link_id)


async def approve(
    work: UnitOfWork, caller_id: str, p: params.ChatAndUser
) -> results.Empty:
    """Let somebody in who waits; this is what uses the link."""
    await _load_request(work, caller_id, p)
    memberships = await load_memberships(work, p.user_id.lower())
    await work.turn()
    chat, request, link = _waiting(work, caller_id, p)
    if link is None or link.uses == link.max_uses:
        raise Refused(
            Code.CONFLICT,
            "The link that this user came by is used up; "
            "`invite` lets the user in all the same.",
        )
    refuse_to_return_yet(work, chat.id, request.user_id)
    require_room(work, request.user_id, memberships)
    work.change(LINKS, link, uses=link.uses + 1)
    user = work.user(request.user_id)
    admit(work, chat, user)
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

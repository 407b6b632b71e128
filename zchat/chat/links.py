"""Links into groups, and the requests to join that they bring."""

from typing import Final

from zchat.chat.expiry import load_earlier
from zchat.chat.groups import admit, owned, settle_request
from zchat.chat.memberships import (
    NIL_ID,
    load_memberships,
    person,
    refuse_to_return_yet,
    require_room,
)
from zchat.chat.phases import Reading, View, Writing
from zchat.chat.rules import reads, writes
from zchat.chat.subjects import Counted
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
from zchat.rpc import PAGE_LIMIT, events, results
from zchat.rpc import params as given
from zchat.rpc.credentials import link_hash

BY_HASH: Final = 0


LINK_SECONDS: Final = 86_400


LIVE_LINKS: Final = 100


@writes("invite_link")
async def invite_link(
    work: Writing, caller_id: str, params: given.InviteLink
) -> results.NewLink:
    """Make a link into the caller's group; it is shown once."""
    chat_id = params.chat_id
    await work.load_membership(chat_id, caller_id)
    live = await work.ask(
        LINKS_OF, chat_id=chat_id, at=work.now, limit=LIVE_LINKS
    )
    turn = await work.turn()
    owned(turn, chat_id, caller_id)
    if len(live) + turn.count_adjustment(Counted.LINKS, chat_id) >= LIVE_LINKS:
        raise Refused(
            Code.CONFLICT,
            f"This group has {LIVE_LINKS} valid links, the maximum. "
            "Revoke one first.",
        )
    turn.adjust_count(1, Counted.LINKS, chat_id)
    text = turn.entropy.token()
    lasts = LINK_SECONDS if params.expires_in is None else params.expires_in
    link = turn.put(
        LINKS,
        Link(
            id=turn.entropy.id(turn.now),
            link_hash=link_hash(text),
            chat_id=chat_id,
            created=turn.now,
            expires_at=turn.now + lasts * SECOND,
            max_uses=params.max_uses,
            uses=0,
            revoked_at=None,
        ),
    )
    return results.NewLink(
        link=text, link_id=link.id, expires_at=time_text(link.expires_at)
    )


@reads("invite_links")
async def invite_links(
    work: Reading, caller_id: str, params: given.OneChat
) -> results.Links:
    """The live links of the caller's group, newest first."""
    chat_id = params.chat_id
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
        Code.NOT_FOUND,
        "This link is invalid or has expired. Ask for a new one.",
    )


def _is_alive(view: View, link: Link) -> bool:
    return (
        link.revoked_at is None
        and link.expires_at > view.now
        and link.uses != link.max_uses
    )


def _alive(view: View, link: Link | None) -> Link:
    if link is None or not _is_alive(view, link):
        raise _dead_link()
    return link


@writes("revoke_link")
async def revoke_link(
    work: Writing, caller_id: str, params: given.OneLink
) -> results.Empty:
    """Make a link useless, named by itself or by its id."""
    digest = link_hash(params.link)
    link = await work.load_unique(LINKS, BY_HASH, digest)
    if link is None:
        link_id = _as_id(params.link)
        link = await work.load(LINKS, link_id) if link_id else None
    if link is None:
        raise _dead_link()
    await work.load_membership(link.chat_id, caller_id)
    turn = await work.turn()
    found = turn.membership(link.chat_id, caller_id)
    now = turn.get(LINKS, link.id)
    if found is None or found[0].owner_id != caller_id or now is None:
        raise _dead_link()
    if now.revoked_at is None:
        if _is_alive(turn, now):
            turn.adjust_count(-1, Counted.LINKS, now.chat_id)
        turn.change(LINKS, now, revoked_at=turn.now)
    return results.Empty()


def _as_id(text: str) -> str | None:
    """The text as the id of a link, if it can be one."""
    if (
        len(text) == len(NIL_ID)
        and text.count("-") == 4
        and not text.strip("-0123456789abcdefABCDEF")
    ):
        return text.lower()
    return None


@writes("join")
async def join(
    work: Writing, caller_id: str, params: given.OneLink
) -> results.Joined:
    """Present a link; the owner is told and decides."""
    link = await work.load_unique(LINKS, BY_HASH, link_hash(params.link))
    link = _alive(work, link)
    await work.load_membership(link.chat_id, caller_id)
    await work.load(JOIN_REQUESTS, (link.chat_id, caller_id))
    owner_id = work.chat(link.chat_id).owner_id
    assert owner_id is not None
    await work.load(USERS, owner_id)
    turn = await work.turn()
    chat = turn.get(CHATS, link.chat_id)
    link = _alive(turn, turn.get(LINKS, link.id))
    if chat is None:
        raise _dead_link()
    if turn.is_member(chat.id, caller_id):
        return results.Joined(state="member", chat_id=chat.id)
    if turn.get(JOIN_REQUESTS, (chat.id, caller_id)) is None:
        turn.put(
            JOIN_REQUESTS, JoinRequest(chat.id, caller_id, link.id, turn.now)
        )
        turn.tell_user(
            chat.owner_id or "",
            events.JoinRequested(
                chat_id=chat.id, user=person(turn.user(caller_id))
            ),
        )
    return results.Joined(state="pending")


@reads("join_requests")
async def join_requests(
    work: Reading, caller_id: str, params: given.OneChat
) -> results.JoinRequests:
    """Who waits to come into the caller's group, longest first."""
    chat_id = params.chat_id
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
    work: Reading, caller_id: str, params: given.ChatAndUser
) -> None:
    """What approving and denying need."""
    chat_id, user_id = params.chat_id, params.user_id
    await work.load_membership(chat_id, caller_id)
    await work.load_all(MEMBERS, [(chat_id, user_id)])
    await work.load(USERS, user_id)
    request = await work.load(JOIN_REQUESTS, (chat_id, user_id))
    if request is not None:
        await work.load(LINKS, request.link_id)


def _waiting(
    view: View, caller_id: str, params: given.ChatAndUser
) -> tuple[Chat, JoinRequest, Link | None]:
    """The caller's group, who waits, and the link it came by."""
    chat_id, user_id = params.chat_id, params.user_id
    chat = owned(view, chat_id, caller_id)
    request = view.get(JOIN_REQUESTS, (chat_id, user_id))
    if request is None:
        raise _no_request()
    return chat, request, view.find(LINKS, request.link_id)


def _no_request() -> Refused:
    return Refused(Code.NOT_FOUND, "This user has no pending join request.")


@writes("approve")
async def approve(
    work: Writing, caller_id: str, params: given.ChatAndUser
) -> results.Empty:
    """Let somebody in who waits; this is what uses the link."""
    await _load_request(work, caller_id, params)
    memberships = await load_memberships(work, params.user_id)
    earlier = await load_earlier(work, params.chat_id, params.user_id)
    turn = await work.turn()
    chat, request, link = _waiting(turn, caller_id, params)
    if turn.user(request.user_id).closed is not None:
        raise _no_request()
    if link is None or link.uses == link.max_uses:
        raise Refused(
            Code.CONFLICT,
            "The link that this user presented is used up. Use `invite` "
            "instead.",
        )
    refuse_to_return_yet(turn, chat.id, request.user_id)
    require_room(turn, request.user_id, memberships)
    turn.change(LINKS, link, uses=link.uses + 1)
    admit(turn, chat, turn.user(request.user_id), earlier)
    turn.tell_user(
        request.user_id,
        events.JoinDecided(chat_id=chat.id, link_id=link.id, approved=True),
    )
    return results.Empty()


@writes("deny")
async def deny(
    work: Writing, caller_id: str, params: given.ChatAndUser
) -> results.Empty:
    """Turn somebody away who waits."""
    await _load_request(work, caller_id, params)
    turn = await work.turn()
    _, request, _ = _waiting(turn, caller_id, params)
    settle_request(turn, request, caller_id)
    turn.tell_user(
        request.user_id,
        events.JoinDecided(
            chat_id=None, link_id=request.link_id, approved=False
        ),
    )
    return results.Empty()

"""The commands behind a slash that make and change groups."""

from typing import Final

from zchat.client.console.conversation import Conversation, whole_number
from zchat.client.console.slash_row import Slash
from zchat.client.console.text import clock_time, harmless
from zchat.errors import ConfigError


async def _group(talk: Conversation, name: str) -> None:
    await talk.open(await talk.client.create_chat(name))


async def _rename(talk: Conversation, name: str) -> None:
    await talk.client.rename_chat(talk.chat_id, name)


async def _invite(talk: Conversation, person: str) -> None:
    await talk.client.invite(talk.chat_id, await talk.person(person))


async def _remove(talk: Conversation, person: str) -> None:
    await talk.client.remove(talk.chat_id, await talk.person(person))


async def _leave(talk: Conversation) -> None:
    left = talk.chat_id
    await talk.client.exit(left)
    talk.came_out(left)
    if left == talk.client.chat_default:
        talk.say(
            "you left the common chat; start `zchat chat` again to "
            "come back, or /open another"
        )


async def _link(talk: Conversation, uses: str | None = None) -> None:
    most = None if uses is None else whole_number(uses)
    if uses is not None and not most:
        raise ConfigError("Type /link with the number of uses.")
    made = await talk.client.invite_link(talk.chat_id, max_uses=most)
    until = clock_time(made.expires_at, talk.now())
    talk.say(f"{harmless(made.link)} (until {until})")


async def _links(talk: Conversation) -> None:
    links = await talk.client.invite_links(talk.chat_id)
    talk.listed["links"] = [link.link_id for link in links]
    for number, link in enumerate(links, 1):
        most = "any" if link.max_uses is None else link.max_uses
        talk.show(
            f"{number:4} {link.uses} of {most} uses, until "
            f"{clock_time(link.expires_at, talk.now())}"
        )


async def _revoke(talk: Conversation, link: str) -> None:
    await talk.client.revoke_link(talk.numbered("links", link) or link)
    talk.say("revoked")


async def _join(talk: Conversation, link: str) -> None:
    joined = await talk.client.join(link)
    talk.say(
        "you are in; see /chats"
        if joined.state == "member"
        else "asked; the owner has to let you in"
    )


async def _requests(talk: Conversation) -> None:
    requests = await talk.client.join_requests(talk.chat_id)
    talk.listed["requests"] = [request.user.id for request in requests]
    for number, request in enumerate(requests, 1):
        talk.show(
            f"{number:4} {harmless(request.user.name)} since "
            f"{clock_time(request.created, talk.now())}"
        )
    if not requests:
        talk.say("nobody waits")


async def _asker(talk: Conversation, text: str) -> str:
    """The id of who waits: a number of /requests, a name or an id."""
    number = talk.numbered("requests", text)
    if number is not None:
        return number
    for request in await talk.client.join_requests(talk.chat_id):
        if text in (request.user.name, request.user.id):
            return request.user.id
    raise ConfigError(f"Nobody called {text!r} waits; see /requests.")


async def _approve(talk: Conversation, who: str) -> None:
    await talk.client.approve(talk.chat_id, await _asker(talk, who))


async def _deny(talk: Conversation, who: str) -> None:
    await talk.client.deny(talk.chat_id, await _asker(talk, who))


GROUP_SLASHES: Final[tuple[Slash, ...]] = (
    Slash("group", ("NAME...",), "Make a group.", _group),
    Slash("rename", ("NAME...",), "Rename this group.", _rename),
    Slash("invite", ("USER",), "Add a user to this group.", _invite),
    Slash("remove", ("USER",), "Remove a user from this group.", _remove),
    Slash("link", ("[USES]",), "Make a link into this group.", _link),
    Slash("links", (), "List this group's links.", _links),
    Slash("revoke", ("NUMBER|LINK",), "Make a link useless.", _revoke),
    Slash("join", ("LINK",), "Ask to come into a group.", _join),
    Slash("requests", (), "List who asks to come in.", _requests),
    Slash("approve", ("USER|NUMBER",), "Let somebody in.", _approve),
    Slash("deny", ("USER|NUMBER",), "Turn somebody away.", _deny),
    Slash("leave", (), "Leave this chat.", _leave, "exit"),
)

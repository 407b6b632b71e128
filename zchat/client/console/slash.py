"""The commands behind a slash: one table, which is also the help."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from msgspec import Struct

from zchat.client.console.conversation import (
    Conversation,
    Quit,
    whole_number,
)
from zchat.client.console.text import clock_time, harmless
from zchat.client.console.when import moment
from zchat.client.files import short_name
from zchat.errors import ConfigError

HISTORY: Final = 20
_MOST_HISTORY: Final = 200


class Slash(Struct, frozen=True):
    """One command; `[…]` may be left out, `…...` takes the whole rest.

    `also` is another name for it.
    """

    name: str
    arguments: tuple[str, ...]
    summary: str
    run: Callable[..., Awaitable[None]]
    also: str = ""

    @property
    def usage(self) -> str:
        """How it is typed."""
        return " ".join((f"/{self.name}", *self.arguments))

    def words(self, rest: str) -> list[str]:
        """The arguments in what was typed; raises ConfigError."""
        limit = -1
        if self.arguments and "..." in self.arguments[-1]:
            limit = len(self.arguments) - 1
        words = rest.split(maxsplit=limit)
        needed = sum(
            not argument.startswith("[") for argument in self.arguments
        )
        if not needed <= len(words) <= len(self.arguments):
            raise ConfigError(f"Type {self.usage}")
        return words


async def dispatch(talk: Conversation, line: str) -> None:
    """Do what was typed behind the slash; raises ConfigError for nonsense."""
    name, _, rest = line.partition(" ")
    slash = SLASH_BY_NAME.get(name.lower())
    if slash is None:
        near = get_close_matches(name.lower(), SLASH_BY_NAME, 1)
        meant = f"Did you mean /{near[0]}?" if near else "See /help."
        raise ConfigError(f"Unknown command /{name[:40]}. {meant}")
    await slash.run(talk, *slash.words(rest))


async def _help(talk: Conversation) -> None:
    width = max(len(slash.usage) for slash in SLASHES)
    await talk.show_help(
        [f"{slash.usage:{width}}  {slash.summary}" for slash in SLASHES]
        + [
            "Anything else is sent to the open chat; // begins a text "
            "with a slash."
        ]
    )


async def _quit(talk: Conversation) -> None:
    raise Quit


async def _chats(talk: Conversation) -> None:
    await talk.list_chats()


async def _open(talk: Conversation, chat: str) -> None:
    await talk.open(talk.chat_named(chat))


async def _msg(
    talk: Conversation, person: str, text: str | None = None
) -> None:
    chat_id = await talk.client.p2p(await talk.person(person))
    await talk.open(chat_id)
    if text is not None:
        await talk.post(text, chat_id)


async def _history(talk: Conversation, count: str = str(HISTORY)) -> None:
    number = whole_number(count, _MOST_HISTORY)
    if not number:
        raise ConfigError("Type /history with a number from 1 to 200.")
    await talk.show_older(number)


async def _comment(talk: Conversation, number: str, text: str) -> None:
    message = await talk.message(number)
    await talk.client.comment(message.id, text)


async def _comments(talk: Conversation, number: str) -> None:
    message = await talk.message(number)
    talk.show_message(message)
    for comment in await talk.client.comments(message.id, limit=200):
        talk.show_message(comment, "   ")


async def _edit(talk: Conversation, number: str, text: str) -> None:
    message = await talk.message(number)
    await talk.client.edit(message.id, text)


async def _delete(talk: Conversation, number: str) -> None:
    message = await talk.message(number)
    await talk.client.delete(message.id)


async def _react(talk: Conversation, number: str, emoji: str) -> None:
    message = await talk.message(number)
    is_there = any(
        reaction.emoji == emoji and talk.client.user_id in reaction.users
        for reaction in message.reactions
    )
    await talk.client.react(message.id, emoji, on=not is_there)


async def _search(talk: Conversation, text: str) -> None:
    found = await talk.client.search(text, limit=HISTORY)
    for message in reversed(found.messages):
        talk.show_message(message, f"[{talk.chat_name(message.chat_id)}] ")
    if not found.messages:
        talk.say("nothing found")


async def _complaints(talk: Conversation) -> None:
    found = await talk.client.call("complaints", state="open")
    complaints = found["complaints"]
    talk.listed["complaints"] = [each["id"] for each in complaints]
    for number, each in enumerate(complaints, 1):
        talk.show(
            f"{number:4} {harmless(each['reporter']['name'])} about "
            f"{harmless(each['offender']['name'])}: "
            f"{harmless(each['reason'])}"
        )
        if each["evidence"]:
            talk.show(f"     {harmless(each['evidence'])}")
    if not complaints:
        talk.say("no complaint is open")


async def _resolve(talk: Conversation, number: str, verdict: str) -> None:
    if verdict not in ("dismissed", "upheld"):
        raise ConfigError("Type /resolve NUMBER dismissed, or upheld.")
    complaint = talk.numbered("complaints", number)
    if complaint is None:
        raise ConfigError(f"There is no complaint {number}. See /complaints.")
    await talk.client.call("resolve", id=complaint, verdict=verdict)
    talk.say(f"{verdict}")


async def _ban(
    talk: Conversation, person: str, reason: str = "No reason given."
) -> None:
    ended = await talk.client.call(
        "ban", user_id=await talk.person(person), reason=reason
    )
    until = datetime.fromisoformat(ended["until"])
    talk.say(f"banned until {clock_time(until, talk.now())}")


async def _unban(talk: Conversation, person: str) -> None:
    await talk.client.call("unban", user_id=await talk.person(person))
    talk.say("the ban was lifted")


async def _receipts(talk: Conversation, value: str | None = None) -> None:
    if value not in (None, "on", "off"):
        raise ConfigError("Type /receipts on, or /receipts off.")
    settings = await talk.client.settings(
        receipts=None if value is None else value == "on"
    )
    talk.say(
        "others see how far you have read"
        if settings.receipts
        else "nobody sees how far you have read"
    )


async def _users(talk: Conversation) -> None:
    for user in await talk.client.all_users(talk.chat_id):
        talk.show(f"{harmless(user.name)}  {user.id}")


async def _name(talk: Conversation, name: str) -> None:
    await talk.client.rename(name)


async def _status(talk: Conversation) -> None:
    status = await talk.client.status()
    quota = status.user.quota
    talk.show(f"{harmless(status.user.name)}  {status.user.id}")
    talk.show(
        f"server {talk.client.server}, {status.chats_with_user_count} chats"
    )
    if quota is not None:
        talk.show(f"{quota.remaining} of {quota.limit} messages left")
    if status.user.banned_until is not None:
        until = clock_time(status.user.banned_until, talk.now())
        talk.show(f"banned until {until}")


async def _report(talk: Conversation, whom: str, reason: str) -> None:
    if whom.startswith("#"):
        message = await talk.message(whom)
        await talk.client.report(
            message.author.id, reason, message_id=message.id
        )
    else:
        await talk.client.report(await talk.person(whom), reason)
    talk.say("reported")


async def _schedule(talk: Conversation, when: str, text: str) -> None:
    made = await talk.client.schedule(
        text, moment(when, talk.now()), talk.chat_id
    )
    talk.say(f"waits until {clock_time(made.send_at, talk.now())}")


async def _scheduled(talk: Conversation) -> None:
    waiting = await talk.client.scheduled()
    talk.listed["scheduled"] = [message.id for message in waiting]
    for number, message in enumerate(waiting, 1):
        state = message.state
        if message.error:
            state = f"{state}: {harmless(str(message.error))}"
        talk.show(
            f"{number:4} {clock_time(message.send_at, talk.now())} "
            f"({state}) {harmless(message.text)}"
        )


async def _cancel(talk: Conversation, number: str) -> None:
    await talk.client.cancel(talk.numbered("scheduled", number) or number)
    talk.say("cancelled")


async def _upload(talk: Conversation, path: str, text: str = "") -> None:
    found = local(path)
    if found.is_dir():
        raise ConfigError(f"{path!r} is a folder. Name one file in it.")
    with found.open("rb"):
        pass
    await talk.post(text, talk.chat_id, [str(found)])


async def _download(
    talk: Conversation, number: str, folder: str = "."
) -> None:
    message = await talk.message(number)
    if not message.files:
        raise ConfigError(f"There is no file on #{message.seq}.")
    for file in message.files:
        path = free_path(local(folder), file.name)
        await talk.save(file, path)


def local(path: str) -> Path:
    """The path meant by what was typed; raises ConfigError."""
    try:
        if "\0" not in path:
            return Path(path).expanduser()
    except RuntimeError:
        pass
    raise ConfigError(f"{path!r} is no path here.")


def free_path(folder: Path, name: str) -> Path:
    """Where a file of that name may be written: in the folder, new."""
    base = harmless(name).replace("/", "_").replace("\\", "_").strip(". ")
    stem, dot, suffix = short_name(base or "file").rpartition(".")
    if not stem:
        stem, dot, suffix = suffix, "", ""
    number = 1
    path = folder / f"{stem}{dot}{suffix}"
    while path.exists():
        number += 1
        path = folder / f"{stem} ({number}){dot}{suffix}"
    return path


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


SLASHES: Final[tuple[Slash, ...]] = (
    Slash("chats", (), "List your chats.", _chats),
    Slash("open", ("CHAT",), "Open a chat by its number or name.", _open),
    Slash(
        "msg",
        ("USER", "[TEXT...]"),
        "Open the private chat with a user, and say something.",
        _msg,
        "p2p",
    ),
    Slash("history", ("[COUNT]",), "Show older messages.", _history),
    Slash(
        "comment", ("#NUMBER", "TEXT..."), "Comment on a message.", _comment
    ),
    Slash("comments", ("#NUMBER",), "Show a message's comments.", _comments),
    Slash("edit", ("#NUMBER", "TEXT..."), "Edit a message of yours.", _edit),
    Slash("delete", ("#NUMBER",), "Delete a message.", _delete),
    Slash(
        "react",
        ("#NUMBER", "EMOJI"),
        "Put an emoji on a message, or take it off.",
        _react,
    ),
    Slash("search", ("TEXT...",), "Search all your chats.", _search),
    Slash(
        "receipts",
        ("[on|off]",),
        "Show or hide how far you have read.",
        _receipts,
    ),
    Slash("users", (), "List who is in this chat.", _users),
    Slash("name", ("NAME...",), "Change your name.", _name),
    Slash("status", (), "Show who you are and your quota.", _status),
    Slash(
        "report",
        ("USER|#NUMBER", "REASON..."),
        "Complain about a user, or about a message's author.",
        _report,
    ),
    Slash(
        "schedule",
        ("TIME", "TEXT..."),
        "Send later: +10m, 18:30 or an RFC 3339 time.",
        _schedule,
    ),
    Slash("scheduled", (), "List your scheduled messages.", _scheduled),
    Slash("cancel", ("NUMBER",), "Cancel a scheduled message.", _cancel),
    Slash("upload", ("PATH", "[TEXT...]"), "Send a file.", _upload),
    Slash(
        "download",
        ("#NUMBER", "[FOLDER]"),
        "Save a message's files.",
        _download,
    ),
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
    Slash("complaints", (), "Moderators: list open complaints.", _complaints),
    Slash(
        "resolve",
        ("NUMBER", "VERDICT"),
        "Moderators: call a complaint dismissed or upheld.",
        _resolve,
    ),
    Slash("ban", ("USER", "[REASON...]"), "Moderators: ban a user.", _ban),
    Slash("unban", ("USER",), "Moderators: lift a ban.", _unban),
    Slash("help", (), "Show this list.", _help),
    Slash("quit", (), "Close the program.", _quit),
)

SLASH_BY_NAME: Final = {
    name: slash
    for slash in SLASHES
    for name in (slash.name, slash.also)
    if name
}

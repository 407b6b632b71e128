"""The commands behind a slash: one table, which is also the help."""

from difflib import get_close_matches
from typing import Final

from zchat.client.console.conversation import (
    Conversation,
    Quit,
    whole_number,
)
from zchat.client.console.paths import free_path, local
from zchat.client.console.slash_groups import GROUP_SLASHES
from zchat.client.console.slash_moderation import MODERATOR_SLASHES
from zchat.client.console.slash_row import Slash
from zchat.client.console.text import clock_time, harmless
from zchat.client.console.when import moment
from zchat.errors import ConfigError

HISTORY: Final = 20
_MOST_HISTORY: Final = 200


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
    *GROUP_SLASHES,
    *MODERATOR_SLASHES,
    Slash("help", (), "Show this list.", _help),
    Slash("quit", (), "Close the program.", _quit),
)

SLASH_BY_NAME: Final = {
    name: slash
    for slash in SLASHES
    for name in (slash.name, slash.also)
    if name
}

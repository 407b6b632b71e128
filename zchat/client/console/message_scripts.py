"""Commands for scripts that send, read and change messages."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from zchat.client import CaughtUp, Client, Message, MessageEvent, NoAnswer
from zchat.client.console.entry import Options, entered
from zchat.client.console.identity import Profile
from zchat.client.console.shell import (
    AS_JSON,
    CHAT,
    TO,
    chat_id_of,
    console,
    message_id_of,
    now,
    text_of,
    user_id_of,
)
from zchat.client.console.text import (
    harmless,
    json_line,
    message_line,
)
from zchat.errors import ConfigError, Refused
from zchat.rpc import PAGE_LIMIT


@click.command("send")
@click.argument("text", nargs=-1)
@CHAT
@TO
@click.option(
    "--comment-on",
    metavar="MESSAGE",
    help="The message that this is a comment on: its id or number.",
)
@click.option(
    "--file",
    "paths",
    multiple=True,
    metavar="PATH",
    type=click.Path(exists=True, dir_okay=False),
    help="Attach a file; may be given again.",
)
@click.option(
    "--key",
    help="An idempotency key: a repeat with the same key sends nothing more.",
)
@AS_JSON
@console
async def send(
    options: Options,
    text: tuple[str, ...],
    chat: str | None,
    to: str | None,
    comment_on: str | None,
    paths: tuple[str, ...],
    key: str | None,
    as_json: bool,
) -> None:
    """Send one message: TEXT; `-` or nothing reads standard input."""
    words = text_of(text, may_be_empty=bool(paths))
    async with entered(options) as client:
        chat_id = await chat_id_of(client, chat, to)
        target = None
        if comment_on is not None:
            target = await message_id_of(client, comment_on, chat_id)
        files = [await client.upload(path, chat_id) for path in paths]
        sent = await client.send(
            words,
            chat_id,
            comment_on=target,
            files=files,
            idempotency_key=key,
        )
    click.echo(json_line(sent) if as_json else f"sent #{sent.seq} {sent.id}")


@click.command("read")
@click.option("--chat", help="Only this chat: its name or id.")
@click.option(
    "--follow", is_flag=True, help="Go on with what comes, until interrupted."
)
@click.option(
    "--keep-unread", is_flag=True, help="Do not move the read positions."
)
@AS_JSON
@console
async def read(
    options: Options,
    chat: str | None,
    follow: bool,
    keep_unread: bool,
    as_json: bool,
) -> None:
    """Print the messages since the last `zchat read`.

    The first time, those that are unread. What was printed is kept in
    the config folder, so that nothing comes twice and nothing is missed.
    """
    chat_id = None
    if chat is not None:
        async with entered(options) as client:
            chat_id = await chat_id_of(client, chat)
    profile = Profile(options.config_dir, options.profile)
    async with entered(options, chat_id=chat_id, resume=True) as client:
        positions: dict[str, int] = {}
        is_all = False
        async for event in client.events():
            if isinstance(event, MessageEvent) and (
                chat_id in (None, event.chat_id)
            ):
                _print_message(client, event, as_json)
                positions[event.chat_id] = event.message.seq
            is_all = is_all or isinstance(event, CaughtUp)
            if client.events_waiting:
                continue
            sys.stdout.flush()
            profile.keep_cursors(client.user_id, chat_id, client.cursors())
            if not keep_unread:
                await _mark(client, positions)
            if is_all and not follow:
                return


def _print_message(client: Client, event: MessageEvent, as_json: bool) -> None:
    known = client.known_chats.get(event.chat_id)
    name = known.title if known else ""
    if as_json:
        line = json_line(
            {"chat_id": event.chat_id, "chat": name, "message": event.message}
        )
    else:
        shown = message_line(event.message, client.user_id, now())
        line = f"[{harmless(name)}] {shown}"
    sys.stdout.write(f"{line}\n")


async def _mark(client: Client, positions: dict[str, int]) -> None:
    """Move read positions; those that get no answer are kept."""
    for chat_id, seq in list(positions.items()):
        try:
            await client.read(chat_id, seq)
        except NoAnswer:
            continue
        except Refused:
            pass
        del positions[chat_id]


@click.command("history")
@CHAT
@TO
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="How many messages at most.",
)
@click.option(
    "--before", type=click.IntRange(1), help="Those before this number."
)
@click.option(
    "--after", type=click.IntRange(0), help="Those after this number."
)
@AS_JSON
@console
async def history(
    options: Options,
    chat: str | None,
    to: str | None,
    limit: int,
    before: int | None,
    after: int | None,
    as_json: bool,
) -> None:
    """Print messages of a chat, the newest ones by default, oldest first.

    It changes no read position.
    """
    if before is not None and after is not None:
        raise ConfigError("Give --before or --after, not both.")
    async with entered(options) as client:
        chat_id = await chat_id_of(client, chat, to) or client.chat_default
        found: list[Message] = []
        while len(found) < limit:
            page = await client.history(
                chat_id,
                before=before,
                after=after,
                limit=min(limit - len(found), PAGE_LIMIT),
            )
            if after is not None:
                found += page.messages
                after = page.messages[-1].seq if page.messages else after
                is_more = page.has_newer
            else:
                found[:0] = page.messages
                before = page.messages[0].seq if page.messages else before
                is_more = page.has_older
            if not (page.messages and is_more):
                break
        for message in found:
            click.echo(_line(client, message, as_json))


def _line(client: Client, message: Message, as_json: bool) -> str:
    if as_json:
        return json_line(message)
    return message_line(message, client.user_id, now())


@click.command("search")
@click.argument("text")
@CHAT
@click.option("--author", metavar="USER", help="Only what this user wrote.")
@click.option("--has-file", is_flag=True, help="Only messages with files.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="How many messages at most.",
)
@AS_JSON
@console
async def search(
    options: Options,
    text: str,
    chat: str | None,
    author: str | None,
    has_file: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Print the messages of all your chats that hold TEXT, newest first."""
    async with entered(options) as client:
        chat_id = await chat_id_of(client, chat)
        author_id = None
        if author is not None:
            author_id = await user_id_of(client, author, chat_id)
        titles = {known.id: known.title for known in await client.all_chats()}
        before, left = None, limit
        while left > 0:
            page = await client.search(
                text,
                chat_id=chat_id,
                author_id=author_id,
                has_file=has_file or None,
                before=before,
                limit=min(left, PAGE_LIMIT),
            )
            for message in page.messages:
                title = harmless(titles.get(message.chat_id, "chat"))
                line = _line(client, message, as_json)
                click.echo(line if as_json else f"[{title}] {line}")
            before, left = page.next, left - len(page.messages)
            if before is None:
                return


@asynccontextmanager
async def _at_message(
    options: Options, message: str, chat: str | None, to: str | None
) -> AsyncIterator[tuple[Client, str]]:
    """A client, and the id of a message that was named by id or number."""
    async with entered(options) as client:
        chat_id = await chat_id_of(client, chat, to)
        yield client, await message_id_of(client, message, chat_id)


def _echo_change(revision: int, said: str, as_json: bool) -> None:
    """Say what was done, or at which revision of the chat."""
    click.echo(json_line({"revision": revision}) if as_json else said)


@click.command("edit")
@click.argument("message")
@click.argument("text", nargs=-1)
@CHAT
@TO
@AS_JSON
@console
async def edit(
    options: Options,
    message: str,
    text: tuple[str, ...],
    chat: str | None,
    to: str | None,
    as_json: bool,
) -> None:
    """Give MESSAGE, an id or a number, another TEXT.

    `-` or no TEXT reads standard input.
    """
    words = text_of(text)
    async with _at_message(options, message, chat, to) as (client, message_id):
        edited = await client.edit(message_id, words)
    click.echo(json_line(edited) if as_json else f"edited {message_id}")


@click.command("delete")
@click.argument("message")
@CHAT
@TO
@AS_JSON
@console
async def delete(
    options: Options,
    message: str,
    chat: str | None,
    to: str | None,
    as_json: bool,
) -> None:
    """Delete MESSAGE, an id or a number."""
    async with _at_message(options, message, chat, to) as (client, message_id):
        revision = await client.delete(message_id)
    _echo_change(revision, f"deleted {message_id}", as_json)


@click.command("react")
@click.argument("message")
@click.argument("emoji")
@click.option("--off", is_flag=True, help="Take it off again.")
@CHAT
@TO
@AS_JSON
@console
async def react(
    options: Options,
    message: str,
    emoji: str,
    off: bool,
    chat: str | None,
    to: str | None,
    as_json: bool,
) -> None:
    """Put EMOJI on MESSAGE, an id or a number."""
    async with _at_message(options, message, chat, to) as (client, message_id):
        revision = await client.react(message_id, emoji, on=not off)
    _echo_change(
        revision, f"{'took off' if off else 'put on'} {message_id}", as_json
    )

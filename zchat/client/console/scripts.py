"""The commands for scripts: one request or a few, then an exit status."""

import sys
from pathlib import Path
from typing import Final

import click

from zchat.client import CaughtUp, Client, Message, MessageEvent, NoAnswer
from zchat.client.console.entry import Entry, Options, entered
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
from zchat.client.console.slash import free_path, local
from zchat.client.console.text import (
    clock_time,
    harmless,
    json_line,
    message_line,
    size_text,
)
from zchat.client.console.when import moment
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


@click.command("chats")
@click.option(
    "--depth",
    type=click.IntRange(0, 200),
    default=0,
    show_default=True,
    help="Messages of each chat, with --json.",
)
@AS_JSON
@console
async def chats(options: Options, depth: int, as_json: bool) -> None:
    """List the chats, with how much is unread in each."""
    async with entered(options) as client:
        found = await client.all_chats(depth)
    if as_json:
        click.echo(json_line({"chats": found}))
        return
    for known in found:
        click.echo(
            f"{known.unread:5} unread  {known.id}  {known.kind:6} "
            f"{known.size:5}  {harmless(known.title)}"
        )


@click.command("status")
@AS_JSON
@console
async def status(options: Options, as_json: bool) -> None:
    "Show server and user status."
    async with entered(options) as client:
        found = await client.status()
        server = client.server
    if as_json:
        click.echo(json_line(found))
        return
    user = found.user
    rows = {
        "server": server,
        "user": f"{harmless(user.name)} {user.id}",
        "chats": str(found.chats_with_user_count),
    }
    if user.quota is not None:
        rows["quota"] = f"{user.quota.remaining} of {user.quota.limit}"
    if user.banned_until is not None:
        rows["banned until"] = clock_time(user.banned_until, now())
    for label, value in rows.items():
        click.echo(f"{label:12}  {value}")


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


@click.command("users")
@CHAT
@AS_JSON
@console
async def users(options: Options, chat: str | None, as_json: bool) -> None:
    """List the members of a chat."""
    async with entered(options) as client:
        chat_id = await chat_id_of(client, chat) or client.chat_default
        for user in await client.all_users(chat_id):
            click.echo(
                json_line(user)
                if as_json
                else f"{user.id}  {'online' if user.online else '-':6}  "
                f"{user.role:9}  {harmless(user.name)}"
            )


@click.command("p2p")
@click.argument("user")
@AS_JSON
@console
async def p2p(options: Options, user: str, as_json: bool) -> None:
    """Print the id of the private chat with USER: a name or an id."""
    async with entered(options) as client:
        chat_id = await client.p2p(await user_id_of(client, user))
    click.echo(json_line({"chat_id": chat_id}) if as_json else chat_id)


@click.command("upload")
@click.argument("path")
@click.argument("text", nargs=-1)
@CHAT
@TO
@click.option(
    "--as", "file_name", metavar="NAME", help="What the file is called."
)
@AS_JSON
@console
async def upload(
    options: Options,
    path: str,
    text: tuple[str, ...],
    chat: str | None,
    to: str | None,
    file_name: str | None,
    as_json: bool,
) -> None:
    """Send the file at PATH, with TEXT if there is one.

    `-` reads standard input and wants --as. A repeat after a break goes
    on where the upload stands.
    """
    source: str | bytes = path
    if path == "-":
        if file_name is None:
            raise ConfigError("Say with --as what the file is called.")
        source = sys.stdin.buffer.read()
    async with entered(options) as client:
        chat_id = await chat_id_of(client, chat, to)
        file_id = await client.upload(
            source, chat_id, file_name, progress=_progress
        )
        sent = await client.send(" ".join(text), chat_id, files=[file_id])
    if as_json:
        click.echo(
            json_line(
                {
                    "file_id": file_id,
                    "id": sent.id,
                    "seq": sent.seq,
                    "chat_id": sent.chat_id,
                }
            )
        )
    else:
        click.echo(f"sent #{sent.seq} {sent.id} file {file_id}")


def _progress(done: int, size: int) -> None:
    """How far it is, for a person who watches."""
    if sys.stderr.isatty():
        percent = 100 * done // max(1, size)
        click.echo(f"\r{percent:3}%", err=True, nl=done >= size)


@click.command("download")
@click.argument("file_id")
@click.argument("path", required=False)
@AS_JSON
@console
async def download(
    options: Options, file_id: str, path: str | None, as_json: bool
) -> None:
    """Save the file with FILE_ID to PATH; `-` is standard output.

    Without PATH it keeps its name, in this folder, and no file is
    written over.
    """
    async with entered(options) as client:
        if path == "-":
            found = await client.download(file_id)
            sys.stdout.buffer.write(found.data)
            sys.stdout.buffer.flush()
            return
        if path is None:
            head = await client.download_range(file_id, length=0)
            where = free_path(Path(), head.name)
        else:
            where = local(path)
        size = await client.download_to(file_id, where, progress=_progress)
    if as_json:
        click.echo(json_line({"path": str(where), "size": size}))
    else:
        click.echo(f"{harmless(str(where))}, {size_text(size)}")


@click.command("schedule")
@click.argument("when", required=False)
@click.argument("text", nargs=-1)
@CHAT
@TO
@click.option(
    "--list", "is_list", is_flag=True, help="List what is scheduled."
)
@click.option("--cancel", metavar="ID", help="Cancel a scheduled message.")
@AS_JSON
@console
async def schedule(
    options: Options,
    when: str | None,
    text: tuple[str, ...],
    chat: str | None,
    to: str | None,
    is_list: bool,
    cancel: str | None,
    as_json: bool,
) -> None:
    """Send TEXT at the time WHEN: +10m, 18:30 or an RFC 3339 time.

    `-` or no TEXT reads standard input.
    """
    if is_list or cancel is not None:
        if when is not None or (is_list and cancel is not None):
            raise ConfigError("Give WHEN, --list or --cancel: one of them.")
        await _look_after_scheduled(options, cancel, as_json)
        return
    if when is None:
        raise ConfigError("Say when: +10m, 18:30 or an RFC 3339 time.")
    moment_meant = moment(when, now())
    words = text_of(text)
    async with entered(options) as client:
        chat_id = await chat_id_of(client, chat, to)
        made = await client.schedule(words, moment_meant, chat_id)
    click.echo(
        json_line(made)
        if as_json
        else f"scheduled {made.id} for {clock_time(made.send_at, now())}"
    )


async def _look_after_scheduled(
    options: Options, cancel: str | None, as_json: bool
) -> None:
    async with entered(options) as client:
        if cancel is not None:
            await client.cancel(cancel)
            click.echo(
                json_line({"id": cancel, "state": "cancelled"})
                if as_json
                else f"cancelled {harmless(cancel)}"
            )
            return
        for message in await client.scheduled():
            state = message.state
            if message.error:
                state = f"{state}: {harmless(message.error)}"
            click.echo(
                json_line(message)
                if as_json
                else f"{message.id}  {clock_time(message.send_at, now())}  "
                f"({state}) {harmless(message.text)}"
            )


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
    async with entered(options) as client:
        chat_id = await chat_id_of(client, chat, to)
        message_id = await message_id_of(client, message, chat_id)
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
    async with entered(options) as client:
        chat_id = await chat_id_of(client, chat, to)
        message_id = await message_id_of(client, message, chat_id)
        revision = await client.delete(message_id)
    click.echo(
        json_line({"revision": revision})
        if as_json
        else f"deleted {message_id}"
    )


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
    async with entered(options) as client:
        chat_id = await chat_id_of(client, chat, to)
        message_id = await message_id_of(client, message, chat_id)
        revision = await client.react(message_id, emoji, on=not off)
    click.echo(
        json_line({"revision": revision})
        if as_json
        else f"{'took off' if off else 'put on'} {message_id}"
    )


@click.command("forget")
@console
async def forget(options: Options) -> None:
    """Drop the identity that is kept for this server.

    The user stays on the server, but nobody can be that user again.
    """
    entry = Entry(options)
    if not entry.profile.forget(entry.servers):
        raise ConfigError(
            f"No identity is kept for {options.server} in profile "
            f"{options.profile}."
        )
    click.echo(f"The identity for {options.server} was dropped.")


SCRIPTS: Final[tuple[click.Command, ...]] = (
    send,
    read,
    history,
    chats,
    users,
    p2p,
    status,
    upload,
    download,
    schedule,
    search,
    edit,
    delete,
    react,
    forget,
)

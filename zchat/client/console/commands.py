"""The commands of the console: `zchat chat send read chats status`.

Exit statuses: 0 done, 1 refused, 2 wrong usage, 3 no server answers,
130 interrupted.
"""

import asyncio
import io
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from zchat.client import (
    CaughtUp,
    Client,
    MessageEvent,
    NoAnswer,
)
from zchat.client.addresses import DEFAULT_SERVER
from zchat.client.console.conversation import failure, file_failure
from zchat.client.console.entry import Entry, Options, entered
from zchat.client.console.identity import (
    DEFAULT_PROFILE,
    Profile,
    default_folder,
)
from zchat.client.console.slash import dispatch
from zchat.client.console.talk import Talk
from zchat.client.console.terminal import Terminal
from zchat.client.console.text import (
    clock_time,
    harmless,
    json_line,
    message_line,
)
from zchat.errors import ConfigError, Refused, ZchatError

REFUSED: Final = 1
WRONG_USAGE: Final = 2
UNREACHABLE: Final = 3
INTERRUPTED: Final = 130
CHAT_ANSWER_SECONDS: Final = 120.0


_SHARED: Final = (
    click.option(
        "--server",
        envvar="ZCHAT_SERVER",
        default=DEFAULT_SERVER,
        show_default=True,
        help="HOST, HOST:PORT, tcp://… or ipc://…; "
        "several with commas between.",
    ),
    click.option(
        "--profile",
        envvar="ZCHAT_PROFILE",
        default=DEFAULT_PROFILE,
        show_default=True,
        help="Whose token to use, if you are several.",
    ),
    click.option(
        "--config-dir",
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="Where tokens are kept.  "
        "[default: zchat in $XDG_CONFIG_HOME or ~/.config]",
    ),
    click.option("--name", help="Your name, if you are new on this server."),
    click.option(
        "--server-key",
        envvar="ZCHAT_SERVER_KEY",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="The public key of an encrypted server.",
    ),
    click.option(
        "--client-key",
        envvar="ZCHAT_CLIENT_KEY",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Your secret key, if the server lets in known keys only.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0.1),
        default=10.0,
        show_default=True,
        help="Seconds to wait for the server.",
    ),
)
_JSON: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for scripts."
)


def now() -> datetime:
    """The local time."""
    return datetime.now().astimezone()


def console(
    work: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """A click callback that runs the work with Options, then exits."""

    def run(
        server: str,
        profile: str,
        config_dir: Path | None,
        name: str | None,
        timeout: float,
        server_key: Path | None,
        client_key: Path | None,
        **rest: Any,
    ) -> None:
        options = Options(
            server,
            profile,
            config_dir or default_folder(os.environ),
            name,
            timeout,
            server_key,
            client_key,
        )
        sys.exit(exit_status(partial(work, options, **rest)))

    for option in reversed(_SHARED):
        run = option(run)
    run.__doc__ = work.__doc__
    return run


def exit_status(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run it to its end; what went wrong is told on standard error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    try:
        asyncio.run(_stopping_on_sigterm(work))
    except (ZchatError, OSError) as error:
        return _told(error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    return 0


async def _stopping_on_sigterm(
    work: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work()


def _told(error: ZchatError | OSError) -> int:
    """Tell what went wrong; the exit status for it."""
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    text = harmless(str(error))
    status = WRONG_USAGE
    if isinstance(error, Refused):
        text, status = failure(error, now()), REFUSED
    elif isinstance(error, NoAnswer):
        status = UNREACHABLE
    elif isinstance(error, OSError):
        text = file_failure(error)
    click.echo(f"zchat: {text}", err=True)
    return status


async def chat_id_of(client: Client, chat: str | None) -> str | None:
    """The id of a chat that is given by its id or name."""
    if chat is None:
        return None
    chats = await client.all_chats()
    found = [known.id for known in chats if chat in (known.id, known.title)]
    if len(found) == 1:
        return found[0]
    raise ConfigError(
        f"You are in no chat {chat!r}; see `zchat chats`."
        if not found
        else f"Several chats are called {chat!r}; use the id."
    )


@click.command("chat")
@click.option("--chat", help="The chat to open: its name or id.")
@click.option(
    "--plain",
    is_flag=True,
    help="One line after another, for pipes and screen readers.",
)
@click.option(
    "--theme",
    type=click.Choice(["dark", "light", "terminal"]),
    help="Colours of the full screen.  [default: as it was left]",
)
@console
async def chat(
    options: Options, chat: str | None, plain: bool, theme: str | None
) -> None:
    """Open the chat on the whole terminal; F1 lists what can be done.

    Without a terminal, or with --plain, it goes line by line; /help
    lists what can be typed then.
    """
    if plain or not _is_terminal():
        await _chat_in_lines(options, chat)
        return
    from zchat.client.console.app import Console

    program = Console(Entry(options), now, chat, theme)
    await program.run_async()
    if program.failure is not None:
        raise program.failure


def _is_terminal() -> bool:
    """Whether a full screen can be drawn and typed into."""
    return (
        sys.stdin.isatty()
        and sys.stdout.isatty()
        and os.environ.get("TERM", "dumb") != "dumb"
    )


async def _chat_in_lines(options: Options, chat: str | None) -> None:
    terminal = Terminal()
    async with entered(
        options,
        listen=True,
        answer_seconds=CHAT_ANSWER_SECONDS,
        on_up=lambda: terminal.show("-- connected --"),
        on_down=lambda: terminal.show("-- connection lost; trying again --"),
    ) as client:
        terminal.show(
            f"-- you are {harmless(client.name)}; /help lists what can be "
            "typed --"
        )
        await Talk(client, terminal.show, now, dispatch).run(
            terminal.lines(), chat
        )


@click.command("send")
@click.argument("text", nargs=-1)
@click.option(
    "--chat", help="The chat: its name or id.  [default: the common chat]"
)
@click.option("--to", metavar="USER_ID", help="Send it to this user alone.")
@click.option(
    "--comment-on",
    metavar="MESSAGE_ID",
    help="The message that this is a comment on.",
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
@_JSON
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
    """Send one message: TEXT, or standard input without it."""
    if chat is not None and to is not None:
        raise ConfigError("Give --chat or --to, not both.")
    words = " ".join(text)
    if not text and not paths:
        words = sys.stdin.read().removesuffix("\n")
    async with entered(options) as client:
        chat_id = (
            await chat_id_of(client, chat)
            if to is None
            else await client.p2p(to)
        )
        files = [await client.upload(path, chat_id) for path in paths]
        sent = await client.send(
            words,
            chat_id,
            comment_on=comment_on,
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
@_JSON
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
    name = known.name if known else ""
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
@_JSON
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
@_JSON
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


COMMANDS: tuple[click.Command, ...] = (
    chat,
    send,
    read,
    chats,
    status,
    forget,
)

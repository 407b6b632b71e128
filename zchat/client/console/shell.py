"""What all commands of the console share: flags, statuses, who is meant.

Exit statuses: 0 done, 1 refused, 2 wrong usage, 3 no server answers,
130 interrupted. `--server` and `--profile` may stand before the
command's name as well; behind it they win.
"""

import asyncio
import io
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from zchat.client import Client, NoAnswer
from zchat.client.addresses import DEFAULT_SERVER
from zchat.client.console.conversation import (
    failure,
    file_failure,
    is_id,
    whole_number,
)
from zchat.client.console.entry import Options
from zchat.client.console.identity import DEFAULT_PROFILE, default_folder
from zchat.client.console.text import harmless
from zchat.errors import ConfigError, Refused, ZchatError

REFUSED: Final = 1
WRONG_USAGE: Final = 2
UNREACHABLE: Final = 3
INTERRUPTED: Final = 130

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
        "--invite",
        metavar="CODE",
        envvar="ZCHAT_INVITE",
        help="The operator's invite code, if you are new and need one.",
    ),
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
AS_JSON: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for scripts."
)
CHAT: Final = click.option(
    "--chat", help="The chat: its name or id.  [default: the common chat]"
)
TO: Final = click.option(
    "--to", metavar="USER", help="The private chat with this user."
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
        invite: str | None,
        **rest: Any,
    ) -> None:
        options = Options(
            _given("server", server),
            _given("profile", profile),
            config_dir or default_folder(os.environ),
            name,
            timeout,
            server_key,
            client_key,
            invite,
        )
        sys.exit(exit_status(partial(work, options, **rest)))

    for option in reversed(_SHARED):
        run = option(run)
    run.__doc__ = work.__doc__
    return run


def _given(name: str, value: str) -> str:
    """The value of a flag, which may stand before the command's name."""
    context = click.get_current_context()
    before = context.find_root().params.get(name)
    is_here = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    return value if is_here or before is None else str(before)


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


async def chat_id_of(
    client: Client, chat: str | None, to: str | None = None
) -> str | None:
    """The id of the chat that is meant; None for the common one.

    Either by `chat`, an id or a title, or by `to`, whom it is with.
    """
    if to is not None:
        if chat is not None:
            raise ConfigError("Give --chat or --to, not both.")
        return await client.p2p(await user_id_of(client, to))
    if chat is None:
        return None
    chats = await client.all_chats()
    found = [
        known.id
        for known in chats
        if chat in (known.id, known.title, known.name)
    ]
    if len(found) == 1:
        return found[0]
    raise ConfigError(
        f"You are in no chat {chat!r}. See `zchat chats`."
        if not found
        else f"Several chats are called {chat!r}. Use the id."
    )


async def user_id_of(
    client: Client, user: str, chat_id: str | None = None
) -> str:
    """The id of a user: an id, or the name of somebody one shares a chat with.

    The chat named and the common one are looked at first.
    """
    if is_id(user):
        return user
    name = user.removeprefix("@").casefold()
    first = [each for each in (chat_id, client.chat_default) if each]
    chats = [known.id for known in await client.all_chats()]
    for looked_at in dict.fromkeys([*first, *chats]):
        for member in await client.all_users(looked_at):
            if member.name.casefold() == name:
                return member.id
    raise ConfigError(
        f"Nobody called {user!r} is in a chat of yours. Use the user's id."
    )


async def message_id_of(
    client: Client, message: str, chat_id: str | None
) -> str:
    """The id of a message: an id, or its number in the chat."""
    if is_id(message):
        return message
    number = whole_number(message.removeprefix("#"))
    if number is None:
        raise ConfigError(
            f"{message[:40]!r} is no message. Use its id, or the number "
            "behind its # with --chat."
        )
    page = await client.history(
        chat_id or client.chat_default, after=max(0, number - 1), limit=1
    )
    if not page.messages or page.messages[0].seq != number:
        raise ConfigError(f"There is no message #{number} in that chat.")
    return page.messages[0].id


def text_of(words: Sequence[str], *, may_be_empty: bool = False) -> str:
    """The text in the arguments; `-` and nothing stand for standard input.

    Raises ConfigError for a text without anything to see.
    """
    text = " ".join(words)
    if text == "-" or (not words and not may_be_empty):
        text = sys.stdin.read().removesuffix("\n")
    if not text.strip() and not may_be_empty:
        raise ConfigError(
            "There is nothing to send. Give a text, or `-` for standard input."
        )
    return text

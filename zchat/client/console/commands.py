"""The commands of the console, and the one that opens it."""

import os
import sys
from typing import Final

import click

from zchat.client.console.entry import Entry, Options, entered
from zchat.client.console.groups import groups
from zchat.client.console.scripts import SCRIPTS
from zchat.client.console.shell import console, now
from zchat.client.console.slash import dispatch
from zchat.client.console.talk import Talk
from zchat.client.console.terminal import Terminal
from zchat.client.console.text import harmless

CHAT_ANSWER_SECONDS: Final = 120.0


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


COMMANDS: tuple[click.Command, ...] = (chat, *SCRIPTS, groups)

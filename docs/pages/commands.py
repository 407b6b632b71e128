"""The page of all commands, from the command line itself."""

from typing import Final

import click

from zchat.cli import main
from zchat.client.console.keys import Where, keys_of
from zchat.client.console.slash import SLASHES
from zchat.options import OPTION_BY_NAME

SERVERS: Final = frozenset({"serve", "gateway"})
"""The commands whose flags are the settings."""
HEAD: Final = """\
# Commands

This page comes from the commands themselves; `make docs` writes it. `zchat
COMMAND --help` tells the same.

The commands of the console keep who you are, one user a server and profile, in
your config folder, readable by you alone. Their exit status is 0 when all went
well, 1 when the server refused, 2 when something was typed wrongly, 3 when no
server answers, and 130 when they were interrupted. The variables
`ZCHAT_SERVER` and `ZCHAT_PROFILE` stand for `--server` and `--profile`.

"""


def commands_page() -> str:
    """A section a command, then what can be typed in a conversation."""
    context = click.Context(main, info_name="zchat")
    return HEAD + "\n".join([*_sections(main, context), _slashes(), _keys()])


def _sections(group: click.Group, context: click.Context) -> list[str]:
    """A section for each command, and for those of groups in it."""
    sections = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        sections.append(_section(command, inner))
        if isinstance(command, click.Group):
            sections += _sections(command, inner)
    return sections


def _section(command: click.Command, context: click.Context) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    path = context.command_path
    paragraphs = (command.help or "").split("\n\n")
    text = "\n\n".join(" ".join(part.split()) for part in paragraphs)
    return (
        f"## {path}\n\n`{path} {usage}`\n\n"
        f"{text}\n\n{_options(command, context)}"
    )


def _options(command: click.Command, context: click.Context) -> str:
    rows = []
    has_settings = command.name in SERVERS
    for parameter in command.params:
        if not isinstance(parameter, click.Option):
            continue
        name = parameter.opts[0].removeprefix("--")
        if has_settings and name in OPTION_BY_NAME:
            continue
        record = parameter.get_help_record(context)
        assert record is not None
        name, meaning = (
            " ".join(part.split()).replace("|", "\\|") for part in record
        )
        rows.append(f"| `{name}` | {meaning} |\n")
    table = "| option | |\n|---|---|\n" + "".join(rows) if rows else ""
    settings = (
        "Its flags are the [settings](settings.md), and:\n\n"
        if has_settings
        else ""
    )
    return settings + table


def _slashes() -> str:
    rows = "".join(
        "| `{}` | {} |\n".format(
            slash.usage.replace("|", "\\|"), slash.summary
        )
        for slash in SLASHES
    )
    return (
        "## In a conversation\n\nWhat begins with a slash in `zchat chat` is "
        "a command; `//` begins a text\nwith a slash. All else is sent to the "
        f"open chat.\n\n| type | |\n|---|---|\n{rows}"
    )


def _keys() -> str:
    """The keys of the full screen, by where they work."""
    parts = [
        "## Keys of the full screen\n\n`F1` shows this list and the one above."
    ]
    for where in Where:
        rows = "".join(
            f"| `{key.shown}` | {key.summary} |\n" for key in keys_of(where)
        )
        parts.append(f"### {where.value}\n\n| key | |\n|---|---|\n{rows}")
    return "\n\n".join(parts)

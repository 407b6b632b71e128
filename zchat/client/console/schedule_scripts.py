"""The command for scripts that sends messages later."""

import click

from zchat.client.console.entry import Options, entered
from zchat.client.console.shell import (
    AS_JSON,
    CHAT,
    TO,
    chat_id_of,
    console,
    now,
    text_of,
)
from zchat.client.console.text import (
    clock_time,
    harmless,
    json_line,
)
from zchat.client.console.when import moment
from zchat.errors import ConfigError


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

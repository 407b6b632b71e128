"""The commands for scripts: one request or a few, then an exit status."""

from typing import Final

import click

from zchat.client.console.entry import Entry, Options, entered
from zchat.client.console.file_scripts import download, upload
from zchat.client.console.message_scripts import (
    delete,
    edit,
    history,
    react,
    read,
    search,
    send,
)
from zchat.client.console.schedule_scripts import schedule
from zchat.client.console.shell import (
    AS_JSON,
    CHAT,
    chat_id_of,
    console,
    now,
    user_id_of,
)
from zchat.client.console.text import (
    clock_time,
    harmless,
    json_line,
)
from zchat.errors import ConfigError


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

"""`zchat groups`: make groups, let people in, from a script."""

from collections.abc import Awaitable, Callable

import click

from zchat.client import Client
from zchat.client.console.entry import Options, entered
from zchat.client.console.shell import (
    AS_JSON,
    chat_id_of,
    console,
    now,
    user_id_of,
)
from zchat.client.console.text import clock_time, harmless, json_line
from zchat.errors import ConfigError

FindUser = Callable[[Client, str, str], Awaitable[str]]
"""The id of a user whom somebody named, in a chat."""
ActOnUser = Callable[[Client, str, str], Awaitable[None]]
"""A method of the client for a chat and a user."""


@click.group("groups")
def groups() -> None:
    """List, make and change groups."""


async def _group(client: Client, chat: str) -> str:
    chat_id = await chat_id_of(client, chat)
    assert chat_id is not None
    return chat_id


@groups.command("list")
@AS_JSON
@console
async def list_groups(options: Options, as_json: bool) -> None:
    """List your groups."""
    async with entered(options) as client:
        for chat in await client.all_chats():
            if chat.kind == "group":
                click.echo(
                    json_line(chat)
                    if as_json
                    else f"{chat.id}  {chat.size:5}  {harmless(chat.title)}"
                )


@groups.command("create")
@click.argument("title", metavar="NAME")
@AS_JSON
@console
async def create(options: Options, title: str, as_json: bool) -> None:
    """Make a group called NAME, and print its id."""
    async with entered(options) as client:
        chat_id = await client.create_chat(title)
    click.echo(json_line({"chat_id": chat_id}) if as_json else chat_id)


@groups.command("rename")
@click.argument("chat")
@click.argument("title", metavar="NAME")
@console
async def rename(options: Options, chat: str, title: str) -> None:
    """Give the group CHAT another NAME."""
    async with entered(options) as client:
        await client.rename_chat(await _group(client, chat), title)


async def _anybody(client: Client, chat_id: str, user: str) -> str:
    return await user_id_of(client, user, chat_id)


async def _asker(client: Client, chat_id: str, user: str) -> str:
    for request in await client.join_requests(chat_id):
        if user in (request.user.id, request.user.name):
            return request.user.id
    raise ConfigError(f"Nobody called {user!r} asks to be let in.")


def _people_command(
    name: str, summary: str, find: FindUser, act: ActOnUser
) -> None:
    """Add a command that does one thing with one USER of one CHAT."""

    @groups.command(name, help=summary)
    @click.argument("chat")
    @click.argument("user")
    @console
    async def command(options: Options, chat: str, user: str) -> None:
        async with entered(options) as client:
            chat_id = await _group(client, chat)
            await act(client, chat_id, await find(client, chat_id, user))


_people_command(
    "invite",
    "Add USER, a name or an id, to the group CHAT.",
    _anybody,
    Client.invite,
)
_people_command(
    "remove", "Remove USER from the group CHAT.", _anybody, Client.remove
)
_people_command(
    "approve",
    "Let USER, who asked by a link, into the group CHAT.",
    _asker,
    Client.approve,
)
_people_command("deny", "Turn USER away.", _asker, Client.deny)


@groups.command("link")
@click.argument("chat")
@click.option(
    "--uses", type=click.IntRange(1), help="How many may use it.  [any]"
)
@click.option(
    "--expires-in",
    metavar="SECONDS",
    type=click.IntRange(1),
    help="How long it works.  [a day]",
)
@AS_JSON
@console
async def link(
    options: Options,
    chat: str,
    uses: int | None,
    expires_in: int | None,
    as_json: bool,
) -> None:
    """Make a link into the group CHAT; who uses it waits for you."""
    async with entered(options) as client:
        made = await client.invite_link(
            await _group(client, chat), expires_in=expires_in, max_uses=uses
        )
    click.echo(json_line(made) if as_json else harmless(made.link))


@groups.command("join")
@click.argument("link")
@AS_JSON
@console
async def join(options: Options, link: str, as_json: bool) -> None:
    """Ask to be let in by LINK."""
    async with entered(options) as client:
        joined = await client.join(link)
    click.echo(json_line(joined) if as_json else joined.state)


@groups.command("requests")
@click.argument("chat")
@AS_JSON
@console
async def requests(options: Options, chat: str, as_json: bool) -> None:
    """List who asks to be let into the group CHAT."""
    async with entered(options) as client:
        chat_id = await _group(client, chat)
        for request in await client.join_requests(chat_id):
            since = clock_time(request.created, now())
            click.echo(
                json_line(request)
                if as_json
                else f"{request.user.id}  {since}  "
                f"{harmless(request.user.name)}"
            )


@groups.command("leave")
@click.argument("chat")
@console
async def leave(options: Options, chat: str) -> None:
    """Leave the group CHAT."""
    async with entered(options) as client:
        await client.exit(await _group(client, chat))

"""`zchat groups`: make groups, let people in, from a script."""

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


@groups.command("invite")
@click.argument("chat")
@click.argument("user")
@console
async def invite(options: Options, chat: str, user: str) -> None:
    """Add USER, a name or an id, to the group CHAT."""
    async with entered(options) as client:
        chat_id = await _group(client, chat)
        await client.invite(chat_id, await user_id_of(client, user, chat_id))


@groups.command("remove")
@click.argument("chat")
@click.argument("user")
@console
async def remove(options: Options, chat: str, user: str) -> None:
    """Remove USER from the group CHAT."""
    async with entered(options) as client:
        chat_id = await _group(client, chat)
        await client.remove(chat_id, await user_id_of(client, user, chat_id))


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


async def _asker(client: Client, chat_id: str, user: str) -> str:
    for request in await client.join_requests(chat_id):
        if user in (request.user.id, request.user.name):
            return request.user.id
    raise ConfigError(f"Nobody called {user!r} asks to be let in.")


@groups.command("approve")
@click.argument("chat")
@click.argument("user")
@console
async def approve(options: Options, chat: str, user: str) -> None:
    """Let USER, who asked by a link, into the group CHAT."""
    async with entered(options) as client:
        chat_id = await _group(client, chat)
        await client.approve(chat_id, await _asker(client, chat_id, user))


@groups.command("deny")
@click.argument("chat")
@click.argument("user")
@console
async def deny(options: Options, chat: str, user: str) -> None:
    """Turn USER away."""
    async with entered(options) as client:
        chat_id = await _group(client, chat)
        await client.deny(chat_id, await _asker(client, chat_id, user))


@groups.command("leave")
@click.argument("chat")
@console
async def leave(options: Options, chat: str) -> None:
    """Leave the group CHAT."""
    async with entered(options) as client:
        await client.exit(await _group(client, chat))

"""Commands for scripts that upload and download files."""

import sys
from pathlib import Path

import click

from zchat.client.console.entry import Options, entered
from zchat.client.console.paths import free_path, local
from zchat.client.console.shell import (
    AS_JSON,
    CHAT,
    TO,
    chat_id_of,
    console,
)
from zchat.client.console.text import (
    harmless,
    json_line,
    size_text,
)
from zchat.errors import ConfigError


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

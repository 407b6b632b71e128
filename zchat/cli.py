"""The commands of `zchat`: flags in, a program started, a status out."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from zchat import __version__
from zchat.config import Settings, load
from zchat.errors import ConfigError
from zchat.options import OPTIONS, Option

STATUS_WRONG_SETTING: Final = 2
STATUS_FAULTY: Final = 1
"""What was checked is not sound."""
CONSOLE_COMMANDS: Final = {
    "chat": "Open the chat in this terminal.",
    "send": "Send one message.",
    "read": "Print messages; with --follow, new ones as they arrive.",
    "history": "Print messages of a chat.",
    "chats": "List the chats.",
    "users": "List the members of a chat.",
    "p2p": "Print the id of a private chat.",
    "groups": "List, make and change groups.",
    "status": "Show server and user status.",
    "upload": "Send a file.",
    "download": "Save a file.",
    "schedule": "Send a message later.",
    "search": "Search the messages of all your chats.",
    "edit": "Edit a message of yours.",
    "delete": "Delete a message.",
    "react": "Put an emoji on a message.",
    "forget": "Drop the identity that is kept for a server.",
}
"""Commands of the console client, which is loaded when one is called."""
ADMIN: Final = {"admin": "Act on a running server."}
CONFORMANCE: Final = {"conformance": "Try a client library."}
"""Loaded when they are called as well."""

SETTINGS_EPILOG: Final = (
    "Every option is also an environment variable (--rate-limit: "
    "ZCHAT_RATE_LIMIT) and a key of zchat.toml (rate-limit). A flag "
    "overrides the variable, which overrides the file."
)


EXTRA_BY_MODULE: Final = {
    "confusable_homoglyphs": "server",
    "httptools": "server",
    "prometheus_client": "server",
    "regex": "server",
    "structlog": "server",
    "uvloop": "server",
    "psycopg": "postgres",
    "textual": "console",
}
"""Modules that `pip install zchat` alone leaves out: the lists in
requirements/, by what is imported."""


class ProgramGroup(click.Group):
    """The group of all commands; `--help` loads no client."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; say which packages it lacks, if it does."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as missing:
            module = (missing.name or "").partition(".")[0]
            if module not in EXTRA_BY_MODULE:
                raise
            click.echo(
                "zchat: This command needs packages that are not installed. "
                f"Run: pip install 'zchat[{EXTRA_BY_MODULE[module]}]'",
                err=True,
            )
            sys.exit(STATUS_WRONG_SETTING)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names: the servers first."""
        return [*self.commands, *ADMIN, *CONFORMANCE, *CONSOLE_COMMANDS]

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command; a wrong command line is told in one line."""
        run: Any = super().main
        if not kwargs.pop("standalone_mode", True):
            return run(*args, standalone_mode=False, **kwargs)
        try:
            status = run(*args, standalone_mode=False, **kwargs)
        except click.UsageError as error:
            help_of = error.ctx.command_path if error.ctx else "zchat"
            click.echo(
                f"zchat: {error.format_message()} See `{help_of} --help`.",
                err=True,
            )
            sys.exit(STATUS_WRONG_SETTING)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(1)
        sys.exit(status if isinstance(status, int) else 0)

    def get_command(
        self,
        ctx: click.Context,
        cmd_name: str,
    ) -> click.Command | None:
        """The command of that name, loaded now if need be."""
        if cmd_name in ADMIN:
            from zchat.operator.admin import admin

            return admin
        if cmd_name in CONFORMANCE:
            from zchat.conformance.command import conformance

            return conformance
        if cmd_name not in CONSOLE_COMMANDS:
            return super().get_command(ctx, cmd_name)
        from zchat.client.console.commands import COMMANDS

        return {command.name: command for command in COMMANDS}[cmd_name]

    def format_commands(
        self,
        ctx: click.Context,
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list of commands without loading them."""
        rows = [
            (name, command.get_short_help_str(limit=60))
            for name, command in self.commands.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    *rows,
                    *ADMIN.items(),
                    *CONFORMANCE.items(),
                    *CONSOLE_COMMANDS.items(),
                ]
            )


def click_option(option: Option) -> click.Option:
    """The flag of a setting; its value is checked in `config` alone."""
    is_switch = option.bare is True
    may_be_bare = option.bare is not None and not is_switch
    flag_value: dict[str, Any] = {}
    if is_switch or may_be_bare:
        # Where it is not given, a value may begin with a dash.
        flag_value["flag_value"] = True if is_switch else "on"
    return click.Option(
        [option.flag, option.field],
        help=help_text(option),
        metavar=f"[{option.placeholder}]"
        if may_be_bare
        else (option.placeholder or None),
        is_flag=is_switch,
        multiple=option.repeats,
        default=None,
        **flag_value,
    )


def help_text(option: Option) -> str:
    """The meaning of a setting, and what holds when it is not given."""
    default = option.default_text
    notes = [f"default: {default}"] if default else []
    if option.bare not in (None, True):
        notes.append(f"{option.bare} when given bare")
    return option.meaning + (f"  [{'; '.join(notes)}]" if notes else "")


def settings_or_exit(command: str, given: dict[str, Any]) -> Settings:
    """The settings; a wrong one ends the program with one line."""
    config_file = given.pop("config")
    flags = {option.name: given.get(option.field) for option in OPTIONS}
    try:
        return load(command, flags, os.environ, config_file)
    except ConfigError as error:
        click.echo(f"zchat: {error}", err=True)
        sys.exit(STATUS_WRONG_SETTING)


def program(
    name: str,
    summary: str,
    run: Callable[[Settings], int],
) -> click.Command:
    """A command that takes its settings and runs a server with them."""

    def start(**given: Any) -> None:
        settings = settings_or_exit(name, given)
        from zchat import logs

        logs.configure(settings.log_level, as_json=settings.log_json)
        sys.exit(run(settings))

    config = click.Option(
        ["--config"],
        metavar="FILE",
        help="File to read settings from.  [default: zchat.toml]",
    )
    options = [
        click_option(option) for option in OPTIONS if name in option.commands
    ]
    return click.Command(
        name,
        callback=start,
        params=[*options, config],
        help=summary,
        epilog=SETTINGS_EPILOG,
        context_settings={"max_content_width": 100},
    )


def serve(settings: Settings) -> int:
    """Run the broker, and HTTP beside it."""
    from zchat.broker import serve as run

    return run(settings)


def gateway(settings: Settings) -> int:
    """Run HTTP alone, in front of a broker elsewhere."""
    from zchat.gateway import run_gateway

    return run_gateway(settings)


@click.group(
    cls=ProgramGroup, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="zchat")
@click.option("--server", metavar="SERVER", help="As of the commands to chat.")
@click.option("--profile", metavar="NAME", help="As of the commands to chat.")
@click.pass_context
def main(
    context: click.Context, server: str | None, profile: str | None
) -> None:
    """A chat server that needs nothing beside it, and its client.

    Start with `zchat serve`, then open `zchat chat` in another terminal.
    """
    is_given = server is not None or profile is not None
    if is_given and context.invoked_subcommand not in CONSOLE_COMMANDS:
        raise click.UsageError(
            f"--server and --profile mean nothing to "
            f"{context.invoked_subcommand}."
        )


main.add_command(
    program(
        "serve",
        "Start the server: RPC and events over ZeroMQ, and HTTP.",
        serve,
    )
)
main.add_command(
    program(
        "gateway",
        "Start only the HTTP gateway, for the broker at --rpc.",
        gateway,
    )
)


@main.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete the commands of zchat.

    For bash: zchat completion bash >
    ~/.local/share/bash-completion/completions/zchat
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(main, {}, "zchat", "_ZCHAT_COMPLETE")
    click.echo(made.source_template % made.source_vars())


@main.command("migrate")
@click.argument("sqlite_file", metavar="SQLITE_FILE")
@click.argument("url", metavar="postgresql://…")
def migrate(sqlite_file: str, url: str) -> None:
    """Copy a store from an SQLite file into an empty PostgreSQL database.

    Stop the broker first. The copy is read back and compared; the file
    stays as it is.
    """
    from zchat.errors import StoreError
    from zchat.storage.move import move

    try:
        for copied in move(sqlite_file, url):
            click.echo(
                f"{copied.table:<14} {copied.rows:>10} rows  "
                f"sha256 {copied.sha256}"
            )
    except StoreError as error:
        click.echo(f"zchat: {error}", err=True)
        sys.exit(STATUS_WRONG_SETTING)
    click.echo("Everything was copied. Start zchat with --store and this URL.")


@main.command("keygen")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("clients", metavar="[CLIENT]...", nargs=-1)
def keygen(folder: Path, clients: tuple[str, ...]) -> None:
    """Make CURVE keys in DIR: the server's, and one for each CLIENT.

    Run it again with other names to let in more clients; the running
    server notices. A client is shut out by removing its file from
    DIR/clients.
    """
    from zchat.errors import ZchatError
    from zchat.operator.keygen import make_keys

    try:
        written = make_keys(folder, clients)
    except ZchatError as error:
        click.echo(f"zchat: {error}", err=True)
        sys.exit(STATUS_WRONG_SETTING)
    for path in written:
        click.echo(path)
    click.echo(f"\nStart the server with --curve-keys {folder}")
    if clients:
        name = clients[0]
        click.echo(
            f"Give {name}: {folder}/server.key and "
            f"{folder}/clients/{name}.key_secret\n"
            "Connect with --server-key server.key "
            f"--client-key {name}.key_secret"
        )
    else:
        click.echo(f"Let clients in with: zchat keygen {folder} NAME")


STORE_OPTION: Final = click.option(
    "--store",
    default="zchat.db",
    show_default=True,
    metavar="STORE",
    envvar="ZCHAT_STORE",
    help="The store's file, as `zchat serve` takes it.",
)


@main.command("backup")
@click.argument("copy", metavar="FILE", type=click.Path(path_type=Path))
@STORE_OPTION
@click.option(
    "--operator-socket",
    metavar="PATH",
    envvar="ZCHAT_OPERATOR_SOCKET",
    help="The running broker's socket.  [default: STORE.sock]",
)
def backup(copy: Path, store: str, operator_socket: str | None) -> None:
    """Copy the store into the new FILE, while it is served or not."""
    from zchat.client import NoAnswer
    from zchat.errors import Refused, StoreError
    from zchat.operator.stores import back_up_store

    try:
        copied = back_up_store(store, copy, operator_socket or f"{store}.sock")
    except (StoreError, Refused, NoAnswer) as error:
        click.echo(f"zchat: {error}", err=True)
        sys.exit(STATUS_WRONG_SETTING)
    click.echo(f"{store} is copied to {copy}, epoch {copied.epoch}.")


@main.command("restore")
@click.argument("copy", metavar="FILE", type=click.Path(path_type=Path))
@STORE_OPTION
@click.option("--force", is_flag=True, help="Replace a store that is there.")
def restore(copy: Path, store: str, force: bool) -> None:
    """Make a store of a backup's FILE, under a new epoch.

    The copy is checked first. Clients notice the new epoch and forget
    what they had from after the backup.
    """
    from zchat.errors import StoreError
    from zchat.operator.stores import restore_store

    try:
        copied = restore_store(copy, store, force)
    except StoreError as error:
        click.echo(f"zchat: {error}", err=True)
        sys.exit(STATUS_WRONG_SETTING)
    click.echo(f"{store} is restored, epoch {copied.epoch}.")


@main.command("check")
@click.argument("store", metavar="STORE")
def check(store: str) -> None:
    """Check a store or a backup: its file, references, counts and files.

    Exits with 1 where something is wrong.
    """
    from zchat.errors import StoreError
    from zchat.operator.stores import check_store

    try:
        checked = check_store(store)
    except StoreError as error:
        click.echo(f"zchat: {error}", err=True)
        sys.exit(STATUS_WRONG_SETTING)
    for table, rows in checked.rows.items():
        click.echo(f"{table:<14} {rows:>10} rows")
    for fault in checked.faults:
        click.echo(f"zchat: {fault}", err=True)
    if checked.faults:
        sys.exit(STATUS_FAULTY)
    click.echo("No faults found.")

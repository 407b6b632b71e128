"""`zchat admin`: act on a running server.

Each command calls one method over the operator's socket and shows the
result; `--json` prints it as it came. Exit statuses: 0 done, 1 refused,
2 wrong usage or no such socket, 3 no broker answers.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

import click
from msgspec import Struct

from zchat.client import NoAnswer
from zchat.config import load
from zchat.errors import ConfigError, Refused
from zchat.operator.caller import OperatorCaller
from zchat.operator.tables import duration, facts, moment, size

REFUSED: Final = 1
WRONG_USAGE: Final = 2
UNREACHABLE: Final = 3


class Admin(Struct, frozen=True):
    """What a command works with."""

    caller: OperatorCaller
    as_json: bool

    def show(self, result: Any, text: Callable[[], str]) -> None:
        """Print a result: for people, or as JSON."""
        if self.as_json:
            click.echo(json.dumps(result, default=_plain))
        else:
            click.echo(text())


def _plain(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is not JSON")


def socket_path(flags: Mapping[str, object]) -> str:
    """Where the broker with these settings has its socket."""
    settings = load("serve", flags, os.environ)
    if settings.operator_socket is None:
        raise ConfigError("operator-socket is off. Start the broker with one.")
    return settings.operator_socket


def ends(work: Callable[[], None]) -> None:
    """Run it; what went wrong is told on standard error."""
    try:
        work()
    except Refused as refused:
        _fail(refused.message, REFUSED)
    except NoAnswer as error:
        _fail(str(error), UNREACHABLE)
    except ConfigError as error:
        _fail(str(error), WRONG_USAGE)


def _fail(message: str, status: int) -> None:
    click.echo(f"zchat: {message}", err=True)
    sys.exit(status)


_SHARED: Final = (
    click.option(
        "--operator-socket",
        metavar="PATH",
        help="The broker's socket.  [default: found from the store]",
    ),
    click.option(
        "--store",
        metavar="PATH|URL",
        help="The broker's store.  [default: from zchat.toml, or zchat.db]",
    ),
    click.option(
        "--port",
        metavar="PORT",
        help="The broker's port, if several share a database.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0.1),
        default=30.0,
        show_default=True,
        help="Seconds to wait for the broker.",
    ),
    click.option(
        "--json", "as_json", is_flag=True, help="Print JSON, for scripts."
    ),
)


@click.group("admin")
def admin() -> None:
    """Act on a running server, on the machine that it runs on.

    Whoever may open the socket beside the store may do everything.
    """


def command(
    name: str,
) -> Callable[[Callable[..., None]], click.Command]:
    """A command of `zchat admin`, which gets an Admin first."""

    def wrap(work: Callable[..., None]) -> click.Command:
        def run(
            operator_socket: str | None,
            store: str | None,
            port: str | None,
            timeout: float,
            as_json: bool,
            **given: Any,
        ) -> None:
            def connected() -> None:
                path = socket_path(
                    {
                        "operator-socket": operator_socket,
                        "store": store,
                        "port": port,
                    }
                )
                with OperatorCaller(path, timeout) as caller:
                    work(Admin(caller, as_json), **given)

            ends(connected)

        run.__doc__ = work.__doc__
        run.__click_params__ = getattr(  # type: ignore[attr-defined]
            work, "__click_params__", []
        )
        for option in reversed(_SHARED):
            run = option(run)
        return admin.command(name)(run)

    return wrap


@command("stats")
def stats(op: Admin) -> None:
    """Show how the server is and how much it holds."""
    found = op.caller.call("stats")
    op.show(found, lambda: facts(_stats_rows(found)))


def _stats_rows(found: Any) -> list[tuple[str, object]]:
    broker, counts = found["broker"], found["counts"]
    times = broker["batch_seconds"]
    batches = sum(times["counts"])
    refusals = ", ".join(
        f"{code} {count}" for code, count in sorted(broker["refusals"].items())
    )
    return [
        ("zchat", found["version"]),
        ("time", moment(found["time"])),
        ("running", duration(broker["uptime"])),
        ("epoch", found["epoch"]),
        (
            "database",
            f"{found['connections_db_now']} of "
            f"{found['connections_db_max']} connections",
        ),
        ("store", size(broker["store_bytes"])),
        ("users", counts["users"]),
        ("chats", counts["chats"]),
        ("messages sent", counts["messages"]),
        ("files", f"{counts['files']}, {size(counts['file_bytes'])}"),
        ("scheduled", counts["scheduled"]),
        ("complaints", counts["complaints"]),
        ("requests", broker["requests"]),
        ("refused", refusals or "none"),
        (
            "batches",
            f"{batches}, {1000 * times['sum'] / max(1, batches):.2f} ms each",
        ),
        ("events", broker["events"]),
        (
            "waiting",
            f"{broker['answers_waiting']} answers, "
            f"{broker['requests_waiting']} requests",
        ),
        ("answers lost", broker["answers_lost"]),
        ("clients dropped", broker["clients_dropped"]),
        ("feed gaps", broker["feed_gaps"]),
        ("connections", broker["connections"]),
        (
            "open files",
            f"{broker['open_files']} of {broker['open_files_limit']}",
        ),
        ("memory", size(broker["memory_bytes"])),
        ("CPU", f"{broker['cpu_seconds']:.1f} s"),
    ]

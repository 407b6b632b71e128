"""`zchat admin`: act on a running server.

Each command calls one method over the operator's socket and shows the
result; `--json` prints it as it came. Exit statuses: 0 done, 1 refused,
2 wrong usage or no such socket, 3 no broker answers.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import click
from msgspec import Struct

from zchat.client import NoAnswer
from zchat.config import load
from zchat.errors import Code, ConfigError, Refused
from zchat.operator.caller import OperatorCaller
from zchat.operator.tables import (
    duration,
    facts,
    moment,
    shortened,
    size,
    table,
)
from zchat.rpc.params import ID_PATTERN

REFUSED: Final = 1
WRONG_USAGE: Final = 2
UNREACHABLE: Final = 3
_ID: Final = re.compile(ID_PATTERN)
_ARTICLE: Final = {"member": "a", "moderator": "a", "admin": "an"}
_DETAIL_COLUMNS: Final = 60


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


_YES: Final = click.option(
    "--yes", is_flag=True, help="Do not ask whether you are sure."
)


def sure(yes: bool, question: str) -> None:
    """Ask, unless it was answered on the command line."""
    if not yes and not click.confirm(question, err=True):
        _fail("Nothing was changed.", REFUSED)


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


# Accounts


def account_id(op: Admin, text: str) -> str:
    """The id of an account that is given by its id or name."""
    if _ID.fullmatch(text):
        return text
    for user in every_account(op, name=text):
        if text.casefold() == user["name"].casefold():
            return str(user["id"])
    raise Refused(
        Code.NOT_FOUND,
        f"No account is called {text}. See `zchat admin accounts`.",
    )


def every_account(op: Admin, **given: object) -> Iterator[Any]:
    """All accounts that fit, page by page."""
    after = None
    while page := op.caller.call("accounts", after=after, **given)["users"]:
        yield from page
        after = page[-1]["id"]


_WHO: Final = click.argument("who", metavar="NAME|ID")


@command("accounts")
@click.option("--name", help="How their names begin.")
@click.option("--role", type=click.Choice(["member", "moderator", "admin"]))
@click.option("--banned", is_flag=True, help="Only those who are banned.")
def accounts(
    op: Admin, name: str | None, role: str | None, banned: bool
) -> None:
    """List the accounts."""
    found = list(
        every_account(op, name=name, role=role, banned=banned or None)
    )
    op.show({"users": found}, lambda: _accounts_table(found))


def _accounts_table(found: list[Any]) -> str:
    if not found:
        return "No accounts found."
    return table(
        ("NAME", "ROLE", "LAST SEEN", "CHATS", "WARNINGS", "STATE"),
        [
            (
                user["name"],
                user["role"],
                moment(user["last_seen"]),
                user["chats"],
                user["warnings"],
                _state(user),
            )
            for user in found
        ],
    )


def _state(user: Any) -> str:
    if user["closed"]:
        return "closed"
    if user["banned_until"]:
        return f"banned until {moment(user['banned_until'])}"
    return "active"


@command("account")
@_WHO
def account(op: Admin, who: str) -> None:
    """Show one account."""
    user_id = account_id(op, who)
    page = op.caller.call("accounts", user_id=user_id)["users"]
    if not page:
        raise Refused(Code.NOT_FOUND, f"There is no account {who}.")
    user = page[0]
    op.show(
        user,
        lambda: facts(
            [
                ("name", user["name"]),
                ("id", user["id"]),
                ("role", user["role"]),
                ("state", _state(user)),
                ("since", moment(user["created"])),
                ("last seen", moment(user["last_seen"])),
                ("chats", user["chats"]),
                ("warnings", user["warnings"]),
                ("scheduled", user["scheduled"]),
            ]
        ),
    )


@command("role")
@_WHO
@click.argument("role", type=click.Choice(["member", "moderator", "admin"]))
def role(op: Admin, who: str, role: str) -> None:
    """Make somebody a member, a moderator or an admin."""
    user_id = account_id(op, who)
    done = op.caller.call("set_role", user_id=user_id, role=role)
    op.show(done, lambda: f"{who} is {_ARTICLE[role]} {role} now.")


@command("reset-token")
@_WHO
@_YES
def reset_token(op: Admin, who: str, yes: bool) -> None:
    """Give somebody who lost the token a new one.

    The old token stops working at once, on every device.
    """
    user_id = account_id(op, who)
    sure(yes, f"Shut {who} out of every device?")
    done = op.caller.call("reset_token", user_id=user_id)
    op.show(
        done,
        lambda: f"New token of {who}, shown once:\n{done['token']}",
    )


@command("close")
@_WHO
@click.option("--erase", is_flag=True, help="Its messages and files go too.")
@_YES
def close(op: Admin, who: str, erase: bool, yes: bool) -> None:
    """Close an account for good; its messages stay.

    With --erase they are deleted, a page at a time, and so are its files
    and what it scheduled. An account that is closed already can be erased
    too.
    """
    user_id = account_id(op, who)
    what = " and delete all messages and files of it" if erase else ""
    sure(yes, f"Close the account of {who} for good{what}?")
    done = op.caller.call("close_account", user_id=user_id, erase=erase)
    more = " Its messages and files are being deleted." if erase else ""
    op.show(done, lambda: f"The account of {who} is closed.{more}")


# Complaints and bans


@command("complaints")
@click.option(
    "--state",
    type=click.Choice(["open", "dismissed", "upheld", "all"]),
    default="open",
    show_default=True,
)
def complaints(op: Admin, state: str) -> None:
    """List complaints with their evidence, oldest first."""
    found = list(_every_complaint(op, None if state == "all" else state))
    op.show({"complaints": found}, lambda: _complaints_text(found))


def _every_complaint(op: Admin, state: str | None) -> Iterator[Any]:
    after = None
    while page := op.caller.call("complaints", state=state, after=after)[
        "complaints"
    ]:
        yield from page
        after = page[-1]["id"]


def _complaints_text(found: list[Any]) -> str:
    if not found:
        return "No complaints."
    return "\n\n".join(
        facts(
            [
                ("complaint", one["id"]),
                ("state", one["state"]),
                ("when", moment(one["created"])),
                ("about", f"{one['offender']['name']}"),
                ("by", f"{one['reporter']['name']}"),
                ("reason", one["reason"]),
                ("evidence", one["evidence"]),
            ]
        )
        for one in found
    )


@command("resolve")
@click.argument("complaint", metavar="ID")
@click.argument("verdict", type=click.Choice(["dismissed", "upheld"]))
def resolve(op: Admin, complaint: str, verdict: str) -> None:
    """Decide on a complaint; a dismissed one counts for no ban."""
    done = op.caller.call("resolve", id=complaint, verdict=verdict)
    op.show(done, lambda: f"The complaint is {verdict}.")


@command("ban")
@_WHO
@click.option(
    "--seconds",
    type=click.IntRange(min=1),
    help="For how long.  [default: as --ban-seconds of the server]",
)
@click.option(
    "--reason",
    default="No reason given.",
    show_default=True,
    help="For the audit log.",
)
def ban(op: Admin, who: str, seconds: int | None, reason: str) -> None:
    """Ban somebody: they can read, but not write."""
    user_id = account_id(op, who)
    done = op.caller.call(
        "ban", user_id=user_id, seconds=seconds, reason=reason
    )
    op.show(done, lambda: f"{who} is banned until {moment(done['until'])}.")


@command("unban")
@_WHO
def unban(op: Admin, who: str) -> None:
    """End somebody's ban now."""
    user_id = account_id(op, who)
    done = op.caller.call("unban", user_id=user_id)
    op.show(done, lambda: f"{who} may write again.")


@command("delete")
@click.argument("message", metavar="MESSAGE_ID")
@_YES
def delete(op: Admin, message: str, yes: bool) -> None:
    """Delete a message, in whatever chat it is."""
    sure(yes, f"Delete message {message} for good?")
    done = op.caller.call("delete_message", message_id=message)
    op.show(done, lambda: "The message is deleted.")


# Announcements and invites


@command("announce")
@click.argument("text", nargs=-1, required=True)
@click.option("--chat", metavar="ID", help="Only in this chat.")
def announce(op: Admin, text: tuple[str, ...], chat: str | None) -> None:
    """Say something to all, as the user `operator`."""
    done = op.caller.call("announce", text=" ".join(text), chat_id=chat)
    op.show(done, lambda: f"Announced as message {done['id']}.")


@command("invite")
@click.option(
    "--uses",
    type=click.IntRange(min=1),
    help="How many it lets in.  [default: 1]",
)
@click.option(
    "--expires-in",
    metavar="SECONDS",
    type=click.IntRange(min=1),
    help="How long it holds.  [default: a week]",
)
def invite(op: Admin, uses: int | None, expires_in: int | None) -> None:
    """Create a code that lets newcomers in."""
    done = op.caller.call("create_invite", uses=uses, expires_in=expires_in)
    op.show(
        done,
        lambda: (
            f"Invite code, shown once, until {moment(done['expires_at'])}:\n"
            f"{done['code']}"
        ),
    )


@command("invites")
def invites(op: Admin) -> None:
    """List the invites that still let somebody in."""
    found = op.caller.call("invites")
    rows = found["invites"]
    op.show(
        found,
        lambda: (
            table(
                ("ID", "CREATED", "EXPIRES", "USED"),
                [
                    (
                        one["id"],
                        moment(one["created"]),
                        moment(one["expires_at"]),
                        f"{one['uses']}/{one['max_uses']}",
                    )
                    for one in rows
                ],
            )
            if rows
            else "No invites. Create one with `zchat admin invite`."
        ),
    )


@command("revoke-invite")
@click.argument("invite", metavar="ID")
@_YES
def revoke_invite(op: Admin, invite: str, yes: bool) -> None:
    """Revoke an invite."""
    sure(yes, f"Revoke invite {invite}?")
    done = op.caller.call("revoke_invite", id=invite)
    op.show(done, lambda: "The invite is revoked.")


@command("audit")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="How many entries.",
)
def audit(op: Admin, limit: int) -> None:
    """Show what operators and moderators did, newest first."""
    found = list(islice(_every_entry(op), limit))
    op.show({"entries": found}, lambda: _audit_table(found))


def _every_entry(op: Admin) -> Iterator[Any]:
    after = None
    while page := op.caller.call("audit", after=after)["entries"]:
        yield from page
        after = page[-1]["id"]


def _audit_table(found: list[Any]) -> str:
    if not found:
        return "Nothing was done yet."
    return table(
        ("WHEN", "WHO", "DID", "TO", "DETAIL"),
        [
            (
                moment(entry["created"]),
                entry["actor"]["name"] if entry["actor"] else "operator",
                entry["action"],
                entry["subject_name"] or entry["subject"],
                shortened(_detail(entry["detail"]), _DETAIL_COLUMNS),
            )
            for entry in found
        ],
    )


def _detail(detail: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} {value}" for name, value in detail.items() if value != ""
    )


@command("stats")
def stats(op: Admin) -> None:
    """Show how the server is and how much it holds."""
    found = op.caller.call("stats")
    op.show(found, lambda: facts(_stats_rows(found)))


def _stats_rows(found: Any) -> list[tuple[str, object]]:
    broker, counts = found["broker"], found["counts"]
    times = broker["batch_seconds"]
    batches = sum(times["counts"])
    came = broker["feed_seconds"]
    fed = sum(came["counts"])
    feed = f"{1000 * came['sum'] / fed:.2f} ms behind" if fed else "none"
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
        ("feed", feed),
        ("feed gaps", broker["feed_gaps"]),
        ("connections", broker["connections"]),
        (
            "open files",
            f"{broker['open_files']} of {broker['open_files_limit']}",
        ),
        ("memory", size(broker["memory_bytes"])),
        ("CPU", f"{broker['cpu_seconds']:.1f} s"),
    ]

"""The settings: flags over the environment over zchat.toml, read once."""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from zchat.errors import ConfigError
from zchat.listening import LOCAL_HOST_BY_WILDCARD, is_loopback
from zchat.model import Rules
from zchat.options import (
    LONGEST_IPC_PATH_BYTES,
    OPTION_BY_NAME,
    OPTIONS,
    VARIABLE_PREFIX,
    Option,
    endpoints_in,
    shortened,
)

CONFIG_FILE: Final = "zchat.toml"
HTTP_SOCKET: Final = "ZCHAT_HTTP_SOCKET"
"""Tells a gateway the descriptor that its parent listens on."""
BROKER_SOCKET: Final = "ZCHAT_BROKER_SOCKET"
"""Tells a gateway the descriptor of its stream to its parent."""
GATEWAY_KEYS: Final = "ZCHAT_GATEWAY_KEYS"
"""Tells a gateway the three CURVE keys that its parent made for it."""
OTHER_VARIABLES: Final = frozenset(
    {
        HTTP_SOCKET,
        BROKER_SOCKET,
        GATEWAY_KEYS,
        "ZCHAT_CONFIG",
        "ZCHAT_SERVER",
        "ZCHAT_PROFILE",
        "ZCHAT_INVITE",
    }
)
"""Variables of zchat that are no setting of the server."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What one program was started with, checked and complete.

    A field is the option of the same name. Times are in seconds, sizes
    in bytes, `max_text` in characters; None is "off".
    """

    host: str
    port: int
    rpc: str
    events: str
    no_http: bool
    insecure: bool
    curve_keys: str | None
    curve_any: bool
    server_key: str | None
    client_key: str | None
    allow_origin: tuple[str, ...]
    allow_host: tuple[str, ...]
    tls_cert: str | None
    tls_key: str | None
    http_memory: int
    rpc_memory: int
    store: str
    operator_socket: str | None
    durability: Literal["full", "normal"]
    registration: Literal["open", "invite", "closed"]
    history_depth: int
    rate_limit: int | None
    rate_period: int
    message_ttl: int | None
    max_warnings: int
    ban_seconds: int
    max_file_bytes: int
    max_text: int
    new_users: int
    max_users: int | None
    unattached_bytes: int
    user_file_bytes: int | None
    all_file_bytes: int | None
    reporter_age: int
    reporter_messages: int
    edit_seconds: int
    log_level: Literal["debug", "info", "warning", "error"]
    log_json: bool

    def rules(self) -> Rules:
        """The part that the rules of the chat follow."""
        return Rules(
            registration=self.registration,
            history_depth=self.history_depth,
            rate_limit=self.rate_limit,
            rate_period_seconds=self.rate_period,
            message_ttl_seconds=self.message_ttl,
            max_warnings=self.max_warnings,
            ban_seconds=self.ban_seconds,
            max_file_bytes=self.max_file_bytes,
            max_text=self.max_text,
            new_users=self.new_users,
            max_users=self.max_users,
            unattached_bytes=self.unattached_bytes,
            user_file_bytes=self.user_file_bytes,
            all_file_bytes=self.all_file_bytes,
            reporter_age_seconds=self.reporter_age,
            reporter_messages=self.reporter_messages,
            edit_seconds=self.edit_seconds,
        )

    def shown_store(self) -> str:
        """The store as it may be printed: without a password."""
        masked = re.sub(r"(://[^/@:]*):.*@", r"\1:***@", self.store)
        return re.sub(r"(password=)[^&]*", r"\1***", masked)


class Given(msgspec.Struct, frozen=True):
    """A raw value and the place where it was given."""

    raw: object
    origin: str


def load(
    command: str,
    flags: Mapping[str, object],
    environment: Mapping[str, str],
    config_file: str | None = None,
) -> Settings:
    """The settings of `zchat COMMAND`.

    `flags` maps names of options to text, True or lists; None and the
    empty list were not given. Without `config_file`, ZCHAT_CONFIG or
    zchat.toml in the working folder is read, the latter if it is there.
    Raises ConfigError, whose one line names the place of the mistake.
    """
    if config_file is None:
        config_file = environment.get("ZCHAT_CONFIG") or None
    given = (
        from_file(config_file)
        | from_environment(environment)
        | from_flags(flags)
    )
    values: dict[str, Any] = {
        option.field: parsed(option, given) for option in OPTIONS
    }
    fill_endpoints(command, values)
    if values["operator_socket"] == "":
        values["operator_socket"] = (
            default_operator_socket(
                values["store"], values["port"], environment
            )
            if command == "serve"
            else None
        )
    check_distinct(command, values)
    check_keys(values)
    check_reach(command, values, given)
    return msgspec.convert(values, Settings)


def parsed(option: Option, given: Mapping[str, Given]) -> object:
    """The option's value; a wrong one is told with its origin."""
    if option.name not in given:
        return option.default
    place = given[option.name]
    try:
        return option.kind.parse(place.raw)
    except ValueError as error:
        raise ConfigError(f"{place.origin} {error}") from None


def from_flags(flags: Mapping[str, object]) -> dict[str, Given]:
    """What the command line gives."""
    return {
        name: Given(raw, OPTION_BY_NAME[name].flag)
        for name, raw in flags.items()
        if raw not in (None, (), [])
    }


def from_environment(environment: Mapping[str, str]) -> dict[str, Given]:
    """What variables give; an empty one counts as not given."""
    name_by_variable = {option.variable: option.name for option in OPTIONS}
    given = {}
    for variable in sorted(environment):
        if not variable.startswith(VARIABLE_PREFIX):
            continue
        if variable in OTHER_VARIABLES or not environment[variable]:
            continue
        if variable not in name_by_variable:
            raise unknown(
                f"the environment: {variable} is not a setting",
                variable,
                name_by_variable,
            )
        given[name_by_variable[variable]] = Given(
            environment[variable], variable
        )
    return given


def from_file(config_file: str | None) -> dict[str, Given]:
    """What the file gives; only the default one may be missing."""
    path = CONFIG_FILE if config_file is None else config_file
    shown = path if path and path.isprintable() else repr(path)
    try:
        table = tomllib.loads(Path(path).read_bytes().decode())
    except FileNotFoundError:
        if config_file is None:
            return {}
        raise ConfigError(f"{shown}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{shown}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{shown}: {error}") from None
    for name in table:
        if name not in OPTION_BY_NAME:
            raise unknown(
                f"{shown}: {shortened(name)} is not a setting",
                name.replace("_", "-"),
                OPTION_BY_NAME,
            )
    return {
        name: Given(raw, f"{shown}: {name}") for name, raw in table.items()
    }


def unknown(
    problem: str,
    name: str,
    known: Iterable[str],
) -> ConfigError:
    """The error for an unknown name, with what was probably meant."""
    close = get_close_matches(name, known, n=1)
    hint = (
        f"did you mean {close[0]}?"
        if close
        else ("`zchat serve --help` lists them")
    )
    return ConfigError(f"{problem}; {hint}")


def fill_endpoints(command: str, values: dict[str, Any]) -> None:
    """Set `rpc` and `events` where they follow from other settings.

    A gateway connects where a broker binds: it takes a wildcard for this
    machine, and events beside the RPC endpoint that it was given.
    """
    host, port = values["host"], values["port"]
    rpc = values["rpc"] or tcp(host, port + 1)
    events = values["events"]
    brokers = endpoints_in(rpc)
    if command == "gateway":
        rpc = ",".join(map(reachable, brokers))
        events = reachable(events or endpoint_after(reachable(brokers[0])))
    elif len(brokers) > 1:
        raise ConfigError(
            "--rpc is where a broker listens: give one endpoint; only a "
            "gateway takes several"
        )
    values["rpc"] = rpc
    values["events"] = events or tcp(host, port + 2)


def default_operator_socket(
    store: str, port: int, environment: Mapping[str, str]
) -> str:
    """Beside an SQLite store; for others, by its name in a folder.

    That folder is the runtime folder of systemd or of the session, or
    one of this user's in /tmp. It serves as well where the path of a
    store is too long for a socket.
    """
    beside = f"{store}.sock"
    if "://" not in store:
        if len(os.fsencode(beside)) <= LONGEST_IPC_PATH_BYTES:
            return beside
        store = os.path.abspath(store)
    folder = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0] or (
        f"{environment['XDG_RUNTIME_DIR']}/zchat"
        if environment.get("XDG_RUNTIME_DIR")
        else f"/tmp/zchat-{os.getuid()}"
    )
    digest = sha256(store.encode()).hexdigest()[:16]
    return f"{folder}/{digest}-{port}.sock"


def tcp(host: str, port: int) -> str:
    """The endpoint of an IP address and a port."""
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def endpoint_after(rpc: str) -> str:
    """Where a broker with this RPC endpoint has its events, by custom."""
    host, _, port = rpc.rpartition(":")
    if rpc.startswith("ipc://") or int(port) == 65535:
        raise ConfigError(
            f"--events must be given too, with --rpc {shortened(rpc)}"
        )
    return f"{host}:{int(port) + 1}"


def reachable(endpoint: str) -> str:
    """An endpoint to connect to for one that a broker binds."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    local = LOCAL_HOST_BY_WILDCARD.get(host)
    return endpoint if local is None else f"tcp://{local}:{port}"


def binds(command: str, values: Mapping[str, Any]) -> dict[str, str]:
    """What the command listens on: the option's name to the endpoint."""
    http = {"host": tcp(values["host"], values["port"])}
    if command == "gateway":
        return http
    sockets = {"rpc": values["rpc"], "events": values["events"]}
    return sockets if values["no_http"] else http | sockets


def check_distinct(command: str, values: Mapping[str, Any]) -> None:
    """Refuse one endpoint for two sockets."""
    name_by_endpoint: dict[str, str] = {}
    for name, endpoint in binds(command, values).items():
        other = name_by_endpoint.setdefault(endpoint, name)
        if other != name:
            raise ConfigError(
                f"--{other} and --{name} put two sockets on {endpoint}; "
                "give them different ports"
            )


def check_keys(values: Mapping[str, Any]) -> None:
    """Refuse options about keys that mean nothing alone."""
    for name, other in (
        ("curve_any", "curve_keys"),
        ("client_key", "server_key"),
        ("tls_cert", "tls_key"),
        ("tls_key", "tls_cert"),
    ):
        if values[name] and not values[other]:
            raise ConfigError(
                f"--{name.replace('_', '-')} means nothing without "
                f"--{other.replace('_', '-')}; give both"
            )


def check_reach(
    command: str,
    values: Mapping[str, Any],
    given: Mapping[str, Given],
) -> None:
    """Refuse a bind that other machines reach without protection.

    Whoever lets them connect must also say who may make an account.
    """
    for name, endpoint in binds(command, values).items():
        if is_local(endpoint):
            continue
        setting, flags = _ENCRYPTED_BY[name]
        place = given.get(name) or given["host"]
        if command == "serve" and "registration" not in given:
            raise ConfigError(
                f"{place.origin} lets other machines connect ({endpoint}); "
                "give --registration open, invite or closed to say who may "
                "make an account"
            )
        if values["insecure"] or values[setting]:
            continue
        raise ConfigError(
            f"{place.origin} lets other machines connect ({endpoint}) and "
            f"nothing is encrypted; give {flags}, or --insecure if you "
            "trust that network"
        )


_ENCRYPTED_BY: Final = {
    "host": ("tls_cert", "--tls-cert and --tls-key"),
    "rpc": ("curve_keys", "--curve-keys"),
    "events": ("curve_keys", "--curve-keys"),
}


def is_local(endpoint: str) -> bool:
    """Whether only this machine can connect to the endpoint."""
    host = endpoint.removeprefix("tcp://").rpartition(":")[0]
    return endpoint.startswith("ipc://") or is_loopback(host)


def arguments(settings: Settings, command: str) -> list[str]:
    """The flags that give another `zchat COMMAND` the same settings.

    They say everything, so that it need not read a file that may have
    changed since.
    """
    value_by_field = msgspec.structs.asdict(settings)
    line = ["--config", os.devnull]
    for option in OPTIONS:
        value = value_by_field[option.field]
        if command not in option.commands or value is False:
            continue
        if value is True:
            line.append(option.flag)
        elif option.repeats:
            line += [part for one in value for part in (option.flag, one)]
        else:
            line += [option.flag, "off" if value is None else str(value)]
    return line

"""The table of settings: names, kinds, defaults, meanings.

The flags of the command line, the variables, the keys of zchat.toml and
docs/reference/settings.md are all read off `OPTIONS`. What each setting
does to the chat stands in docs/howto/.
"""

import os
import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

import msgspec

VARIABLE_PREFIX: Final = "ZCHAT_"
WORDS_ON: Final = frozenset({"on", "true", "yes", "1"})
WORDS_OFF: Final = frozenset({"off", "false", "no", "0"})
HIGHEST_PORT: Final = 65533
"RPC and events listen on the next two ports."
LONGEST_IPC_PATH_BYTES: Final = 107
"""What a Unix socket's address holds (unix(7)), without its last NUL."""
ORIGIN: Final = re.compile(
    r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?"
)

HOST_NAME: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


class Kind(msgspec.Struct, frozen=True):
    """What a setting may be: told to people, and read from a raw value.

    `parse` takes text, or what TOML made of it, and returns the value;
    its ValueError completes the sentence "the setting …".
    """

    values: str
    parse: Callable[[object], object]


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One setting, under the name of its flag.

    `bare` is what the flag means without a value; with None it needs
    one. `placeholder` stands for the value in the help, `shown_default`
    for a default that depends on others.
    """

    name: str
    placeholder: str = ""
    kind: Kind
    meaning: str
    default: object = None
    shown_default: str = ""
    bare: bool | int | None = None
    repeats: bool = False
    commands: tuple[str, ...] = ("serve", "gateway")

    @property
    def field(self) -> str:
        """The name in `Settings`."""
        return self.name.replace("-", "_")

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        """The name in the environment."""
        return VARIABLE_PREFIX + self.field.upper()

    @property
    def default_text(self) -> str:
        """The default in words, empty where there is nothing to say."""
        if self.shown_default:
            return self.shown_default
        if self.default is None:
            return "off"
        return str(self.default) if self.default else ""


def shortened(raw: object) -> str:
    """A raw value for an error's line: one line, 60 characters."""
    text = repr(raw)
    return text if len(text) <= 60 else f"{text[:57]}..."


def whole(low: int, high: int) -> Kind:
    """A whole number from `low` to `high`, both included."""
    values = f"{low} to {high}"

    def parse(raw: object) -> int:
        number = -1
        if isinstance(raw, int) and not isinstance(raw, bool):
            number = raw
        elif isinstance(raw, str) and re.fullmatch(r"[0-9]{1,18}", raw):
            number = int(raw)
        if not low <= number <= high:
            raise ValueError(
                f"must be a whole number from {values}, not {shortened(raw)}"
            )
        return number

    return Kind(values, parse)


def limit(low: int, high: int, bare: int) -> Kind:
    """A whole number, `on` for the value `bare`, or `off` for None."""
    number = whole(low, high)

    def parse(raw: object) -> object:
        if raw is True or raw == "on":
            return bare
        if raw is False or raw == "off":
            return None
        try:
            return number.parse(raw)
        except ValueError:
            raise ValueError(
                f"must be a whole number from {number.values}, on "
                f"({bare}) or off, not {shortened(raw)}"
            ) from None

    return Kind(f"{number.values}, on ({bare}), off", parse)


def choice(*words: str) -> Kind:
    """One of `words`."""

    def parse(raw: object) -> str:
        if not isinstance(raw, str) or raw not in words:
            raise ValueError(
                f"must be one of {', '.join(words)}, not {shortened(raw)}"
            )
        return raw

    return Kind(", ".join(words), parse)


def parse_switch(raw: object) -> bool:
    """A switch; the words are what people write into variables."""
    if isinstance(raw, bool):
        return raw
    word = raw.lower() if isinstance(raw, str) else ""
    if word not in WORDS_ON | WORDS_OFF:
        raise ValueError(f"must be on or off, not {shortened(raw)}")
    return word in WORDS_ON


def parse_host(raw: object) -> str:
    """An IP address to listen on; `localhost` becomes 127.0.0.1."""
    if raw == "localhost":
        return "127.0.0.1"
    try:
        if not isinstance(raw, str):
            raise TypeError
        return str(ip_address(raw))
    except (TypeError, ValueError):
        raise ValueError(
            "must be an IP address such as 127.0.0.1 or 0.0.0.0, "
            f"not {shortened(raw)}"
        ) from None


def parse_endpoint(raw: object) -> str:
    """A ZeroMQ endpoint: `tcp://HOST:PORT` or `ipc://PATH`.

    `localhost` becomes 127.0.0.1, since libzmq binds to addresses only.
    """
    text = raw if isinstance(raw, str) else ""
    if text.startswith("ipc://"):
        path_bytes = len(os.fsencode(text.removeprefix("ipc://")))
        if not 1 <= path_bytes <= LONGEST_IPC_PATH_BYTES:
            raise ValueError(
                "must name a socket file in at most "
                f"{LONGEST_IPC_PATH_BYTES} bytes, not {shortened(raw)}"
            )
        return text
    match = re.fullmatch(r"tcp://(\[[^\]\s]+\]|[^:/\s]+):([0-9]{1,5})", text)
    if match is None or not 1 <= int(match[2]) <= 65535:
        raise ValueError(
            f"must be tcp://HOST:PORT or ipc://PATH, not {shortened(raw)}"
        )
    host = "127.0.0.1" if match[1] == "localhost" else match[1]
    return f"tcp://{host}:{int(match[2])}"


def endpoints_in(text: str) -> list[str]:
    """The endpoints of a text with commas between them."""
    return re.split(r",\s*(?=tcp://|ipc://)", text)


def parse_endpoints(raw: object) -> str:
    """One ZeroMQ endpoint, or several with commas between them."""
    parts = endpoints_in(raw) if isinstance(raw, str) else [raw]
    return ",".join(parse_endpoint(part) for part in parts)


def parse_store(raw: object) -> str:
    """A file's path, or a URL of PostgreSQL; no other URL is echoed."""
    if not isinstance(raw, str) or raw in ("", ":memory:") or "\0" in raw:
        raise ValueError(
            f"must be a file's path or postgresql://…, not {shortened(raw)}"
        )
    scheme, mark, rest = raw.partition("://")
    if not mark:
        return os.path.expanduser(raw)
    if scheme not in ("postgresql", "postgres"):
        raise ValueError(
            "must be a file's path or postgresql://USER@HOST/DATABASE, "
            f"not {shortened(scheme + '://…')}"
        )
    return f"postgresql://{rest}"


def parse_file(raw: object) -> str | None:
    """A file or folder; `off` for none."""
    if raw is False or raw == "off":
        return None
    if not isinstance(raw, str) or not raw or "\0" in raw:
        raise ValueError(f"must be a path, not {shortened(raw)}")
    return os.path.expanduser(raw)


def parse_origins(raw: object) -> tuple[str, ...]:
    """Web origins: a list, or text with commas between them."""
    if isinstance(raw, str):
        raw = [part.strip() for part in raw.split(",")]
    if not isinstance(raw, list | tuple):
        raise ValueError(f"must be a list of origins, not {shortened(raw)}")
    return tuple(parse_origin(origin) for origin in raw)


def parse_origin(raw: object) -> str:
    """One origin, spelled as browsers send it (RFC 6454, 6.2)."""
    match = ORIGIN.fullmatch(raw.lower() if isinstance(raw, str) else "")
    if match is None:
        raise ValueError(
            "must be an origin such as https://chat.example.org, "
            f"not {shortened(raw)}"
        )
    scheme, host, port = match.groups()
    usual = {"http": "80", "https": "443"}[scheme]
    return f"{scheme}://{host}" + (
        f":{int(port)}" if port and port != usual else ""
    )


def parse_host_names(raw: object) -> tuple[str, ...]:
    """Host names: a list, or text with commas between them."""
    if isinstance(raw, str):
        raw = [part.strip() for part in raw.split(",")]
    if not isinstance(raw, list | tuple):
        raise ValueError(f"must be a list of host names, not {shortened(raw)}")
    return tuple(parse_host_name(name) for name in raw)


def parse_host_name(raw: object) -> str:
    """One host name, in lower case, without a port."""
    name = raw.lower() if isinstance(raw, str) else ""
    if HOST_NAME.fullmatch(name) is None:
        raise ValueError(
            f"must be a host name such as chat.example.org, not "
            f"{shortened(raw)}"
        )
    return name


SWITCH: Final = Kind("on, off", parse_switch)
ENDPOINT: Final = Kind("tcp://HOST:PORT, ipc://PATH", parse_endpoint)
PATH: Final = Kind("a path, off", parse_file)
SERVE: Final = ("serve",)
GATEWAY: Final = ("gateway",)

OPTIONS: Final = (
    Option(
        name="host",
        placeholder="ADDRESS",
        kind=Kind("an IP address", parse_host),
        default="127.0.0.1",
        meaning="Address that HTTP listens on.",
    ),
    Option(
        name="port",
        placeholder="PORT",
        kind=whole(1, HIGHEST_PORT),
        default=8000,
        meaning="Port of HTTP; RPC listens on the next one, events on "
        "the one after.",
    ),
    Option(
        name="rpc",
        placeholder="ENDPOINT",
        kind=Kind(
            f"{ENDPOINT.values}; a gateway: several, with commas",
            parse_endpoints,
        ),
        shown_default="tcp://HOST:PORT+1",
        meaning=(
            "ZeroMQ endpoint of the RPC socket. Given several brokers, a "
            "gateway moves on when one is unavailable."
        ),
    ),
    Option(
        name="events",
        placeholder="ENDPOINT",
        kind=ENDPOINT,
        shown_default="tcp://HOST:PORT+2",
        meaning="ZeroMQ endpoint of the events socket.",
    ),
    Option(
        name="no-http",
        kind=SWITCH,
        default=False,
        bare=True,
        commands=SERVE,
        meaning="Start the broker only, without HTTP.",
    ),
    Option(
        name="insecure",
        kind=SWITCH,
        default=False,
        bare=True,
        meaning="Accept connections from other machines without encryption.",
    ),
    Option(
        name="curve-keys",
        placeholder="DIR",
        kind=PATH,
        commands=SERVE,
        meaning="Encrypt RPC and events with the keys in this folder "
        "(`zchat keygen` makes it), and let in the keys of its clients/.",
    ),
    Option(
        name="curve-any",
        kind=SWITCH,
        default=False,
        bare=True,
        commands=SERVE,
        meaning="Let in every client's key: --curve-keys only encrypts.",
    ),
    Option(
        name="server-key",
        placeholder="FILE",
        kind=PATH,
        commands=GATEWAY,
        meaning="Public key of an encrypted broker: its server.key.",
    ),
    Option(
        name="client-key",
        placeholder="FILE",
        kind=PATH,
        commands=GATEWAY,
        meaning="This gateway's own key, whose public half is in the "
        "broker's clients/.",
    ),
    Option(
        name="allow-origin",
        placeholder="ORIGIN",
        repeats=True,
        default=(),
        kind=Kind("origins such as https://chat.example.org", parse_origins),
        meaning="Origin of a web page that may use the HTTP API; repeatable.",
    ),
    Option(
        name="allow-host",
        placeholder="NAME",
        repeats=True,
        default=(),
        kind=Kind("host names such as chat.example.org", parse_host_names),
        meaning="Name by which HTTP may be addressed, beside IP addresses and "
        "localhost: that of a proxy in front, or of this machine; may be "
        "repeated.",
    ),
    Option(
        name="tls-cert",
        placeholder="FILE",
        kind=PATH,
        meaning="Certificate of HTTP as PEM, with its chain: HTTP becomes "
        "HTTPS. Read again when the file changes.",
    ),
    Option(
        name="tls-key",
        placeholder="FILE",
        kind=PATH,
        meaning="Private key of --tls-cert as PEM, without a password.",
    ),
    Option(
        name="http-memory",
        placeholder="BYTES",
        kind=whole(16 * 1024 * 1024, 2**40),
        default=256 * 1024 * 1024,
        meaning="Bytes that HTTP keeps for all clients together, of requests, "
        "answers and events that wait. Over it, the client for which most is "
        "kept is disconnected.",
    ),
    Option(
        name="rpc-memory",
        placeholder="BYTES",
        kind=whole(16 * 1024 * 1024, 2**40),
        default=256 * 1024 * 1024,
        commands=SERVE,
        meaning="Bytes that the broker keeps for all RPC clients together, "
        "of requests and answers that wait. Over it, the client for which "
        "most is kept is disconnected.",
    ),
    Option(
        name="store",
        placeholder="PATH|URL",
        default="zchat.db",
        commands=SERVE,
        kind=Kind("a file's path, postgresql://…", parse_store),
        meaning=(
            "Where everything is stored: an SQLite file or a PostgreSQL "
            "database."
        ),
    ),
    Option(
        name="operator-socket",
        placeholder="PATH",
        kind=PATH,
        default="",
        shown_default="STORE.sock",
        meaning="Socket file for `zchat admin`; only its owner can open it. "
        "With PostgreSQL it is in the runtime folder. A gateway reads the "
        "broker's metrics there, if it is given one.",
    ),
    Option(
        name="durability",
        placeholder="full|normal",
        kind=choice("full", "normal"),
        default="full",
        commands=SERVE,
        meaning=(
            "full: an acknowledged write has reached the disk; normal: it "
            "survives a crash of zchat, but not of the machine."
        ),
    ),
    Option(
        name="registration",
        placeholder="open|invite|closed",
        kind=choice("open", "invite", "closed"),
        default="open",
        commands=SERVE,
        meaning="Who may make an account: anybody, who has an invite code "
        "(`zchat admin invite`), or nobody. To be given where other machines "
        "can connect.",
    ),
    Option(
        name="history-depth",
        placeholder="N",
        kind=whole(1, 200),
        default=20,
        commands=SERVE,
        meaning=(
            "Messages of the common chat that a newcomer sees, and the "
            "default page size."
        ),
    ),
    Option(
        name="rate-limit",
        placeholder="N",
        kind=limit(1, 1_000_000, bare=20),
        bare=20,
        commands=SERVE,
        meaning="Messages to the common chat per user and period.",
    ),
    Option(
        name="rate-period",
        placeholder="SECONDS",
        kind=whole(1, 31_536_000),
        default=3600,
        commands=SERVE,
        meaning="Length of that period, in seconds.",
    ),
    Option(
        name="message-ttl",
        placeholder="SECONDS",
        kind=limit(1, 31_536_000, bare=3600),
        bare=3600,
        commands=SERVE,
        meaning="Seconds for which a delivered message stays visible.",
    ),
    Option(
        name="max-warnings",
        placeholder="N",
        kind=whole(1, 1_000_000),
        default=3,
        commands=SERVE,
        meaning="Distinct reporters that ban a user.",
    ),
    Option(
        name="ban-seconds",
        placeholder="SECONDS",
        kind=whole(1, 315_360_000),
        default=14400,
        commands=SERVE,
        meaning="Length of a ban, in seconds.",
    ),
    Option(
        name="max-file-bytes",
        placeholder="N",
        kind=whole(1, 1_099_511_627_776),
        default=5_242_880,
        commands=SERVE,
        meaning="Size of the largest file, in bytes.",
    ),
    Option(
        name="max-text",
        placeholder="N",
        kind=whole(1, 65536),
        default=4096,
        commands=SERVE,
        meaning="Length of the longest text, in characters.",
    ),
    Option(
        name="new-users",
        placeholder="N",
        kind=whole(0, 1_000_000),
        default=600,
        commands=SERVE,
        meaning="New users per minute, of this broker; 0: no limit.",
    ),
    Option(
        name="max-users",
        placeholder="N",
        kind=limit(1, 1_000_000_000, bare=100_000),
        bare=100_000,
        default=100_000,
        commands=SERVE,
        meaning="Users that the server can have.",
    ),
    Option(
        name="unattached-bytes",
        placeholder="N",
        kind=whole(1, 1_000_000_000_000),
        default=67_108_864,
        commands=SERVE,
        meaning="Bytes of a user's files that are on no message; one file "
        "of --max-file-bytes always fits.",
    ),
    Option(
        name="user-file-bytes",
        placeholder="N",
        kind=limit(1, 1_000_000_000_000_000, bare=1_073_741_824),
        bare=1_073_741_824,
        default=1_073_741_824,
        commands=SERVE,
        meaning="Bytes of all of a user's files; each counts for 16 KiB at "
        "least.",
    ),
    Option(
        name="all-file-bytes",
        placeholder="N",
        kind=limit(1, 1_000_000_000_000_000, bare=10_737_418_240),
        bare=10_737_418_240,
        default=10_737_418_240,
        commands=SERVE,
        meaning="Bytes of all files of the server.",
    ),
    Option(
        name="reporter-age",
        placeholder="SECONDS",
        kind=whole(0, 315_360_000),
        default=0,
        commands=SERVE,
        meaning="Age from which an account's complaints count for a ban.",
    ),
    Option(
        name="reporter-messages",
        placeholder="N",
        kind=whole(0, 1_000),
        default=0,
        commands=SERVE,
        meaning="Messages to the common chat from which a user's complaints "
        "count for a ban.",
    ),
    Option(
        name="edit-seconds",
        placeholder="SECONDS",
        kind=whole(0, 315_360_000),
        default=86_400,
        commands=SERVE,
        meaning="How long authors may edit a message; 0: never.",
    ),
    Option(
        name="log-level",
        placeholder="debug|info|warning|error",
        default="info",
        kind=choice("debug", "info", "warning", "error"),
        meaning="Lowest level that is logged.",
    ),
    Option(
        name="log-json",
        kind=SWITCH,
        default=False,
        bare=True,
        meaning="Log one JSON object per line.",
    ),
)
OPTION_BY_NAME: Final = {option.name: option for option in OPTIONS}

"""The page of all limits, with the numbers that the code has."""

from typing import Final, get_args

from zchat import rpc
from zchat.chat import expiry, files, links, quotas, schedule
from zchat.chat.paces import Pace
from zchat.chat.times_seen import ONLINE_SECONDS
from zchat.engine import batch, intake, requests, sockets, timers
from zchat.gateway.limits import DEFAULT_LIMITS
from zchat.model import CHUNK_BYTES
from zchat.rpc import params

HEAD: Final = """\
# Limits

This page comes from the code; `make docs` writes it. What an operator may
choose stands in [settings.md](settings.md); `hello` tells the limits that a
client has to know.

"""


def _longest(kind: object) -> int:
    """The length that a text may have."""
    bound: int = get_args(kind)[1].max_length
    return bound


def _pace(pace: Pace) -> str:
    """How often something may be done."""
    return f"{pace.times} in {pace.seconds} s"


RULES: Final[tuple[tuple[str, str], ...]] = (
    ("a user's name", f"{_longest(params.Name)} characters"),
    ("a group's name", f"{_longest(params.ChatName)} characters"),
    ("a file's name", f"{_longest(params.FileName)} characters"),
    ("a message's text", "`--max-text` characters"),
    ("the reason of a complaint", f"{_longest(params.Reason)} characters"),
    ("an idempotency key", f"{_longest(params.Key)} characters"),
    ("messages, users or chats a page", f"{rpc.PAGE_LIMIT}"),
    ("authors listed with a chat", f"{rpc.AUTHORS_LIMIT}"),
    ("files on a message", f"{rpc.FILES_PER_MESSAGE}"),
    (
        "files a user has uploaded and put on no message",
        f"{quotas.UNATTACHED_FILES}, each for {files.UNATTACHED_SECONDS} s",
    ),
    ("a file", "`--max-file-bytes` bytes"),
    ("a chunk of a file", f"{CHUNK_BYTES} bytes"),
    ("scheduled messages that wait, a user", f"{rpc.SCHEDULED_LIMIT}"),
    ("how far ahead one may be scheduled", f"{rpc.SCHEDULE_DAYS} days"),
    ("scheduled messages listed", f"{schedule.LISTED}"),
    ("live links a group", f"{links.LIVE_LINKS}"),
    ("how long a message may be edited", "`--edit-seconds`"),
    ("different emoji on a message", f"{rpc.REACTIONS_LIMIT}"),
    ("an emoji", f"{rpc.EMOJI_LENGTH} characters"),
    ("users listed with an emoji", f"{rpc.REACTORS_LISTED}"),
    ("names looked for in a text", f"{rpc.MENTIONS_LIMIT}"),
    ("members of a group that `@all` mentions", f"{rpc.EVERYBODY_LIMIT}"),
    ("members of a group that tells `seen`", f"{rpc.RECEIPTS_LIMIT}"),
    (
        "the text of a search",
        f"{rpc.SEARCH_SHORTEST}–{rpc.SEARCH_LONGEST} characters",
    ),
    ("edits and deletions, a user", _pace(Pace.EDITS)),
    ("emoji put or taken off, a user", _pace(Pace.REACTIONS)),
    ("new names, a user", _pace(Pace.RENAMES)),
    ("new tokens, a user", _pace(Pace.TOKENS)),
    ("`typing` told to a chat, a user", _pace(Pace.TYPING)),
    ("`typing` told to all chats, a user", _pace(Pace.TYPING_ANYWHERE)),
    ("online after the last request", f"{ONLINE_SECONDS} s"),
    ("life of a link, unless `expires_in` says", f"{links.LINK_SECONDS} s"),
    (
        "life of a message that was never delivered, with `--message-ttl`",
        f"{expiry.UNDELIVERED_SECONDS} s",
    ),
)

WIRE: Final[tuple[tuple[str, str], ...]] = (
    ("the body of a request", f"{rpc.REQUEST_BYTES} bytes"),
    ("frames of an envelope", f"{requests.ENVELOPE_FRAMES}"),
    ("requests a batch", f"{intake.BATCH_REQUESTS}"),
    (
        "requests of one user that wait for a batch",
        f"{intake.USER_REQUESTS}",
    ),
    ("what a subscriber may send", f"{rpc.TOPIC_LIMIT_BYTES} bytes"),
    (
        "answers that wait for a client that does not read",
        f"{sockets.ANSWERS_WAITING}",
    ),
    (
        "events that wait for a subscriber that does not read",
        f"{sockets.EVENTS_WAITING}",
    ),
    ("a ZeroMQ handshake", f"{sockets.HANDSHAKE_MILLISECONDS} ms"),
    ("from one heartbeat to the next", f"{rpc.HEARTBEAT_SECONDS} s"),
    (
        "`head` after a chat's last message",
        ", ".join(map(str, timers.HEAD_SECONDS)) + " s",
    ),
    ("`retry_after` of `unavailable`", f"{batch.RETRY_AFTER_SECONDS} s"),
)

HTTP: Final[tuple[tuple[str, str], ...]] = (
    (
        "the head of a request",
        f"{DEFAULT_LIMITS.head_bytes} bytes, "
        f"{DEFAULT_LIMITS.head_fields} fields",
    ),
    ("the target of a request", f"{DEFAULT_LIMITS.target_bytes} bytes"),
    (
        "the body of a request, but for a file's",
        f"{DEFAULT_LIMITS.body_bytes} bytes",
    ),
    ("until a head is whole", f"{DEFAULT_LIMITS.head_seconds:g} s"),
    (
        "from one piece of a body to the next",
        f"{DEFAULT_LIMITS.body_seconds:g} s",
    ),
    (
        "an upload, at the slowest",
        f"{DEFAULT_LIMITS.upload_bytes_per_second} bytes a second",
    ),
    (
        "a connection on which nothing happens",
        f"{DEFAULT_LIMITS.idle_seconds:g} s",
    ),
    (
        "a client that does not read its answer",
        f"{DEFAULT_LIMITS.write_seconds:g} s",
    ),
    (
        "requests without an answer on one connection",
        f"{DEFAULT_LIMITS.unanswered}",
    ),
    ("connections", f"{DEFAULT_LIMITS.connections}"),
)


def limits_page() -> str:
    """Three tables: the chat, the sockets, HTTP."""
    return HEAD + "\n".join(
        (
            _table("In the chat", RULES),
            _table("On the sockets", WIRE),
            _table("Over HTTP", HTTP),
        )
    )


def _table(title: str, rows: tuple[tuple[str, str], ...]) -> str:
    lines = "".join(f"| {what} | {most} |\n" for what, most in rows)
    return f"## {title}\n\n| what | at most |\n|---|---|\n{lines}"

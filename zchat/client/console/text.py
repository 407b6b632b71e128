"""What others wrote, as lines that cannot control the terminal."""

import json
import unicodedata
from datetime import datetime
from typing import Any, Final

import msgspec

from zchat.client import Message

_CONTROLS: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS: Final = "\u200c\u200d"
_PICTURES: Final = 0x2400
_DELETE: Final = 0x7F
_KIB: Final = 1024
_CONTINUED: Final = "\n      | "


def harmless(text: str) -> str:
    """One line in which controls, escapes and direction marks are seen.

    The joiners stay, which some scripts and emoji need.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    code = ord(character)
    if code < ord(" "):
        return chr(_PICTURES + code)
    if code == _DELETE:
        return "\u2421"
    if character in _JOINERS:
        return character
    if unicodedata.category(character) in _CONTROLS:
        return "\ufffd"
    return character


def harmless_lines(text: str) -> str:
    """As `harmless`, but line breaks stay and are marked as such.

    So no text can look like another message.
    """
    return _CONTINUED.join(map(harmless, text.split("\n")))


def json_line(value: object) -> str:
    """The value as one line of ASCII JSON."""
    plain: Any = msgspec.to_builtins(value)
    return json.dumps(plain, ensure_ascii=True).replace("\x7f", "\\u007f")


def clock_time(moment: datetime, now: datetime) -> str:
    """A time as local time, with the day unless it is today.

    One that the zone does not have is shown as it came.
    """
    try:
        local = moment.astimezone(now.tzinfo)
    except OverflowError:
        return moment.isoformat()
    if local.date() == now.date():
        return local.strftime("%H:%M")
    return local.strftime("%Y-%m-%d %H:%M")


def message_line(message: Message, own_id: str, now: datetime) -> str:
    """A message: time, number, author, text, files, comments."""
    author = (
        "you" if message.author.id == own_id else harmless(message.author.name)
    )
    parts = [
        "(comment)" if message.is_comment_on else "",
        "(deleted)" if message.deleted else "",
        harmless_lines(message.text),
        "(edited)" if message.edited and not message.deleted else "",
        *(
            f"[file {harmless(file.name)}, {size_text(file.size)}]"
            for file in message.files
        ),
        f"({message.comments} comments)" if message.comments else "",
        *(
            f"({harmless(reaction.emoji)} {reaction.count})"
            for reaction in message.reactions
        ),
    ]
    return (
        f"{clock_time(message.created, now)} #{message.seq} {author}: "
        + " ".join(part for part in parts if part)
    )


def size_text(size: int) -> str:
    """A number of bytes as a person reads it."""
    if size < _KIB:
        return f"{size} bytes"
    if size < _KIB * _KIB:
        return f"{size / _KIB:.1f} KiB"
    return f"{size / _KIB / _KIB:.1f} MiB"

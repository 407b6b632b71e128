"""What is wrong with a parameter, in words that say what to do.

msgspec tells it in the words of Python's types; here they become those
of the wire. Each message begins with the parameter's name.
"""

import re
from collections.abc import Callable
from typing import Final

from zchat.errors import Code, Refused
from zchat.rpc.operator_params import (
    COMPLAINT_PATTERN,
    ROLE_PATTERN,
    VERDICT_PATTERN,
)
from zchat.rpc.params import ID_PATTERN, SHA256_PATTERN, STATE_PATTERN

_LONGEST_NAME: Final = 64
_AT: Final = re.compile(r" - at `\$\.?([^`]*)`$")
_TYPES: Final = {
    "str": "text",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "bytes": "binary data",
    "array": "a list",
    "object": "a map",
    "datetime": "a time as text",
    "ext": "an extension",
    "null": "null",
    "None": "null",
}
_PATTERNS: Final = {
    repr(pattern): words
    for pattern, words in (
        (ID_PATTERN, "a UUID"),
        (SHA256_PATTERN, "a SHA-256 in hexadecimal"),
        (STATE_PATTERN, "pending, sent, failed or cancelled"),
        (COMPLAINT_PATTERN, "open, dismissed or upheld"),
        (VERDICT_PATTERN, "dismissed or upheld"),
        (ROLE_PATTERN, "member, moderator or admin"),
    )
}
_UNITS: Final = {"str": "characters", "array": "entries", "bytes": "bytes"}
_BOUNDS: Final = {">=": "at least", "<=": "at most"}
_TIME: Final = (
    "must be an RFC 3339 time with an offset, such as "
    "2030-01-31T18:00:00+00:00"
)


def _types(names: str) -> str:
    return " or ".join(_TYPES.get(n, n) for n in names.split(" | "))


def _pattern(match: re.Match[str]) -> str:
    return f"must be {_PATTERNS.get(match[1], 'of the form ' + match[1])}"


def _length(match: re.Match[str]) -> str:
    if match[2] == ">=" and match[3] == "1":
        return "must not be empty"
    return f"must have {_BOUNDS[match[2]]} {match[3]} {_UNITS[match[1]]}"


_WORDS: Final[
    tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]
] = (
    (re.compile(r"Expected `str` matching regex ('.*')"), _pattern),
    (
        re.compile(r"Expected `(str|array|bytes)` of length (>=|<=) (\d+)"),
        _length,
    ),
    (
        re.compile(r"Expected `\w+` (>=|<=) (-?\d+)"),
        lambda match: f"must be {_BOUNDS[match[1]]} {match[2]}",
    ),
    (
        re.compile(r"(?:Invalid RFC3339|Expected `datetime` with).*"),
        lambda match: _TIME,
    ),
    (
        re.compile(r"Expected `([^`]*)`, got `([^`]*)`"),
        lambda match: f"must be {_types(match[1])}, not {_types(match[2])}",
    ),
)
_MISSING: Final = re.compile(r"Object missing required field `([^`]*)`")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.S)


def complaint(message: str) -> Refused:
    """The refusal for what msgspec says of the parameters."""
    missing = _MISSING.match(message)
    if missing:
        return _refusal(missing[1], "is missing")
    unknown = _UNKNOWN.match(message)
    if unknown:
        return _refusal(
            unknown[1][:_LONGEST_NAME], "is not a parameter of this method"
        )
    at = _AT.search(message)
    if at is None or not at[1]:
        return Refused(Code.BAD_REQUEST, "Parameter names must be text.")
    return _refusal(at[1], _in_words(message[: at.start()]))


def _in_words(reason: str) -> str:
    for pattern, words in _WORDS:
        match = pattern.fullmatch(reason)
        if match:
            return words(match)
    return f"is not right: {reason}"


def _refusal(field: str, words: str) -> Refused:
    return Refused(Code.BAD_REQUEST, f"`{field}` {words}.", field=field)

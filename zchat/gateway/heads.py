"""The heads of answers as bytes: status line and header fields."""

import re
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from zchat.gateway.messages import JSON, PROBLEM_JSON, Fields

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n"
    for status in HTTPStatus
}
_TYPE_LINES: Final = {
    kind: f"Content-Type: {kind}\r\n" for kind in (JSON, PROBLEM_JSON)
}
_CACHING: Final = "Cache-Control"
_NO_STORE: Final = f"{_CACHING}: no-store\r\n"
_UNSAFE: Final = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")
_NAME: Final = re.compile(r"[A-Za-z0-9-]+")
_WITHOUT_BODY: Final = frozenset((204, 304))


def usual_fields_at(wall_seconds: float) -> str:
    """What every answer carries; made anew when the second changes."""
    return (
        f"Date: {formatdate(wall_seconds, usegmt=True)}\r\n"
        f"{_NO_STORE}X-Content-Type-Options: nosniff\r\n"
    )


def field_line(name: str, value: str) -> str:
    """One field; raises ValueError for what would break the head."""
    if _NAME.fullmatch(name) is None or _UNSAFE.search(value):
        raise ValueError(f"the header field {name!r} cannot be sent")
    return f"{name}: {value}\r\n"


def has_body(status: int) -> bool:
    """Whether an answer of this status may have a body (RFC 9110)."""
    return status not in _WITHOUT_BODY


def answer_head(
    status: int,
    content_type: str,
    length: int | None,
    fields: Fields,
    usual: str,
    connection: str,
) -> bytes:
    """The head, with the empty line at its end.

    `length` is the body's in bytes; None writes no Content-Length.
    `connection` is a whole line, or empty. Among `fields`, Cache-Control
    replaces the usual one.
    """
    lines = _STATUS_LINES[status]
    if has_body(status):
        known = _TYPE_LINES.get(content_type)
        lines += known or field_line("Content-Type", content_type)
        if length is not None:
            lines += f"Content-Length: {length}\r\n"
    for name, value in fields:
        lines += field_line(name, value)
        if name == _CACHING:
            usual = usual.replace(_NO_STORE, "")
    return f"{lines}{usual}{connection}\r\n".encode("latin-1")

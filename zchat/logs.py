"""The log: one line an event on stderr, for people or as JSON.

Nothing of a token or of what users wrote is ever in it: `redact` is the
last to see an event before it is put into words.
"""

import logging
import os
import re
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import PurePath
from typing import Final, TextIO
from uuid import UUID

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

SECRET_KEYS: Final = frozenset(
    {
        "authorization",
        "data",
        "idempotency_key",
        "link",
        "password",
        "secret",
        "text",
        "token",
    }
)
REDACTED: Final = "[redacted]"
URL_PASSWORD: Final = re.compile(r"(\w://[^/\s@:]*):\S*@")
NUMBERS: Final = (bool, int, float, type(None))
TOLD_AS_TEXT: Final = (str, UUID, date, PurePath)


class Lines:
    """Writes each event as a line; a full disk must not stop the server."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        """Write and flush; what cannot be written is lost."""
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return

    debug = info = warning = error = critical = exception = log = write


class Forward(logging.Handler):
    """Takes what libraries log by `logging` into the same log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record as the event `library`, at a standard level."""
        level = min(
            max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL
        )
        structlog.get_logger().log(
            level,
            "library",
            logger=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info,
        )


def configure(level: str, *, as_json: bool) -> None:
    """Set the log up for the whole program.

    `level` is debug, info, warning or error; a call below it costs one
    empty method. Times are ISO 8601 in UTC.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer() if as_json else console(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: Lines(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        handlers=[Forward()], level=max(threshold, logging.WARNING), force=True
    )


def console() -> Processor:
    """Puts an event into words for people.

    Strings are quoted, so that no name can forge a line. Tracebacks are
    plain: others show variables, which might hold a token. There are
    colours at a terminal only, and not where NO_COLOR is set.
    """
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR"),
        repr_native_str=True,
        exception_formatter=structlog.dev.plain_traceback,
    )


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Take out of an event what must not be logged, at any depth."""
    return {key: shown(key, value) for key, value in event.items()}


def shown(key: object, value: object) -> object:
    """The part of a value that may be logged.

    Bytes are counted; of a value of our own types only the type is told,
    since its text would tell every field.
    """
    if key in SECRET_KEYS and value is not None:
        return REDACTED
    if isinstance(value, NUMBERS):
        return value
    if isinstance(value, TOLD_AS_TEXT):
        return URL_PASSWORD.sub(r"\1:***@", str(value))
    if isinstance(value, BaseException):
        return URL_PASSWORD.sub(r"\1:***@", repr(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if isinstance(value, Mapping):
        return {name: shown(name, inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [shown(None, inner) for inner in value]
    return f"[{type(value).__name__}]"

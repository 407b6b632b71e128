"""The error codes of the wire and the one tree of exceptions."""

from enum import Enum
from typing import Any


class Code(Enum):
    """Every code an answer may carry: wire name, HTTP status, when.

    Codes are never renumbered or reused (docs/reference/errors.md).
    """

    BAD_REQUEST = (
        "bad_request",
        400,
        "Malformed; `data.field` names the field.",
    )
    UNAUTHORIZED = ("unauthorized", 401, "No token, or an unknown one.")
    FORBIDDEN = ("forbidden", 403, "Known, but not allowed.")
    BANNED = ("banned", 403, "Banned; `data.until` says how long.")
    NOT_FOUND = (
        "not_found",
        404,
        "Missing, or forbidden: the two look the same.",
    )
    UNKNOWN_METHOD = ("unknown_method", 404, "There is no such method.")
    CONFLICT = (
        "conflict",
        409,
        "Taken, already done, or other content under the same key.",
    )
    TOO_LARGE = ("too_large", 413, "Over a limit; `data.limit` is it.")
    RATE_LIMITED = (
        "rate_limited",
        429,
        "Over the quota; `data.retry_after` seconds, `limit`, `remaining`.",
    )
    UNAVAILABLE = (
        "unavailable",
        503,
        "The store is unavailable and nothing was changed, unless "
        "`data.in_doubt` says that it may have been. Retry after "
        "`data.retry_after` seconds.",
    )
    INTERNAL = (
        "internal",
        500,
        "Internal server error, logged as `data.incident`.",
    )

    def __init__(self, wire: str, http: int, meaning: str) -> None:
        self.wire = wire
        self.http = http
        self.meaning = meaning


CODE_BY_WIRE = {code.wire: code for code in Code}


class ZchatError(Exception):
    """The base of every exception that zchat raises on purpose."""


class Refused(ZchatError):
    """A request was refused: what an error answer carries.

    `message` says what to do about it; `data` holds the fields that the
    code promises (see `Code`).
    """

    def __init__(self, code: Code, message: str, **data: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def to_wire(self) -> dict[str, Any]:
        """The error map of an answer: `code`, `message`, `data`."""
        return {
            "code": self.code.wire,
            "message": self.message,
            "data": self.data,
        }

    @classmethod
    def from_wire(cls, error: dict[str, Any]) -> "Refused":
        """What `to_wire` made; a code from the future reads as internal."""
        code = CODE_BY_WIRE.get(str(error.get("code")), Code.INTERNAL)
        data = error.get("data")
        refused = cls(code, str(error.get("message", "")))
        refused.data = data if isinstance(data, dict) else {}
        return refused


class ConfigError(ZchatError):
    """A setting is wrong; the message is one line for the operator."""


class AddressInUse(ConfigError):
    """Somebody else listens there now; it may become free."""


class StoreError(ZchatError):
    """The store could not do what was asked; nothing was changed."""


class StoreAway(StoreError):
    """The store cannot be reached or written now; it may come back."""


class StoreDoubtful(StoreAway):
    """The store went away during a commit, which may have happened."""


class StoreBusy(StoreError):
    """A deadlock or a serialization failure: repeat the batch."""


class StoreRejected(StoreError):
    """A change broke a constraint: another broker was first."""


class StoreUnusable(StoreError):
    """The store cannot be opened: owned by another, or too new."""


class StoreNotReady(StoreUnusable):
    """The store cannot be opened now: another broker has it, or its
    database is not there yet."""

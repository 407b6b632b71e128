"""The limits on what one HTTP client may send, hold and delay."""

from typing import Final

from msgspec import Struct


class Limits(Struct, frozen=True):
    """What one HTTP client may cost: sizes in bytes, times in seconds.

    A streamed body may take `body_seconds` from one piece to the next,
    and on the whole no longer than at `upload_bytes_per_second`.
    """

    head_bytes: int = 16 * 1024
    head_fields: int = 100
    target_bytes: int = 8 * 1024
    body_bytes: int = 1024 * 1024
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    upload_bytes_per_second: int = 16 * 1024
    idle_seconds: float = 60.0
    write_seconds: float = 60.0
    linger_seconds: float = 2.0
    linger_bytes: int = 4 * 1024 * 1024
    unanswered: int = 16
    connections: int = 4096


DEFAULT_LIMITS: Final = Limits()

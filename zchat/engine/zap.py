"""The answers to libzmq's questions about keys (ZAP, rfc.zeromq.org/27).

A question is `[version, request id, domain, address, identity,
mechanism, credentials]`; an answer `[version, request id, status, text,
user id, metadata]`. Whatever goes wrong in a check is a refusal.
"""

import time
from collections.abc import Callable
from typing import Final

import structlog
from zmq.utils import z85

DOMAIN: Final = b"zchat"
_LOG_SECONDS: Final = 1.0
_VERSION: Final = b"1.0"
_FRAMES: Final = 7

log = structlog.get_logger()


class Judge:
    """Lets in who has a key that `allows` says yes to.

    `allows` takes the key as Z85; what it raises means no. `clock` gives
    seconds.
    """

    def __init__(
        self,
        allows: Callable[[bytes], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allows = allows
        self._clock = clock
        self._refused = 0
        self._log_at = 0.0

    def answer(self, question: list[bytes]) -> list[bytes]:
        """The answer to one question; anything amiss is a refusal."""
        number = question[1] if len(question) > 1 else b""
        try:
            status, text = self._judge(question)
        except Exception as error:
            log.error("curve_check_failed", reason=type(error).__name__)
            status, text = b"500", b"The check failed"
        if status != b"200":
            self._note_refusal(question)
        return [_VERSION, number, status, text, b"", b""]

    def _judge(self, question: list[bytes]) -> tuple[bytes, bytes]:
        if len(question) != _FRAMES or question[0] != _VERSION:
            return b"400", b"Not a question"
        domain, mechanism, key = question[2], question[5], question[6]
        if domain != DOMAIN or mechanism != b"CURVE":
            return b"400", b"Only CURVE"
        if self._allows(z85.encode(key)):
            return b"200", b"OK"
        return b"400", b"Unknown key"

    def _note_refusal(self, question: list[bytes]) -> None:
        """Log refusals, at most once a second."""
        self._refused += 1
        now = self._clock()
        if now < self._log_at:
            return
        self._log_at = now + _LOG_SECONDS
        address = b"".join(question[3:4]).decode(errors="replace")[:64]
        log.info("curve_refused", address=address, count=self._refused)
        self._refused = 0

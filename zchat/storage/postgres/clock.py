"""The time that all brokers of a database share: the database's own."""

from time import monotonic, time_ns
from typing import Any, Final

import psycopg
import structlog

from zchat.model import SECOND

SAMPLES: Final = 3
TOLERATED_SECONDS: Final = 3.0
MEASURE_SECONDS: Final = 10.0

log = structlog.get_logger()


def local_now() -> int:
    """This machine's time in microseconds."""
    return time_ns() // 1000


class DatabaseClock:
    """The database's time, told from the monotonic clock in between.

    It is measured whenever a connection is opened, and from time to
    time. This machine's own clock is of no importance, and where it
    differs by more than a few seconds, that is logged.
    """

    def __init__(self) -> None:
        self._base = (local_now(), monotonic())
        self._is_wrong = False

    def measure(self, connection: psycopg.Connection[Any]) -> None:
        """Ask the database, and take the answer that came soonest."""
        samples = []
        for _ in range(SAMPLES):
            before = monotonic()
            row = connection.execute(
                "SELECT (extract(epoch FROM clock_timestamp()) "
                "* 1000000)::bigint"
            ).fetchone()
            after = monotonic()
            assert row is not None
            samples.append((after - before, row[0], (before + after) / 2))
        _, told, moment = min(samples)
        self._base = (told, moment)
        self._compare()

    def now(self) -> int:
        """The time in microseconds."""
        told, moment = self._base
        return told + int((monotonic() - moment) * SECOND)

    def _compare(self) -> None:
        seconds = (local_now() - self.now()) / SECOND
        is_wrong = abs(seconds) > TOLERATED_SECONDS
        if is_wrong and not self._is_wrong:
            log.warning(
                "clock_differs",
                seconds=round(seconds, 1),
                advice="The database's time is used. Set this machine's.",
            )
        self._is_wrong = is_wrong

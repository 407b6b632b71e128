"""A thread that fills the search index, in one broker at a time.

It also looks at the database's clock, in every broker.

The broker that holds the lock for it indexes what all of them wrote: it
is told of every chat by the feed, and looks through all of them at the
start and once in a while, for what a broker that is gone left behind.
"""

from collections.abc import Callable
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, Final

import psycopg
import structlog

from zchat.storage.postgres.clock import MEASURE_SECONDS, DatabaseClock
from zchat.storage.postgres.search import (
    chats_behind,
    index_blocks,
    index_dirty,
    prepare,
)

PAUSE_SECONDS: Final = 0.5
LOOK_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 2.0
LOCK: Final = 0x7A63_6861_7401
_SETTINGS: Final = (
    "SET application_name = 'zchat search'; SET statement_timeout = '60s'; "
    "SET lock_timeout = '5s'; SET synchronous_commit = off; SET jit = off"
)

log = structlog.get_logger()


class Indexer:
    """The thread; `dial` opens a connection, and may block."""

    def __init__(
        self,
        dial: Callable[[], psycopg.Connection[Any]],
        clock: DatabaseClock,
    ) -> None:
        self._dial = dial
        self._clock = clock
        self._measured = monotonic()
        self._touched: dict[str, None] = {}
        self._lock = Lock()
        self._closed = Event()
        self._thread = Thread(
            target=self._run, name="zchat-search", daemon=True
        )
        self._thread.start()

    def note(self, chat_id: str) -> None:
        """The chat has new messages."""
        with self._lock:
            self._touched[chat_id] = None

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                with self._dial() as connection:
                    connection.execute(_SETTINGS.encode())
                    prepare(connection)
                    self._serve(connection)
            except psycopg.Error as error:
                if not self._closed.is_set():
                    log.info("search_index_waits", error=str(error).strip())
                    self._closed.wait(RETRY_SECONDS)

    def _serve(self, connection: psycopg.Connection[Any]) -> None:
        """Index whatever comes, while we have the lock."""
        while not self._closed.wait(PAUSE_SECONDS):
            row = connection.execute(
                "SELECT pg_try_advisory_lock(%s)", [LOCK]
            ).fetchone()
            if row is not None and row[0]:
                break
            self._take_touched()
            self._measure(connection)
        looked = monotonic() - LOOK_SECONDS
        while not self._closed.wait(PAUSE_SECONDS):
            touched = self._take_touched()
            self._measure(connection)
            if monotonic() - looked >= LOOK_SECONDS:
                looked = monotonic()
                self._index(connection, None)
            elif touched:
                self._index(connection, touched)
            while index_dirty(connection) and not self._closed.is_set():
                continue

    def _measure(self, connection: psycopg.Connection[Any]) -> None:
        if monotonic() - self._measured >= MEASURE_SECONDS:
            self._clock.measure(connection)
            self._measured = monotonic()

    def _take_touched(self) -> list[str]:
        with self._lock:
            touched, self._touched = list(self._touched), {}
        return touched

    def _index(
        self, connection: psycopg.Connection[Any], chat_ids: list[str] | None
    ) -> None:
        for behind in chats_behind(connection, chat_ids):
            if self._closed.is_set():
                return
            index_blocks(connection, *behind)

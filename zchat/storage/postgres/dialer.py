"""Opens connections in a thread, so that the broker's loop never waits."""

from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Final, Generic, Protocol, TypeVar

import structlog

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 0.5
_CLOSE_SECONDS: Final = 0.2

log = structlog.get_logger()


class Closable(Protocol):
    """What can be given back."""

    def close(self) -> None:
        """Give it back."""


Dialled = TypeVar("Dialled", bound=Closable)


class Dialer(Generic[Dialled]):
    """Holds what `dial` opened; opens it again when it was lost.

    `dial` runs in a thread of its own and may block; nothing else here
    does. After a failure it is tried again after a pause that doubles.
    """

    def __init__(self, purpose: str, dial: Callable[[], Dialled]) -> None:
        self._purpose = purpose
        self._dial = dial
        self._current: Dialled | None = dial()
        self._next: Dialled | None = None
        self._lock = Lock()
        self._closed = Event()
        self._thread: Thread | None = None

    def current(self) -> Dialled | None:
        """What is open and was not lost, or None."""
        return self._current

    def renew(self) -> Dialled | None:
        """What was opened since the last one was lost, once."""
        with self._lock:
            fresh, self._next = self._next, None
        if fresh is not None:
            self._current = fresh
            self._thread = None
            log.info("database_connected", purpose=self._purpose)
        return fresh

    def lose(self, error: str) -> None:
        """What was open is broken: open it again."""
        if self._current is None:
            return
        log.warning("database_lost", purpose=self._purpose, error=error)
        self._current.close()
        self._current = None
        self._thread = Thread(
            target=self._redial, daemon=True, name=f"zchat-{self._purpose}"
        )
        self._thread.start()

    def _redial(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._closed.is_set():
            try:
                fresh = self._dial()
            except Exception as error:
                log.info(
                    "database_away",
                    purpose=self._purpose,
                    error=str(error).strip(),
                )
                self._closed.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                continue
            self._hand_over(fresh)
            return

    def _hand_over(self, fresh: Dialled) -> None:
        with self._lock:
            if not self._closed.is_set():
                self._next = fresh
                return
        fresh.close()

    def close(self) -> None:
        """Close what is open, and open nothing any more."""
        with self._lock:
            self._closed.set()
            fresh, self._next = self._next, None
        for opened in (fresh, self._current):
            if opened is not None:
                opened.close()
        self._current = None
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

"""The broker's heartbeat: whether it is alive, and whether it is the same.

A heartbeat that is missing MISSED_HEARTBEATS times means a dead connection.
One that tells another epoch means a restored store; one that tells another
count of gaps, that this broker may have missed events of other brokers. Each
broker counts its own gaps, so a new connection counts anew.
"""

from typing import Final

from zchat.rpc import codec

MISSED_HEARTBEATS: Final = 3


class Pulse:
    """What the heartbeats of one device's connection have told."""

    def __init__(self, heartbeat_seconds: float, epoch: str | None) -> None:
        self._patience = MISSED_HEARTBEATS * heartbeat_seconds
        self._epoch = epoch
        self._gaps: int | None = None
        self._came = False
        self._last = 0.0

    def connected(self, now: float) -> None:
        """A new connection, perhaps to another broker."""
        self._gaps = None
        self._last = now

    def synced(self, epoch: str, gaps: int) -> None:
        """A sync told the same."""
        self._epoch = epoch
        if self._gaps is None:
            self._gaps = gaps

    def beat(self, body: bytes) -> bool:
        """Take a heartbeat in; whether one must begin from the top."""
        try:
            told = codec.unpack(body)
        except ValueError:
            return False
        self._came = True
        if type(told) is not dict:
            return False
        epoch, gaps = told.get("epoch"), told.get("gaps", 0)
        if type(epoch) is not str or type(gaps) is not int:
            return False
        is_other = self._epoch not in (None, epoch) or self._gaps not in (
            None,
            gaps,
        )
        self._epoch, self._gaps = epoch, gaps
        return is_other

    def is_silent(self, now: float) -> bool:
        """Whether no heartbeat came for too long."""
        if self._came:
            self._came = False
            self._last = now
        return self.has_lasted(self._last, now)

    def has_lasted(self, since: float, now: float) -> bool:
        """Whether this is longer ago than an answer may take."""
        return now - since > self._patience

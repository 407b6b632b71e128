"""One budget in bytes for everything that the gateway keeps for clients.

A bound on each connection bounds nothing: a thousand clients that each
stay just below it fill the memory all the same. So all are counted
together, and when they have too much, the one with the most goes first:
it takes its answers and events more slowly than they come.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

Holder = TypeVar("Holder")


class Budget(Generic[Holder]):
    """Counts the bytes that holders keep, `limit` of them at most.

    `drop` ends a holder, which keeps nothing from then on.
    """

    def __init__(
        self, limit: int, drop: Callable[[Holder, int], None]
    ) -> None:
        self.limit = limit
        self.held = 0
        self._drop = drop
        self._held_by: dict[Holder, int] = {}

    def hold(self, holder: Holder, held: int) -> None:
        """A holder keeps so many bytes now."""
        self.held += held - self._held_by.get(holder, 0)
        if held:
            self._held_by[holder] = held
        else:
            self._held_by.pop(holder, None)
        while self.held > self.limit:
            self._relieve()

    def forget(self, holder: Holder) -> None:
        """A holder is gone."""
        self.held -= self._held_by.pop(holder, 0)

    def _relieve(self) -> None:
        """Drop whoever keeps the most."""
        most = max(self._held_by, key=self._held_by.__getitem__)
        held = self._held_by[most]
        self.forget(most)
        self._drop(most, held)

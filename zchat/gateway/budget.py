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

    What several holders share is counted by `shared`, once. `drop` ends
    a holder, which keeps nothing from then on.
    """

    def __init__(
        self,
        limit: int,
        drop: Callable[[Holder, int], None],
        shared: Callable[[], int] = lambda: 0,
    ) -> None:
        self.limit = limit
        self._drop = drop
        self._shared = shared
        self._own = 0
        self._held_by: dict[Holder, tuple[int, int]] = {}

    @property
    def held(self) -> int:
        """All that is kept."""
        return self._own + self._shared()

    def hold(self, holder: Holder, held: int, waiting: int = 0) -> None:
        """A holder keeps so many bytes now, and shares in `waiting`."""
        self._own += held - self._held_by.get(holder, (0, 0))[0]
        if held:
            self._held_by[holder] = held, waiting
        else:
            self._held_by.pop(holder, None)
        while self.held > self.limit and self._held_by:
            self._relieve()

    def forget(self, holder: Holder) -> None:
        """A holder is gone."""
        self._own -= self._held_by.pop(holder, (0, 0))[0]

    def _relieve(self) -> None:
        """Drop the one for whom the most is kept."""
        most = max(self._held_by, key=lambda one: sum(self._held_by[one]))
        held = sum(self._held_by[most])
        self.forget(most)
        self._drop(most, held)

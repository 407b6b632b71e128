"""A queue that serves users in turn, and each user's connections in turn.

Whoever sends much waits for itself: with n users waiting, each gets every
n-th place, however many connections or items it has. The items of one
connection stay in order.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Items by user, then by origin, which is the user's connection."""

    def __init__(self) -> None:
        self._users: OrderedDict[
            Hashable, OrderedDict[Hashable, deque[Item]]
        ] = OrderedDict()
        self._counts: dict[Hashable, int] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def count_of(self, user: Hashable) -> int:
        """How many items of the user wait."""
        return self._counts.get(user, 0)

    def users(self) -> Iterator[Hashable]:
        """Who waits; whose turn is next comes first."""
        return iter(self._users)

    def append(self, user: Hashable, origin: Hashable, item: Item) -> None:
        """The item waits behind the others of its origin."""
        self._place(user, origin).append(item)

    def put_back(self, user: Hashable, origin: Hashable, item: Item) -> None:
        """The item, which was taken, waits before those of its origin."""
        self._place(user, origin).appendleft(item)

    def _place(self, user: Hashable, origin: Hashable) -> deque[Item]:
        self._size += 1
        self._counts[user] = self._counts.get(user, 0) + 1
        origins = self._users.get(user)
        if origins is None:
            origins = self._users[user] = OrderedDict()
        items = origins.get(origin)
        if items is None:
            items = origins[origin] = deque()
        return items

    def take(self, user: Hashable) -> Item:
        """The user's next item; the user's next turn is after the others'.

        Raises KeyError where the user has none.
        """
        origins = self._users[user]
        origin = next(iter(origins))
        items = origins[origin]
        item = items.popleft()
        self._size -= 1
        self._counts[user] -= 1
        if items:
            origins.move_to_end(origin)
        else:
            del origins[origin]
        if origins:
            self._users.move_to_end(user)
        else:
            del self._users[user], self._counts[user]
        return item

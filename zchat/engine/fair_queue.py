"""A queue that serves users in turn, and each user's lanes in turn.

Whoever sends much waits for itself: with n users waiting, each gets every
n-th place, however many lanes or items it has. The items of one lane stay
in order, also where they are of several users: a lane waits in the turn
of the user whose item comes next in it.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Items by lane, and lanes by the user of their next item."""

    def __init__(self) -> None:
        self._lanes: dict[Hashable, deque[tuple[Hashable, Item]]] = {}
        self._users: OrderedDict[Hashable, OrderedDict[Hashable, None]] = (
            OrderedDict()
        )
        self._counts: dict[Hashable, int] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def count_of(self, user: Hashable) -> int:
        """How many items of the user wait."""
        return self._counts.get(user, 0)

    def users(self) -> Iterator[Hashable]:
        """Who can be served; whose turn is next comes first."""
        return iter(self._users)

    def append(self, user: Hashable, lane: Hashable, item: Item) -> None:
        """The item waits behind the others of its lane."""
        self._count(user, 1)
        items = self._lanes.get(lane)
        if items is None:
            items = self._lanes[lane] = deque()
            self._enlist(user, lane)
        items.append((user, item))

    def users_wait(self) -> bool:
        """Whether anybody can be served."""
        return bool(self._users)

    def hold(self, lane: Hashable) -> None:
        """The lane, which has items, gets no turn until `release`."""
        self._delist(self._lanes[lane][0][0], lane)

    def release(self, lane: Hashable) -> None:
        """The lane, which was held, is served again."""
        self._enlist(self._lanes[lane][0][0], lane)

    def put_back(self, user: Hashable, lane: Hashable, item: Item) -> None:
        """The item, which was taken, waits before those of its lane."""
        self._count(user, 1)
        items = self._lanes.get(lane)
        if items is None:
            items = self._lanes[lane] = deque()
        else:
            self._delist(items[0][0], lane)
        self._enlist(user, lane)
        items.appendleft((user, item))

    def take(self, user: Hashable) -> Item:
        """The user's next item; the user's next turn is after the others'.

        Raises KeyError where it is not the user's turn in any lane.
        """
        lane = next(iter(self._users[user]))
        items = self._lanes[lane]
        _, item = items.popleft()
        self._count(user, -1)
        self._delist(user, lane)
        if user in self._users:
            self._users.move_to_end(user)
        if items:
            self._enlist(items[0][0], lane)
        else:
            del self._lanes[lane]
        return item

    def _enlist(self, user: Hashable, lane: Hashable) -> None:
        self._users.setdefault(user, OrderedDict())[lane] = None

    def _delist(self, user: Hashable, lane: Hashable) -> None:
        lanes = self._users[user]
        del lanes[lane]
        if not lanes:
            del self._users[user]

    def _count(self, user: Hashable, by: int) -> None:
        self._size += by
        count = self._counts.get(user, 0) + by
        if count:
            self._counts[user] = count
        else:
            del self._counts[user]

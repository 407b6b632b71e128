"""Requests that wait for a batch, and which of them the next one takes.

Where all that has arrived fits into a batch, it is taken as it came.
Where more waits, users take turns, and each user's connections take
turns (fair_queue.py): a thousand connections of one user get one user's
share. A batch is bounded by requests and by what they may cost.

A request whose answers from the store went stale in its batch
(engine/batch.py) is deferred: it is put back before what its connection
sent after it. Running deferred requests must cost little, since each may
go stale again: a user with a deferred request gets one place in a batch
until nothing of that user waits, and a batch has places for so many such
users. So n requests that make each other stale run 2 n times, not n².

A request whose bytes have to reach the disk first is held, and all that
its connection sends after it, until they are there.

Requests with the same envelope keep their order, whoever sends them. So a
connection's writes take effect in the order sent, and one that speaks
for several users (a proxy, a gateway) may give each a frame of its own in
the envelope, so that they do not wait for one another.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from types import MappingProxyType
from typing import Final, Protocol

import zmq

from zchat.engine.batch import Call
from zchat.engine.fair_queue import FairQueue
from zchat.engine.requests import HEAVY_BYTES, Pending, pending_of
from zchat.errors import Code, Refused

BATCH_REQUESTS: Final = 512
BATCH_BYTES: Final = 2_097_152
DEFERRED_USERS: Final = 32
"""So many users with deferred requests have a place in a batch."""
USER_REQUESTS: Final = 2_048
"""So many requests of one user wait; more are refused."""


class Arrived(Protocol):
    """A request as it came."""

    @property
    def frames(self) -> list[bytes]:
        """The envelope, whose first frame names the connection, and the
        body."""

    def descriptor(self) -> int:
        """The descriptor of the connection that it came over, or -1."""


class Intake:
    """Takes requests off the socket, and batches off what waits.

    `receive` gives the next request, and raises zmq.Again where there is
    none. `seen` is told the connection, and its descriptor, of each
    request whose answer may be large. `for_operator` as in `pending_of`;
    `len` is how many requests wait.
    """

    def __init__(
        self,
        receive: Callable[[], Arrived],
        seen: Callable[[bytes, int], None],
        for_operator: bool = False,
    ) -> None:
        self._receive = receive
        self._seen = seen
        self._for_operator = for_operator
        self._queue: FairQueue[Pending] = FairQueue()
        self._deferred: set[Hashable] = set()
        self._lanes_held: dict[Hashable, Future[None]] = {}
        self.held = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def waiting(self) -> bool:
        """Whether requests wait for the next batch."""
        self._release()
        return self._queue.users_wait()

    def take(self, arrived: bool, most_bytes: int) -> list[Pending]:
        """The next batch; `arrived`: look into the socket as well.

        No more is taken off the socket while `most_bytes` wait: it stays
        there, and holds up those who send it. Among those taken are
        requests that have their outcome already.
        """
        self._release()
        fresh, fits = self._take_off(most_bytes) if arrived else ([], True)
        if fits and not self._queue:
            return fresh
        taken = [one for one in fresh if one.call.done or self._excess(one)]
        self._share(taken)
        return taken

    def _take_off(self, most_bytes: int) -> tuple[list[Pending], bool]:
        """What has arrived, and whether it fits into one batch."""
        fresh: list[Pending] = []
        fits = True
        room = BATCH_BYTES
        left = most_bytes - self.held
        while len(fresh) < BATCH_REQUESTS and left > 0:
            try:
                received = self._receive()
            except zmq.Again:
                break
            request = pending_of(received.frames, self._for_operator)
            if request.cost > HEAVY_BYTES:
                self._seen(request.envelope[0], received.descriptor())
            fresh.append(request)
            fits = fits and room > 0
            room -= request.cost
            left -= request.size
        return fresh, fits

    def _excess(self, request: Pending) -> bool:
        """Queue the request, or refuse it as one too many of its user."""
        if self._queue.count_of(request.user) >= USER_REQUESTS:
            request.call.end(
                Refused(
                    Code.UNAVAILABLE,
                    "Too many of your requests are waiting. Send fewer at "
                    "a time.",
                    retry_after=1,
                )
            )
            return True
        self._queue.append(request.user, request.call.origin, request)
        self.held += request.size
        return False

    def _share(self, taken: list[Pending]) -> None:
        """Add a batch of what waits, one of each user in turn."""
        room = BATCH_BYTES
        places = BATCH_REQUESTS
        deferred: set[Hashable] = set()
        users = self._next_users(deferred)
        while users:
            for user in users:
                if room <= 0 or places == 0:
                    return
                if user in self._deferred:
                    deferred.add(user)
                request = self._queue.take(user)
                taken.append(request)
                self.held -= request.size
                room -= request.cost
                places -= 1
            users = self._next_users(deferred)

    def _next_users(self, deferred: set[Hashable]) -> list[Hashable]:
        """Who may have another place; `deferred` had the one they get."""
        room = DEFERRED_USERS - len(deferred)
        users = []
        for user in self._queue.users():
            if user in self._deferred:
                if user in deferred or room <= 0:
                    continue
                room -= 1
            users.append(user)
        return users

    def _release(self) -> None:
        """Let those go on whose bytes are on the disk."""
        for lane, staged in list(self._lanes_held.items()):
            if staged.done():
                del self._lanes_held[lane]
                self._queue.release(lane)

    def put_back(
        self,
        requests: Sequence[Pending],
        put_off: Mapping[Call, Future[None]] = MappingProxyType({}),
    ) -> None:
        """Those that a batch left undone, in the order they came.

        Those in `put_off` are held until their futures are done; the
        others went stale. To be called after each batch, also where none
        did.
        """
        held = {
            request.call.origin: put_off[request.call]
            for request in reversed(requests)
            if request.call in put_off
        }
        for request in reversed(requests):
            self._queue.put_back(request.user, request.call.origin, request)
            self.held += request.size
            if request.call.origin not in held:
                self._deferred.add(request.user)
        for lane, staged in held.items():
            self._queue.hold(lane)
            self._lanes_held[lane] = staged
        self._deferred = {
            user for user in self._deferred if self._queue.count_of(user)
        }

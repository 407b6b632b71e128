"""Requests that must wait for the next batch, per connection.

What a rule asked may be overtaken by its neighbours (chat/work.py); then
it runs again, and what its connection sent later stays behind it.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from zchat.engine.batch import Call
from zchat.errors import Code, Refused

WAITING_REQUESTS: Final = 1_024


class Pending(msgspec.Struct, frozen=True):
    """A request that waits for its answer."""

    envelope: list[bytes]
    id: int | None
    method: str
    call: Call


class Deferred:
    """Queues of connections that were late; one of each runs in a batch.

    So one that is overtaken again and again costs the others little.
    """

    def __init__(self) -> None:
        self._queues: dict[bytes, deque[Pending]] = {}

    @property
    def waiting(self) -> bool:
        """Whether somebody waits."""
        return bool(self._queues)

    def takes(self, request: Pending) -> bool:
        """Queue a request that came behind late ones of its connection.

        False: it need not wait, or it was refused as one too many.
        """
        queue = self._queues.get(request.envelope[0])
        if queue is None or request.call.done:
            return False
        if len(queue) >= WAITING_REQUESTS:
            request.call.end(
                Refused(
                    Code.UNAVAILABLE,
                    (
                        "Too many requests of this connection are waiting. "
                        "Send fewer at a time."
                    ),
                    retry_after=1,
                )
            )
            return False
        queue.append(request)
        return True

    def first_of_each(self) -> list[Pending]:
        """The request of each connection that is to run next."""
        return [queue.popleft() for queue in self._queues.values()]

    def put_back(self, requests: Sequence[Pending]) -> None:
        """Those that were late in a batch, in the order they came."""
        for request in reversed(requests):
            self._queues.setdefault(request.envelope[0], deque()).appendleft(
                request
            )
        for origin in [
            origin for origin, queue in self._queues.items() if not queue
        ]:
            del self._queues[origin]

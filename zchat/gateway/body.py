"""A request body that is read while it arrives, with backpressure."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

HIGH_WATER_BYTES: Final = 256 * 1024
LOW_WATER_BYTES: Final = 64 * 1024


class StreamedBody:
    """What a route iterates over; the connection feeds it.

    `wanted` is called when the route asks for the first piece, and
    whenever so much was read that more may come.
    """

    def __init__(self, length: int | None, wanted: Callable[[], None]) -> None:
        self.length = length
        self.complete = False
        self.asked = False
        self._wanted = wanted
        self._pieces: deque[bytes] = deque()
        self._held_bytes = 0
        self._full = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def full(self) -> bool:
        """Whether the connection should stop reading for now."""
        return self._full

    def feed(self, piece: bytes) -> None:
        """Take the next piece off the connection."""
        self._pieces.append(piece)
        self._held_bytes += len(piece)
        self._full = self._full or self._held_bytes >= HIGH_WATER_BYTES
        self._wake()

    def finish(self) -> None:
        """The body has come to its end."""
        self.complete = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self.asked:
            self.asked = True
            self._wanted()
        while not self._pieces:
            if self.complete:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        piece = self._pieces.popleft()
        self._held_bytes -= len(piece)
        if self._full and self._held_bytes <= LOW_WATER_BYTES:
            self._full = False
            self._wanted()
        return piece

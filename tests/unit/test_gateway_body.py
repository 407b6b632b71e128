"""A request body that a route reads while it arrives."""

import asyncio
from collections.abc import Awaitable, Callable

from zchat.gateway.body import (
    HIGH_WATER_BYTES,
    LOW_WATER_BYTES,
    StreamedBody,
)

PIECE = b"x" * 1_024


class Incoming:
    """A body, and how often more of it was wanted."""

    def __init__(self) -> None:
        self.wanted = 0
        self.body = StreamedBody(None, self._want)

    def _want(self) -> None:
        self.wanted += 1

    async def read(self) -> bytes:
        return await anext(self.body, b"the end")


def run(test: Callable[[Incoming], Awaitable[None]]) -> None:
    async def within() -> None:
        await test(Incoming())

    asyncio.run(within())


def test_pieces_come_in_order_and_then_the_end() -> None:
    async def test(incoming: Incoming) -> None:
        for piece in (b"1", b"2"):
            incoming.body.feed(piece)
        incoming.body.finish()
        assert [await incoming.read() for _ in range(4)] == [
            b"1",
            b"2",
            b"the end",
            b"the end",
        ]

    run(test)


def test_a_route_waits_for_what_has_not_come() -> None:
    async def test(incoming: Incoming) -> None:
        for piece in (b"1", None):
            reading = asyncio.ensure_future(incoming.read())
            await asyncio.sleep(0)
            assert not reading.done()
            if piece is None:
                incoming.body.finish()
            else:
                incoming.body.feed(piece)
                incoming.body.feed(b"more")
                assert await reading == piece
                assert await incoming.read() == b"more"
        assert await reading == b"the end"

    run(test)


def test_it_is_asked_for_when_it_is_first_read() -> None:
    """A client that waits for leave to send it gets it then."""

    async def test(incoming: Incoming) -> None:
        incoming.body.feed(b"1")
        assert (incoming.body.asked, incoming.wanted) == (False, 0)
        await incoming.read()
        assert (incoming.body.asked, incoming.wanted) == (True, 1)

    run(test)


def test_who_reads_slowly_is_not_sent_more_for_a_while() -> None:
    """Full at the high mark, and until the low one: so the connection
    does not stop and start with every piece."""

    async def test(incoming: Incoming) -> None:
        body = incoming.body
        high = HIGH_WATER_BYTES // len(PIECE)
        low = LOW_WATER_BYTES // len(PIECE)
        for count in range(1, high + 1):
            body.feed(PIECE)
            assert body.full is (count == high)
        for left in reversed(range(low - 2, high)):
            await incoming.read()
            assert body.full is (left > low)
        assert incoming.wanted == 2

    run(test)

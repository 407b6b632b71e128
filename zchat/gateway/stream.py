"""The gateway's end of the pair of sockets to the broker that started it.

A Link (client/connection.py) uses it in place of a DEALER. What is asked
in one turn of the loop goes out in one write, and one read brings all
the answers of a batch; libzmq would take a thread and several wake-ups
for it in either process. The stream begins when the gateway is started
and ends with the broker, so there is nothing to connect to again.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, cast

from zchat.certificates import CurveKeys
from zchat.rpc.records import RecordReader, record

_MOST_ANSWER_BYTES: Final = 2**32 - 1
"""What a record's size can say: the broker bounds its answers itself."""


class BrokerStream(asyncio.Protocol):
    """Requests one way, answers the other; `lost` is called at its end."""

    def __init__(self, lost: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._lost = lost
        self._records = RecordReader(_MOST_ANSWER_BYTES)
        self._arrived: deque[bytes] = deque()
        self._readable: Callable[[], None] = _nothing
        self._down: Callable[[], None] = _nothing
        self.closed = False
        self.ended = (0, 0)

    def dial(
        self,
        endpoint: str,
        readable: Callable[[], None],
        up: Callable[[], None],
        down: Callable[[], None],
        keys: CurveKeys | None,
    ) -> "BrokerStream":
        """Serve a Link, which is told that it is up unless it is over."""
        self._readable = readable
        self._down = down
        if not self.closed:
            self._loop.call_soon(up)
        return self

    # -- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._arrived.extend(body for _, body in self._records.feed(data))
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        was_closed, self.closed = self.closed, True
        if not was_closed:
            self._down()
            self._lost()

    # -- what the Link calls

    def send(self, messages: Sequence[Sequence[bytes]]) -> int:
        """Send these, each a lane, if it has one, and a body."""
        if self.closed:
            return 0
        self._transport.write(
            b"".join(
                record(b"".join(frames[:-1]), frames[-1])
                for frames in messages
            )
        )
        return len(messages)

    def receive(self, limit: int) -> list[bytes]:
        """So many answers at most of those that are there."""
        arrived = self._arrived
        return [arrived.popleft() for _ in range(min(limit, len(arrived)))]

    def check_soon(self) -> None:
        """Tell of the answers that are still there, after others' turn."""
        self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        if self._arrived and not self.closed:
            self._readable()

    def close(self) -> None:
        """End the stream; nothing is called any more."""
        self.closed = True
        self._transport.close()


async def stream_to_broker(
    descriptor: int, lost: Callable[[], None]
) -> BrokerStream:
    """The stream over an inherited socket."""
    _, stream = await asyncio.get_running_loop().create_unix_connection(
        lambda: BrokerStream(lost), sock=socket.socket(fileno=descriptor)
    )
    return stream


def _nothing() -> None:
    """Nobody has dialled yet."""

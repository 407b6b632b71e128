"""The broker's end of the pair of sockets to the gateway it started.

What a client's ROUTER does for requests and answers (intake.py,
send_queue.py) is done here on one stream without libzmq's thread: all
that arrived is read at once, and all answers of a batch are written at
once. The gateway reads what it asked for; should it stop doing so, no
more of its requests are taken until it has, and where memory is needed
for others, the stream ends, and with it the gateway.
"""

import os
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog
import zmq

from zchat.engine.send_queue import WAITING_BYTES
from zchat.rpc import REQUEST_BYTES
from zchat.rpc.records import Record, RecordReader, record

_READ_BYTES: Final = 65_536
"""Python asks the system for a larger buffer's memory at each call."""
_ORIGIN_BYTES: Final = 16
"""A client may give its connection a name, and cannot guess this one."""

log = structlog.get_logger()


class FromGateway(msgspec.Struct, frozen=True):
    """A request's frames, as Intake takes them."""

    frames: list[bytes]

    def descriptor(self) -> int:
        """No connection of libzmq's: -1."""
        return -1


class GatewayStream:
    """Requests from the gateway that runs now, and the answers to it.

    `poller` is told what to wait for. `len` is how many answers wait,
    `lost` how many were lost, `dropped` how many gateways were dropped.
    """

    def __init__(self, poller: Any) -> None:
        self._poller = poller
        self._socket: socket.socket | None = None
        self._origin = b""
        self._reads = False
        self._forget()
        self.lost = 0
        self.dropped = 0

    def _forget(self) -> None:
        """Know nothing of what came or is to go."""
        self._records = RecordReader(REQUEST_BYTES)
        self._arrived: deque[Record] = deque()
        self._is_drained = False
        self._unsent: list[bytes] = []
        self._going = memoryview(b"")
        self._held = 0

    def connect(self) -> socket.socket:
        """A new pair for a new gateway, which gets the returned end."""
        self.close()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._socket = ours
        self._origin = os.urandom(_ORIGIN_BYTES)
        self._regulate()
        return theirs

    def close(self) -> None:
        """End the stream; what was not sent is lost."""
        if self._socket is None:
            return
        self.lost += len(self)
        if self._reads:
            self._poller.unregister(self._socket)
            self._reads = False
        self._socket.close()
        self._socket = None
        self._forget()

    # -- requests

    @property
    def has_arrived(self) -> bool:
        """Whether requests were read that no batch has taken."""
        return bool(self._arrived)

    def is_readable(self, ready: Mapping[Any, int]) -> bool:
        """Whether there is something to receive; `ready` was polled."""
        if self._arrived:
            return True
        return self._reads and self._descriptor() in ready

    def _descriptor(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def receive(self) -> FromGateway:
        """The next request; raises zmq.Again if none is there."""
        while not self._arrived:
            if self._is_drained:
                self._is_drained = False
                raise zmq.Again
            self._read()
        lane, body = self._arrived.popleft()
        return FromGateway(
            [self._origin, lane, body] if lane else [self._origin, body]
        )

    def _read(self) -> None:
        """Read what is there, or the first of it.

        A short read leaves nothing behind that is worth another call.
        """
        if self._socket is None:
            self._is_drained = True
            return
        try:
            data = self._socket.recv(_READ_BYTES)
            self._arrived.extend(self._records.feed(data))
        except BlockingIOError:
            self._is_drained = True
            return
        except (OSError, ValueError) as error:
            log.error("gateway_stream_broke", reason=str(error))
            data = b""
        if not data:
            self.close()
        self._is_drained = len(data) < _READ_BYTES

    # -- answers

    def __len__(self) -> int:
        return len(self._unsent) + bool(self._going)

    @property
    def waiting(self) -> bool:
        """Whether answers wait for room."""
        return self._held > 0

    @property
    def is_quick(self) -> bool:
        """Whether it pays to try again at once: its room is large."""
        return False

    @property
    def held(self) -> int:
        """The bytes of the answers that wait."""
        return self._held

    def send(self, envelope: Sequence[bytes], body: bytes) -> None:
        """Have an answer sent by the next `flush`."""
        if self._socket is None or envelope[0] != self._origin:
            self.lost += 1
            return
        self._unsent.append(record(b"", body))
        self._held += len(self._unsent[-1])

    def flush(self) -> None:
        """Send what waits, as far as there is room."""
        if self._socket is None or not self._held:
            return
        try:
            while self._held:
                if not self._going:
                    self._going = memoryview(b"".join(self._unsent))
                    self._unsent.clear()
                sent = self._socket.send(self._going)
                self._going = self._going[sent:]
                self._held -= sent
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._regulate()

    retry = flush

    def shed(self, most_bytes: int) -> None:
        """End the stream if more than `most_bytes` wait."""
        if self._held <= most_bytes:
            return
        log.warning("gateway_dropped", bytes=self._held, answers=len(self))
        self.dropped += 1
        self.close()

    def drain(self) -> None:
        """Send the last of it: the gateway is gone, or will be."""
        self.flush()

    def _regulate(self) -> None:
        """Wait for requests unless too many answers wait."""
        reads = self._held <= WAITING_BYTES
        if reads is self._reads or self._socket is None:
            return
        self._reads = reads
        if reads:
            self._poller.register(self._socket, zmq.POLLIN)
        else:
            self._poller.unregister(self._socket)

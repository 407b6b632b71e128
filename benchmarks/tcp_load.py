"""The load over plain TCP: requests encoded beforehand, in one loop."""

import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Final

from benchmarks.load import Answered, no_collection

Split = Callable[[bytearray], list[bytes]]
"""Takes the whole answers off the front of what has come."""

_READ_BYTES: Final = 65_536
"""Python asks the system for a larger buffer's memory at each call."""
_SILENCE_SECONDS: Final = 30.0


@contextmanager
def tcp_connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    """So many connections to a local port."""
    with ExitStack() as stack:
        sockets = []
        for _ in range(count):
            one = stack.enter_context(
                socket.create_connection(("127.0.0.1", port))
            )
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets.append(one)
        yield sockets


def tcp_closed_loop(
    sockets: Sequence[socket.socket],
    bodies: Sequence[Sequence[bytes]],
    in_flight: int,
    split: Split,
) -> Answered:
    """As `load.closed_loop`, where `split` finds the answers."""
    answers: list[list[bytes]] = [[] for _ in sockets]
    poller = select.epoll()
    lanes = {}
    for one, own, kept in zip(sockets, bodies, answers):
        lanes[one.fileno()] = one, iter(own), kept, bytearray()
        poller.register(one.fileno(), select.EPOLLIN)
    missing = sum(len(own) for own in bodies)
    with no_collection():
        started = time.perf_counter()
        for one, unsent, _, _ in lanes.values():
            one.sendall(b"".join(islice(unsent, in_flight)))
        while missing:
            ready = poller.poll(_SILENCE_SECONDS)
            if not ready:
                raise RuntimeError(f"{missing} answers did not come")
            for descriptor, _ in ready:
                one, unsent, kept, buffer = lanes[descriptor]
                more = one.recv(_READ_BYTES)
                if not more:
                    raise RuntimeError("a connection was closed")
                buffer += more
                came = split(buffer)
                kept += came
                missing -= len(came)
                more = b"".join(islice(unsent, len(came)))
                if more:
                    one.sendall(more)
        seconds = time.perf_counter() - started
    poller.close()
    return Answered(answers, seconds)


def http_answers(buffer: bytearray) -> list[bytes]:
    """The bodies of HTTP answers that tell their length; all are 200."""
    found: list[bytes] = []
    while True:
        ends = buffer.find(b"\r\n\r\n")
        if ends < 0:
            return found
        head = bytes(buffer[:ends]).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(bytes(buffer).decode(errors="replace"))
        length = int(head.split(b"content-length:", 1)[1].split(b"\r")[0])
        if len(buffer) < ends + 4 + length:
            return found
        found.append(bytes(buffer[ends + 4 : ends + 4 + length]))
        del buffer[: ends + 4 + length]

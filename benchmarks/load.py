"""The load: requests encoded beforehand, over bare ZeroMQ sockets.

It shares the machine with what it measures, so its loops do nothing
but send and receive; answers are kept and looked at afterwards.
"""

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import zmq

_NOBLOCK = int(zmq.NOBLOCK)


class Answered(NamedTuple):
    """The answers of each connection in the order they came."""

    answers: list[list[bytes]]
    seconds: float


@contextmanager
def connections(endpoint: str, count: int) -> Iterator[list[Any]]:
    """So many DEALER sockets connected to an endpoint."""
    context: zmq.Context[Any] = zmq.Context.instance()
    sockets = []
    for _ in range(count):
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(endpoint)
        sockets.append(socket)
    try:
        yield sockets
    finally:
        for socket in sockets:
            socket.close()


def closed_loop(
    sockets: Sequence[Any], bodies: Sequence[Sequence[bytes]], in_flight: int
) -> Answered:
    """Send each connection its bodies, so many unanswered at a time.

    `in_flight` counts the requests of one connection.
    """
    answers: list[list[bytes]] = [[] for _ in sockets]
    waiting = {
        socket: (socket.recv, socket.send, iter(own), kept.append)
        for socket, own, kept in zip(sockets, bodies, answers)
    }
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    missing = sum(len(own) for own in bodies)
    with no_collection():
        started = time.perf_counter()
        for _, send, own, _ in waiting.values():
            for _ in range(in_flight):
                body = next(own, None)
                if body is not None:
                    send(body)
        while missing:
            ready = poller.poll(30_000)
            if not ready:
                raise RuntimeError(f"{missing} answers did not come")
            for socket, _ in ready:
                missing -= _exchange(*waiting[socket])
        seconds = time.perf_counter() - started
    return Answered(answers, seconds)


def _exchange(recv: Any, send: Any, own: Iterator[bytes], keep: Any) -> int:
    """Take what has come, and send as many requests again."""
    taken = 0
    try:
        while True:
            keep(recv(_NOBLOCK))
            taken += 1
            body = next(own, None)
            if body is not None:
                send(body)
    except zmq.Again:
        return taken


@contextmanager
def no_collection() -> Iterator[None]:
    """No pauses of ours while we measure."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def open_loop(
    socket: Any, bodies: Sequence[bytes], a_second: float
) -> tuple[list[bytes], list[float]]:
    """Send at a fixed rate, whether answers come or not.

    Returns the answers, which come in order, and the seconds of each
    from the moment it was meant to be sent.
    """
    answers: list[bytes] = []
    waited: list[float] = []
    clock = time.perf_counter
    with no_collection():
        started = clock()
        sent = 0
        while len(answers) < len(bodies):
            due = started + sent / a_second
            if sent < len(bodies) and clock() >= due:
                socket.send(bodies[sent])
                sent += 1
                continue
            pause = due - clock() if sent < len(bodies) else 30.0
            # A poll counts in milliseconds: the last one is awaited awake.
            if not socket.poll(max(0, int(pause * 1000)), zmq.POLLIN):
                continue
            answers.append(socket.recv())
            waited.append(clock() - started - (len(answers) - 1) / a_second)
    return answers, waited

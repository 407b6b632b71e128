"""Subscribers: bare SUB sockets, live before anything is measured."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgpack
import zmq
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.wire import Caller

LIVE_MILLISECONDS: Final = 30_000
_HEAD_BYTES: Final = 4
_NONCE_ENDS: Final = 16


@contextmanager
def subscribers(
    endpoint: str, topic: bytes, count: int
) -> Iterator[list[Any]]:
    """So many SUB sockets on which the topic is live (barrier)."""
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, count + 64)
    sockets = [context.socket(zmq.SUB) for _ in range(count)]
    try:
        for socket in sockets:
            socket.setsockopt(zmq.RCVHWM, 0)
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(endpoint)
            socket.subscribe(topic)
        barriers = [b"b" + os.urandom(16) for _ in sockets]
        for socket, barrier in zip(sockets, barriers):
            socket.subscribe(barrier)
        for socket, barrier in zip(sockets, barriers):
            _wait_for(socket, barrier)
        yield sockets
    finally:
        for socket in sockets:
            socket.close()
        context.term()


def _wait_for(socket: Any, barrier: bytes) -> None:
    """Until the barrier is back, all subscribed before it is live."""
    socket.setsockopt(zmq.RCVTIMEO, LIVE_MILLISECONDS)
    while socket.recv_multipart()[0] != barrier:
        continue
    socket.unsubscribe(barrier)


def received(
    sockets: Sequence[Any], events: int, least_bytes: int
) -> list[list[bytes]]:
    """The bodies that each subscriber gets, so many each.

    Smaller ones than `least_bytes` are other events, and left out.
    """
    bodies: list[list[bytes]] = [[] for _ in sockets]
    kept = {
        socket: (socket.recv, mine) for socket, mine in zip(sockets, bodies)
    }
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    waiting = len(bodies)
    while waiting:
        ready = poller.poll(LIVE_MILLISECONDS)
        if not ready:
            raise RuntimeError(f"{waiting} subscribers miss events")
        for socket, _ in ready:
            recv, mine = kept[socket]
            _take(recv, mine, least_bytes)
            if len(mine) >= events:
                poller.unregister(socket)
                waiting -= 1
    return bodies


def _take(recv: Any, mine: list[bytes], least_bytes: int) -> None:
    flag = int(zmq.NOBLOCK)
    try:
        while True:
            recv(flag)
            body = recv(flag)
            if len(body) >= least_bytes:
                mine.append(body)
    except zmq.Again:
        return


def chat_topic(chat_id: str) -> bytes:
    """The topic of a chat's events."""
    return b"c" + bytes.fromhex(chat_id.replace("-", ""))


class Reader:
    """Opens a group's sealed events with the key that `sync` gives."""

    def __init__(self, endpoint: str, token: str, chat_id: str) -> None:
        with Caller(endpoint) as caller:
            chats = caller.call("sync", token=token)["chats"]
        (key,) = [c["event_key"] for c in chats if c["id"] == chat_id]
        self._topic = chat_topic(chat_id)
        self._cipher = AESGCM(key["secret"])

    def event(self, body: bytes) -> Any:
        """The event map in a sealed body."""
        head = body[:_HEAD_BYTES]
        return msgpack.unpackb(
            self._cipher.decrypt(
                body[_HEAD_BYTES:_NONCE_ENDS],
                body[_NONCE_ENDS:],
                self._topic + head,
            )
        )

    def messages(self, bodies: Sequence[bytes]) -> list[int]:
        """The seqs of the message events, in the order they came."""
        events = [self.event(body) for body in bodies]
        return [e["seq"] for e in events if e["event"] == "message"]

"""The broker's two sockets, set up against what strangers may send.

Each option answers a trap of docs/explanation/zeromq-traps.md.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import zmq

from zchat.engine.curve import encrypt
from zchat.errors import AddressInUse, ConfigError
from zchat.listening import BACKLOG, claim_descriptors
from zchat.rpc import REQUEST_BYTES, TOPIC_LIMIT_BYTES

HANDSHAKE_MILLISECONDS: Final = 5_000
LINGER_MILLISECONDS: Final = 1_000
ANSWERS_WAITING: Final = 16
EVENTS_WAITING: Final = 10_000
MAX_SOCKETS: Final = 65_000
NOBLOCK: Final = int(zmq.NOBLOCK)
MORE: Final = int(zmq.SNDMORE | zmq.NOBLOCK)
_HEARTBEAT_MILLISECONDS: Final = 10_000
_ENVELOPE_BYTES: Final = 1_024
_HANDSHAKE_BYTES: Final = 1_024
"""CURVE's INITIATE has 257 bytes and the peer's metadata."""


def context() -> "zmq.Context[zmq.Socket[bytes]]":
    """A context for as many connections as the system lets us have."""
    claim_descriptors()
    made: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made.set(zmq.MAX_SOCKETS, min(MAX_SOCKETS, made.get(zmq.SOCKET_LIMIT)))
    return made


def _guard(socket: "zmq.Socket[bytes]") -> None:
    """What both sockets have in common."""
    for option, value in (
        (zmq.HANDSHAKE_IVL, HANDSHAKE_MILLISECONDS),
        (zmq.BACKLOG, BACKLOG),
        (zmq.LINGER, 0),
        (zmq.HEARTBEAT_IVL, _HEARTBEAT_MILLISECONDS),
        (zmq.HEARTBEAT_TIMEOUT, 3 * _HEARTBEAT_MILLISECONDS),
        (zmq.TCP_KEEPALIVE, 1),
        (zmq.TCP_KEEPALIVE_IDLE, 60),
        (zmq.TCP_KEEPALIVE_INTVL, 15),
        (zmq.TCP_KEEPALIVE_CNT, 4),
    ):
        socket.setsockopt(option, value)


def rpc_socket(
    ctx: "zmq.Context[Any]", endpoint: str, secret: bytes | None = None
) -> Any:
    """The bound ROUTER; an answer to nobody is an error, not silence.

    With the server's CURVE secret it is encrypted (curve.py).
    """
    socket = ctx.socket(zmq.ROUTER)
    _guard(socket)
    if secret is not None:
        encrypt(socket, secret)
    socket.setsockopt(zmq.MAXMSGSIZE, REQUEST_BYTES + _ENVELOPE_BYTES)
    socket.setsockopt(zmq.SNDHWM, ANSWERS_WAITING)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    return _bound(socket, endpoint)


def events_socket(
    ctx: "zmq.Context[Any]", endpoint: str, secret: bytes | None = None
) -> Any:
    """The bound XPUB; what subscribers send is small.

    It hands on every subscription, not the first of a topic only: the
    standing barrier of a connection that was made anew must be answered
    also while the old connection is still believed in.
    """
    socket = ctx.socket(zmq.XPUB)
    _guard(socket)
    if secret is not None:
        encrypt(socket, secret)
    socket.setsockopt(
        zmq.MAXMSGSIZE,
        TOPIC_LIMIT_BYTES if secret is None else _HANDSHAKE_BYTES,
    )
    socket.setsockopt(zmq.SNDHWM, EVENTS_WAITING)
    socket.setsockopt(zmq.XPUB_VERBOSE, 1)
    return _bound(socket, endpoint)


def _bound(socket: Any, endpoint: str) -> Any:
    """Bind it; what waits for a connection that ends is dropped at once.

    Connections take their linger from the socket as it is when it is
    bound; the socket's own, at its end, is what it is set to then.
    """
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close(linger=0)
        in_use = error.errno == zmq.EADDRINUSE
        kind = AddressInUse if in_use else ConfigError
        raise kind(
            f"cannot listen on {endpoint}: {zmq.strerror(error.errno or 0)}. "
            "Stop what is there, or choose another --port"
        ) from None
    socket.setsockopt(zmq.LINGER, LINGER_MILLISECONDS)
    return socket


def sender(socket: Any) -> Callable[[bytes, int], object]:
    """`socket.send(frame, flags)` without pyzmq's layer of Python.

    It takes a quarter of the time (docs/explanation/performance.md).
    """
    return partial(zmq.backend.Socket.send, socket)


class Received(NamedTuple):
    """A request's frames, and the last one as libzmq keeps it."""

    frames: list[bytes]
    last: Any

    def descriptor(self) -> int:
        """The descriptor of the connection that it came over, or -1."""
        fd: int = self.last.get(zmq.SRCFD)
        return fd


def own_name(router: Any) -> Any:
    """What `getsockname` says of the connections of a bound ROUTER: an
    address whose port counts, or a path."""
    endpoint: str = router.getsockopt(zmq.LAST_ENDPOINT).decode().rstrip("\0")
    if endpoint.startswith("ipc://"):
        return endpoint.removeprefix("ipc://")
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return host, int(port)


def receive(router: Any) -> Received:
    """The frames of the next request; raises zmq.Again if none is there.

    A ROUTER's first frame is followed by another one. Asking a frame
    whether more follow is cheaper than asking the socket.
    """
    frames = [router.recv(NOBLOCK)]
    more = True
    while more:
        frame = router.recv(NOBLOCK, copy=False)
        frames.append(frame.bytes)
        more = frame.more
    return Received(frames, frame)

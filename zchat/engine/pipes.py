"""What clients that do not read hold in libzmq's pipes.

A pipe is bounded in messages, not bytes: sixteen answers of a megabyte
are as good to it as sixteen of a hundred bytes, and it does not say how
much of it was sent. So this keeps the sizes of the last large answers of
each connection, as many as a pipe holds: no more than those can be in
it. Where the kernel has sent and the other side acknowledged everything
(SIOCOUTQ), the pipe is empty, and they are forgotten.

A connection that holds too much is shut down by its descriptor, which
libzmq tells with each message (ZMQ_SRCFD). A descriptor may have been
given to something else meanwhile: so it is copied, and the copy must be
the same socket, on our own address.
"""

import os
import socket
import struct
import termios
from collections import deque
from fcntl import ioctl
from typing import Any, Final

LARGE_BYTES: Final = 4_096
"""Smaller answers are not counted: a pipe holds few of them."""
SETTLE_PEERS: Final = 1_024
"""Where more are known, those that are gone are looked for."""


class Peer:
    """One connection's descriptor, and what its pipe may hold."""

    def __init__(self, fd: int, inode: int, answers: int) -> None:
        self.fd = fd
        self.inode = inode
        self.sizes: deque[int] = deque(maxlen=answers)
        self.held = 0

    def clear(self) -> None:
        """The pipe is empty."""
        self.sizes.clear()
        self.held = 0

    def add(self, size: int) -> int:
        """A large answer went into the pipe; by how much that grew."""
        before = self.held
        if len(self.sizes) == self.sizes.maxlen:
            self.held -= self.sizes[0]
        self.sizes.append(size)
        self.held += size
        return self.held - before


class Pipes:
    """The connections whose requests have large answers.

    `answers` is how many of them a pipe holds; `own_name` is the
    listening socket's name.
    """

    def __init__(self, answers: int, own_name: Any) -> None:
        self._answers = answers
        self._own_name = own_name
        self._peers: dict[bytes, Peer] = {}
        self._settle_at = SETTLE_PEERS
        self.held = 0

    def seen(self, origin: bytes, fd: int) -> None:
        """A request whose answer may be large came over this socket."""
        known = self._peers.get(origin)
        if known is not None and known.fd == fd:
            return
        self.forget(origin)
        if len(self._peers) >= self._settle_at:
            self.settle()
            self._settle_at = max(SETTLE_PEERS, 2 * len(self._peers))
        try:
            inode = os.fstat(fd).st_ino
        except OSError:
            return
        self._peers[origin] = Peer(fd, inode, self._answers)

    def handed(self, origin: bytes, size: int) -> None:
        """The pipe took a large answer."""
        peer = self._peers.get(origin)
        if peer is not None:
            self.held += peer.add(size)

    def held_by(self, origin: bytes) -> int:
        """How many bytes the connection's pipe may hold."""
        peer = self._peers.get(origin)
        return peer.held if peer else 0

    def forget(self, origin: bytes) -> None:
        """The connection is gone."""
        peer = self._peers.pop(origin, None)
        if peer is not None:
            self.held -= peer.held

    def settle(self) -> None:
        """Forget the connections that are gone, and of the others the
        answers that were all sent and acknowledged."""
        for origin, peer in list(self._peers.items()):
            unsent = _unsent(peer)
            if unsent is None:
                self.forget(origin)
            elif unsent == 0:
                self.held -= peer.held
                peer.clear()

    def origins(self) -> list[bytes]:
        """The connections that may hold something."""
        return [origin for origin, peer in self._peers.items() if peer.held]

    def shut(self, origin: bytes) -> None:
        """End the connection; libzmq then frees its pipe."""
        peer = self._peers.get(origin)
        if peer is None:
            return
        self.forget(origin)
        copy = copy_of(peer.fd)
        if copy is None:
            return
        with copy:
            is_same = os.fstat(copy.fileno()).st_ino == peer.inode
            if is_same and is_ours(copy.getsockname(), self._own_name):
                shut_down(copy)


def copy_of(fd: int) -> socket.socket | None:
    """A socket under another descriptor; None where it is no socket."""
    try:
        copy = os.dup(fd)
    except OSError:
        return None
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None


def shut_down(connection: socket.socket) -> bool:
    """End both directions; False where they had ended already."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True


def _unsent(peer: Peer) -> int | None:
    """The bytes that the kernel holds; None where the socket is gone."""
    try:
        if os.fstat(peer.fd).st_ino != peer.inode:
            return None
        answer = ioctl(peer.fd, termios.TIOCOUTQ, bytes(4))
    except OSError:
        return None
    (unsent,) = struct.unpack("i", answer)
    return int(unsent)


def is_ours(name: Any, own_name: Any) -> bool:
    """Whether a socket's own name is the listening one's.

    A listener on all addresses has connections on each of them, hence
    the port alone counts for TCP.
    """
    if isinstance(name, tuple) and isinstance(own_name, tuple):
        return bool(name[1] == own_name[1])
    return bool(name == own_name)

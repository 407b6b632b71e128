"""Subscribers who subscribe without end, found and dropped.

libzmq keeps the subscriptions of a peer in a tree and takes them out one
by one when the peer leaves, in the thread that uses the socket: a million
of them stop everything for seconds. It neither bounds them nor says whose
a subscription is. But the kernel knows how much each connection has sent
(TCP_INFO), and what subscribers send is nothing else: who has sent more
than any program needs is shut down, long before it would hurt.
"""

import os
import socket
import struct
import time
from typing import Any, Final

import structlog

from zchat.engine.pipes import copy_of, is_ours, shut_down

SENT_BYTES: Final = 2_097_152
"""Sixty thousand subscriptions; one device's chats and barriers of years."""
LOOK_AFTER: Final = 10_000
"""Subscriptions of all subscribers together."""
_RECEIVED_AT: Final = 128
"""Where `tcpi_bytes_received` stands in struct tcp_info (linux/tcp.h)."""
_INFO_BYTES: Final = _RECEIVED_AT + 8
_FOLDER: Final = "/dev/fd"

log = structlog.get_logger()


class FloodGuard:
    """Looks for floods where much is heard of subscribers.

    It spends a tenth of the time on it at most.
    """

    def __init__(self, own_name: Any) -> None:
        self._own_name = own_name
        self._look_at = 0.0
        self._heard = 0

    def heard(self) -> None:
        """Something came from a subscriber."""
        self._heard += 1
        if self._heard < LOOK_AFTER:
            return
        began = time.monotonic()
        if began < self._look_at:
            return
        self._heard = 0
        drop_floods(self._own_name)
        ended = time.monotonic()
        self._look_at = ended + 9 * (ended - began)


def drop_floods(own_name: Any, most_bytes: int = SENT_BYTES) -> int:
    """Shut down the connections of the listening socket with this name
    that have sent more; how many there were.

    It looks at each open descriptor, so it is for suspicion only. Other
    systems than Linux do not tell: there it does nothing.
    """
    dropped = 0
    try:
        descriptors = [int(name) for name in os.listdir(_FOLDER)]
    except (OSError, ValueError):
        return 0
    for descriptor in descriptors:
        copy = copy_of(descriptor)
        if copy is None:
            continue
        with copy:
            sent = _sent_over(copy, own_name)
            if sent > most_bytes and shut_down(copy):
                dropped += 1
                log.warning("subscriber_dropped", bytes=sent)
    return dropped


def _sent_over(connection: socket.socket, own_name: Any) -> int:
    """What the other side has sent; 0 where it is none of ours."""
    try:
        if not is_ours(connection.getsockname(), own_name):
            return 0
        connection.getpeername()
        info = connection.getsockopt(
            socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES
        )
    except (OSError, AttributeError):
        return 0
    if len(info) < _INFO_BYTES:
        return 0
    (received,) = struct.unpack_from("Q", info, _RECEIVED_AT)
    return int(received)

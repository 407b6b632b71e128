"""CURVE on both sockets, and the ZAP handler.

libzmq asks a socket at `inproc://zeromq.zap.01` about each key. Without
an answer it lets everybody in, unless the domain is enforced; so the
sockets enforce it, and the handler listens before they bind.
"""

import threading
from collections.abc import Callable
from typing import Any, Final

import zmq

from zchat.engine.zap import DOMAIN, Judge

ENDPOINT: Final = "inproc://zeromq.zap.01"


class ZapHandler:
    """Answers libzmq's questions on a thread of its own.

    It listens when the constructor returns. Its context must be the one
    of the sockets that it guards, and must outlive `close`.
    """

    def __init__(
        self, ctx: "zmq.Context[Any]", allows: Callable[[bytes], bool]
    ) -> None:
        self._judge = Judge(allows)
        self._socket: Any = ctx.socket(zmq.REP)
        self._socket.linger = 0
        self._socket.bind(ENDPOINT)
        self._ending: Any = ctx.socket(zmq.PAIR)
        self._ending.bind(f"inproc://zap-ending-{id(self)}")
        self._end: Any = ctx.socket(zmq.PAIR)
        self._end.connect(f"inproc://zap-ending-{id(self)}")
        self._thread = threading.Thread(
            target=self._serve, name="zap", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End the thread; from now on nobody is let in."""
        self._end.send(b"")
        self._thread.join()
        for socket in (self._end, self._ending, self._socket):
            socket.close(0)

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._ending, zmq.POLLIN)
        while self._ending not in dict(poller.poll()):
            question = self._socket.recv_multipart()
            self._socket.send_multipart(self._judge.answer(question))


def encrypt(socket: Any, secret: bytes) -> None:
    """Let a socket serve CURVE alone; to be called before it binds."""
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
    socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

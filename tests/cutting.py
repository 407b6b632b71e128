"""A TCP proxy that loses connections the way a network does.

`cut` breaks what the client has, at once; the server's end stays open,
so the server goes on believing that the client is there. While `shut`,
nobody gets through.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

ACCEPT_SECONDS: Final = 0.2


class CuttingProxy:
    """Stands before one port of 127.0.0.1; has a port of its own."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(ACCEPT_SECONDS)
        self.port: int = self._listener.getsockname()[1]
        self.endpoint = f"tcp://127.0.0.1:{self.port}"
        self.connections = 0
        self._near: list[socket.socket] = []
        self._far: list[socket.socket] = []
        self._shut = threading.Event()
        self._closed = threading.Event()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            if self._shut.is_set():
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._upstream))
            self._near.append(near)
            self._far.append(far)
            self.connections += 1
            for source, sink in ((near, far), (far, near)):
                threading.Thread(
                    target=_pump, args=(source, sink), daemon=True
                ).start()

    def cut(self) -> None:
        """Break the clients' ends of all connections."""
        for near in self._near:
            with suppress(OSError):
                near.shutdown(socket.SHUT_RDWR)
            near.close()
        self._near.clear()

    def shut(self) -> None:
        """Cut, and let nobody in until `reopen`."""
        self._shut.set()
        self.cut()

    def reopen(self) -> None:
        """Let connections through again."""
        self._shut.clear()

    def close(self) -> None:
        """End everything, the server's ends too."""
        self._closed.set()
        self._listener.close()
        self._acceptor.join()
        self.cut()
        for far in self._far:
            far.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Copy until one side ends; the other is not told."""
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)


@contextmanager
def cutting(port: int) -> Iterator[CuttingProxy]:
    """A proxy before the port, closed afterwards."""
    proxy = CuttingProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()

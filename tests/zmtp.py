"""A peer that speaks ZMTP 3.0 byte by byte, to say what libzmq would not.

See https://rfc.zeromq.org/spec/23/.
"""

import socket
import struct
from types import TracebackType

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16 + 1 + 31)
MORE, LONG, COMMAND = 1, 2, 4


def property_of(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


def frame(body: bytes, flags: int = 0) -> bytes:
    """One frame; a long one by its size."""
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | LONG]) + struct.pack(">Q", len(body)) + body


class RawPeer:
    """One TCP connection to a ZeroMQ socket."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 15)

    def handshake(self, kind: bytes, identity: bytes = b"") -> "RawPeer":
        """Greet, and say what kind of socket this is."""
        self.socket.sendall(GREETING)
        self.exactly(len(GREETING))
        self.socket.sendall(
            frame(
                b"\x05READY"
                + property_of(b"Socket-Type", kind)
                + property_of(b"Identity", identity),
                COMMAND,
            )
        )
        head = self.exactly(2)
        self.exactly(head[1])
        return self

    def exactly(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            piece = self.socket.recv(size - len(got))
            assert piece, "closed by the other side"
            got += piece
        return got

    def send(self, data: bytes) -> bool:
        """Send bytes; False where the other side hung up."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def ended(self) -> bool:
        """Wait until the other side hangs up."""
        try:
            while self.socket.recv(65536):
                continue
        except ConnectionResetError:
            pass
        return True

    def __enter__(self) -> "RawPeer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

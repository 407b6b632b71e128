"""A ROUTER that decodes each request and sends it back: W1's floor."""

import sys
from typing import Any

import msgpack
import zmq


def main() -> None:
    """Echo until killed; the endpoint is the one argument."""
    socket: Any = zmq.Context.instance().socket(zmq.ROUTER)
    socket.bind(sys.argv[1])
    while True:
        frames = socket.recv_multipart()
        msgpack.unpackb(frames[-1])
        socket.send_multipart(frames)


if __name__ == "__main__":
    main()

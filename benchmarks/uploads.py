"""Uploads without end over so many connections, until killed."""

import os
import sys
from hashlib import sha256
from itertools import count
from typing import Any, Final

import zmq

from benchmarks.wire import request, result_of

FILE_BYTES: Final = 5_242_880
CHUNK_BYTES: Final = 262_144


def main() -> None:
    """Arguments: endpoint, token, chat id, uploads at a time."""
    endpoint, token, chat_id, uploads = sys.argv[1:]
    data = os.urandom(FILE_BYTES)
    context: zmq.Context[Any] = zmq.Context.instance()
    poller = zmq.Poller()
    numbers = count()
    file_by_socket: dict[Any, str] = {}
    for _ in range(int(uploads)):
        socket = context.socket(zmq.DEALER)
        socket.connect(endpoint)
        poller.register(socket, zmq.POLLIN)
        socket.send(_begun(token, chat_id, data, next(numbers)))
    while True:
        for socket, _ in poller.poll():
            result = result_of(socket.recv())
            file_id = result.get("file_id", file_by_socket.get(socket, ""))
            file_by_socket[socket] = file_id
            if result.get("complete"):
                socket.send(
                    request(
                        0,
                        "send",
                        token=token,
                        chat_id=chat_id,
                        text="a file",
                        files=[file_id],
                    )
                )
            elif "offset" in result:
                offset = result["offset"]
                socket.send(
                    request(
                        0,
                        "upload_chunk",
                        token=token,
                        file_id=file_id,
                        offset=offset,
                        data=data[offset : offset + CHUNK_BYTES],
                    )
                )
            else:
                socket.send(_begun(token, chat_id, data, next(numbers)))


def _begun(token: str, chat_id: str, data: bytes, number: int) -> bytes:
    """The request that begins the next upload."""
    return request(
        0,
        "upload",
        token=token,
        chat_id=chat_id,
        name=f"{number}.bin",
        size=len(data),
        sha256=sha256(data).hexdigest(),
    )


if __name__ == "__main__":
    main()

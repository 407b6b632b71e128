"""Plain requests over a DEALER: what setting up and checking need."""

from types import TracebackType
from typing import Any, Final

import msgpack
import zmq

ANSWER_MILLISECONDS: Final = 30_000
PAGE: Final = 200


def request(id: int, method: str, **params: Any) -> bytes:
    """The body of a request."""
    body: bytes = msgpack.packb([0, id, method, params])
    return body


def result_of(body: bytes) -> Any:
    """The result in an answer; raises RuntimeError for an error."""
    _, id, error, result = msgpack.unpackb(body)
    if error is not None:
        raise RuntimeError(f"answer {id}: {error}")
    return result


class Caller:
    """One connection that asks and waits for the answer."""

    def __init__(self, endpoint: str) -> None:
        self.socket: Any = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, ANSWER_MILLISECONDS)
        self.socket.connect(endpoint)

    def __enter__(self) -> "Caller":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def call(self, method: str, **params: Any) -> Any:
        """The result of one request."""
        self.socket.send(request(1, method, **params))
        return result_of(self.socket.recv())

    def messages_after(self, token: str, chat_id: str, seq: int) -> list[Any]:
        """Every message of a chat after a seq, oldest first."""
        messages: list[Any] = []
        while True:
            page = self.call(
                "history", token=token, chat_id=chat_id, after=seq, limit=PAGE
            )
            messages += page["messages"]
            if not page["has_newer"]:
                return messages
            seq = messages[-1]["seq"]

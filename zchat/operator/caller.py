"""One who calls the operator's socket of a running broker."""

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import zmq

from zchat.client import NoAnswer
from zchat.errors import ConfigError
from zchat.rpc import codec

ANSWER_SECONDS: Final = 30.0
_REQUEST: Final = 1


class OperatorCaller:
    """Calls methods, one at a time; raises Refused or NoAnswer.

    Raises ConfigError where no broker can be at the path.
    """

    def __init__(
        self, path: str, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        _look_at(path)
        self._path = path
        self._milliseconds = int(answer_seconds * 1000)
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket: Any = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.connect(f"ipc://{path}")

    def call(self, method: str, **params: object) -> Any:
        """The plain result; parameters of None are left out."""
        given = {
            name: value for name, value in params.items() if value is not None
        }
        self._socket.send(codec.encode_request(_REQUEST, method, given))
        if not self._socket.poll(self._milliseconds):
            raise NoAnswer(
                f"No broker answers at {self._path}. Is it running?",
                sent=True,
            )
        try:
            answer = codec.decode_answer(self._socket.recv())
        except ValueError:
            raise NoAnswer(
                f"What answers at {self._path} is not a broker.", sent=True
            ) from None
        if answer.error is not None:
            raise answer.error
        return answer.result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()
        self._context.term()


def _look_at(path: str) -> None:
    """Refuse what ZeroMQ would wait for in vain."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise ConfigError(
            f"No broker is running here: {path} does not exist. "
            "Give the broker's --store, or --operator-socket."
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}.") from None
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"{path} is not a socket.")
    if not os.access(path, os.R_OK | os.W_OK):
        raise ConfigError(
            f"{path} belongs to {Path(path).owner()}. "
            "Run this as that user, or as root."
        )

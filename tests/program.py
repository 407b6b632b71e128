"""The real program with its gateway, and the HTTP of one who uses it."""

import http.client
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from tests.server import Server


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class User(NamedTuple):
    token: str
    id: str

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def ask(
    port: int,
    verb: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """One request on a connection of its own; what is no bytes is JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    if body is not None and not isinstance(body, bytes):
        body = msgspec.json.encode(body)
    try:
        connection.request(verb, path, body, headers or {})
        answer = connection.getresponse()
        return Answer(
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read(),
        )
    finally:
        connection.close()


def has_status(port: int, path: str, status: int) -> bool:
    """Whether a GET is answered so, at this moment."""
    try:
        return ask(port, "GET", path).status == status
    except OSError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


class Program:
    """A server that is spoken to over HTTP."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = server.port

    def start(self) -> None:
        """Start it and wait until both halves serve."""
        self.server.start()
        wait_until(lambda: has_status(self.port, "/readyz", 200))

    def ask(
        self,
        verb: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        return ask(self.port, verb, path, body, headers)

    def user(self, name: str | None = None) -> User:
        """A new user."""
        made = self.ask("POST", "/connect", name and {"name": name}).json
        return User(made["token"], made["user_id"])

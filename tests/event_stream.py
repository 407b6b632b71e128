"""A client of `GET /events` that reads the stream event by event."""

from typing import Any, NamedTuple

import msgspec

from tests.http_server import Client
from tests.program import User


class Event(NamedTuple):
    name: str
    id: str
    data: Any


class Stream:
    """One open stream of a user's events; `query` may hold a ticket."""

    def __init__(
        self,
        port: int,
        user: User | None = None,
        last_id: str = "",
        query: str = "",
    ) -> None:
        self.client = Client(port)
        fields = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        if user is not None:
            fields += f"Authorization: Bearer {user.token}\r\n"
        self.client.send(
            (
                f"GET /events?{query} HTTP/1.1\r\n"
                f"Host: 127.0.0.1\r\n{fields}\r\n"
            ).encode()
        )
        self.status, self.headers = self.client.head()
        assert self.headers["content-type"] == "text/event-stream"
        self._text = b""

    def event(self) -> Event:
        while True:
            while b"\n\n" not in self._text:
                self._text += self.client.chunk()
            block, _, self._text = self._text.partition(b"\n\n")
            fields = dict(
                line.split(": ", 1) for line in block.decode().split("\n")
            )
            if "event" in fields:
                return Event(
                    fields["event"],
                    fields.get("id", ""),
                    msgspec.json.decode(fields["data"]),
                )

    def until(self, name: str, count: int = 1) -> list[Event]:
        """The events up to so many of that name, one of them the last."""
        found: list[Event] = []
        while count:
            found.append(self.event())
            count -= found[-1].name == name
        return found

    def texts(self, count: int) -> list[str]:
        """The texts of the next so many messages."""
        return [
            self.until("message")[-1].data["message"]["text"]
            for _ in range(count)
        ]

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

"""A bare client, from docs/reference/protocol.md alone.

It knows nothing of zchat's code, so what it can do every client can.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

import msgpack
import zmq
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ANSWER_SECONDS = 15.0
HEARTBEAT = b"h" + bytes(16)
CHUNK = 262_144


class Failed(Exception):
    """An error answer."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code: str = error["code"]
        self.message: str = error["message"]
        self.data: dict[str, Any] = error["data"]


class Answer(NamedTuple):
    """What came back for a request."""

    id: int | None
    error: dict[str, Any] | None
    result: Any


class Sockets:
    """Makes sockets, and closes them all in the end."""

    def __init__(self) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._made: list[Any] = []

    def socket(self, kind: int) -> Any:
        made = self._context.socket(kind)
        made.linger = 0
        self._made.append(made)
        return made

    def close(self) -> None:
        for made in self._made:
            made.close()
        self._context.term()


@contextmanager
def context() -> Iterator[Sockets]:
    """Sockets for one test."""
    made = Sockets()
    try:
        yield made
    finally:
        made.close()


class Caller:
    """One RPC connection: a DEALER, or a REQ."""

    def __init__(
        self, ctx: Sockets, endpoint: str, kind: int = zmq.DEALER
    ) -> None:
        self.socket = ctx.socket(kind)
        self.socket.connect(endpoint)
        self._last_id = 0

    def post(self, method: str, **params: Any) -> int:
        """Send a request; its id."""
        self._last_id += 1
        self.socket.send(msgpack.packb([0, self._last_id, method, params]))
        return self._last_id

    def raw(self, *frames: bytes) -> Answer:
        """Send these frames; the answer to them."""
        self.socket.send_multipart(frames)
        return self.answer()

    def frames(self, seconds: float = ANSWER_SECONDS) -> list[bytes]:
        """The next message, whole."""
        assert self.socket.poll(int(seconds * 1000)), "no answer came"
        received: list[bytes] = self.socket.recv_multipart()
        return received

    def answer(self, seconds: float = ANSWER_SECONDS) -> Answer:
        """The next answer."""
        answer = msgpack.unpackb(self.frames(seconds)[-1])
        kind, id, error, result = answer
        assert kind == 1
        assert error is None or result is None
        return Answer(id, error, result)

    def answers(self, count: int) -> dict[int | None, Answer]:
        """The next answers, by id."""
        came = [self.answer() for _ in range(count)]
        by_id = {answer.id: answer for answer in came}
        assert len(by_id) == count
        return by_id

    def call(self, method: str, **params: Any) -> Any:
        """The result of a request; raises Failed."""
        id = self.post(method, **params)
        answer = self.answer()
        assert answer.id == id
        if answer.error is not None:
            raise Failed(answer.error)
        return answer.result

    def refused(self, method: str, **params: Any) -> Failed:
        """The refusal of a request, which must come."""
        try:
            result = self.call(method, **params)
        except Failed as failed:
            return failed
        raise AssertionError(f"{method} was not refused: {result}")

    def close(self) -> None:
        self.socket.close()


class User:
    """A user on an RPC connection: the token goes with every call."""

    def __init__(self, caller: Caller, token: str | None = None) -> None:
        self.caller = caller
        made = caller.call(
            "connect", **({} if token is None else {"token": token})
        )
        self.token: str = made["token"]
        self.id: str = made["user_id"]
        self.name: str = made["name"]
        self.common: str = made["chat_default"]

    def call(self, method: str, **params: Any) -> Any:
        return self.caller.call(method, token=self.token, **params)

    def post(self, method: str, **params: Any) -> int:
        return self.caller.post(method, token=self.token, **params)

    def refused(self, method: str, **params: Any) -> Failed:
        return self.caller.refused(method, token=self.token, **params)

    def send(self, text: str, **params: Any) -> Any:
        return self.call("send", text=text, **params)

    def texts(self, chat_id: str | None = None) -> list[str]:
        """The newest visible texts of a chat, oldest first."""
        page = self.call("history", chat_id=chat_id or self.common)
        return [message["text"] for message in page["messages"]]


def chat_topic(chat_id: str) -> bytes:
    return b"c" + UUID(chat_id).bytes


def inbox_topic(user_id: str) -> bytes:
    return b"u" + UUID(user_id).bytes


class Listener:
    """One SUB connection and the event keys it was given."""

    def __init__(self, ctx: Sockets, endpoint: str) -> None:
        self.socket = ctx.socket(zmq.SUB)
        self.socket.sndhwm = 0
        self.socket.connect(endpoint)
        self._secrets: dict[tuple[bytes, int], bytes] = {}

    def subscribe(self, *topics: bytes) -> None:
        for topic in topics:
            self.socket.subscribe(topic)

    def barrier(self) -> None:
        """Wait until all that was subscribed is live."""
        topic = b"b" + os.urandom(16)
        self.socket.subscribe(topic)
        while self.frames()[0] != topic:
            continue
        self.socket.unsubscribe(topic)

    def learn(self, topic: bytes, key: dict[str, Any] | None) -> None:
        """Keep a key out of `sync`."""
        if key is not None:
            self._secrets[topic, key["id"]] = key["secret"]

    def follow(self, user: User) -> None:
        """Subscribe to all that is the user's, with the keys of `sync`."""
        state = user.call("sync")
        inbox = inbox_topic(user.id)
        self.learn(inbox, state["inbox_key"])
        for chat in state["chats"]:
            self.learn(chat_topic(chat["id"]), chat["event_key"])
        self.subscribe(
            inbox, *(chat_topic(chat["id"]) for chat in state["chats"])
        )
        self.barrier()

    def frames(self, seconds: float = ANSWER_SECONDS) -> list[bytes]:
        """The next event as it came."""
        assert self.socket.poll(int(seconds * 1000)), "no event came"
        received: list[bytes] = self.socket.recv_multipart()
        assert len(received) == 2
        return received

    def opened(self, topic: bytes, body: bytes) -> dict[str, Any] | None:
        """The event, or None where it is sealed with an unknown key."""
        if topic.startswith((b"h", b"b")):
            return {"event": "plain"}
        if not any(known == topic for known, _ in self._secrets):
            try:
                return _event(body)
            except (ValueError, UnicodeDecodeError):
                return None
        secret = self._secrets.get((topic, int.from_bytes(body[:4], "big")))
        if secret is None:
            return None
        try:
            return _event(
                AESGCM(secret).decrypt(body[4:16], body[16:], topic + body[:4])
            )
        except InvalidTag:
            return None

    def next(
        self, name: str, seconds: float = ANSWER_SECONDS, **fields: Any
    ) -> dict[str, Any]:
        """The next event of that name with these fields."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            event = self.opened(*self.frames(ends - time.monotonic()))
            if (
                event
                and event["event"] == name
                and all(
                    event.get(key) == value for key, value in fields.items()
                )
            ):
                return event
        raise AssertionError(f"no {name} came")

    def close(self) -> None:
        self.socket.close()


def _event(body: bytes) -> dict[str, Any] | None:
    event = msgpack.unpackb(body)
    return event if isinstance(event, dict) and "event" in event else None


class Client:
    """A server's endpoints: makes users and listeners on them."""

    def __init__(self, ctx: Sockets, rpc: str, events: str) -> None:
        self.ctx = ctx
        self.rpc = rpc
        self.events = events

    def caller(self, kind: int = zmq.DEALER) -> Caller:
        return Caller(self.ctx, self.rpc, kind)

    def user(self, token: str | None = None) -> User:
        return User(self.caller(), token)

    def users(self, count: int) -> list[User]:
        return [self.user() for _ in range(count)]

    def listener(self, *users: User) -> Listener:
        """Subscribed to all that is these users'."""
        made = Listener(self.ctx, self.events)
        for user in users:
            made.follow(user)
        return made


def wait_until(
    condition: Callable[[], object], what: str, seconds: float = ANSWER_SECONDS
) -> None:
    """Ask again and again until it holds."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"still not so: {what}"
        time.sleep(0.01)

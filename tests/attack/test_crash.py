"""kill -9 at random moments under load: nothing acknowledged is missing."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from tests.bare import Client, User, context
from tests.server import Server, running

SECONDS = 10.0
LEAST_ROUNDS = 6
CLIENTS = 6
IN_FLIGHT = 25


class Writer:
    """A client that pipelines sends under keys, and sends them again.

    `acknowledged` maps a key to its answer, `waiting` a request's id to
    its key, in the order sent.
    """

    def __init__(self, user: User, chat_id: str) -> None:
        self.user = user
        self.chat_id = chat_id
        self.acknowledged: dict[str, dict[str, Any]] = {}
        self.waiting: dict[int | None, str] = {}
        self._count = 0

    def post(self, key: str) -> None:
        self.waiting[
            self.user.post(
                "send",
                chat_id=self.chat_id,
                text=f"text {key}",
                idempotency_key=key,
            )
        ] = key

    def fill(self) -> None:
        """Send until enough is in flight."""
        while len(self.waiting) < IN_FLIGHT:
            self._count += 1
            self.post(f"{self.user.id[-6:]} {self._count}")

    def again(self) -> None:
        """Send everything unanswered once more."""
        keys = list(self.waiting.values())
        self.waiting.clear()
        for key in keys:
            self.post(key)

    def take(self) -> int:
        """Take the answers that are there."""
        taken = 0
        while self.user.caller.socket.poll(0):
            answer = self.user.caller.answer()
            assert answer.error is None
            key = self.waiting.pop(answer.id, None)
            if key is not None:
                self._acknowledge(key, answer.result)
                taken += 1
        return taken

    def _acknowledge(self, key: str, result: dict[str, Any]) -> None:
        assert key not in self.acknowledged
        self.acknowledged[key] = result


class Load:
    """Writers to a group, driven by one thread."""

    def __init__(self, client: Client) -> None:
        owner = client.user()
        self.reader = owner
        chat_id = owner.call("create_chat", name="Load")["chat_id"]
        self.writers = []
        for user in client.users(CLIENTS):
            owner.call("invite", chat_id=chat_id, user_id=user.id)
            self.writers.append(Writer(user, chat_id))
        self.chat_id = chat_id
        self._poller = zmq.Poller()
        for writer in self.writers:
            self._poller.register(writer.user.caller.socket, zmq.POLLIN)

    def run(self, acknowledgements: int) -> None:
        """Send on until so many more were acknowledged."""
        ends = time.monotonic() + 15
        while acknowledgements > 0:
            assert time.monotonic() < ends, "no answers come"
            for writer in self.writers:
                writer.fill()
            self._poller.poll(100)
            acknowledgements -= self.take()

    def take(self) -> int:
        return sum(writer.take() for writer in self.writers)

    def finish(self) -> None:
        """Wait until everything is acknowledged."""
        ends = time.monotonic() + 15
        while any(writer.waiting for writer in self.writers):
            assert time.monotonic() < ends, "no answers come"
            self._poller.poll(100)
            self.take()


def messages(reader: User, chat_id: str) -> list[dict[str, Any]]:
    """All that is in the chat, oldest first."""
    found: list[dict[str, Any]] = []
    more = True
    while more:
        page = reader.call(
            "history",
            chat_id=chat_id,
            limit=200,
            after=found[-1]["seq"] if found else 0,
        )
        found += page["messages"]
        more = page["has_newer"]
    return found


def crash(server: Server, chance: random.Random) -> None:
    """Kill it, sometimes once more while it starts, and start it."""
    server.kill()
    while chance.random() < 0.3:
        server.launch()
        time.sleep(chance.random() * 0.6)
        server.kill()
    server.start()


def check(load: Load) -> None:
    """What is there is what was acknowledged: once, and without holes."""
    there = messages(load.reader, load.chat_id)
    assert [message["seq"] for message in there] == list(
        range(1, len(there) + 1)
    )
    by_text = {message["text"]: message for message in there}
    assert len(by_text) == len(there)
    for writer in load.writers:
        for key, sent in writer.acknowledged.items():
            message = by_text[f"text {key}"]
            assert (message["id"], message["seq"]) == (sent["id"], sent["seq"])
            assert message["created"] == sent["created"]


def test_what_was_acknowledged_is_there_once_after_kills(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    chance = random.Random()
    with running(tmp_path, free_port()) as server, context() as ctx:
        load = Load(Client(ctx, server.rpc, server.events))
        ends = time.monotonic() + SECONDS
        rounds = 0
        while time.monotonic() < ends or rounds < LEAST_ROUNDS:
            load.run(chance.randrange(1, 800))
            time.sleep(chance.random() * 0.01)
            crash(server, chance)
            load.take()
            for writer in load.writers:
                writer.again()
            rounds += 1
        load.finish()
        check(load)
        total = sum(len(writer.acknowledged) for writer in load.writers)
        assert len(messages(load.reader, load.chat_id)) == total
        assert total > rounds
        listed = server.log.text
        assert "Traceback" not in listed

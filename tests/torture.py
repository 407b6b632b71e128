"""kill -9 at random moments under mixed load, and what is there after.

Each actor does one thing after another and waits for the answer; what is
not answered, because the broker was killed, it asks for again: under the
same idempotency key, or where a repeat does no harm. What was answered
is written down. In the end all of it must be there, once, and nothing
else: messages with their newest texts, deletions, members, read
positions, files and scheduled messages. `make torture` kills a broker
hundreds of times; tests/attack/test_torture.py does so a few times.
"""

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.bare import Caller, Client, Failed, Sockets, User, context
from tests.conftest import candidates, is_free
from tests.server import Server
from zchat.operator.stores import check_store

RETRY_SECONDS: Final = 1.0
FINISH_SECONDS: Final = 150.0
PAUSES: Final = {"unavailable": 0.02, "rate_limited": 1.0}
"""How long an actor waits before it asks again, by the code it got."""
FLAGS: Final = ("--new-users", "0", "--unattached-bytes", "1000000000")


class Stopped(Exception):
    """The torture is over."""


class Actor(threading.Thread):
    """Does one thing after another on a connection of its own."""

    def __init__(
        self, ctx: Sockets, rpc: str, user: User, chat_id: str
    ) -> None:
        super().__init__(daemon=True)
        self.caller = Caller(ctx, rpc)
        self.user = user
        self.chat_id = chat_id
        self.done = 0
        self.fault: BaseException | None = None
        self._stopping = threading.Event()
        self._numbers = 0

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.act()
                self.done += 1
        except Stopped:
            pass
        except BaseException as error:
            self.fault = error

    def act(self) -> None:
        """One thing, to its end."""
        raise NotImplementedError

    def stop(self) -> None:
        """Finish what was begun, and nothing more."""
        self._stopping.set()

    def key(self) -> str:
        """A new key, which is also a text that nobody else sends."""
        self._numbers += 1
        return f"{type(self).__name__} {self.user.id[-6:]} {self._numbers}"

    def ask(self, method: str, **params: Any) -> Any:
        """The result, asked for until it comes; raises Failed."""
        ids = set()
        ends = time.monotonic() + FINISH_SECONDS
        while time.monotonic() < ends:
            ids.add(self.caller.post(method, token=self.user.token, **params))
            again = time.monotonic() + RETRY_SECONDS
            while (left := again - time.monotonic()) > 0:
                if not self.caller.socket.poll(int(left * 1000) + 1):
                    continue
                answer = self.caller.answer()
                if answer.id not in ids:
                    continue
                if answer.error is None:
                    return answer.result
                if answer.error["code"] not in PAUSES:
                    raise Failed(answer.error)
                time.sleep(PAUSES[answer.error["code"]])
                break
        raise TimeoutError(f"{method} was not answered")

    def expect(self, method: str, done: Sequence[str], **params: Any) -> None:
        """As `ask`, where an earlier try may have done it already."""
        try:
            self.ask(method, **params)
        except Failed as failed:
            if failed.code not in done:
                raise


class Sender(Actor):
    """Sends; `sent` maps texts to answers."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.sent: dict[str, dict[str, Any]] = {}

    def send(self, text: str, **params: Any) -> Any:
        """Send one message under a key that is its text."""
        return self.ask(
            "send",
            chat_id=self.chat_id,
            text=text,
            idempotency_key=text,
            **params,
        )

    def act(self) -> None:
        text = self.key()
        self.sent[text] = self.send(text)


class Editor(Sender):
    """Sends and edits; `edited` maps ids to the newest text."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.edited: dict[str, str] = {}

    def act(self) -> None:
        message = self.send(self.key())
        for _ in range(3):
            text = self.key()
            self.ask(
                "edit",
                message_id=message["id"],
                text=text,
                idempotency_key=text,
            )
            self.edited[message["id"]] = text


class Deleter(Sender):
    """Sends and deletes; `deleted` are ids."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.deleted: set[str] = set()

    def act(self) -> None:
        message = self.send(self.key())
        self.ask("delete", message_id=message["id"])
        self.deleted.add(message["id"])


class Owner(Actor):
    """Lets somebody in and throws them out; `is_in` is how it ended."""

    def __init__(self, guest_id: str, *given: Any) -> None:
        super().__init__(*given)
        self.guest_id = guest_id
        self.is_in = False

    def act(self) -> None:
        about = {"chat_id": self.chat_id, "user_id": self.guest_id}
        if self.is_in:
            self.expect("remove", ("not_found",), **about)
        else:
            self.expect("invite", ("conflict",), **about)
        self.is_in = not self.is_in


class Reader(Actor):
    """Reads on; `seq` is how far it was told that it is."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.seq = 0

    def act(self) -> None:
        found = self.ask("history", chat_id=self.chat_id, limit=1)
        told = self.ask("read", chat_id=self.chat_id, seq=found["head"])
        assert told["seq"] >= self.seq, "a read position went back"
        self.seq = told["seq"]


class Uploader(Sender):
    """Uploads files and attaches them; `files` maps ids to SHA-256."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.files: dict[str, str] = {}

    def act(self) -> None:
        data = os.urandom(600_000)
        digest = sha256(data).hexdigest()
        about = {
            "chat_id": self.chat_id,
            "name": "a.bin",
            "size": len(data),
            "sha256": digest,
        }
        begun = self.ask("upload", **about)
        file_id, offset = begun["file_id"], begun["offset"]
        while offset < len(data):
            chunk = data[offset : offset + begun["chunk_size"]]
            try:
                told = self.ask(
                    "upload_chunk", file_id=file_id, offset=offset, data=chunk
                )
                offset = told["offset"]
            except Failed as failed:
                if failed.code != "conflict":
                    raise
                offset += len(chunk)
        text = self.key()
        self.sent[text] = self.send(text, files=[file_id])
        self.files[file_id] = digest


class Scheduler(Actor):
    """Schedules for the next second; `scheduled` maps ids to texts."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.scheduled: dict[str, str] = {}

    def act(self) -> None:
        text = self.key()
        moment = datetime.now(UTC) + timedelta(seconds=3)
        try:
            told = self.ask(
                "schedule",
                chat_id=self.chat_id,
                text=text,
                send_at=moment.isoformat(),
                idempotency_key=text,
            )
        except Failed as failed:
            if failed.code not in ("conflict", "bad_request"):
                raise
            time.sleep(0.2)
            return
        self.scheduled[told["id"]] = text
        time.sleep(0.1)


class Outcome(NamedTuple):
    """What all rounds showed; a fault is a line of text."""

    rounds: int
    acknowledged: dict[str, int]
    messages: int
    faults: list[str]


class Torture:
    """Actors at work on one server that is killed again and again."""

    def __init__(
        self, server: Server, ctx: Sockets, by: random.Random
    ) -> None:
        self._server = server
        self._by = by
        client = Client(ctx, server.rpc, server.events)
        owner, self._guest, *users = client.users(12)
        self._owner = owner
        chat_id = owner.call("create_chat", name="Load")["chat_id"]
        self._chat_id = chat_id
        for user in users:
            owner.call("invite", chat_id=chat_id, user_id=user.id)
        kinds = (
            Sender,
            Sender,
            Sender,
            Editor,
            Editor,
            Deleter,
            Reader,
            Uploader,
            Scheduler,
            Scheduler,
        )
        self.actors: list[Actor] = [
            Owner(self._guest.id, ctx, server.rpc, owner, chat_id),
            *(
                kind(ctx, server.rpc, user, chat_id)
                for kind, user in zip(kinds, users, strict=True)
            ),
        ]

    def run(self, rounds: int, told: Callable[[int], None]) -> Outcome:
        """Kill it so often, then look at what is there."""
        for actor in self.actors:
            actor.start()
        for number in range(1, rounds + 1):
            time.sleep(self._by.uniform(0.02, 0.4))
            self._server.kill()
            if self._by.random() < 0.2:
                self._server.launch()
                time.sleep(self._by.uniform(0, 0.5))
                self._server.kill()
            self._server.start()
            self._refuse_faults()
            told(number)
        for actor in self.actors:
            actor.stop()
        for actor in self.actors:
            actor.join(FINISH_SECONDS)
        self._refuse_faults()
        self._wait_for_schedules()
        return self._outcome(rounds)

    def _wait_for_schedules(self) -> None:
        """The last are due some seconds after they were scheduled."""
        ends = time.monotonic() + FINISH_SECONDS
        while any(self._schedules(self._messages())):
            if time.monotonic() > ends:
                return
            time.sleep(0.2)

    def _refuse_faults(self) -> None:
        for actor in self.actors:
            if actor.fault is not None:
                raise AssertionError(
                    f"{type(actor).__name__} failed"
                ) from actor.fault

    def _outcome(self, rounds: int) -> Outcome:
        there = self._messages()
        faults = [
            fault
            for look in (
                self._numbers,
                self._texts,
                self._changes,
                self._schedules,
            )
            for fault in look(there)
        ]
        faults += [*self._members(), *self._positions(), *self._files()]
        acknowledged: dict[str, int] = {}
        for actor in self.actors:
            name = type(actor).__name__
            acknowledged[name] = acknowledged.get(name, 0) + actor.done
        return Outcome(rounds, acknowledged, len(there), faults)

    def _of(self, kind: type[Actor]) -> list[Any]:
        return [actor for actor in self.actors if isinstance(actor, kind)]

    def _messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        more = True
        while more:
            page = self._owner.call(
                "history",
                chat_id=self._chat_id,
                limit=200,
                after=found[-1]["seq"] if found else 0,
            )
            found += page["messages"]
            more = page["has_newer"]
        return found

    def _numbers(self, there: list[dict[str, Any]]) -> Iterator[str]:
        if [m["seq"] for m in there] != list(range(1, len(there) + 1)):
            yield "the numbers of the messages have holes"
        texts = [m["text"] for m in there if m["text"]]
        if len(set(texts)) != len(texts):
            yield f"{len(texts) - len(set(texts))} messages are doubled"

    def _texts(self, there: list[dict[str, Any]]) -> Iterator[str]:
        by_id = {message["id"]: message for message in there}
        for actor in self._of(Sender):
            for text, sent in actor.sent.items():
                found = by_id.get(sent["id"])
                if found is None:
                    yield f"{text} is missing"
                elif (found["text"], found["seq"]) != (text, sent["seq"]):
                    yield f"{text} is another message now"

    def _changes(self, there: list[dict[str, Any]]) -> Iterator[str]:
        by_id = {message["id"]: message for message in there}
        for actor in self._of(Editor):
            for id, text in actor.edited.items():
                if by_id[id]["text"] != text:
                    yield f"the edit {text} is lost"
        for actor in self._of(Deleter):
            for id in actor.deleted:
                if not by_id[id]["deleted"] or by_id[id]["text"]:
                    yield f"{id} is not deleted"

    def _schedules(self, there: list[dict[str, Any]]) -> Iterator[str]:
        texts = {message["text"] for message in there}
        for actor in self._of(Scheduler):
            for text in actor.scheduled.values():
                if text not in texts:
                    yield f"the scheduled {text} was not sent"

    def _members(self) -> Iterator[str]:
        (owner,) = self._of(Owner)
        listed = self._owner.call("users", chat_id=self._chat_id)["users"]
        if (self._guest.id in {u["id"] for u in listed}) is not owner.is_in:
            yield "a member came or went"

    def _positions(self) -> Iterator[str]:
        for actor in self._of(Reader):
            chats = actor.user.call("sync")["chats"]
            (chat,) = [c for c in chats if c["id"] == self._chat_id]
            if chat["read"] < actor.seq:
                yield f"read up to {chat['read']} instead of {actor.seq}"

    def _files(self) -> Iterator[str]:
        for actor in self._of(Uploader):
            for file_id, digest in actor.files.items():
                if sha256(self._download(file_id)).hexdigest() != digest:
                    yield f"the file {file_id} is damaged"

    def _download(self, file_id: str) -> bytes:
        data, size = b"", 1
        while len(data) < size:
            piece = self._owner.call(
                "download", file_id=file_id, offset=len(data)
            )
            data, size = data + piece["data"], piece["size"]
        return data


@contextmanager
def tortured(
    folder: Path, port: int, by: random.Random
) -> Iterator[tuple[Torture, Server]]:
    """A server and its actors."""
    server = Server(folder, port, *FLAGS)
    with context() as ctx:
        try:
            server.start()
            yield Torture(server, ctx, by), server
        finally:
            server.close()


def main() -> int:
    """Torture a broker, and tell the figures; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    began = time.monotonic()
    port = next(port for port in candidates() if is_free(port))

    def told(number: int) -> None:
        if number % 20 == 0:
            print(f"round {number}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        by = random.Random()
        with tortured(Path(folder), port, by) as (torture, server):
            outcome = torture.run(given.rounds, told)
            server.stop()
            faults = outcome.faults + check_store(str(server.store)).faults
    for name, count in outcome.acknowledged.items():
        print(f"{name:10} {count:>7} done")
    print(
        f"{outcome.messages} messages, {outcome.rounds} kills, "
        f"{time.monotonic() - began:.0f} s"
    )
    print("\n".join(faults) or "Nothing is missing, doubled or damaged.")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())

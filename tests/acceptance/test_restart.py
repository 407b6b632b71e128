"""A store across stops of every kind: nothing changes but the process."""

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import zmq

from tests.bare import Client, Failed, User, context
from tests.server import Server, running


class Story:
    """People with something of everything that a store keeps."""

    def __init__(self, client: Client) -> None:
        self.ann, self.bob, self.eve = client.users(3)
        self.club: str = self.ann.call("create_chat", name="Club")["chat_id"]
        self.ann.call("invite", chat_id=self.club, user_id=self.bob.id)
        self.pair: str = self.bob.call("p2p", user_id=self.ann.id)["chat_id"]
        self.link: str = self.ann.call(
            "invite_link", chat_id=self.club, max_uses=2
        )["link"]
        self.eve.call("join", link=self.link)
        self.dead: str = self.ann.call("invite_link", chat_id=self.club)[
            "link"
        ]
        self.ann.call("revoke_link", link=self.dead)
        self.first = self.ann.send("first", idempotency_key="k")
        self.bob.call("comment", message_id=self.first["id"], text="second")
        self.bob.send("psst", chat_id=self.pair)
        self.ann.call("read", chat_id=self.pair, seq=1)
        self.later: str = self.ann.call(
            "schedule",
            text="later",
            send_at=datetime.fromtimestamp(
                time.time() + 3600, UTC
            ).isoformat(),
        )["id"]
        self.dropped: str = self.bob.call(
            "schedule",
            text="never",
            send_at=datetime.fromtimestamp(
                time.time() + 3600, UTC
            ).isoformat(),
        )["id"]
        self.bob.call("cancel", id=self.dropped)
        self.file: str = self.ann.call(
            "upload",
            chat_id=self.club,
            name="a.txt",
            size=4,
            sha256=sha256(b"data").hexdigest(),
        )["file_id"]
        self.ann.call(
            "upload_chunk", file_id=self.file, offset=0, data=b"data"
        )
        self.ann.send("look", chat_id=self.club, files=[self.file])
        self.ann.call("report", user_id=self.eve.id, reason="rude")

    def seen(self) -> list[Any]:
        """What everybody sees of everything."""
        views: list[Any] = []
        for user in (self.ann, self.bob, self.eve):
            status = user.call("status")
            views += [
                user.call(method)
                for method in ("sync", "chats", "unread", "scheduled")
            ]
            views += [status["user"], status["chats_count"]]
        views.append(self.ann.call("join_requests", chat_id=self.club))
        views.append(self.ann.call("invite_links", chat_id=self.club))
        views.append(self.bob.call("download", file_id=self.file))
        views.append(self.ann.call("comments", message_id=self.first["id"]))
        views.append(self.bob.call("history", chat_id=self.club, limit=200))
        return views

    def go_on(self) -> None:
        """Rules that rest on what was before the stop."""
        assert self.ann.send("first", idempotency_key="k") == self.first
        other = self.ann.refused("send", text="other", idempotency_key="k")
        assert other.code == "conflict"
        twice = self.ann.refused("report", user_id=self.eve.id, reason="rude")
        assert twice.code == "conflict"
        assert self.eve.refused("join", link=self.dead).code == "not_found"
        self.ann.call("approve", chat_id=self.club, user_id=self.eve.id)
        assert self.eve.send("in", chat_id=self.club)["seq"] == 2
        self.ann.call("cancel", id=self.later)
        again = self.bob.refused("cancel", id=self.dropped)
        assert again.code == "conflict"


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL]
)
def test_everything_is_there_after_a_stop(
    tmp_path: Path, free_port: Callable[[], int], number: signal.Signals
) -> None:
    with running(tmp_path, free_port()) as server, context() as ctx:
        story = Story(Client(ctx, server.rpc, server.events))
        before = story.seen()
        status = server.stop(number)
        assert status == (-number if number == signal.SIGKILL else 0)
        server.start()
        assert story.seen() == before
        story.go_on()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_under_load_answers_what_it_did(
    tmp_path: Path, free_port: Callable[[], int], number: signal.Signals
) -> None:
    with running(tmp_path, free_port()) as server, context() as ctx:
        client = Client(ctx, server.rpc, server.events)
        users = client.users(8)
        reader = client.user()
        for text in range(200):
            for user in users:
                user.post("send", text=f"{user.id} {text}")
        acknowledged = [users[0].caller.answer().result for _ in range(20)]
        began = time.monotonic()
        assert server.stop(number) == 0
        assert time.monotonic() - began < 5
        acknowledged += rest(users)
        server.start()
        kept = everything(reader)
        assert [message["seq"] for message in kept] == list(
            range(1, len(kept) + 1)
        )
        assert {sent["id"] for sent in acknowledged} == {
            message["id"] for message in kept
        }
        assert len(acknowledged) == len(kept)


def rest(users: list[User]) -> list[Any]:
    """The results that came before the stop."""
    poller = zmq.Poller()
    caller_by_socket = {user.caller.socket: user.caller for user in users}
    for socket in caller_by_socket:
        poller.register(socket, zmq.POLLIN)
    results = []
    while ready := poller.poll(200):
        results += [
            caller_by_socket[socket].answer().result for socket, _ in ready
        ]
    return results


def everything(reader: User) -> list[dict[str, Any]]:
    """All messages of the common chat."""
    found: list[dict[str, Any]] = []
    more = True
    while more:
        page = reader.call(
            "history",
            chat_id=reader.common,
            limit=200,
            after=found[-1]["seq"] if found else 0,
        )
        found += page["messages"]
        more = page["has_newer"]
    return found


def test_a_second_stop_while_stopping_changes_nothing(
    server_with_work: Server,
) -> None:
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        server_with_work.send_signal(number)
    assert server_with_work.wait() == 0
    assert "Traceback" not in server_with_work.log.text


@pytest.fixture
def server_with_work(tmp_path: Path, free_port: Callable[[], int]) -> Any:
    with running(tmp_path, free_port()) as server, context() as ctx:
        user = Client(ctx, server.rpc, server.events).user()
        for number in range(300):
            user.post("send", text=str(number))
        user.caller.answer()
        yield server


def test_the_epoch_stays_until_the_store_is_another(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with running(tmp_path, free_port()) as server, context() as ctx:
        caller = Client(ctx, server.rpc, server.events).caller()
        first = caller.call("hello")["epoch"]
        server.stop()
        server.start()
        assert caller.call("hello")["epoch"] == first
        server.stop()
        copy = server.store.with_name("copy.db")
        copy.write_bytes(server.store.read_bytes())
        copy.replace(server.store)
        server.start()
        assert caller.call("hello")["epoch"] != first


def test_an_unknown_token_is_unknown_after_a_new_store(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with running(tmp_path, free_port()) as server, context() as ctx:
        client = Client(ctx, server.rpc, server.events)
        ann = client.user()
        server.stop()
        for left in tmp_path.glob("zchat.db*"):
            left.unlink()
        server.start()
        with pytest.raises(Failed, match="unauthorized"):
            ann.call("status")

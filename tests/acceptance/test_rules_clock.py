"""What goes by the clock: quota, bans, lifetimes, heartbeats."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgpack
import pytest

from tests.bare import HEARTBEAT, Client, Listener, User, context, wait_until
from tests.server import Server, running


class Passing(NamedTuple):
    """Messages whose life is short: one was read by all, one was not.

    `pulse` hears the heartbeats meanwhile.
    """

    server: Server
    ann: User
    bob: User
    listener: Listener
    pulse: Listener
    seen: str
    kept: str
    file_id: str


@pytest.fixture(scope="module", autouse=True)
def passing(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Passing]:
    """Begun before the other tests, since deleting takes its time."""
    with (
        running(
            tmp_path_factory.mktemp("passing"),
            free_port(),
            "--message-ttl",
            "1",
        ) as server,
        context() as ctx,
    ):
        client = Client(ctx, server.rpc, server.events)
        ann, bob = client.users(2)
        seen = ann.call("p2p", user_id=bob.id)["chat_id"]
        kept = ann.call("create_chat", name="Kept")["chat_id"]
        ann.call("invite", chat_id=kept, user_id=bob.id)
        listener = client.listener(bob)
        file_id = attach(ann, seen, b"passing")
        ann.send("not read by bob", chat_id=kept)
        assert bob.texts(seen) == ["with a file"]
        assert bob.call("download", file_id=file_id)["data"] == b"passing"
        for user in (ann, bob):
            user.call("read", chat_id=seen, seq=1)
        ann.call("read", chat_id=kept, seq=1)
        server.kill()
        server.start()
        pulse = client.listener()
        pulse.subscribe(HEARTBEAT)
        yield Passing(server, ann, bob, listener, pulse, seen, kept, file_id)


def passed(text: str) -> bool:
    """Whether the moment in a text is over."""
    return datetime.now(UTC) > datetime.fromisoformat(text)


def test_the_quota_ends_with_its_period_and_survives_a_restart(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    flags = ("--rate-limit", "3", "--rate-period", "2")
    with running(tmp_path, free_port(), *flags) as server, context() as ctx:
        client = Client(ctx, server.rpc, server.events)
        ann, bob = client.users(2)
        assert ann.call("status")["user"]["quota"] == {
            "limit": 3,
            "remaining": 3,
            "period": 2,
            "resets_at": None,
        }
        for number in range(3):
            ann.send(str(number), idempotency_key=str(number))
        ann.send("2", idempotency_key="2")
        refused = ann.refused("send", text="too much")
        assert refused.code == "rate_limited"
        assert (refused.data["limit"], refused.data["remaining"]) == (3, 0)
        assert 1 <= refused.data["retry_after"] <= 2
        bob.send("others go on")
        private = ann.call("p2p", user_id=bob.id)["chat_id"]
        ann.send("and so do private chats", chat_id=private)
        server.kill()
        server.start()
        assert ann.refused("send", text="still").code == "rate_limited"
        quota = ann.call("status")["user"]["quota"]
        assert quota["remaining"] == 0
        wait_until(lambda: passed(quota["resets_at"]), "the period's end")
        ann.send("a new period")
        assert ann.call("status")["user"]["quota"]["remaining"] == 2


def test_a_ban_forbids_writing_for_a_while_and_survives_a_restart(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    flags = ("--max-warnings", "2", "--ban-seconds", "3")
    with running(tmp_path, free_port(), *flags) as server, context() as ctx:
        client = Client(ctx, server.rpc, server.events)
        eve, ann, bob = client.users(3)
        listener = client.listener(eve)
        evil = eve.send("something bad")["id"]
        complaint = {"user_id": eve.id, "reason": "it is bad"}
        assert set(ann.call("report", **complaint)) == {"id"}
        again = ann.refused("report", **complaint)
        assert again.code == "conflict"
        own = eve.refused("report", **complaint)
        assert own.code == "bad_request"
        eve.send("not banned by one")
        bob.call("report", message_id=evil, **complaint)
        until = listener.next("banned")["until"]
        check_banned(eve, ann, until)
        server.kill()
        server.start()
        check_banned(eve, ann, until)
        assert eve.call("status")["user"]["banned_until"] == until
        wait_until(lambda: passed(until), "the ban's end")
        eve.send("I am back")
        assert eve.call("status")["user"]["banned_until"] is None
        ann.call("report", **complaint)
        eve.send("warnings began again")


def check_banned(eve: User, other: User, until: str) -> None:
    """What a ban forbids, and what not."""
    message_id = other.call("history", chat_id=other.common)["messages"][0][
        "id"
    ]
    later = datetime.fromtimestamp(time.time() + 60, UTC).isoformat()
    for method, params in (
        ("send", {"text": "x"}),
        ("comment", {"message_id": message_id, "text": "x"}),
        ("schedule", {"text": "x", "send_at": later}),
        (
            "upload",
            {
                "chat_id": eve.common,
                "name": "x",
                "size": 0,
                "sha256": sha256(b"").hexdigest(),
            },
        ),
        ("create_chat", {"name": "x"}),
        ("p2p", {"user_id": other.id}),
    ):
        refused = eve.refused(method, **params)
        assert (method, refused.code) == (method, "banned")
        assert refused.data["until"] == until
    assert eve.texts()
    eve.call("read", chat_id=eve.common, seq=1)
    eve.call("rename", name=eve.name)


def attach(user: User, chat_id: str, data: bytes) -> str:
    """Send a message with a small file; the file's id."""
    file_id: str = user.call(
        "upload",
        chat_id=chat_id,
        name="a.txt",
        size=len(data),
        sha256=sha256(data).hexdigest(),
    )["file_id"]
    user.call("upload_chunk", file_id=file_id, offset=0, data=data)
    user.send("with a file", chat_id=chat_id, files=[file_id])
    return file_id


def test_the_heartbeat_tells_epoch_and_time(passing: Passing) -> None:
    hello = passing.ann.caller.call("hello")
    moments = []
    for _ in range(2):
        topic, body = passing.pulse.frames()
        beat = msgpack.unpackb(body)
        assert topic == HEARTBEAT
        assert set(beat) >= {"epoch", "time"}
        assert beat["epoch"] == hello["epoch"]
        moments.append(datetime.fromisoformat(beat["time"]))
    apart = (moments[1] - moments[0]).total_seconds()
    assert abs(apart - hello["heartbeat"]) < 1


def test_what_was_delivered_is_deleted_with_its_files(
    passing: Passing,
) -> None:
    """A restart on the way changed nothing."""
    server, ann, bob = passing.server, passing.ann, passing.bob
    wait_until(lambda: not bob.texts(passing.seen), "it is invisible")
    refused = bob.refused("download", file_id=passing.file_id)
    assert refused.code == "not_found"
    assert (
        passing.listener.next("expired", seconds=45, chat_id=passing.seen)[
            "seq"
        ]
        == 1
    )
    assert bob.texts(passing.kept) == ["not read by bob"]
    assert ann.texts(passing.kept) == []
    assert ann.send("the next", chat_id=passing.seen)["seq"] == 2
    seen = bob.call("chats", chat_id=passing.seen)["history"]
    assert (seen["head"], seen["unread"]) == (2, 1)
    server.stop()
    with closing(sqlite3.connect(server.store)) as store:
        texts = store.execute("SELECT text FROM messages ORDER BY text")
        assert texts.fetchall() == [("not read by bob",), ("the next",)]
        for table in ("files", "file_chunks"):
            [(count,)] = store.execute(f"SELECT count(*) FROM {table}")
            assert count == 0

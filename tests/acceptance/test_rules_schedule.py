"""Scheduled messages on the real program: once, in time, or cancelled."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.bare import Client, User, context, wait_until
from tests.server import running

FLAGS = ("--rate-limit", "5", "--rate-period", "3600", "--max-warnings", "1")


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("schedule")
    with running(folder, free_port(), *FLAGS) as server, context() as ctx:
        yield Client(ctx, server.rpc, server.events)


def after(seconds: float) -> str:
    """A moment from now, in another zone than UTC."""
    return (
        (datetime.now(UTC) + timedelta(seconds=seconds))
        .astimezone()
        .isoformat()
    )


def states(user: User) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in user.call("scheduled")["messages"]}


def none_waits(user: User) -> bool:
    return not user.call("scheduled", state="pending")["messages"]


def pair(client: Client) -> tuple[User, User, str]:
    ann, bob = client.users(2)
    return ann, bob, ann.call("p2p", user_id=bob.id)["chat_id"]


def test_it_is_sent_once_within_a_second_of_its_time(client: Client) -> None:
    ann, bob, chat_id = pair(client)
    listener = client.listener(ann, bob)
    at = after(0.6)
    row = ann.call(
        "schedule",
        text="later",
        chat_id=chat_id,
        send_at=at,
        idempotency_key="k",
    )
    assert row == ann.call(
        "schedule",
        text="later",
        chat_id=chat_id,
        send_at=at,
        idempotency_key="k",
    )
    assert states(ann)[row["id"]]["state"] == "pending"
    message = listener.next("message")["message"]
    late = datetime.fromisoformat(message["created"]) - datetime.fromisoformat(
        at
    )
    assert timedelta(0) <= late < timedelta(seconds=1)
    event = listener.next("scheduled_sent")
    assert (event["id"], event["message_id"]) == (row["id"], message["id"])
    assert states(ann)[row["id"]]["state"] == "sent"
    assert bob.texts(chat_id) == ["later"]
    late_cancel = ann.refused("cancel", id=row["id"])
    assert late_cancel.code == "conflict"


def test_what_came_due_while_down_is_sent_once_at_the_start(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with running(tmp_path, free_port()) as server, context() as ctx:
        client = Client(ctx, server.rpc, server.events)
        ann, bob, chat_id = pair(client)
        at = after(0.4)
        ids = [
            ann.call(
                "schedule", text=str(number), chat_id=chat_id, send_at=at
            )["id"]
            for number in range(10)
        ]
        ann.call("cancel", id=ids.pop())
        server.kill()
        wait_until(lambda: datetime.now(UTC) > datetime.fromisoformat(at), at)
        server.start()
        wait_until(lambda: len(bob.texts(chat_id)) == 9, "all are sent")
        server.kill()
        server.start()
        assert bob.texts(chat_id) == [str(number) for number in range(9)]
        found = states(ann)
        assert {found[id]["state"] for id in ids} == {"sent"}


def test_cancel_and_send_have_exactly_one_outcome(client: Client) -> None:
    """Cancels come while the messages come due, many times."""
    cancelled = sent = 0
    for _ in range(4):
        ann, bob, chat_id = pair(client)
        devices = [client.user(ann.token) for _ in range(4)]
        due = time.time() + 1
        at = datetime.fromtimestamp(due, UTC).isoformat()
        asked = [
            ann.post("schedule", text=str(n), chat_id=chat_id, send_at=at)
            for n in range(40)
        ]
        made = ann.caller.answers(len(asked))
        ids = [made[number].result["id"] for number in asked]
        posted: list[tuple[User, str, int]] = []
        for number, id in enumerate(ids):
            pace = due + 0.3 * number / len(ids)
            while time.time() < pace:
                continue
            device = devices[number % 4]
            posted.append((device, id, device.post("cancel", id=id)))
        outcomes = {
            id: device.caller.answer().error for device, id, _ in posted
        }
        wait_until(partial(none_waits, ann), "none is pending")
        found = states(ann)
        texts = bob.call("history", chat_id=chat_id, limit=200)["messages"]
        assert sorted(int(m["text"]) for m in texts) == sorted(
            int(found[id]["text"]) for id in ids if outcomes[id]
        )
        for id, error in outcomes.items():
            assert found[id]["state"] == ("sent" if error else "cancelled")
            assert error is None or error["code"] == "conflict"
        sent += len(texts)
        cancelled += len(ids) - len(texts)
    assert sent
    assert cancelled


def test_what_is_forbidden_when_due_fails_and_is_told(client: Client) -> None:
    ann, bob, left = pair(client)
    banned, reporter, chat_id = pair(client)
    spender = client.user()
    listener = client.listener(ann, banned, spender)
    at = after(0.7)
    gone = ann.call("schedule", text="x", chat_id=left, send_at=at)["id"]
    ann.call("exit", chat_id=left)
    ban = banned.call("schedule", text="x", chat_id=chat_id, send_at=at)["id"]
    reporter.call("report", user_id=banned.id, reason="x")
    over = spender.call("schedule", text="x", send_at=at)["id"]
    for number in range(5):
        spender.send(str(number))
    errors = {}
    for _ in range(3):
        event = listener.next("scheduled_failed")
        errors[event["id"]] = event["error"]
    assert errors == {gone: "not_found", ban: "banned", over: "rate_limited"}
    assert states(ann)[gone]["state"] == "failed"
    assert states(ann)[gone]["error"] == "not_found"
    assert bob.texts(left) == []


def test_times_and_numbers_have_limits(client: Client) -> None:
    ann = client.user()
    for at in (
        after(-1),
        after(121 * 86_400),
        "2030-01-01T00:00:00",
        "tomorrow",
        12,
    ):
        refused = ann.refused("schedule", text="x", send_at=at)
        assert refused.code == "bad_request"
        assert refused.data["field"] == "send_at"
    for number in range(50):
        ann.call("schedule", text=str(number), send_at=after(3600))
    too_many = ann.refused("schedule", text="x", send_at=after(3600))
    assert too_many.code == "conflict"
    assert "50" in too_many.message

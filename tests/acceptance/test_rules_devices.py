"""Several devices of one user: told at once, equal after being away."""

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.bare import Client, User, context
from tests.server import running


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("devices")
    with (
        running(folder, free_port(), "--max-warnings", "1") as server,
        context() as ctx,
    ):
        yield Client(ctx, server.rpc, server.events)


def in_seconds(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()


def test_what_one_device_does_the_others_are_told(client: Client) -> None:
    phone, bob = client.users(2)
    laptop = client.user(phone.token)
    told = client.listener(laptop)
    chat_id = phone.call("create_chat", name="Club")["chat_id"]
    assert told.next("chat_added", chat_id=chat_id)["kind"] == "group"
    phone.call("invite", chat_id=chat_id, user_id=bob.id)
    bob.send("hello", chat_id=chat_id)
    phone.call("read", chat_id=chat_id, seq=1)
    assert told.next("read", chat_id=chat_id)["seq"] == 1
    bob.send("again", chat_id=chat_id)
    phone.call("unread", ack=True)
    assert told.next("read", chat_id=chat_id)["seq"] == 2
    name = f"P-{phone.id[-8:]}"
    phone.call("rename", name=name)
    assert told.next("renamed")["name"] == name
    row = phone.call("schedule", text="later", send_at=in_seconds(3600))["id"]
    assert told.next("scheduled_changed", id=row)["state"] == "pending"
    phone.call("cancel", id=row)
    assert told.next("scheduled_changed", id=row)["state"] == "cancelled"
    phone.call("exit", chat_id=chat_id)
    assert told.next("chat_removed")["chat_id"] == chat_id
    bob.call("report", user_id=phone.id, reason="just because")
    assert "until" in told.next("banned")


def state_of(device: User) -> dict[str, Any]:
    """All that a device shows."""
    return {
        "sync": device.call("sync"),
        "chats": device.call("chats"),
        "scheduled": device.call("scheduled"),
        "user": device.call("status")["user"],
    }


def test_after_anything_every_device_shows_the_same(client: Client) -> None:
    """Random doings on three devices, one of which is away meanwhile."""
    chance = random.Random(3)
    first, bob = client.users(2)
    devices = [first, client.user(first.token)]
    chat_ids = [first.common]
    rows: list[str] = []
    for number in range(60):
        device = chance.choice(devices)
        chat_id = chance.choice(chat_ids)
        deed = chance.randrange(7)
        if deed == 0:
            made = device.call("create_chat", name=f"Room {number}")
            chat_ids.append(made["chat_id"])
            device.call("invite", user_id=bob.id, **made)
        elif deed == 1:
            device.call("read", chat_id=chat_id, seq=number)
        elif deed == 2:
            device.call("rename", name=f"{number}-{first.id[-8:]}")
        elif deed == 3:
            rows.append(
                device.call(
                    "schedule", text=str(number), send_at=in_seconds(3600)
                )["id"]
            )
        elif deed == 4 and rows:
            device.call("cancel", id=rows.pop())
        elif deed == 5:
            device.call("unread", ack=True, limit=2)
        else:
            bob.send(str(number), chat_id=chat_id)
    devices.append(client.user(first.token))
    states = [state_of(device) for device in devices]
    assert states[0] == states[1] == states[2]
    read = {chat["id"]: chat["read"] for chat in states[0]["sync"]["chats"]}
    assert set(read) == set(chat_ids)


def test_two_that_poll_at_once_share_what_came(client: Client) -> None:
    """`unread` with `ack` gives each message to one device."""
    phone, bob = client.users(2)
    laptop = client.user(phone.token)
    chat_id = phone.call("p2p", user_id=bob.id)["chat_id"]
    for number in range(30):
        bob.send(str(number), chat_id=chat_id)
    for device in (phone, laptop) * 4:
        device.post("unread", ack=True, limit=7)
    got: list[str] = []
    for device in (phone, laptop) * 4:
        for chat in device.caller.answer().result["chats"]:
            got += [message["text"] for message in chat["messages"]]
    assert sorted(got, key=int) == [str(number) for number in range(30)]

"""What was deleted leaves no trace in the store's own files."""

import time
from pathlib import Path

import pytest

from tests.harness import MakeWorld, World
from zchat.storage.sqlite import store as sqlite_store

PATIENCE_SECONDS = 30.0


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes place every 20 s takes place at once."""
    monkeypatch.setattr(sqlite_store, "EMPTY_SECONDS", 0.05)


def where(world: World, secret: str) -> list[str]:
    """The files beside the store that hold the secret, in any case."""
    folder = Path(world.store._path).parent
    return [
        path.name
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and secret.casefold().encode() in path.read_bytes().lower()
    ]


def wait_until_gone(world: World, secret: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while where(world, secret) and time.monotonic() < until:
        world.store.feed()
        time.sleep(0.02)
    assert where(world, secret) == []


def is_indexed(world: World, count: int) -> bool:
    (through,) = world.store._search.through([world.common])
    return bool(through >= count)


def test_of_a_deleted_message_and_its_file(world: World) -> None:
    ann, bob = world.users("ann bob")
    secret = "Xyzzy-plugh-hidden"
    file_id = world.file(ann, world.common, secret.encode() * 1000)
    sent = ann("send", text=f"about {secret}", files=[file_id])
    for number in range(20):
        bob("send", text=f"other {number}")
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_indexed(world, 21) and time.monotonic() < until:
        world.store.feed()
        time.sleep(0.02)
    assert where(world, secret)

    ann("delete", message_id=sent.id)

    wait_until_gone(world, secret)
    assert len(bob("history", chat_id=world.common).messages) == 20


def test_of_a_deleted_message_while_others_talk(world: World) -> None:
    """The index is rid of it although it is never idle."""
    ann, bob = world.users("ann bob")
    sent = ann("send", text="Fixqjam was here")
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_indexed(world, 1) and time.monotonic() < until:
        world.store.feed()
        time.sleep(0.02)
    assert where(world, "xqj")

    ann("delete", message_id=sent.id)

    while where(world, "xqj") and time.monotonic() < until:
        bob("send", text="and so on")
        world.store.feed()
        time.sleep(0.02)
    assert where(world, "xqj") == []


def test_of_what_a_message_said_before_an_edit(world: World) -> None:
    ann = world.user("ann")
    sent = ann("send", text="Frobozz was here", idempotency_key="k")

    ann("edit", message_id=sent.id, text="nothing at all")

    wait_until_gone(world, "frobozz")


def test_of_what_was_scheduled(world: World) -> None:
    ann = world.user("ann")
    ann("schedule", text="Frobozz at noon", send_at=world.at(1))
    world.wait(2)
    (message,) = ann("history", chat_id=world.common).messages

    ann("delete", message_id=message.id)

    wait_until_gone(world, "frobozz")


def test_of_what_has_expired(make_world: MakeWorld) -> None:
    world = make_world(message_ttl_seconds=10)
    ann = world.user("ann")
    ann("send", text="Frobozz for a while")
    ann("read", chat_id=world.common, seq=1)

    world.wait(60)

    wait_until_gone(world, "frobozz")


def test_but_the_evidence_of_a_complaint(world: World) -> None:
    ann, bob = world.users("ann bob")
    sent = ann("send", text="Frobozz is an insult")
    bob("report", user_id=ann.id, reason="x", message_id=sent.id)
    ann("delete", message_id=sent.id)
    for _ in range(20):
        world.store.feed()
        time.sleep(0.02)

    assert where(world, "frobozz") != []

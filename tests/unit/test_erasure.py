"""All that a user wrote and uploaded goes with the account."""

import json
from typing import Any

import pytest

from tests.harness import NOWHERE, Person, World, codes, refused
from zchat.chat import erasure
from zchat.chat.files import drop_stale
from zchat.chat.jobs import NoParams, Progress
from zchat.engine.batch import Call
from zchat.errors import Code
from zchat.queries import SCHEDULED_OF


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of a few."""
    monkeypatch.setattr(erasure, "SEEN_PAGE", 4)
    monkeypatch.setattr(erasure, "ERASED_PAGE", 2)


def close(world: World, person: Person) -> None:
    world.operator("close_account", user_id=person.id, erase=True)


def erase(world: World) -> bool:
    """One page; whether there is more at once."""
    call = Call(erasure.erase, NoParams())
    world.run([call])
    assert isinstance(call.outcome, Progress)
    return call.outcome.more


def left(world: World) -> list[tuple[str, int]]:
    """Whose erasure is under way, and how many messages went."""
    return world.store.rows("SELECT user_id, messages FROM erasures")


def test_every_text_and_file_goes(
    world: World, ann: Person, bob: Person
) -> None:
    group = world.group(bob, ann)
    pair = ann("p2p", user_id=bob.id).chat_id
    kept = bob("send", text="a word for @ann")
    for chat_id in (world.common, group, pair):
        ann("send", chat_id=chat_id, text="secret @bob")
    sent = ann("comment", message_id=kept.id, text="secret too")
    bob("react", message_id=sent.id, emoji="👍")
    file = world.file(ann, group, b"secret bytes")
    ann("send", chat_id=group, text="", files=[file])
    ann("exit", chat_id=group)
    close(world, ann)
    world.told()

    world.wait(5)

    assert world.told_names().count("message_changed") == 5
    assert bob.texts(world.common) == ["a word for @ann", "", ""]
    assert bob.texts(group) == ["", ""]
    assert bob.texts(pair) == [""]
    page = bob("history", chat_id=world.common).messages
    assert page[-1].deleted
    assert page[-1].author.name == "ann"
    assert not page[-1].reactions
    with refused(Code.NOT_FOUND):
        bob("download", file_id=file)
    assert bob("search", text="secret").messages == []
    assert left(world) == []
    for table in ("files", "file_chunks", "files_gone"):
        assert world.store.rows(f"SELECT * FROM {table}") == []


def test_what_waited_and_what_was_unattached_goes(
    world: World, ann: Person
) -> None:
    file = world.file(ann, world.common, b"waits")
    world.file(ann, world.common, b"unattached")
    ann("schedule", text="soon", send_at=world.at(5))
    world.wait(10)
    ann("schedule", text="later", send_at=world.at(60), files=[file])
    close(world, ann)

    world.wait(90)

    for table in ("files", "file_chunks", "scheduled"):
        assert world.store.rows(f"SELECT * FROM {table}") == []
    texts = world.store.rows("SELECT text FROM messages")
    assert texts == [("",)]


@pytest.mark.usefixtures("_small")
def test_page_by_page_and_across_a_restart(
    world: World, ann: Person, bob: Person
) -> None:
    for number in range(5):
        ann("send", text=f"mine {number}")
    for number in range(9):
        bob("send", text=f"not mine {number}")
    ann("send", text="mine again")
    close(world, ann)

    assert not erase(world)
    assert left(world) == [(ann.id, 2)]
    world.restart()
    assert not erase(world)
    assert left(world) == [(ann.id, 4)]
    assert "mine 4" in bob.texts(world.common)
    assert not erase(world)
    assert erase(world)
    assert left(world) == [(ann.id, 5)]
    world.wait(1)

    assert left(world) == []
    texts = bob.texts(world.common)
    assert [text for text in texts if text] == [
        f"not mine {number}" for number in range(9)
    ]
    assert len(texts) == 15


@pytest.mark.usefixtures("_small")
def test_many_pages_a_second_while_nobody_waits(
    world: World, ann: Person
) -> None:
    for number in range(60):
        ann("send", text=f"mine {number}")
    world.wait(0.5)
    close(world, ann)

    world.wait(1)

    ((_, gone),) = left(world)
    assert 20 <= gone <= 44


@pytest.mark.usefixtures("_small")
def test_two_pages_at_a_time_are_one(
    world: World, ann: Person, bob: Person
) -> None:
    for number in range(3):
        ann("send", text=f"mine {number}")
    close(world, ann)

    calls = [Call(erasure.erase, NoParams()) for _ in range(2)]
    world.run(calls)

    assert [call.outcome for call in calls] == [
        Progress(more=False, when_idle=True),
        Progress(more=False),
    ]
    assert left(world) == [(ann.id, 2)]
    world.wait(5)
    assert bob.texts(world.common) == ["", "", ""]


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("what", ["uploads", "scheduled"])
def test_a_page_of_anything_is_followed_at_the_timers_pace(
    world: World, ann: Person, bob: Person, what: str
) -> None:
    for number in range(3):
        if what == "uploads":
            world.file(ann, world.common, b"%d" % number)
        else:
            ann("schedule", text="x", send_at=world.at(60))
    for _ in range(5):
        bob("send", text="not mine")
    close(world, ann)

    assert not erase(world)
    assert left(world) == [(ann.id, 0)]


def test_a_full_page_is_gone_through_to_its_last(
    world: World, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "ERASED_PAGE", 3)
    ids = [ann("send", text="mine").id for _ in range(5)]
    close(world, ann)

    erase(world)

    assert world.store.rows("SELECT message_id FROM erasures") == [(ids[2],)]


def test_deleted_by_others_meanwhile(
    world: World, ann: Person, bob: Person
) -> None:
    group = world.group(bob, ann)
    gone = ann("send", text="mine")
    ann("send", chat_id=group, text="in a group that ends")
    close(world, ann)
    world.told()

    world.run(
        [
            *world.calls(
                [
                    world.operator.asks("delete_message", message_id=gone.id),
                    bob.asks("exit", chat_id=group),
                ]
            ),
            Call(erasure.erase, NoParams()),
        ]
    )

    assert world.told_names().count("message_changed") == 1
    assert left(world) == []


def test_dropped_meanwhile(
    world: World, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uploads by their age, what is scheduled by another broker: it ends
    the chat after it was asked what there is."""
    gone = world.file(ann, world.common, b"too old")
    ann("schedule", text="later", send_at=world.at(9 * 86_400))
    close(world, ann)
    world.advance(2 * 86_400)
    load = world.store.load

    def end_chat(sources: Any, asks: Any, lock: bool) -> Any:
        answers = load(sources, asks, lock)
        if SCHEDULED_OF in [one.query for one in asks]:
            assert world.store.rows("DELETE FROM scheduled RETURNING id")
        return answers

    monkeypatch.setattr(world.store, "load", end_chat)
    committed = world.store.committed

    world.run([Call(drop_stale, NoParams()), Call(erasure.erase, NoParams())])

    assert world.store.committed == committed + 1
    assert left(world) == []
    assert world.store.rows("SELECT * FROM files WHERE id = ?", gone) == []
    assert world.work.totals.file_bytes == 0


def test_several_one_after_another(
    world: World, ann: Person, bob: Person
) -> None:
    for person in (ann, bob):
        person("send", text="mine")
        close(world, person)

    world.wait(5)

    assert left(world) == []
    assert world.store.rows("SELECT DISTINCT text FROM messages") == [("",)]


def test_a_closed_account_can_be_erased_later(
    world: World, ann: Person, bob: Person
) -> None:
    ann("send", text="mine")
    world.operator("close_account", user_id=ann.id)
    world.wait(5)
    assert bob.texts(world.common) == ["mine"]
    with refused(Code.CONFLICT):
        world.operator("close_account", user_id=ann.id, erase=False)

    close(world, ann)
    world.wait(5)
    close(world, ann)
    world.wait(5)

    assert bob.texts(world.common) == [""]
    assert left(world) == []
    entries = world.operator("audit").entries
    assert [(one.action, one.subject, one.detail) for one in entries] == [
        ("close_account", ann.id, {"erase": 1}),
        ("close_account", ann.id, {"erase": 1}),
        ("close_account", ann.id, {}),
    ]


def test_the_evidence_of_a_complaint_stays(
    world: World, ann: Person, bob: Person
) -> None:
    sent = ann("send", text="rude")
    bob("report", user_id=ann.id, message_id=sent.id, reason="look")
    close(world, ann)
    world.wait(5)

    assert bob.texts(world.common) == [""]
    (complaint,) = world.operator("complaints").complaints
    assert "rude" in json.dumps(complaint.evidence)


def test_nobody_is_erased_without_an_account(world: World) -> None:
    asked = world.operator.asks("close_account", user_id=NOWHERE, erase=True)

    assert codes(world.batch([asked])) == ["not_found"]
    assert left(world) == []
    assert not erase(world)

"""Mentions: who is meant, who is told, and what counts as unread."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness import Person, World
from zchat.chat import mentions
from zchat.chat.mentions import name_keys
from zchat.rpc import MENTIONS_LIMIT
from zchat.rpc.topics import inbox_topic


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("@bob", ["bob"]),
        ("hi @Bob!", ["bob"]),
        ("@bob.", ["bob.", "bob"]),
        ("@bob, @eve: @bob", ["bob", "eve"]),
        ("(@bob)", ["bob"]),
        ("@ada-1_2.x", ["ada-1_2.x"]),
        ("@мария и @田中さん", ["мария", "田中さん"]),
        ("ann@bob.com", []),
        ("ann@x@bob", []),
        ("@...", ["..."]),
        ("@@bob", ["bob"]),
        ("@ bob", []),
        ("@", []),
        ("", []),
        ("@" + "x" * 32, ["x" * 32]),
        ("@" + "x" * 33, []),
        ("@e\u0301ve", ["éve"]),
    ],
)
def test_names_in_a_text(text: str, keys: list[str]) -> None:
    assert name_keys(text) == keys


@given(st.text(max_size=200))
def test_any_text_can_be_looked_through(text: str) -> None:
    assert len(name_keys(text)) <= MENTIONS_LIMIT


def test_many_names_are_bounded() -> None:
    text = " ".join(f"@user{n}" for n in range(1000))

    assert len(name_keys(text)) == MENTIONS_LIMIT


def mentions_in(person: Person, chat_id: str) -> int:
    """How many unread messages mention the person."""
    found: int = next(
        chat.mentions for chat in person("sync").chats if chat.id == chat_id
    )
    return found


def test_a_member_is_told_in_the_inbox(world: World) -> None:
    ann, bob = world.users("ann bob")
    world.told()

    sent = ann("send", text="ask @BOB, or @nobody")

    told = world.told_to(bob)
    assert told == [
        {
            "event": "mentioned",
            "chat_id": world.common,
            "message_id": sent.id,
            "seq": 1,
            "on": True,
        }
    ]
    (message,) = bob.chat(world.common).messages
    assert message.mentions == [bob.id]


def test_the_event_of_the_message_says_who_is_mentioned(world: World) -> None:
    ann, bob = world.users("ann bob")
    world.told()

    ann("send", text="@bob")

    (told,) = world.told_in(world.common)
    assert told["message"]["mentions"] == [bob.id]


def test_it_counts_until_it_is_read(world: World) -> None:
    ann, bob = world.users("ann bob")
    for _ in range(3):
        ann("send", text="@bob")
    assert mentions_in(bob, world.common) == 3

    bob("read", chat_id=world.common, seq=2)

    assert mentions_in(bob, world.common) == 1
    assert mentions_in(ann, world.common) == 0


def test_neither_oneself_nor_a_stranger(world: World) -> None:
    ann, bob, eve = world.users("ann bob eve")
    chat_id = world.group(ann, bob)
    world.told()

    ann("send", chat_id=chat_id, text="@ann @eve")

    assert world.told_to(eve) == []
    assert bob.chat(chat_id).messages[0].mentions == []


def test_all_by_the_owner_of_a_group_only(world: World) -> None:
    ann, bob, eve = world.users("ann bob eve")
    chat_id = world.group(ann, bob, eve)

    ann("send", chat_id=chat_id, text="@all come")
    bob("send", chat_id=chat_id, text="@all no")
    ann("send", text="@all everybody")

    assert [
        set(message.mentions)
        for message in bob("history", chat_id=chat_id).messages
    ] == [{bob.id, eve.id}, set()]
    assert bob.chat(world.common).messages[0].mentions == []
    assert mentions_in(eve, chat_id) == 1


def test_a_comment_mentions_all_as_well(world: World) -> None:
    ann, bob = world.users("ann bob")
    chat_id = world.group(ann, bob)
    sent = bob("send", chat_id=chat_id, text="x")

    ann("comment", message_id=sent.id, text="@all")

    assert bob.chat(chat_id).messages[0].mentions == [bob.id]


def test_the_owner_may_name_one_as_well(world: World) -> None:
    ann, bob, eve = world.users("ann bob eve")
    chat_id = world.group(ann, bob, eve)

    ann("send", chat_id=chat_id, text="@bob")

    assert bob.chat(chat_id).messages[0].mentions == [bob.id]


def test_all_and_who_has_just_come(world: World) -> None:
    ann, bob, eve = world.users("ann bob eve")
    chat_id = world.group(ann, bob)

    world.batch(
        [
            ann.asks("invite", chat_id=chat_id, user_id=eve.id),
            ann.asks("send", chat_id=chat_id, text="@all, this is @eve"),
        ]
    )

    assert bob.chat(chat_id).messages[0].mentions == [bob.id, eve.id]


def test_all_of_a_group_that_is_just_small_enough(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mentions, "EVERYBODY_LIMIT", 2)
    ann, bob = world.users("ann bob")
    chat_id = world.group(ann, bob)

    ann("send", chat_id=chat_id, text="@all")

    assert bob.chat(chat_id).messages[0].mentions == [bob.id]


def test_who_has_left_is_told_nothing_of_an_edit(world: World) -> None:
    ann, bob = world.users("ann bob")
    chat_id = world.group(ann, bob)
    sent = ann("send", chat_id=chat_id, text="@bob")
    bob("exit", chat_id=chat_id)
    world.told()

    ann("edit", message_id=sent.id, text="nobody")

    assert world.told_to(bob) == []


def test_all_of_a_large_group_is_text(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mentions, "EVERYBODY_LIMIT", 2)
    ann, bob, eve = world.users("ann bob eve")
    chat_id = world.group(ann, bob, eve)

    ann("send", chat_id=chat_id, text="@all come")

    assert bob.chat(chat_id).messages[0].mentions == []


def test_an_edit_tells_who_is_new_and_who_is_no_longer(world: World) -> None:
    ann, bob, eve = world.users("ann bob eve")
    sent = ann("send", text="@bob")
    world.told()

    ann("edit", message_id=sent.id, text="@eve")

    told = {
        one.body["event"]: one.body
        for one in world.told()
        if one.name == "mentioned"
    }
    assert len(told) == 1
    assert mentions_in(bob, world.common) == 0
    assert mentions_in(eve, world.common) == 1
    assert bob.chat(world.common).messages[0].mentions == [eve.id]


def test_an_edit_that_keeps_a_mention_tells_nobody_again(
    world: World,
) -> None:
    ann, bob = world.users("ann bob")
    sent = ann("send", text="@bob, look")
    world.told()

    for text in ("@bob, look here", "look, @bob and @bob"):
        ann("edit", message_id=sent.id, text=text)

    assert world.told_to(bob) == []
    assert mentions_in(bob, world.common) == 1


def test_a_deletion_takes_the_mention_back(world: World) -> None:
    ann, bob = world.users("ann bob")
    sent = ann("send", text="@bob")
    world.told()

    ann("delete", message_id=sent.id)

    (told,) = world.told_to(bob)
    assert (told["event"], told["on"]) == ("mentioned", False)
    assert mentions_in(bob, world.common) == 0


def test_who_left_is_told_of_no_change(world: World) -> None:
    ann, bob, eve = world.users("ann bob eve")
    chat_id = world.group(ann, bob, eve)
    sent = ann("send", chat_id=chat_id, text="@bob")
    bob("exit", chat_id=chat_id)
    world.told()

    ann("edit", message_id=sent.id, text="@eve")

    told = [one.raw.topic for one in world.told() if one.name == "mentioned"]
    assert told == [inbox_topic(eve.id)]


def test_what_is_scheduled_mentions_when_it_is_sent(world: World) -> None:
    ann, bob = world.users("ann bob")
    ann("schedule", text="@bob", send_at=world.at(1))
    assert mentions_in(bob, world.common) == 0

    world.wait(2)

    assert mentions_in(bob, world.common) == 1


def test_names_change_places_in_the_batch(world: World) -> None:
    ann, bob, eve = world.users("ann bob eve")

    world.batch(
        [
            bob.asks("rename", name="bobby"),
            eve.asks("rename", name="bob"),
            ann.asks("send", text="@bob"),
        ]
    )

    assert ann.chat(world.common).messages[0].mentions == [eve.id]


def test_who_leaves_has_no_mentions_there(world: World) -> None:
    ann, bob = world.users("ann bob")
    chat_id = world.group(ann, bob)
    ann("send", chat_id=chat_id, text="@bob")

    bob("exit", chat_id=chat_id)

    assert world.store.rows("SELECT * FROM mentions") == []

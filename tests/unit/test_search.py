"""Searching: only what the caller may read now, on the real index."""

import time

import pytest

from tests.harness import MakeWorld, Person, World, refused
from zchat.errors import Code


def texts(person: Person, text: str, **params: object) -> list[str]:
    found = person("search", text=text, **params)
    return [message.text for message in found.messages]


def test_any_part_in_any_case_newest_first(world: World) -> None:
    ann = world.user("ann")
    for text in ("Привет, мир", "another", "ПРИВЕТ again"):
        world.advance(1)
        ann("send", text=text)

    assert texts(ann, "привет") == ["ПРИВЕТ again", "Привет, мир"]
    found = ann("search", text="another").messages[0]
    assert found.chat_id == world.common
    assert found.author.name == "ann"


def test_only_the_callers_chats(world: World) -> None:
    ann, bob, eve = world.users("ann bob eve")
    chat_id = world.group(ann, bob)
    ann("send", chat_id=chat_id, text="a secret word")

    assert texts(bob, "secret") == ["a secret word"]
    assert texts(eve, "secret") == []
    with refused(Code.NOT_FOUND):
        eve("search", text="secret", chat_id=chat_id)
    ann("remove", chat_id=chat_id, user_id=bob.id)
    assert texts(bob, "secret") == []


def test_not_what_was_sent_before_one_came(world: World) -> None:
    ann, bob = world.users("ann bob")
    chat_id = world.group(ann)
    ann("send", chat_id=chat_id, text="word one")
    ann("invite", chat_id=chat_id, user_id=bob.id)
    ann("send", chat_id=chat_id, text="word two")

    assert texts(bob, "word") == ["word two"]
    assert texts(ann, "word") == ["word two", "word one"]


def test_not_what_has_expired(make_world: MakeWorld) -> None:
    world = make_world(message_ttl_seconds=10)
    ann = world.user()
    ann("send", text="for a while")
    ann("read", chat_id=world.common, seq=1)
    assert texts(ann, "while") == ["for a while"]
    world.advance(10)

    assert texts(ann, "while") == []


def test_as_it_is_after_edits_and_deletions(world: World) -> None:
    ann = world.user()
    one = ann("send", text="the first draft").id
    two = ann("send", text="the second draft").id
    ann("edit", message_id=one, text="the final form")
    ann("delete", message_id=two)

    assert texts(ann, "draft") == []
    assert texts(ann, "final") == ["the final form"]


def test_by_author_file_and_chat(world: World) -> None:
    ann, bob = world.users("ann bob")
    chat_id = world.group(ann, bob)
    file_id = world.file(ann, chat_id, b"x")
    ann("send", chat_id=chat_id, text="word with a file", files=[file_id])
    bob("send", chat_id=chat_id, text="word of bob")
    bob("send", text="word in common")

    assert texts(ann, "word", author_id=ann.id) == ["word with a file"]
    assert texts(ann, "word", has_file=True) == ["word with a file"]
    assert len(texts(ann, "word", has_file=False)) == 2
    assert texts(ann, "word", chat_id=world.common) == ["word in common"]


def test_in_pages(world: World) -> None:
    ann = world.user()
    for number in range(7):
        world.advance(1)
        ann("send", text=f"word {number}")
    pages: list[list[str]] = []
    before = None
    while True:
        page = ann(
            "search",
            text="word",
            limit=3,
            **({"before": before} if before else {}),
        )
        pages.append([message.text[-1] for message in page.messages])
        before = page.next
        if before is None:
            break

    assert "".join(map("".join, pages)) == "6543210"
    assert all(len(page) <= 3 for page in pages)


@pytest.mark.parametrize("text", ["", "x", "x" * 257])
def test_a_text_that_is_too_short_or_too_long(world: World, text: str) -> None:
    ann = world.user()

    with refused(Code.BAD_REQUEST, field="text"):
        ann("search", text=text)


@pytest.mark.parametrize(
    "text", ['"quoted"', "100%", "under_score", "a AND b", "NEAR(", "*", "\\'"]
)
def test_signs_are_plain_text(world: World, text: str) -> None:
    ann = world.user()
    wanted = f"it says {text} here"
    ann("send", text=wanted)
    ann("send", text="it says something else here")

    assert texts(ann, f"says {text}") == [wanted]


def test_once_it_is_in_the_index_too(world: World) -> None:
    ann = world.user()
    for number in range(30):
        ann("send", text=f"needle {number}" if number == 7 else "hay")
    until = time.monotonic() + 10
    while time.monotonic() < until:
        world.store.feed()
        (through,) = world.store._search.through([world.common])
        if through == 30:
            break
        time.sleep(0.02)

    assert through == 30
    assert texts(ann, "needle") == ["needle 7"]

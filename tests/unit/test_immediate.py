"""Rules without a coroutine: they mean what they mean with one."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness import MEMORY, Asked, MakeWorld, Person, World
from zchat.chat.rules import IMMEDIATE, without_waiting
from zchat.engine.batch import Call
from zchat.errors import Refused
from zchat.model import TABLES
from zchat.rpc.codec import encode_answer

NAMES = ("ann", "bob", "eve", "dan")
TEXTS = ("x", "hello @ann", "@all", "mail@bob", "é" * 21)
Deed = tuple[str, int, str, str, str]
"""What is done, by whom, in which chat, with which text and key."""
CHATS = ("common", "group", "pair", "other", "nowhere")


class Waiting(World):
    """A server all of whose rules are coroutines."""

    def calls(self, asked: Sequence[Asked]) -> list[Call]:
        calls = super().calls(asked)
        for call in calls:
            call.immediate = None
        return calls


class Scene:
    """One server with people, chats, and a message to comment on."""

    def __init__(self, make: type[World], folder: str) -> None:
        path = Path(folder) / make.__name__
        path.mkdir()
        self.world = make(path, max_text=20, rate_limit=6)
        self.people = self.world.users(" ".join(NAMES))
        ann, bob, *_ = self.people
        self.chats = {
            "common": self.world.common,
            "group": self.world.group(ann, bob),
            "pair": ann("p2p", user_id=bob.id).chat_id,
            "other": self.world.group(self.people[3]),
            "nowhere": self.people[0].id,
        }
        self.first = ann("send", chat_id=self.chats["group"], text="1").id
        self.world.told()

    def ask(self, who: int, chat: str, text: str, **more: Any) -> Asked:
        person = self.people[who]
        return person.asks("send", chat_id=self.chats[chat], text=text, **more)

    def act(self, deed: Deed) -> Asked:
        """The request that a deed stands for."""
        kind, who, chat, text, key = deed
        if kind == "comment":
            return self.ask(who, chat, text, comment_on=self.first)
        if kind == "keyed":
            return self.ask(who, chat, text, idempotency_key=key)
        if kind == "leave":
            return self.people[who].asks("exit", chat_id=self.chats[chat])
        if kind == "new token":
            return self.people[who].asks("rotate_token")
        return self.ask(who, chat, text)

    def run(self, batch: list[Deed]) -> list[Any]:
        """The outcomes of deeds that arrive together, as bytes."""
        return [
            (one.code, one.message, one.data)
            if isinstance(one, Refused)
            else encode_answer(1, one)
            for one in self.world.batch([self.act(deed) for deed in batch])
        ]

    def told(self) -> list[Any]:
        return [one.raw for one in self.world.told()]

    def kept(self) -> dict[str, list[Any]]:
        """All rows of all tables."""
        return {
            table.name: sorted(
                map(repr, self.world.store.rows(f"SELECT * FROM {table.name}"))
            )
            for table in TABLES
        }


deeds = st.tuples(
    st.sampled_from(
        ("plain",) * 6 + ("comment", "keyed", "leave", "new token")
    ),
    st.integers(0, len(NAMES) - 1),
    st.sampled_from(CHATS),
    st.sampled_from(TEXTS),
    st.sampled_from(("k", "l")),
)


@given(st.lists(st.lists(deeds, max_size=8), max_size=5))
@settings(max_examples=60, deadline=None)
def test_both_ways_agree(batches: list[list[Deed]]) -> None:
    """The same answers, events and rows, also where batches mix them."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        scenes = [Scene(make, folder) for make in (World, Waiting)]
        try:
            for batch in batches:
                at_once, waiting = (scene.run(batch) for scene in scenes)
                assert at_once == waiting
                assert scenes[0].told() == scenes[1].told()
            assert scenes[0].kept() == scenes[1].kept()
        finally:
            for scene in scenes:
                scene.world.close()


class TestWhichWay:
    """What goes without a coroutine, and what must not."""

    @pytest.fixture
    def ann(self, world: World) -> Person:
        return world.user("ann")

    def prepared(self, world: World, asked: Asked) -> bool:
        (call,) = world.calls([asked])
        seen: list[Any] = []
        assert call.immediate is not None
        prepare = call.immediate.prepare

        def watched(*given: Any) -> Any:
            seen.append(prepare(*given))
            return seen[-1]

        call.immediate = call.immediate._replace(prepare=watched)
        world.run([call])
        (found,) = seen
        return found is not None

    def test_a_plain_send_of_what_is_in_memory(
        self, world: World, ann: Person
    ) -> None:
        assert self.prepared(world, ann.asks("send", text="x"))

    @pytest.mark.parametrize(
        "more", [{"text": "hi @bob"}, {"text": "x", "idempotency_key": "k"}]
    )
    def test_what_has_to_be_loaded(
        self, world: World, ann: Person, more: dict[str, Any]
    ) -> None:
        assert not self.prepared(world, ann.asks("send", **more))

    def test_what_is_not_in_memory(self, world: World, ann: Person) -> None:
        group = world.group(ann)
        world.restart()

        asked = ann.asks("send", chat_id=group, text="x")

        assert not self.prepared(world, asked)
        assert self.prepared(world, asked)


def test_a_method_has_one_immediate_rule() -> None:
    known = IMMEDIATE["send"]

    with pytest.raises(ValueError, match="two immediate rules"):
        without_waiting("send", known.finish)(known.prepare)


def test_a_fault_in_the_turn_takes_that_call_alone(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    ann, bob = world.users("ann bob")
    calls = world.calls([one.asks("send", text="x") for one in (ann, bob)])

    def fails(*given: Any) -> Any:
        raise RuntimeError

    async def fails_too(*given: Any) -> Any:
        """When it runs again, with nothing in memory."""
        raise RuntimeError

    assert calls[0].immediate is not None
    calls[0].immediate = calls[0].immediate._replace(finish=fails)
    calls[0].handler = fails_too
    world.run(calls)

    assert isinstance(calls[0].outcome, Refused)
    assert not isinstance(calls[1].outcome, Refused)
    assert bob.texts(world.common) == ["x"]

"""Random reading, leaving and waiting with `--message-ttl`.

A message is seen by a member from when it comes until so long after the
read position passed it; and it is kept as long as somebody may see it.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.harness import MEMORY, Asked, Person, World, codes
from zchat.model import SECOND

TTL = 30
DEPTH = 3
DAY = 86_400
SETTLED = 65
"""Seconds within which deletion must have happened."""


@dataclass
class Stay:
    """One user's being in one chat, from coming in to leaving."""

    first: int
    read: int = 0
    deliveries: list[tuple[int, int]] = field(default_factory=list)

    def deliver(self, seq: int, now: int) -> None:
        if seq > self.read:
            self.read = seq
            self.deliveries.append((seq, now))

    def floor(self, now: int) -> int:
        """Up to where nothing is seen."""
        expired = [
            seq for seq, at in self.deliveries if at + TTL * SECOND <= now
        ]
        return max([self.first - 1, *expired])


@dataclass
class Chat:
    """Who wrote what, when; and up to where it was seen to be gone."""

    id: str
    common: bool
    messages: list[tuple[str, int]] = field(default_factory=list)
    stays: dict[str, Stay] = field(default_factory=dict)
    past: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """What was delivered to those who left."""
    gone: int = 0

    @property
    def head(self) -> int:
        return len(self.messages)

    def enter(self, who: str, now: int) -> None:
        first = max(1, self.head - DEPTH + 1) if self.common else 1
        self.stays[who] = Stay(first, deliveries=self.past.pop(who, []))
        self.stays[who].deliver(self.head, now)

    def leave(self, who: str) -> None:
        self.past[who] = self.stays.pop(who).deliveries

    def needless(self, seq: int, now: int) -> bool:
        """Nobody in the chat has a claim to the message."""
        old = self.messages[seq - 1][1] <= now - 30 * DAY * SECOND
        return all(
            seq <= stay.floor(now) or (old and seq > stay.read)
            for stay in self.stays.values()
        )

    def needless_through(self, now: int) -> int:
        through = 0
        while through < self.head and self.needless(through + 1, now):
            through += 1
        return through


class Player:
    def __init__(self, world: World) -> None:
        self.world = world
        self.people = world.users("ann bob eve")
        ann, bob, _ = self.people
        private = ann("p2p", user_id=bob.id).chat_id
        self.chats = [Chat(world.common, True), Chat(private, False)]
        for one in self.people:
            self.chats[0].enter(one.id, world.now)
        for one in (ann, bob):
            self.chats[1].enter(one.id, world.now)

    def act(self, wish: tuple[str, int, int, int]) -> None:
        """One request, and what it does to the model."""
        kind, who, where, seq = wish
        one, chat = self.people[who], self.chats[where]
        stay = chat.stays.get(one.id)
        if stay is None:
            self._come_back(one, chat)
        elif kind == "send":
            one("send", chat_id=chat.id, text="x")
            chat.messages.append((one.id, self.world.now))
        elif kind == "read":
            one("read", chat_id=chat.id, seq=seq)
            stay.deliver(min(seq, chat.head), self.world.now)
        elif kind == "ack":
            one("unread", ack=True)
            for other in self.chats:
                if one.id in other.stays:
                    other.stays[one.id].deliver(other.head, self.world.now)
        elif kind == "leave" and len(chat.stays) > 1:
            one("exit", chat_id=chat.id)
            chat.leave(one.id)
        elif kind == "return" and chat.common:
            self._leave_and_return(one, chat)

    def _come_back(self, one: Person, chat: Chat) -> None:
        if chat.common:
            one("connect")
        elif one is self.people[2]:
            return
        else:
            other = self.people[one is self.people[0]]
            for person in (one, other):
                person("connect")
                if person.id not in self.chats[0].stays:
                    self.chats[0].enter(person.id, self.world.now)
            one("p2p", user_id=other.id)
        chat.enter(one.id, self.world.now)

    def _leave_and_return(self, one: Person, chat: Chat) -> None:
        """In one batch with what the broker does by itself."""
        asked = [
            Asked(one, "exit", {"chat_id": chat.id}, 1),
            Asked(one, "connect", {}, 1),
        ]
        calls = self.world.calls(asked)
        self.world.run([*self.world.timers.calls(self.world.now), *calls])
        assert codes([call.outcome for call in calls]) == ["ok", "ok"]
        chat.leave(one.id)
        chat.enter(one.id, self.world.now)

    def wait(self, seconds: int) -> None:
        """Time goes by; in the end all that is needless is gone."""
        self.world.advance(seconds)
        needless = [
            chat.needless_through(self.world.now) for chat in self.chats
        ]
        self.look()
        self.world.wait(SETTLED)
        self.look()
        for chat, through in zip(self.chats, needless):
            assert chat.gone >= through

    def look(self) -> None:
        """All is as the model says, and only the needless is gone."""
        for chat in self.chats:
            kept = [
                seq
                for (seq,) in self.world.store.rows(
                    "SELECT seq FROM messages WHERE chat_id = ? ORDER BY seq",
                    chat.id,
                )
            ]
            gone = chat.head - len(kept)
            assert kept == list(range(gone + 1, chat.head + 1))
            assert gone >= chat.gone
            for seq in range(chat.gone + 1, gone + 1):
                assert chat.needless(seq, self.world.now)
            chat.gone = gone
            for one in self.people:
                if one.id in chat.stays:
                    self._look_at(one, chat, chat.stays[one.id])

    def _look_at(self, one: Person, chat: Chat, stay: Stay) -> None:
        floor = max(stay.floor(self.world.now), chat.gone)
        page = one("history", chat_id=chat.id, limit=200)
        assert [m.seq for m in page.messages] == list(
            range(floor + 1, chat.head + 1)
        )
        shown = one.chat(chat.id)
        after = max(stay.read, chat.gone, stay.first - 1)
        unread = [
            author for author, _ in chat.messages[after:] if author != one.id
        ]
        assert (shown.head, shown.read, shown.unread) == (
            chat.head,
            stay.read,
            len(unread),
        )


@contextmanager
def player() -> Iterator[Player]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, capture_logs():
        world = World(
            Path(folder), message_ttl_seconds=TTL, history_depth=DEPTH
        )
        try:
            yield Player(world)
        finally:
            world.close()


KINDS = ("send", "send", "send", "read", "read", "ack", "leave", "return")
WISHES = st.tuples(
    st.sampled_from(KINDS),
    st.integers(0, 2),
    st.integers(0, 1),
    st.integers(1, 9),
)
WAITS = (1, 10, TTL, 15 * DAY)


def play(steps: list[Any]) -> None:
    with player() as one:
        for step in steps:
            if step == "restart":
                one.world.restart()
            elif isinstance(step, int):
                one.wait(step)
            else:
                one.act(step)
            one.look()


@given(
    st.lists(
        st.one_of(WISHES, WISHES, st.sampled_from(WAITS), st.just("restart")),
        min_size=3,
        max_size=10,
    )
)
def test_any_run(steps: list[Any]) -> None:
    play(steps)


@pytest.mark.parametrize("seed", range(6))
def test_long_runs(seed: int) -> None:
    chance = Random(seed)

    def step() -> Any:
        kind = chance.randrange(10)
        if kind < 2:
            return chance.choice(WAITS)
        if kind == 2:
            return "restart"
        return (
            chance.choice(KINDS),
            chance.randrange(3),
            chance.randrange(2),
            1 + chance.randrange(20),
        )

    play([step() for _ in range(50)])

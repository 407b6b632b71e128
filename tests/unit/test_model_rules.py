"""Random requests of several users, in random batches, against a model.

What is compared stands in `tests/rules_model.py`; what must hold for
every run of requests stands in `check_run` here.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.harness import MEMORY, Asked, Person, Told, World
from tests.rules_model import Model
from zchat.chat import schedule
from zchat.engine.batch import Call
from zchat.model import COMMON, GROUP

PEOPLE = 4
SCHEDULED_LIMIT = 2
NAMES = ("a", "B", "c", "D")


class Wish(NamedTuple):
    """A request in numbers, which choose among what there is."""

    method: str
    who: int
    a: int
    b: int
    c: int


def pick(choices: list[Any], number: int) -> Any:
    """One of the choices; 0 is the newest."""
    return choices[-1 - number % len(choices)] if choices else None


class Player:
    """Turns wishes into requests, runs them, and tells the model."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.people = [world.user() for _ in range(PEOPLE)]
        self.model = Model(world, self.people, SCHEDULED_LIMIT)
        self.told: list[Told] = []
        self.order: list[Call] = []
        self.makers: dict[str, Callable[[Wish], dict[str, Any]]] = {
            "connect": lambda wish: {},
            "send": self._send,
            "comment": self._comment,
            "read": self._read,
            "p2p": self._other,
            "exit": self._chat,
            "create_chat": lambda wish: {"name": "a group"},
            "invite": self._group_and_other,
            "remove": self._group_and_other,
            "approve": self._request,
            "deny": self._request,
            "invite_link": self._invite_link,
            "join": self._link,
            "revoke_link": self._link,
            "report": self._report,
            "schedule": self._schedule,
            "cancel": self._cancel,
            "rename": lambda wish: {"name": pick(list(NAMES), wish.a)},
            "history": self._chat,
        }

    def who(self, wish: Wish, params: dict[str, Any]) -> Person:
        """The user; where only one may, mostly that one."""
        may = None
        if wish.c % 4:
            chat = self.model.chats.get(params.get("chat_id", ""))
            if wish.method in OWNERS and chat is not None:
                may = chat.owner
            plan = self.model.plans.get(params.get("id", ""))
            link = self.model.links.get(params.get("link", ""))
            if plan is not None:
                may = plan.author
            if link is not None and wish.method == "revoke_link":
                may = self.model.chats[link.chat].owner
        for one in self.people:
            if one.id == may:
                return one
        person: Person = pick(self.people, wish.who)
        return person

    def _chat(self, wish: Wish) -> dict[str, Any]:
        return {"chat_id": pick(list(self.model.chats), wish.a)}

    def _group(self, wish: Wish) -> dict[str, Any]:
        groups = [
            id for id, chat in self.model.chats.items() if chat.kind == GROUP
        ]
        return (
            {"chat_id": pick(groups, wish.a)}
            if groups and wish.a < 10
            else self._chat(wish)
        )

    def _request(self, wish: Wish) -> dict[str, Any]:
        waiting = pick(list(self.model.requests), wish.a)
        if waiting is None or wish.a > 9:
            return self._group_and_other(wish)
        return {"chat_id": waiting[0], "user_id": waiting[1]}

    def _other(self, wish: Wish) -> dict[str, Any]:
        return {"user_id": pick(self.people, wish.b).id}

    def _group_and_other(self, wish: Wish) -> dict[str, Any]:
        return self._group(wish) | self._other(wish)

    def _key(self, wish: Wish) -> dict[str, Any]:
        key = wish.c % 4
        return {"idempotency_key": f"k{key}"} if key < 2 else {}

    def _send(self, wish: Wish) -> dict[str, Any]:
        place = self._chat(wish) if wish.b % 3 else {}
        return {"text": f"{wish.b % 2}", **place, **self._key(wish)}

    def _comment(self, wish: Wish) -> dict[str, Any]:
        ids = [message.id for _, message in self.model.sent]
        return {
            "message_id": pick(ids, wish.a) or self.world.common,
            "text": "comment",
            **self._key(wish),
        }

    def _read(self, wish: Wish) -> dict[str, Any]:
        return {**self._chat(wish), "seq": wish.b}

    def _invite_link(self, wish: Wish) -> dict[str, Any]:
        return {
            **self._group(wish),
            "expires_in": 1 + 50 * (wish.b % 3),
            "max_uses": [1, 1, 2, None][wish.c % 4],
        }

    def _link(self, wish: Wish) -> dict[str, Any]:
        return {"link": pick(list(self.model.links), wish.a) or "none"}

    def _report(self, wish: Wish) -> dict[str, Any]:
        return {**self._other(wish), "reason": "rude"}

    def _schedule(self, wish: Wish) -> dict[str, Any]:
        return {
            **self._chat(wish),
            **self._key(wish),
            "text": "later",
            "send_at": self.world.at(5 + wish.b % 3),
        }

    def _cancel(self, wish: Wish) -> dict[str, Any]:
        return {
            "id": pick(list(self.model.plans), wish.a) or self.world.common
        }

    def play(self, wishes: list[Wish]) -> None:
        """The requests arrive together; each user on two connections."""
        asked = []
        for wish in wishes:
            params = self.makers[wish.method](wish)
            who = self.who(wish, params)
            asked.append(Asked(who, wish.method, params, (who.id, wish.c % 2)))
        self._run(asked, [5 + wish.b % 3 for wish in wishes])

    def _run(self, asked: list[Asked], seconds: list[int]) -> None:
        calls = [noted(call, self.order) for call in self.world.calls(asked)]
        self.order.clear()
        self.world.run(calls)
        last = {id(call): place for place, call in enumerate(self.order)}
        places = sorted(
            range(len(calls)), key=lambda place: last[id(calls[place])]
        )
        for place in places:
            one, params = asked[place], dict(asked[place].params)
            if one.method == "schedule":
                params["seconds"] = seconds[place]
            assert isinstance(one.who, Person)
            self.model.apply(
                one.method, one.who.id, calls[place].outcome, params
            )
        self._check_connections(asked, calls, places)

    def _check_connections(
        self, asked: list[Asked], calls: list[Any], places: list[int]
    ) -> None:
        """One connection's writes took effect in the order sent."""
        writes: dict[Any, list[int]] = {}
        for place in places:
            call = calls[place]
            if not call.reads and not hasattr(call.outcome, "code"):
                writes.setdefault(call.origin, []).append(place)
        for done in writes.values():
            assert done == sorted(done)

    def unread(self, wish: Wish) -> None:
        who = pick(self.people, wish.who)
        params = {"ack": bool(wish.a % 2), "limit": 1 + wish.b % 4}
        self.model.apply("unread", who.id, who("unread", **params), params)

    def wait(self, seconds: int) -> None:
        self.told += self.world.told()
        self.world.advance(seconds)
        self.world.run_timers()
        told = self.world.told()
        self.told += told
        self.model.send_due([one.body for one in told])

    def check_run(self) -> None:
        """Nobody can open what was sent while they were not there.

        Not even with all the keys that they were ever given.
        """
        self.told += self.world.told()
        readers = {
            message.id: message.readers for _, message in self.model.sent
        }
        told = [one for one in self.told if one.name == "message"]
        assert len(told) == len(readers)
        for one in told:
            message_id = one.body["message"]["id"]
            if one.body["chat_id"] == self.world.common:
                assert not one.sealed
                continue
            able = {person.id for person in self.people if person.opens(one)}
            assert able <= readers[message_id]
        for link in self.model.links.values():
            assert link.most is None or link.uses <= link.most


class Noted(Call, eq=False):
    """A call that notes when its outcome came."""

    order: list[Call] = []

    def end(self, outcome: Any) -> None:
        Call.end(self, outcome)
        if outcome is not None:
            self.order.append(self)


def noted(call: Call, order: list[Call]) -> Noted:
    return Noted(
        call.handler,
        call.params,
        call.reads,
        call.needs_token,
        call.token,
        origin=call.origin,
        order=order,
    )


OWNERS = ("invite", "remove", "invite_link", "approve", "deny", "exit")
METHODS = (
    "send",
    "send",
    "send",
    "comment",
    "read",
    "p2p",
    "p2p",
    "exit",
    "exit",
    "connect",
    "create_chat",
    "create_chat",
    "invite",
    "invite",
    "remove",
    "invite_link",
    "invite_link",
    "join",
    "join",
    "approve",
    "approve",
    "deny",
    "revoke_link",
    "report",
    "report",
    "schedule",
    "schedule",
    "cancel",
    "rename",
    "history",
)
SMALL = st.integers(0, 11)
SCENE = [
    [Wish("create_chat", 0, 0, 0, 0)],
    [Wish("invite_link", 0, 0, 1, 2)],
    [
        Wish("invite", 0, 0, 1, 1),
        Wish("p2p", 1, 0, 2, 0),
        Wish("send", 1, 0, 0, 3),
        Wish("join", 3, 0, 0, 0),
    ],
]
"""What every run begins with: a group, a link, who waits."""
WISHES = st.builds(Wish, st.sampled_from(METHODS), SMALL, SMALL, SMALL, SMALL)
STEPS = st.lists(
    st.one_of(
        st.lists(WISHES, min_size=1, max_size=3),
        st.lists(WISHES, min_size=4, max_size=10),
        st.lists(WISHES, min_size=4, max_size=10),
        WISHES.map(lambda wish: wish._replace(method="unread")),
        st.sampled_from([1, 6, 40, 100]),
        st.just("restart"),
    ),
    min_size=6,
    max_size=14,
)


@pytest.fixture(autouse=True, scope="module")
def _few_may_wait() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "SCHEDULED_LIMIT", SCHEDULED_LIMIT)
        yield


@contextmanager
def small_world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, capture_logs():
        world = World(
            Path(folder),
            history_depth=3,
            rate_limit=3,
            rate_period_seconds=60,
            max_warnings=2,
            ban_seconds=50,
        )
        try:
            yield world
        finally:
            world.close()


@given(STEPS)
def test_any_requests_in_any_batches(steps: list[Any]) -> None:
    with small_world() as world:
        play(world, steps)


@pytest.mark.parametrize("seed", range(8))
def test_long_runs(seed: int) -> None:
    """Here most choices are equally likely, so that more comes about."""
    chance = Random(seed)

    def wish(method: str) -> Wish:
        return Wish(method, *(chance.randrange(12) for _ in range(4)))

    def step() -> Any:
        kind = chance.randrange(12)
        if kind < 2:
            return wish("unread")
        if kind < 4:
            return chance.choice([1, 6, 40])
        if kind == 4:
            return "restart"
        return [
            wish(chance.choice(METHODS))
            for _ in range(1 + chance.randrange(10))
        ]

    with small_world() as world:
        play(world, [step() for _ in range(60)])


def play(world: World, steps: list[Any]) -> None:
    player = Player(world)
    for step in [*SCENE, *steps]:
        if isinstance(step, Wish):
            player.unread(step)
        elif isinstance(step, list):
            player.play(step)
        elif step == "restart":
            world.restart()
        else:
            player.wait(step)
        player.model.check(player.people)
    player.check_run()
    assert (
        world.call("status", player.people[0]).chat_default
        == player.model.common
    )
    assert player.model.chats[world.common].kind == COMMON

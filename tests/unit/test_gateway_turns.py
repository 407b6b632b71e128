"""Turns between users, and the budget for what is kept for clients."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.gateway.budget import Budget
from zchat.gateway.fairness import FairTurns, caller_of
from zchat.gateway.messages import Request, Response
from zchat.gateway.turns import Turns


class Office:
    """Turns, and the jobs that run, in the order in which they began."""

    def __init__(self, window: int, share: int) -> None:
        self.turns = Turns(window, share)
        self.running: list[Hashable] = []

    def come(self, key: Hashable) -> None:
        if self.turns.take(key):
            self.running.append(key)
        else:
            self.turns.wait(key, lambda: self.running.append(key))

    def end(self, key: Hashable) -> None:
        self.running.remove(key)
        self.turns.leave(key)


def test_a_user_gets_a_share_of_the_window() -> None:
    office = Office(window=8, share=3)
    for _ in range(10):
        office.come("greedy")
    assert office.running == ["greedy"] * 3
    office.come("modest")
    assert office.running == ["greedy"] * 3 + ["modest"]
    assert office.turns.waiting == 7


def test_who_waits_is_next_whatever_others_have_in_the_queue() -> None:
    office = Office(window=2, share=2)
    for _ in range(100):
        office.come("greedy")
    office.come("modest")
    office.end("greedy")
    office.end("greedy")
    assert "modest" in office.running


def test_jobs_of_one_user_keep_their_order() -> None:
    turns = Turns(window=2, share=1)
    assert turns.take("a")
    began: list[int] = []
    for number in range(3):
        turns.wait("a", partial(began.append, number))
    for _ in range(3):
        turns.leave("a")
    assert began == [0, 1, 2]


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from("abcd")), max_size=200),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_no_place_is_lost_or_given_twice(
    steps: list[tuple[bool, str]], window: int, share: int
) -> None:
    office = Office(window, share)
    came: list[str] = []
    for comes, key in steps:
        if comes:
            office.come(key)
            came.append(key)
        elif key in office.running:
            office.end(key)
        running = office.running
        assert len(running) <= window
        assert all(running.count(one) <= share for one in running)
        if office.turns.waiting:
            is_full = len(running) == window
            assert is_full or share in map(running.count, running)
    while office.running:
        office.end(office.running[0])
    assert office.turns.waiting == 0


@pytest.mark.parametrize(
    ("request_", "caller"),
    [
        (
            Request("GET", "/", "", {b"authorization": b"Bearer t"}),
            b"Bearer t",
        ),
        (Request("GET", "/", "a=b&user_id=t", {}), "t"),
        (Request("POST", "/", "", {}, b'{"author_id" : "t"}'), b"t"),
        (Request("GET", "/", "my_user_id=t", {}, b"{}", None, 7), 7),
    ],
)
def test_whose_turn_it_is(request_: Request, caller: Hashable) -> None:
    assert caller_of(request_) == caller


class Desk:
    """A route whose answers come when the test wants.

    `one` is a place for one request at a time; `came` are those that
    were let in.
    """

    def __init__(self) -> None:
        self.one = FairTurns(window=1, share=1)
        self.came: list[str] = []
        self.answers: dict[str, asyncio.Future[Response]] = {}
        self.outcomes: dict[str, Response | Exception] = {}
        self._served = self.one.fair(self._serve)

    def _serve(
        self, request: Request, values: object
    ) -> "Response | asyncio.Future[Response]":
        self.came.append(request.path)
        outcome = self.outcomes.get(request.path)
        if isinstance(outcome, Exception):
            raise outcome
        if outcome is not None:
            return outcome
        answer = asyncio.get_running_loop().create_future()
        self.answers[request.path] = answer
        return answer

    def serve(self, path: str) -> Response | Awaitable[Response]:
        return self._served(Request("GET", path, "", {}), {})

    def ask(self, path: str) -> "asyncio.Future[Response]":
        """A request that is not answered at once."""
        answer = self.serve(path)
        assert isinstance(answer, asyncio.Future)
        return answer


OK, FAULT = Response(200), OSError("a fault of ours")


async def at_a_desk(test: Callable[[Desk], Awaitable[None]]) -> None:
    """Run a test; after it every place is free again."""
    desk = Desk()
    await test(desk)
    await settled()
    assert desk.one.waiting == 0
    desk.outcomes["next"] = OK
    assert desk.serve("next") is OK


async def settled() -> None:
    """All callbacks that are due have run."""
    for _ in range(5):
        await asyncio.sleep(0)


class TestFairTurns:
    """A route is served in turn, whatever comes of each request."""

    def test_one_after_another(self) -> None:
        async def run(desk: Desk) -> None:
            first, second = desk.ask("a"), desk.ask("b")
            assert desk.came == ["a"]
            desk.answers["a"].set_result(OK)
            await settled()
            assert desk.came == ["a", "b"]
            assert first.result() is OK
            desk.answers["b"].set_result(OK)
            await settled()
            assert second.result() is OK

        asyncio.run(at_a_desk(run))

    def test_one_who_waited_may_be_answered_at_once(self) -> None:
        async def run(desk: Desk) -> None:
            desk.ask("a")
            desk.outcomes["b"] = OK
            second = desk.ask("b")
            desk.answers["a"].set_result(OK)
            await settled()
            assert second.result() is OK

        asyncio.run(at_a_desk(run))

    def test_a_fault_is_the_askers_alone(self) -> None:
        """Raised at once or later, with a place or after a wait."""

        async def run(desk: Desk) -> None:
            desk.outcomes |= {"at once": FAULT, "b": FAULT}
            with pytest.raises(OSError, match="fault"):
                desk.serve("at once")
            waited = [desk.ask(path) for path in "abc"]
            desk.answers["a"].set_exception(FAULT)
            await settled()
            desk.answers["c"].set_exception(FAULT)
            await settled()
            assert [one.exception() for one in waited] == [FAULT] * 3

        asyncio.run(at_a_desk(run))

    def test_who_gives_up_waiting_is_not_served(self) -> None:
        async def run(desk: Desk) -> None:
            desk.ask("a")
            desk.ask("b").cancel()
            third = desk.ask("c")
            desk.answers["a"].set_result(OK)
            await settled()
            assert desk.came == ["a", "c"]
            desk.answers["c"].set_result(OK)
            await settled()
            assert third.result() is OK

        asyncio.run(at_a_desk(run))

    def test_who_gives_up_later_frees_the_place(self) -> None:
        """What is done for nobody is ended."""

        async def run(desk: Desk) -> None:
            desk.ask("a")
            second = desk.ask("b")
            desk.answers["a"].set_result(OK)
            await settled()
            second.cancel()
            await settled()
            assert desk.answers["b"].cancelled()

        asyncio.run(at_a_desk(run))

    def test_what_is_ended_is_ended_for_who_waits(self) -> None:
        async def run(desk: Desk) -> None:
            desk.ask("a")
            second = desk.ask("b")
            desk.answers["a"].set_result(OK)
            await settled()
            desk.answers["b"].cancel()
            await settled()
            assert second.cancelled()

        asyncio.run(at_a_desk(run))


def test_the_one_who_keeps_the_most_goes_first() -> None:
    dropped: list[tuple[str, int]] = []
    budget: Budget[str] = Budget(
        100, lambda holder, held: dropped.append((holder, held))
    )
    for holder, held in (("a", 40), ("b", 30), ("a", 50), ("c", 20)):
        budget.hold(holder, held)
    assert (budget.held, dropped) == (100, [])
    budget.hold("b", 31)
    assert (budget.held, dropped) == (51, [("a", 50)])
    budget.forget("b")
    budget.hold("c", 0)
    assert budget.held == 0


def test_what_is_shared_is_counted_once_and_weighs_on_each() -> None:
    dropped: list[str] = []
    shared = [60]

    def drop(holder: str, held: int) -> None:
        dropped.append(holder)
        shared[0] = 0

    budget: Budget[str] = Budget(100, drop, lambda: shared[0])
    budget.hold("a", 10, 60)
    budget.hold("b", 20, 0)
    assert (budget.held, dropped) == (90, [])
    budget.hold("b", 31, 0)
    assert (budget.held, dropped) == (31, ["a"])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60))))
def test_no_more_is_kept_than_the_budget(steps: list[tuple[str, int]]) -> None:
    kept: dict[str, int] = {}

    def drop(holder: str, held: int) -> None:
        assert kept.pop(holder) == held

    budget: Budget[str] = Budget(100, drop)
    for holder, held in steps:
        kept[holder] = held
        budget.hold(holder, held)
        assert budget.held == sum(kept.values()) <= 100

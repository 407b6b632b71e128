"""The unit of work: rows by key, their changes, and what is asked."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.harness import FIGURES, NOWHERE, START, CountedEntropy
from zchat.chat import table_state
from zchat.chat.awaitables import Question, Several, TurnWait, Want, gather
from zchat.chat.environment import Facts
from zchat.chat.phases import StaleRead, Turn
from zchat.chat.subjects import Counted, Subject
from zchat.chat.table_state import TableState
from zchat.chat.unit_of_work import UnitOfWork
from zchat.model import CHATS, GROUP, USERS, Chat, Rules, User
from zchat.queries import COUNT_CHATS, PRIMARY, Count, QueryCall


def user(who: str, **fields: Any) -> User:
    return User(
        **{
            "id": f"id {who}",
            "token_hash": who.encode(),
            "name": who,
            "name_key": who,
            "created": START,
            "inbox_number": 1,
            "inbox_secret": b"",
            **fields,
        }
    )


def pair(id: str, pair: str | None) -> Chat:
    return Chat(id, GROUP, "", None, pair, START, 0, 0, 0, 1, b"")


@pytest.fixture
def users() -> TableState:
    return TableState(USERS)


BY_TOKEN, BY_NAME = 0, 1
ANN, BOB = user("ann"), user("bob")


def test_a_row_is_found_by_all_its_keys(users: TableState) -> None:
    users.learn(BY_NAME, ["ann", "bob"], [ANN])

    assert users.rows == {ANN.id: ANN}
    assert users.keys[BY_TOKEN] == {b"ann": ANN.id}
    assert users.keys[BY_NAME] == {"ann": ANN.id, "bob": None}


def test_what_was_changed_is_newer_than_what_is_read(
    users: TableState,
) -> None:
    users.learn(PRIMARY, [ANN.id], [ANN])
    changed = user("ann", name="eve", name_key="eve")
    users.put(changed)

    users.learn(BY_NAME, ["ann"], [ANN])

    assert users.rows[ANN.id] is changed
    assert users.keys[BY_NAME] == {"ann": None, "eve": ANN.id}


def test_inserts_updates_deletes(users: TableState) -> None:
    users.learn(PRIMARY, [BOB.id], [BOB])
    users.put(ANN)
    changed = user("bob", quota_used=1)
    users.put(changed)
    assert (users.inserts, users.updates) == ({ANN.id: ANN}, {BOB.id: changed})

    users.delete(ANN)
    users.delete(changed)

    assert (users.inserts, users.updates) == ({}, {})
    assert users.deletes == {BOB.id: changed}
    assert users.rows == {ANN.id: None, BOB.id: None}


def test_an_insert_that_changes_is_one_insert(users: TableState) -> None:
    users.put(ANN)
    users.put(user("ann", quota_used=1))

    assert users.inserts == {ANN.id: user("ann", quota_used=1)}
    assert users.updates == {}


def test_deleted_and_made_again_is_an_update(users: TableState) -> None:
    users.learn(PRIMARY, [ANN.id], [ANN])
    users.delete(ANN)
    users.put(user("ann", quota_used=1))

    assert users.deletes == {}
    assert users.updates == {ANN.id: user("ann", quota_used=1)}
    assert users.keys[BY_NAME] == {"ann": ANN.id}


def test_a_unique_goes_from_one_row_to_another() -> None:
    chats = TableState(CHATS)
    chats.learn(PRIMARY, ["1"], [pair("1", "a:b")])
    chats.delete(pair("1", "a:b"))
    chats.put(pair("2", "a:b"))
    chats.settle(keep=True)

    assert chats.keys[0] == {"a:b": "2"}
    assert chats.rows == {"2": pair("2", "a:b")}


class TestSettling:
    def test_rows_may_outlive_the_batch(self, users: TableState) -> None:
        users.put(ANN)
        users.settle(keep=True)

        assert users.rows == {ANN.id: ANN}
        assert users.keys[BY_NAME] == {"ann": ANN.id}
        assert users.inserts == {}

    def test_or_not(self, users: TableState) -> None:
        users.put(ANN)
        users.settle(keep=False)

        assert users.rows == users.keys[0] == users.keys[1] == {}

    def test_what_was_missing_never_does(self, users: TableState) -> None:
        users.learn(PRIMARY, ["x"], [])
        users.learn(BY_NAME, ["y", "ann"], [ANN])
        users.put(user("ann", name_key="eve"))
        users.settle(keep=True)

        assert set(users.rows) == {ANN.id}
        assert users.keys[BY_NAME] == {"eve": ANN.id}

    def test_what_was_missing_and_was_made(self, users: TableState) -> None:
        users.learn(BY_NAME, ["ann"], [])
        users.put(ANN)
        users.settle(keep=True)

        assert users.keys[BY_NAME] == {"ann": ANN.id}

    def test_made_and_deleted_twice(self, users: TableState) -> None:
        for _ in range(2):
            users.put(ANN)
            users.delete(ANN)
        users.settle(keep=True)

        assert users.rows == users.keys[0] == users.keys[1] == {}


class TestGenerations:
    """Memory is bounded, and what is used stays; rows of four at most."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(table_state, "GENERATION_ROWS", 4)

    def loads(self, users: TableState, *names: str) -> list[str]:
        """A batch that uses these; those that had to be loaded."""
        loaded = [name for name in names if not users.knows(BY_NAME, name)]
        users.learn(BY_NAME, loaded, [user(name) for name in loaded])
        for name in names:
            assert users.rows[f"id {name}"].name == name
            assert users.knows(BY_TOKEN, name.encode())
        users.settle(keep=True)
        return loaded

    def test_what_was_used_in_the_last_generation_is_known(
        self, users: TableState
    ) -> None:
        self.loads(users, *"abcd")

        assert users.rows == {}
        assert self.loads(users, "d", "b") == []

    def test_the_oldest_leave_as_others_come(self, users: TableState) -> None:
        self.loads(users, *"abcd")
        self.loads(users, "x", "y")

        assert self.loads(users, "c", "d") == []
        assert self.loads(users, "a") == ["a"]

    def test_what_is_used_all_the_time_is_loaded_once(
        self, users: TableState
    ) -> None:
        loaded = [
            name
            for number in range(50)
            for name in self.loads(users, "ann", str(number))
        ]

        assert loaded == ["ann", *map(str, range(50))]

    def test_memory_is_bounded(self, users: TableState) -> None:
        for number in range(100):
            self.loads(users, str(number))
            assert len(users.rows) + len(users._older) <= 8

    def test_what_changed_in_a_younger_one_is_as_it_was_changed(
        self, users: TableState
    ) -> None:
        self.loads(users, *"abcd")
        assert users.knows(PRIMARY, "id a")
        users.put(user("a", name="e", name_key="e"))
        users.settle(keep=True)

        assert not users.knows(BY_NAME, "a")
        assert users.knows(BY_NAME, "e")

    def test_nothing_old_outlives_a_batch_that_was_rolled_back(
        self, users: TableState
    ) -> None:
        self.loads(users, *"abcd")
        users.settle(keep=False)

        assert not users.knows(PRIMARY, "id a")


@pytest.fixture
def work() -> UnitOfWork:
    facts = Facts("1", "epoch", "", lambda: (1, 1), lambda: FIGURES)
    return UnitOfWork(
        Rules(), facts, CountedEntropy(), NOWHERE, cacheable=True
    )


def turn_of(work: UnitOfWork) -> Turn:
    """The turn that a rule of this unit of work gets."""
    waiting = work.writing.turn().__await__()
    assert isinstance(next(waiting), TurnWait)
    with pytest.raises(StopIteration) as end:
        next(waiting)
    turn: Turn = end.value.value
    return turn


def test_an_invalidated_subject_is_not_fresh(work: UnitOfWork) -> None:
    turn = turn_of(work)
    turn.require_fresh(Subject.MEMBERS, "x")
    turn.invalidate(Subject.MEMBERS, "x")

    turn.require_fresh(Subject.MEMBERS, "y")
    turn.require_fresh(Subject.CHATS_OF, "x")
    with pytest.raises(StaleRead):
        turn.require_fresh(Subject.MEMBERS, "x")
    work.settle()
    turn.require_fresh(Subject.MEMBERS, "x")


def test_count_adjustments_last_as_long_as_the_batch(
    work: UnitOfWork,
) -> None:
    turn = turn_of(work)
    turn.adjust_count(1, Counted.LINKS, "x")
    turn.adjust_count(1, Counted.LINKS, "x")
    turn.adjust_count(-1, Counted.LINKS, "y")
    assert [turn.count_adjustment(Counted.LINKS, x) for x in "xyz"] == [
        2,
        -1,
        0,
    ]

    work.settle()

    assert turn.count_adjustment(Counted.LINKS, "x") == 0


def test_a_row_that_was_not_loaded_is_a_fault(work: UnitOfWork) -> None:
    with pytest.raises(KeyError):
        work.reading.get(USERS, "x")
    assert work.reading.find(USERS, "x") is None


def step(rule: Coroutine[Any, Any, Any]) -> Any:
    return rule.send(None)


def test_what_is_known_is_not_waited_for(work: UnitOfWork) -> None:
    turn_of(work).put(USERS, ANN)

    async def rule() -> list[Any]:
        await work.reading.load_all(USERS, [ANN.id])
        return [
            await work.reading.load(USERS, ANN.id),
            await work.reading.load_unique(USERS, BY_NAME, "ann"),
        ]

    with pytest.raises(StopIteration) as end:
        step(rule())
    assert end.value.value == [ANN, ANN]


def test_only_the_unknown_is_wanted(work: UnitOfWork) -> None:
    turn_of(work).put(USERS, ANN)

    want = step(work.reading.load_all(USERS, [ANN.id, "x"]))

    assert isinstance(want, Want)
    assert want.entries == [(USERS, PRIMARY, "x")]


def answered(several: Several) -> list[QueryCall]:
    """Answer each question with its own parameter."""
    for want in several.wants:
        assert isinstance(want, Question)
        want.rows = [Count(want.ask.params["n"])]
    return [want.ask for want in several.wants]


def test_parts_load_at_the_same_time(work: UnitOfWork) -> None:
    async def part(n: int, again: int) -> list[int]:
        found = []
        for _ in range(again):
            (count,) = await work.reading.ask(COUNT_CHATS, n=n)
            found.append(count.count)
        return found

    rule = gather([part(1, 1), part(2, 0), part(3, 2)])
    assert answered(step(rule)) == [
        QueryCall(COUNT_CHATS, {"n": 1}),
        QueryCall(COUNT_CHATS, {"n": 3}),
    ]
    assert answered(step(rule)) == [QueryCall(COUNT_CHATS, {"n": 3})]

    with pytest.raises(StopIteration) as end:
        step(rule)
    assert end.value.value == [[1], [], [3, 3]]


def test_a_part_that_fails_ends_all(work: UnitOfWork) -> None:
    async def fails() -> None:
        raise ValueError

    async def other() -> None:
        await work.reading.ask(COUNT_CHATS)

    with pytest.raises(ValueError):  # noqa: PT011
        asyncio.run(gather([other(), fails(), other()]))

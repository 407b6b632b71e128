"""Batches: what requests that arrive together do to each other."""

import itertools
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from tests.harness import (
    Asked,
    CountedEntropy,
    FaultyStore,
    MakeWorld,
    Person,
    World,
    codes,
    refused,
)
from tests.stores import message, user
from zchat.chat.jobs import NoParams
from zchat.chat.paces import Pace
from zchat.chat.phases import Writing
from zchat.chat.subjects import Subject
from zchat.engine.batch import REPEATS, Call
from zchat.errors import (
    Code,
    Refused,
    StoreAway,
    StoreBusy,
    StoreDoubtful,
    StoreRejected,
)
from zchat.model import CHATS, MESSAGES
from zchat.queries import COUNT_CHATS
from zchat.rpc import results

BUSY, REJECTED = StoreBusy("a deadlock"), StoreRejected("a unique index")
AWAY = StoreAway("no disk")


def sends(*people: Person) -> list[Asked]:
    """One message of each person, numbered from 1."""
    return [
        one.asks("send", text=str(number))
        for number, one in enumerate(people, 1)
    ]


class TestOrder:
    def test_turns_are_taken_in_the_order_of_arrival(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        """Whatever each has to load: a comment loads in three steps."""
        group = world.group(bob, ann)
        first = bob("send", chat_id=group, text="1")

        world.batch(
            [
                ann.asks("comment", message_id=first.id, text="2"),
                ann.asks("send", chat_id=group, text="3"),
                bob.asks("comment", message_id=first.id, text="4"),
                bob.asks("send", chat_id=group, text="5"),
            ]
        )

        assert bob.texts(group) == ["1", "2", "3", "4", "5"]

    def test_a_neighbours_changes_are_seen(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        outcomes = world.batch(
            [
                ann.asks("exit", chat_id=world.common),
                ann.asks("send", text="x"),
                ann.asks("connect"),
                ann.asks("send", text="y"),
            ]
        )

        assert codes(outcomes) == ["ok", "not_found", "ok", "ok"]
        assert bob.texts(world.common) == ["y"]

    def test_reads_run_after_the_changes(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat, _, page = world.batch(
            [
                bob.asks("chats", chat_id=world.common),
                ann.asks("send", text="x"),
                bob.asks("history", chat_id=world.common),
            ]
        )

        assert chat.history.unread == 1
        assert [m.text for m in page.messages] == ["x"]

    def test_one_batch_is_one_commit(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        before = world.store.committed

        world.batch(sends(ann, bob, ann, bob))

        assert world.store.committed == before + 1

    def test_a_refusal_takes_nothing_with_it(
        self, world: World, ann: Person
    ) -> None:
        outcomes = world.batch(
            [
                *sends(ann, ann),
                Asked(ann, "no_such_method", {}),
                Asked("nobody", "send", {"text": "x"}),
                Asked(ann, "send", {"texxt": "x"}),
                *sends(ann),
            ]
        )

        assert codes(outcomes) == [
            "ok",
            "ok",
            "unknown_method",
            "unauthorized",
            "bad_request",
            "ok",
        ]
        assert ann.texts(world.common) == ["1", "2", "1"]

    def test_events_are_told_in_order(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        world.told()
        world.batch(sends(ann, bob, ann))

        assert [body["seq"] for body in world.told_in(world.common)] == [
            1,
            2,
            3,
        ]

    def test_an_empty_batch(self, world: World) -> None:
        assert world.batch([]) == []


class TestOvertaken:
    @pytest.fixture
    def group(self, world: World, ann: Person, bob: Person) -> str:
        eve = world.user("eve")
        return world.group(ann, bob, eve)

    def test_it_waits_for_the_next_wave(
        self, world: World, ann: Person, bob: Person, group: str
    ) -> None:
        before = world.store.committed

        outcomes = world.batch(
            [bob.asks("exit", chat_id=group), ann.asks("exit", chat_id=group)]
        )

        assert codes(outcomes) == ["ok", "ok"]
        assert world.store.committed == before + 2

    def test_so_do_later_writes_of_its_connection(
        self, world: World, ann: Person, bob: Person, group: str
    ) -> None:
        outcomes = world.batch(
            [
                bob.asks("exit", chat_id=group),
                ann.asks("exit", chat_id=group),
                ann.asks("send", chat_id=group, text="too late"),
                ann.asks("send", text="after it"),
            ]
        )

        assert codes(outcomes) == ["ok", "ok", "not_found", "ok"]

    def test_and_its_later_reads(
        self, world: World, ann: Person, bob: Person, group: str
    ) -> None:
        outcomes = world.batch(
            [
                bob.asks("exit", chat_id=group),
                ann.asks("exit", chat_id=group),
                ann.asks("history", chat_id=group),
            ]
        )

        assert codes(outcomes) == ["ok", "ok", "not_found"]

    def test_but_not_those_of_other_connections(
        self, world: World, ann: Person, bob: Person, group: str
    ) -> None:
        *_, sent = world.batch(
            [
                bob.asks("exit", chat_id=group),
                ann.asks("exit", chat_id=group),
                Asked(ann, "send", {"chat_id": group, "text": "x"}, "other"),
            ]
        )

        assert sent.seq == 1

    def test_duties_have_no_connection(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        ran = []

        async def late(work: Writing, caller: None, p: NoParams) -> None:
            turn = await work.turn()
            turn.require_fresh(Subject.MEMBERS, "it")
            ran.append("late")

        async def first(work: Writing, caller: None, p: NoParams) -> None:
            turn = await work.turn()
            turn.invalidate(Subject.MEMBERS, "it")
            ran.append("first")

        world.run(
            [
                Call(first, NoParams()),
                Call(late, NoParams()),
                Call(first, NoParams()),
            ]
        )

        assert ran == ["first", "first", "late"]


async def breaks_down(work: Writing, caller: Any, p: Any) -> None:
    """A rule of ours that fails after it changed something."""
    await work.load(CHATS, work.common_id)
    turn = await work.turn()
    turn.change(CHATS, turn.chat(turn.common_id), name="broken")
    raise KeyError("a fault of ours")


async def breaks_down_early(work: Writing, caller: Any, p: Any) -> None:
    await work.load(CHATS, work.common_id)
    raise ZeroDivisionError


async def breaks_the_flush(work: Writing, caller: Any, p: Any) -> None:
    await work.load(CHATS, work.common_id)
    turn = await work.turn()
    turn.put(
        MESSAGES,
        message(turn.chat(work.common_id), user(), 10**30),
    )


async def breaks_a_constraint(work: Writing, caller: Any, p: Any) -> None:
    await work.load(CHATS, work.common_id)
    turn = await work.turn()
    for name in ("a", "b"):
        turn.put(
            MESSAGES,
            message(turn.chat(work.common_id), user(), 77, id=name),
        )


async def waits_after_its_turn(work: Writing, caller: Any, p: Any) -> None:
    await work.turn()
    await work.ask(COUNT_CHATS)


async def reads_but_wants_a_turn(work: Any, caller: Any, p: Any) -> None:
    await work.turn()


async def reads_but_changes(work: Any, caller: Any, p: Any) -> None:
    await work.load(CHATS, work.common_id)
    work.change(CHATS, work.chat(work.common_id), name="broken")


async def changes_before_its_turn(work: Any, caller: Any, p: Any) -> None:
    await work.load(CHATS, work.common_id)
    work.change(CHATS, work.chat(work.common_id), name="broken")
    await work.turn()


async def forgets_to_wait_for_its_turn(work: Any, caller: Any, p: Any) -> None:
    await work.load(CHATS, work.common_id)
    work.turn().change(CHATS, work.chat(work.common_id), name="broken")


class TestPoison:
    @pytest.mark.parametrize(
        ("handler", "reads", "code"),
        [
            (breaks_down, False, "internal"),
            (breaks_down_early, False, "internal"),
            (breaks_down_early, True, "internal"),
            (breaks_the_flush, False, "internal"),
            (breaks_a_constraint, False, "unavailable"),
            (waits_after_its_turn, False, "internal"),
            (reads_but_wants_a_turn, True, "internal"),
            (reads_but_changes, True, "internal"),
            (changes_before_its_turn, False, "internal"),
            (forgets_to_wait_for_its_turn, False, "internal"),
        ],
    )
    def test_it_harms_none(
        self,
        world: World,
        ann: Person,
        bob: Person,
        handler: Any,
        reads: bool,
        code: str,
    ) -> None:
        poison = Call(handler, NoParams(), reads=reads)
        before, after = world.calls(sends(ann)), world.calls(sends(bob))

        world.run([*before, poison, *after])

        assert codes([call.outcome for call in (*before, poison, *after)]) == [
            "ok",
            code,
            "ok",
        ]
        assert ann.chat(world.common).name == "default"
        assert ann.texts(world.common) == ["1", "1"]
        assert ann.chat(world.common).head == 2

    def test_a_whole_batch_of_it(self, world: World, ann: Person) -> None:
        """Neither the stack nor the time runs out."""
        poison = [Call(breaks_down, NoParams()) for _ in range(400)]

        world.run([*poison, *world.calls(sends(ann))])

        assert set(codes([call.outcome for call in poison])) == {"internal"}
        assert ann.texts(world.common) == ["1"]

    def test_the_incident_is_told_and_logged(
        self, world: World, logged: list[MutableMapping[str, Any]]
    ) -> None:
        poison = Call(breaks_down, NoParams())
        world.run([poison])

        assert isinstance(poison.outcome, Refused)
        assert {
            "event": "internal_fault",
            "log_level": "error",
            "exc_info": True,
            **poison.outcome.data,
        } in logged
        assert "a fault of ours" not in poison.outcome.message


class TestStoreFails:
    @pytest.mark.parametrize("step", ["load", "write", "commit"])
    def test_busy_repeats_the_batch(
        self, world: World, ann: Person, bob: Person, step: str
    ) -> None:
        world.work.abandon()
        world.told()
        world.store.faults = [(step, BUSY)] * 2

        outcomes = world.batch(sends(ann, bob))

        assert [outcome.seq for outcome in outcomes] == [1, 2]
        assert ann.texts(world.common) == ["1", "2"]
        assert world.told_names() == ["message", "message"]
        assert world.store.faults == []

    @pytest.mark.parametrize("step", ["write", "commit"])
    @pytest.mark.parametrize("count", [2, 3])
    def test_rejected_runs_them_one_by_one(
        self, world: World, ann: Person, bob: Person, step: str, count: int
    ) -> None:
        world.store.faults = [(step, REJECTED)]
        before = world.store.committed

        outcomes = world.batch(sends(ann, bob, ann)[:count])

        seqs = [outcome.seq for outcome in outcomes]
        assert seqs == list(range(1, count + 1))
        assert world.store.committed == before + count

    def test_one_alone_is_repeated_instead(
        self, world: World, ann: Person
    ) -> None:
        world.store.faults = [("write", REJECTED)]

        assert ann("send", text="x").seq == 1

    def test_each_is_logged_with_its_reason(
        self, world: World, ann: Person, bob: Person, logged: list[Any]
    ) -> None:
        logged.clear()
        for fault in (BUSY, REJECTED, AWAY):
            world.store.faults = [("write", fault)]
            world.batch(sends(ann, bob))

        assert logged == [
            {"event": event, "error": str(fault), "log_level": level}
            for event, fault, level in (
                ("batch_repeated", BUSY, "info"),
                ("batch_rejected", REJECTED, "warning"),
                ("store_away", AWAY, "error"),
            )
        ]

    def test_busy_for_ever_is_given_up(
        self, world: World, ann: Person
    ) -> None:
        world.store.faults += [("write", BUSY)] * 2 * REPEATS

        with refused(Code.UNAVAILABLE, retry_after=1):
            ann("send", text="x")

        world.store.faults = []
        assert ann("send", text="y").seq == 1

    @pytest.mark.parametrize("step", ["write", "commit"])
    def test_away_refuses_writers_and_serves_readers(
        self, world: World, ann: Person, bob: Person, step: str
    ) -> None:
        ann("send", text="x")
        world.told()
        world.store.faults = [(step, AWAY)]

        outcomes = world.batch(
            [
                ann.asks("send", text="y"),
                bob.asks("history", chat_id=world.common),
                bob.asks("read", chat_id=world.common, seq=1),
            ]
        )

        assert codes(outcomes) == ["unavailable", "ok", "unavailable"]
        assert outcomes[0].data == {"retry_after": 1}
        assert [m.text for m in outcomes[1].messages] == ["x"]
        assert world.told() == []
        assert ann("send", text="z").seq == 2
        assert bob.chat(world.common).read == 0

    def test_away_altogether_refuses_all(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        world.work.abandon()
        world.store.faults = [("load", AWAY)] * 2

        outcomes = world.batch(
            [*sends(ann), bob.asks("history", chat_id=world.common)]
        )

        assert codes(outcomes) == ["unavailable"] * 2
        assert bob.texts(world.common) == []

    def test_a_commit_in_doubt_says_so(
        self, world: World, ann: Person
    ) -> None:
        world.store.faults = [("commit", StoreDoubtful("gone"))]

        with refused(Code.UNAVAILABLE, in_doubt=True, retry_after=1):
            ann("send", text="x")

    def test_what_is_in_memory_is_not_believed_afterwards(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = ann("p2p", user_id=bob.id).chat_id
        world.store.faults = [("commit", AWAY)]

        assert (
            codes(
                world.batch(
                    [
                        bob.asks("exit", chat_id=chat_id),
                        ann.asks("rename", name="eve"),
                        *sends(ann),
                    ]
                )
            )
            == ["unavailable"] * 3
        )

        assert bob.chat(chat_id).size == 2
        assert ann("status").user.name == "ann"
        assert ann("send", text="x").seq == 1


class SharedStore(FaultyStore):
    """A store that other brokers change too; notes what it is asked.

    `attempts` has for each begun batch the loads that asked for rows:
    what they want, and whether they lock it.
    """

    cacheable = False

    def __init__(self, path: Path, entropy: CountedEntropy) -> None:
        self.attempts: list[list[tuple[set[tuple[str, Any]], bool]]] = []
        super().__init__(path, entropy)

    def begin(self) -> None:
        self.attempts.append([])
        super().begin()

    def load(self, sources: Any, asks: Any, lock: bool) -> Any:
        if sources:
            wanted = {
                (source.table.name, key)
                for source in sources
                for key in source.keys
            }
            self.attempts[-1].append((wanted, lock))
        return super().load(sources, asks, lock)


class SharedWorld(World):
    def make_store(self) -> FaultyStore:
        return SharedStore(self._path, self.entropy)


class TestSharedStore:
    """Other brokers hold locks on rows of the same store."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        made = SharedWorld(tmp_path)
        yield made
        made.close()

    @pytest.fixture
    def store(self, world: World) -> SharedStore:
        assert isinstance(world.store, SharedStore)
        return world.store

    def test_what_was_locked_in_steps_is_locked_at_once_the_next_time(
        self, world: World, store: SharedStore, ann: Person, bob: Person
    ) -> None:
        """Two brokers that lock in steps may block each other for ever.

        What was found by a token or name is locked by its id: that
        makes the order the same for all.
        """
        group = world.group(ann, bob)
        sent = ann("send", chat_id=group, text="x")
        store.faults = [("write", BUSY)]
        store.attempts.clear()

        world.batch([bob.asks("comment", message_id=sent.id, text="y")])

        first, again = store.attempts
        assert len(first) > 2
        wanted = set().union(*(rows for rows, _ in first))
        assert all(lock for _, lock in first)
        assert again == [(wanted | {("users", bob.id)}, True)]

    def test_also_what_only_the_second_attempt_met(
        self, world: World, store: SharedStore, ann: Person, bob: Person
    ) -> None:
        group = world.group(ann, bob)
        sent = ann("send", chat_id=group, text="x")
        store.faults = [("load", BUSY), ("write", BUSY)]
        store.attempts.clear()

        world.batch([bob.asks("comment", message_id=sent.id, text="y")])

        failed, steps, at_once = store.attempts
        assert len(failed) == 1
        assert len(steps) > len(at_once) == 1

    def test_what_is_only_read_is_not_locked(
        self, world: World, store: SharedStore, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(bob)
        store.faults = [("commit", BUSY)]
        store.attempts.clear()

        world.batch(
            [*sends(ann), bob.asks("history", chat_id=chat_id, limit=1)]
        )

        for attempt in store.attempts:
            assert [lock for _, lock in attempt][-1] is False
            for wanted, lock in attempt:
                assert (("chats", chat_id) in wanted) is not lock

    def test_the_next_batch_locks_nothing_of_it(
        self, world: World, store: SharedStore, ann: Person, bob: Person
    ) -> None:
        store.faults = [("write", BUSY)]
        ann("send", text="x")
        store.attempts.clear()

        bob("rename", name="rob")

        wanted = set().union(*(rows for rows, _ in store.attempts[0]))
        assert ("users", ann.id) not in wanted


class TestMemory:
    def sizes(self, world: World) -> list[int]:
        """How much of each table is in memory, by each of its keys."""
        return [
            len(known)
            for state in world.work._states.values()
            for known in (state.rows, *state.keys)
        ]

    def grows_by(self, world: World, act: Callable[[], None]) -> int:
        act()
        before = sum(self.sizes(world))
        act()
        return sum(self.sizes(world)) - before

    def test_unknown_tokens_are_not_kept(self, world: World) -> None:
        tokens = itertools.count()

        def flood() -> None:
            world.batch(
                [
                    Asked(f"token {next(tokens)}", "status", {})
                    for _ in range(100)
                ]
            )

        assert self.grows_by(world, flood) == 0

    def test_unknown_ids_are_not_kept(self, world: World, ann: Person) -> None:
        numbers = itertools.count()

        def flood() -> None:
            for _ in range(50):
                id = f"00000000-0000-7000-8000-{next(numbers):012x}"
                world.batch(
                    [
                        ann.asks("send", chat_id=id, text="x"),
                        ann.asks("p2p", user_id=id),
                        ann.asks("download", file_id=id),
                        ann.asks("join", link=id),
                    ]
                )

        assert self.grows_by(world, flood) == 0

    def test_names_of_before_are_not_kept(
        self, world: World, ann: Person
    ) -> None:
        names = itertools.count()

        def flood() -> None:
            for number in range(50):
                if number % Pace.RENAMES.times == 0:
                    world.advance(Pace.RENAMES.seconds)
                ann("rename", name=f"name-{next(names)}")

        assert self.grows_by(world, flood) == 0

    def test_chats_that_are_gone_are_not_kept(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        def come_and_go() -> None:
            chat_id = ann("p2p", user_id=bob.id).chat_id
            for one in (ann, bob):
                one("send", chat_id=chat_id, text="x")
                one("exit", chat_id=chat_id)

        assert self.grows_by(world, come_and_go) == 0

    def test_messages_are_not_kept(self, world: World, ann: Person) -> None:
        def talk() -> None:
            for number in range(50):
                ann("send", text="x", idempotency_key=f"{number}")

        assert self.grows_by(world, talk) == 0


def test_the_clock_is_not_believed_to_go_back(world: World) -> None:
    ann = world.user()
    first = ann("send", text="1")
    world.advance(-60)

    assert ann("send", text="2").created == first.created


class TestClockSetForwardAndBack:
    """It was wrong for a while: nothing stays in the future."""

    YEARS = 30 * 365 * 86_400

    def test_the_time_is_right_again(
        self, world: World, logged: list[MutableMapping[str, Any]]
    ) -> None:
        ann = world.user()
        before = ann("send", text="1").created
        world.advance(self.YEARS)
        ahead = ann("send", text="2").created
        world.advance(60 - self.YEARS)

        after = ann("send", text="3").created

        assert before < after < ahead
        assert ann.texts(world.common) == ["1", "2", "3"]
        assert {
            "event": "clock_set_back",
            "log_level": "warning",
            "seconds": self.YEARS - 60,
        } in logged

    def test_heads_are_told(self, world: World) -> None:
        ann = world.user()
        world.advance(self.YEARS)
        ann("send", text="2")
        world.advance(-self.YEARS)
        world.wait(1)
        world.told()
        ann("send", text="3")

        world.wait(31)

        heads = [told for told in world.events if told.name == "head"]
        assert len(heads) >= 3

    def test_the_quota_ends(self, make_world: MakeWorld) -> None:
        world = make_world(rate_limit=1, rate_period_seconds=60)
        ann = world.user()
        world.advance(self.YEARS)
        ann("send", text="1")
        world.advance(-self.YEARS)

        ann("send", text="2")
        with refused(Code.RATE_LIMITED, retry_after=60):
            ann("send", text="3")


def test_a_call_without_a_token_is_told_so(world: World) -> None:
    none, unknown = world.batch(
        [Asked(None, "status", {}), Asked("nonsense", "status", {})]
    )

    assert none.message.startswith("This call needs a token.")
    assert unknown.message.startswith("Unknown token.")


def test_an_outcome_may_be_nothing() -> None:
    call = Call(breaks_down, NoParams())
    call.end(results.Empty())
    call.again()

    assert (call.outcome, call.done, call.caller_id) == (None, False, None)


class TestTokensThatDie:
    """A token is dead from the turn on that replaces it."""

    def test_what_came_in_the_same_batch(
        self, world: World, ann: Person
    ) -> None:
        before, first, inside, second, after = world.batch(
            [
                ann.asks("send", text="before"),
                ann.asks("rotate_token"),
                ann.asks("send", text="inside"),
                ann.asks("rotate_token"),
                ann.asks("sync"),
            ]
        )

        assert before.seq == 1
        dead = [inside, second, after]
        assert codes(dead) == ["unauthorized"] * 3
        ann.token = first.token
        assert ann("sync").chats[0].head == 1

    def test_whoever_only_reads_does_not_learn_the_new_keys(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        """Also where the request came before the token was replaced."""
        earlier, others, _ = world.batch(
            [ann.asks("sync"), bob.asks("sync"), ann.asks("rotate_token")]
        )

        assert codes([earlier]) == ["unauthorized"]
        assert others.user.name == "bob"

    def test_closing_an_account(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        admin = world.user("admin")
        world.operator("set_role", user_id=admin.id, role="admin")

        _, text, state = world.batch(
            [
                admin.asks("close_account", user_id=bob.id),
                bob.asks("send", text="still here?"),
                bob.asks("status"),
            ]
        )

        assert codes([text, state]) == ["unauthorized"] * 2

"""When the broker does what by itself."""

import pytest

from tests.harness import START
from zchat.chat.accounts import compare_names
from zchat.chat.erasure import erase
from zchat.chat.expiry import delete_expired, expire_members
from zchat.chat.files import drop_stale
from zchat.chat.heads import Quiet, tell_heads, tell_missed_heads
from zchat.chat.jobs import Progress
from zchat.chat.presence import save_last_seen
from zchat.chat.quotas import count_totals
from zchat.chat.schedule import send_due
from zchat.engine.batch import Call
from zchat.engine.timers import HEADS_PAGE, Every, Heads, Timers
from zchat.model import SECOND


def at(seconds: float) -> int:
    return START + int(seconds * SECOND)


@pytest.fixture
def timers() -> Timers:
    return Timers(START, lifetime=True)


def handlers(calls: list[Call]) -> list[object]:
    return [call.handler for call in calls]


class TestEvery:
    def test_once_a_period(self) -> None:
        every = Every(5, START)
        ripe = [seconds for seconds in range(20) if every.ripe(at(seconds))]

        assert ripe == [5, 10, 15]

    def test_late_is_not_made_up_for(self) -> None:
        every = Every(5, START)

        assert every.ripe(at(17))
        assert not every.ripe(at(20))
        assert every.ripe(at(22))

    def test_a_clock_that_was_set_back(self) -> None:
        every = Every(5, START)

        assert every.ripe(at(-3600))
        assert not every.ripe(at(-3596))
        assert every.ripe(at(-3595))


class TestHeads:
    def test_three_times_after_the_last_message(self) -> None:
        heads = Heads()
        heads.note(b"a", START)
        told = [seconds for seconds in range(60) if heads.take(at(seconds))]

        assert told == [1, 5, 30]
        assert heads.next_at() is None

    def test_a_message_begins_anew(self) -> None:
        heads = Heads()
        told = []
        for seconds in range(60):
            if seconds in (0, 3, 20):
                heads.note(b"a", at(seconds))
            told += [seconds] if heads.take(at(seconds)) else []

        assert told == [1, 4, 8, 21, 25, 50]

    def test_when_the_next_is_due(self) -> None:
        heads = Heads()
        heads.note(b"a", START)
        heads.note(b"b", at(0.5))
        assert heads.next_at() == at(1)
        assert heads.take(at(1)) == [b"a"]
        assert heads.next_at() == at(1.5)
        assert heads.take(at(1.5)) == [b"b"]
        assert heads.next_at() == at(5)

    def test_a_late_look_tells_each_once(self) -> None:
        heads = Heads()
        heads.note(b"a", START)
        heads.note(b"b", at(1))

        assert heads.take(at(40)) == [b"a", b"b"]
        assert heads.take(at(40)) == [b"a", b"b"]
        assert heads.take(at(40)) == [b"a", b"b"]
        assert heads.take(at(40)) == []


def test_nothing_is_due_at_the_start(timers: Timers) -> None:
    assert timers.calls(START) == []
    assert START < timers.next_at() <= at(0.25)


def test_what_is_done_how_often(timers: Timers) -> None:
    done: dict[object, int] = {}
    for quarter in range(1, 241):
        for call in timers.calls(at(quarter / 4)):
            done[call.handler] = done.get(call.handler, 0) + 1

    assert done == {
        send_due: 240,
        drop_stale: 1,
        count_totals: 1,
        save_last_seen: 2,
        compare_names: 1,
        erase: 120,
        expire_members: 12,
        delete_expired: 3,
    }


@pytest.mark.parametrize(("is_idle", "times"), [(True, 11), (False, 2)])
def test_what_goes_on_while_nobody_waits(
    timers: Timers, is_idle: bool, times: int
) -> None:
    done = 0
    for step in range(1, 1_001):
        for call in timers.calls(at(step / 1_000), is_idle):
            if call.handler is erase:
                call.outcome = Progress(more=False, when_idle=step < 990)
                done += 1

    assert times <= done <= times + 1


def test_the_next_time_of_what_waits_for_nobody(timers: Timers) -> None:
    (*_, erasing) = timers.calls(at(0.5))
    assert erasing.handler is erase
    erasing.outcome = Progress(more=False, when_idle=True)
    assert timers.next_at() < at(0.5)
    timers.calls(at(0.51), is_idle=False)
    assert timers.next_at() == at(0.56)


def test_no_lifetime_no_expiry() -> None:
    timers = Timers(START, lifetime=False)

    assert handlers(timers.calls(at(60))) == [
        send_due,
        drop_stale,
        count_totals,
        save_last_seen,
        compare_names,
        erase,
    ]


def test_more_to_do_is_done_at_once(timers: Timers) -> None:
    (call,) = timers.calls(at(0.25))
    assert timers.next_at() > at(0.25)
    call.end(Progress(more=True))
    assert timers.next_at() == 0

    (again,) = timers.calls(at(0.25))
    again.end(Progress(more=False))

    assert timers.calls(at(0.25)) == []
    assert timers.next_at() == at(0.5)


def test_a_duty_that_was_refused_comes_at_its_time(timers: Timers) -> None:
    (call,) = timers.calls(at(0.25))
    call.end(None)

    assert timers.next_at() == at(0.5)


def test_quiet_chats_in_pages(timers: Timers) -> None:
    topics = [b"%d" % number for number in range(HEADS_PAGE + 1)]
    for topic in topics:
        timers.heads.note(topic, START)
    assert timers.next_at() <= at(1)

    calls = [
        call for call in timers.calls(at(1)) if call.handler is tell_heads
    ]

    assert [call.params for call in calls] == [
        Quiet(tuple(topics[:HEADS_PAGE])),
        Quiet(tuple(topics[HEADS_PAGE:])),
    ]
    assert all(call.reads for call in calls)


def test_missed_heads_are_told_at_once(timers: Timers) -> None:
    timers.feed_lost()
    assert timers.next_at() == 0

    assert handlers(timers.calls(START)) == [tell_missed_heads]
    assert timers.calls(START) == []

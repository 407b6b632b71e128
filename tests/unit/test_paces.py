"""What a user may do only so often: counts in periods, in memory."""

import pytest

from tests.harness import START
from zchat.chat import paces
from zchat.chat.paces import Pace, Paces
from zchat.model import SECOND

PACE = Pace.EDITS


def at(seconds: float) -> int:
    return START + int(seconds * SECOND)


def spend(spent: Paces, now: int, *users: str, times: int = 1) -> None:
    """A batch in which each of the users does it so many times."""
    spent.begin(now)
    for user in users:
        for _ in range(times):
            assert spent.wait(PACE, user) == 0
            spent.spend(PACE, user)
    spent.settle()


def test_a_period_begins_with_the_first_thing_in_it() -> None:
    spent = Paces()
    spend(spent, START, "ann")
    spend(spent, at(30), "ann", times=PACE.times - 1)

    spent.begin(at(40))
    assert spent.wait(PACE, "ann") == PACE.seconds - 40
    assert spent.wait(PACE, "bob") == 0
    spent.begin(at(PACE.seconds))
    assert spent.wait(PACE, "ann") == 0


def test_a_batch_that_is_rolled_back_spends_nothing() -> None:
    spent = Paces()
    spent.begin(START)
    for _ in range(PACE.times):
        spent.spend(PACE, "ann")
    assert spent.wait(PACE, "ann") == PACE.seconds

    spent.abandon()

    assert spent.wait(PACE, "ann") == 0


def test_a_clock_that_is_set_back_begins_a_period() -> None:
    spent = Paces()
    spend(spent, START, "ann", times=PACE.times)

    spent.begin(at(-1))

    assert spent.wait(PACE, "ann") == 0


def test_many_are_forgotten_once_their_period_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paces, "KEPT", 3)
    spent = Paces()
    spend(spent, START, "a", "b", "c")
    spend(spent, at(50), "d", times=PACE.times)
    assert len(spent._spent) == 4

    spend(spent, at(PACE.seconds), "e")

    assert {whose for _, whose in spent._spent} == {"d", "e"}
    assert spent.wait(PACE, "d") == 50

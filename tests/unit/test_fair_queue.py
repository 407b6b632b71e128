"""Users take turns, and so do each user's connections."""

import pytest

from zchat.engine.fair_queue import FairQueue


def drained(queue: FairQueue[str]) -> str:
    order = ""
    while queue:
        order += queue.take(next(queue.users()))
    return order


def test_users_then_connections_take_turns() -> None:
    queue: FairQueue[str] = FairQueue()
    for user, origin, items in (("a", 1, "123"), ("a", 2, "4"), ("b", 3, "5")):
        for item in items:
            queue.append(user, origin, item)

    assert len(queue) == 5
    assert (queue.count_of("a"), queue.count_of("x")) == (4, 0)
    assert drained(queue) == "15423"
    assert queue.count_of("a") == len(queue) == 0


def test_what_is_put_back_comes_first_of_its_connection() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in "123":
        queue.append("a", 1, item)
    assert queue.take("a") == "1"

    queue.put_back("a", 1, "1")

    assert drained(queue) == "123"


def test_a_lane_of_several_users_stays_in_order() -> None:
    queue: FairQueue[str] = FairQueue()
    for user, item in zip("abab", "1234"):
        queue.append(user, "shared", item)
    queue.append("c", "other", "5")

    assert list(queue.users()) == ["a", "c"]
    with pytest.raises(KeyError):
        queue.take("b")
    taken = [queue.take(next(queue.users())) for _ in range(3)]
    queue.put_back("b", "shared", taken.pop())

    assert taken == ["1", "5"]
    assert drained(queue) == "234"
    assert list(queue.users()) == []


def test_a_held_lane_has_no_turn_and_keeps_its_order() -> None:
    queue: FairQueue[str] = FairQueue()
    for lane, item in ((1, "1"), (1, "2"), (2, "3")):
        queue.append("a", lane, item)
    queue.hold(1)
    queue.append("a", 1, "4")

    assert [queue.take(user) for user in queue.users()] == ["3"]
    assert not queue.users_wait()
    assert len(queue) == queue.count_of("a") == 3

    queue.release(1)

    assert queue.users_wait()
    assert drained(queue) == "124"


def test_who_has_nothing() -> None:
    with pytest.raises(KeyError):
        FairQueue[str]().take("a")

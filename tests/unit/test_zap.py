"""Who may shake hands: doubt keeps out, and refusals are logged."""

from collections.abc import MutableMapping
from typing import Any

import pytest
from zmq.utils import z85

from zchat.engine.zap import Judge

KEY = bytes(range(32))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def question(**parts: bytes) -> list[bytes]:
    """A question about KEY, with these parts in it."""
    frames = {
        "version": b"1.0",
        "number": b"7",
        "domain": b"zchat",
        "address": b"192.0.2.1",
        "identity": b"",
        "mechanism": b"CURVE",
        "key": KEY,
    }
    return list((frames | parts).values())


@pytest.fixture
def asked() -> list[bytes]:
    """The keys that were asked for."""
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def judge(asked: list[bytes], clock: Clock) -> Judge:
    def allows(key: bytes) -> bool:
        asked.append(key)
        return key == z85.encode(KEY)

    return Judge(allows, clock)


def test_a_known_key_is_let_in(judge: Judge, asked: list[bytes]) -> None:
    assert judge.answer(question()) == [b"1.0", b"7", b"200", b"OK", b"", b""]
    assert asked == [z85.encode(KEY)]


def test_an_unknown_one_is_not(judge: Judge) -> None:
    number, status = judge.answer(question(key=bytes(32)))[1:3]

    assert (number, status) == (b"7", b"400")


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b""],
        [b"1.0"],
        question()[:-1],
        [*question(), b"more"],
        question(version=b"2.0"),
        question(domain=b"other"),
        question(mechanism=b"PLAIN"),
        question(mechanism=b"NULL"),
    ],
    ids=lambda frames: str(len(frames)),
)
def test_a_question_that_is_none_asks_for_no_key(
    judge: Judge, asked: list[bytes], frames: list[bytes]
) -> None:
    answer = judge.answer(frames)

    assert len(answer) == 6
    assert answer[2] == b"400"
    assert asked == []


def test_what_is_no_key_is_a_refusal(judge: Judge) -> None:
    assert judge.answer(question(key=b"short"))[2] == b"500"


@pytest.mark.parametrize("fault", [RuntimeError(), OSError(), MemoryError()])
def test_a_check_that_fails_is_a_refusal(
    fault: Exception, logged: list[MutableMapping[str, Any]]
) -> None:
    def allows(key: bytes) -> bool:
        raise fault

    assert Judge(allows).answer(question())[2] == b"500"
    assert logged[0] == {
        "event": "curve_check_failed",
        "log_level": "error",
        "reason": type(fault).__name__,
    }


def test_refusals_are_logged_once_a_second(
    judge: Judge, clock: Clock, logged: list[MutableMapping[str, Any]]
) -> None:
    """So strangers who try for ever fill no disk."""
    for clock.now in (0.0, 0.4, 0.9, 1.0):
        judge.answer(question(key=bytes(32), address=b"\xff" + b"x" * 99))
    judge.answer(question())

    assert [(one["event"], one["count"]) for one in logged] == [
        ("curve_refused", 1),
        ("curve_refused", 3),
    ]
    assert {len(one["address"]) for one in logged} == {64}

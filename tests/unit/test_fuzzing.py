"""Thousands of damaged inputs; `make fuzz` runs millions."""

import random

import pytest

from tests.fuzzing import TARGETS, Fault, fuzz, mutated

INPUTS = {"requests": 8_000, "answers": 4_000, "http": 3_000}


@pytest.mark.parametrize("target", TARGETS)
def test_good_inputs_are_read(target: str) -> None:
    read, corpus = TARGETS[target]
    assert all(read(data) for data in corpus())


@pytest.mark.parametrize("target", TARGETS)
def test_damaged_inputs_are_read_or_refused(target: str) -> None:
    seed = random.SystemRandom().randrange(2**32)
    tally = fuzz(target, INPUTS[target], seed)
    assert tally.refused > INPUTS[target] // 10
    assert tally.read > 0, "nothing gets past the first check"


def test_a_seed_gives_the_same_inputs() -> None:
    def made(seed: int) -> list[bytes]:
        by = random.Random(seed)
        return [mutated(b"some bytes", [b"others"], by) for _ in range(50)]

    assert made(1) == made(1) != made(2)


def test_a_fault_tells_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(data: bytes) -> bool:
        raise RecursionError

    monkeypatch.setitem(TARGETS, "answers", (breaks, lambda: [b"x"]))
    with pytest.raises(Fault, match="RecursionError"):
        fuzz("answers", 1, 1)

"""What the broker counts of itself."""

import os
import resource

import pytest

from tests.harness import START, shown_by
from zchat.engine import meters as meters_module
from zchat.engine.meters import Distribution, Meters, memory_bytes, open_files
from zchat.model import SECOND


def test_a_value_on_a_bound_is_within_it() -> None:
    values = Distribution((1, 2))
    for value in (0.5, 1, 1.5, 2, 9):
        values.add(value)

    assert values.shown().counts == [2, 2, 1]
    assert values.shown().sum == 14


def test_what_opens_while_serving_is_a_connection() -> None:
    meters = Meters(START)
    own = os.open("/dev/null", os.O_RDONLY)
    meters.serving()
    others = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
    try:
        assert shown_by(meters).connections == 3
        os.close(others.pop())
        assert shown_by(meters, START + 90 * SECOND).connections == 2
        assert shown_by(meters, START + 90 * SECOND).uptime == 90
    finally:
        for descriptor in (own, *others):
            os.close(descriptor)
    assert shown_by(meters).connections == 0


def test_the_memory_of_this_process() -> None:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    assert 1_000_000 < memory_bytes() <= 2 * most


def test_a_system_that_does_not_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(meters_module, "_FOLDER", "/nowhere")
    monkeypatch.setattr(meters_module, "_MEMORY_PAGES", "/nowhere")

    assert open_files() == 0
    assert shown_by(Meters(START)).connections == 0
    assert memory_bytes() > 1_000_000

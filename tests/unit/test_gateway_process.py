"""How the gateway divides what the system gives it, and is restarted."""

import pytest

from zchat.engine.gateway_process import STEADY_SECONDS, Pauses
from zchat.gateway.process import shares


@pytest.mark.parametrize("descriptors", [0, 256, 300, 1024, 4096, 1_048_576])
def test_the_shares_fit_into_the_descriptors(descriptors: int) -> None:
    found = shares(descriptors)
    assert found.connections >= found.streams >= 1
    assert found.connections <= max(2, descriptors - 256)


def test_many_descriptors_are_not_all_taken() -> None:
    assert shares(1_048_576) == (4096, 2000)


def test_what_keeps_ending_is_started_ever_later() -> None:
    pauses = Pauses()
    waited = [pauses.after(0.1) for _ in range(8)]
    assert waited == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_what_had_run_well_is_started_at_once() -> None:
    pauses = Pauses()
    for _ in range(8):
        pauses.after(STEADY_SECONDS - 0.1)
    assert pauses.after(STEADY_SECONDS) == 0.5

"""How the gateway divides what the system gives it."""

import pytest

from zchat.gateway.process import shares


@pytest.mark.parametrize("descriptors", [0, 256, 300, 1024, 4096, 1_048_576])
def test_the_shares_fit_into_the_descriptors(descriptors: int) -> None:
    found = shares(descriptors)
    assert found.connections >= found.streams >= 1
    assert found.connections + 6 * found.streams <= max(12, descriptors - 256)


def test_many_descriptors_are_not_all_taken() -> None:
    assert shares(1_048_576) == (4096, 1000)

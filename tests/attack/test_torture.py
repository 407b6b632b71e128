"""A few rounds of `make torture`: kills under mixed load."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.torture import tortured
from zchat.operator.stores import check_store

ROUNDS = 3


@pytest.mark.timeout(120)
def test_nothing_acknowledged_is_lost_or_doubled_by_kills(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    by = random.SystemRandom()
    with tortured(tmp_path, free_port(), by) as (torture, server):
        outcome = torture.run(ROUNDS, lambda number: None)
        assert outcome.faults == []
        assert all(outcome.acknowledged.values()), outcome.acknowledged
        assert server.stop() == 0
    assert check_store(str(server.store)).faults == []
    assert "Traceback" not in server.log.text

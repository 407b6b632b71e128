"""The primary of a synchronous pair is lost under load."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from benchmarks.torture_cluster import failover


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder with a short path that PostgreSQL's owner may enter."""
    with TemporaryDirectory(prefix="zchat-failover-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_brokers_follow_and_nothing_acknowledged_is_missing(
    open_folder: Path,
) -> None:
    outcome = failover(open_folder, load_seconds=0.7)

    assert outcome.clean, str(outcome)
    assert outcome.acknowledged > 100
    assert outcome.refused

"""The numbered steps of the schema."""

import pytest

from zchat.storage.sql import migrations


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_steps_are_numbered_without_a_hole_or_a_double(dialect: str) -> None:
    numbers = [step.number for step in migrations(dialect)]

    assert numbers == list(range(1, len(numbers) + 1))


def test_both_stores_have_the_same_steps() -> None:
    names = [step.name for step in migrations("sqlite")]

    assert names == [step.name for step in migrations("postgres")]

"""Worlds for the tests of rules: each has a folder of its own."""

import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.harness import MEMORY, MakeWorld, Person, World


@pytest.fixture
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What the server logs."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture
def make_world(logged: list[MutableMapping[str, Any]]) -> Iterator[MakeWorld]:
    """Makes worlds with other settings than the default ones."""
    with ExitStack() as stack:

        def make(**rules: Any) -> World:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(dir=MEMORY)
            )
            world = World(Path(folder), **rules)
            stack.callback(world.close)
            return world

        yield make


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A server with the default settings."""
    return make_world()


@pytest.fixture
def ann(world: World) -> Person:
    return world.user("ann")


@pytest.fixture
def bob(world: World) -> Person:
    return world.user("bob")

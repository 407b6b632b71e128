"""A warning before there are no more file descriptors."""

import resource
from collections.abc import MutableMapping
from types import SimpleNamespace
from typing import Any

import pytest

from zchat.engine import fd_limit
from zchat.engine.fd_limit import DescriptorLimit


class System:
    """A system with a clock, so many open files and a limit."""

    def __init__(self) -> None:
        self.now = 0.0
        self.open = 10
        self.limit = 100

    def monotonic(self) -> float:
        return self.now

    def getrlimit(self, which: int) -> tuple[int, int]:
        assert which == resource.RLIMIT_NOFILE
        return self.limit, 2 * self.limit

    def listdir(self, folder: str) -> list[str]:
        if self.open >= self.limit:
            raise OSError("Too many open files")
        return [str(number) for number in range(self.open)]


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    made = System()
    monkeypatch.setattr(fd_limit, "os", made)
    monkeypatch.setattr(fd_limit, "time", made)
    monkeypatch.setattr(
        fd_limit,
        "resource",
        SimpleNamespace(
            getrlimit=made.getrlimit, RLIMIT_NOFILE=resource.RLIMIT_NOFILE
        ),
    )
    return made


def warned(
    system: System, logged: list[MutableMapping[str, Any]], seconds: int
) -> list[tuple[float, float]]:
    """When it warned in so many seconds, and of what share."""
    watch = DescriptorLimit()
    found = []
    for _ in range(seconds):
        watch.watch()
        found += [(system.now, one["share"]) for one in logged]
        logged.clear()
        system.now += 1
    return found


def test_where_most_are_free_it_says_nothing(
    system: System, logged: list[MutableMapping[str, Any]]
) -> None:
    system.open = 79

    assert warned(system, logged, 10) == []


def test_it_warns_once_a_minute(
    system: System, logged: list[MutableMapping[str, Any]]
) -> None:
    system.open = 80

    assert warned(system, logged, 130) == [(0, 0.8), (60, 0.8), (120, 0.8)]


def test_it_looks_every_two_seconds(
    system: System, logged: list[MutableMapping[str, Any]]
) -> None:
    """A look costs as much as there are open files."""
    watch = DescriptorLimit()
    watch.watch()
    system.open = 90
    for system.now in (1.0, 1.9, 2.0):
        watch.watch()
        assert bool(logged) is (system.now == 2.0)


def test_there_is_none_left_to_look_with(
    system: System, logged: list[MutableMapping[str, Any]]
) -> None:
    system.open = system.limit

    assert warned(system, logged, 1) == [(0, 1.0)]

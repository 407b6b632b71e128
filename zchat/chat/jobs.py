"""What the broker's own duties take and tell."""

from typing import NamedTuple

from msgspec import Struct


class NoParams(NamedTuple):
    """For duties that take nothing."""


class Progress(Struct, frozen=True):
    """Whether there is more to do: at once, or when nobody waits."""

    more: bool
    when_idle: bool = False


class BackUp(Struct, frozen=True):
    """A backup into this path is to be made when the batch is over."""

    path: str

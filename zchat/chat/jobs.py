"""What the broker's own duties take and tell."""

from typing import NamedTuple

from msgspec import Struct


class NoParams(NamedTuple):
    """For duties that take nothing."""


class Progress(Struct, frozen=True):
    """Whether there is more to do at once."""

    more: bool

"""New ids, tokens and secrets, from the system's randomness."""

import os
import secrets
from typing import Final
from uuid import uuid4

_WORD_LETTERS: Final = "23456789abcdefghjkmnpqrstuvwxyz"
_WORD_LENGTH: Final = 6
_POOL_BYTES: Final = 8192
_POOL_IDS: Final = 1024
_BEHIND_MILLISECONDS: Final = 3_600_000
_COUNTER_MOST: Final = 0xFFF
_COUNTERS: Final = tuple(f"{count:03x}-" for count in range(_COUNTER_MOST + 1))
_VARIANT: Final = bytes(0x80 | byte & 0x3F for byte in range(256))
"""A random byte to one whose upper bits are the variant, 10."""


class SystemEntropy:
    """The broker's source of what must never come twice.

    Randomness is drawn in pools, so that one system call serves many
    ids; a pool's bytes are given out once.
    """

    def __init__(self) -> None:
        self._pool = b""
        self._at = 0
        self._tails: list[str] = []
        self._millisecond = 0
        self._moment = ""
        self._counter = 0

    def id(self, now: int) -> str:
        """A UUID version 7 (RFC 9562); each is larger than the last,
        unless the clock was set back far.

        Within a millisecond twelve bits count; where they run out, the
        next millisecond is begun ahead of the clock.
        """
        millisecond = now // 1000
        behind = self._millisecond - millisecond
        if behind < 0 or behind > _BEHIND_MILLISECONDS:
            self._begin(millisecond)
        elif self._counter < _COUNTER_MOST:
            self._counter += 1
        else:
            self._begin(self._millisecond + 1)
        if not self._tails:
            self._tails = self._new_tails()
        return self._moment + _COUNTERS[self._counter] + self._tails.pop()

    def _new_tails(self) -> list[str]:
        """Random ends of ids, with the variant at the front."""
        clocks = bytearray(self.secret(2 * _POOL_IDS))
        clocks[::2] = clocks[::2].translate(_VARIANT)
        nodes = self.secret(6 * _POOL_IDS)
        return [
            f"{clock}-{node}"
            for clock, node in zip(
                clocks.hex(" ", 2).split(), nodes.hex(" ", 6).split()
            )
        ]

    def _begin(self, millisecond: int) -> None:
        self._millisecond = millisecond
        self._counter = 0
        time = f"{millisecond:012x}"
        self._moment = f"{time[:8]}-{time[8:]}-7"

    def token(self) -> str:
        """A UUID version 4."""
        return str(uuid4())

    def secret(self, size: int) -> bytes:
        """So many random bytes."""
        start = self._at
        if start + size > len(self._pool):
            self._pool = os.urandom(max(size, _POOL_BYTES))
            start = 0
        self._at = start + size
        return self._pool[start : self._at]

    def word(self) -> str:
        """A few letters and digits that are not taken for each other."""
        return "".join(
            secrets.choice(_WORD_LETTERS) for _ in range(_WORD_LENGTH)
        )

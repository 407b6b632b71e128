"""New messages, written where they lie, and many at a time.

A message's key is its place: the number of its chat, shifted, and its seq
(sql/sqlite/0007_places.sql). Nearly all messages are plain: no comment, no
file, no key, nothing in them changed. Binding a value costs as much as a
tenth of a row, so a plain message names what it has, and one statement
takes a set of them.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from msgspec.structs import astuple

from zchat.errors import StoreRejected
from zchat.model import MESSAGES, Message

_SEQ_BITS: Final = 36
_SET: Final = 32
_BLOCK_MASK: Final = 1023
_NUMBERS_KEPT: Final = 100_000
_PLACED: Final = tuple(
    name for name in MESSAGES.columns if name not in ("chat_id", "seq")
)
"""The columns of message_rows after `place`, in the order of the fields."""
_GIVEN: Final = ("id", "author_id", "created", "text")
"""What a plain message has; they are the first of `_PLACED`."""
_REST: Final = [
    0 if name in ("comments", "revision") else None
    for name in _PLACED[len(_GIVEN) :]
]
"""What all plain messages have in the other columns."""
_INTO: Final = f"INSERT INTO message_rows (place, {', '.join(_PLACED)}) VALUES"
_ANY: Final = f"{_INTO} (?, {', '.join('?' for _ in _PLACED)})"
_PLAIN_ROW: Final = "(?, {}, {})".format(
    ", ".join("?" for _ in _GIVEN),
    ", ".join("NULL" if value is None else str(value) for value in _REST),
)
_PLAIN_WIDTH: Final = 1 + len(_GIVEN)
_PLAIN: Final = f"{_INTO} {_PLAIN_ROW}"
_PLAIN_SET: Final = f"{_INTO} {', '.join([_PLAIN_ROW] * _SET)}"
_COUNT_BLOCK: Final = """
INSERT OR REPLACE INTO authored
SELECT ?1 >> 36, author_id, ((?1 & 68719476735) - 1) >> 10, count(*)
FROM message_rows WHERE place > ?1 - 1024 AND place <= ?1
GROUP BY author_id"""


class MessageRows:
    """Inserts messages; the numbers of their chats are kept in memory."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._numbers: dict[str, int] = {}

    def insert(self, messages: Iterable[Message]) -> None:
        """Insert them, and count who wrote blocks that are full now."""
        plain: list[Any] = []
        others: list[tuple[Any, ...]] = []
        full: list[int] = []
        numbers = self._numbers
        for message in messages:
            id, chat_id, seq, author_id, created, text, *rest = astuple(
                message
            )
            number = numbers.get(chat_id) or self._number_of(chat_id)
            place = number << _SEQ_BITS | seq
            if rest == _REST:
                plain += place, id, author_id, created, text
            else:
                others.append((place, id, author_id, created, text, *rest))
            if seq & _BLOCK_MASK == 0:
                full.append(place)
        self._insert_plain(plain)
        if others:
            self._connection.executemany(_ANY, others)
        if full:
            self._connection.executemany(_COUNT_BLOCK, zip(full))

    def _insert_plain(self, values: list[Any]) -> None:
        """Insert plain messages, whose values follow one another."""
        width = _PLAIN_WIDTH * _SET
        whole = len(values) - len(values) % width
        for start in range(0, whole, width):
            self._connection.execute(_PLAIN_SET, values[start : start + width])
        self._connection.executemany(
            _PLAIN, zip(*[iter(values[whole:])] * _PLAIN_WIDTH)
        )

    def _number_of(self, chat_id: str) -> int:
        """The chat's number, which it has for as long as the store."""
        row = self._connection.execute(
            "SELECT number FROM chat_numbers WHERE id = ?", (chat_id,)
        ).fetchone()
        if row is None:
            raise StoreRejected(f"there is no chat {chat_id}")
        if len(self._numbers) >= _NUMBERS_KEPT:
            self._numbers.clear()
        number: int = row[0]
        self._numbers[chat_id] = number
        return number

    def forget(self) -> None:
        """The batch was rolled back: a number given in it is free."""
        self._numbers.clear()

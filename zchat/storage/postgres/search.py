"""Searching in PostgreSQL: the trigrams of each 64 messages of a chat.

Whole blocks of 64 are indexed, by a thread of the one broker that holds
the lock for it; the few messages behind the last block are read. Trigrams
are numbers in an array under a GIN index, which needs no extension and
knows every script in every locale (decision 0026).
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from struct import unpack
from time import sleep
from typing import Any, Final
from zlib import crc32

import psycopg
from psycopg import pq
from psycopg.adapt import Dumper

from zchat.model import AuthoredMessage
from zchat.queries import SearchScope, fold
from zchat.storage.postgres.link import BINARY, TEXT, Command
from zchat.storage.postgres.rows import BIGINT, INTEGER, UUID, scalar
from zchat.storage.search import (
    GRAM,
    NEWEST_ID,
    Candidates,
    Span,
    Text,
    pairs,
)

BLOCK: Final = 64
BLOCKS_A_STEP: Final = 8
BLOCKS_AT_ONCE: Final = 16
DIRTY_AT_ONCE: Final = 64
_BITS: Final = 0x3FFF_FFFF

_THROUGH: Final = b"""
SELECT coalesce(s.blocks, 0) * 64
FROM unnest($1::uuid[]) WITH ORDINALITY AS w (chat_id, place)
LEFT JOIN search_chats AS s ON s.chat_id = w.chat_id
ORDER BY w.place"""
_LOCATE_NEWEST: Final = b"""
SELECT coalesce((SELECT max(seq) FROM messages AS m
                 WHERE m.chat_id = w.chat_id), 0) + 1
FROM unnest($1::uuid[]) WITH ORDINALITY AS w (chat_id, place)
ORDER BY w.place"""
# The block after the last one that begins before the id; a chat whose
# blocks all begin later, at its first block; else its newest message.
_LOCATE: Final = b"""
SELECT CASE
    WHEN b.block + 1 < s.blocks THEN (b.block + 1) * 64 + 1
    WHEN b.block IS NULL AND f.block IS NOT NULL THEN f.block * 64 + 1
    ELSE coalesce((SELECT max(seq) FROM messages AS m
                   WHERE m.chat_id = w.chat_id), 0) + 1 END
FROM unnest($1::uuid[]) WITH ORDINALITY AS w (chat_id, place)
LEFT JOIN search_chats AS s ON s.chat_id = w.chat_id
LEFT JOIN LATERAL (
    SELECT block FROM search_blocks
    WHERE chat_id = w.chat_id AND first_id < $2::uuid
    ORDER BY first_id DESC LIMIT 1) AS b ON true
LEFT JOIN LATERAL (
    SELECT block FROM search_blocks
    WHERE chat_id = w.chat_id ORDER BY block LIMIT 1) AS f ON true
ORDER BY w.place"""
# OFFSET keeps the planner from reading a chat's arrays one by one. What
# changed since it was indexed may hold anything.
_CANDIDATES: Final = b"""
SELECT w.place, found.block
FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[],
            $5::integer[]) AS w (place, chat_id, low, high, marker)
CROSS JOIN LATERAL (
    SELECT marked.block FROM (
        SELECT chat_id, block FROM search_blocks
        WHERE grams @> (w.marker || $6::integer[]) OFFSET 0) AS marked
    WHERE marked.chat_id = w.chat_id
      AND marked.block BETWEEN w.low AND w.high
    UNION
    SELECT dirty.block FROM search_dirty AS dirty
    WHERE dirty.chat_id = w.chat_id AND dirty.block BETWEEN w.low AND w.high
    ORDER BY block DESC LIMIT $7::bigint) AS found
ORDER BY w.place, found.block DESC"""
_TEXTS: Final = b"""
SELECT seq, id, text, author_id, files FROM messages
WHERE chat_id = $1 AND seq > $2 AND seq < $3
ORDER BY seq DESC LIMIT $4"""


def number(gram: str) -> int:
    """A trigram as the index keeps it; ASCII ones never coincide."""
    first, second, third = map(ord, gram)
    return (first << 14 ^ second << 7 ^ third) & _BITS


def marker(chat_id: str) -> int:
    """A negative number that stands in all blocks of the chat."""
    return -1 - (crc32(chat_id.encode()) & _BITS)


def numbers(texts: Iterable[str]) -> set[int]:
    """All trigrams of these messages.

    The code points stand side by side in one large integer, 32 bits
    each, so that shifting it once puts every character beside the next:
    what `number` does to one trigram is done to all of them at once.
    """
    folded = [fold(text) for text in texts]
    joined = "".join(folded)
    count = len(joined)
    codes = int.from_bytes(
        joined.encode("utf-32-le", "surrogatepass"), "little"
    )
    short = int.from_bytes(b"\xff\xff\0\0" * count, "little")
    mixed = (codes & short) << 14 ^ codes >> 32 << 7 ^ codes >> 64
    every = unpack(f"<{count}I", mixed.to_bytes(4 * count, "little"))
    found: set[int] = set()
    start = 0
    for text in folded:
        found.update(every[start : max(start, start + len(text) - GRAM + 1)])
        start += len(text)
    if not joined.isascii():
        for text in folded:
            found.update(map(number, pairs(text)))
    return found


Run = Callable[[Sequence[Command]], list[pq.abc.PGresult]]
Rows = Callable[[pq.abc.PGresult, Any], list[Any]]


class PostgresSearch:
    """The index as a batch searches it (storage/search.py).

    `run` runs commands in the batch's transaction, `rows` reads their
    results; `before` makes the command of `queries.MESSAGES_BEFORE`.
    """

    def __init__(
        self,
        run: Run,
        rows: Rows,
        before: Callable[[dict[str, Any]], Command],
    ) -> None:
        self._run = run
        self._rows = rows
        self._before = before

    def _ask(self, *commands: Command, make: Any) -> list[list[Any]]:
        return [self._rows(found, make) for found in self._run(commands)]

    def through(self, chat_ids: Sequence[str]) -> list[int]:
        (seqs,) = self._ask(
            Command(
                b"search through",
                _THROUGH,
                [UUID.array(chat_ids)],
                [BINARY],
            ),
            make=int,
        )
        return seqs

    def locate(self, scopes: Sequence[SearchScope], before: str) -> list[int]:
        chat_ids = UUID.array(scope.chat_id for scope in scopes)
        if before == NEWEST_ID:
            command = Command(
                b"search newest", _LOCATE_NEWEST, [chat_ids], [BINARY]
            )
        else:
            command = Command(
                b"search locate",
                _LOCATE,
                [chat_ids, scalar(before)],
                [BINARY, TEXT],
            )
        (seqs,) = self._ask(command, make=int)
        return seqs

    def candidates(
        self, grams: Sequence[str], spans: Sequence[Span]
    ) -> list[Candidates]:
        (found,) = self._ask(
            Command(
                b"search candidates",
                _CANDIDATES,
                [
                    BIGINT.array(range(len(spans))),
                    UUID.array(span.chat_id for span in spans),
                    BIGINT.array(span.above // BLOCK for span in spans),
                    BIGINT.array((span.below - 2) // BLOCK for span in spans),
                    INTEGER.array(marker(span.chat_id) for span in spans),
                    INTEGER.array(map(number, grams)),
                    scalar(BLOCKS_A_STEP),
                ],
                [*[BINARY] * 6, TEXT],
            ),
            make=_pair,
        )
        blocks: list[list[int]] = [[] for _ in spans]
        for place, block in found:
            blocks[place].append(block)
        return [
            Candidates(
                [(block * BLOCK, block * BLOCK + BLOCK + 1) for block in some],
                some[-1] * BLOCK if len(some) == BLOCKS_A_STEP else span.above,
            )
            for span, some in zip(spans, blocks)
        ]

    def texts(self, spans: Sequence[Span]) -> list[list[Text]]:
        return self._ask(
            *(
                Command(b"search texts", _TEXTS, [scalar(v) for v in span])
                for span in spans
            ),
            make=Text,
        )

    def messages(
        self, places: Sequence[tuple[str, int]]
    ) -> list[AuthoredMessage]:
        found = self._ask(
            *(
                self._before(
                    {
                        "chat_id": chat_id,
                        "floor": seq - 1,
                        "before": seq + 1,
                        "limit": 1,
                    }
                )
                for chat_id, seq in places
            ),
            make=AuthoredMessage,
        )
        return [row for rows in found for row in rows]


def _pair(first: int, second: int) -> tuple[int, int]:
    return first, second


# Filling the index: in the thread's own connection.

Cursor = psycopg.Connection[Any]


class _Grams(list[int]):
    """Trigrams on their way into an array."""


class _GramsDumper(Dumper):
    """Writes them in one go: the driver takes 50 times as long."""

    format = pq.Format.BINARY
    oid = INTEGER.array_oid

    def dump(self, obj: _Grams) -> bytes | None:
        return INTEGER.array(obj)


def prepare(connection: Cursor) -> None:
    """Before the connection fills the index."""
    connection.adapters.register_dumper(_Grams, _GramsDumper)


def chats_behind(
    connection: Cursor, chat_ids: Sequence[str] | None
) -> list[tuple[str, int, int]]:
    """Chats that have whole blocks to index: id, first and end block.

    Of these chats, or of all.
    """
    return connection.execute(
        """
        SELECT id::text, first, last FROM (
            SELECT c.id, c.head / 64 AS last, greatest(
                coalesce(s.blocks, 0), c.purged_seq / 64) AS first
            FROM chats AS c LEFT JOIN search_chats AS s ON s.chat_id = c.id
            WHERE %(ids)s::uuid[] IS NULL OR c.id = ANY (%(ids)s::uuid[])
        ) AS each_chat WHERE last > first
        """,
        {"ids": None if chat_ids is None else list(chat_ids)},
    ).fetchall()


def index_blocks(
    connection: Cursor, chat_id: str, first: int, end: int
) -> None:
    """Index the blocks from `first` up to before `end`."""
    while first < end:
        after = min(end, first + BLOCKS_AT_ONCE)
        with connection.transaction():
            _write(connection, chat_id, range(first, after))
            connection.execute(
                "INSERT INTO search_chats VALUES (%s, %s) ON CONFLICT "
                "(chat_id) DO UPDATE SET blocks = excluded.blocks",
                [chat_id, after],
            )
        first = after


def index_dirty(connection: Cursor) -> bool:
    """Write some blocks anew; whether there may be more of them."""
    with connection.transaction():
        rows = connection.execute(
            "SELECT d.number, d.chat_id::text, d.block, "
            "coalesce(d.block < s.blocks, false), c.id IS NULL "
            "FROM search_dirty AS d "
            "LEFT JOIN search_chats AS s ON s.chat_id = d.chat_id "
            "LEFT JOIN chats AS c ON c.id = d.chat_id "
            "ORDER BY d.number LIMIT %s",
            [DIRTY_AT_ONCE],
        ).fetchall()
        for chat_id, block in dict.fromkeys(
            (chat_id, block)
            for _, chat_id, block, is_indexed, _ in rows
            if is_indexed
        ):
            _write(connection, chat_id, range(block, block + 1))
        for chat_id in {row[1] for row in rows if row[4]}:
            connection.execute(
                "DELETE FROM search_chats WHERE chat_id = %s AND NOT EXISTS "
                "(SELECT 1 FROM search_blocks AS b WHERE b.chat_id = %s)",
                [chat_id, chat_id],
            )
        connection.execute(
            "DELETE FROM search_dirty WHERE number = ANY (%s)",
            [[row[0] for row in rows]],
        )
    return len(rows) == DIRTY_AT_ONCE


def _write(connection: Cursor, chat_id: str, blocks: range) -> None:
    """Index the blocks as their messages now stand."""
    rows = connection.execute(
        "SELECT (seq - 1) / %s, id::text, text FROM messages "
        "WHERE chat_id = %s AND seq > %s AND seq <= %s ORDER BY seq",
        [BLOCK, chat_id, blocks.start * BLOCK, blocks.stop * BLOCK],
    ).fetchall()
    found = {block: list(some) for block, some in groupby(rows, itemgetter(0))}
    gone = [block for block in blocks if block not in found]
    if gone:
        connection.execute(
            "DELETE FROM search_blocks "
            "WHERE chat_id = %s AND block = ANY (%s)",
            [chat_id, gone],
        )
    for block, some in found.items():
        grams = numbers(text for _, _, text in some)
        grams.add(marker(chat_id))
        connection.execute(
            "INSERT INTO search_blocks VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (chat_id, block) DO UPDATE "
            "SET first_id = excluded.first_id, grams = excluded.grams",
            [chat_id, block, some[0][1], _Grams(grams)],
        )
        sleep(0)  # The loop may need the interpreter.

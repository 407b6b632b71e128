"""Searching in an SQLite store: its own messages, and their index.

The index is filled by a thread of its own (indexer.py). The store hands
it what was committed, reads what it missed, and tells it which texts are
gone; all of that in small portions, between batches.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from queue import Empty
from typing import Final

import structlog

from zchat.model import AuthoredMessage, Message
from zchat.queries import SearchScope
from zchat.storage.search import NEWEST_ID, Candidates, Span, Text
from zchat.storage.sqlite.indexer import (
    SEQ_BITS,
    Added,
    Gone,
    Indexer,
    New,
    Wake,
)

CATCH_UP: Final = 2_000
GONE_AT_ONCE: Final = 500
MOST_WAITING: Final = 20_000
"""More texts than these are not queued, but read again later."""
WINDOW: Final = 65_536
"""How many messages one step may look for candidates in."""
SUFFIX: Final = "-search"
_SEQ_MASK: Final = (1 << SEQ_BITS) - 1
_IN_CHAT: Final = (
    "chat_numbers AS n CROSS JOIN message_rows AS m WHERE n.id = ? "
)
"""The messages of one chat, which are ordered by their places. A query
adds one lower and one upper bound: SQLite searches by one of each."""
_ABOVE: Final = "AND m.place > (n.number << 36) + ? "
_IN_FRONT: Final = "AND m.place < (n.number + 1) << 36 "

log = structlog.get_logger()


class SqliteSearch:
    """The search index of one store, as its owner's thread uses it.

    `before_text` is the SQL of `queries.MESSAGES_BEFORE`.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        epoch: str,
        before_text: str,
    ) -> None:
        self._store = connection
        self._path = path.with_name(path.name + SUFFIX)
        self._before_text = before_text
        self._index: sqlite3.Connection | None = None
        self._wake = Wake()
        self._indexer = Indexer(self._path, epoch, self._wake)
        self._behind: dict[str, None] = {}
        self._opened = 0
        self._compared = False
        self._gone_told = 0
        self._gone_left = True

    @property
    def holds_gone(self) -> bool:
        """Whether texts that are gone are still kept for the index."""
        return self._gone_left

    def wake(self) -> None:
        """Make the descriptor readable; from any thread."""
        self._wake()

    def fileno(self) -> int:
        """What is readable when `tend` has something to do."""
        return self._wake.fd

    # Filling the index

    def committed(self, messages: Sequence[Message], some_gone: bool) -> None:
        """These messages are new; others may have changed or gone."""
        self._gone_left |= some_gone
        if not messages:
            return
        if not self._is_ready() or self._indexer.waiting > MOST_WAITING:
            self._behind.update((one.chat_id, None) for one in messages)
        else:
            self._indexer.add(New(messages))

    def tend(self) -> None:
        """Hand a portion of what is missing to the indexer.

        Called between batches. Raises sqlite3.Error of the store's.
        """
        self._wake.clear()
        if not self._is_ready():
            return
        if self._gone_left:
            self._tell_gone()
        if not self._compared:
            self._compare()
        while True:
            try:
                self._behind[self._indexer.gaps.get_nowait()] = None
            except Empty:
                break
        if self._behind and self._indexer.waiting < CATCH_UP:
            self._catch_up(next(iter(self._behind)))

    def _is_ready(self) -> bool:
        """Whether there is an index; a new one is told everything."""
        if not self._indexer.ready.is_set():
            self._forget_index()
            return False
        if self._opened != self._indexer.opened:
            self._forget_index()
            self._opened = self._indexer.opened
        return True

    def _tell_gone(self) -> None:
        """Name texts that are gone; delete those that are out."""
        told = self._indexer.gone_through
        self._gone_told = max(self._gone_told, told)
        (done,) = self._store.execute(
            "SELECT count(*) FROM search_gone WHERE number <= ?", (told,)
        ).fetchone()
        if done:
            self._store.execute(
                "DELETE FROM search_gone WHERE number <= ?", (told,)
            )
        rows = self._store.execute(
            "SELECT g.number, g.chat_id, g.seq, g.text, m.text "
            "FROM search_gone AS g "
            "LEFT JOIN chat_numbers AS n ON n.id = g.chat_id "
            "LEFT JOIN message_rows AS m "
            "ON m.place = n.number << 36 | g.seq "
            "WHERE g.number > ? ORDER BY g.number LIMIT ?",
            (self._gone_told, GONE_AT_ONCE),
        ).fetchall()
        for row in rows:
            self._indexer.remove(Gone(*row))
            self._gone_told = row[0]
        self._gone_left = bool(rows) or self._gone_told > told

    def _compare(self) -> None:
        """Find the chats of which the index has too little.

        One that is ahead of its chat has seen commits that were lost
        with the machine (`durability` normal), so it is not to be used.
        """
        index = self._reader()
        through = dict(index.execute("SELECT id, through FROM chats"))
        for chat_id, head in self._store.execute(
            "SELECT id, head FROM chats WHERE head > 0"
        ):
            have = through.pop(chat_id, 0)
            if have > head:
                log.warning("search_index_ahead")
                self._forget_index()
                self._indexer.rebuild()
                return
            if have < head:
                self._behind[chat_id] = None
        self._compared = True

    def _catch_up(self, chat_id: str) -> None:
        """Hand on the next messages of a chat that is behind."""
        (after,) = self.through([chat_id])
        texts = self._store.execute(
            f"SELECT m.place & {_SEQ_MASK}, m.text FROM {_IN_CHAT} "
            f"{_ABOVE} {_IN_FRONT} ORDER BY m.place LIMIT ?",
            (chat_id, after, CATCH_UP),
        ).fetchall()
        if len(texts) < CATCH_UP:
            del self._behind[chat_id]
        if texts:
            self._indexer.add(Added(chat_id, after, texts[-1][0], texts))

    # The index as searches use it (storage/search.py)

    def _reader(self) -> sqlite3.Connection:
        if self._index is None:
            self._index = sqlite3.connect(
                f"file:{_quoted(self._path)}?mode=ro",
                uri=True,
                isolation_level=None,
            )
        return self._index

    def _forget_index(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None
        self._compared = False
        self._gone_told = 0
        self._gone_left = True

    def _fails(self, error: sqlite3.Error) -> None:
        log.warning("search_index_unreadable", error=str(error))
        self._forget_index()
        self._indexer.rebuild()

    def _place(self, chat_id: str) -> tuple[int, int]:
        """The chat's number in the index, and its through."""
        row: tuple[int, int] | None = (
            self._reader()
            .execute(
                "SELECT number, through FROM chats WHERE id = ?", (chat_id,)
            )
            .fetchone()
        )
        return row or (0, 0)

    def through(self, chat_ids: Sequence[str]) -> list[int]:
        if not self._is_ready():
            return [0 for _ in chat_ids]
        try:
            return [self._place(chat_id)[1] for chat_id in chat_ids]
        except sqlite3.Error as error:
            self._fails(error)
            return [0 for _ in chat_ids]

    def candidates(
        self, grams: Sequence[str], spans: Sequence[Span]
    ) -> list[Candidates]:
        match = " AND ".join(
            '"' + gram.replace('"', '""') + '"' for gram in grams
        )
        try:
            return [self._candidates(match, span) for span in spans]
        except sqlite3.Error as error:
            self._fails(error)
            return [_all_of(span) for span in spans]

    def _candidates(self, match: str, span: Span) -> Candidates:
        """What the index names, and what it does not know by now."""
        above = max(span.above, span.below - 1 - WINDOW)
        start = self._place(span.chat_id)[0] << SEQ_BITS
        found = {
            place & _SEQ_MASK
            for (place,) in self._reader().execute(
                "SELECT rowid FROM grams WHERE grams MATCH ? "
                "AND rowid > ? AND rowid < ? ORDER BY rowid DESC LIMIT ?",
                (match, start + above, start + span.below, span.limit),
            )
        }
        found.update(
            seq
            for (seq,) in self._store.execute(
                "SELECT DISTINCT seq FROM search_gone WHERE chat_id = ? "
                "AND seq > ? AND seq < ? ORDER BY seq DESC LIMIT ?",
                (span.chat_id, above, span.below, span.limit),
            )
        )
        seqs = sorted(found, reverse=True)[: span.limit]
        if len(seqs) == span.limit:
            above = seqs[-1] - 1
        return Candidates([(seq - 1, seq + 1) for seq in seqs], above)

    def locate(self, scopes: Sequence[SearchScope], before: str) -> list[int]:
        return [self._locate(*scope, before) for scope in scopes]

    def _locate(self, chat_id: str, floor: int, before: str) -> int:
        """By halves, as ids grow with the seq."""
        (last,) = self._store.execute(
            f"SELECT m.place & {_SEQ_MASK} FROM {_IN_CHAT} "
            f"{_ABOVE} {_IN_FRONT} ORDER BY m.place DESC LIMIT 1",
            (chat_id, floor),
        ).fetchone() or (0,)
        low, high = floor + 1, last + 1
        if before == NEWEST_ID:
            return high
        while low < high:
            middle = (low + high) // 2
            row = self._store.execute(
                f"SELECT m.place & {_SEQ_MASK}, m.id FROM {_IN_CHAT} "
                f"{_ABOVE} {_IN_FRONT} ORDER BY m.place LIMIT 1",
                (chat_id, middle - 1),
            ).fetchone()
            if row is None or row[1] >= before:
                high = middle
            else:
                low = row[0] + 1
        return low

    def texts(self, spans: Sequence[Span]) -> list[list[Text]]:
        return [
            [
                Text(*row)
                for row in self._store.execute(
                    f"SELECT m.place & {_SEQ_MASK}, m.id, m.text, "
                    f"m.author_id, m.files FROM {_IN_CHAT} "
                    f"{_ABOVE} "
                    "AND m.place < (n.number << 36) + ? "
                    "ORDER BY m.place DESC LIMIT ?",
                    span,
                )
            ]
            for span in spans
        ]

    def messages(
        self, places: Sequence[tuple[str, int]]
    ) -> list[AuthoredMessage]:
        return [
            AuthoredMessage(*row)
            for chat_id, seq in places
            for row in self._store.execute(
                self._before_text,
                {
                    "chat_id": chat_id,
                    "floor": seq - 1,
                    "before": seq + 1,
                    "limit": 1,
                },
            )
        ]

    def close(self) -> None:
        """End the indexer and close the index."""
        self._indexer.close()
        self._forget_index()
        self._wake.close()


def _all_of(span: Span) -> Candidates:
    """Everything in the span's newest part, where no index helps."""
    above = max(span.above, span.below - 1 - span.limit)
    return Candidates([(above, span.below)], above)


def _quoted(path: Path) -> str:
    """The path inside a URI of SQLite's."""
    text = str(path.absolute())
    for mark in ("%", "?", "#"):
        text = text.replace(mark, f"%{ord(mark):02x}")
    return text

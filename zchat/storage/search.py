"""Searching: which messages of some chats hold a text, newest first.

Each store has an index of which messages may hold a text: those that
hold all its trigrams. It is filled behind the sends' back, so of each
chat it covers the messages up to some seq, `through`. What follows is
read from the chat itself, and every message that the index names is
compared with the text as it now stands. So an answer is always right,
whether the index is ahead, behind, or being built; only its time
depends on it.

A chat is examined from its newest message back, in steps. Its frontier
is the id of the oldest message up to which all is examined. Ids grow
with time, so a hit that is newer than every chat's frontier comes before
all that is yet to be found. The chat with the newest frontier takes the
next step, until the page is full, all is examined, or time is up. Then
the page holds what is certain, and the newest frontier is where the next
page begins.

Only chats that the caller may read are examined. So neither the answer
nor its time tells what stands in others.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from zchat.model import AuthoredMessage
from zchat.queries import Searched, SearchParams, SearchScope, fold

SEARCH_SECONDS: Final = 0.02
"""What the searches of one batch may take together."""
STEP_TEXTS: Final = 256
FIRST_TEXTS: Final = 16
STEP_CANDIDATES: Final = 64
GRAM: Final = 3
MOST_GRAMS: Final = 24
PAIR: Final = "\ue000"
"""Stands before a pair, which makes a trigram of it."""
_PAIR_AT: Final = re.compile("(?=([\u2190-\U0010ffff].))", re.DOTALL)
"""From U+2190 on lie the scripts and symbols of which two characters are
a word: ideographs, kana, hangul, emoji. Their pairs are indexed too."""
NEWEST_ID: Final = "g"
"""Larger than every id."""


class Span(NamedTuple):
    """The newest `limit` messages of a chat with above < seq < below."""

    chat_id: str
    above: int
    below: int
    limit: int


class Text(NamedTuple):
    """What a search looks at of a message; `files` as in Message."""

    seq: int
    id: str
    text: str
    author_id: str
    files: str | None


class Candidates(NamedTuple):
    """Where in a span a text may stand; nowhere else above `reached`.

    `places` are (above, below), newest first.
    """

    places: list[tuple[int, int]]
    reached: int


class SearchIndex(Protocol):
    """What a store does for searches; everything is asked in sets."""

    def through(self, chat_ids: Sequence[str]) -> list[int]:
        """Up to which seq each chat is in the index."""

    def locate(self, scopes: Sequence[SearchScope], before: str) -> list[int]:
        """A seq in each chat from which on every id is `before` or
        larger; better small than large."""

    def candidates(
        self, grams: Sequence[str], spans: Sequence[Span]
    ) -> list[Candidates]:
        """Where messages with all the trigrams are, up to `limit`."""

    def texts(self, spans: Sequence[Span]) -> list[list[Text]]:
        """The messages of each span, newest first."""

    def messages(
        self, places: Sequence[tuple[str, int]]
    ) -> list[AuthoredMessage]:
        """The messages at (chat_id, seq), in that order."""


def pairs(folded: str) -> list[str]:
    """The pairs that are indexed, each once and as a trigram."""
    if folded.isascii():
        return []
    return [PAIR + pair for pair in dict.fromkeys(_PAIR_AT.findall(folded))]


def grams(folded: str) -> list[str]:
    """Trigrams that a message holding the folded text must have.

    Empty where the text is too short for the index. Of a long one a
    selection, for every hit is compared in the end.
    """
    if len(folded) == GRAM - 1:
        return pairs(folded)
    found = list(
        dict.fromkeys(
            folded[start : start + GRAM]
            for start in range(len(folded) - GRAM + 1)
        )
    )
    return found[:: -(-len(found) // MOST_GRAMS) or 1]


class _Source:
    """One chat and how far it was examined (module docstring)."""

    __slots__ = ("chat_id", "floor", "below", "through", "frontier")

    def __init__(
        self, scope: SearchScope, below: int, through: int, frontier: str
    ) -> None:
        self.chat_id, self.floor = scope
        self.below = below
        self.through = through
        self.frontier = frontier

    @property
    def exhausted(self) -> bool:
        return self.below <= self.floor + 1


class _Search:
    """One search under way; hits are by message id."""

    def __init__(self, index: SearchIndex, wanted: SearchParams) -> None:
        self._index = index
        self._wanted = wanted
        self._needle = fold(wanted["text"])
        self._grams = grams(self._needle)
        self.before = wanted["before"] or NEWEST_ID
        self.hits: dict[str, tuple[str, int]] = {}
        scopes = list(wanted["scopes"])
        self.sources = [
            _Source(scope, below, through, self.before)
            for scope, below, through in zip(
                scopes,
                index.locate(scopes, self.before),
                index.through([scope.chat_id for scope in scopes]),
            )
            if below > scope.floor + 1
        ]

    def step(self, sources: Sequence[_Source], texts: int) -> None:
        """Examine so many more texts of each of these chats."""
        indexed, plain = [], []
        for source in sources:
            is_worth_it = source.below - source.floor > STEP_TEXTS
            if (
                self._grams
                and is_worth_it
                and source.below <= (source.through + 1)
            ):
                indexed.append(source)
            else:
                plain.append(source)
        if plain:
            self._read(plain, texts)
        if indexed:
            self._follow(indexed)

    def _read(self, sources: Sequence[_Source], texts: int) -> None:
        """The chats' own messages, those that are not indexed first."""
        spans = []
        for source in sources:
            above = source.floor
            if self._grams and source.through + 1 < source.below:
                above = max(above, source.through)
            spans.append(Span(source.chat_id, above, source.below, texts))
        for source, span, rows in zip(
            sources, spans, self._index.texts(spans)
        ):
            self._compare(source, rows)
            if len(rows) < texts:
                source.below = span.above + 1
            else:
                source.below = rows[-1].seq
            if rows:
                source.frontier = min(source.frontier, rows[-1].id)

    def _follow(self, sources: Sequence[_Source]) -> None:
        """Where the index says that the text may stand."""
        found = self._index.candidates(
            self._grams,
            [
                Span(s.chat_id, s.floor, s.below, STEP_CANDIDATES)
                for s in sources
            ],
        )
        spans, owners = [], []
        for source, (places, reached) in zip(sources, found):
            for above, below in places:
                spans.append(
                    Span(
                        source.chat_id,
                        max(above, source.floor),
                        min(below, source.below),
                        STEP_TEXTS,
                    )
                )
                owners.append(source)
            source.below = reached + 1
            if not source.exhausted and (reached, reached + 2) not in places:
                # Its id is the frontier.
                spans.append(Span(source.chat_id, reached, reached + 2, 1))
                owners.append(source)
        for source, rows in zip(owners, self._index.texts(spans)):
            self._compare(source, rows)
            if rows:
                source.frontier = min(source.frontier, rows[-1].id)

    def _compare(self, source: _Source, rows: Sequence[Text]) -> None:
        """Keep what holds the text and is wanted."""
        wanted, needle, before = self._wanted, self._needle, self.before
        author_id, has_file = wanted["author_id"], wanted["has_file"]
        for row in rows:
            if (
                row.id < before
                and needle in fold(row.text)
                and (author_id is None or row.author_id == author_id)
                and (has_file is None or (row.files is not None) == has_file)
                and row.seq > source.floor
            ):
                self.hits[row.id] = (source.chat_id, row.seq)


def search(
    index: SearchIndex,
    wanted: SearchParams,
    deadline: float,
    clock: Callable[[], float],
) -> Searched:
    """A page of what is wanted; after `deadline` what is certain then.

    Each page comes further than the one before, however late it is.
    """
    under_way = _Search(index, wanted)
    live = under_way.sources
    if live:
        under_way.step(live, max(FIRST_TEXTS, STEP_TEXTS // len(live)))
    while True:
        live = [source for source in live if not source.exhausted]
        frontier = max((source.frontier for source in live), default="")
        certain = sorted(
            (id for id in under_way.hits if id >= frontier), reverse=True
        )
        if len(certain) >= wanted["limit"] or not live:
            break
        if frontier < under_way.before and clock() >= deadline:
            break
        under_way.step(
            [source for source in live if source.frontier == frontier],
            STEP_TEXTS,
        )
    page = certain[: wanted["limit"]]
    more: str | None = frontier or None
    if len(certain) > len(page):
        more = page[-1]
    return Searched(index.messages([under_way.hits[id] for id in page]), more)

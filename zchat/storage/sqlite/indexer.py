"""A thread that fills the search index, in a file beside the store.

The index is an FTS5 table of trigrams without the texts themselves; a
message is `number << 36 | seq` there, with the number that the index
gives its chat. It holds nothing that the store does not: where the file
is missing, damaged, or of another epoch, it is begun again.

Of each chat the messages up to `through` are indexed, none twice. What
joins on behind that is taken, what leaves a gap is not: the chat's id is
put into `gaps`, and the store reads what is missing. So nothing is lost
with a queue or a crash.

A text that is gone has to be named to be taken out, so the store keeps
it in `search_gone` until `gone_through`, what has been taken out and is
on the disk, says that it may go.

The thread shares two things with the broker's: the interpreter, so it
leaves to SQLite, which lets go of it, all that SQLite can do; and the
machine's cores, so the parts that FTS5 leaves behind with every commit
are merged while few messages come (docs/decisions/0050).
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import Final, NamedTuple

import structlog
from msgspec.json import Encoder

from zchat.model import Message
from zchat.queries import fold
from zchat.storage.search import pairs

SEQ_BITS: Final = 36
LAYOUT: Final = "1"
GATHER_SECONDS: Final = 0.25
GATHER_TEXTS: Final = 2_000
RETRY_SECONDS: Final = 5.0
MERGE_PAGES: Final = 250
CHECKPOINT_PAGES: Final = 4_096
REWRITE_SECONDS: Final = 20.0
"""Between two rewrites of the index without what is gone."""
MOST_PARTS: Final = 16
"""So many parts of one size are merged, however busy the thread is."""
NICE: Final = 10
_SECURE_DELETE_FROM: Final = (3, 42, 0)
_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE chats (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    through INTEGER NOT NULL
);
CREATE VIRTUAL TABLE grams USING fts5 (
    text, tokenize = 'trigram case_sensitive 1',
    content = '', detail = none, columnsize = 0
);
"""

_encode: Final = Encoder().encode

log = structlog.get_logger()


class Added(NamedTuple):
    """All messages of a chat with after < seq <= through: seq, text."""

    chat_id: str
    after: int
    through: int
    texts: Sequence[tuple[int, str]]


class New(NamedTuple):
    """Messages as a batch made them; those of a chat follow its head."""

    messages: Sequence[Message]


class Gone(NamedTuple):
    """A text that a message had, and the one it has now, if any."""

    number: int
    chat_id: str
    seq: int
    text: str
    now: str | None


_Job = Added | New | Gone


def indexed_text(text: str) -> str:
    """What the index is given of a message's text."""
    folded = fold(text)
    return folded + "".join(pairs(folded))


class Indexer:
    """The thread, and what it tells.

    `gone_through` is the number up to which gone texts are out of the
    index for good. `opened` counts how often the index was opened; what
    was handed over before the last time may not have been done. `wake`
    is called when the thread has done something.
    """

    def __init__(self, path: Path, epoch: str, wake: "Wake") -> None:
        self.path = path
        self.gaps: SimpleQueue[str] = SimpleQueue()
        self.gone_through = 0
        self.opened = 0
        self._given = 0
        self._done = 0
        self.ready = Event()
        self._epoch = epoch
        self._wake = wake
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._stopping = False
        self._broken = False
        self._halted = Event()
        self._thread = Thread(
            target=self._run, name="zchat-search", daemon=True
        )
        self._thread.start()

    # The store's side

    @property
    def waiting(self) -> int:
        """How many texts it was given and has not done with."""
        return self._given - self._done

    def add(self, added: Added | New) -> None:
        """Index these messages."""
        self._given += _count(added)
        self._jobs.put(added)

    def remove(self, gone: Gone) -> None:
        """Take a text out again, and index the one in its place."""
        self._jobs.put(gone)

    def rebuild(self) -> None:
        """The index is wrong: begin it again."""
        self.ready.clear()
        self._broken = True
        self._halted.set()
        self._jobs.put(None)

    def close(self) -> None:
        """End the thread; what it was given and did not do is found
        again at the next start."""
        self._stopping = True
        self._halted.set()
        self._jobs.put(None)
        self._thread.join()

    # The thread's side

    def _run(self) -> None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, NICE)  # this thread alone
        while not self._stopping:
            try:
                self._serve()
            except (sqlite3.Error, OSError) as error:
                log.warning("search_index_failed", error=str(error))
                self.ready.clear()
                self._broken |= not _is_passing(error)
                self._pause()

    def _pause(self) -> None:
        """Wait before the next attempt; what comes meanwhile is read
        again from the store."""
        until = monotonic() + RETRY_SECONDS
        while not self._stopping and monotonic() < until:
            with suppress(Empty):
                self._have_done([self._jobs.get(timeout=0.1)])

    def _have_done(self, jobs: Sequence[_Job | None]) -> None:
        self._done += sum(map(_count, jobs))

    def _serve(self) -> None:
        """Open the index, and work on it until told to stop."""
        self._halted.clear()
        if self._stopping:
            return
        if self._broken:
            remove_index(self.path)
            self._broken = False
        with closing(self._open()) as index:
            self.gone_through = int(_meta(index, "gone_through") or 0)
            self.opened += 1
            self.ready.set()
            self._wake()
            parts = _Parts(index)
            while not self._halted.is_set():
                portions = 0
                for jobs in self._portions(wait=not parts.unmerged):
                    parts.added(self._apply(index, jobs))
                    portions += 1
                if portions < 2 or parts.must_rewrite:
                    parts.merge()

    def _open(self) -> sqlite3.Connection:
        index = sqlite3.connect(self.path, isolation_level=None)
        try:
            self.path.chmod(0o600)
            index.execute("PRAGMA journal_mode = WAL")
            index.execute("PRAGMA synchronous = NORMAL")
            index.execute("PRAGMA secure_delete = ON")
            index.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            known = index.execute(
                "SELECT count(*) FROM sqlite_master WHERE name = 'meta'"
            ).fetchone()[0]
            layout = f"{LAYOUT} {self._epoch}"
            if known and _meta(index, "layout") != layout:
                index.close()
                remove_index(self.path)
                return self._open()
            if not known:
                index.executescript(f"BEGIN; {_SCHEMA} COMMIT")
                if sqlite3.sqlite_version_info >= _SECURE_DELETE_FROM:
                    index.execute(
                        "INSERT INTO grams (grams, rank) "
                        "VALUES ('secure-delete', 1)"
                    )
                _set_meta(index, "layout", layout)
            index.execute(
                "INSERT INTO grams (grams, rank) VALUES "
                "('automerge', ?), ('crisismerge', ?)",
                (MOST_PARTS, 4 * MOST_PARTS),
            )
        except BaseException:
            index.close()
            raise
        return index

    def _portions(self, wait: bool) -> Iterator[list[_Job]]:
        """What comes in GATHER_SECONDS, from the first on if `wait`.

        Small commits would cost the most, large ones hold too much.
        """
        job = self._jobs.get() if wait else None
        self._halted.wait(GATHER_SECONDS)
        size = GATHER_TEXTS
        while size >= GATHER_TEXTS:
            jobs = [job] if job else []
            size = sum(map(_count, jobs))
            with suppress(Empty):
                while size < GATHER_TEXTS:
                    job = self._jobs.get_nowait()
                    if job:
                        jobs.append(job)
                        size += max(1, _count(job))
            job = None
            if jobs:
                yield jobs
            if self._halted.is_set():
                return

    def _apply(self, index: sqlite3.Connection, jobs: Sequence[_Job]) -> bool:
        """Do the jobs in order, as one change; whether texts went."""
        gone = [job for job in jobs if isinstance(job, Gone)]
        index.execute(f"PRAGMA synchronous = {'FULL' if gone else 'NORMAL'}")
        index.execute("BEGIN IMMEDIATE")
        try:
            places = _Places(index)
            texts: list[tuple[int, str]] = []
            for job in jobs:
                if isinstance(job, Gone):
                    _insert(index, texts)
                    texts = self._take_out(index, places, job)
                else:
                    self._take_in(places, job, texts)
            _insert(index, texts)
            places.save()
            if gone:
                _set_meta(index, "gone_through", gone[-1].number)
                _set_meta(index, "merging", 1)
            index.execute("COMMIT")
        except BaseException:
            if index.in_transaction:
                index.execute("ROLLBACK")
            raise
        finally:
            self._have_done(jobs)
        if gone:
            self.gone_through = gone[-1].number
        self._wake()
        return bool(gone)

    def _take_in(
        self,
        places: "_Places",
        job: Added | New,
        texts: list[tuple[int, str]],
    ) -> None:
        """Add to `texts` what joins on."""
        for chat_id, after, last, added in _by_chat(job):
            number, through = places.find(chat_id)
            if after > through:
                self.gaps.put(chat_id)
            elif last > through:
                start = number << SEQ_BITS
                texts += [
                    (start | seq, text) for seq, text in added if seq > through
                ]
                places.move(chat_id, last)

    def _take_out(
        self, index: sqlite3.Connection, places: "_Places", job: Gone
    ) -> list[tuple[int, str]]:
        """Remove a text, where the message is indexed already; what
        stands in its place now is to be indexed."""
        number, through = places.find(job.chat_id)
        if job.seq > through:
            return []
        place = number << SEQ_BITS | job.seq
        if job.text:
            index.execute(
                "INSERT INTO grams (grams, rowid, text) "
                "VALUES ('delete', ?, ?)",
                (place, indexed_text(job.text)),
            )
        return [(place, job.now)] if job.now else []


class Wake:
    """Makes the broker's loop look: a descriptor that is readable."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def __call__(self) -> None:
        with suppress(OSError):
            os.eventfd_write(self.fd, 1)

    def clear(self) -> None:
        """It was looked."""
        with suppress(OSError):
            os.eventfd_read(self.fd)

    def close(self) -> None:
        """Give the descriptor back, once."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class _Parts:
    """The parts of the index, a few of which are merged at a time.

    FTS5 adds one with each commit, and a search looks into all of them.
    FTS5 before 3.42 only notes in a new part that something is gone; it
    is gone once all parts have been rewritten, which starts at most once
    in REWRITE_SECONDS and takes one step with each commit, however busy
    the thread is. `unmerged` tells whether there may be more to do.
    """

    def __init__(self, index: sqlite3.Connection) -> None:
        self._index = index
        self._holds_gone = bool(_meta(index, "merging"))
        self._rewriting = False
        self._last_rewrite = monotonic() - REWRITE_SECONDS
        self.unmerged = True

    @property
    def must_rewrite(self) -> bool:
        """Whether texts that are gone have waited long enough."""
        return self._rewriting or (
            self._holds_gone
            and monotonic() >= self._last_rewrite + REWRITE_SECONDS
        )

    def added(self, some_gone: bool) -> None:
        """There is a new part."""
        self.unmerged = True
        self._holds_gone |= some_gone

    def merge(self) -> None:
        """Take one step, of about a megabyte."""
        begins = self.must_rewrite and not self._rewriting
        if begins:
            self._rewriting, self._holds_gone = True, False
            self._last_rewrite = monotonic()
        before = self._index.total_changes
        self._index.execute(
            "INSERT INTO grams (grams, rank) VALUES ('merge', ?)",
            (-MERGE_PAGES if begins else MERGE_PAGES,),
        )
        if self._index.total_changes - before >= 2:
            return
        if self._rewriting and not self._holds_gone:
            _set_meta(self._index, "merging", 0)
            with suppress(sqlite3.OperationalError):
                self._index.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._rewriting = False
        self.unmerged = self._holds_gone


class _Places:
    """The chats' numbers and how far they are, for one change."""

    def __init__(self, index: sqlite3.Connection) -> None:
        self._index = index
        self._found: dict[str, tuple[int, int]] = {}
        self._moved: set[str] = set()

    def find(self, chat_id: str) -> tuple[int, int]:
        """The chat's number, and its `through`."""
        found = self._found.get(chat_id)
        if found is None:
            found = self._index.execute(
                "SELECT number, through FROM chats WHERE id = ?", (chat_id,)
            ).fetchone()
            if found is None:
                number = self._index.execute(
                    "INSERT INTO chats (id, through) VALUES (?, 0)",
                    (chat_id,),
                ).lastrowid
                assert number is not None
                found = (number, 0)
            self._found[chat_id] = found
        return found

    def move(self, chat_id: str, through: int) -> None:
        """The chat is indexed up to there."""
        self._found[chat_id] = (self._found[chat_id][0], through)
        self._moved.add(chat_id)

    def save(self) -> None:
        """Write what was moved."""
        self._index.executemany(
            "UPDATE chats SET through = ? WHERE id = ?",
            ((self._found[id][1], id) for id in self._moved),
        )


def _count(job: _Job | None) -> int:
    """How many texts are to be added."""
    if isinstance(job, Added):
        return len(job.texts)
    return len(job.messages) if isinstance(job, New) else 0


def _by_chat(job: Added | New) -> Iterable[Added]:
    """What is to be added to each chat."""
    if isinstance(job, Added):
        return [job]
    chats: dict[str, list[tuple[int, str]]] = {}
    for message in job.messages:
        chats.setdefault(message.chat_id, []).append(
            (message.seq, message.text)
        )
    return [
        Added(chat_id, texts[0][0] - 1, texts[-1][0], texts)
        for chat_id, texts in chats.items()
    ]


def _is_passing(error: Exception) -> bool:
    """Whether the index itself is sound: the disk is full, say."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF in _PASSING


def remove_index(path: Path) -> None:
    """Remove the files of an index; it can be made again."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _insert(
    index: sqlite3.Connection, texts: Sequence[tuple[int, str]]
) -> None:
    """Index texts by place, in one statement that runs unlocked.

    In the order of their places: FTS5 writes a part for each step back.
    SQLite's `lower` does to ASCII what `indexed_text` would.
    """
    if texts:
        index.execute(
            "INSERT INTO grams (rowid, text) "
            "SELECT CAST(key AS INTEGER), lower(value) FROM json_each(?)",
            (
                _encode(
                    {
                        place: text if text.isascii() else indexed_text(text)
                        for place, text in sorted(texts)
                        if text
                    }
                ).decode(),
            ),
        )


def _meta(index: sqlite3.Connection, name: str) -> int | str | None:
    row = index.execute(
        "SELECT value FROM meta WHERE name = ?", (name,)
    ).fetchone()
    return None if row is None else row[0]


def _set_meta(index: sqlite3.Connection, name: str, value: int | str) -> None:
    index.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

"""Searching a store, on each: the same text is found in the same way."""

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.stores import (
    NOW,
    ask,
    chat,
    load,
    message,
    new_id,
    number,
    user,
    write,
)
from zchat.model import CHATS, MESSAGES, Chat, Message, User
from zchat.queries import (
    DELETE_CHAT_MESSAGES,
    DELETE_MESSAGES,
    SEARCH,
    SearchScope,
    fold,
)
from zchat.storage import open_store, search
from zchat.storage.base import Store
from zchat.storage.postgres import indexer as shared_indexer
from zchat.storage.sqlite import indexer as lite_indexer
from zchat.storage.sqlite import search as lite_search
from zchat.storage.sqlite.store import SqliteStore

DEADLINE_SECONDS = 60
Opener = Callable[[], Store]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexers that are not patient."""
    monkeypatch.setattr(lite_indexer, "GATHER_SECONDS", 0.02)
    monkeypatch.setattr(lite_indexer, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(shared_indexer, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(shared_indexer, "LOOK_SECONDS", 0.1)


class Talk:
    """A chat with texts in it; ids grow with the seq in all of them."""

    _ids = iter(range(1, 1_000_000_000))

    def __init__(self, store: Store) -> None:
        self.store = store
        self.room: Chat = chat()
        self.ann: User = user()
        self.messages: list[Message] = []
        write(store, self.room, self.ann)

    def say(self, *texts: str, **fields: Any) -> list[Message]:
        """Append messages, as a batch would."""
        first = self.room.head + 1
        new = [
            message(
                self.room,
                self.ann,
                first + place,
                **{"id": number(next(self._ids)), "text": text, **fields},
            )
            for place, text in enumerate(texts)
        ]
        self.room = replace(self.room, head=self.room.head + len(new))
        write(self.store, *new, update=[self.room])
        self.messages += new
        return new

    @property
    def scope(self) -> SearchScope:
        return SearchScope(self.room.id, 0)


def pages(
    store: Store, text: str, scopes: Sequence[SearchScope], **fields: Any
) -> Iterator[list[str]]:
    """The texts on each page; every page comes further."""
    before: str | None = None
    while True:
        (page,) = ask(
            store,
            SEARCH,
            **{
                "text": text,
                "scopes": scopes,
                "author_id": None,
                "has_file": None,
                "limit": 20,
                "before": before,
                **fields,
            },
        )
        ids = [found.id for found in page.messages]
        assert ids == sorted(ids, reverse=True)
        assert all(before is None or id < before for id in ids)
        yield [found.text for found in page.messages]
        if page.next is None:
            return
        assert before is None or page.next < before
        before = page.next


def found(
    store: Store, text: str, *scopes: SearchScope, **fields: Any
) -> list[str]:
    """All texts that are found, newest first."""
    return [
        text for page in pages(store, text, scopes, **fields) for text in page
    ]


def wait_for_index(store: Store, *talks: Talk) -> None:
    """Until every whole block of these chats is indexed."""
    until = monotonic() + DEADLINE_SECONDS
    while True:
        store.feed()
        if isinstance(store, SqliteStore):
            # The gone texts are out, too.
            through = store._search.through([t.room.id for t in talks])
            left = load_gone(store)
            wanted = [talk.room.head for talk in talks]
        else:
            store.begin()
            through = store._search.through(  # type: ignore[attr-defined]
                [t.room.id for t in talks]
            )
            store.rollback()
            left = 0
            with psycopg.connect(store._url) as link:  # type: ignore
                row = link.execute(
                    "SELECT count(*) FROM search_dirty"
                ).fetchone()
                left = row[0] if row else 0
            wanted = [talk.room.head // 64 * 64 for talk in talks]
        if through >= wanted and not left:
            return
        assert monotonic() < until, (through, wanted, left)
        sleep(0.02)


def load_gone(store: SqliteStore) -> int:
    (count,) = store._connection.execute(
        "SELECT count(*) FROM search_gone"
    ).fetchone()
    return int(count)


CASES = [
    ("ПРИВЕТ", ["Привет, мир", "приветствие"], ["Привести"]),
    ("привет", ["ПРИВЕТ"], ["при вет"]),
    ("strasse", ["Hauptstraße 1", "STRASSE"], ["strase"]),
    ("istanbul", ["İstanbul", "ISTANBUL", "ıstanbul"], ["i stanbul"]),
    ("İZMİR", ["izmir", "Izmir"], ["zmir"]),
    ("ışık", ["IŞIK", "Işık"], ["isik"]),
    ("ΣΊΣΥΦΟΣ", ["σίσυφος"], []),
    ("東京", ["私は東京に住む"], ["東 京", "京東"]),
    ("漢", ["漢字"], ["字"]),
    ("ア", ["カタカナ ア"], ["カナ"]),
    ("👍🏽", ["good 👍🏽!"], ["👍 🏽", "👍"]),
    ("ab", ["cabin", "AB"], ["a b"]),
    ('say "hi"', ['they SAY "Hi" now'], ["say hi"]),
    ("100%", ["it is 100% sure"], ["1000", "100 %"]),
    ("a_b", ["A_B here"], ["axb"]),
    ("x OR y", ["this x or y that"], ["x", "y"]),
    ("NEAR(a b)", ["near(a b)"], ["near a b"]),
    ("foo*", ["foo* bar"], ["foobar"]),
    ("-not", ["this is-not it"], ["not"]),
    ("text:abc", ["text:abc"], ["abc"]),
    ("\\d{2}", ["regex \\d{2}"], ["12"]),
    ("'; --", ["drop'; -- it"], ["drop"]),
    ("ＡＢＣ", ["abc", "ＡｂＣ"], ["ab c"]),
    ("line\nbreak", ["a line\nbreak"], ["line break"]),
    ("e\u0301te\u0301", ["un Été"], ["ete"]),
    ("nowhere at all", ["it is nowhere at all"], ["no where at all, all"]),
]


@pytest.mark.parametrize("indexed", [False, True], ids=["fresh", "indexed"])
def test_finds_substrings_in_any_script(store: Store, indexed: bool) -> None:
    talk = Talk(store)
    talk.say("the oldest")
    for _, there, absent in CASES:
        talk.say(*there, *absent)
    talk.say(*(f"filling {n}" for n in range(400)))
    if indexed:
        wait_for_index(store, talk)
    everything = [m.text for m in reversed(talk.messages)]

    for text, there, absent in CASES:
        hits = found(store, text, talk.scope)

        assert set(there) <= set(hits), text
        assert not set(absent) & set(hits), text
        assert hits == [t for t in everything if fold(text) in fold(t)]


@pytest.mark.parametrize("indexed", [False, True], ids=["fresh", "indexed"])
def test_pages_go_through_all_chats_newest_first(
    store: Store, indexed: bool
) -> None:
    random.seed(7)
    talks = [Talk(store) for _ in range(4)]
    said: list[str] = []
    for turn in range(300):
        talk = random.choice(talks)
        text = f"{turn} {random.choice(['needle', 'straw'])}"
        talk.say(text)
        said.insert(0, text)
    talks[0].say(*(f"straw {n}" for n in range(500)))
    if indexed:
        wait_for_index(store, *talks)
    scopes = [talk.scope for talk in talks]
    wanted = [text for text in said if "needle" in text]

    assert found(store, "NEEDLE", *scopes) == wanted
    assert found(store, "needle", *scopes, limit=1) == wanted
    assert found(store, "needle", *scopes, limit=len(wanted)) == wanted
    assert found(store, "needle") == []


def test_only_what_is_visible_is_found(store: Store) -> None:
    open_talk, closed = Talk(store), Talk(store)
    open_talk.say(*(f"secret {n}" for n in range(200)))
    closed.say("secret elsewhere")
    wait_for_index(store, open_talk)
    floor = SearchScope(open_talk.room.id, 195)

    assert found(store, "secret", floor) == [
        f"secret {n}" for n in range(199, 194, -1)
    ]


@pytest.mark.parametrize("indexed", [False, True], ids=["fresh", "indexed"])
def test_by_author_and_files(store: Store, indexed: bool) -> None:
    talk, bob = Talk(store), user()
    write(store, bob)
    talk.say("report one", "report two", *["filling"] * 300)
    talk.say("report of bob", author_id=bob.id)
    talk.say("report with file", files='[{"name": "a"}]')
    if indexed:
        wait_for_index(store, talk)

    assert found(store, "report", talk.scope, author_id=bob.id) == [
        "report of bob"
    ]
    assert found(store, "report", talk.scope, has_file=True) == [
        "report with file"
    ]
    assert found(store, "report", talk.scope, has_file=False) == [
        "report of bob",
        "report two",
        "report one",
    ]


def test_changed_and_deleted_texts(store: Store) -> None:
    talk = Talk(store)
    talk.say(*(f"old words {n}" for n in range(320)))
    wait_for_index(store, talk)
    first, second, *_ = talk.messages
    edited = replace(first, text="fresh wording")

    write(store, update=[edited, replace(second, text="")])

    for _ in range(2):
        assert found(store, "fresh wording", talk.scope) == ["fresh wording"]
        hits = found(store, "old words", talk.scope)
        assert len(hits) == 318
        assert not {first.text, second.text} & set(hits)
        wait_for_index(store, talk)

    write(
        store,
        run=[(DELETE_MESSAGES, {"chat_id": talk.room.id, "seq": 300})],
    )
    for _ in range(2):
        assert len(found(store, "old words", talk.scope)) == 20
        wait_for_index(store, talk)
    write(
        store,
        run=[(DELETE_CHAT_MESSAGES, {"chat_id": talk.room.id})],
        delete=[talk.room],
    )
    wait_for_index(store)
    assert found(store, "old words", talk.scope) == []


def test_text_that_was_empty_is_found_once_it_is_not(store: Store) -> None:
    talk = Talk(store)
    (blank, *_) = talk.say("", *["filling"] * 320)
    wait_for_index(store, talk)

    write(store, update=[replace(blank, text="now with words")])
    wait_for_index(store, talk)

    assert found(store, "with words", talk.scope) == ["now with words"]


def test_what_was_not_indexed_is_caught_up_at_the_start(target: str) -> None:
    with closing(open_store(target, NOW, new_id)) as first:
        talk = Talk(first)
        talk.say(*(f"before {n}" for n in range(300)))
    with closing(open_store(target, NOW, new_id)) as again:
        talk.store = again
        talk.say(*(f"after {n}" for n in range(300)))

        assert len(found(again, "before", talk.scope)) == 300
        wait_for_index(again, talk)
        assert len(found(again, "before", talk.scope)) == 300
        assert found(again, "after 299", talk.scope) == ["after 299"]


def test_hostile_searches_of_a_batch_share_its_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page ends early, comes further all the same, and says so."""
    module = (
        "zchat.storage.sqlite.store.SEARCH_SECONDS"
        if isinstance(store, SqliteStore)
        else "zchat.storage.postgres.store.SEARCH_SECONDS"
    )
    monkeypatch.setattr(module, 0.0)
    talk = Talk(store)
    talk.say("needle", *(f"hay {n}" for n in range(3000)))

    parts = list(pages(store, "ee", [talk.scope]))

    assert len(parts) > 3
    assert [text for part in parts for text in part] == ["needle"]


def test_grams_are_spread_over_a_long_text() -> None:
    needle = "".join(map(chr, range(0x400, 0x500)))

    grams = search.grams(needle)

    assert 1 < len(grams) <= search.MOST_GRAMS
    assert all(gram in needle for gram in grams)
    assert search.grams("ab") == []
    assert search.grams("東京") == ["\ue000東京"]


# SQLite's file beside the store


def test_messages_are_read_by_both_bounds_of_their_places(
    tmp_path: Path,
) -> None:
    """What a search looks at does not grow with the chat."""
    with closing(SqliteStore(tmp_path / "zchat.db", NOW, new_id)) as store:
        talk = Talk(store)
        talk.say(*(f"words {n}" for n in range(600)))
        wait_for_index(store, talk)
        asked: list[str] = []
        store._connection.set_trace_callback(asked.append)
        assert len(found(store, "words", talk.scope, limit=50)) == 600
        store._connection.set_trace_callback(None)

        plans = {
            step
            for sql in asked
            if "message_rows" in sql
            for *_, step in store._connection.execute(
                f"EXPLAIN QUERY PLAN {sql}"
            )
            if " m " in step
        }

    assert plans == {
        "SEARCH m USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
    }


def index_rows(path: Path, text: str) -> int:
    """How many messages the index has under a text's trigrams."""
    with closing(sqlite3.connect(f"{path}{lite_search.SUFFIX}")) as index:
        (count,) = index.execute(
            "SELECT count(*) FROM grams WHERE grams MATCH ?",
            (" AND ".join(f'"{gram}"' for gram in search.grams(text)),),
        ).fetchone()
    return int(count)


def test_index_holds_nothing_of_what_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "zchat.db"
    with closing(SqliteStore(path, NOW, new_id)) as store:
        talk = Talk(store)
        talk.say("quixotic zephyr", *["filling"] * 300)
        wait_for_index(store, talk)
        assert index_rows(path, "zephyr") == 1

        write(store, update=[replace(talk.messages[0], text="")])
        wait_for_index(store, talk)

        assert index_rows(path, "zephyr") == 0
        assert load_gone(store) == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"no database at all" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:-4096]),
    ],
    ids=["missing", "junk", "cut"],
)
def test_damaged_index_is_made_again(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "zchat.db"
    with closing(SqliteStore(path, NOW, new_id)) as store:
        talk = Talk(store)
        talk.say(*(f"words {n}" for n in range(600)))
        wait_for_index(store, talk)
    for left in tmp_path.glob("*-search-*"):
        left.unlink()
    damage(Path(f"{path}{lite_search.SUFFIX}"))

    with closing(SqliteStore(path, NOW, new_id)) as store:
        assert len(found(store, "words", talk.scope)) == 600
        wait_for_index(store, talk)
        assert len(found(store, "words", talk.scope)) == 600


def test_index_that_cannot_be_read_any_longer_is_made_again(
    tmp_path: Path,
) -> None:
    """While it is used: nobody sees that it is not there."""
    path = tmp_path / "zchat.db"
    with closing(SqliteStore(path, NOW, new_id)) as store:
        talk = Talk(store)
        talk.say(*(f"words {n}" for n in range(600)))
        wait_for_index(store, talk)
        for tables in (
            "",
            "CREATE TABLE chats AS "
            "SELECT ? AS id, 1 AS number, 600 AS through",
        ):
            spoilt = sqlite3.connect(":memory:")
            spoilt.execute(tables, (talk.room.id,) if tables else ())
            store._search._forget_index()
            store._search._index = spoilt

            assert len(found(store, "words", talk.scope)) == 600

            wait_for_index(store, talk)
            assert index_rows(path, "words") == 600
            assert len(found(store, "words", talk.scope)) == 600


def test_index_of_another_history_is_not_used(tmp_path: Path) -> None:
    """A file put back under the old index: the index knows too much."""
    path = tmp_path / "zchat.db"
    with closing(SqliteStore(path, NOW, new_id)) as store:
        talk = Talk(store)
        talk.say(*(f"words {n}" for n in range(300)))
        wait_for_index(store, talk)
    with closing(sqlite3.connect(path)) as lite:
        lite.execute("DELETE FROM messages WHERE seq > 100")
        lite.execute("UPDATE chats SET head = 100 WHERE head = 300")
        lite.commit()

    with closing(SqliteStore(path, NOW, new_id)) as store:
        talk.store = store
        talk.room = replace(talk.room, head=100)
        wait_for_index(store)
        until = monotonic() + DEADLINE_SECONDS
        while store._search.through([talk.room.id]) != [100]:
            assert monotonic() < until
            store.feed()
            sleep(0.02)
        talk.say(*(f"other {n}" for n in range(300)))
        wait_for_index(store, talk)
        assert len(found(store, "other", talk.scope)) == 300
        assert len(found(store, "words", talk.scope)) == 100


def test_too_many_waiting_texts_are_read_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lite_search, "MOST_WAITING", -1)
    monkeypatch.setattr(lite_search, "CATCH_UP", 64)
    with closing(SqliteStore(tmp_path / "zchat.db", NOW, new_id)) as store:
        talk = Talk(store)
        talk.say(*(f"words {n}" for n in range(600)))

        wait_for_index(store, talk)

        assert len(found(store, "words", talk.scope)) == 600


def test_texts_of_a_failed_attempt_do_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read again, however many they were."""
    monkeypatch.setattr(lite_search, "CATCH_UP", 64)
    insert = lite_indexer._insert
    failures = iter(range(2))

    def failing(*arguments: Any) -> None:
        if next(failures, None) is not None:
            raise sqlite3.OperationalError("database or disk is full")
        insert(*arguments)

    monkeypatch.setattr(lite_indexer, "_insert", failing)
    with closing(SqliteStore(tmp_path / "zchat.db", NOW, new_id)) as store:
        talk = Talk(store)
        while not store._search._is_ready():
            sleep(0.01)
        talk.say(*(f"words {n}" for n in range(600)))

        wait_for_index(store, talk)

        assert len(found(store, "words", talk.scope)) == 600
        assert next(failures, None) is None


@given(st.text(st.characters(max_codepoint=127, min_codepoint=1)))
def test_sqlite_folds_ascii_as_python_does(text: str) -> None:
    with closing(sqlite3.connect(":memory:")) as lite:
        (lower,) = lite.execute("SELECT lower(?)", (text,)).fetchone()

    assert lower == lite_indexer.indexed_text(text)


def test_texts_of_many_chats_make_one_part(tmp_path: Path) -> None:
    """Not one a chat, each of which every search would look into."""
    path = tmp_path / "zchat.db"
    with closing(SqliteStore(path, NOW, new_id)) as store:
        talks = [Talk(store) for _ in range(10)]
        while not store._search._is_ready():
            sleep(0.01)
        new = [
            message(talk.room, talk.ann, 1, text=f"words {n}")
            for n, talk in enumerate(talks)
        ]
        for talk in talks:
            talk.room = replace(talk.room, head=1)
        write(store, *new, update=[talk.room for talk in talks])
        wait_for_index(store, *talks)

    with closing(sqlite3.connect(f"{path}{lite_search.SUFFIX}")) as index:
        (parts,) = index.execute(
            "SELECT count(DISTINCT id >> 37) FROM grams_data WHERE id > 10"
        ).fetchone()
    assert parts == 1


def test_rows_are_as_other_queries_give_them(store: Store) -> None:
    talk = Talk(store)
    (said,) = talk.say("some words")

    (page,) = ask(
        store,
        SEARCH,
        text="words",
        scopes=[talk.scope],
        author_id=None,
        has_file=None,
        before=None,
        limit=1,
    )

    assert [row.author_name for row in page.messages] == [talk.ann.name]
    assert load(store, MESSAGES, said.id) == [said]
    assert load(store, CHATS, talk.room.id)[0].head == 1

"""What the PostgreSQL store does beyond the contract of all stores."""

import os
import select
import signal
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from tests.bare import wait_until
from tests.postgres import Cluster
from tests.stores import (
    NOW,
    ask,
    batch,
    changes,
    chat,
    load,
    member,
    message,
    new_id,
    number,
    scheduled,
    source,
    user,
    write,
)
from zchat.errors import (
    StoreAway,
    StoreBusy,
    StoreDoubtful,
    StoreRejected,
    StoreUnusable,
)
from zchat.model import (
    CHATS,
    FILE_CHUNKS,
    MEMBERS,
    MESSAGES,
    TABLES,
    USERS,
)
from zchat.queries import COUNT_OWN, DUE, QueryCall
from zchat.storage import open_store
from zchat.storage.base import Outgoing, Store
from zchat.storage.postgres import schema
from zchat.storage.postgres.feed import (
    OWN_BATCHES_KEPT,
    Assembly,
    OwnBatches,
    payloads,
)
from zchat.storage.postgres.link import BINARY, Command, Link, LinkLost
from zchat.storage.postgres.rows import (
    BIGINT,
    BYTEA,
    INTEGER,
    TEXT,
    UUID,
    Kind,
)
from zchat.storage.postgres.store import PostgresStore
from zchat.storage.sqlite import SqliteStore

Run = Callable[[str], list[Any]]


def opened(url: str) -> PostgresStore:
    return PostgresStore(url, NOW, new_id)


@pytest.fixture
def one(postgres_url: str) -> Iterator[Store]:
    """The store of one broker."""
    with closing(open_store(postgres_url, NOW, new_id)) as store:
        yield store


@pytest.fixture
def other(postgres_url: str, one: Store) -> Iterator[Store]:
    """The store of another broker, on the same database."""
    with closing(open_store(postgres_url, NOW, new_id)) as store:
        yield store


@pytest.fixture
def run(postgres_url: str) -> Iterator[Run]:
    """Runs a statement on the database."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:

        def execute(sql: str) -> list[Any]:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

        yield execute


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    """Runs what has to wait."""
    with ThreadPoolExecutor() as executor:
        yield executor


WAITING = (
    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
    "AND datname = current_database()"
)
END_WORK = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'zchat'"
)
END_LISTENING = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() "
    "AND application_name = 'zchat feed'"
)


# Locks


def test_locked_row_is_seen_as_it_became(
    one: Store, other: Store, run: Run, thread: ThreadPoolExecutor
) -> None:
    room = chat()
    write(one, room)
    one.begin()
    one.load([source(CHATS, room.id)], [], True)
    later = thread.submit(load, other, CHATS, room.id, lock=True)
    wait_until(lambda: run(WAITING), "it waits for the lock")
    one.write(changes(update=[replace(room, head=7)]))
    one.commit([])

    assert later.result()[0].head == 7


def test_seq_is_counted_by_one_broker_at_a_time(
    one: Store, other: Store, thread: ThreadPoolExecutor
) -> None:
    room, who = chat(), user()
    write(one, room, who)

    def send(store: Store) -> None:
        for _ in range(50):
            with batch(store):
                ((row,),), _ = store.load([source(CHATS, room.id)], [], True)
                store.write(
                    changes(
                        [message(room, who, row.head + 1)],
                        update=[replace(row, head=row.head + 1)],
                    )
                )

    for sender in [thread.submit(send, store) for store in (one, other)]:
        sender.result()

    assert load(one, CHATS, room.id)[0].head == 100
    assert (
        ask(one, COUNT_OWN, chat_id=room.id, user_id=who.id, after=0)[0].count
        == 100
    )


def test_rows_locked_crosswise_repeat_a_batch(
    one: Store, other: Store
) -> None:
    first, second = chat(), chat()
    write(one, first, second)
    for store, room in ((one, first), (other, second)):
        store.begin()
        store.load([source(CHATS, room.id)], [], True)

    with pytest.raises(StoreBusy):
        one.load([source(CHATS, second.id)], [], True)
    one.rollback()

    assert other.load([source(CHATS, first.id)], [], True)[0] == [[first]]
    other.rollback()


def test_row_that_stays_locked_is_the_store_away(
    one: Store, other: Store
) -> None:
    one.begin()
    one.load([source(CHATS, one.common_id)], [], True)
    other.begin()

    with pytest.raises(StoreAway):
        other.load([source(CHATS, one.common_id)], [], True)

    other.rollback()
    one.rollback()
    assert other.connections() == (2, 2)


def test_row_that_another_broker_was_first_to_insert(
    one: Store, other: Store
) -> None:
    who = user()
    twin = replace(user(), name_key=who.name_key)
    for store in (one, other):
        store.begin()
        assert store.load([source(USERS, who.name_key, unique=1)], [], True)[
            0
        ] == [[]]
    one.write(changes([who]))
    one.commit([])
    other.write(changes([twin]))

    with pytest.raises(StoreRejected):
        other.commit([])
    other.rollback()

    assert load(other, USERS, who.name_key, unique=1) == [who]


def test_due_messages_are_taken_by_one_broker(
    one: Store, other: Store
) -> None:
    room, who = chat(), user()
    rows = [scheduled(room, who, send_at=at) for at in (1, 2, 3)]
    write(one, room, who, *rows)
    due = [QueryCall(DUE, {"at": 2, "limit": 9})]
    one.begin()
    _, (taken,) = one.load([], due, True)
    other.begin()
    _, (left,) = other.load([], due, True)
    one.rollback()
    _, (afterwards,) = other.load([], due, True)
    other.rollback()

    assert (taken, left, afterwards) == (rows[:2], [], rows[:2])


def test_batch_that_reads_sees_one_moment(one: Store, other: Store) -> None:
    room, who = chat(), user()
    write(one, room, who, member(room, who))
    one.begin()
    one.load([source(CHATS, room.id)], [], False)
    write(
        other,
        message(room, who, 1),
        update=[replace(room, head=1), replace(member(room, who), read_seq=1)],
    )
    (members, chats), (counts,) = one.load(
        [source(MEMBERS, (room.id, who.id)), source(CHATS, room.id)],
        [
            QueryCall(
                COUNT_OWN, {"chat_id": room.id, "user_id": who.id, "after": 0}
            )
        ],
        False,
    )
    one.commit([])

    assert members[0].read_seq == chats[0].head == counts[0].count == 0
    assert load(one, CHATS, room.id)[0].head == 1


# The feed


def received(store: Store, amount: int) -> list[Outgoing]:
    """So many events of the feed, in order."""
    events: list[Outgoing] = []
    descriptor = store.feed_fd()
    assert descriptor is not None

    def enough() -> bool:
        select.select([descriptor], [], [], 5)
        more, lost = store.feed()
        events.extend(more)
        assert not lost
        return len(events) >= amount

    wait_until(enough, f"{amount} events came")
    return events


def test_every_broker_gets_all_events_in_one_order(
    one: Store, other: Store, thread: ThreadPoolExecutor
) -> None:
    def tell(store: Store, name: bytes) -> None:
        for place in range(40):
            write(
                store,
                outgoing=[
                    Outgoing(name, bytes([place, part]) * (300 * part))
                    for part in range(3)
                ],
            )

    tellers: list[Future[None]] = [
        thread.submit(tell, one, b"one"),
        thread.submit(tell, other, b"oth"),
    ]
    for teller in tellers:
        teller.result()
    seen = received(one, 240)

    assert received(other, 240) == seen
    for name in (b"one", b"oth"):
        assert [
            event.body[:2]
            for event in seen
            if event.topic == name and event.body
        ] == [bytes([place, part]) for place in range(40) for part in (1, 2)]


def test_local_events_stay_here(one: Store, other: Store) -> None:
    write(
        one,
        outgoing=[
            Outgoing(b"t", b"local", local=True),
            Outgoing(b"t", b"shared"),
        ],
    )

    assert received(other, 1) == [Outgoing(b"t", b"shared")]
    assert len(received(one, 2)) == 2


def test_stores_in_one_database_server_hear_only_their_own(
    one: Store, postgres_cluster: Cluster
) -> None:
    with postgres_cluster.database() as url, closing(opened(url)) as far:
        write(far, outgoing=[Outgoing(b"t", b"far")])
        received(far, 1)
        write(one, outgoing=[Outgoing(b"t", b"near")])

        assert received(one, 1) == [Outgoing(b"t", b"near")]


def test_lost_feed_is_told_once_it_is_back(
    one: Store, other: Store, run: Run
) -> None:
    descriptor = one.feed_fd()
    assert descriptor is not None
    run(END_LISTENING)
    write(other, outgoing=[Outgoing(b"t", b"missed")])

    wait_until(lambda: one.feed()[1], "the loss is told")
    assert one.feed_fd() == descriptor
    while one.feed()[0]:
        continue
    write(other, outgoing=[Outgoing(b"t", b"heard")])
    assert select.select([descriptor], [], [], 30)[0]
    assert received(one, 1)[-1].body == b"heard"


def test_parts_of_two_batches_are_not_put_together() -> None:
    events = [Outgoing(b"t", bytes(range(256)) * 40)]
    one, other = payloads("aa", 1, events), payloads("bb", 2, events)
    assert len(one) == len(other) == 2
    parts = Assembly(OwnBatches())

    assert parts.add(one[0]) == []
    assert parts.add(other[1]) == []

    assert parts.lost
    parts.lost = False
    assert [parts.add(part) for part in other] == [[], events]
    assert not parts.lost
    assert parts.sent == [2]


def test_own_events_come_back_as_they_are_where_they_stand() -> None:
    """Also those that were forgotten, for they are read then."""
    own = OwnBatches()
    parts = Assembly(own)
    batches = {
        f"{place:x}": [Outgoing(b"t", b"%d" % place, new_id(), place)]
        for place in range(OWN_BATCHES_KEPT + 1)
    }
    for label, events in batches.items():
        own.keep(label, events)

    came = []
    for label, events in batches.items():
        (payload,) = payloads(label, 1, events)
        came.append(parts.add(payload))
        (payload,) = payloads(f"f{label}", 1, events)
        assert parts.add(payload) is not events

    assert came == list(batches.values())
    assert came[0] is not batches["0"]
    assert all(
        found is sent
        for found, sent in zip(came[1:], list(batches.values())[1:])
    )
    assert not parts.lost


def test_events_of_two_brokers_come_in_one_order(
    one: Store, other: Store
) -> None:
    room = chat()
    stores = (one, other)
    for place in range(1, 21):
        write(
            stores[place % 2],
            outgoing=[Outgoing(b"t", b"%d" % place, room.id, place)],
        )

    for store in stores:
        assert [event.seq for event in received(store, 20)] == [*range(1, 21)]
        delays = store.feed_delays()
        assert len(delays) == 20
        assert 0 <= min(delays) <= max(delays) < 60
        assert store.feed_delays() == []


def test_rows_are_locked_in_the_order_of_their_keys(
    one: Store, other: Store, run: Run, thread: ThreadPoolExecutor
) -> None:
    """Whatever order they are asked in; else two could hinder each
    other."""
    room, ann = chat(), [user(id=number(place)) for place in (1, 2)]
    first, second = (member(room, who) for who in ann)
    write(one, room, *ann, second, first)
    keys = [(room.id, who.id) for who in reversed(ann)]
    one.begin()
    one.load([source(MEMBERS, keys[0])], [], True)

    waiting = thread.submit(load, other, MEMBERS, *keys, lock=True)
    wait_until(lambda: run(WAITING), "the other waits")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        run(
            "SELECT 1 FROM members WHERE user_id = "
            f"'{ann[0].id}' FOR UPDATE NOWAIT"
        )
    one.rollback()
    assert waiting.result() == [first, second]


# The database away


def test_broken_connection_is_away_at_once_and_back_by_itself(
    one: Store, run: Run
) -> None:
    who = user()
    write(one, who)
    run(END_WORK)

    with pytest.raises(StoreAway):
        load(one, USERS, who.id)

    wait_until(lambda: tried(one, who.id) == [who], "it is back")


def tried(store: Store, user_id: str) -> list[Any]:
    """The user, or nothing where the store is away."""
    try:
        return load(store, USERS, user_id)
    except StoreAway:
        return []


def test_batch_that_is_cut_off_did_not_happen(one: Store, run: Run) -> None:
    who = user()
    one.begin()
    one.load([source(USERS, who.id)], [], True)
    one.write(changes([who]))
    one.load([source(USERS, who.id)], [], False)
    run(END_WORK)

    with pytest.raises(StoreAway):
        one.load([source(USERS, who.id)], [], False)
    one.rollback()

    assert run("SELECT count(*) FROM users") == [(0,)]


@contextmanager
def standby_missing(server: Cluster) -> Iterator[None]:
    """Commits wait for a standby that does not exist."""
    try:
        server.execute("ALTER SYSTEM SET synchronous_standby_names = 'x'")
        server.execute("SELECT pg_reload_conf()")
        yield
    finally:
        server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        server.execute("SELECT pg_reload_conf()")


def test_commit_that_is_cut_off_is_doubtful(
    one: Store, run: Run, thread: ThreadPoolExecutor, postgres_cluster: Cluster
) -> None:
    written = []

    def keep_writing() -> None:
        while True:
            written.append(user())
            write(one, written[-1])

    with standby_missing(postgres_cluster):
        writing = thread.submit(keep_writing)
        wait_until(
            lambda: run(
                "SELECT 1 FROM pg_stat_activity "
                "WHERE wait_event = 'SyncRep' "
                "AND datname = current_database()"
            ),
            "a commit waits",
        )
        run(END_WORK)

        with pytest.raises(StoreDoubtful):
            writing.result()

    wait_until(
        lambda: tried(one, written[-1].id) == written[-1:], "it happened"
    )


def test_database_that_hangs_is_given_up(postgres_url: str) -> None:
    connection = schema.connect(postgres_url)
    with closing(Link(connection)) as link:
        link.exchange([Command(b"a", b"SELECT 1")])
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        try:
            with pytest.raises(LinkLost):
                link.exchange([Command(b"a", b"SELECT 1")], 0.05)
        finally:
            os.kill(backend, signal.SIGCONT)


def test_error_does_not_end_the_connection(postgres_url: str) -> None:
    with closing(Link(schema.connect(postgres_url))) as link:
        good = Command(b"good", b"SELECT $1::int", [b"5"])
        bad = Command(b"bad", b"SELECT 1 / $1::int", [b"0"])
        for _ in range(2):
            with pytest.raises(StoreRejected):
                link.exchange([bad, good])
        (result,) = link.exchange([good])
        assert link.rows(result, lambda value: value) == [5]


ARRAYS: list[tuple[Kind, list[Any]]] = [
    (UUID, [number(0), number(2**48 - 1), new_id()]),
    (BIGINT, [0, -1, 2**63 - 1, -(2**63)]),
    (INTEGER, [0, -1, 2**31 - 1, -(2**31)]),
    (TEXT, ["", "NULL", '{"a\\\\b",}', "привет\n\U0001f600"]),
    (BYTEA, [b"", b"\x00\xff", bytes(range(256)) * 40]),
]


@pytest.mark.parametrize(("kind", "values"), ARRAYS, ids=lambda _: "")
def test_arrays_hold_what_was_put_in(
    postgres_url: str, kind: Kind, values: list[Any]
) -> None:
    """Full, with gaps, and beside a column that is empty in all rows."""
    empty = [None] * len(values)
    text = (
        f"SELECT a, b FROM unnest($1::{kind.sql}[], $2::{kind.sql}[]) "
        "WITH ORDINALITY AS t (a, b, place) ORDER BY place"
    )
    with closing(Link(schema.connect(postgres_url))) as link:
        for column in (values, [None, *values[1:]], [*values[:-1], None]):
            (result,) = link.exchange(
                [
                    Command(
                        b"echo",
                        text.encode(),
                        [kind.array(column), kind.array(empty)],
                        [BINARY, BINARY],
                    )
                ]
            )
            assert link.rows(result, lambda *pair: pair) == list(
                zip(column, empty)
            )


def test_an_array_takes_no_wrong_ids() -> None:
    for wrong in ("", number(1)[:-1], number(1) + "0", "g" * 36):
        with pytest.raises(ValueError, match=r"UUID|hex|[Oo]dd"):
            UUID.array([number(1), wrong])


def test_frozen_broker_gives_its_locks_back(
    postgres_url: str, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "IDLE_IN_TRANSACTION_SECONDS", 0.1)
    with closing(opened(postgres_url)) as frozen:
        frozen.begin()
        frozen.load([source(CHATS, frozen.common_id)], [], True)

        assert load(other, CHATS, other.common_id, lock=True)

        with pytest.raises(StoreAway):
            frozen.commit([Outgoing(b"t", b"")])
        frozen.rollback()


# Identity and schema


def test_copy_has_another_epoch(
    postgres_cluster: Cluster, postgres_url: str
) -> None:
    with closing(opened(postgres_url)) as store:
        known = store.epoch, store.common_id
    name = psycopg.conninfo.conninfo_to_dict(postgres_url)["dbname"]
    postgres_cluster.execute(f"CREATE DATABASE copy TEMPLATE {name}")
    with ExitStack() as stack:
        stack.callback(postgres_cluster.execute, "DROP DATABASE copy")
        copy = stack.enter_context(
            closing(opened(postgres_cluster.url("copy")))
        )

        assert copy.common_id == known[1]
        assert copy.epoch != known[0]


def test_lost_history_makes_another_epoch(
    one: Store, other: Store, run: Run
) -> None:
    known = one.epoch
    room = chat(head=5)
    write(one, room, outgoing=[Outgoing(b"t", b"", room.id, 5)])
    run(END_WORK)
    wait_until(lambda: away(one), "it is away")
    wait_until(lambda: not away(one), "it is back")
    assert one.epoch == known

    run("UPDATE chats SET head = 4")
    run(END_WORK)
    wait_until(lambda: away(one), "it is away")
    wait_until(lambda: not away(one), "it is back")

    def told() -> bool:
        return not any(
            store.feed()[1] or store.epoch == known for store in (one, other)
        )

    wait_until(told, "both know the new epoch")
    assert (
        run("SELECT value FROM meta WHERE name = 'epoch'")
        == [(one.epoch,)]
        == [(other.epoch,)]
    )


def away(store: Store) -> bool:
    """Whether the store cannot be used now."""
    try:
        load(store, USERS)
    except StoreAway:
        return True
    return False


def test_brokers_that_start_at_once_make_one_store(
    postgres_url: str, thread: ThreadPoolExecutor
) -> None:
    starting = [thread.submit(opened, postgres_url) for _ in range(6)]
    stores = [start.result() for start in starting]
    for store in stores:
        store.close()

    assert len({(s.epoch, s.common_id) for s in stores}) == 1
    with closing(opened(postgres_url)) as store:
        assert len(load(store, CHATS, store.common_id)) == 1


def test_newer_schema_is_refused(
    one: Store, run: Run, postgres_url: str
) -> None:
    run("UPDATE meta SET value = '9999' WHERE name = 'schema'")

    with pytest.raises(StoreUnusable, match="upgrade zchat"):
        opened(postgres_url)


def test_other_encoding_is_refused(postgres_cluster: Cluster) -> None:
    postgres_cluster.execute(
        "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0"
    )

    with pytest.raises(StoreUnusable, match="ENCODING 'UTF8'"):
        opened(postgres_cluster.url("latin"))


def test_old_server_is_refused(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "OLDEST_VERSION", 990_000)

    with pytest.raises(StoreUnusable, match="needs 99 or later"):
        opened(postgres_url)


def test_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="cannot be used as a store"):
        opened(f"postgresql:///zchat?host={tmp_path}")


def test_role_without_privileges_is_enough(postgres_cluster: Cluster) -> None:
    postgres_cluster.execute("CREATE ROLE plain LOGIN")
    postgres_cluster.execute("CREATE DATABASE plain OWNER plain")
    url = postgres_cluster.url("plain").replace("postgres@", "plain@")

    with closing(opened(url)) as store:
        assert len(load(store, CHATS, store.common_id)) == 1


@pytest.mark.parametrize(
    ("durability", "shown"), [("full", "on"), ("normal", "off")]
)
def test_acknowledged_is_on_disk_unless_told_otherwise(
    postgres_url: str, durability: str, shown: str
) -> None:
    options = "-csynchronous_commit%3Doff%20-cstatement_timeout%3D5000"
    url = f"{postgres_url}&options={options}"
    with closing(schema.connect(url)) as connection:
        schema.configure(connection, durability)
        settings = [
            connection.execute(f"SHOW {name}".encode()).fetchone()
            for name in ("synchronous_commit", "statement_timeout")
        ]

    assert settings == [(shown,), ("0",)]


def test_stronger_durability_is_kept(postgres_url: str) -> None:
    url = f"{postgres_url}&options=-csynchronous_commit%3Dremote_apply"
    with closing(schema.connect(url)) as connection:
        schema.configure(connection, "full")
        row = connection.execute("SHOW synchronous_commit").fetchone()

    assert row == ("remote_apply",)


def test_both_schemas_have_the_same_columns(
    one: Store, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "zchat.db"
    with closing(SqliteStore(path, NOW, new_id)):
        pass
    with closing(sqlite3.connect(path)) as lite:
        for table in TABLES:
            there = {
                name: bool(needed or key)
                for _, name, _, needed, _, key in lite.execute(
                    f"PRAGMA table_info({table.name})"
                )
                if (table, name) != (FILE_CHUNKS, "size")
            }
            here = {
                name: nullable == "NO"
                for name, nullable in run(
                    "SELECT column_name, is_nullable "
                    "FROM information_schema.columns "
                    f"WHERE table_name = '{table.name}'"
                )
            }
            # SQLite's messages are a view: nothing in it says NOT NULL.
            assert here == there or table is MESSAGES
            assert set(here) == set(there) == set(table.columns)


def test_both_schemas_have_the_same_indexes(
    one: Store, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "zchat.db"
    with closing(SqliteStore(path, NOW, new_id)):
        pass
    here = {
        (table, tuple(columns), unique)
        for table, columns, unique in run(
            "SELECT c.relname, array(SELECT a.attname::text "
            "FROM unnest(i.indkey) WITH ORDINALITY AS k (number, place) "
            "JOIN pg_attribute AS a ON a.attrelid = c.oid "
            "AND a.attnum = k.number ORDER BY place), i.indisunique "
            "FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid "
            "JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'public' AND c.relname NOT LIKE 'search_%' "
            "AND c.relname <> 'messages'"
        )
    }
    there = set()
    with closing(sqlite3.connect(path)) as lite:
        for (table,) in lite.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' "
            "AND name NOT LIKE 'search_%' AND name NOT IN "
            "('chat_numbers', 'message_rows', 'authored', 'files_gone')"
        ):
            for _, index, unique, *_ in lite.execute(
                f"PRAGMA index_list({table})"
            ):
                columns = tuple(
                    name
                    for _, _, name in lite.execute(
                        f"PRAGMA index_info('{index}')"
                    )
                )
                there.add((table, columns, bool(unique)))

    assert here == there


def test_strange_notifications_are_a_gap(one: Store, run: Run) -> None:
    channel = f"zchat_{one.common_id.replace('-', '')}"
    for payload in ("junk", "ab:1:2:AAAA", "ab:0:1:AAAA", "ab:0:1:!"):
        run(f"NOTIFY {channel}, '{payload}'")
        wait_until(lambda: one.feed()[1], "the gap is told")

    write(one, outgoing=[Outgoing(b"t", b"after")])

    wait_until(lambda: Outgoing(b"t", b"after") in one.feed()[0], "it goes on")

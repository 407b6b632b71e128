"""What every store promises (storage/base.py), on each of them."""

import random
from collections.abc import Callable
from contextlib import closing
from typing import Any, get_args, get_type_hints

import pytest
from msgspec.structs import replace

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
    row_of_each,
    source,
    user,
    write,
)
from zchat.errors import StoreRejected
from zchat.model import CHATS, COMMON, MEMBERS, MESSAGES, TABLES, USERS, Table
from zchat.queries import COUNT_CHATS, MESSAGES_AFTER, QueryCall
from zchat.storage import open_store
from zchat.storage.base import Outgoing, Store
from zchat.storage.sqlite import SqliteStore

Opener = Callable[[], Store]


def test_new_store_has_the_common_chat(store: Store) -> None:
    (common,) = load(store, CHATS, store.common_id)

    assert (common.kind, common.name) == (COMMON, "default")
    assert (common.created, common.head, common.size) == (NOW, 0, 0)
    assert ask(store, COUNT_CHATS)[0].count == 1


def test_everything_is_there_when_opened_again(target: str) -> None:
    rows = row_of_each()
    with closing(open_store(target, NOW, new_id)) as first:
        write(first, *rows.values())
        known = first.epoch, first.common_id
    with closing(open_store(target, NOW + 1, new_id)) as again:
        assert (again.epoch, again.common_id) == known
        for table, row in rows.items():
            assert load(again, table, table.key_of(row)) == [row]


def row_of(store: Store, table: Table[Any]) -> Any:
    """A row of the table; the chat that a message lies in is there."""
    rows = row_of_each()
    if table is MESSAGES:
        write(store, rows[CHATS])
    return rows[table]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_rows_of_each_table(store: Store, table: Table[Any]) -> None:
    row = row_of(store, table)
    key = table.key_of(row)
    write(store, row)
    assert load(store, table, key) == [row]

    changed = replace(row, **other_values(table, row))
    write(store, update=[changed])
    assert load(store, table, key, lock=True) == [changed]

    write(store, delete=[changed])
    assert load(store, table, key) == []


def other_values(table: Table[Any], row: Any) -> dict[str, Any]:
    """None where it may be, other numbers; the key and seqs stay."""
    hints = get_type_hints(table.row)
    others: dict[str, Any] = {}
    for column in table.columns:
        if column in table.key or (table is MESSAGES and column == "seq"):
            continue
        if type(None) in get_args(hints[column]):
            others[column] = None
        elif hints[column] is int:
            others[column] = getattr(row, column) + 2**40
    return others


@pytest.mark.parametrize(
    ("table", "unique"),
    [
        (table, unique)
        for table in TABLES
        for unique in range(len(table.unique))
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_rows_by_unique_fields(
    store: Store, table: Table[Any], unique: int
) -> None:
    row = row_of(store, table)
    write(store, row)
    value = table.unique_of[unique](row)

    assert load(store, table, value, unique=unique) == [row]
    assert load(store, table, value, unique=unique, lock=True) == [row]


@pytest.mark.parametrize(
    ("table", "unique"),
    [
        (table, unique)
        for table in TABLES
        for unique in range(len(table.unique))
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_second_row_with_the_same_unique_is_rejected(
    store: Store, table: Table[Any], unique: int
) -> None:
    first, second = row_of(store, table), row_of_each()[table]
    if table is MESSAGES:
        second = replace(second, chat_id=first.chat_id, seq=2)
    twin = replace(
        second,
        **{field: getattr(first, field) for field in table.unique[unique]},
    )
    write(store, first)

    with pytest.raises(StoreRejected):
        write(store, twin)

    assert load(store, table, table.key_of(twin)) == []
    assert load(store, table, table.key_of(first)) == [first]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_second_row_with_the_same_key_is_rejected(
    store: Store, table: Table[Any]
) -> None:
    row = row_of(store, table)
    write(store, row)

    with pytest.raises(StoreRejected):
        write(store, row)

    assert load(store, table, table.key_of(row)) == [row]


def test_messages_of_a_chat_have_different_seqs(store: Store) -> None:
    room, who = chat(), user()
    write(store, room, who, message(room, who, 1))

    with pytest.raises(StoreRejected):
        write(store, message(room, who, 1))


def test_message_without_its_chat_is_rejected(store: Store) -> None:
    """Where the store would not know where to put it; nothing is kept."""
    lost = message(chat(), user(), 1)
    if isinstance(store, SqliteStore):
        with pytest.raises(StoreRejected):
            write(store, lost)
        assert load(store, MESSAGES, lost.id) == []


def test_many_rows_by_any_key(store: Store) -> None:
    """As many as there are, by any key, with others that are missing."""
    rooms, people = [chat(), chat()], [user() for _ in range(150)]
    members = [member(room, who) for room in rooms for who in people]
    write(store, *rooms, *people, *members)
    missing = [new_id() for _ in range(30)]

    for found, wanted in (
        (load(store, USERS, *(who.id for who in people), *missing), people),
        (
            load(store, USERS, *(who.name_key for who in people), unique=1),
            people,
        ),
        (
            load(
                store,
                MEMBERS,
                *((one.chat_id, one.user_id) for one in members),
                *((rooms[0].id, nobody) for nobody in missing),
            ),
            members,
        ),
    ):
        assert sorted(map(repr, found)) == sorted(map(repr, wanted))


def test_none_in_a_unique_is_no_entry(store: Store) -> None:
    room, who = chat(), user()

    write(
        store, room, chat(), who, message(room, who, 1), message(room, who, 2)
    )

    assert ask(store, COUNT_CHATS)[0].count == 3


def test_load_answers_in_the_order_asked(store: Store) -> None:
    room, who = chat(), user()
    note = message(room, who, 1, idempotency_key="k")
    write(store, room, who, member(room, who), note)

    with batch(store):
        found, answers = store.load(
            [
                source(MESSAGES, (who.id, "k"), (who.id, "l"), unique=0),
                source(MEMBERS, (room.id, who.id), (new_id(), who.id)),
                source(USERS, new_id()),
                source(CHATS, room.id, store.common_id),
            ],
            [
                QueryCall(COUNT_CHATS, {}),
                QueryCall(
                    MESSAGES_AFTER,
                    {"chat_id": room.id, "after": 0, "limit": 5},
                ),
                QueryCall(COUNT_CHATS, {}),
            ],
            True,
        )

    assert [len(rows) for rows in found] == [1, 1, 0, 2]
    assert found[0] == [note]
    assert answers[0][0].count == answers[2][0].count == 2
    assert [row.id for row in answers[1]] == [note.id]
    assert answers[1][0].author_name == who.name


def test_load_of_nothing(store: Store) -> None:
    with batch(store):
        assert store.load([], [], True) == ([], [])
        assert store.load([], [], False) == ([], [])


def test_later_loads_see_what_was_written(store: Store) -> None:
    who = user()
    with batch(store):
        store.load([source(USERS, who.id)], [], True)
        store.write(changes([who]))
        (rows,), _ = store.load([source(USERS, who.id)], [], False)
        assert rows == [who]


def test_write_after_a_load_without_locks(store: Store) -> None:
    who = user()
    with batch(store):
        store.load([source(USERS, who.id)], [], False)
        store.write(changes([who]))

    assert load(store, USERS, who.id) == [who]


def test_deletes_then_updates_then_inserts(store: Store) -> None:
    first, second, third = user(), user(), user()
    write(store, first, second)
    second = replace(second, name_key=first.name_key)
    third = replace(third, token_hash=second.token_hash)
    second = replace(second, token_hash=first.token_hash)

    write(store, third, update=[second], delete=[first])

    assert load(store, USERS, second.id) == [second]
    assert load(store, USERS, third.id) == [third]


def test_many_rows_at_once(store: Store) -> None:
    room, people = chat(), [user() for _ in range(50)]
    notes = [
        message(room, random.choice(people), seq, idempotency_key=str(seq))
        for seq in range(1, 1001)
    ]
    write(store, room, *people, *notes)

    wanted = [note.id for note in notes] + [new_id() for _ in range(10)]
    random.shuffle(wanted)
    found = load(store, MESSAGES, *wanted, lock=True)

    assert sorted(row.seq for row in found) == list(range(1, 1001))
    assert {row.id: row for row in found} == {note.id: note for note in notes}


def test_messages_of_all_kinds_at_once(store: Store) -> None:
    """Plain ones, of which a store may write many at a time, and others."""
    room, other, who = chat(), chat(), user()
    kinds: list[dict[str, Any]] = [
        {"is_comment_on": new_id()},
        {"comments": 1},
        {"files": "[]"},
        {"idempotency_key": "k"},
        {"revision": 1},
        {"edited": 1},
        {"deleted": 1},
        {"mentions": "[]"},
        {"reactions": "[]"},
        {"sent_hash": b"hash"},
    ]
    notes = [
        message((room, other)[seq % 3 == 0], who, seq) for seq in range(1, 151)
    ] + [
        message(room, who, seq, **fields)
        for seq, fields in enumerate(kinds, 151)
    ]
    random.shuffle(notes)

    write(store, room, other, who, *notes)

    found = load(store, MESSAGES, *(note.id for note in notes))
    assert {row.id: row for row in found} == {note.id: note for note in notes}


def test_rollback_undoes_everything(store: Store) -> None:
    who, room = user(), chat()
    write(store, room)
    store.begin()
    store.load([source(CHATS, room.id)], [], True)
    store.write(changes([who], update=[replace(room, head=9)]))
    store.load([], [QueryCall(COUNT_CHATS, {})], False)
    store.rollback()

    assert load(store, USERS, who.id) == []
    assert load(store, CHATS, room.id) == [room]


def test_messages_of_chats_that_were_rolled_back(store: Store) -> None:
    """What such a chat left in memory belongs to no other one."""
    who, first, second = user(), chat(), chat()
    notes = message(first, who, 1), message(second, who, 1)
    store.begin()
    store.write(changes([who, first, notes[0]]))
    store.rollback()

    write(store, who, second, notes[1])
    write(store, first, notes[0])

    found = load(store, MESSAGES, *(note.id for note in notes))
    assert sorted(map(repr, found)) == sorted(map(repr, notes))


@pytest.mark.parametrize("begun", [False, True])
def test_rollback_of_nothing(store: Store, begun: bool) -> None:
    if begun:
        store.begin()
    store.rollback()
    store.rollback()

    assert load(store, USERS, new_id()) == []


def test_rejected_batch_leaves_nothing(store: Store) -> None:
    who, other = user(), user()
    write(store, who)

    with pytest.raises(StoreRejected):
        write(
            store,
            other,
            replace(user(), name_key=who.name_key),
            outgoing=[Outgoing(b"topic", b"body")],
        )

    assert load(store, USERS, other.id) == []
    assert events_until(store, b"after") == [Outgoing(b"after", b"")]


def events_until(store: Store, last: bytes) -> list[Outgoing]:
    """The feed, up to an event of ours that is committed now."""
    write(store, outgoing=[Outgoing(last, b"")])
    events: list[Outgoing] = []
    while not events or events[-1].topic != last:
        more, lost = store.feed()
        events += more
        assert not lost
    return events


def test_feed_has_committed_events_in_order(store: Store) -> None:
    chat_id = new_id()
    sent = [
        Outgoing(b"c" + bytes([n]), random.randbytes(n * 40), chat_id, n)
        for n in range(1, 60)
    ]
    for start in range(0, len(sent), 13):
        write(store, user(), outgoing=sent[start : start + 13])

    assert events_until(store, b"end")[:-1] == sent


def test_feed_has_events_of_any_size(store: Store) -> None:
    sent = [Outgoing(b"t", bytes(size)) for size in (0, 5_900, 8_000, 100_000)]
    write(store, outgoing=sent * 2)

    assert events_until(store, b"end")[:-1] == sent * 2


def test_feed_has_local_events(store: Store) -> None:
    local = Outgoing(b"t", b"b", local=True)
    write(store, outgoing=[local])

    assert local in events_until(store, b"end")


def test_feed_has_nothing_of_what_was_rolled_back(store: Store) -> None:
    store.begin()
    store.write(changes([user()]))
    store.rollback()

    assert len(events_until(store, b"end")) == 1


def test_connections(store: Store) -> None:
    most, now = store.connections()

    assert 1 <= now <= most

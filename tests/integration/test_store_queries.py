"""Every query and statement of `queries.sql`, on every store."""

import re
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from tests.postgres import Cluster
from tests.stores import (
    NOW,
    ask,
    chat,
    complaint,
    link,
    load,
    member,
    message,
    new_id,
    number,
    scheduled,
    stored_file,
    user,
    write,
)
from zchat import queries
from zchat.model import (
    CANCELLED,
    CHATS,
    DELIVERIES,
    EDITS,
    FILE_CHUNKS,
    FILES,
    JOIN_REQUESTS,
    LINKS,
    MENTIONS,
    MESSAGES,
    P2P,
    REACTORS,
    SCHEDULED,
    SENT,
    Audit,
    Delivery,
    Edit,
    Erasure,
    FileChunk,
    Invite,
    JoinRequest,
    Mention,
    Message,
    Reactor,
    first_id_at,
)
from zchat.queries import QUERIES, STATEMENTS, Query, Statement
from zchat.storage import open_store
from zchat.storage.base import Store
from zchat.storage.sql import blocks
from zchat.storage.sqlite import SqliteStore

NIL = "00000000-0000-0000-0000-000000000000"
CHUNK = 262_144


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    """An empty store of all tests that only look."""
    path = tmp_path_factory.mktemp("store") / "zchat.db"
    with closing(SqliteStore(path, NOW, new_id)) as opened:
        yield opened


@pytest.fixture(scope="module")
def base(
    postgres_cluster: Cluster,
) -> Iterator["psycopg.Connection[Any]"]:
    """A connection to an empty store of all tests that only look."""
    with postgres_cluster.database() as url:
        with closing(open_store(url, NOW, new_id)):
            pass
        with psycopg.connect(url, autocommit=True) as opened:
            yield opened


def seqs(rows: list[Any]) -> list[int]:
    return [row.seq for row in rows]


def test_pages_of_messages(store: Store) -> None:
    room, other, ann, bob = chat(), chat(), user(), user()
    notes = [message(room, (ann, bob)[n % 2], n) for n in range(1, 8)]
    write(store, room, other, ann, bob, *notes, message(other, ann, 3))
    at: dict[str, Any] = {"chat_id": room.id}

    newest = ask(
        store, queries.MESSAGES_BEFORE, floor=2, before=2**53, limit=3, **at
    )
    oldest = ask(store, queries.MESSAGES_AFTER, after=5, limit=9, **at)
    unread = ask(
        store, queries.UNREAD_AFTER, after=1, limit=2, user_id=ann.id, **at
    )

    assert seqs(newest) == [7, 6, 5]
    assert newest[0].author_name == bob.name
    assert newest[0].text == "text 7"
    assert seqs(oldest) == [6, 7]
    assert seqs(unread) == [3, 5]
    assert seqs(
        ask(store, queries.MESSAGES_BEFORE, floor=5, before=7, limit=9, **at)
    ) == [6]
    assert (
        ask(store, queries.COUNT_OWN, user_id=bob.id, after=2, **at)[0].count
        == 3
    )


def test_own_messages_of_a_long_chat(store: Store) -> None:
    """They are counted rightly at any read position, before and after
    the oldest ones are deleted."""
    room, ann, bob = chat(), user(), user()
    write(store, room, ann, bob)
    authors = [ann if seq % 3 else bob for seq in range(1, 2601)]
    for first in range(0, len(authors), 500):
        part = authors[first : first + 500]
        room = replace(room, head=first + len(part))
        write(
            store,
            *(
                message(room, who, first + place)
                for place, who in enumerate(part, 1)
            ),
            update=[room],
        )

    for purged in (0, 1100):
        if purged:
            room = replace(room, purged_seq=purged)
            params = {"chat_id": room.id, "seq": purged}
            write(
                store, update=[room], run=[(queries.DELETE_MESSAGES, params)]
            )
        for after in (0, 1, 1023, 1024, 1025, 1500, 2047, 2048, 2599, 2600):
            if after < purged:
                continue
            for who in (ann, bob):
                (own,) = ask(
                    store,
                    queries.COUNT_OWN,
                    chat_id=room.id,
                    user_id=who.id,
                    after=after,
                )
                assert own.count == authors[after:].count(who)


def test_comments_on_a_message(store: Store) -> None:
    room, ann = chat(), user()
    target = message(room, ann, 1)
    comments = [
        message(room, ann, n, is_comment_on=target.id) for n in (2, 3, 5)
    ]
    write(store, room, ann, target, *comments, message(room, ann, 4))

    rows = ask(
        store, queries.COMMENTS_ON, message_id=target.id, after=2, limit=9
    )

    assert seqs(rows) == [3, 5]
    assert rows[0].is_comment_on == target.id


def test_chats_of_a_user(store: Store) -> None:
    ann, bob = user(), user()
    rooms = [chat(id=number(place)) for place in (3, 1, 2)]
    common = load(store, CHATS, store.common_id)[0]
    write(
        store,
        ann,
        bob,
        *rooms,
        member(common, ann),
        member(rooms[0], bob),
        *(member(room, ann) for room in rooms),
    )
    at: dict[str, Any] = {"user_id": ann.id, "common_id": store.common_id}

    page = ask(store, queries.CHATS_OF_USER, after=NIL, limit=2, **at)
    rest = ask(store, queries.CHATS_OF_USER, after=page[-1].id, limit=2, **at)

    assert [row.id for row in page + rest] == [number(1), number(2), number(3)]
    assert (
        ask(store, queries.COUNT_CHATS_OF_USER, user_id=ann.id)[0].count == 4
    )
    assert ask(store, queries.COUNT_CHATS)[0].count == 4


def test_chats_with_recent_messages(store: Store) -> None:
    ann, old, new = user(), chat(), chat()
    moment = 1_700_000_000_000_000
    write(
        store,
        ann,
        old,
        new,
        message(old, ann, 1, id=first_id_at(moment - 1000)),
        message(new, ann, 1, id=first_id_at(moment)),
        message(new, ann, 2, id=first_id_at(moment + 5000)),
    )

    rows = ask(store, queries.RECENT_CHATS, first_id=first_id_at(moment))

    assert [row.id for row in rows] == [new.id]


def test_members_by_pages(store: Store) -> None:
    room = chat()
    people = [user(id=number(place)) for place in (2, 3, 1)]
    write(store, room, *people, *(member(room, one) for one in people))
    at: dict[str, Any] = {"chat_id": room.id, "limit": 2}

    page = ask(store, queries.MEMBERS_PAGE, after=NIL, **at)
    rest = ask(store, queries.MEMBERS_PAGE, after=page[-1].id, **at)

    assert [(row.id, row.name) for row in page + rest] == sorted(
        (one.id, one.name) for one in people
    )


def test_members_renamed_after_a_revision(store: Store) -> None:
    room, other = chat(), chat()
    people = [user() for _ in range(4)]
    write(
        store,
        room,
        other,
        *people,
        *(
            member(room, one, renamed=revision)
            for one, revision in zip(people, (0, 4, 9, 7))
        ),
        member(other, people[0], renamed=8),
    )

    def names(after: int, limit: int = 9) -> list[tuple[str, int]]:
        rows = ask(
            store,
            queries.RENAMED_AFTER,
            chat_id=room.id,
            after=after,
            limit=limit,
        )
        return [(row.name, row.revision) for row in rows]

    _, four, nine, seven = (one.name for one in people)
    assert names(-1) == [(nine, 9), (seven, 7), (four, 4)]
    assert names(4) == [(nine, 9), (seven, 7)]
    assert names(0, limit=1) == [(nine, 9)]


def test_shared_chats(store: Store) -> None:
    room, ann, bob, eve = chat(), user(), user(), user()
    write(store, room, ann, bob, eve, member(room, ann), member(room, bob))

    shared = [
        ask(store, queries.SHARED_CHATS, user_id=ann.id, other_id=other.id)[
            0
        ].count
        for other in (bob, eve)
    ]

    assert shared == [1, 0]


def test_next_owner_is_the_longest_standing(store: Store) -> None:
    room, ann, bob, eve = chat(), user(), user(), user()
    write(
        store,
        room,
        ann,
        bob,
        eve,
        member(room, ann, joined=1),
        member(room, bob, joined=3),
        member(room, eve, joined=2),
    )
    at: dict[str, Any] = {"chat_id": room.id}

    heir = ask(store, queries.NEXT_OWNER, user_id=ann.id, **at)

    assert [row.id for row in heir] == [eve.id]
    assert (
        ask(store, queries.NEXT_OWNER, chat_id=new_id(), user_id=ann.id) == []
    )


def test_reporters_of_a_round(store: Store) -> None:
    offender, ann, bob = user(), user(created=5), user(created=9)
    room = chat()
    write(
        store,
        offender,
        ann,
        bob,
        room,
        *(message(room, ann, seq) for seq in (1, 2)),
        message(room, bob, 3),
        complaint(offender, ann),
        complaint(offender, bob),
        complaint(offender, bob, round=1),
    )

    def count(round: int, made_by: int = 9, messages: int = 0) -> int:
        (found,) = ask(
            store,
            queries.COUNT_REPORTERS,
            offender_id=offender.id,
            round=round,
            made_by=made_by,
            messages=messages,
            common_id=room.id,
        )
        return int(found.count)

    assert [count(round) for round in (0, 1, 2)] == [2, 1, 0]
    assert [count(0, made_by=made_by) for made_by in (4, 5, 8)] == [0, 1, 1]
    assert [count(0, messages=few) for few in (1, 2, 3)] == [2, 1, 0]


def test_a_few_messages(store: Store) -> None:
    room, ann = chat(), user()
    write(store, room, ann, *(message(room, ann, seq) for seq in (1, 2, 3)))

    counts = [
        ask(
            store,
            queries.COUNT_FEW_MESSAGES,
            chat_id=room.id,
            user_id=who,
            limit=limit,
        )[0].count
        for who, limit in ((ann.id, 2), (ann.id, 9), (new_id(), 9))
    ]

    assert counts == [2, 3, 0]


def test_scheduled_messages(store: Store) -> None:
    room, ann, bob = chat(), user(), user()
    rows = [
        scheduled(room, ann, send_at=30),
        scheduled(room, ann, send_at=10),
        scheduled(room, ann, send_at=20, state=CANCELLED),
        scheduled(room, bob, send_at=15),
        scheduled(room, bob, send_at=5, state=SENT),
    ]
    write(store, room, ann, bob, *rows)

    def listed(state: str) -> list[int]:
        return [
            row.send_at
            for row in ask(
                store,
                queries.SCHEDULED_OF,
                author_id=ann.id,
                state=state,
                limit=9,
            )
        ]

    assert listed("") == [10, 20, 30]
    assert listed("pending") == [10, 30]
    assert listed("sent") == []
    assert ask(store, queries.COUNT_PENDING, author_id=ann.id)[0].count == 2
    for limit, due in ((9, [rows[1], rows[3]]), (1, [rows[1]])):
        assert ask(store, queries.DUE, at=15, limit=limit, lock=True) == due


def test_uploads(store: Store) -> None:
    room, ann = chat(), user()
    files = [
        stored_file(room, ann, created=1),
        stored_file(room, ann, created=2, resume_key="k", received=2),
        stored_file(room, ann, created=3),
        stored_file(room, ann, created=1, message_id=new_id()),
        stored_file(room, ann, created=1, scheduled_id=new_id()),
    ]
    write(store, room, ann, *files)

    for limit, at in ((9, 2), (2, 9)):
        assert (
            ask(store, queries.STALE_UPLOADS, at=at, limit=limit, lock=True)
            == files[:2]
        )
    (of_ann,) = ask(store, queries.FILES_OF, user_id=ann.id, least=1)
    (nothing,) = ask(store, queries.FILES_OF, user_id=new_id(), least=1)
    assert of_ann == queries.UserFiles(
        4,
        sum(file.size for file in files if file.message_id is None),
        sum(file.size for file in files),
    )
    assert nothing == queries.UserFiles(0, 0, 0)
    (of_ann,) = ask(store, queries.FILES_OF, user_id=ann.id, least=1000)
    assert of_ann == queries.UserFiles(4, 4000, 5000)


def test_server_totals(store: Store) -> None:
    (before,) = ask(store, queries.SERVER_TOTALS, least=1)
    room, ann = chat(), user()
    file = stored_file(room, ann)
    write(store, room, ann, file)

    (found,) = ask(store, queries.SERVER_TOTALS, least=1)

    assert found.users == before.users + 1
    assert found.file_bytes == before.file_bytes + file.size
    (found,) = ask(store, queries.SERVER_TOTALS, least=10**6)
    assert found.file_bytes >= 10**6


def test_chunks_of_a_file(store: Store) -> None:
    file_id = new_id()
    chunks = [
        FileChunk(file_id, place * CHUNK, bytes([place]) * CHUNK)
        for place in range(4)
    ]
    write(store, *reversed(chunks), FileChunk(new_id(), CHUNK, b"x"))

    rows = ask(
        store, queries.CHUNKS_OF, file_id=file_id, offset=CHUNK, limit=2
    )

    assert rows == chunks[1:3]


def test_live_links_of_a_chat(store: Store) -> None:
    room = chat()
    live = [
        link(room, created=1),
        link(room, created=3, max_uses=2, uses=1),
        link(room, created=2, expires_at=51),
    ]
    write(
        store,
        room,
        *live,
        link(chat()),
        link(room, revoked_at=1),
        link(room, expires_at=50),
        link(room, max_uses=1, uses=1),
    )

    rows = ask(store, queries.LINKS_OF, chat_id=room.id, at=50, limit=9)

    assert rows == [live[1], live[2], live[0]]


def test_join_requests_of_a_chat(store: Store) -> None:
    room = chat()
    requests = [
        JoinRequest(room.id, new_id(), new_id(), created)
        for created in (2, 1, 3)
    ]
    write(store, *requests, JoinRequest(new_id(), new_id(), new_id(), 1))

    rows = ask(store, queries.JOIN_REQUESTS_OF, chat_id=room.id, limit=2)

    assert rows == [requests[1], requests[0]]


def test_join_requests_of_a_user_are_withdrawn(store: Store) -> None:
    ann, bob = new_id(), new_id()
    requests = [
        JoinRequest(new_id(), user_id, new_id(), 1)
        for user_id in (ann, bob, ann)
    ]
    write(store, *requests)

    write(store, run=[(queries.WITHDRAW_REQUESTS, {"user_id": ann})])

    left = [
        load(store, JOIN_REQUESTS, (one.chat_id, one.user_id))
        for one in requests
    ]
    assert left == [[], [requests[1]], []]


def test_deliveries_that_expire(store: Store) -> None:
    room, ann, bob, gone = chat(), user(), user(), user()
    write(
        store,
        room,
        ann,
        bob,
        member(room, ann),
        member(room, bob),
        Delivery(room.id, gone.id, 2, 1),
        *(
            Delivery(room.id, who.id, seq, at)
            for who, seq, at in (
                (ann, 3, 10),
                (ann, 5, 20),
                (ann, 9, 30),
                (bob, 4, 31),
            )
        ),
    )

    def through(who: Any, at: int) -> int | None:
        rows = ask(
            store, queries.EXPIRED_FOR, chat_id=room.id, user_id=who.id, at=at
        )
        seq: int | None = rows[0].seq
        return seq

    def delivered(who: Any, at: int) -> tuple[int | None, int | None]:
        (row,) = ask(
            store, queries.DELIVERED_TO, chat_id=room.id, user_id=who.id, at=at
        )
        return row.through, row.expired

    assert [through(ann, at) for at in (9, 10, 29, 30)] == [None, 3, 5, 9]
    assert [delivered(ann, at) for at in (9, 29)] == [(9, None), (9, 5)]
    assert delivered(bob, 30) == (4, None)
    assert delivered(user(), 30) == (None, None)
    assert delivered(gone, 30) == (2, 2)
    assert through(bob, 30) is None
    assert [
        (row.chat_id, row.user_id, row.seq)
        for row in ask(store, queries.EXPIRED_MEMBERS, at=30, limit=9)
    ] == [(room.id, ann.id, 9)]
    write(
        store,
        run=[
            (
                queries.FORGET_DELIVERIES,
                {"chat_id": room.id, "user_id": ann.id, "seq": 5},
            )
        ],
    )
    assert [through(ann, at) for at in (29, 30)] == [None, 9]


def test_expiry_is_kept_once(store: Store) -> None:
    room, ann = chat(), user()
    write(store, Delivery(room.id, ann.id, 3, 5))

    for seq in (3, 4, 4):
        write(
            store,
            run=[
                (
                    queries.KEEP_EXPIRY,
                    {"chat_id": room.id, "user_id": ann.id, "seq": seq},
                )
            ],
        )

    rows = [(room.id, ann.id, seq) for seq in (3, 4)]
    assert [row.at for row in load(store, DELIVERIES, *rows)] == [5, 0]


def test_lifetime_starts_with_what_was_read(store: Store) -> None:
    room, ann, bob, eve = chat(), user(), user(), user()
    write(
        store,
        room,
        member(room, ann, read_seq=4),
        member(room, bob),
        member(room, eve, read_seq=3),
        Delivery(room.id, eve.id, 3, 7),
    )

    for at in (50, 60):
        write(store, run=[(queries.START_LIFETIME, {"at": at})])

    kept = [(room.id, who.id, seq) for who, seq in ((ann, 4), (eve, 3))]
    assert {row.at for row in load(store, DELIVERIES, *kept)} == {50, 7}
    assert len(ask(store, queries.EXPIRED_MEMBERS, at=99, limit=9)) == 2


@pytest.mark.parametrize(
    ("members", "through"),
    [
        ([{"read_seq": 6, "expired_through": 5}], 5),
        (
            [
                {"read_seq": 6, "expired_through": 5},
                {"read_seq": 4, "expired_through": 3},
            ],
            3,
        ),
        ([{"read_seq": 6, "expired_through": 5}, {"read_seq": 0}], 2),
        ([{"read_seq": 0}], 2),
        ([{"first_seq": 8, "read_seq": 7}], 7),
        (
            [
                {"first_seq": 1, "read_seq": 0, "expired_through": 0},
                {"first_seq": 8, "read_seq": 7},
            ],
            2,
        ),
        ([{"read_seq": 6, "expired_through": 0}], None),
        ([], None),
    ],
)
def test_what_nobody_may_see(
    store: Store, members: list[dict[str, int]], through: int | None
) -> None:
    """Messages 1 and 2 are aged; the members stand as given."""
    room, ann = chat(head=9), user()
    write(
        store,
        room,
        ann,
        *(
            message(room, ann, seq, id=first_id_at(10_000 * seq))
            for seq in range(1, 10)
        ),
        *(member(room, user(), **fields) for fields in members),
    )

    rows = ask(
        store, queries.EXPIRED_CHATS, aged_id=first_id_at(29_000), limit=9
    )

    assert [(row.chat_id, row.seq) for row in rows] == (
        [] if through is None else [(room.id, through)]
    )


def test_what_is_gone_already_is_not_told_again(store: Store) -> None:
    room, ann = chat(head=9, purged_seq=5), user()
    write(store, room, ann, member(room, ann, read_seq=6, expired_through=5))

    assert (
        ask(store, queries.EXPIRED_CHATS, aged_id=first_id_at(0), limit=9)
        == []
    )


def test_deleting_the_messages_of_a_chat_up_to_a_seq(store: Store) -> None:
    room, other, ann = chat(), chat(), user()
    notes = [
        message(room, ann, 1),
        message(room, ann, 2),
        message(room, ann, 3),
        message(other, ann, 1),
    ]
    files = [stored_file(room, ann, message_id=note.id) for note in notes]
    chunks = [FileChunk(file.id, 0, b"data") for file in files]
    plans = [
        scheduled(room, ann, state=SENT, message_id=note.id) for note in notes
    ]
    edits = [edit(note, "k" + note.id) for note in notes]
    reactors = [Reactor(note.id, "+", ann.id, 1) for note in notes]
    mentions = [Mention(ann.id, n.chat_id, n.seq, 1) for n in notes]
    write(store, room, other, ann, *notes, *files, *chunks, *plans)
    write(store, *edits, *reactors, *mentions)

    write(
        store,
        run=[
            (statement, {"chat_id": room.id, "seq": 2})
            for statement in (
                queries.DELETE_MESSAGE_CHUNKS,
                queries.DELETE_MESSAGE_FILES,
                queries.DELETE_MESSAGE_SCHEDULES,
                queries.DELETE_MESSAGE_EDITS,
                queries.DELETE_MESSAGE_REACTORS,
                queries.DELETE_MESSAGE_MENTIONS,
                queries.DELETE_MESSAGES,
            )
        ],
    )

    assert remaining(store, SCHEDULED, plans) == plans[2:]
    assert remaining(store, MESSAGES, notes) == notes[2:]
    assert remaining(store, FILES, files) == files[2:]
    assert remaining(store, FILE_CHUNKS, chunks) == chunks[2:]
    assert remaining(store, EDITS, edits) == edits[2:]
    assert remaining(store, REACTORS, reactors) == reactors[2:]
    assert remaining(store, MENTIONS, mentions) == mentions[2:]


def edit(note: Message, key: str) -> Edit:
    return Edit(note.author_id, key, note.id, b"hash", 1, 1)


def test_what_hangs_on_a_deleted_message_goes(store: Store) -> None:
    room, ann, bob = chat(), user(), user()
    notes = [message(room, ann, 1), message(room, ann, 2)]
    edits = [edit(note, "k" + note.id) for note in notes]
    reactors = [
        Reactor(note.id, emoji, ann.id, 1) for note in notes for emoji in "+-"
    ]
    plans = [
        scheduled(room, ann, state=SENT, message_id=note.id, file_ids='["x"]')
        for note in notes
    ]
    mentions = [Mention(who.id, room.id, 1, 1) for who in (ann, bob)]
    write(store, room, ann, bob, *notes, *edits, *reactors, *plans, *mentions)

    write(
        store,
        run=[
            (statement, {"message_id": notes[0].id})
            for statement in (
                queries.FORGET_EDITS,
                queries.FORGET_REACTORS,
                queries.BLANK_SCHEDULE,
            )
        ]
        + [
            (
                queries.DELETE_MEMBER_MENTIONS,
                {"chat_id": room.id, "user_id": ann.id},
            )
        ],
    )

    assert remaining(store, EDITS, edits) == edits[1:]
    assert remaining(store, REACTORS, reactors) == reactors[2:]
    assert remaining(store, MENTIONS, mentions) == mentions[1:]
    blank = replace(plans[0], text="", file_ids=None)
    assert load(store, SCHEDULED, plans[0].id) == [blank]
    assert load(store, SCHEDULED, plans[1].id) == [plans[1]]


def test_messages_that_changed(store: Store) -> None:
    room, other, ann = chat(), chat(), user()
    notes = [
        message(room, ann, seq, revision=revision, edited=5)
        for seq, revision in ((1, 9), (2, 0), (3, 4), (4, 7), (5, 2))
    ]
    write(store, room, other, ann, *notes, message(other, ann, 1, revision=5))

    def changed(after: int, floor: int, limit: int) -> list[int]:
        return seqs(
            ask(
                store,
                queries.CHANGED_AFTER,
                chat_id=room.id,
                after=after,
                floor=floor,
                limit=limit,
            )
        )

    assert changed(0, 0, 9) == [5, 3, 4, 1]
    assert changed(2, 0, 2) == [3, 4]
    assert changed(0, 3, 9) == [5, 4]
    assert changed(9, 0, 9) == []


def test_first_who_put_an_emoji_on_a_message(store: Store) -> None:
    people = [user(id=number(place)) for place in (4, 2, 3, 1)]
    note = new_id()
    write(
        store,
        *people,
        *(
            Reactor(note, "+", one.id, at)
            for one, at in zip(people, (1, 2, 2, 3))
        ),
        Reactor(note, "-", people[0].id, 0),
        Reactor(new_id(), "+", people[0].id, 0),
    )

    found = ask(
        store, queries.REACTORS_ON, message_id=note, emoji="+", limit=3
    )

    assert [one.id for one in found] == [one.id for one in people[:3]]


def test_unread_mentions_by_chat(store: Store) -> None:
    ann, bob = user(), user()
    rooms = [chat() for _ in range(3)]
    write(
        store,
        ann,
        bob,
        *rooms,
        member(rooms[0], ann, read_seq=4),
        member(rooms[1], ann, read_seq=9),
        member(rooms[0], bob),
        *(Mention(ann.id, rooms[0].id, seq, 1) for seq in (3, 4, 5, 6)),
        Mention(ann.id, rooms[1].id, 9, 1),
        Mention(ann.id, rooms[2].id, 9, 1),
        Mention(bob.id, rooms[0].id, 9, 1),
    )

    assert ask(store, queries.MENTIONS_OF, user_id=ann.id) == [
        queries.CountedChat(rooms[0].id, 2)
    ]


def test_requests_that_wait_for_an_owner(store: Store) -> None:
    ann, bob = user(), user()
    rooms = [
        chat(owner_id=ann.id),
        chat(owner_id=ann.id),
        chat(owner_id=bob.id),
    ]
    write(
        store,
        ann,
        bob,
        *rooms,
        *(JoinRequest(rooms[0].id, new_id(), new_id(), 1) for _ in range(2)),
        JoinRequest(rooms[2].id, new_id(), new_id(), 1),
    )

    assert ask(store, queries.REQUESTS_OF_OWNER, user_id=ann.id) == [
        queries.CountedChat(rooms[0].id, 2)
    ]


def test_members_with_what_others_may_know(store: Store) -> None:
    room = chat()
    people = [
        user(id=number(1), role="admin", last_seen=5),
        user(id=number(2), receipts=0),
        user(id=number(3)),
    ]
    write(
        store,
        room,
        *people,
        *(member(room, one, read_seq=7) for one in people),
    )

    found = ask(
        store,
        queries.LISTED_MEMBERS,
        chat_id=room.id,
        after=NIL,
        limit=2,
    )

    assert found == [
        queries.ListedMember(
            one.id, one.name, one.role, one.last_seen, one.receipts, 7
        )
        for one in people[:2]
    ]


def test_names_that_were_never_compared(store: Store) -> None:
    plain = [user(id=number(place)) for place in (1, 2, 3)]
    write(store, *plain, user(id=number(0), name_skeleton="x"))

    found = ask(store, queries.PLAIN_NAMES, limit=2)

    assert [one.id for one in found] == [number(1), number(2)]


def remaining(store: Store, table: Any, rows: list[Any]) -> list[Any]:
    """Those of the rows that are still there."""
    found = load(store, table, *(table.key_of(row) for row in rows))
    return [row for row in rows if row in found]


def test_deleting_all_of_a_chat(store: Store) -> None:
    room, other, ann = chat(), chat(kind=P2P), user()
    kept: list[Any] = []
    gone: list[Any] = []
    for where, rows in ((room, gone), (other, kept)):
        file = stored_file(where, ann)
        rows += [
            message(where, ann, 1),
            file,
            FileChunk(file.id, 0, b"data"),
            link(where),
            JoinRequest(where.id, ann.id, new_id(), 1),
            Delivery(where.id, ann.id, 1, 1),
        ]
    tables = (MESSAGES, FILES, FILE_CHUNKS, LINKS, JOIN_REQUESTS, DELIVERIES)
    write(store, ann, room, other, *gone, *kept)

    write(
        store,
        run=[
            (statement, {"chat_id": room.id})
            for statement in (
                queries.DELETE_CHAT_CHUNKS,
                queries.DELETE_CHAT_FILES,
                queries.DELETE_CHAT_MESSAGES,
                queries.DELETE_CHAT_LINKS,
                queries.DELETE_CHAT_REQUESTS,
                queries.DELETE_CHAT_DELIVERIES,
            )
        ],
    )

    for table, lost, left in zip(tables, gone, kept):
        assert remaining(store, table, [lost, left]) == [left]


def test_deleting_by_file_and_seq(store: Store) -> None:
    room = chat()
    chunks = [FileChunk(new_id(), 0, b"a"), FileChunk(new_id(), 0, b"b")]
    deliveries = [Delivery(room.id, new_id(), seq, 1) for seq in (1, 2)]
    write(store, room, *chunks, *deliveries)

    write(
        store,
        run=[
            (queries.DELETE_CHUNKS_OF_FILE, {"file_id": chunks[0].file_id}),
            (
                queries.DELETE_OLD_DELIVERIES,
                {"chat_id": room.id, "seq": 1},
            ),
        ],
    )

    assert remaining(store, FILE_CHUNKS, chunks) == chunks[1:]
    assert remaining(store, DELIVERIES, deliveries) == deliveries[1:]


def test_statements_run_in_order_after_the_rows(store: Store) -> None:
    room, ann = chat(), user()
    note = message(room, ann, 1)

    write(
        store,
        room,
        ann,
        note,
        run=[(queries.DELETE_MESSAGES, {"chat_id": room.id, "seq": 1})],
    )

    assert load(store, MESSAGES, note.id) == []


def test_row_and_statement_in_one_batch(store: Store) -> None:
    room = chat()
    write(store, room)

    write(
        store,
        update=[replace(room, purged_seq=4)],
        run=[(queries.DELETE_CHAT_LINKS, {"chat_id": room.id})],
    )

    assert load(store, CHATS, room.id)[0].purged_seq == 4


def accounts(store: Store, **given: Any) -> list[queries.AccountRow]:
    """A page of accounts; what is not given does not matter."""
    usual: dict[str, Any] = {
        "now": 100,
        "after": NIL,
        "name": "",
        "beyond": "\U0010ffff",
        "first_id": NIL,
        "last_id": "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "role": "",
        "banned": -1,
        "limit": 9,
    }
    return ask(store, queries.ACCOUNTS_PAGE, **usual | given)


def test_accounts(store: Store) -> None:
    ann = user(
        id=number(1), name_key="ann", banned_until=200, warnings_round=1
    )
    bob = user(id=number(2), name_key="bob", role="admin", banned_until=100)
    eve = user(id=number(3), name_key="ännchen", closed=5)
    room = chat()
    write(
        store,
        room,
        ann,
        bob,
        eve,
        member(room, ann),
        complaint(ann, bob, round=1),
        complaint(ann, eve, round=1, state="dismissed"),
        complaint(ann, bob, round=0),
        complaint(bob, ann, round=0),
        complaint(bob, ann, round=1),
        scheduled(room, ann),
        scheduled(room, ann, state=CANCELLED),
    )

    def ids(**given: Any) -> list[str]:
        return [row.id for row in accounts(store, **given)]

    assert ids() == [ann.id, bob.id, eve.id]
    assert ids(after=ann.id, limit=1) == [bob.id]
    assert ids(name="an", beyond="an\U0010ffff") == [ann.id]
    assert ids(name="ä", beyond="ä\U0010ffff") == [eve.id]
    assert ids(first_id=bob.id, last_id=bob.id) == [bob.id]
    assert ids(role="admin") == [bob.id]
    assert ids(banned=1) == [ann.id]
    assert ids(banned=0) == [bob.id, eve.id]
    rows = accounts(store)
    assert [row.warnings for row in rows] == [1, 1, 0]
    assert [row.chats for row in rows] == [1, 0, 0]
    assert [row.scheduled for row in rows] == [1, 0, 0]
    assert [row.closed for row in rows] == [None, None, 5]


def test_complaints(store: Store) -> None:
    ann, bob = user(name="Ann"), user(name="Bob")
    first = complaint(ann, bob, id=number(1), evidence="x")
    second = complaint(bob, ann, id=number(2), state="upheld")
    write(store, ann, bob, first, second)
    at: dict[str, Any] = {"after": NIL, "limit": 9, "state": ""}

    rows = ask(store, queries.COMPLAINTS_PAGE, **at)

    assert [row.id for row in rows] == [first.id, second.id]
    assert (rows[0].reporter_name, rows[0].offender_name) == ("Bob", "Ann")
    assert (rows[0].evidence, rows[0].state) == ("x", "open")
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"state": "open"}, [first.id]),
        ({"state": "upheld"}, [second.id]),
        ({"after": first.id}, [second.id]),
        ({"limit": 1}, [first.id]),
    ]
    for given, expected in cases:
        page = ask(store, queries.COMPLAINTS_PAGE, **at | given)
        assert [row.id for row in page] == expected


def test_audit_log(store: Store) -> None:
    ann = user(name="Ann")
    entries = [
        Audit(number(1), 1, None, "ban", ann.id, "{}"),
        Audit(number(2), 2, ann.id, "announce", new_id(), '{"a":1}'),
    ]
    write(store, ann, *entries)
    last = "ffffffff-ffff-ffff-ffff-ffffffffffff"

    rows = ask(store, queries.AUDIT_PAGE, before=last, limit=9)
    rest = ask(store, queries.AUDIT_PAGE, before=number(2), limit=9)

    assert [row.id for row in rows] == [number(2), number(1)]
    assert (rows[0].actor_name, rows[0].subject_name) == ("Ann", None)
    assert (rows[1].actor_id, rows[1].subject_name) == (None, "Ann")
    assert rest == rows[1:]


def test_live_invites(store: Store) -> None:
    def invite(place: int, **fields: Any) -> Invite:
        usual: dict[str, Any] = {
            "id": number(place),
            "code_hash": bytes([place]),
            "created": place,
            "expires_at": 100,
            "max_uses": 2,
            "uses": 1,
            "revoked_at": None,
        }
        return Invite(**usual | fields)

    live = [invite(1), invite(2)]
    dead = [
        invite(3, expires_at=50),
        invite(4, uses=2),
        invite(5, revoked_at=1),
    ]
    write(store, *live, *dead)

    assert ask(store, queries.LIVE_INVITES, at=50, limit=9) == live[::-1]


def test_what_a_closed_account_had_waiting(store: Store) -> None:
    room, ann, bob = chat(), user(), user()
    rows = (
        scheduled(room, ann),
        scheduled(room, ann, state=SENT),
        scheduled(room, bob),
    )
    files = [stored_file(room, ann, scheduled_id=row.id) for row in rows]
    write(store, room, ann, bob, *rows, *files)

    write(
        store,
        run=[
            (
                queries.RELEASE_SCHEDULED_FILES,
                {"user_id": ann.id, "now": 77},
            ),
            (queries.CANCEL_SCHEDULED, {"user_id": ann.id}),
        ],
    )

    states = [load(store, SCHEDULED, row.id)[0].state for row in rows]
    assert states == [CANCELLED, SENT, "pending"]
    found = [load(store, FILES, file.id)[0] for file in files]
    assert (found[0].scheduled_id, found[0].created) == (None, 77)
    assert found[1:] == files[1:]


def test_what_an_erased_user_left(store: Store) -> None:
    """In pages, in the order of ids, whatever the chats."""
    room, other, ann, bob = chat(), chat(), user(), user()
    written = [
        message((room, other)[place % 2], who, place, id=number(place))
        for place, who in enumerate((ann, bob, ann, ann, bob, ann), 1)
    ]
    written[3] = replace(written[3], deleted=5, text="")
    free = [stored_file(room, ann, id=number(place)) for place in (1, 2)]
    write(
        store,
        room,
        other,
        ann,
        bob,
        *written,
        *free,
        stored_file(room, ann, message_id=number(1)),
        stored_file(room, bob),
        Erasure(ann.id, NIL, 3),
    )

    def ids(query: Query[Any], **params: Any) -> list[str]:
        return [row.id for row in ask(store, query, **params)]

    def of_ann(after: str, through: str, limit: int) -> list[str]:
        return ids(
            queries.MESSAGES_OF_AUTHOR,
            user_id=ann.id,
            after=after,
            through=through,
            limit=limit,
        )

    assert ask(store, queries.NEXT_ERASURE, lock=True) == [
        Erasure(ann.id, NIL, 3)
    ]
    assert of_ann(NIL, number(6), 9) == [number(n) for n in (1, 3, 6)]
    assert of_ann(NIL, number(6), 2) == [number(1), number(3)]
    assert of_ann(number(1), number(5), 9) == [number(3)]
    ends = queries.END_OF_MESSAGES
    assert ids(ends, after=NIL, skipped=1) == [number(2)]
    assert ids(ends, after=number(2), skipped=3) == [number(6)]
    assert ids(ends, after=number(2), skipped=4) == []
    uploads = queries.UPLOADS_OF
    assert ids(uploads, user_id=ann.id, limit=9) == [number(1), number(2)]
    assert ids(uploads, user_id=ann.id, limit=1) == [number(1)]


def test_all_is_counted(store: Store) -> None:
    room, ann, bob = chat(head=7), user(), user()
    write(
        store,
        room,
        ann,
        bob,
        complaint(ann, bob),
        complaint(bob, ann, state="dismissed"),
        scheduled(room, ann),
        scheduled(room, ann, state=CANCELLED),
        stored_file(room, ann, size=5, resume_key=None),
        stored_file(room, ann, size=9, resume_key="unfinished"),
    )

    (all_counts,) = ask(store, queries.COUNT_ALL)

    assert all_counts == queries.CountedAll(
        users=2,
        chats=2,
        messages=7,
        files=1,
        file_bytes=5,
        scheduled=1,
        complaints=1,
    )


@pytest.mark.parametrize(
    "subject", [*QUERIES, *STATEMENTS], ids=lambda subject: subject.name
)
def test_each_has_a_test_here(subject: Query[Any] | Statement) -> None:
    text = Path(__file__).read_text("utf-8")

    assert f"queries.{subject.name.upper()}" in text


def test_queries_of_large_tables_use_indexes(store: Store) -> None:
    """Pages come in order from their index, at any depth."""
    room, ann = chat(head=3000), user()
    write(
        store, room, ann, *(message(room, ann, seq) for seq in range(1, 3001))
    )

    pages = [
        seqs(
            ask(
                store,
                queries.MESSAGES_AFTER,
                chat_id=room.id,
                after=after,
                limit=3,
            )
        )
        for after in (0, 1500, 2998)
    ]

    assert pages == [[1, 2, 3], [1501, 1502, 1503], [2999, 3000]]
    assert all(a < b for a, b in pairwise(pages))


def test_messages_in_sqlite_are_never_read_through(tmp_path: Path) -> None:
    """Every query finds them by an index or by two bounds of places."""
    with closing(SqliteStore(tmp_path / "zchat.db", 1, new_id)) as store:
        for name, text in blocks("sqlite", skip_locked="").items():
            if not re.search(r"\b(message_rows|messages AS)\b", text):
                continue
            params = dict.fromkeys(parameters(text), 1)
            for *_, step in store._connection.execute(
                f"EXPLAIN QUERY PLAN {text}", params
            ):
                assert not re.match("SCAN (m|message_rows)\\b", step), name
                assert not step.endswith(("(rowid>?)", "(rowid<?)")), name


def parameters(text: str) -> list[str]:
    """The names of a block's parameters."""
    return re.findall(r"(?<!:):([a-z_]+)", text)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
class TestColumnsAreNamedAsFields:
    """Rows are made by position, so that no name is looked up."""

    def test_on_sqlite(self, lite: SqliteStore, query: Query[Any]) -> None:
        text = blocks("sqlite", skip_locked="").get(query.name)
        if text is None:
            return
        found = lite._connection.execute(
            text, dict.fromkeys(parameters(text), 0)
        ).description
        names = tuple(name for name, *_ in found)
        if query is queries.CHUNKS_OF:
            assert names == ("file_id", "offset", "data", "size")
        else:
            assert names == query.row.__struct_fields__

    def test_on_postgres(
        self, base: "psycopg.Connection[Any]", query: Query[Any]
    ) -> None:
        text = blocks("postgres", skip_locked="").get(query.name)
        if text is None:
            return
        asked = re.sub(r"(?<!:):([a-z_]+)", "%(\\1)s", text)
        found = base.execute(
            asked.encode(), dict.fromkeys(parameters(text))
        ).description
        assert found is not None
        names = tuple(column.name for column in found)
        assert names == query.row.__struct_fields__

"""Two brokers' duties on one database: each thing is done once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import msgpack
import pytest

from tests.bare import wait_until
from tests.harness import FIGURES
from tests.stores import (
    ask,
    chat,
    load,
    member,
    message,
    new_id,
    scheduled,
    source,
    stored_file,
    user,
    write,
)
from zchat.chat.environment import Facts
from zchat.chat.erasure import erase
from zchat.chat.expiry import delete_expired, expire_members
from zchat.chat.files import drop_stale
from zchat.chat.jobs import NoParams
from zchat.chat.schedule import send_due
from zchat.chat.unit_of_work import UnitOfWork
from zchat.engine.batch import Batches, Call
from zchat.engine.entropy import SystemEntropy
from zchat.model import (
    CHATS,
    COMMON,
    ERASURES,
    SECOND,
    Delivery,
    Erasure,
    Rules,
    first_id_at,
)
from zchat.queries import FILES_OF, MESSAGES_AFTER, SCHEDULED_OF
from zchat.storage import open_store
from zchat.storage.base import Outgoing, Store

NOW = 1_700_000_000 * SECOND
RULES = Rules(message_ttl_seconds=60)
Duty = Callable[..., Any]


class Broker:
    """What runs batches in a broker, with a clock that stands still."""

    def __init__(self, store: Store) -> None:
        entropy = SystemEntropy()
        self.store = store
        self._batches = Batches(
            store,
            UnitOfWork(
                RULES,
                Facts(
                    "0", store.epoch, "", store.connections, lambda: FIGURES
                ),
                entropy,
                store.common_id,
                cacheable=store.cacheable,
            ),
            lambda: NOW,
        )

    def do(self, duty: Duty) -> None:
        call = Call(duty, NoParams())
        self._batches.run([call])
        assert call.done


@pytest.fixture
def brokers(postgres_url: str) -> Iterator[list[Broker]]:
    with ExitStack() as stack:
        yield [
            Broker(
                stack.enter_context(
                    closing(open_store(postgres_url, NOW, new_id))
                )
            )
            for _ in range(3)
        ]


def do_everywhere(brokers: list[Broker], *duties: Duty) -> None:
    """Each broker does the duties, all at the same time."""

    def work(broker: Broker) -> None:
        for duty in duties:
            broker.do(duty)

    with ThreadPoolExecutor() as threads:
        for done in [threads.submit(work, one) for one in brokers]:
            done.result()


def told(store: Store, name: str) -> list[dict[str, Any]]:
    """The plain events of that name, up to now."""
    found: list[dict[str, Any]] = []
    marker = b"end" + new_id().encode()

    def ended() -> bool:
        events, lost = store.feed()
        assert not lost
        found.extend(
            msgpack.unpackb(event.body)
            for event in events
            if event.topic.startswith(b"c")
        )
        return any(event.topic == marker for event in events)

    store.begin()
    store.commit([Outgoing(marker, b"")])
    wait_until(ended, "the feed is read")
    return [event for event in found if event["event"] == name]


def test_due_messages(brokers: list[Broker]) -> None:
    store = brokers[0].store
    store.begin()
    ((common,),), _ = store.load([source(CHATS, store.common_id)], [], False)
    store.rollback()
    people = [user() for _ in range(20)]
    rows = [
        scheduled(common, who, send_at=NOW - 1)
        for who in people
        for _ in range(3)
    ]
    write(store, *people, *rows, *(member(common, who) for who in people))

    do_everywhere(brokers, send_due, send_due, send_due)

    sent = ask(store, MESSAGES_AFTER, chat_id=common.id, after=0, limit=1000)
    assert [row.seq for row in sent] == list(range(1, 61))
    states = [
        row.state
        for who in people
        for row in ask(
            store, SCHEDULED_OF, author_id=who.id, state="", limit=9
        )
    ]
    assert states == ["sent"] * 60
    for broker in brokers:
        assert len(told(broker.store, "message")) == 60


def test_expired_messages(brokers: list[Broker]) -> None:
    store = brokers[0].store
    who = user()
    rooms = [chat(kind=COMMON, head=3) for _ in range(20)]
    old = NOW - 61 * SECOND
    write(
        store,
        who,
        *rooms,
        *(
            row
            for room in rooms
            for row in (
                member(room, who, read_seq=2),
                Delivery(room.id, who.id, 2, old),
                *(
                    message(
                        room,
                        who,
                        seq,
                        id=first_id_at(NOW + seq * 1000)[:-12] + room.id[-12:],
                    )
                    for seq in (1, 2, 3)
                ),
            )
        ),
    )

    do_everywhere(brokers, expire_members, delete_expired, delete_expired)

    for room in rooms:
        rows = ask(store, MESSAGES_AFTER, chat_id=room.id, after=0, limit=9)
        assert [row.seq for row in rows] == [3]
    for broker in brokers:
        expired = told(broker.store, "expired")
        assert sorted(event["chat_id"] for event in expired) == sorted(
            room.id for room in rooms
        )


def test_an_erased_user(brokers: list[Broker]) -> None:
    store = brokers[0].store
    room, ann, bob = chat(kind=COMMON, head=300), user(), user()
    written = [message(room, (ann, bob)[n % 3 > 1], n) for n in range(1, 301)]
    first = "00000000-0000-0000-0000-000000000000"
    write(store, room, ann, bob, *written, Erasure(ann.id, first, 0))

    do_everywhere(brokers, *[erase] * 4)

    rows = ask(store, MESSAGES_AFTER, chat_id=room.id, after=0, limit=1000)
    assert {row.author_id for row in rows if row.text} == {bob.id}
    assert {row.text for row in rows if row.author_id == ann.id} == {""}
    assert sorted(row.revision for row in rows)[-200:] == list(range(1, 201))
    assert len(told(store, "message_changed")) == 200
    assert load(store, ERASURES, ann.id) == []


def test_stale_uploads(brokers: list[Broker]) -> None:
    store = brokers[0].store
    room, who = chat(), user()
    write(
        store,
        room,
        who,
        *(stored_file(room, who, created=n) for n in range(60)),
    )

    do_everywhere(brokers, drop_stale, drop_stale)

    assert ask(store, FILES_OF, user_id=who.id, least=1)[0].unattached == 0

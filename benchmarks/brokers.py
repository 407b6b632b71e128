"""W7: brokers on one PostgreSQL, beside one broker on SQLite.

Everything shares one machine, the database included: the figures show
what a broker costs there, not what three machines would do.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from select import select
from time import perf_counter, process_time, time_ns
from typing import Any, Final

from msgspec.structs import replace

from benchmarks.load import closed_loop, connections, no_collection
from benchmarks.options import Options
from benchmarks.process import Process, family_cpu_seconds
from benchmarks.report import Comparison, Sample, in_turn
from benchmarks.wire import request, result_of
from benchmarks.zchat_server import Room, Zchat, room_of, zchat
from tests.postgres import Cluster, cluster
from tests.stores import changes, member, message, new_id, source, user
from zchat.model import CHATS, MEMBERS, MESSAGES, USERS, Message
from zchat.storage import open_store
from zchat.storage.base import Outgoing, Store

CONNECTIONS: Final = 64
IN_FLIGHT: Final = 8
A_CONNECTION: Final = 200
MEMBERS_OF_ROOM: Final = 10
TEXT: Final = "x" * 200
BATCH: Final = 512
BATCHES: Final = 20
EVENT_BYTES: Final = 420
DATABASE: Final = {"max_wal_size": "4GB", "shared_buffers": "256MB"}
"""Settings beside PostgreSQL's own; fsync and the like stay on."""


def run(options: Options) -> list[Comparison]:
    """SQLite against PostgreSQL, more brokers, and what NOTIFY costs."""
    with cluster(DATABASE) as server:
        return [
            _stores(server, options),
            _brokers(server, options, own=True),
            _brokers(server, options, own=False),
            _notifications(server, options),
        ]


def _stores(server: Cluster, options: Options) -> Comparison:
    """The same sends on either store."""
    with ExitStack() as stack:
        lite = stack.enter_context(zchat())
        url = stack.enter_context(server.database())
        shared = stack.enter_context(zchat(store=url))
        return Comparison(
            workload="W7",
            unit="/s",
            title="durable sends, one broker, room of 10, 512 in flight",
            sides=in_turn(
                {
                    "zchat on SQLite": _sends(stack, [lite], own=True),
                    "zchat on PostgreSQL": _sends(stack, [shared], own=True),
                },
                options.rounds,
            ),
        )


def _brokers(server: Cluster, options: Options, own: bool) -> Comparison:
    """The same sends through one, two and three brokers."""
    with ExitStack() as stack:
        url = stack.enter_context(server.database())
        three = [stack.enter_context(zchat(store=url)) for _ in range(3)]
        chats = "a room for each" if own else "one room for all"
        return Comparison(
            workload="W7",
            unit="/s",
            title=f"the same through more brokers, {chats}",
            sides=in_turn(
                {
                    f"zchat, brokers: {number}": _sends(
                        stack, three[:number], own
                    )
                    for number in (1, 2, 3)
                },
                options.rounds,
            ),
        )


def _sends(
    stack: ExitStack, servers: Sequence[Zchat], own: bool
) -> Callable[[], Sample]:
    """The connections are spread over the servers, and so are rooms."""
    rooms = [room_of(server.rpc, MEMBERS_OF_ROOM) for server in servers]
    each = CONNECTIONS // len(servers)
    sockets: list[Any] = []
    bodies: list[list[bytes]] = []
    for server, room in zip(servers, rooms):
        sockets += stack.enter_context(connections(server.rpc, each))
        bodies += _bodies(room if own else rooms[0], each)

    def measure() -> Sample:
        processes = [server.process for server in servers]
        used = _cpu_seconds(processes)
        answered = closed_loop(sockets, bodies, IN_FLIGHT)
        used = _cpu_seconds(processes) - used
        sent = [
            result_of(answer)["seq"]
            for answers in answered.answers
            for answer in answers
        ]
        if not own and len(set(sent)) != len(sent):
            raise RuntimeError("two messages have one seq")
        return Sample(len(sent) / answered.seconds, used / len(sent) * 1e6)

    return measure


def _cpu_seconds(processes: Sequence[Process]) -> float:
    return sum(process.cpu_seconds() for process in processes)


def _bodies(room: Room, connections: int) -> list[list[bytes]]:
    return [
        [
            request(
                number,
                "send",
                text=TEXT,
                chat_id=room.chat_id,
                token=room.tokens[connection % MEMBERS_OF_ROOM],
            )
            for number in range(A_CONNECTION)
        ]
        for connection in range(connections)
    ]


def _notifications(server: Cluster, options: Options) -> Comparison:
    """Batches as a broker writes them, without and with their events."""
    with ExitStack() as stack:
        stores = [stack.enter_context(_store(server)) for _ in range(2)]
        return Comparison(
            workload="W7",
            unit="/s",
            title=f"messages in batches of {BATCH}, the store alone",
            sides=in_turn(
                {
                    "without NOTIFY": _batches(server, stores[0], told=False),
                    "with NOTIFY, and read back": _batches(
                        server, stores[1], told=True
                    ),
                },
                options.rounds,
            ),
        )


@contextmanager
def _store(server: Cluster) -> Iterator[Store]:
    with (
        server.database() as url,
        closing(open_store(url, time_ns() // 1000, new_id)) as store,
    ):
        yield store


def _batches(
    server: Cluster, store: Store, told: bool
) -> Callable[[], Sample]:
    """The CPU is PostgreSQL's and ours together."""
    people = [user() for _ in range(64)]
    common = store.common_id
    store.begin()
    ((chat,),), _ = store.load([source(CHATS, common)], [], True)
    store.write(changes([*people, *(member(chat, who) for who in people)]))
    store.commit([])
    heads = count(BATCH, BATCH)

    def measure() -> Sample:
        work = [_messages(chat, people, next(heads)) for _ in range(BATCHES)]
        used = process_time() + family_cpu_seconds(server.pid())
        with no_collection():
            started = perf_counter()
            for notes in work:
                _send(store, common, people, notes, told)
            seconds = perf_counter() - started
        used = process_time() + family_cpu_seconds(server.pid()) - used
        sent = BATCH * BATCHES
        return Sample(sent / seconds, used / sent * 1e6)

    return measure


def _messages(chat: Any, people: list[Any], head: int) -> list[Message]:
    return [
        message(
            chat,
            people[n % len(people)],
            head - BATCH + 1 + n,
            text=TEXT,
            idempotency_key=new_id(),
        )
        for n in range(BATCH)
    ]


def _send(
    store: Store,
    common: str,
    people: list[Any],
    notes: list[Message],
    told: bool,
) -> None:
    """One batch: loads, changes, commit, and its events come back."""
    store.begin()
    store.load(
        [source(USERS, *(who.token_hash for who in people), unique=0)],
        [],
        True,
    )
    ((chat,), _, _), _ = store.load(
        [
            source(CHATS, common),
            source(MEMBERS, *((common, who.id) for who in people)),
            source(
                MESSAGES,
                *((note.author_id, note.idempotency_key) for note in notes),
                unique=0,
            ),
        ],
        [],
        True,
    )
    store.write(changes(notes, update=[replace(chat, head=notes[-1].seq)]))
    store.commit(
        [
            Outgoing(b"c" * 17, bytes(EVENT_BYTES), common, note.seq)
            for note in notes
        ]
        if told
        else []
    )
    missing = len(notes) if told else 0
    descriptor = store.feed_fd()
    while missing and descriptor is not None:
        select([descriptor], [], [])
        missing -= len(store.feed()[0])

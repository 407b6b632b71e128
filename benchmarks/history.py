"""W4: pages of 20 in a small and a big chat, warm and cold.

Warm: from the newest 10,000 messages, which fit into the server's cache.
Cold: from anywhere, after a start with nothing of the store in memory.
"""

import os
import random
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from benchmarks.load import closed_loop, connections
from benchmarks.options import Options
from benchmarks.report import Comparison, Sample, in_turn
from benchmarks.seeded import Seeded, seeded, text_of
from benchmarks.wire import request, result_of
from benchmarks.zchat_server import Zchat, zchat

SMALL, BIG = 10_000, 1_000_000
USERS: Final = 10
CONNECTIONS: Final = 16
IN_FLIGHT: Final = 8
A_CONNECTION: Final = 250
COLD_A_CONNECTION: Final = 30
PAGE: Final = 20


def run(options: Options) -> list[Comparison]:
    """The same pages of a chat of 10,000 and of 1,000,000 messages."""
    stores = {"": seeded(USERS, SMALL), "zchat ": seeded(USERS, BIG)}
    with ExitStack() as stack:
        warm = Comparison(
            workload="W4",
            unit="/s",
            goal=0.83,
            title="history of 20 among the newest 10,000, warm",
            sides=in_turn(
                {
                    f"{name}in {store.messages:,} messages": _warm(
                        stack, store
                    )
                    for name, store in stores.items()
                },
                options.rounds,
            ),
        )
    cold = Comparison(
        workload="W4",
        unit="/s",
        title="history of 20 from anywhere, cold",
        sides=in_turn(
            {
                f"{name}in {store.messages:,} messages": _cold(store)
                for name, store in stores.items()
            },
            options.rounds,
        ),
    )
    return [warm, cold]


def _warm(stack: ExitStack, store: Seeded) -> Callable[[], Sample]:
    server = stack.enter_context(zchat(store=store.path))
    sockets = stack.enter_context(connections(server.rpc, CONNECTIONS))
    oldest = store.messages - SMALL
    return lambda: _pages(server, sockets, store, oldest, A_CONNECTION)


def _cold(store: Seeded) -> Callable[[], Sample]:
    def measure() -> Sample:
        with store.path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with (
            zchat(store=store.path) as server,
            connections(server.rpc, CONNECTIONS) as sockets,
        ):
            return _pages(server, sockets, store, 0, COLD_A_CONNECTION)

    return measure


def _pages(
    server: Zchat,
    sockets: list[Any],
    store: Seeded,
    oldest: int,
    a_connection: int,
) -> Sample:
    """So many pages of each connection, from messages after `oldest`."""
    chosen = random.Random()
    before = [
        [
            chosen.randrange(oldest + PAGE + 1, store.messages)
            for _ in range(a_connection)
        ]
        for _ in sockets
    ]
    bodies = [
        [
            request(
                seq,
                "history",
                token=store.token(number),
                chat_id=store.chat_id,
                before=seq,
                limit=PAGE,
            )
            for seq in own
        ]
        for number, own in enumerate(before)
    ]
    used = server.process.cpu_seconds()
    answered = closed_loop(sockets, bodies, IN_FLIGHT)
    used = server.process.cpu_seconds() - used
    for own, answers in zip(before, answered.answers):
        for seq, answer in zip(own, answers):
            _check(seq, result_of(answer)["messages"])
    count = CONNECTIONS * a_connection
    return Sample(count / answered.seconds, used / count * 1e6)


def _check(before: int, messages: list[Any]) -> None:
    told = [(message["seq"], message["text"]) for message in messages]
    if told != [(seq, text_of(seq)) for seq in range(before - PAGE, before)]:
        raise RuntimeError(f"the page before {before} is another one")

"""W4: pages of 20 from anywhere in a chat, small and big."""

import random
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from benchmarks.load import closed_loop, connections
from benchmarks.options import Options
from benchmarks.report import Comparison, Sample, in_turn
from benchmarks.seeded import Seeded, seeded, text_of
from benchmarks.wire import request, result_of
from benchmarks.zchat_server import zchat

SMALL, BIG = 10_000, 1_000_000
USERS: Final = 10
CONNECTIONS: Final = 16
IN_FLIGHT: Final = 8
A_CONNECTION: Final = 250
PAGE: Final = 20


def run(options: Options) -> list[Comparison]:
    """The same pages of a chat of 10,000 and of 1,000,000 messages."""
    with ExitStack() as stack:
        return [
            Comparison(
                workload="W4",
                unit="/s",
                goal=0.83,
                title="history of 20 before a random message",
                sides=in_turn(
                    {
                        f"{name}in {messages:,} messages": _pages(
                            stack, seeded(USERS, messages)
                        )
                        for name, messages in (("", SMALL), ("zchat ", BIG))
                    },
                    options.rounds,
                ),
            )
        ]


def _pages(stack: ExitStack, store: Seeded) -> Callable[[], Sample]:
    server = stack.enter_context(zchat(store=store.path))
    sockets = stack.enter_context(connections(server.rpc, CONNECTIONS))
    chosen = random.Random(store.messages)

    def measure() -> Sample:
        before = [
            [
                chosen.randrange(PAGE + 1, store.messages)
                for _ in range(A_CONNECTION)
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
        count = CONNECTIONS * A_CONNECTION
        return Sample(count / answered.seconds, used / count * 1e6)

    return measure


def _check(before: int, messages: list[Any]) -> None:
    told = [(message["seq"], message["text"]) for message in messages]
    if told != [(seq, text_of(seq)) for seq in range(before - PAGE, before)]:
        raise RuntimeError(f"the page before {before} is another one")

"""W6: idle subscribers, a start on a big store, sends into it."""

import os
import random
import resource
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from benchmarks.listening import subscribers
from benchmarks.load import closed_loop, connections
from benchmarks.options import Options
from benchmarks.report import Comparison, Sample, in_turn
from benchmarks.seeded import Seeded, seeded, text_of
from benchmarks.wire import Caller, request, result_of
from benchmarks.zchat_server import zchat

IDLE: Final = 5_000
IDLE_ROUNDS: Final = 2
KIB_A_CONNECTION: Final = 30.0
START_SECONDS: Final = 1.0
SMALL, BIG = (100, 1_000), (100_000, 1_000_000)
CONNECTIONS: Final = 64
IN_FLIGHT: Final = 8
A_CONNECTION: Final = 200


def run(options: Options) -> list[Comparison]:
    """Memory of the idle; then a small and a big store in turn."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    small, big = (seeded(*size) for size in (SMALL, BIG))
    return [_idle(), _starts(small, big, options), _sends(small, big, options)]


def _idle() -> Comparison:
    """What each subscriber costs the server while it says nothing."""
    samples = []
    for _ in range(IDLE_ROUNDS):
        with zchat() as server:
            alone = server.process.memory_bytes()
            topic = b"c" + os.urandom(16)
            with subscribers(server.events, topic, IDLE):
                more = server.process.memory_bytes() - alone
        samples.append(Sample(more / IDLE / 1024))
    budget = [Sample(KIB_A_CONNECTION)] * IDLE_ROUNDS
    return Comparison(
        workload="W6",
        unit="KiB",
        goal=1.0,
        title=f"memory of each of {IDLE:,} idle subscribers",
        sides={"as much as there may be": budget, "zchat": samples},
    )


def _starts(small: Seeded, big: Seeded, options: Options) -> Comparison:
    """From the start of the process to the first answer."""

    def start(store: Seeded) -> Sample:
        started = time.perf_counter()
        with zchat(store=store.path) as server, Caller(server.rpc) as caller:
            caller.call("hello")
            return Sample(time.perf_counter() - started)

    return Comparison(
        workload="W6",
        unit="s",
        goal=1.2,
        title="start until the first answer",
        sides=in_turn(
            {
                f"{small.messages:,} messages": lambda: start(small),
                f"zchat, {big.messages:,} messages": lambda: start(big),
            },
            options.rounds,
        ),
    )


def _sends(small: Seeded, big: Seeded, options: Options) -> Comparison:
    """Sends by anybody in the group, as W1 counts them."""
    with ExitStack() as stack:
        return Comparison(
            workload="W6",
            unit="/s",
            goal=0.83,
            title="durable sends, 512 in flight, by random users",
            sides=in_turn(
                {
                    name + _size(store): _sender(stack, store)
                    for name, store in (("", small), ("zchat, ", big))
                },
                options.rounds,
            ),
        )


def _size(store: Seeded) -> str:
    return f"{store.users:,} users, {store.messages:,} messages"


def _sender(stack: ExitStack, store: Seeded) -> Callable[[], Sample]:
    server = stack.enter_context(zchat(store=store.path))
    sockets = stack.enter_context(connections(server.rpc, CONNECTIONS))
    chosen = random.Random(store.users)

    def measure() -> Sample:
        bodies = [
            [
                request(
                    number,
                    "send",
                    chat_id=store.chat_id,
                    token=store.token(chosen.randrange(store.users)),
                    text=text_of(number),
                )
                for number in range(A_CONNECTION)
            ]
            for _ in sockets
        ]
        used = server.process.cpu_seconds()
        answered = closed_loop(sockets, bodies, IN_FLIGHT)
        used = server.process.cpu_seconds() - used
        seqs = sorted(
            result_of(answer)["seq"]
            for answers in answered.answers
            for answer in answers
        )
        count = CONNECTIONS * A_CONNECTION
        if seqs != list(range(seqs[0], seqs[0] + count)):
            raise RuntimeError("sends were lost or doubled")
        return Sample(count / answered.seconds, used / count * 1e6)

    return measure

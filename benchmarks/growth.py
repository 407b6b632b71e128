"""W6: idle subscribers, a start on a big store, sends into it.

Sends are told by the server's CPU: by users who send all the time, and by
users whom the server sees for the first time since its start.
"""

import os
import resource
import time
from contextlib import ExitStack
from typing import Final

from benchmarks.listening import subscribers
from benchmarks.load import closed_loop, connections
from benchmarks.options import Options
from benchmarks.report import Comparison, Sample, in_turn
from benchmarks.seeded import Seeded, seeded, text_of
from benchmarks.wire import Caller, request, result_of
from benchmarks.zchat_server import Zchat, zchat

IDLE: Final = 5_000
IDLE_ROUNDS: Final = 2
KIB_A_CONNECTION: Final = 30.0
START_SECONDS: Final = 1.0
SMALL, BIG = (100, 1_000), (100_000, 1_000_000)
CONNECTIONS: Final = 64
IN_FLIGHT: Final = 8
A_CONNECTION: Final = 200
ACTIVE_USERS: Final = 2_000
SEND_GOAL: Final = 1.2
SIGHT_MICROSECONDS: Final = 20.0


def run(options: Options) -> list[Comparison]:
    """Memory of the idle; then a small and a big store in turn."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    small, big = (seeded(*size) for size in (SMALL, BIG))
    return [
        _idle(),
        _starts(small, big, options),
        *_sends(small, big, options),
    ]


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


def _sends(small: Seeded, big: Seeded, options: Options) -> list[Comparison]:
    """Sends to the group, 512 in flight, and what they cost."""
    sights: list[Sample] = []
    with ExitStack() as stack:
        servers = {
            store: stack.enter_context(zchat(store=store.path))
            for store in (small, big)
        }
        active = Comparison(
            workload="W6",
            unit="µs",
            goal=SEND_GOAL,
            title=f"CPU of a send by {ACTIVE_USERS:,} active users",
            sides=in_turn(
                {
                    _size(small): lambda: _send(
                        servers[small], small, range(small.users)
                    ),
                    f"zchat, {_size(big)}": lambda: _send(
                        servers[big], big, range(ACTIVE_USERS)
                    ),
                },
                options.rounds,
            ),
        )
        usual = active.median(f"zchat, {_size(big)}")
        for turn in range(options.rounds):
            first = ACTIVE_USERS + turn * CONNECTIONS * A_CONNECTION
            unseen = range(first, first + CONNECTIONS * A_CONNECTION)
            sample = _send(servers[big], big, unseen)
            sights.append(Sample(sample.value - usual))
    budget = [Sample(SIGHT_MICROSECONDS)] * len(sights)
    first_sight = Comparison(
        workload="W6",
        unit="µs",
        goal=1.0,
        title="CPU of the first sight of a user, above that of a send",
        sides={"as much as there may be": budget, "zchat": sights},
    )
    return [active, first_sight]


def _size(store: Seeded) -> str:
    return f"{store.users:,} users, {store.messages:,} messages"


def _send(server: Zchat, store: Seeded, users: range) -> Sample:
    """The CPU of each of many sends, by these users in turn."""
    with connections(server.rpc, CONNECTIONS) as sockets:
        bodies = [
            [
                request(
                    number,
                    "send",
                    chat_id=store.chat_id,
                    token=store.token(
                        users[(place * A_CONNECTION + number) % len(users)]
                    ),
                    text=text_of(number),
                )
                for number in range(A_CONNECTION)
            ]
            for place in range(len(sockets))
        ]
        used = server.process.cpu_seconds()
        answered = closed_loop(sockets, bodies, IN_FLIGHT)
        used = server.process.cpu_seconds() - used
    seqs = sorted(
        result_of(answer)["seq"]
        for answers in answered.answers
        for answer in answers
    )
    if seqs != list(range(seqs[0], seqs[0] + len(seqs))):
        raise RuntimeError("sends were lost or doubled")
    return Sample(used / len(seqs) * 1e6)

"""W9: searches of 1,000,000 messages, and what the index costs a send."""

import random
import time
from contextlib import ExitStack
from typing import Any, Final

from benchmarks.load import closed_loop, connections
from benchmarks.options import Options
from benchmarks.report import Comparison, Sample, in_turn
from benchmarks.seeded import TEXT_BYTES, Seeded, seeded, text_of
from benchmarks.wire import Caller, request, result_of
from benchmarks.zchat_server import Room, Zchat, room_of, zchat

USERS, MESSAGES = 10, 1_000_000
SEARCHES: Final = 300
LONGEST: Final = 16
MILLISECONDS: Final = 50.0
CONNECTIONS: Final = 64
IN_FLIGHT: Final = 8
A_CONNECTION: Final = 400


def run(options: Options) -> list[Comparison]:
    """Parts of texts, of three characters or more, one after another."""
    store = seeded(USERS, MESSAGES)
    with (
        zchat(store=store.path) as server,
        Caller(server.rpc) as caller,
    ):
        found = in_turn(
            {"zchat": lambda: _searches(caller, store)}, options.rounds
        )["zchat"]
    budget = [Sample(MILLISECONDS)] * len(found)
    return [
        Comparison(
            workload="W9",
            unit="ms",
            goal=1.0,
            title=f"95 % of searches in {MESSAGES:,} messages within",
            sides={"as much as there may be": budget, "zchat": found},
        ),
        _sends(options),
    ]


def _searches(caller: Caller, store: Seeded) -> Sample:
    """The time within which 95 % of the searches were answered."""
    chosen = random.Random()
    waited = []
    for _ in range(SEARCHES):
        text = text_of(chosen.randrange(store.messages))
        length = chosen.randrange(3, LONGEST)
        start = chosen.randrange(TEXT_BYTES - length)
        part = text[start : start + length]
        began = time.perf_counter()
        answer = caller.call(
            "search",
            token=store.token(0),
            text=part,
            chat_id=store.chat_id,
            limit=20,
        )
        waited.append(time.perf_counter() - began)
        if any(part not in m["text"] for m in answer["messages"]):
            raise RuntimeError(f"what was found does not hold {part!r}")
    waited.sort()
    return Sample(waited[len(waited) * 95 // 100] * 1e3)


def _sends(options: Options) -> Comparison:
    """Sends of words, and of one letter over and over, of which there is
    a single trigram to index."""
    with ExitStack() as stack:
        server = stack.enter_context(zchat())
        room = room_of(server.rpc, CONNECTIONS)
        sockets = stack.enter_context(connections(server.rpc, CONNECTIONS))
        return Comparison(
            workload="W9",
            unit="/s",
            goal=0.9,
            title="durable sends, 512 in flight (CPU: with the indexing)",
            sides=in_turn(
                {
                    "one letter, one trigram": lambda: _round(
                        server, room, sockets, words=False
                    ),
                    "zchat, words": lambda: _round(
                        server, room, sockets, words=True
                    ),
                },
                options.rounds,
            ),
        )


def _round(
    server: Zchat, room: Room, sockets: list[Any], words: bool
) -> Sample:
    bodies = [
        [
            request(
                number,
                "send",
                token=token,
                chat_id=room.chat_id,
                text=text_of(number) if words else "x" * TEXT_BYTES,
            )
            for number in range(A_CONNECTION)
        ]
        for token in room.tokens
    ]
    used = server.process.cpu_seconds()
    answered = closed_loop(sockets, bodies, IN_FLIGHT)
    used = server.process.cpu_seconds() - used
    count = sum(
        "seq" in result_of(answer)
        for answers in answered.answers
        for answer in answers
    )
    if count != len(sockets) * A_CONNECTION:
        raise RuntimeError("sends were refused")
    return Sample(count / answered.seconds, used / count * 1e6)

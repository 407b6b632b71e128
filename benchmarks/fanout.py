"""W3: one durable send becomes an event for 10, 100, 1000 people.

The bare XPUB publishes bodies of the same size as zchat's events.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from threading import Thread
from typing import Any, Final

from benchmarks.listening import Reader, chat_topic, received, subscribers
from benchmarks.load import closed_loop, connections, no_collection
from benchmarks.options import Options
from benchmarks.process import Process, free_port, listens, python, running
from benchmarks.report import Comparison, Sample, in_turn
from benchmarks.wire import request, result_of
from benchmarks.zchat_server import Room, Zchat, room_of, zchat

SENDS_BY_SUBSCRIBERS: Final = {10: 4_000, 100: 1_000, 1_000: 200}
GOALS: Final = {10: 0.7, 100: 0.7, 1_000: 0.95}
IN_FLIGHT: Final = 32
TEXT_BYTES: Final = 200


def run(options: Options) -> list[Comparison]:
    """Deliveries a second of zchat and of a bare XPUB."""
    with ExitStack() as stack:
        server = stack.enter_context(zchat())
        room = room_of(server.rpc, 2)
        topic = chat_topic(room.chat_id)
        port = free_port()
        rpc, events = (f"tcp://127.0.0.1:{port + i}" for i in range(2))
        bare = stack.enter_context(
            running(
                python(
                    "benchmarks.floors.publisher", rpc, events, topic.hex()
                ),
                listens(port + 1),
            )
        )
        to_bare = stack.enter_context(connections(rpc, 1))
        to_zchat = stack.enter_context(connections(server.rpc, 1))
        reader = Reader(server.rpc, room.tokens[0], room.chat_id)
        event_bytes = _event_bytes(server, room, topic, to_zchat)
        compared = []
        for count, sends in SENDS_BY_SUBSCRIBERS.items():
            bodies = _bodies(room, sends)
            same = _padded(bodies, event_bytes)
            with (
                subscribers(events, topic, count) as floor,
                subscribers(server.events, topic, count) as people,
            ):
                compared.append(
                    Comparison(
                        workload="W3",
                        unit="/s",
                        goal=GOALS[count],
                        title=f"deliveries of messages to {count} subscribers,"
                        " durable first (CPU: of one message)",
                        sides=in_turn(
                            {
                                "pyzmq XPUB, nothing kept": _side(
                                    bare, to_bare, floor, same, _same(same)
                                ),
                                "zchat send": _side(
                                    server.process,
                                    to_zchat,
                                    people,
                                    bodies,
                                    _in_order(reader),
                                ),
                            },
                            options.rounds,
                        ),
                    )
                )
        return compared


def _bodies(room: Room, sends: int) -> list[bytes]:
    return [
        request(
            number,
            "send",
            token=room.tokens[0],
            chat_id=room.chat_id,
            text=f"{number} ".ljust(TEXT_BYTES, "x"),
        )
        for number in range(sends)
    ]


def _event_bytes(
    server: Zchat, room: Room, topic: bytes, sockets: list[Any]
) -> int:
    """The size of the body of a message's event."""
    with subscribers(server.events, topic, 1) as people:
        closed_loop(sockets, [_bodies(room, 1)], 1)
        return len(received(people, 1, TEXT_BYTES)[0][0])


def _padded(bodies: Sequence[bytes], size: int) -> list[bytes]:
    """Requests of that size, for the publisher that publishes them."""
    return [
        request(
            number,
            "send",
            text="x"
            * (size - len(request(number, "send", text="x" * 256)) + 256),
        )
        for number, _ in enumerate(bodies)
    ]


Check = Callable[[Sequence[bytes], Sequence[bytes]], None]


def _same(bodies: Sequence[bytes]) -> Check:
    """The bare publisher's events are the requests themselves."""

    def check(answers: Sequence[bytes], events: Sequence[bytes]) -> None:
        if list(events) != list(bodies):
            raise RuntimeError("the bare XPUB lost events")

    return check


def _in_order(reader: Reader) -> Check:
    """zchat's events carry the seqs that the sender was answered."""

    def check(answers: Sequence[bytes], events: Sequence[bytes]) -> None:
        sent = [result_of(answer)["seq"] for answer in answers]
        if reader.messages(events) != sent:
            raise RuntimeError("events were lost or out of order")

    return check


def _side(
    process: Process,
    sockets: list[Any],
    people: list[Any],
    bodies: list[bytes],
    check: Check,
) -> Callable[[], Sample]:
    def measure() -> Sample:
        told: list[list[bytes]] = []
        listener = Thread(
            target=lambda: told.extend(
                received(people, len(bodies), TEXT_BYTES)
            )
        )
        used = process.cpu_seconds()
        with no_collection():
            started = time.perf_counter()
            listener.start()
            answered = closed_loop(sockets, [bodies], IN_FLIGHT)
            listener.join()
            seconds = time.perf_counter() - started
        used = process.cpu_seconds() - used
        check(answered.answers[0], told[0])
        if any(mine != told[0] for mine in told):
            raise RuntimeError("subscribers were told different things")
        return Sample(
            len(bodies) * len(people) / seconds, used / len(bodies) * 1e6
        )

    return measure

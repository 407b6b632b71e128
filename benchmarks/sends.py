"""W1: durable sends of 200 bytes over 64 connections, 512 in flight."""

from contextlib import ExitStack
from typing import Any, Final

from benchmarks.load import Answered, closed_loop, connections
from benchmarks.options import Options
from benchmarks.peers import sides
from benchmarks.process import Process, free_port, listens, python, running
from benchmarks.report import Comparison, Sample, in_turn
from benchmarks.wire import Caller, request, result_of
from benchmarks.zchat_server import Room, room_of, zchat

CONNECTIONS: Final = 64
IN_FLIGHT: Final = 8
A_CONNECTION: Final = 400
MEMBERS: Final = 10
TEXT_BYTES: Final = 200
TITLE: Final = (
    "durable sends, 200 B, room of 10, 64 connections, 512 in flight"
)


def run(options: Options) -> list[Comparison]:
    """The sends of a room of ten beside the echo of the same bytes."""
    with ExitStack() as stack:
        port = free_port()
        echo = f"tcp://127.0.0.1:{port}"
        bare = stack.enter_context(
            running(python("benchmarks.floors.echo", echo), listens(port))
        )
        server = stack.enter_context(zchat())
        room = room_of(server.rpc, MEMBERS)
        bodies = _bodies(room)
        to_echo = stack.enter_context(connections(echo, CONNECTIONS))
        to_zchat = stack.enter_context(connections(server.rpc, CONNECTIONS))

        def echoed() -> Sample:
            return _measured(bare, to_echo, bodies)[0]

        def sent() -> Sample:
            head = _head(server.rpc, room)
            sample, answered = _measured(server.process, to_zchat, bodies)
            _check(server.rpc, room, head, bodies, answered)
            return sample

        measured = in_turn(
            {
                "pyzmq ROUTER echo": echoed,
                "zchat send": sent,
                **(sides(stack) if options.peers else {}),
            },
            options.rounds,
        )
        echo_side = measured.pop("pyzmq ROUTER echo")
        ours = measured["zchat send"]
        compared = [
            Comparison(
                workload="W1",
                unit="/s",
                goal=0.6,
                title=TITLE,
                sides={"pyzmq ROUTER echo": echo_side, "zchat send": ours},
            )
        ]
        if options.peers:
            compared.append(
                Comparison(
                    workload="W1",
                    unit="/s",
                    title=f"{TITLE}: peers",
                    sides=measured,
                )
            )
        return compared


def _bodies(room: Room) -> list[list[bytes]]:
    """What each connection sends: every text is another one."""
    return [
        [
            request(
                number,
                "send",
                token=room.tokens[connection % MEMBERS],
                chat_id=room.chat_id,
                text=_text(connection, number),
            )
            for number in range(A_CONNECTION)
        ]
        for connection in range(CONNECTIONS)
    ]


def _text(connection: int, number: int) -> str:
    return f"{connection:>4} {number:>8} ".ljust(TEXT_BYTES, "x")


def _measured(
    process: Process, sockets: list[Any], bodies: list[list[bytes]]
) -> tuple[Sample, Answered]:
    used = process.cpu_seconds()
    answered = closed_loop(sockets, bodies, IN_FLIGHT)
    used = process.cpu_seconds() - used
    count = CONNECTIONS * A_CONNECTION
    return Sample(count / answered.seconds, used / count * 1e6), answered


def _head(endpoint: str, room: Room) -> int:
    with Caller(endpoint) as caller:
        head: int = caller.call(
            "history", token=room.tokens[0], chat_id=room.chat_id, limit=1
        )["head"]
        return head


def _check(
    endpoint: str,
    room: Room,
    head: int,
    bodies: list[list[bytes]],
    answered: Answered,
) -> None:
    """Each send is in the history where its answer says, in order."""
    with Caller(endpoint) as caller:
        kept = caller.messages_after(room.tokens[0], room.chat_id, head)
    text_by_seq = {message["seq"]: message["text"] for message in kept}
    count = CONNECTIONS * A_CONNECTION
    if list(text_by_seq) != list(range(head + 1, head + count + 1)):
        raise RuntimeError("messages are missing, or out of order")
    for connection, answers in enumerate(answered.answers):
        seqs = [result_of(answer)["seq"] for answer in answers]
        if seqs != sorted(seqs):
            raise RuntimeError("a connection's sends changed their order")
        for number, seq in enumerate(seqs):
            if text_by_seq.pop(seq) != _text(connection, number):
                raise RuntimeError(f"seq {seq} is another message")
    if text_by_seq:
        raise RuntimeError("messages that nobody was told of")

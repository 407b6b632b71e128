"""W8: sends at a fixed rate, without and with eight uploads beside them."""

from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Final

from benchmarks.load import open_loop
from benchmarks.options import Options
from benchmarks.process import python, running
from benchmarks.report import Comparison, Sample, in_turn
from benchmarks.wire import Caller, request, result_of
from benchmarks.zchat_server import Room, Zchat, room_of, zchat

UPLOADS: Final = 8
QUOTAS: Final = ("unattached-bytes", "user-file-bytes", "all-file-bytes")
QUOTA_BYTES: Final = 10**12
"""Uploads are cut off at the end of each round, and begun anew."""
SENDS: Final = 600
SENDS_A_SECOND: Final = 300
GOAL: Final = 2.0
TEXT: Final = "x" * 200


def run(options: Options) -> list[Comparison]:
    """p50 and p99 of a send, from the moment it was meant to leave."""
    with ExitStack() as stack:
        server = stack.enter_context(
            zchat(*(f"--{name}={QUOTA_BYTES}" for name in QUOTAS))
        )
        room = room_of(server.rpc, 2)
        caller = stack.enter_context(Caller(server.rpc))
        told: dict[tuple[int, int], list[Sample]] = {}

        def sends(uploads: int) -> Sample:
            p50, p99 = _round(server, room, caller, uploads)
            told.setdefault((uploads, 50), []).append(p50)
            return p99

        names = {0: "send alone", UPLOADS: f"zchat send, {UPLOADS} uploads"}
        last = in_turn(
            {name: partial(sends, uploads) for uploads, name in names.items()},
            options.rounds,
        )
        first = {
            name: told[uploads, 50][1:] for uploads, name in names.items()
        }
        return [
            Comparison(
                workload="W8",
                unit="ms",
                sides=sides,
                goal=goal,
                title=f"{SENDS_A_SECOND} sends a second, {share} of them "
                "within",
            )
            for share, sides, goal in (
                ("half", first, None),
                ("99 %", last, GOAL),
            )
        ]


def _round(
    server: Zchat, room: Room, caller: Caller, uploads: int
) -> tuple[Sample, Sample]:
    bodies = [
        request(
            number,
            "send",
            token=room.tokens[0],
            chat_id=room.chat_id,
            text=TEXT,
        )
        for number in range(SENDS)
    ]
    beside = (
        running(
            python(
                "benchmarks.uploads",
                server.rpc,
                room.tokens[1],
                room.chat_id,
                str(uploads),
            ),
            lambda: _head(caller, room) > head,
        )
        if uploads
        else nullcontext()
    )
    head = _head(caller, room)
    with beside:
        answered, waited = open_loop(caller.socket, bodies, SENDS_A_SECOND)
    seqs = [result_of(answer)["seq"] for answer in answered]
    if seqs != sorted(set(seqs)):
        raise RuntimeError("sends were lost, doubled or out of order")
    waited.sort()
    return (
        Sample(waited[len(waited) // 2] * 1e3),
        Sample(waited[len(waited) * 99 // 100] * 1e3),
    )


def _head(caller: Caller, room: Room) -> int:
    """The chat's newest seq; it moves once a first upload was sent."""
    head: int = caller.call(
        "history", token=room.tokens[0], chat_id=room.chat_id, limit=1
    )["head"]
    return head

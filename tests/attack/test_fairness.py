"""One user with many connections: the others go on being served."""

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgpack
import pytest

from tests.bare import Client, User, context
from tests.server import PROJECT, Server, environment, running
from tests.zmtp import RawPeer, frame

CONNECTIONS = 1_000
SENDS = 40


MIB = 1024 * 1024
PEERS = 60
PAGES = 48
BUDGET = 32 * MIB


@contextmanager
def unread_flood(
    endpoint: str, token: str, connections: int
) -> Iterator[None]:
    """A program whose connections poll with `ack`, all of one user."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.unread_flood"),
            *(endpoint, token, str(connections)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
        cwd=PROJECT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"asked\n"
        yield
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(30)


def memory(server: Server) -> int:
    """The bytes of memory that the broker has."""
    statm = Path(f"/proc/{server.pid}/statm").read_text()
    return int(statm.split()[1]) * resource.getpagesize()


def latencies(user: User, count: int) -> list[float]:
    """How long each of so many sends takes, in seconds, sorted."""
    took = []
    for _ in range(count):
        began = time.monotonic()
        user.send("x")
        took.append(time.monotonic() - began)
    return sorted(took)


@pytest.mark.timeout(120)
def test_a_user_who_polls_on_many_connections_holds_up_nobody(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with running(tmp_path, free_port()) as server, context() as ctx:
        client = Client(ctx, server.rpc, server.events)
        ann, eve = client.user(), client.user()

        with unread_flood(server.rpc, eve.token, CONNECTIONS):
            took = latencies(ann, SENDS)

        print(f"median {took[SENDS // 2]:.4f} s, worst {took[-1]:.4f} s")
        assert took[SENDS // 2] < 0.1
        assert took[-1] < 1.0


@pytest.mark.timeout(180)
def test_many_who_never_read_are_dropped_within_the_memory(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Each asks for large pages; the broker's memory is bounded."""
    with (
        running(tmp_path, free_port(), "--rpc-memory", str(BUDGET)) as server,
        context() as ctx,
        ExitStack() as stack,
    ):
        client = Client(ctx, server.rpc, server.events)
        ann, eve = client.user(), client.user()
        chat_id = eve.call("create_chat", name="Large")["chat_id"]
        for _ in range(16):
            eve.post("send", chat_id=chat_id, text="\U0001f984" * 4096)
        eve.caller.answers(16)
        before = memory(server)
        page = {"token": eve.token, "chat_id": chat_id, "limit": 200}
        asked = frame(msgpack.packb([0, 1, "history", page]))
        peers = [
            stack.enter_context(RawPeer(server.port + 1)).handshake(b"DEALER")
            for _ in range(PEERS)
        ]

        for peer in peers:
            peer.send(asked * PAGES)
        took, grown = [], 0
        deadline = time.monotonic() + 60
        while server.log.events("slow_client_dropped") == []:
            took += latencies(ann, 10)
            grown = max(grown, memory(server) - before)
            assert time.monotonic() < deadline
        for _ in range(20):
            took += latencies(ann, 10)
            grown = max(grown, memory(server) - before)

        took.sort()
        print(
            f"grown by {grown / MIB:.0f} MiB, median "
            f"{took[len(took) // 2]:.4f} s, p99 "
            f"{took[len(took) * 99 // 100]:.4f} s"
        )
        assert grown < BUDGET + 100 * MIB
        dropped = server.log.events("slow_client_dropped")
        assert all(event["bytes"] > 100_000 for event in dropped)
        assert took[len(took) // 2] < 0.25


@pytest.mark.timeout(120)
def test_accounts_and_unattached_files_are_bounded(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """As many as one program can make, and all that two accounts upload."""
    with running(tmp_path, free_port()) as server, context() as ctx:
        client = Client(ctx, server.rpc, server.events)
        ann, bob = client.user(), client.user()
        size = 5 * MIB
        taken = 0
        for user in (ann, bob):
            for number in range(50):
                user.post(
                    "upload",
                    chat_id=user.common,
                    name=str(number),
                    size=size,
                    sha256="0" * 64,
                )
            answers = user.caller.answers(50).values()
            taken += sum(answer.error is None for answer in answers)
        for _ in range(1_000):
            ann.caller.post("connect")
        answers = ann.caller.answers(1_000).values()
        made = [answer for answer in answers if answer.error is None]
        codes = {answer.error["code"] for answer in answers if answer.error}

        assert taken * size <= 2 * 64 * MIB
        assert len(made) <= 600
        assert codes == {"rate_limited"}


def test_what_waits_for_a_batch_waits_for_no_timer(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Eight of these fill a batch, and nothing else arrives."""
    with running(tmp_path, free_port()) as server, context() as ctx:
        user = Client(ctx, server.rpc, server.events).user()
        user.call("unread")
        began = time.monotonic()

        for _ in range(400):
            user.post("unread")
        user.caller.answers(400)

        assert time.monotonic() - began < 8


def test_a_flood_of_subscriptions_ends_before_it_hurts(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with running(tmp_path, free_port()) as server, context() as ctx:
        ann = Client(ctx, server.rpc, server.events).user()
        worst = 0.0
        with RawPeer(server.port + 2).handshake(b"SUB") as peer:
            for chunk in range(400):
                topics = (
                    b"\x01c%08d%08d" % (chunk, number)
                    for number in range(1_000)
                )
                if not peer.send(b"".join(map(frame, topics))):
                    break
                worst = max(worst, *latencies(ann, 1))
        worst = max(worst, *latencies(ann, 20))

        print(f"worst {worst:.3f} s, after {chunk + 1} thousand")
        server.log.wait_for("subscriber_dropped")
        assert worst < 1.5

"""One user with many connections: the others go on being served."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bare import Client, User, context
from tests.server import PROJECT, environment, running

CONNECTIONS = 1000
SENDS = 40


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

"""A database that is locked, and machines whose clocks differ."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog.testing

from tests.bare import HEARTBEAT, Client, User, context, wait_until
from tests.postgres import Cluster
from tests.server import Server, running
from tests.stores import new_id
from zchat.model import SECOND
from zchat.rpc import HEARTBEAT_SECONDS
from zchat.storage.postgres import PostgresStore, clock

PATIENCE_SECONDS = 4.0
"""More than a lock is waited for, on a machine that is busy."""
SKEW_SECONDS = 7200


@pytest.fixture
def server(
    tmp_path: Path, postgres_url: str, free_port: Callable[[], int]
) -> Iterator[Server]:
    with running(tmp_path, free_port(), "--store", postgres_url) as started:
        yield started


@contextmanager
def locked(url: str, *tables: str) -> Iterator[None]:
    """Tables that somebody else has locked whole."""
    with psycopg.connect(url) as connection:
        for table in tables:
            connection.execute(
                f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode()
            )
        yield
        connection.rollback()


def seconds_to(call: Callable[[], Any]) -> float:
    start = time.monotonic()
    call()
    return time.monotonic() - start


def is_refused(user: User) -> bool:
    user.post("send", text="x")
    error = user.caller.answer().error
    assert error is None or error["code"] == "unavailable"
    return error is not None


@pytest.mark.parametrize(
    "tables", [("messages",), ("users", "chats", "members", "messages")]
)
def test_a_locked_table_does_not_hold_the_loop(
    server: Server, postgres_url: str, tables: tuple[str, ...]
) -> None:
    """Who needs it is refused, all else goes on; then all is as before."""
    with context() as ctx:
        client = Client(ctx, server.rpc, server.events)
        ann, other = client.user(), client.caller()
        listener = client.listener()
        listener.subscribe(HEARTBEAT)
        listener.barrier()
        with locked(postgres_url, *tables):
            wait_until(lambda: is_refused(ann), "sends are refused")
            for _ in range(20):
                ann.post("send", text="x")
            slowest = max(
                seconds_to(lambda: other.call("hello")) for _ in range(20)
            )
            assert slowest < PATIENCE_SECONDS
            beat = listener.frames(HEARTBEAT_SECONDS + PATIENCE_SECONDS)
            assert beat[0] == HEARTBEAT
            codes = {
                answer.error and answer.error["code"]
                for answer in ann.caller.answers(20).values()
            }
            assert codes == {"unavailable"}
        wait_until(lambda: not is_refused(ann), "sends are taken again")
        assert not server.log.events("internal_fault")


def test_time_is_the_databases(
    tmp_path: Path, postgres_url: str, free_port: Callable[[], int]
) -> None:
    """A broker two hours ahead sends nothing early, and says so."""
    (tmp_path / "sitecustomize.py").write_text(
        "import time\n"
        "for name, unit in (('time', 1), ('time_ns', 10**9)):\n"
        "    def ahead(real=getattr(time, name), unit=unit):\n"
        f"        return real() + {SKEW_SECONDS} * unit\n"
        "    setattr(time, name, ahead)\n"
    )
    ahead = Server(tmp_path, free_port(), "--store", postgres_url)
    ahead.environment["PYTHONPATH"] += f":{tmp_path}"
    try:
        ahead.start()
        with context() as ctx:
            ann = Client(ctx, ahead.rpc, ahead.events).user()
            soon = datetime.now(UTC) + timedelta(hours=1)
            later = ann.call("schedule", text="x", send_at=soon.isoformat())
            due = datetime.now(UTC) + timedelta(seconds=1.5)
            ann.call("schedule", text="due", send_at=due.isoformat())
            wait_until(lambda: ann.texts() == ["due"], "what is due is sent")
            waiting = ann.call("scheduled", state="pending")["messages"]
            told = datetime.fromisoformat(ann.call("status")["time"])

        assert [message["id"] for message in waiting] == [later["id"]]
        assert abs(told - datetime.now(UTC)) < timedelta(seconds=60)
        warning = ahead.log.wait_for("clock_differs")
        assert abs(warning["seconds"] - SKEW_SECONDS) < 60
    finally:
        ahead.close()


def test_clock_that_is_right_again_is_told_wrong_again(
    postgres_cluster: Cluster,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    skews = [0]
    monkeypatch.setattr(
        clock,
        "local_now",
        lambda: time.time_ns() // 1000 - skews[-1] * SECOND,
    )
    told = []
    measured = clock.DatabaseClock()
    with (
        psycopg.connect(postgres_url) as connection,
        structlog.testing.capture_logs() as logs,
    ):
        for skew in (0, 60, 60, 1, 60):
            skews.append(skew)
            measured.measure(connection)
            told.append(len(logs))
            assert abs(measured.now() - time.time_ns() // 1000) < SECOND

    assert told == [0, 1, 1, 1, 2]
    assert {entry["event"] for entry in logs} == {"clock_differs"}


def test_clock_is_measured_anew(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zchat.storage.postgres.indexer.MEASURE_SECONDS", 0.0)
    with closing(PostgresStore(postgres_url, 1, new_id)) as store:
        store._clock._base = (1, time.monotonic())
        assert store.now() < SECOND * 60

        wait_until(
            lambda: abs(store.now() - time.time_ns() // 1000) < SECOND,
            "it is measured",
        )

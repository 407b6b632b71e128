"""The gateway as a process: its broker, its parent, its signals."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.event_stream import Stream
from tests.http_server import Client
from tests.program import User, ask, has_status, wait_until
from tests.server import environment, running
from zchat.config import BROKER_SOCKET

Started = subprocess.Popen[bytes]
GATEWAY = (sys.executable, "-m", "zchat", "gateway", "--port")


@contextmanager
def gateway(port: int, stdin: int = subprocess.DEVNULL) -> Iterator[Started]:
    process = subprocess.Popen(
        [*GATEWAY, str(port), "--rpc", f"tcp://127.0.0.1:{port + 1}"],
        env=environment(),
        stdin=stdin,
    )
    try:
        wait_until(lambda: has_status(port, "/healthz", 200))
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.kill()
        process.wait()


@pytest.fixture
def port(free_port: Callable[[], int]) -> int:
    return free_port()


def test_the_broker_may_come_late_go_and_come_again(
    port: int, tmp_path: Path
) -> None:
    with gateway(port):
        away = ask(port, "GET", "/readyz")
        assert (away.status, away.headers["retry-after"]) == (503, "1")
        assert away.json["code"] == "unavailable"
        with running(tmp_path, port) as first:
            wait_until(lambda: has_status(port, "/readyz", 200))
            assert ask(port, "GET", "/status").status == 401
            first.kill()
            wait_until(lambda: has_status(port, "/readyz", 503))
        with running(tmp_path, port):
            wait_until(lambda: has_status(port, "/readyz", 200))
            assert ask(port, "GET", "/status").status == 401


def test_a_request_waits_for_a_broker_that_is_coming(
    port: int, tmp_path: Path
) -> None:
    found: list[int] = []
    with gateway(port):
        asking = threading.Thread(
            target=lambda: found.append(ask(port, "GET", "/status").status)
        )
        asking.start()
        with running(tmp_path, port):
            asking.join(20)
    assert found == [401]


def test_a_stream_of_events_outlives_the_broker(
    port: int, tmp_path: Path
) -> None:
    with gateway(port), running(tmp_path, port) as server:
        user = ask(port, "POST", "/connect").json
        bearer = {"Authorization": f"Bearer {user['token']}"}

        def send(text: str) -> None:
            sent = ask(port, "POST", "/send", {"message": text}, bearer)
            assert sent.status == 200

        with Client(port) as stream:
            stream.send(
                (
                    "GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                    f"Authorization: {bearer['Authorization']}\r\n\r\n"
                ).encode()
            )
            stream.until(b"event: caught_up")
            send("before")
            stream.until(b'"before"')
            server.kill()
            server.start()
            wait_until(lambda: has_status(port, "/readyz", 200))
            send("after")
            assert b'"before"' not in stream.until(b'"after"')


def test_a_restored_store_resets_streams_and_their_ids(
    port: int, tmp_path: Path
) -> None:
    """Ids of before the restore count messages that are no more."""
    with gateway(port), running(tmp_path, port) as server:
        made = ask(port, "POST", "/connect").json
        user = User(made["token"], made["user_id"])

        def send(text: str) -> None:
            sent = ask(port, "POST", "/send", {"message": text}, user.bearer)
            assert sent.status == 200

        send("kept")
        assert server.stop() == 0
        copy = tmp_path / "copy.db"
        shutil.copy(server.store, copy)
        server.start()
        with Stream(port, user) as stream:
            stream.until("caught_up")
            for number in range(5):
                send(f"lost {number}")
            lost = stream.until("message", 5)
            assert server.stop() == 0
            copy.replace(server.store)
            server.start()
            reset = stream.until("reset")[-1]
            assert reset.data["epoch"] != ""
            stream.until("caught_up")
            for number in range(9):
                send(f"new {number}")
            assert stream.texts(9) == [f"new {number}" for number in range(9)]
        with Stream(port, user, lost[-1].id) as stream:
            assert stream.event().data["resumed"] is False
            assert stream.event().data == reset.data
            stream.until("caught_up")
            send("after")
            assert stream.texts(1) == ["after"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(port: int, number: signal.Signals) -> None:
    with gateway(port) as process:
        process.send_signal(number)
        assert process.wait(20) == 0


def test_one_that_was_killed_is_followed_by_another(
    port: int, tmp_path: Path
) -> None:
    with running(tmp_path, port, http=True) as server:
        wait_until(lambda: has_status(port, "/readyz", 200))
        first = server.log.wait_for("gateway_started")["pid"]
        os.kill(first, signal.SIGKILL)
        server.log.wait_for("gateway_started", 2)
        wait_until(lambda: has_status(port, "/readyz", 200))
        assert ask(port, "GET", "/status").status == 401
        assert server.stop() == 0


def test_it_ends_with_the_stream_to_its_broker(port: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [*GATEWAY, str(port)],
            env=environment() | {BROKER_SOCKET: str(theirs.fileno())},
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        try:
            wait_until(lambda: has_status(port, "/healthz", 200))
            ours.close()
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()


def test_it_ends_with_its_parent(port: int) -> None:
    with gateway(port, subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0


def test_it_lives_on_without_a_parents_pipe(port: int) -> None:
    with gateway(port, subprocess.DEVNULL) as process:
        assert has_status(port, "/healthz", 200)
        assert process.poll() is None


def test_a_taken_port_is_told_and_ends_it(port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        process = subprocess.run(
            [*GATEWAY, str(port)],
            env=environment(),
            capture_output=True,
            timeout=30,
            check=False,
        )
    assert process.returncode == 1
    assert str(port).encode() in process.stderr
    assert b"Traceback" not in process.stderr

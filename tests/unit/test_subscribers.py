"""Who sends more subscriptions than any program needs is dropped."""

import os
import socket
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest

from zchat.engine import subscribers
from zchat.engine.subscribers import FloodGuard, drop_floods


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def connect(
    listener: socket.socket, sent: int
) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection over which so much was sent."""
    client = socket.create_connection(listener.getsockname())
    served, _ = listener.accept()
    client.sendall(b"x" * sent)
    left = sent
    while left:
        left -= len(served.recv(65_536))
    return client, served


def test_only_those_who_sent_too_much_are_dropped(
    listener: socket.socket, logged: list[MutableMapping[str, Any]]
) -> None:
    quiet, quiet_end = connect(listener, 1_000)
    loud, loud_end = connect(listener, 100_000)
    with quiet, quiet_end, loud, loud_end:
        before = os.listdir("/dev/fd")

        assert drop_floods(listener.getsockname(), 50_000) == 1

        assert loud.recv(1) == b""
        quiet.setblocking(False)
        with pytest.raises(BlockingIOError):
            quiet.recv(1)
        assert logged[0]["event"] == "subscriber_dropped"
        assert logged[0]["bytes"] >= 100_000
        assert len(os.listdir("/dev/fd")) == len(before)


def test_connections_of_other_sockets_are_left_alone(
    listener: socket.socket,
) -> None:
    loud, loud_end = connect(listener, 100_000)
    with loud, loud_end:
        assert drop_floods(("127.0.0.1", 1), 50_000) == 0
        assert drop_floods("/a/path", 50_000) == 0


@pytest.mark.parametrize(
    ("name", "value"), [("_FOLDER", "/nowhere"), ("_INFO_BYTES", 1_000)]
)
def test_a_system_that_does_not_tell(
    listener: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: object,
) -> None:
    """It has no list of descriptors, or counts no bytes."""
    monkeypatch.setattr(subscribers, name, value)
    loud, loud_end = connect(listener, 100_000)
    with loud, loud_end:
        assert drop_floods(listener.getsockname(), 50_000) == 0


def test_it_does_not_look_all_the_time(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Any] = []
    monkeypatch.setattr("zchat.engine.subscribers.LOOK_AFTER", 2)
    monkeypatch.setattr("zchat.engine.subscribers.drop_floods", looked.append)
    times = iter([0.0, 0.5, 1.0, 4.9, 5.1, 5.2, 6.0])
    monkeypatch.setattr(
        "zchat.engine.subscribers.time.monotonic", lambda: next(times)
    )
    guard = FloodGuard("name")

    for _ in range(8):
        guard.heard()

    assert looked == ["name", "name"]

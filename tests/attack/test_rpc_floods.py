"""Floods and bad manners on the RPC port: others go on being served."""

import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgpack
import pytest

from tests.bare import Client, User, context, wait_until
from tests.server import Server, running
from tests.zmtp import GREETING, MORE, RawPeer, frame

MIB = 1024 * 1024


@pytest.fixture(scope="module", autouse=True)
def many_files() -> None:
    """This process opens many connections too."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("floods"), free_port()) as started:
        yield started
        assert "Traceback" not in started.log.text
        assert started.stop() == 0


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    with context() as ctx:
        yield Client(ctx, server.rpc, server.events)


@pytest.fixture(scope="module", autouse=True)
def half_open(server: Server) -> Iterator[list[RawPeer]]:
    """Connections that never finish their handshake."""
    with ExitStack() as stack:
        peers = []
        for offset in (1, 2):
            for said in (
                b"",
                GREETING[:1],
                GREETING[:11],
                GREETING,
                GREETING + b"\x04\x26\x05READY",
            ):
                peer = stack.enter_context(RawPeer(server.port + offset))
                peer.send(said)
                peers.append(peer)
        yield peers


def memory(server: Server) -> int:
    """The bytes of memory that the broker has."""
    statm = Path(f"/proc/{server.pid}/statm").read_text()
    return int(statm.split()[1]) * resource.getpagesize()


def open_files(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def check_served(user: User, seconds: float = 3.0) -> None:
    """A send and a read are answered before long."""
    began = time.monotonic()
    seq = user.send("still served")["seq"]
    page = user.call("history", chat_id=user.common, after=seq - 1, limit=1)
    assert [m["text"] for m in page["messages"]] == ["still served"]
    assert time.monotonic() - began < seconds


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        os.urandom(5000),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\xff" * 5000,
        bytes(5000),
        GREETING.replace(b"NULL", b"PLAI") + os.urandom(100),
        GREETING + frame(b"\x05READY\x0bSocket-Type\xff\xff\xff\xff", 4),
        GREETING + frame(b"\xffGARBAGE", 4),
        GREETING + b"\x02" + b"\xff" * 8,
    ],
    ids=range(9),
)
@pytest.mark.parametrize("offset", [1, 2])
def test_garbage_instead_of_zeromq(
    server: Server, client: Client, said: bytes, offset: int
) -> None:
    user = client.user()
    for _ in range(5):
        with RawPeer(server.port + offset) as peer:
            peer.send(said)
    check_served(user)


@pytest.mark.parametrize("kind", [b"PUB", b"PULL", b"PAIR", b"X" * 200])
def test_a_socket_of_another_kind_is_no_peer(
    server: Server, client: Client, kind: bytes
) -> None:
    with RawPeer(server.port + 1) as peer:
        peer.send(GREETING)
        peer.exactly(len(GREETING))
        peer.send(
            frame(
                b"\x05READY\x0bSocket-Type"
                + len(kind).to_bytes(4, "big")
                + kind,
                4,
            )
        )
        assert peer.ended()
    check_served(client.user())


def test_more_frames_without_end(server: Server, client: Client) -> None:
    user = client.user()
    with RawPeer(server.port + 1).handshake(b"DEALER") as peer:
        for _ in range(200):
            assert peer.send(frame(b"x" * 50, MORE) * 500)
        check_served(user)
    check_served(user)


def test_very_many_frames_end_as_one_refusal(
    server: Server, client: Client
) -> None:
    user = client.user()
    with RawPeer(server.port + 1).handshake(b"DEALER") as peer:
        peer.send(
            frame(b"", MORE) * 100_000
            + frame(msgpack.packb([0, 1, "hello", {}]))
        )
        check_served(user)


def test_thousands_of_connections(server: Server, client: Client) -> None:
    user = client.user()
    before = open_files(server)
    with ExitStack() as stack:
        for number in range(3000):
            peer = socket.create_connection(
                ("127.0.0.1", server.port + 1 + number % 2)
            )
            stack.callback(peer.close)
            if number % 3 == 0:
                peer.sendall(GREETING)
        check_served(user)
    wait_until(lambda: open_files(server) <= before, "they are closed")
    check_served(user)


def test_connections_that_come_and_go_with_requests(
    server: Server, client: Client
) -> None:
    """Who hangs up before the answer costs nobody anything."""
    user = client.user()
    before = open_files(server)
    hello = frame(msgpack.packb([0, 1, "hello", {}]))
    for _ in range(300):
        with RawPeer(server.port + 1).handshake(b"DEALER") as peer:
            peer.send(hello * 3)
    check_served(user)
    wait_until(lambda: open_files(server) <= before, "they are closed")


def test_a_client_that_never_reads_its_answers(
    server: Server, client: Client
) -> None:
    """Large answers pile up for it, up to a bound."""
    user = client.user()
    chat_id = user.call("create_chat", name="Large")["chat_id"]
    for _ in range(200):
        user.post("send", chat_id=chat_id, text="x" * 4096)
    user.caller.answers(200)
    before = memory(server)
    ask = frame(
        msgpack.packb(
            [
                0,
                1,
                "history",
                {"token": user.token, "chat_id": chat_id, "limit": 200},
            ]
        )
    )
    with ExitStack() as stack:
        for _ in range(2):
            peer = RawPeer(server.port + 1).handshake(b"DEALER")
            stack.enter_context(peer)
            peer.send(ask * 250)
        for _ in range(5):
            check_served(user)
        assert memory(server) - before < 200 * MIB
    check_served(user)


def test_a_flood_of_unknown_tokens(server: Server, client: Client) -> None:
    user = client.user()
    flooder = client.caller()
    before = memory(server)
    for number in range(5000):
        flooder.post("status", token=f"{number:036}")
    check_served(user)
    for _ in range(5000):
        error = flooder.answer().error
        assert error is not None
        assert error["code"] == "unauthorized"
    assert memory(server) - before < 20 * MIB


def test_a_flood_of_sends_leaves_room_for_others(client: Client) -> None:
    flooder, user = client.users(2)
    count = 5000
    for number in range(count):
        flooder.post("send", text=str(number))
    check_served(user)
    assert len(flooder.caller.answers(count)) == count


def test_at_the_limit_of_open_files_others_are_served(
    server: Server, client: Client
) -> None:
    users = client.users(3)
    before = open_files(server)
    undo = server.limit(resource.RLIMIT_NOFILE, before + 20)
    with ExitStack() as stack:
        for _ in range(100):
            peer = socket.create_connection(("127.0.0.1", server.port + 1))
            stack.callback(peer.close)
        warned = server.log.wait_for("open_files_high")
        assert warned["share"] >= 0.8
        assert warned["limit"] == before + 20
        for user in users:
            check_served(user)
    undo()
    late = client.user()
    check_served(late)
    assert len(server.log.events("open_files_high")) == 1


def test_a_gateway_that_cannot_start_is_started_later(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """No descriptor is left for it; the broker goes on.

    poll(2) takes no more descriptors than the limit says.
    """
    with running(tmp_path, free_port(), http=True) as server, context() as ctx:
        user = Client(ctx, server.rpc, server.events).user()
        child = server.log.wait_for("gateway_started")["pid"]
        undo = server.limit(resource.RLIMIT_NOFILE, 8)
        os.kill(child, signal.SIGKILL)
        server.log.wait_for("gateway_cannot_start")
        check_served(user)
        undo()
        server.log.wait_for("gateway_started", 2)
        check_served(user)
        assert server.stop() == 0


def test_half_open_handshakes_are_closed(half_open: list[RawPeer]) -> None:
    """HANDSHAKE_IVL; begun with the module, since it takes seconds."""
    for peer in half_open:
        assert peer.ended()

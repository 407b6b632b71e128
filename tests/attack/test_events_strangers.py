"""What strangers do on the event port: they learn nothing, harm nobody."""

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import zmq

from tests.bare import Client, User, chat_topic, context, inbox_topic
from tests.server import Server, running
from tests.zmtp import RawPeer, frame

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("strangers")
    with running(folder, free_port()) as started:
        yield started
        assert "Traceback" not in started.log.text
        assert started.stop() == 0


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with context() as ctx:
        yield Client(ctx, server.rpc, server.events)


def memory(server: Server) -> int:
    """The bytes of memory that the broker has."""
    statm = Path(f"/proc/{server.pid}/statm").read_text()
    return int(statm.split()[1]) * resource.getpagesize()


def check_events(client: Client, ann: User, bob: User) -> None:
    """A message reaches another user before long."""
    listener = client.listener(bob)
    began = time.monotonic()
    sent = ann.send("still served")
    assert listener.next("message", seq=sent["seq"])
    assert time.monotonic() - began < 3
    listener.close()


JUNK: tuple[list[bytes], ...] = (
    [b""],
    [b"\x02"],
    [b"\x00"],
    [b"junk"],
    [b"\x01" * 60],
    [b"\x00" + b"never subscribed"],
    [b"\x01", b"\x01"],
    [b"", b"\x01"],
    [b"\x01b" + bytes(16), b"more"],
    [b"\xff" * 60],
    [b"\x01c", b"", b"\x00c"],
    [b"\x03"] * 20,
)


def test_junk_upstream_opens_no_private_text(
    server: Server, client: Client
) -> None:
    """Between all the junk, everything is subscribed to."""
    ann, bob = client.users(2)
    chat_id = ann.call("p2p", user_id=bob.id)["chat_id"]
    group = ann.call("create_chat", name="Wombat group")["chat_id"]
    ann.call("invite", chat_id=group, user_id=bob.id)
    stranger: Any = client.ctx.socket(zmq.XSUB)
    stranger.sndhwm = 0
    stranger.connect(server.events)
    topics = [b"", b"c", b"u", chat_topic(chat_id), inbox_topic(bob.id)]
    for junk in JUNK * 5:
        stranger.send_multipart(junk)
        for topic in topics:
            stranger.send(b"\x01" + topic)
            stranger.send(b"\x00" + topic)
        stranger.send_multipart(junk)
    stranger.send(b"\x01")
    barrier = b"b" + os.urandom(16)
    stranger.send(b"\x01" + barrier)
    heard = until(stranger, barrier)
    for number in range(20):
        ann.send(f"wombat {number}", chat_id=(chat_id, group)[number % 2])
        bob.call("read", chat_id=chat_id, seq=number // 2)
    ann.call("rename_chat", chat_id=group, name="Wombats")
    barrier = b"b" + os.urandom(16)
    stranger.send(b"\x01" + barrier)
    heard += until(stranger, barrier)
    private = [body for topic, body in heard if topic == chat_topic(chat_id)]
    assert len(private) >= 10
    assert not any(b"ombat" in topic + body for topic, body in heard)
    assert len(set(private)) == len(private)
    check_events(client, ann, bob)


def until(stranger: Any, barrier: bytes) -> list[list[bytes]]:
    """All that comes before the barrier."""
    heard: list[list[bytes]] = []
    while True:
        assert stranger.poll(10_000)
        frames = stranger.recv_multipart()
        if frames[0] == barrier:
            return heard
        heard.append(frames)


def test_a_long_subscription_ends_its_connection_alone(
    server: Server, client: Client
) -> None:
    ann, bob = client.users(2)
    for body in (b"\x01" + b"x" * 100, b"x" * 1_000_000):
        with RawPeer(server.port + 2).handshake(b"SUB") as peer:
            peer.send(frame(body))
            assert peer.ended()
    check_events(client, ann, bob)


def test_more_frames_without_end(server: Server, client: Client) -> None:
    ann, bob = client.users(2)
    with RawPeer(server.port + 2).handshake(b"XSUB") as peer:
        for _ in range(100):
            assert peer.send(frame(b"\x01x", 1) * 500)
        check_events(client, ann, bob)
    check_events(client, ann, bob)


def test_a_barrier_inside_a_message_of_parts_is_none(
    server: Server, client: Client
) -> None:
    ann, bob = client.users(2)
    inside, alone = (b"b" + os.urandom(16) for _ in range(2))
    stranger: Any = client.ctx.socket(zmq.XSUB)
    stranger.connect(server.events)
    stranger.send(b"\x01b")
    stranger.send_multipart([b"junk", b"\x01" + inside])
    stranger.send(b"\x01" + alone)

    assert [inside, b""] not in until(stranger, alone)
    check_events(client, ann, bob)


def test_floods_of_subscriptions_and_barriers(
    server: Server, client: Client
) -> None:
    ann, bob = client.users(2)
    before = memory(server)
    with RawPeer(server.port + 2).handshake(b"SUB") as peer:
        for number in range(100):
            topics = [b"c%08d%08d" % (number, index) for index in range(200)]
            for verb in (b"\x01", b"\x00"):
                peer.send(b"".join(frame(verb + topic) for topic in topics))
            peer.send(
                b"".join(frame(b"\x01b" + os.urandom(16)) for _ in range(100))
            )
        check_events(client, ann, bob)
    check_events(client, ann, bob)
    assert memory(server) - before < 50 * MIB


def test_a_slow_subscriber_holds_up_nobody(
    server: Server, client: Client
) -> None:
    """It never reads; what waits for it is bounded."""
    ann, bob = client.users(2)
    with ExitStack() as stack:
        for _ in range(3):
            peer = RawPeer(server.port + 2).handshake(b"SUB")
            stack.enter_context(peer)
            peer.send(frame(b"\x01"))
        check_events(client, ann, bob)
        before = memory(server)
        for _ in range(20):
            for _ in range(400):
                ann.post("send", text="x" * 4000)
            ann.caller.answers(400)
        check_events(client, ann, bob)
        assert memory(server) - before < 150 * MIB
    check_events(client, ann, bob)


def test_who_missed_events_finds_them_in_the_history(client: Client) -> None:
    """A subscriber that was cut off holds every message in the end."""
    ann, bob = client.users(2)
    chat_id = ann.call("p2p", user_id=bob.id)["chat_id"]
    listener = client.listener(bob)
    ann.send("1", chat_id=chat_id)
    assert listener.next("message")["seq"] == 1
    listener.close()
    for number in range(2, 8):
        ann.send(str(number), chat_id=chat_id)
    listener = client.listener(bob)
    [head] = [
        chat["head"]
        for chat in bob.call("sync")["chats"]
        if chat["id"] == chat_id
    ]
    page = bob.call("history", chat_id=chat_id, after=1, limit=200)
    assert [m["seq"] for m in page["messages"]] == list(range(2, head + 1))
    ann.send("8", chat_id=chat_id)
    assert listener.next("message")["seq"] == head + 1

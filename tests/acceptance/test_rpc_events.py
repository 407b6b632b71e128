"""Events over a bare SUB socket: live, in time, and closed to others."""

import os
import time
from collections.abc import Callable, Iterator

import pytest

from tests.bare import Client, Listener, User, chat_topic, context
from tests.cutting import cutting
from tests.server import Server, running


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("events"), free_port()) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    with context() as ctx:
        yield Client(ctx, server.rpc, server.events)


def group_of(owner: User, *others: User) -> str:
    chat_id: str = owner.call("create_chat", name="Club")["chat_id"]
    for other in others:
        owner.call("invite", chat_id=chat_id, user_id=other.id)
    return chat_id


def test_a_barrier_says_that_earlier_subscriptions_are_live(
    client: Client,
) -> None:
    ann = client.user()
    for _ in range(20):
        listener = client.listener()
        listener.subscribe(chat_topic(ann.common))
        listener.barrier()
        sent = ann.send("now")
        assert listener.next("message")["seq"] == sent["seq"]
        listener.close()


def test_a_barrier_is_answered_to_its_own_topic_with_an_empty_body(
    client: Client,
) -> None:
    listener = client.listener()
    topic = b"b" + os.urandom(16)
    listener.subscribe(topic)
    assert listener.frames() == [topic, b""]


def test_a_message_event_holds_the_whole_message(client: Client) -> None:
    ann = client.user()
    listener = client.listener(ann)
    sent = ann.send("see this")
    event = listener.next("message")
    [shown] = [
        message
        for message in ann.call("history", chat_id=ann.common)["messages"]
        if message["id"] == sent["id"]
    ]
    assert event == {
        "event": "message",
        "chat_id": ann.common,
        "seq": sent["seq"],
        "message": shown,
    }


def test_the_head_is_told_about_a_second_after_the_last_message(
    client: Client,
) -> None:
    ann, bob = client.users(2)
    chat_id = group_of(ann, bob)
    listener = client.listener(bob)
    for number in range(3):
        ann.send(str(number), chat_id=chat_id)
    said = time.monotonic()
    assert listener.next("head", chat_id=chat_id)["seq"] == 3
    assert 0.5 < time.monotonic() - said < 2.5


def test_a_standing_barrier_tells_of_a_new_connection(
    client: Client,
) -> None:
    """Also while the server still believes in the old one."""
    port = int(client.events.rpartition(":")[2])
    with cutting(port) as proxy:
        listener = Listener(client.ctx, proxy.endpoint)
        standing = b"b" + os.urandom(16)
        listener.subscribe(standing)
        assert listener.frames() == [standing, b""]
        for connections in (2, 3):
            proxy.cut()
            assert listener.frames() == [standing, b""]
            assert proxy.connections == connections


def test_events_of_private_chats_and_inboxes_are_sealed(
    client: Client,
) -> None:
    ann, bob = client.users(2)
    chat_id = ann.call("p2p", user_id=bob.id)["chat_id"]
    stranger = Listener(client.ctx, client.events)
    stranger.subscribe(b"")
    stranger.barrier()
    listener = client.listener(bob)
    ann.send("a secret for bob", chat_id=chat_id)
    assert listener.next("message")["message"]["text"] == "a secret for bob"
    bob.call("read", chat_id=chat_id, seq=1)
    assert listener.next("read") == {
        "event": "read",
        "chat_id": chat_id,
        "seq": 1,
        "inbox": 3,
    }
    overheard = stranger_hears(stranger)
    assert any(frame[0] == chat_topic(chat_id) for frame in overheard)
    assert not any(b"secret" in frame[1] for frame in overheard)


def stranger_hears(stranger: Listener) -> list[list[bytes]]:
    """All that came to a subscriber of everything, up to a barrier."""
    topic = b"b" + os.urandom(16)
    stranger.subscribe(topic)
    heard = []
    while (frames := stranger.frames())[0] != topic:
        heard.append(frames)
    return heard


@pytest.mark.parametrize("how", ["exit", "remove"])
def test_a_former_member_cannot_open_what_follows(
    client: Client, how: str
) -> None:
    ann, bob, eve = client.users(3)
    chat_id = group_of(ann, bob, eve)
    former = client.listener(eve)
    staying = client.listener(bob)
    ann.send("while you are here", chat_id=chat_id)
    assert former.next("message")["seq"] == 1
    if how == "exit":
        eve.call("exit", chat_id=chat_id)
    else:
        ann.call("remove", chat_id=chat_id, user_id=eve.id)
    assert former.next("chat_removed")["chat_id"] == chat_id
    staying.next("key_changed")
    staying.follow(bob)
    ann.send("now that you are gone", chat_id=chat_id)
    event = staying.next("message")
    assert event["message"]["text"] == "now that you are gone"
    assert event["seq"] == 2
    sealed = [
        (topic, body)
        for topic, body in stranger_hears(former)
        if topic == chat_topic(chat_id) and former.opened(topic, body) is None
    ]
    assert len(sealed) >= 2
    assert eve.refused("history", chat_id=chat_id).code == "not_found"
    assert chat_id not in [chat["id"] for chat in eve.call("sync")["chats"]]


def test_what_was_recorded_before_joining_stays_closed(client: Client) -> None:
    """A key of today must not open the noise of yesterday."""
    ann, bob, eve = client.users(3)
    chat_id = group_of(ann, bob)
    recorder = Listener(client.ctx, client.events)
    recorder.subscribe(b"")
    recorder.barrier()
    ann.send("before eve came", chat_id=chat_id)
    recorded = [
        frames
        for frames in stranger_hears(recorder)
        if frames[0] == chat_topic(chat_id)
    ]
    assert recorded
    ann.call("invite", chat_id=chat_id, user_id=eve.id)
    [key] = [
        chat["event_key"]
        for chat in eve.call("sync")["chats"]
        if chat["id"] == chat_id
    ]
    recorder.learn(chat_topic(chat_id), key)
    assert [recorder.opened(*frames) for frames in recorded] == (
        [None] * len(recorded)
    )
    assert eve.texts(chat_id) == []


def test_members_go_on_reading_when_somebody_joins(client: Client) -> None:
    ann, bob, eve = client.users(3)
    chat_id = group_of(ann, bob)
    listener = client.listener(bob)
    ann.send("the two of us", chat_id=chat_id)
    ann.call("invite", chat_id=chat_id, user_id=eve.id)
    listener.next("key_changed")
    listener.follow(bob)
    ann.send("all three", chat_id=chat_id)
    assert listener.next("message", seq=2)["message"]["text"] == "all three"


def test_each_event_reaches_whom_it_concerns(client: Client) -> None:
    ann, bob = client.users(2)
    listener = client.listener(ann, bob)
    carl = client.user()
    assert listener.next(
        "member_joined", user={"id": carl.id, "name": carl.name}
    )
    chat_id = ann.call("create_chat", name="Old")["chat_id"]
    assert listener.next("chat_added")["name"] == "Old"
    listener.follow(ann)
    ann.call("rename_chat", chat_id=chat_id, name="New")
    assert listener.next("chat_renamed", chat_id=chat_id)["name"] == "New"
    ann.call("rename", name=f"Ann-{ann.id[-6:]}")
    assert listener.next("renamed")["name"] == f"Ann-{ann.id[-6:]}"
    link = ann.call("invite_link", chat_id=chat_id)["link"]
    bob.call("join", link=link)
    assert listener.next("join_requested")["user"]["id"] == bob.id
    ann.call("approve", chat_id=chat_id, user_id=bob.id)
    assert listener.next("join_decided")["approved"] is True
    carl.call("exit", chat_id=carl.common)
    assert listener.next("member_left")["user"]["id"] == carl.id

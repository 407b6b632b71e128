"""The documented API from connect to exit, over bare ZeroMQ sockets."""

import re
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgpack
import pytest
import zmq

from tests.bare import Caller, Client, User, context
from tests.server import Server, running

MESSAGE_FIELDS = {
    "id",
    "seq",
    "created",
    "author",
    "text",
    "is_comment_on",
    "comments",
    "files",
    "mentions",
    "revision",
    "edited",
    "deleted",
    "reactions",
}
CHAT_FIELDS = {
    "id",
    "name",
    "title",
    "kind",
    "messages",
    "authors",
    "size",
    "head",
    "revision",
    "read",
    "unread",
}


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("api"), free_port()) as started:
        yield started


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with context() as ctx:
        yield Client(ctx, server.rpc, server.events)


@pytest.fixture
def proxied(server: Server) -> Iterator[Client]:
    """The same server behind a zmq.proxy of ROUTER and DEALER."""
    with context() as ctx:
        front, back = ctx.socket(zmq.ROUTER), ctx.socket(zmq.DEALER)
        control = ctx.socket(zmq.PAIR)
        control.bind("inproc://control")
        port = front.bind_to_random_port("tcp://127.0.0.1")
        back.connect(server.rpc)

        def forward() -> None:
            stop = ctx.socket(zmq.PAIR)
            stop.connect("inproc://control")
            zmq.proxy_steerable(front, back, None, stop)
            for socket in (front, back, stop):
                socket.close()

        thread = threading.Thread(target=forward)
        thread.start()
        yield Client(ctx, f"tcp://127.0.0.1:{port}", server.events)
        control.send(b"TERMINATE")
        thread.join()


def is_uuid(text: str) -> bool:
    return str(UUID(text)) == text


def moment(text: str) -> datetime:
    """The time in a text, which must have an offset."""
    made = datetime.fromisoformat(text)
    assert made.utcoffset() is not None
    assert re.fullmatch(r".*[+-]\d\d:\d\d", text)
    return made


def play(caller: Caller, other: Caller) -> None:
    """Everything a person does, from connect to exit."""
    hello = caller.call("hello")
    assert hello["protocol"] == 1
    assert hello["events"].startswith("tcp://")
    assert hello["limits"]["text"] == 4096
    ann, bob = User(caller), User(other)
    assert is_uuid(ann.token)
    assert is_uuid(ann.id)
    assert ann.token != ann.id
    assert re.fullmatch(r"user-[a-z0-9]{6}", ann.name)
    assert User(caller, ann.token).id == ann.id
    sent = ann.send("hello, all", idempotency_key="first")
    assert set(sent) == {"id", "seq", "chat_id", "created"}
    assert UUID(sent["id"]).version == 7
    moment(sent["created"])
    assert ann.send("hello, all", idempotency_key="first") == sent
    again = ann.refused("send", text="other", idempotency_key="first")
    assert again.code == "conflict"
    comment = bob.call("comment", message_id=sent["id"], text="welcome")
    assert comment["seq"] == sent["seq"] + 1
    [only] = ann.call("comments", message_id=sent["id"])["messages"]
    assert only["is_comment_on"] == sent["id"]
    check_chats(ann, bob, sent["id"])
    check_private(ann, bob)
    status = ann.call("status")
    assert status["chats_with_user_count"] == 2
    assert status["user"] == {
        "id": ann.id,
        "name": ann.name,
        "banned_until": None,
        "quota": None,
    }
    moment(status["time"])
    assert ann.call("exit", chat_id=ann.common) == {}
    assert ann.refused("history", chat_id=ann.common).code == "not_found"
    assert ann.refused("send", text="no").code == "not_found"
    assert User(caller, ann.token).id == ann.id
    assert ann.send("back again")["chat_id"] == ann.common


def check_chats(ann: User, bob: User, message_id: str) -> None:
    """The fields of CHAT and MESSAGE, and read positions."""
    [common] = ann.call("chats")["chats"]
    assert set(common) == CHAT_FIELDS
    assert common["id"] == ann.common
    assert common["kind"] == "common"
    assert common["name"] == "default"
    assert {"id": ann.id, "name": ann.name} in common["authors"]
    newest = common["messages"][0]
    assert set(newest) == MESSAGE_FIELDS
    assert newest["author"] == {"id": bob.id, "name": bob.name}
    [first] = [
        message
        for message in common["messages"]
        if message["id"] == message_id
    ]
    assert first["comments"] == 1
    assert ann.call("chats", chat_id=ann.common) == {"history": common}
    assert common["unread"] == 1
    head = common["head"]
    assert ann.call("read", chat_id=ann.common, seq=head) == {"seq": head}
    assert ann.call("read", chat_id=ann.common, seq=1) == {"seq": head}


def check_private(ann: User, bob: User) -> None:
    """A private chat, and what came in it."""
    chat_id = ann.call("p2p", user_id=bob.id)["chat_id"]
    assert bob.call("p2p", user_id=ann.id) == {"chat_id": chat_id}
    assert ann.refused("p2p", user_id=ann.id).code == "bad_request"
    ann.send("between us", chat_id=chat_id)
    came = bob.call("unread", ack=True)["chats"]
    [private] = [chat for chat in came if chat["id"] == chat_id]
    assert (private["name"], private["title"]) == ("p2p", ann.name)
    assert [m["text"] for m in private["messages"]] == ["between us"]
    assert bob.call("unread") == {"chats": [], "more": False}
    people = ann.call("users", chat_id=chat_id)["users"]
    assert {person["id"] for person in people} == {ann.id, bob.id}


def test_a_dealer_plays_the_api_from_connect_to_exit(client: Client) -> None:
    play(client.caller(), client.caller())


def test_a_req_plays_the_api_from_connect_to_exit(client: Client) -> None:
    play(client.caller(zmq.REQ), client.caller(zmq.REQ))


@pytest.mark.parametrize("kind", [zmq.DEALER, zmq.REQ])
def test_the_api_works_through_a_proxy(proxied: Client, kind: int) -> None:
    play(proxied.caller(kind), proxied.caller(kind))


def test_envelope_frames_come_back_untouched(client: Client) -> None:
    caller = client.caller()
    envelope = [b"", b"\x00\xff", b"x" * 200, b""]
    for body in (msgpack.packb([0, 7, "hello", {}]), b"\xc1"):
        caller.socket.send_multipart([*envelope, body])
        assert caller.frames()[:-1] == envelope


def test_pipelined_requests_are_all_answered(client: Client) -> None:
    user = client.user()
    ids = [user.post("status") for _ in range(1500)]
    answers = user.caller.answers(len(ids))
    assert set(answers) == set(ids)
    assert all(answer.error is None for answer in answers.values())


def test_writes_of_one_connection_take_effect_in_order(client: Client) -> None:
    ann, bob = client.users(2)
    target = bob.send("target")["id"]
    ids = []
    for number in range(200):
        name = {"text": str(number), "idempotency_key": str(number)}
        ids.append(
            ann.post("comment", message_id=target, **name)
            if number % 3 == 0
            else ann.post("send", **name)
        )
    answers = ann.caller.answers(len(ids))
    seqs = [answers[id].result["seq"] for id in ids]
    assert seqs == list(range(seqs[0], seqs[0] + 200))


def test_a_pipelined_exit_keeps_later_writes_out(client: Client) -> None:
    ann, bob = client.users(2)
    chat_id = ann.call("create_chat", name="Short")["chat_id"]
    ann.call("invite", chat_id=chat_id, user_id=bob.id)
    ids = [
        bob.post("send", chat_id=chat_id, text="before"),
        bob.post("exit", chat_id=chat_id),
        bob.post("send", chat_id=chat_id, text="after"),
    ]
    answers = bob.caller.answers(3)
    assert [answers[id].error is None for id in ids] == [True, True, False]
    assert ann.texts(chat_id) == ["before"]


def test_a_newcomer_sees_exactly_the_last_twenty_newest_first(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with running(tmp_path, free_port()) as fresh, context() as ctx:
        client = Client(ctx, fresh.rpc, fresh.events)
        ann = client.user()
        for number in range(1, 22):
            ann.send(f"message {number}")
        newcomer = client.user()
        [common] = newcomer.call("chats")["chats"]
        assert [m["text"] for m in common["messages"]] == [
            f"message {number}" for number in range(21, 1, -1)
        ]
        assert common["head"] == 21
        assert common["unread"] == 0
        ann.send("message 22")
        page = newcomer.call("history", chat_id=ann.common, limit=200)
        assert [m["seq"] for m in page["messages"]] == list(range(2, 23))
        assert not page["has_older"]


def test_a_page_of_history_can_be_asked_for_in_every_way(
    client: Client,
) -> None:
    ann, bob = client.users(2)
    chat_id = ann.call("p2p", user_id=bob.id)["chat_id"]
    for number in range(1, 31):
        ann.send(str(number), chat_id=chat_id)

    def page(**where: int) -> tuple[list[int], bool, bool]:
        found = bob.call("history", chat_id=chat_id, limit=4, **where)
        assert found["head"] == 30
        return (
            [message["seq"] for message in found["messages"]],
            found["has_older"],
            found["has_newer"],
        )

    assert page() == ([27, 28, 29, 30], True, False)
    assert page(before=5) == ([1, 2, 3, 4], False, True)
    assert page(after=28) == ([29, 30], True, False)
    assert page(after=0) == ([1, 2, 3, 4], False, True)
    assert page(around=10) == ([8, 9, 10, 11], True, True)
    both = bob.refused("history", chat_id=chat_id, before=1, after=1)
    assert both.code == "bad_request"


def test_missing_and_forbidden_look_alike(client: Client) -> None:
    ann, bob, eve = client.users(3)
    chat_id = ann.call("p2p", user_id=bob.id)["chat_id"]
    message_id = ann.send("psst", chat_id=chat_id)["id"]
    nowhere = "01890000-0000-7000-8000-000000000000"
    for method, field, real, others in (
        ("history", "chat_id", chat_id, {}),
        ("chats", "chat_id", chat_id, {}),
        ("users", "chat_id", chat_id, {}),
        ("send", "chat_id", chat_id, {"text": "let me in"}),
        ("read", "chat_id", chat_id, {"seq": 1}),
        ("exit", "chat_id", chat_id, {}),
        ("comments", "message_id", message_id, {}),
        ("comment", "message_id", message_id, {"text": "me too"}),
    ):
        forbidden = eve.refused(method, **{field: real}, **others)
        missing = eve.refused(method, **{field: nowhere}, **others)
        assert forbidden.code == "not_found"
        assert (forbidden.code, forbidden.message, forbidden.data) == (
            missing.code,
            missing.message,
            missing.data,
        )


def test_a_public_id_proves_nothing(client: Client) -> None:
    ann, bob = client.users(2)
    for method in ("status", "sync", "unread", "chats"):
        refused = bob.caller.refused(method, token=ann.id)
        assert refused.code == "unauthorized"
    assert bob.caller.refused("connect", token=ann.id).code == ("unauthorized")

"""Requests that nobody should send: each gets its error, none a silence."""

import os
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
import zmq

from tests.bare import Caller, Client, Failed, User, context
from tests.server import Server, running

NOWHERE = "01890000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("garbage")
    with running(folder, free_port(), "--max-text", "100") as started:
        yield started
        assert "internal_fault" not in started.log.text
        assert "Traceback" not in started.log.text


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    with context() as ctx:
        yield Client(ctx, server.rpc, server.events)


@pytest.fixture(scope="module")
def ann(client: Client) -> User:
    return client.user()


def request(method: Any = "hello", params: Any = None, id: Any = 1) -> bytes:
    body: bytes = msgpack.packb(
        [0, id, method, {} if params is None else params]
    )
    return body


UNREADABLE = {
    "nothing": b"",
    "one NUL": b"\0",
    "never used byte": b"\xc1",
    "random": bytes(range(7, 250)),
    "text": b"GET / HTTP/1.1\r\n\r\n",
    "JSON": b'[0, 1, "hello", {}]',
    "cut off": request()[:-1],
    "something after": request() + b"\0",
    "two requests": request() + request(),
    "nested arrays": b"\x91" * 200_000,
    "closed nested arrays": b"\x91" * 200_000 + b"\xc0",
    "nested maps": b"\x81\xa1a" * 60_000 + b"\xc0",
    "huge array": b"\xdd\xff\xff\xff\xff",
    "huge map": b"\xdf\xff\xff\xff\xff",
    "huge text": b"\xdb\xff\xff\xff\xff",
    "huge bytes": b"\xc6\xff\xff\xff\xff",
    "huge extension": b"\xc9\xff\xff\xff\xff\x01",
    "huge array within": b"\x94\x00\x01\xa5hello\xdd\x7f\xff\xff\xff",
    "nil": b"\xc0",
    "a map": msgpack.packb({"id": 1, "method": "hello"}),
    "three parts": msgpack.packb([0, 1, "hello"]),
    "five parts": msgpack.packb([0, 1, "hello", {}, {}]),
    "no parts": msgpack.packb([]),
    "a notification": msgpack.packb([2, "hello", {}]),
    "negative id": request(id=-1),
    "text as id": request(id="1"),
    "float as id": request(id=1.0),
    "NaN as id": request(id=float("nan")),
    "true as id": request(id=True),
    "nil as id": request(id=None),
    "array as id": request(id=[1]),
}

KEYS_THAT_ARE_ARRAYS = b"".join(
    b"\x92" + msgpack.packb(n) + msgpack.packb(n) + b"\x00"
    for n in range(1000)
)
UNREADABLE_PARAMETERS = {
    "extension": b"\xc7\x03\x05abc",
    "not UTF-8": b"\x81\xa1a\xa2\xff\xfe",
    "key not UTF-8": b"\x81\xa2\xff\xfe\x00",
    "surrogate": b"\x81\xa1a\xa3\xed\xa0\x80",
    "arrays as keys": b"\xde\x03\xe8" + KEYS_THAT_ARE_ARRAYS,
}


@pytest.mark.parametrize(
    "parameters", UNREADABLE_PARAMETERS.values(), ids=UNREADABLE_PARAMETERS
)
def test_unreadable_parameters_are_answered_under_the_id(
    client: Client, parameters: bytes
) -> None:
    body = b"\x94\x00\x07\xa5hello" + parameters
    refused = refusal(client.caller(), body, id=7)
    assert refused.code == "bad_request"


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("kind", [zmq.DEALER, zmq.REQ])
def test_what_cannot_be_read_is_answered_without_an_id(
    client: Client, body: bytes, kind: int
) -> None:
    caller = client.caller(kind)
    answer = caller.raw(body)
    assert answer.id is None
    assert answer.error is not None
    assert answer.error["code"] == "bad_request"
    assert answer.error["message"]
    assert caller.call("hello")["protocol"] == 1
    caller.close()


def refusal(caller: Caller, body: bytes, id: int = 1) -> Failed:
    """The refusal of a body whose id can be read."""
    answer = caller.raw(body)
    assert answer.id == id
    assert answer.error is not None
    return Failed(answer.error)


@pytest.mark.parametrize("kind", [1, 2, -1, "0", None, False, 0.0, [], {}])
def test_a_request_begins_with_zero(client: Client, kind: Any) -> None:
    body = msgpack.packb([kind, 1, "hello", {}])
    refused = refusal(client.caller(), body)
    assert (refused.code, refused.data["field"]) == ("bad_request", "type")


@pytest.mark.parametrize(
    "method",
    [
        "",
        "Hello",
        "hello ",
        "__init__",
        "send\0",
        "x" * 100_000,
        7,
        None,
        ["hello"],
        {"hello": 1},
        b"hello",
        1.5,
        True,
    ],
)
def test_unknown_methods_are_told(client: Client, method: Any) -> None:
    refused = refusal(client.caller(), request(method))
    assert refused.code == "unknown_method"


@pytest.mark.parametrize("params", [[], [1, 2], "x", 0, False, b"", 1.5])
def test_parameters_are_a_map(client: Client, params: Any) -> None:
    refused = refusal(client.caller(), request("hello", params))
    assert (refused.code, refused.data["field"]) == ("bad_request", "params")
    body = msgpack.packb([0, 2**64 - 1, "status", None])
    assert refusal(client.caller(), body, 2**64 - 1).code == "bad_request"


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        ("hello", {"nmae": 1}, "nmae"),
        ("send", {"text": "x", "author_id": NOWHERE}, "author_id"),
        ("send", {}, "text"),
        ("send", {"text": None}, "text"),
        ("send", {"text": 5}, "text"),
        ("send", {"text": b"bytes"}, "text"),
        ("send", {"text": "a\0b"}, "text"),
        ("send", {"text": float("nan")}, "text"),
        ("send", {"text": "x", "chat_id": "no id"}, "chat_id"),
        ("send", {"text": "x", "chat_id": 7}, "chat_id"),
        ("send", {"text": "x", "chat_id": NOWHERE + "\n"}, "chat_id"),
        ("send", {"text": "x", "files": NOWHERE}, "files"),
        ("send", {"text": "x", "files": [NOWHERE] * 11}, "files"),
        ("send", {"text": "x", "files": [7]}, "files[0]"),
        ("send", {"text": "x", "idempotency_key": ""}, "idempotency_key"),
        (
            "send",
            {"text": "x", "idempotency_key": "k" * 65},
            "idempotency_key",
        ),
        ("send", {"text": "x", "idempotency_key": "a\0"}, "idempotency_key"),
        ("history", {"chat_id": NOWHERE, "limit": 0}, "limit"),
        ("history", {"chat_id": NOWHERE, "limit": 201}, "limit"),
        ("history", {"chat_id": NOWHERE, "limit": 1.5}, "limit"),
        ("history", {"chat_id": NOWHERE, "limit": float("nan")}, "limit"),
        ("history", {"chat_id": NOWHERE, "limit": float("inf")}, "limit"),
        ("history", {"chat_id": NOWHERE, "limit": True}, "limit"),
        ("history", {"chat_id": NOWHERE, "before": -1}, "before"),
        ("history", {"chat_id": NOWHERE, "before": 2**53}, "before"),
        ("history", {"chat_id": NOWHERE, "after": 2**64 - 1}, "after"),
        ("history", {"chat_id": NOWHERE, "around": -(2**63)}, "around"),
        ("read", {"chat_id": NOWHERE, "seq": 2**63}, "seq"),
        ("chats", {"depth": 201}, "depth"),
        ("chats", {"after": "x"}, "after"),
        ("rename", {"name": ""}, "name"),
        ("rename", {"name": " x"}, "name"),
        ("rename", {"name": "x" * 33}, "name"),
        ("rename", {"name": "a\nb"}, "name"),
        ("rename", {"name": "a\u202eb"}, "name"),
        ("create_chat", {"name": "\t"}, "name"),
        ("report", {"user_id": NOWHERE, "reason": ""}, "reason"),
        ("report", {"user_id": NOWHERE, "reason": "x" * 501}, "reason"),
        ("schedule", {"text": "x", "send_at": 2**63}, "send_at"),
        ("schedule", {"text": "x", "send_at": "0000-00-00"}, "send_at"),
        ("scheduled", {"state": "lost"}, "state"),
        (
            "upload",
            {"chat_id": NOWHERE, "name": "x", "size": -1, "sha256": "0" * 64},
            "size",
        ),
        (
            "upload",
            {
                "chat_id": NOWHERE,
                "name": "x",
                "size": 2**60,
                "sha256": "0" * 64,
            },
            "size",
        ),
        (
            "upload",
            {"chat_id": NOWHERE, "name": "x", "size": 1, "sha256": "xyz"},
            "sha256",
        ),
        (
            "upload_chunk",
            {"file_id": NOWHERE, "offset": 0, "data": "text"},
            "data",
        ),
        ("download", {"file_id": NOWHERE, "length": -1}, "length"),
        ("invite_link", {"chat_id": NOWHERE, "expires_in": 0}, "expires_in"),
        (
            "invite_link",
            {"chat_id": NOWHERE, "expires_in": 2**62},
            "expires_in",
        ),
        ("invite_link", {"chat_id": NOWHERE, "max_uses": 0}, "max_uses"),
        ("join", {"link": ""}, "link"),
        ("join", {"link": "x" * 200}, "link"),
    ],
)
def test_a_wrong_value_is_named(
    ann: User, method: str, params: dict[str, Any], field: str
) -> None:
    if method == "hello":
        refused = ann.caller.refused(method, **params)
    else:
        refused = ann.refused(method, **params)
    assert refused.code == "bad_request"
    assert refused.data["field"] == field
    assert len(refused.message) < 300


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        "x",
        NOWHERE,
        "x" * 100_000,
        "a\0b",
        7,
        1.5,
        True,
        b"bytes",
        [],
        {"a": 1},
        float("nan"),
    ],
)
@pytest.mark.parametrize("method", ["status", "connect"])
def test_any_other_token_is_unauthorized(
    client: Client, token: Any, method: str
) -> None:
    if method == "connect" and token is None:
        return
    refused = refusal(client.caller(), request(method, {"token": token}))
    assert refused.code == "unauthorized"


def test_a_token_is_missed(client: Client) -> None:
    assert client.caller().refused("status").code == "unauthorized"


@pytest.mark.parametrize(
    "params",
    [
        b"\x81\x01\x02",
        b"\x81\x90\x02",
        b"\x81\xc4\x01a\x02",
        b"\xd6\xff\0\0\0\0",
        b"\x81\xa4text\xd6\xff\0\0\0\0",
    ],
    ids=["number", "array", "bytes", "timestamp", "timestamp within"],
)
def test_odd_maps_are_refused(client: Client, params: bytes) -> None:
    refused = refusal(client.caller(), b"\x94\x00\x01\xa4send" + params)
    assert refused.code == "bad_request"


def test_a_nested_value_is_refused(client: Client, ann: User) -> None:
    nested: Any = 1
    for _ in range(400):
        nested = [nested]
    for value in (nested, {"a": nested}, [nested] * 50):
        assert ann.refused("send", text=value).code == "bad_request"


def test_a_text_over_the_limit_is_too_large(ann: User) -> None:
    ann.send("é" * 100)
    for size in (101, 500_000):
        refused = ann.refused("send", text="x" * size)
        assert (refused.code, refused.data["limit"]) == ("too_large", 100)
    later = datetime.fromtimestamp(4e9, UTC).isoformat()
    assert ann.refused("schedule", text="x" * 101, send_at=later).code in (
        "too_large",
        "bad_request",
    )


def test_odd_texts_come_back_as_they_were(ann: User) -> None:
    texts = ["", " ", "\n\t", "\u202e\u0000"[:1], "𝕫🤖é́", "\ufeff", "'; --"]
    for text in texts:
        ann.send(text)
    assert ann.texts()[-len(texts) :] == texts


def test_random_bytes_are_always_answered(client: Client) -> None:
    caller = client.caller()
    for size in range(300):
        caller.socket.send(os.urandom(size))
    for _ in range(300):
        error = caller.answer().error
        assert error is not None
        assert error["code"] in ("bad_request", "unknown_method")


def test_a_broken_request_takes_no_other_with_it(
    client: Client, ann: User
) -> None:
    """Good and bad ones of one batch."""
    good = [ann.post("send", text=str(number)) for number in range(50)]
    bad = client.caller()
    for body in UNREADABLE.values():
        bad.socket.send(body)
    good += [ann.post("send", text=str(number)) for number in range(50)]
    answers = ann.caller.answers(100)
    seqs = [answers[id].result["seq"] for id in good]
    assert seqs == list(range(seqs[0], seqs[0] + 100))
    for _ in UNREADABLE:
        assert bad.answer().error is not None


def test_odd_envelopes_are_answered(client: Client) -> None:
    caller = client.caller()
    for frames in (
        [b"", b"", b""],
        [b"x" * 300, b"", request()],
        [request(), b""],
        [b"\0"] * 10 + [request()],
        [os.urandom(5), os.urandom(5), request()],
    ):
        caller.socket.send_multipart(frames)
        assert caller.frames()[:-1] == frames[:-1]


@pytest.mark.parametrize(
    "envelope",
    [[b""] * 100, [b"x"] * 20_000, [b"x" * 100_000] * 10],
    ids=["many", "very many", "large"],
)
def test_an_envelope_that_no_proxy_makes_is_refused(
    client: Client, envelope: list[bytes]
) -> None:
    caller = client.caller()
    answer = caller.raw(*envelope, request())
    assert answer.error is not None
    assert answer.error["code"] == "bad_request"
    assert "envelope" in answer.error["message"]
    assert caller.call("hello")["protocol"] == 1


def test_a_frame_over_the_limit_ends_its_connection_alone(
    client: Client, ann: User
) -> None:
    loud = client.caller()
    loud.call("hello")
    monitor = loud.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    loud.socket.send(b"x" * 600_000)
    assert monitor.poll(10_000)
    loud.socket.disable_monitor()
    monitor.close()
    assert ann.send("others are served")["seq"]
    largest = request("send", {"text": "x" * 524_000, "token": ann.token})
    assert refusal(client.caller(), largest).code == "too_large"


def test_packing_of_numbers_does_not_matter(client: Client) -> None:
    """An id in eight bytes is the same id."""
    body = b"\x94\xcc\x00\xcf" + struct.pack(">Q", 9) + b"\xa5hello\x80"
    answer = client.caller().raw(body)
    assert (answer.id, answer.error) == (9, None)

"""The real program under garbage: it goes on, and tells no secrets."""

import hashlib
import os
import random

import msgspec
import pytest

from tests.bare import Caller, context
from tests.http_server import Client
from tests.program import Program, User, wait_until
from zchat.model import CHUNK_BYTES

METHODS = (b"GET", b"POST", b"DELETE", b"OPTIONS", b"HEAD", b"PUT")
PATHS = (
    b"/send",
    b"/chats",
    b"/status",
    b"/files",
    b"/files/x",
    b"/events",
    b"/join/%00",
    b"/scheduled/%2e%2e",
    b"/metrics",
    b"/",
    b"*",
    b"//",
)


@pytest.fixture(scope="module")
def flags() -> tuple[str, ...]:
    return ("--log-level", "debug")


def request(chance: random.Random) -> bytes:
    """Something between a request and noise."""
    body = chance.choice(
        (
            b"{}",
            b"[]",
            b'{"message": "a"}',
            b'{"user_id": [[[{}]]]}',
            chance.randbytes(40),
        )
    )
    length = chance.choice((len(body), 0, len(body) + 1, 10**9, -1))
    lines = [
        b"%b %b HTTP/1.1" % (chance.choice(METHODS), chance.choice(PATHS)),
        b"Host: 127.0.0.1",
        b"Content-Length: %d" % length,
        chance.choice(
            (
                b"Authorization: Bearer x",
                b"Expect: 100-continue",
                b"Transfer-Encoding: chunked",
                b"Range: bytes=1-",
                b"Last-Event-ID: AAAA",
                b"Connection: close",
                b"X: " + chance.randbytes(20),
            )
        ),
    ]
    data = b"\r\n".join(lines) + b"\r\n\r\n" + body
    if chance.random() < 0.3:
        place = chance.randrange(len(data))
        data = data[:place] + chance.randbytes(3) + data[place + 1 :]
    return data


@pytest.mark.parametrize("seed", range(20))
def test_noise_gets_answers_or_a_closed_connection(
    program: Program, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(10):
        with Client(program.port) as client:
            for _ in range(chance.randrange(1, 4)):
                client.send_what_is_taken(request(chance))
            client.half_close()
            received = b""
            while not client.ended():
                received += b"."
            assert len(received) < 100
    assert program.ask("GET", "/readyz").status == 200


def test_bytes_of_any_kind_do_not_stop_it(program: Program) -> None:
    for _ in range(50):
        with Client(program.port) as client:
            client.send_what_is_taken(os.urandom(2000))
    assert program.ask("GET", "/readyz").status == 200


def test_no_token_and_no_text_is_ever_logged(program: Program) -> None:
    user = program.user()
    other = program.user()
    secret = "a text that nobody else reads"
    for answer in (
        program.ask("GET", f"/status?user_id={user.token}"),
        program.ask("GET", f"/{user.token}"),
        program.ask("GET", f"/files/{user.token}", None, user.bearer),
        program.ask("DELETE", f"/links/{user.token}"),
        program.ask(
            "POST", "/send", {"author_id": user.token, "message": secret}
        ),
        program.ask(
            "POST",
            "/send",
            {"author_id": user.token, "message": secret, secret: 1},
        ),
        program.ask(
            "POST",
            "/connect_p2p",
            {"user_id": user.token, "other_user_id": other.token},
        ),
        program.ask("GET", f"/events?user_id={user.token}&x=1"),
        program.ask(
            "GET", "/status", None, {"Authorization": f"Basic {user.token}"}
        ),
    ):
        assert answer.status in (200, 400, 401, 404)
        assert user.token.encode() not in answer.body
    program.server.log.wait_for("answered")
    for text in (user.token, other.token, secret):
        assert text not in program.server.log.text


def test_a_refusal_is_logged_with_what_is_known_of_it(
    program: Program,
) -> None:
    log = program.server.log
    before = len(log.events("refused"))
    assert program.ask("GET", "/status").status == 401
    assert program.ask("GET", "/status?bogus=1").status == 400
    log.wait_for("refused", before + 4)
    of_broker = [
        event
        for event in log.events("refused")[before:]
        if "route" not in event
    ]
    assert [event["method"] for event in of_broker] == ["status", "status"]
    assert all("user_id" not in event for event in of_broker)


def test_two_uploads_of_one_file_do_not_spoil_it(
    program: Program,
) -> None:
    """One stalls, another overtakes it, then the first goes on."""
    ann = program.user()
    chat = program.ask("GET", "/status", None, ann.bearer).json["chat_default"]
    data = random.Random(7).randbytes(5 * CHUNK_BYTES + 1)
    digest = hashlib.sha256(data).hexdigest()
    head = (
        f"POST /files?chat_id={chat}&name=shared HTTP/1.1\r\n"
        f"Host: 127.0.0.1\r\nAuthorization: Bearer {ann.token}\r\n"
        f"X-Content-SHA256: {digest}\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    ).encode()
    with (
        context() as sockets,
        Client(program.port) as slow,
        Client(program.port) as quick,
    ):
        rpc = Caller(sockets, program.server.rpc)

        def has_come(count: int) -> bool:
            upload = rpc.call(
                "upload",
                token=ann.token,
                chat_id=chat,
                name="shared",
                size=len(data),
                sha256=digest,
            )
            return bool(upload["offset"] == count * CHUNK_BYTES)

        slow.send(head + data[:CHUNK_BYTES])
        wait_until(lambda: has_come(1))
        quick.send(head + data[: 4 * CHUNK_BYTES])
        wait_until(lambda: has_come(4))
        slow.send(data[CHUNK_BYTES:])
        made = slow.answer()
        assert made.status == 200
        quick.send(data[4 * CHUNK_BYTES :])
        again = quick.answer()
        assert (again.status, again.body) == (200, made.body)
    file_id = msgspec.json.decode(made.body)["file_id"]
    got = program.ask("GET", f"/files/{file_id}", None, ann.bearer)
    assert got.body == data


def test_a_page_that_was_rebound_gets_nothing(program: Program) -> None:
    user: User = program.user()
    for headers in (
        {"Host": "rebound.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ):
        answer = program.ask("GET", "/status", None, user.bearer | headers)
        assert answer.status in (403, 421)
        assert user.id.encode() not in answer.body

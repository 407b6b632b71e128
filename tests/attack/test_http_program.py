"""The real program under garbage: it goes on, and tells no secrets."""

import os
import random
from collections.abc import Callable, Iterator

import pytest

from tests.http_server import Client
from tests.program import Program, User
from tests.server import Server

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
def program(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Program]:
    running = Program(
        Server(
            tmp_path_factory.mktemp("store"),
            free_port(),
            "--log-level",
            "debug",
            http=True,
        )
    )
    running.start()
    yield running
    assert running.server.stop() == 0
    assert "Traceback" not in running.server.log.text
    assert running.server.log.events("gateway_died") == []


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

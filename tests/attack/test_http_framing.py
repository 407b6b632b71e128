"""Requests that try to be read in two ways, or not at all."""

from collections.abc import Iterator

import pytest

from tests.http_server import Client, Served, serving

HOST = b"Host: 127.0.0.1\r\n"
AFTER = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    with serving() as running:
        yield running


@pytest.fixture
def served(shared: Served) -> Served:
    shared.seen.clear()
    return shared


def refused(served: Served, data: bytes) -> tuple[int, str]:
    """The status and code of a refusal that ends the connection."""
    with Client(served.port) as client:
        client.send_what_is_taken(data)
        answer = client.answer()
        assert answer.headers["connection"] == "close"
        client.half_close()
        assert client.ended()
    assert [request.path for request in served.seen] == []
    return answer.status, answer.problem["code"]


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 3\r\n" + CHUNKED,
        CHUNKED + b"Content-Length: 3\r\n",
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Content-Length: 3, 3\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: -3\r\n",
        b"Content-Length: 0x3\r\n",
        b"Content-Length: 3 3\r\n",
        b"Content-Length: \r\n",
        b"Content-Length: 99999999999999999999999999\r\n",
        b"Content-Length : 3\r\n",
        b"Content-Length\t: 3\r\n",
        b" Content-Length: 3\r\n",
        b"X: a\r\n Content-Length: 3\r\n",
        CHUNKED + CHUNKED,
        b"Transfer-Encoding: chunked, gzip\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"X: a\x00b\r\n",
        b"X: a\rb\r\n",
        b"X: a\nContent-Length: 3\r\n",
        b"X\xe9: a\r\n",
        b": a\r\n",
        b"no colon\r\n",
    ],
)
def test_a_faulty_head_is_refused(served: Served, fields: bytes) -> None:
    data = b"POST /echo HTTP/1.1\r\n" + HOST + fields + b"\r\nabc" + AFTER
    assert refused(served, data) == (400, "bad_request")


@pytest.mark.parametrize(
    "coding", [b"gzip, chunked", b"xchunked", b"identity"]
)
def test_other_codings_are_not_implemented(
    served: Served, coding: bytes
) -> None:
    data = (
        b"POST /echo HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: "
        + coding
        + b"\r\n\r\n0\r\n\r\n"
        + AFTER
    )
    assert refused(served, data) == (501, "bad_request")


def test_http_1_0_knows_no_chunks(served: Served) -> None:
    data = (
        b"POST /echo HTTP/1.0\r\nConnection: keep-alive\r\n"
        + CHUNKED
        + b"\r\n0\r\n\r\n"
        + AFTER
    )
    assert refused(served, data) == (400, "bad_request")


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\n",
        b"-1\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\nabc\n0\n\n",
        b"ffffffffffffffffff\r\n",
        b"3 \r\nabc\r\n0\r\n\r\n",
        b" 3\r\nabc\r\n0\r\n\r\n",
        b"\r\n0\r\n\r\n",
    ],
)
def test_faulty_chunks_are_refused(served: Served, chunks: bytes) -> None:
    data = b"POST /echo HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n" + chunks
    assert refused(served, data + AFTER) == (400, "bad_request")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /echo HTTP/1.1\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
        (b"GET /echo HTTP/1.1\r\n" + HOST + b"Host: evil\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: u@127.0.0.1\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost:\r\n\r\n", 400),
        (b"GET echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET ftp://127.0.0.1/echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET http:///echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET http://[::1/echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /echo HTTP/1.1\n" + HOST + b"\r\n", 400),
        (b"GET /echo HTTP/3.0\r\n" + HOST + b"\r\n", 400),
        (b"GET /echo HTTP/2.0\r\n" + HOST + b"\r\n", 505),
        (b"GET /echo\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"NONSENSE /echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"CONNECT 127.0.0.1:8001 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"\x00" * 64, 400),
    ],
)
def test_what_is_no_request_is_refused(
    served: Served, data: bytes, status: int
) -> None:
    assert refused(served, data + AFTER) == (status, "bad_request")


def test_a_body_cannot_hide_behind_an_upgrade(served: Served) -> None:
    data = (
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\n"
        b"Upgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"
    )
    assert refused(served, data + AFTER) == (501, "bad_request")


def test_an_unknown_expectation_fails(served: Served) -> None:
    data = (
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Expect: a-miracle\r\n"
        b"Content-Length: 3\r\n\r\nabc"
    )
    assert refused(served, data) == (417, "bad_request")


def test_a_repeated_field_of_one_value_is_refused(served: Served) -> None:
    for name in (b"Authorization", b"Origin", b"Idempotency-Key", b"Range"):
        line = name + b": a\r\n"
        data = b"GET /echo HTTP/1.1\r\n" + HOST + line + line + b"\r\n"
        assert refused(served, data) == (400, "bad_request")


def test_nothing_is_read_after_connection_close(served: Served) -> None:
    with Client(served.port) as client:
        answer = client.ask(
            b"GET /echo HTTP/1.1\r\n"
            + HOST
            + b"Connection: close\r\n\r\n"
            + AFTER
        )
        assert answer.status == 200
        assert client.ended()
    assert [request.path for request in served.seen] == ["/echo"]


def test_an_answer_cannot_be_split(served: Served) -> None:
    with Client(served.port) as client:
        answer = client.ask(b"GET /inject HTTP/1.1\r\n" + HOST + b"\r\n")
        assert answer.status == 500
        assert "set-cookie" not in answer.headers
        assert "x-name" not in answer.headers


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example",
        b"evil.example:8000",
        b"127.0.0.1.evil.example",
        b"localhost.evil.example",
        b"10.0.0.1",
        b"[::2]",
        b"0.0.0.0",
    ],
)
def test_a_rebound_name_is_refused(served: Served, host: bytes) -> None:
    data = b"GET /echo HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
    assert refused(served, data) == (421, "forbidden")
    data = b"GET http://" + host + b"/echo HTTP/1.1\r\n" + HOST + b"\r\n"
    assert refused(served, data) == (421, "forbidden")


@pytest.mark.parametrize(
    "origin",
    [
        b"http://evil.example",
        b"null",
        b"https://127.0.0.1",
        b"http://127.0.0.1:1",
        b"http://localhost.evil.example",
        b"https://chat.example.evil.example",
        b"",
        b"https://chat.example:444",
    ],
)
def test_a_foreign_origin_is_refused(served: Served, origin: bytes) -> None:
    for verb in (b"GET", b"POST", b"OPTIONS"):
        data = (
            verb
            + b" /echo HTTP/1.1\r\n"
            + HOST
            + b"Origin: "
            + origin
            + b"\r\n\r\n"
        )
        assert refused(served, data) == (403, "forbidden")

"""The reader of requests: the same requests however the bytes come."""

import json
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.errors import Code
from zchat.gateway.body import StreamedBody
from zchat.gateway.exchange import Exchange
from zchat.gateway.limits import Limits
from zchat.gateway.messages import Headers, Refusal, Response, problem
from zchat.gateway.reader import RequestReader
from zchat.gateway.states import Machine, State

HOST = b"Host: h\r\n"
PIPELINE = (
    b"POST /one?a=b HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"
    b"GET /two HTTP/1.1\r\n" + HOST + b"X: 1\r\nX: 2\r\n\r\n"
    b"POST /three HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n2;e=1\r\nde\r\n1\r\nf\r\n0\r\n"
    b"T: trailer\r\n\r\n"
    b"GET http://other/four HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
)


def allow(host: bytes | None, headers: Headers) -> Response | None:
    return None


def no_upload(method: str, path: str) -> int | None:
    return None


def reader(
    taken: list[Exchange],
    judge: Callable[[bytes | None, Headers], Response | None] = allow,
    upload: Callable[[str, str], int | None] = no_upload,
    limits: Limits | None = None,
    machine: Machine | None = None,
) -> RequestReader:
    return RequestReader(
        limits or Limits(),
        machine or Machine(),
        judge,
        upload,
        lambda length: StreamedBody(length, lambda: None),
        taken.append,
    )


def read_in_pieces(cuts: list[int]) -> list[Exchange]:
    taken: list[Exchange] = []
    machine = Machine()
    reading = reader(taken, machine=machine)
    edges = [0, *sorted(cuts), len(PIPELINE)]
    for begin, end in pairwise(edges):
        reading.feed(PIPELINE[begin:end])
    assert machine.state is State.IDLE
    assert reading.begun == 4
    return taken


@given(st.lists(st.integers(0, len(PIPELINE)), max_size=20))
def test_the_cuts_between_pieces_do_not_matter(cuts: list[int]) -> None:
    found = [
        (
            one.request.method,
            one.request.path,
            one.request.query,
            one.request.body,
        )
        for one in read_in_pieces(cuts)
    ]
    assert found == [
        ("POST", "/one", "a=b", b"abc"),
        ("GET", "/two", "", b""),
        ("POST", "/three", "", b"def"),
        ("GET", "/four", "", b""),
    ]


def test_what_a_request_says_of_itself() -> None:
    taken = read_in_pieces([])
    assert taken[1].request.headers == {b"host": b"h", b"x": b"1, 2"}
    assert b"t" not in taken[2].request.headers
    assert [(one.keep_alive, one.old) for one in taken] == [
        (True, False),
        (True, False),
        (True, False),
        (True, True),
    ]


@given(st.binary(max_size=300), st.integers(1, 50), st.booleans())
def test_any_bytes_make_a_request_or_a_refusal(
    data: bytes, size: int, is_header: bool
) -> None:
    taken: list[Exchange] = []
    reading = reader(taken)
    if is_header:
        data = b"GET / HTTP/1.1\r\nHost: h\r\nX:" + data
    status = 0
    try:
        for place in range(0, len(data), size):
            reading.feed(data[place : place + size])
    except Refusal as refusal:
        status = refusal.response.status
    assert status in (0, 400, 414, 431, 501, 505)


def test_the_judge_sees_the_authority_that_is_meant() -> None:
    seen: list[bytes | None] = []

    def judge(host: bytes | None, headers: Headers) -> Response | None:
        seen.append(host)
        return None

    reading = reader([], judge)
    reading.feed(PIPELINE)
    assert seen == [b"h", b"h", b"h", b"other"]
    reader([], judge).feed(b"GET / HTTP/1.0\r\n\r\n")
    assert seen[-1] is None


def test_a_judged_request_is_not_delivered_and_its_body_not_read() -> None:
    taken: list[Exchange] = []
    answer = problem(403, Code.FORBIDDEN, "No.")
    reading = reader(taken, lambda host, headers: answer)
    with pytest.raises(Refusal) as refusal:
        reading.feed(PIPELINE)
    assert refusal.value.response is answer
    assert taken == []


def test_a_streamed_request_is_delivered_before_its_body() -> None:
    taken: list[Exchange] = []
    machine = Machine()
    reading = reader(
        taken,
        upload=lambda method, path: 5 if path == "/up" else None,
        machine=machine,
    )
    reading.feed(
        b"POST /up HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\n"
    )
    stream = taken[0].request.stream
    assert stream is not None
    assert stream.length == 4
    states = [machine.state]
    reading.feed(b"abcd")
    states.append(machine.state)
    assert states == [State.UPLOAD, State.IDLE]
    assert len(taken) == 1


def test_a_slice_is_small_where_many_requests_might_be_in_it() -> None:
    reading = reader([])
    assert reading.slice_bytes() == 1024
    reading.feed(
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 50000\r\n\r\n"
    )
    assert reading.slice_bytes() == 50_000
    reading.feed(b"a" * 49_990)
    assert reading.slice_bytes() == 1024


def test_the_head_limit_counts_no_other_request() -> None:
    taken: list[Exchange] = []
    reading = reader(taken, limits=Limits(head_bytes=200))
    reading.feed((b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") * 50)
    assert len(taken) == 50


def request(
    line: bytes = b"GET / HTTP/1.1", *fields: bytes, body: bytes = b""
) -> bytes:
    return b"\r\n".join([line, HOST.strip(), *fields, b"", body])


def feed(reading: RequestReader, data: bytes, piece: int) -> None:
    for place in range(0, len(data), piece):
        reading.feed(data[place : place + piece])


def refusal(
    data: bytes, limits: Limits | None = None, piece: int = 2**20
) -> tuple[int, str | None]:
    """The status that bytes are refused with, and the field at fault."""
    taken: list[Exchange] = []
    reading = reader(taken, limits=limits)
    with pytest.raises(Refusal) as caught:
        feed(reading, data, piece)
    assert taken == []
    response = caught.value.response
    return response.status, json.loads(response.body).get("field")


POST = b"POST / HTTP/1.1"


class TestRefusals:
    """What is ambiguous, or not served here, says so and ends it."""

    @pytest.mark.parametrize(
        ("data", "status", "field"),
        [
            (b"GET / HTTP/1.1\r\n\r\n", 400, "Host"),
            (request(b"GET / HTTP/1.1", b"HOST: other"), 400, "host"),
            (request(b"GET / HTTP/0.9"), 505, None),
            (request(b"GET / HTTP/2.0"), 505, None),
            (request(b"GET /#x HTTP/1.1"), 400, None),
            (request(b"GET https://h/ HTTP/1.1"), 400, None),
            (request(b"GET http:///x HTTP/1.1"), 400, None),
            (request(b"GET http://[::1/ HTTP/1.1"), 400, None),
            (request(b"GET * HTTP/1.1"), 400, None),
            (request(b"CONNECT h:1 HTTP/1.1"), 501, None),
            (
                request(POST, b"Transfer-Encoding: gzip, chunked"),
                501,
                "Transfer-Encoding",
            ),
            (
                request(b"POST / HTTP/1.0", b"Transfer-Encoding: chunked"),
                400,
                "Transfer-Encoding",
            ),
            (
                request(
                    POST,
                    b"Connection: upgrade",
                    b"Upgrade: h2c",
                    b"Content-Length: 1",
                ),
                501,
                "Upgrade",
            ),
            (
                request(POST, b"Expect: a miracle", b"Content-Length: 1"),
                417,
                "Expect",
            ),
        ],
    )
    def test_a_head(self, data: bytes, status: int, field: str) -> None:
        assert refusal(data) == (status, field)

    def test_a_target_that_is_too_long(self) -> None:
        limits = Limits(target_bytes=100)
        fits, too_long = b"/" + b"x" * 99, b"/" + b"x" * 100

        assert refusal(
            request(b"GET %s HTTP/1.1" % too_long), limits, piece=40
        ) == (414, None)
        taken: list[Exchange] = []
        reader(taken, limits=limits).feed(request(b"GET %s HTTP/1.1" % fits))
        assert taken[0].request.path == fits.decode()

    @pytest.mark.parametrize("piece", [2**20, 100])
    def test_a_head_that_is_too_large(self, piece: int) -> None:
        limits = Limits(head_bytes=400)
        large = request(b"GET / HTTP/1.1", b"X: " + b"x" * 2_000)

        assert refusal(large, limits, piece) == (431, None)

    def test_too_many_fields(self) -> None:
        limits = Limits(head_fields=3)
        fields = [b"X%d: 1" % number for number in range(3)]

        assert refusal(request(b"GET / HTTP/1.1", *fields), limits) == (
            431,
            None,
        )
        reader([], limits=limits).feed(request(b"GET / HTTP/1.1", *fields[1:]))

    @pytest.mark.parametrize(
        "data",
        [
            request(POST, b"Content-Length: 11", body=b"x"),
            request(
                POST, b"Transfer-Encoding: chunked", body=b"b\r\n" + b"x" * 11
            ),
        ],
    )
    def test_a_body_that_is_too_large(self, data: bytes) -> None:
        assert refusal(data, Limits(body_bytes=10)) == (413, None)

    def test_trailers_without_end(self) -> None:
        """They are no body, and no head that is counted."""
        chunked = request(POST, b"Transfer-Encoding: chunked")
        trailers = b"0\r\n" + b"T: x\r\n" * 10_000

        assert refusal(chunked + trailers, Limits(head_bytes=400), 500) == (
            431,
            None,
        )

    def test_an_upgrade_without_a_body_is_not_taken_up(self) -> None:
        """A server may ignore it (RFC 9110, 7.8)."""
        taken: list[Exchange] = []
        upgrade = request(
            b"GET /a HTTP/1.1", b"Connection: upgrade", b"Upgrade: websocket"
        )

        reader(taken).feed(upgrade + request(b"GET /b HTTP/1.1"))

        assert [one.request.path for one in taken] == ["/a", "/b"]


def test_all_options_are_asked_of_the_server_itself() -> None:
    taken: list[Exchange] = []

    reader(taken).feed(request(b"OPTIONS * HTTP/1.1"))

    assert taken[0].request.path == "*"


def test_an_upload_is_told_of_the_method_while_it_comes() -> None:
    """An answer to it is measured as one to that method."""
    reading = reader([], upload=lambda method, path: 5)
    assert reading.method == ""

    reading.feed(request(POST, b"Content-Length: 4", body=b"ab"))
    assert (reading.method, reading.expected_bytes) == ("POST", 2)

    reading.feed(b"cd")
    assert reading.method == ""


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 4\r\n\r\nabcd",
        b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
    ],
)
def test_the_last_upload_says_that_it_is(framing: bytes) -> None:
    machine = Machine()
    reading = reader([], upload=lambda method, path: 5, machine=machine)

    reading.feed(POST + b"\r\n" + HOST + b"Connection: close\r\n" + framing)

    assert machine.state is State.LAST

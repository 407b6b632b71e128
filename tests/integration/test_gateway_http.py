"""The HTTP front over real sockets: what a well-behaved client sees."""

import re

import pytest

from tests.http_server import UPLOAD_LIMIT, Client, Served, serving
from zchat.gateway.limits import Limits

HOST = b"Host: 127.0.0.1\r\n"
GET = b"GET /echo HTTP/1.1\r\n" + HOST + b"\r\n"
SLOW = b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n"


def post(path: bytes, body: bytes, *fields: bytes) -> bytes:
    lines = [
        b"POST %b HTTP/1.1" % path,
        HOST[:-2],
        b"Content-Length: %d" % len(body),
        *fields,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def test_a_connection_serves_one_request_after_the_other(
    client: Client, served: Served
) -> None:
    for text in (b'"one"', b'"two"'):
        answer = client.ask(post(b"/echo", text))
        assert (answer.status, answer.body) == (200, text)
    assert served.server.connections == 1


def test_every_answer_carries_the_usual_fields(client: Client) -> None:
    for request in (GET, b"GET /fail HTTP/1.1\r\n" + HOST + b"\r\n"):
        headers = client.ask(request).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert re.fullmatch(
            r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers["date"]
        )


def test_a_request_may_come_byte_by_byte(client: Client) -> None:
    whole = post(b"/echo", b'"slowly"')
    for place in range(len(whole) - 1):
        client.send(whole[place : place + 1])
    assert client.ask(whole[-1:]).body == b'"slowly"'


def test_a_get_may_have_a_body(client: Client) -> None:
    answer = client.ask(post(b"/echo", b"{1}").replace(b"POST", b"GET"))
    assert answer.body == b"{1}"


def test_pipelined_requests_are_answered_in_order(
    client: Client, served: Served
) -> None:
    client.send(SLOW + post(b"/echo", b'"2"') + post(b"/echo", b'"3"'))
    assert served.entered.acquire(timeout=10)
    served.wait_for(lambda: len(served.seen) == 3)
    served.release()
    assert [client.answer().body for _ in range(3)] == [
        b'"waited"',
        b'"2"',
        b'"3"',
    ]


def test_head_has_the_fields_of_get_and_no_body(client: Client) -> None:
    head = client.ask(GET.replace(b"GET", b"HEAD"), "HEAD")
    assert head.headers["content-length"] == "2"
    assert client.ask(GET).body == b"{}"


def test_head_of_a_streamed_answer_starts_no_stream(client: Client) -> None:
    request = b"HEAD /download HTTP/1.1\r\n" + HOST + b"\r\n"
    assert client.ask(request, "HEAD").headers["content-length"] == "1000000"
    assert client.ask(GET).body == b"{}"


def test_http_1_0_closes_unless_told_otherwise(served: Served) -> None:
    with Client(served.port) as client:
        answer = client.ask(b"GET /echo HTTP/1.0\r\n\r\n")
        assert answer.headers["connection"] == "close"
        assert client.ended()
    with Client(served.port) as client:
        for _ in range(2):
            answer = client.ask(
                b"GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
            )
            assert answer.headers["connection"] == "keep-alive"


def test_connection_close_is_obeyed(client: Client) -> None:
    answer = client.ask(
        b"GET /echo HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    )
    assert answer.headers["connection"] == "close"
    assert client.ended()


def test_an_absolute_target_is_a_path_too(
    client: Client, served: Served
) -> None:
    answer = client.ask(
        b"GET http://localhost:1/echo?a=b HTTP/1.1\r\n" + HOST + b"\r\n"
    )
    assert answer.status == 200
    assert (served.seen[0].path, served.seen[0].query) == ("/echo", "a=b")


def test_an_offered_upgrade_is_passed_over(client: Client) -> None:
    offer = (
        b"GET /echo HTTP/1.1\r\n"
        + HOST
        + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    )
    client.send(offer + GET)
    assert [client.answer().status for _ in range(2)] == [200, 200]


def test_a_client_that_expects_is_told_to_continue(client: Client) -> None:
    head, body = post(b"/echo", b'"body"', b"Expect: 100-continue").split(
        b"\r\n\r\n"
    )
    assert client.ask(head + b"\r\n\r\n").status == 100
    assert client.ask(body).body == b'"body"'


def test_continue_waits_for_the_answers_before_it(
    client: Client, served: Served
) -> None:
    head, body = post(b"/echo", b'"body"', b"Expect: 100-continue").split(
        b"\r\n\r\n"
    )
    client.send(SLOW + head + b"\r\n\r\n")
    assert served.entered.acquire(timeout=10)
    served.release()
    assert [client.answer().status for _ in range(2)] == [200, 100]
    assert client.ask(body).body == b'"body"'


def test_a_body_may_come_in_chunks(client: Client) -> None:
    answer = client.ask(
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked"
        b'\r\n\r\n3\r\n"ab\r\n2\r\nc"\r\n0\r\n\r\n'
    )
    assert answer.body == b'"abc"'


def test_a_large_body_arrives_whole(client: Client) -> None:
    body = bytes(range(256)) * 4096
    assert client.ask(post(b"/echo", body)).body == body


def test_an_upload_is_streamed_to_its_route(
    client: Client, served: Served
) -> None:
    body = b"x" * (3 * 1024 * 1024)
    assert client.ask(post(b"/upload", body)).body == b"%d" % len(body)
    assert served.seen[0].body == b""
    assert client.ask(GET).status == 200


def test_an_upload_may_be_chunked(client: Client) -> None:
    piece = b"%x\r\n%b\r\n" % (100_000, b"y" * 100_000)
    client.send(
        b"POST /upload HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + piece * 20
        + b"0\r\n\r\n"
        + GET
    )
    assert client.answer().body == b"2000000"
    assert client.answer().body == b"{}"


def test_an_expected_upload_is_asked_for_when_the_route_reads(
    client: Client,
) -> None:
    client.send(
        post(b"/upload", b"", b"Expect: 100-continue").replace(
            b"Content-Length: 0", b"Content-Length: 3"
        )
    )
    assert client.answer().status == 100
    assert client.ask(b"abc").body == b"3"


def test_a_route_may_refuse_an_upload_before_it_comes(client: Client) -> None:
    answer = client.ask(
        post(b"/upload?refuse", b"", b"Expect: 100-continue").replace(
            b"Content-Length: 0", b"Content-Length: 3000000"
        )
    )
    assert answer.status == 403
    assert answer.headers["connection"] == "close"


def test_an_early_answer_survives_what_the_client_still_sends(
    client: Client,
) -> None:
    client.send_what_is_taken(post(b"/upload?refuse", b"x" * 3_000_000))
    assert client.answer().status == 403
    client.half_close()
    assert client.ended()


def test_an_upload_waits_for_its_route(client: Client, served: Served) -> None:
    served.hold_uploads()
    body = b"x" * UPLOAD_LIMIT
    client.send(post(b"/upload", body)[:2_000_000])
    assert served.entered.acquire(timeout=10)
    served.release_uploads()
    client.send(post(b"/upload", body)[2_000_000:])
    assert client.answer().body == b"%d" % UPLOAD_LIMIT


def test_a_download_has_its_length(client: Client) -> None:
    answer = client.ask(b"GET /download HTTP/1.1\r\n" + HOST + b"\r\n")
    assert answer.headers["content-length"] == "1000000"
    assert answer.body == b"x" * 1_000_000
    assert client.ask(GET).status == 200


def test_a_stream_without_an_end_is_chunked(
    client: Client, served: Served
) -> None:
    client.send(b"GET /events HTTP/1.1\r\n" + HOST + b"\r\n")
    status, headers = client.head()
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    assert "content-length" not in headers
    assert [client.chunk() for _ in range(3)] == [b": tick\n\n"] * 3
    client.close()
    assert served.cancelled.wait(10)


def test_a_stream_to_http_1_0_ends_with_the_connection(served: Served) -> None:
    with Client(served.port) as client:
        client.send(b"GET /events HTTP/1.0\r\n\r\n")
        _, headers = client.head()
        assert "transfer-encoding" not in headers
        assert headers["connection"] == "close"
        assert client.until(b"\n\n") == b": tick"


def test_a_body_shorter_than_announced_breaks_the_connection(
    client: Client,
) -> None:
    client.send(b"GET /short HTTP/1.1\r\n" + HOST + b"\r\n")
    with pytest.raises((EOFError, ConnectionResetError)):
        client.answer()


def test_a_client_that_goes_away_cancels_its_handler(served: Served) -> None:
    client = Client(served.port)
    client.send(SLOW)
    assert served.entered.acquire(timeout=10)
    client.reset()
    assert served.cancelled.wait(10)


def test_a_client_that_leaves_its_upload_cancels_it(served: Served) -> None:
    client = Client(served.port)
    client.send(post(b"/upload", b"x" * 1000)[:-1])
    assert served.entered.acquire(timeout=10)
    client.close()
    assert served.cancelled.wait(10)


def test_a_half_closed_client_gets_its_answer(
    client: Client, served: Served
) -> None:
    client.send(SLOW)
    assert served.entered.acquire(timeout=10)
    client.half_close()
    served.release()
    assert client.answer().body == b'"waited"'
    assert client.ended()


def test_a_fault_is_an_incident_and_tells_nothing(client: Client) -> None:
    answer = client.ask(b"GET /fail HTTP/1.1\r\n" + HOST + b"\r\n")
    assert answer.status == 500
    assert answer.problem["code"] == "internal"
    assert re.fullmatch("[0-9a-f]{12}", answer.problem["incident"])
    assert b"secret" not in answer.body
    assert client.ask(GET).status == 200


def test_an_allowed_origin_gets_cors(client: Client) -> None:
    origin = b"Origin: https://chat.example\r\n"
    answer = client.ask(b"GET /echo HTTP/1.1\r\n" + HOST + origin + b"\r\n")
    allowed = "access-control-allow-origin"
    assert answer.headers[allowed] == "https://chat.example"
    assert answer.headers["vary"] == "Origin"
    answer = client.ask(
        b"OPTIONS /echo HTTP/1.1\r\n"
        + HOST
        + origin
        + b"Access-Control-Request-Method: POST\r\n\r\n"
    )
    assert answer.status == 204
    assert answer.headers[allowed] == "https://chat.example"
    assert "Authorization" in answer.headers["access-control-allow-headers"]


def test_stopping_finishes_what_is_in_flight(served: Served) -> None:
    with Client(served.port) as idle, Client(served.port) as busy:
        assert idle.ask(GET).status == 200
        busy.send(SLOW)
        assert served.entered.acquire(timeout=10)
        stopped = served.begin(served.server.stop(30))
        assert idle.ended()
        served.release()
        answer = busy.answer()
        assert answer.body == b'"waited"'
        assert answer.headers["connection"] == "close"
        assert busy.ended()
        stopped.result(10)


def test_stopping_ends_a_stream_properly(served: Served) -> None:
    with Client(served.port) as client:
        client.send(b"GET /events HTTP/1.1\r\n" + HOST + b"\r\n")
        client.head()
        assert client.chunk() == b": tick\n\n"
        served.call(served.server.stop(30))
        while client.chunk():
            pass
        assert client.ended()


def test_too_many_connections_are_told_so() -> None:
    with (
        serving(Limits(connections=2)) as served,
        Client(served.port) as first,
        Client(served.port) as second,
    ):
        assert first.ask(GET).status == second.ask(GET).status == 200
        with Client(served.port) as third:
            answer = third.answer()
            assert answer.status == 503
            assert answer.problem["code"] == "unavailable"
            assert answer.headers["retry-after"] == "1"
            third.half_close()
            assert third.ended()
        first.close()
        served.wait_for(lambda: served.server.connections == 1)
        with Client(served.port) as fourth:
            assert fourth.ask(GET).status == 200

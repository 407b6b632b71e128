"""Clients that send too much, too little, or take nothing."""

from functools import partial

import pytest

from tests.http_server import UPLOAD_LIMIT, Client, Served, serving
from zchat.gateway.limits import Limits
from zchat.gateway.messages import Response

HOST = b"Host: 127.0.0.1\r\n"
GET = b"GET /echo HTTP/1.1\r\n" + HOST + b"\r\n"
MEBIBYTE = 1024 * 1024


def has_uploaded(served: Served, size: int) -> bool:
    return served.uploaded == size


def is_served(served: Served) -> bool:
    """Whether somebody else still gets an answer."""
    with Client(served.port) as other:
        return other.ask(GET).status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"X: " + b"a" * 17_000 + b"\r\n",
        b"X: " + b"a" * 5_000_000,
        b"".join(b"X-%d: %b\r\n" % (n, b"a" * 500) for n in range(40)),
        b"a" * 20_000 + b": b\r\n",
        b"".join(b"X-%d: a\r\n" % n for n in range(101)),
    ],
)
def test_a_head_has_a_limit(
    served: Served, client: Client, head: bytes
) -> None:
    client.send_what_is_taken(
        b"GET /echo HTTP/1.1\r\n" + HOST + head + b"\r\n"
    )
    answer = client.answer()
    assert (answer.status, answer.problem["code"]) == (431, "too_large")
    assert answer.problem["limit"] == 16_384
    assert served.seen == []
    assert is_served(served)


def test_a_head_below_the_limit_passes(client: Client) -> None:
    head = b"GET /echo HTTP/1.1\r\n" + HOST + b"X: "
    padding = b"a" * (16_384 - len(head) - 40)
    assert client.ask(head + padding + b"\r\n\r\n").status == 200


def test_a_url_has_a_limit(served: Served, client: Client) -> None:
    client.send_what_is_taken(b"GET /" + b"a" * 1_000_000)
    answer = client.answer()
    assert (answer.status, answer.problem["limit"]) == (414, 8192)
    assert is_served(served)


def test_a_body_is_refused_by_its_announcement(client: Client) -> None:
    answer = client.ask(
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\n"
        b"Content-Length: %d\r\n\r\n" % (MEBIBYTE + 1)
    )
    assert (answer.status, answer.problem["limit"]) == (413, MEBIBYTE)
    client.half_close()
    assert client.ended()


def test_a_body_in_chunks_is_refused_as_it_grows(
    served: Served, client: Client
) -> None:
    chunk = b"10000\r\n" + b"a" * 65_536 + b"\r\n"
    client.send_what_is_taken(
        b"POST /echo HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + chunk * 20
    )
    assert client.answer().status == 413
    assert served.seen == []


def test_an_upload_has_its_own_limit(served: Served, client: Client) -> None:
    answer = client.ask(
        b"POST /upload HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: %d\r\n\r\n" % (UPLOAD_LIMIT + 1)
    )
    assert (answer.status, answer.problem["limit"]) == (413, UPLOAD_LIMIT)
    assert served.seen == []


def test_an_upload_in_chunks_is_cut_off(
    served: Served, client: Client
) -> None:
    chunk = b"10000\r\n" + b"a" * 65_536 + b"\r\n"
    client.send_what_is_taken(
        b"POST /upload HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + chunk * 100
    )
    assert client.answer().status == 413
    assert served.cancelled.wait(10)


@pytest.mark.parametrize(
    "filling",
    [
        b"1;" + b"e" * 200_000,
        b"1;e=f\r\na\r\n" + b"1;" + b"e" * 40_000,
        b"0\r\nTrailer: " + b"t" * 200_000,
        b"0\r\n" + b"".join(b"T%d: t\r\n" % n for n in range(20_000)),
    ],
)
def test_what_is_no_body_cannot_pad_a_body(
    served: Served, client: Client, filling: bytes
) -> None:
    client.send_what_is_taken(
        b"POST /echo HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + filling
    )
    assert client.answer().status == 431
    assert served.seen == []


def test_a_slow_head_is_timed_out(served: Served, client: Client) -> None:
    client.send(b"GET /echo HTTP/1.1\r\n")
    served.wait_for(lambda: served.server.connections == 1)
    served.pass_seconds(6)
    client.send(b"X: drip\r\n")
    assert is_served(served)
    served.pass_seconds(6)
    answer = client.answer()
    assert (answer.status, answer.problem["code"]) == (408, "bad_request")
    client.half_close()
    assert client.ended()


def test_a_silent_connection_is_closed(served: Served, client: Client) -> None:
    served.wait_for(lambda: served.server.connections == 1)
    served.pass_seconds(11)
    assert client.ended()


def test_empty_lines_do_not_keep_a_connection(
    served: Served, client: Client
) -> None:
    for _ in range(12):
        client.send_what_is_taken(b"\r\n")
        served.pass_seconds(1)
    assert client.ended()


def test_a_slow_body_is_timed_out(served: Served, client: Client) -> None:
    client.send(
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nabc"
    )
    assert is_served(served)
    served.pass_seconds(31)
    assert client.answer().status == 408
    assert [request.method for request in served.seen] == ["GET"]


def test_a_stalled_upload_is_timed_out_and_cancelled(
    served: Served, client: Client
) -> None:
    client.send(
        b"POST /upload HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nabc"
    )
    assert served.entered.acquire(timeout=10)
    served.pass_seconds(31)
    assert client.answer().status == 408
    assert served.cancelled.wait(10)


def test_an_upload_cannot_drip_for_ever(
    served: Served, client: Client
) -> None:
    client.send(
        b"POST /upload HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 1000000\r\n\r\n"
    )
    for sent in range(1, 5):
        client.send(b"a")
        served.wait_for(partial(has_uploaded, served, sent))
        served.pass_seconds(20)
    served.pass_seconds(20)
    assert client.answer().status == 408


def test_an_idle_connection_is_closed(served: Served, client: Client) -> None:
    assert client.ask(GET).status == 200
    served.pass_seconds(59)
    assert client.ask(GET).status == 200
    served.pass_seconds(61)
    assert client.ended()


def test_a_slow_route_is_not_the_clients_fault(
    served: Served, client: Client
) -> None:
    client.send(b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n")
    assert served.entered.acquire(timeout=10)
    served.pass_seconds(1000)
    served.release()
    assert client.answer().status == 200


def test_a_slow_upload_route_is_not_the_clients_fault(
    served: Served, client: Client
) -> None:
    served.hold_uploads()
    client.send(
        b"POST /upload HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\na"
    )
    assert served.entered.acquire(timeout=10)
    client.send(b"bc")
    served.wait_for(
        lambda: not served.server.open_connections()[0].is_overdue(1e9)
    )
    served.pass_seconds(1000)
    served.release_uploads()
    assert client.answer().body == b"3"


def test_a_pipeline_is_read_only_as_far_as_it_is_answered() -> None:
    limits = Limits(unanswered=8)
    with serving(limits) as served, Client(served.port) as client:
        client.send(b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n")
        assert served.entered.acquire(timeout=10)
        client.send(GET * 2000)
        assert is_served(served)
        most = limits.unanswered + 1024 // len(GET) + 1
        assert len(served.seen) <= most + 1
        served.release()
        assert client.answer().body == b'"waited"'
        assert [client.answer().status for _ in range(2000)] == [200] * 2000


def is_blocked(served: Served) -> bool:
    """Whether a client does not take what is sent to it."""
    return any(
        connection.is_blocked
        for connection in served.server.open_connections()
    )


def test_who_takes_no_answers_is_not_read_and_then_dropped() -> None:
    page = b"x" * 100_000
    with (
        serving(handle=lambda _: Response(200, page)) as served,
        Client(served.port, receive_buffer=4096) as client,
    ):
        client.send_what_is_taken(GET * 200)
        served.wait_for(lambda: is_blocked(served))
        assert is_served(served)
        served.pass_seconds(61)
        served.wait_for(lambda: served.server.connections == 0)


def test_a_stream_waits_for_a_slow_reader_and_drops_a_dead_one(
    served: Served,
) -> None:
    download = b"GET /download HTTP/1.1\r\n" + HOST + b"\r\n"
    with Client(served.port, receive_buffer=4096) as client:
        client.send(download * 8)
        served.wait_for(lambda: is_blocked(served))
        assert is_served(served)
        for _ in range(8):
            assert client.answer().body == b"x" * 1_000_000
        client.send(download * 15)
        served.wait_for(lambda: is_blocked(served))
        served.pass_seconds(61)
        served.wait_for(lambda: served.server.connections == 0)


def test_a_refused_client_cannot_stay_to_send(served: Served) -> None:
    with Client(served.port) as client:
        assert client.ask(b"NONSENSE\r\n\r\n").status == 400
        served.pass_seconds(3)
        served.wait_for(lambda: served.server.connections == 0)


def test_many_half_open_connections_do_not_stop_the_others() -> None:
    limits = Limits(connections=300)
    with serving(limits) as served:
        clients = [Client(served.port) for _ in range(250)]
        for client in clients:
            client.send(b"GET /echo HTT")
        assert is_served(served)
        served.pass_seconds(11)
        served.pass_seconds(3)
        served.wait_for(lambda: served.server.connections == 0)
        for client in clients:
            client.close()

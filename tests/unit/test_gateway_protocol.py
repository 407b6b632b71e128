"""An HTTP connection without a socket: what happens, and what is done."""

import re
from collections.abc import Callable, MutableMapping
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.gateway.access import AccessPolicy
from zchat.gateway.body import StreamedBody
from zchat.gateway.exchange import HEAD_BYTES, Exchange
from zchat.gateway.limits import Limits
from zchat.gateway.messages import Request, Response
from zchat.gateway.protocol import (
    REQUESTS_A_TURN,
    Cancel,
    Do,
    Handle,
    HttpConnection,
    Output,
    Stream,
)
from zchat.gateway.site import Site
from zchat.gateway.states import (
    ENDING,
    READING,
    TRANSITIONS,
    Happening,
    State,
)

HOST = b"Host: 127.0.0.1\r\n"
GET = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"
UPLOAD = b"POST /up HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\n"
OK = Response(200, b"{}")
STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d\d\d) ")


def endless() -> Response:
    return Response(200, push=Silent())


class Silent:
    """A pushed body of nothing."""

    held_bytes = 0
    waiting_bytes = 0

    def begin(self, sink: object) -> None:
        """Nothing to send."""

    def drained(self) -> None:
        """Nothing to send."""

    def closed(self) -> None:
        """Nothing to end."""


class Wire:
    """A connection, and all that it has put out."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.now = 0.0
        self.observed: list[int] = []
        self.site = Site(
            lambda request: OK,
            limits or Limits(),
            AccessPolicy("127.0.0.1", 8000),
            lambda method, path: 10 if path == "/up" else None,
            lambda request, status, seconds: self.observed.append(status),
            "",
        )
        self.connection = HttpConnection(
            self.site, lambda length: StreamedBody(length, lambda: None), 0.0
        )
        self.written = b""
        self.handled: list[Exchange] = []
        self.streaming: list[Exchange] = []
        self.cancelled: list[Exchange] = []
        self.done: list[Do] = []

    @property
    def state(self) -> State:
        return self.connection.state

    @property
    def statuses(self) -> list[int]:
        return [int(one) for one in STATUS_LINE.findall(self.written)]

    def take(self) -> list[Output]:
        """What was put out since the last time."""
        outputs = self.connection.out[:]
        self.connection.out.clear()
        for output in outputs:
            match output:
                case bytes():
                    self.written += output
                case Handle(exchange):
                    self.handled.append(exchange)
                case Stream(exchange):
                    self.streaming.append(exchange)
                case Cancel(exchange):
                    self.cancelled.append(exchange)
                case _:
                    self.done.append(output)
        return outputs

    def receive(self, data: bytes) -> "Wire":
        self.connection.receive(data, self.now)
        self.take()
        return self

    def answer(self, place: int, response: Response = OK) -> "Wire":
        self.connection.answer(self.handled[place], response, self.now)
        self.take()
        return self

    def expire(self, seconds: float) -> None:
        """Let time pass; the deadlines are looked at."""
        self.now += seconds
        deadlines = (
            self.connection.read_deadline,
            (self.connection.write_deadline),
        )
        if min(deadlines) <= self.now:
            self.connection.expire(self.now)
        self.take()


def test_every_state_can_be_lost_and_every_target_is_a_state() -> None:
    assert set(TRANSITIONS) == set(State)
    for targets in TRANSITIONS.values():
        assert targets[Happening.LOST] is State.CLOSED
    assert READING.isdisjoint(ENDING)
    for state in READING:
        assert TRANSITIONS[state][Happening.TURNED_AWAY] in ENDING
    for state in ENDING:
        assert TRANSITIONS[state][Happening.ANSWERED] not in READING


def test_answers_go_out_in_the_order_of_the_requests() -> None:
    wire = Wire().receive(GET + POST)
    assert [one.request.body for one in wire.handled] == [b"", b"abc"]
    wire.answer(1, Response(201, b"{}"))
    assert wire.written == b""
    wire.answer(0)
    assert wire.statuses == wire.observed == [200, 201]
    assert wire.state is State.IDLE


@pytest.mark.parametrize(
    ("received", "state"),
    [
        (b"", State.IDLE),
        (b"\r\n", State.IDLE),
        (b"G", State.HEAD),
        (POST[:-1], State.BODY),
        (UPLOAD, State.UPLOAD),
        (LAST, State.LAST),
        (b"\x00", State.LINGERING),
    ],
)
def test_what_came_says_what_comes_next(received: bytes, state: State) -> None:
    assert Wire().receive(received).state is state


def test_the_last_answer_says_so_and_closes() -> None:
    wire = Wire().receive(LAST).answer(0)
    assert b"Connection: close\r\n" in wire.written
    assert (wire.state, wire.done) == (State.CLOSING, [Do.CLOSE])


def test_a_refusal_waits_for_the_answers_before_it() -> None:
    wire = Wire().receive(GET + b"\x00")
    assert (wire.state, wire.written) == (State.REFUSED, b"")
    wire.answer(0)
    assert wire.statuses == [200, 400]
    assert (wire.state, wire.done) == (State.LINGERING, [Do.SHUT_DOWN])
    wire.receive(b"x" * 5_000_000)
    assert wire.done[-1] is Do.ABORT


def test_an_early_answer_to_an_upload_is_the_last() -> None:
    wire = Wire().receive(UPLOAD + b"a").answer(0)
    assert b"Connection: close\r\n" in wire.written
    assert wire.state is State.LINGERING


def test_an_answer_to_a_whole_upload_is_like_any_other() -> None:
    wire = Wire().receive(UPLOAD + b"abc").answer(0)
    assert b"Connection" not in wire.written
    assert wire.state is State.IDLE


def test_a_client_that_shut_down_gets_its_answers() -> None:
    wire = Wire().receive(GET)
    assert wire.connection.shut_down(0.0)
    assert wire.state is State.HALF_CLOSED
    wire.answer(0)
    assert (wire.statuses, wire.done) == ([200], [Do.CLOSE])
    assert not Wire().receive(GET[:-1]).connection.shut_down(0.0)


def test_a_stream_without_an_end_ends_with_its_listener() -> None:
    wire = Wire().receive(GET).answer(0, endless())
    assert wire.streaming == wire.handled
    assert wire.connection.shut_down(0.0)
    wire.take()
    assert wire.cancelled == wire.handled
    assert wire.written.endswith(b"\r\n\r\n0\r\n\r\n")
    assert wire.state is State.CLOSING


def test_stopping_ends_streams_and_answers_the_rest() -> None:
    wire = Wire().receive(GET + GET).answer(0, endless())
    wire.site.is_stopping = True
    wire.connection.stop(0.0)
    wire.take()
    assert wire.cancelled == wire.handled[:1]
    assert wire.done == []
    wire.answer(1)
    assert (wire.statuses, wire.done) == ([200, 200], [Do.CLOSE])


def test_nobody_takes_the_whole_turn() -> None:
    wire = Wire(Limits(unanswered=1000)).receive(GET * 500)
    turns = 1
    while len(wire.handled) < 500:
        most = turns * (REQUESTS_A_TURN + 1024 // len(GET) + 1)
        assert len(wire.handled) <= most
        assert wire.done.count(Do.YIELD) == turns
        assert Do.PAUSE_READING in wire.done
        wire.connection.resume(0.0)
        wire.take()
        turns += 1
    assert wire.done[-1] is Do.RESUME_READING


def test_reading_waits_for_answers() -> None:
    wire = Wire(Limits(unanswered=2)).receive(GET).receive(GET)
    assert wire.done == [Do.PAUSE_READING]
    wire.receive(GET).answer(0)
    assert (len(wire.handled), wire.done) == (3, [Do.PAUSE_READING])
    wire.answer(1).answer(2)
    assert wire.done == [Do.PAUSE_READING, Do.RESUME_READING]


def test_reading_waits_for_a_client_that_takes_nothing() -> None:
    wire = Wire()
    wire.connection.block(0.0)
    wire.receive(GET)
    assert (wire.handled, wire.done) == ([], [Do.PAUSE_READING])
    wire.connection.unblock(0.0)
    wire.take()
    assert len(wire.handled) == 1
    assert wire.done == [Do.PAUSE_READING, Do.RESUME_READING]
    wire.connection.block(0.0)
    wire.expire(Limits().write_seconds)
    assert wire.done[-1] is Do.ABORT


@pytest.mark.parametrize(
    ("received", "seconds", "statuses"),
    [
        (b"", Limits().head_seconds, []),
        (GET[:-1], Limits().head_seconds, [408]),
        (POST[:-1], Limits().body_seconds, [408]),
        (UPLOAD, Limits().body_seconds, [408]),
    ],
)
def test_what_does_not_come_in_time_ends_it(
    received: bytes, seconds: float, statuses: list[int]
) -> None:
    wire = Wire().receive(received)
    wire.expire(seconds - 0.1)
    assert wire.done == []
    wire.expire(0.1)
    assert wire.statuses == statuses
    assert wire.done == [Do.SHUT_DOWN if statuses else Do.CLOSE]


def test_nobody_is_hurried_while_the_server_works() -> None:
    wire = Wire().receive(GET)
    assert wire.connection.read_deadline == inf
    wire.expire(10_000)
    wire.answer(0)
    assert wire.connection.read_deadline == wire.now + Limits().idle_seconds


def test_what_is_kept_is_counted() -> None:
    wire = Wire(Limits(unanswered=2)).receive(POST + POST)
    both = 2 * HEAD_BYTES + 6
    assert wire.connection.held_bytes == both
    wire.receive(b"x" * 100)
    assert wire.connection.held_bytes == both + 100
    wire.answer(1, Response(200, b"y" * 1000))
    assert wire.connection.held_bytes == both + 1100
    wire.receive(b"").answer(0)
    wire.connection.lose()
    assert wire.connection.held_bytes == 0


def test_an_answer_that_nobody_waits_for_is_not_taken() -> None:
    wire = Wire().receive(GET)
    wire.connection.lose()
    wire.take()
    assert wire.cancelled == wire.handled
    assert not wire.connection.answer(wire.handled[0], OK, 0.0)


class TestBodiesInPieces:
    """An answer whose length nobody knows, or that comes bit by bit."""

    OLD = b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n" + HOST + b"\r\n"

    def sent(self, wire: Wire, *pieces: bytes) -> bytes:
        """What is written for these pieces of the first answer."""
        before = len(wire.written)
        wire.connection.send_piece(wire.handled[0], *pieces)
        wire.take()
        return wire.written[before:]

    def end(self, wire: Wire) -> None:
        wire.connection.end_stream(wire.handled[0], wire.now)
        wire.take()

    def test_a_stream_without_an_end_comes_in_chunks(self) -> None:
        wire = Wire().receive(GET).answer(0, endless())
        assert b"Transfer-Encoding: chunked\r\n" in wire.written
        assert b"Content-Length" not in wire.written

        assert self.sent(wire, b"ab", b"c") == b"3\r\nabc\r\n"
        assert self.sent(wire, b"") == b"", "which would be the end"
        self.end(wire)

        assert wire.written.endswith(b"\r\n0\r\n\r\n")
        assert wire.state is State.IDLE

    def test_one_of_known_length_comes_as_it_is(self) -> None:
        wire = (
            Wire()
            .receive(GET)
            .answer(0, Response(200, push=Silent(), length=3))
        )
        assert b"Content-Length: 3\r\n" in wire.written
        assert b"Transfer-Encoding" not in wire.written

        assert self.sent(wire, b"ab") == b"ab"
        assert self.sent(wire, b"c") == b"c"
        self.end(wire)

        assert (wire.done, wire.state) == ([], State.IDLE)

    def test_one_of_another_length_breaks_the_connection(self) -> None:
        """Nothing else tells the client; its message must not be taken
        for whole (RFC 9112, 8)."""
        wire = (
            Wire()
            .receive(GET)
            .answer(0, Response(200, push=Silent(), length=3))
        )
        self.sent(wire, b"ab")

        self.end(wire)

        assert wire.done == [Do.ABORT]

    def test_one_that_fails_breaks_the_connection(self) -> None:
        wire = Wire().receive(GET + GET).answer(0, endless())

        for place in (1, 0):
            wire.connection.break_stream(wire.handled[place], OSError())
            wire.take()
            assert wire.done == [Do.ABORT][place:]

    def test_what_nobody_waits_for_is_not_sent(self) -> None:
        wire = Wire().receive(GET).answer(0, endless())
        wire.connection.lose()
        wire.take()

        assert self.sent(wire, b"late") == b""
        self.end(wire)
        wire.connection.break_stream(wire.handled[0], OSError())

        assert wire.take() == []

    def test_the_next_answer_waits_for_its_end(self) -> None:
        wire = Wire().receive(GET + GET).answer(0, endless()).answer(1)
        assert wire.statuses == [200]

        self.end(wire)

        assert wire.statuses == [200, 200]

    def test_head_is_answered_without_it(self) -> None:
        wire = Wire().receive(GET.replace(b"GET", b"HEAD"))
        wire.answer(0, Response(200, push=Silent(), length=3))

        assert wire.cancelled == wire.handled
        assert wire.streaming == []
        assert b"Content-Length: 3\r\n" in wire.written
        assert wire.written.endswith(b"\r\n\r\n")
        assert wire.state is State.IDLE

    def test_an_old_client_sees_the_end_of_it_by_the_connections(
        self,
    ) -> None:
        """HTTP/1.0 has no chunks; so what it asked after it is lost."""
        wire = Wire().receive(self.OLD + GET).answer(0, endless())
        assert wire.cancelled == wire.handled[1:]
        assert b"Transfer-Encoding" not in wire.written
        assert b"Connection: close\r\n" in wire.written

        assert self.sent(wire, b"abc") == b"abc"
        self.end(wire)

        assert wire.written.endswith(b"\r\n\r\nabc")
        assert wire.done == [Do.CLOSE]

    def test_nor_is_the_request_read_that_just_comes(self) -> None:
        wire = Wire().receive(self.OLD + GET[:-1]).answer(0, endless())

        assert wire.state is State.REFUSED
        self.end(wire)
        assert wire.statuses == [200]

    def test_a_server_that_stops_begins_none_without_an_end(self) -> None:
        wire = Wire().receive(GET)
        wire.site.is_stopping = True
        wire.connection.stop(0.0)

        wire.answer(0, endless())

        assert wire.cancelled == wire.handled
        assert wire.written.endswith(b"\r\n0\r\n\r\n")
        assert wire.done == [Do.CLOSE]


def test_an_old_client_that_stays_is_told_that_it_may() -> None:
    old = b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"

    wire = Wire().receive(old).answer(0)

    assert b"Connection: keep-alive\r\n" in wire.written
    assert wire.state is State.IDLE


def test_an_answer_that_cannot_be_sent_is_a_fault_of_ours(
    logged: list[MutableMapping[str, Any]],
) -> None:
    wire = Wire().receive(GET)

    wire.answer(0, Response(200, b"{}", fields=(("X", "a\r\nb: c"),)))

    assert wire.statuses == [500]
    assert b"b: c" not in wire.written
    (incident,) = logged
    assert str(incident["incident"]).encode() in wire.written


class TestContinue:
    """`Expect: 100-continue` waits for leave to send the body."""

    CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

    def asking(self, data: bytes) -> bytes:
        head, _, body = data.partition(b"\r\n\r\n")
        return head + b"\r\nExpect: 100-continue\r\n\r\n" + body

    def test_a_body_that_is_read_whole_may_come_at_once(self) -> None:
        wire = Wire().receive(self.asking(POST[:-3]))

        assert wire.written == self.CONTINUE
        wire.receive(b"abc").answer(0)
        assert wire.statuses == [100, 200]

    def test_it_may_not_before_the_answers_that_are_due(self) -> None:
        """They would come after it, and be taken for its own."""
        wire = Wire().receive(GET + self.asking(POST[:-3]))
        assert wire.written == b""

        wire.answer(0)

        assert wire.statuses == [200, 100]

    def test_an_upload_when_the_route_reads_it(self) -> None:
        wire = Wire().receive(self.asking(UPLOAD))
        assert wire.written == b""
        (exchange,) = wire.handled
        assert exchange.body is not None

        exchange.body.asked = True
        wire.connection.want_body(0.0)
        wire.take()

        assert wire.written == self.CONTINUE

    def test_one_that_is_turned_away_is_not_asked_for(self) -> None:
        wire = Wire().receive(self.asking(UPLOAD)).answer(0)

        assert wire.statuses == [200]


class TestOtherOrigins:
    """A page of an allowed origin asks first, and may read answers."""

    ORIGIN = b"Origin: https://chat.example\r\n"

    @pytest.fixture
    def wire(self) -> Wire:
        wire = Wire()
        wire.site.access = AccessPolicy(
            "127.0.0.1", 8000, ["https://chat.example"]
        )
        wire.connection = HttpConnection(
            wire.site, lambda length: StreamedBody(length, lambda: None), 0.0
        )
        return wire

    def test_a_question_is_answered_without_a_route(self, wire: Wire) -> None:
        wire.receive(
            b"OPTIONS /a HTTP/1.1\r\n"
            + HOST
            + self.ORIGIN
            + b"Access-Control-Request-Method: POST\r\n\r\n"
        )

        assert wire.handled == []
        assert wire.statuses == [204]
        assert (
            b"Access-Control-Allow-Origin: https://chat.example\r\n"
            in wire.written
        )

    def test_a_request_is_served_and_may_be_read(self, wire: Wire) -> None:
        wire.receive(GET[:-2] + self.ORIGIN + b"\r\n").answer(0)

        assert wire.statuses == [200]
        assert (
            b"Access-Control-Allow-Origin: https://chat.example\r\n"
            in wire.written
        )


Step = Callable[[Wire], object]


def received(data: bytes) -> Step:
    return lambda wire: wire.state is not State.CLOSED and wire.receive(data)


def answered(place: int, response: Response) -> Step:
    def step(wire: Wire) -> None:
        if wire.handled:
            exchange = wire.handled[place % len(wire.handled)]
            wire.connection.answer(exchange, response, wire.now)

    return step


def streamed(wire: Wire) -> None:
    for exchange in wire.streaming:
        wire.connection.send_piece(exchange, b"piece")
        wire.connection.end_stream(exchange, wire.now)


def stopped(wire: Wire) -> None:
    if wire.state is not State.CLOSED:
        wire.site.is_stopping = True
        wire.connection.stop(wire.now)


def shut_down(wire: Wire) -> None:
    if wire.state not in (State.CLOSED, State.HALF_CLOSED, State.CLOSING):
        wire.connection.shut_down(wire.now)


STEPS = st.one_of(
    st.sampled_from([GET, LAST, POST, UPLOAD, b"abc", b"\x00", GET * 40]).map(
        received
    ),
    st.binary(max_size=40).map(received),
    st.builds(
        answered,
        st.integers(0, 50),
        st.sampled_from([OK, Response(204), endless()]),
    ),
    st.sampled_from(
        [
            streamed,
            stopped,
            shut_down,
            lambda wire: wire.connection.block(wire.now),
            lambda wire: wire.connection.unblock(wire.now),
            lambda wire: wire.connection.resume(wire.now),
            lambda wire: wire.connection.want_body(wire.now),
            lambda wire: wire.expire(40),
        ]
    ),
)


@given(st.lists(STEPS, max_size=30))
def test_no_order_of_events_confuses_it(steps: list[Step]) -> None:
    wire = Wire(Limits(unanswered=4))
    for step in steps:
        step(wire)
        wire.take()
        if wire.state is State.CLOSING:
            break
        assert len(wire.statuses) == len(wire.observed) + len(
            [
                one
                for one in wire.streaming
                if one.is_streaming and one in wire.connection.due
            ]
        )
    owed = list(wire.connection.due)
    wire.connection.lose()
    wire.take()
    assert wire.cancelled[len(wire.cancelled) - len(owed) :] == owed
    assert wire.connection.unanswered == 0


def test_an_exchange_holds_its_request_and_its_answer() -> None:
    exchange = Exchange(Request("GET", "/", "", {}, b"abc"), True, False)
    assert exchange.held_bytes == HEAD_BYTES + 3
    exchange.response = OK
    assert exchange.held_bytes == HEAD_BYTES + 5

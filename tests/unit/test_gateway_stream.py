"""The broker's end of the stream to its gateway."""

from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from zchat.engine.gateway_stream import GatewayStream
from zchat.engine.send_queue import WAITING_BYTES
from zchat.rpc import REQUEST_BYTES
from zchat.rpc.records import Record, RecordReader, record

BIG = b"x" * 1_000_000


class Ends:
    """A stream, and the end of it that its gateway has."""

    def __init__(self) -> None:
        self.poller = zmq.Poller()
        self.stream = GatewayStream(self.poller)
        self.start()

    def start(self) -> None:
        """Start a gateway."""
        self.gateway = self.stream.connect()
        self.gateway.settimeout(10)
        self._reader = RecordReader(2**32)

    def close(self) -> None:
        self.gateway.close()
        self.stream.close()

    def ready(self) -> dict[Any, int]:
        return dict(self.poller.poll(0))

    def take(self) -> list[list[bytes]]:
        """The frames of all requests that are there."""
        taken = []
        if self.stream.is_readable(self.ready()):
            try:
                while True:
                    taken.append(self.stream.receive().frames)
            except zmq.Again:
                pass
        return taken

    def origin(self) -> bytes:
        """The first frame of the requests of this gateway."""
        self.gateway.sendall(record(b"", b"?"))
        [[origin, _]] = self.take()
        return origin

    def answers(self, count: int) -> list[bytes]:
        """So many answers as the gateway gets them."""
        came: list[Record] = []
        while len(came) < count:
            self.stream.flush()
            came += self._reader.feed(self.gateway.recv(1_000_000))
        return [body for _, body in came]


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


def test_requests_come_in_order_with_their_lanes(ends: Ends) -> None:
    ends.gateway.sendall(record(b"lane", b"1") + record(b"", b"2"))
    [[origin, lane, first], [same, second]] = ends.take()
    assert (origin, lane, first, second) == (same, b"lane", b"1", b"2")
    assert ends.take() == []


def test_a_request_in_pieces_is_taken_when_it_is_whole(ends: Ends) -> None:
    data = record(b"", b"x" * REQUEST_BYTES)
    for begin in range(0, len(data), 100_000):
        assert ends.take() == []
        ends.gateway.sendall(data[begin : begin + 100_000])
    [[_, body]] = ends.take()
    assert len(body) == REQUEST_BYTES


def test_what_a_batch_left_is_told_without_a_poll(ends: Ends) -> None:
    ends.gateway.sendall(record(b"", b"1") + record(b"", b"2"))
    assert ends.stream.is_readable(ends.ready())
    ends.stream.receive()
    assert ends.stream.has_arrived
    assert ends.stream.is_readable({})
    assert ends.stream.receive().frames[-1] == b"2"
    assert not ends.stream.has_arrived


def test_answers_go_out_in_order_when_they_are_flushed(ends: Ends) -> None:
    origin = ends.origin()
    for body in (b"1", b"2"):
        ends.stream.send([origin, b"lane"], body)
    assert (len(ends.stream), ends.stream.waiting) == (2, True)
    assert ends.answers(2) == [b"1", b"2"]
    assert (len(ends.stream), ends.stream.held) == (0, 0)


def test_answers_larger_than_the_buffers_wait_for_room(ends: Ends) -> None:
    origin = ends.origin()
    for number in range(3):
        ends.stream.send([origin], b"%d" % number + BIG)
    ends.stream.flush()
    assert ends.stream.waiting
    assert [body[:1] for body in ends.answers(3)] == [b"0", b"1", b"2"]
    assert not ends.stream.waiting


def test_a_full_stream_is_left_to_its_reader_for_a_while(ends: Ends) -> None:
    """It holds far more than a pipe, which is soon worth another try."""
    ends.stream.send([ends.origin()], BIG)
    ends.stream.flush()

    assert (ends.stream.waiting, ends.stream.is_quick) == (True, False)


def test_who_does_not_read_is_not_asked_for_more(ends: Ends) -> None:
    origin = ends.origin()
    count = WAITING_BYTES // len(BIG) + 2
    for _ in range(count):
        ends.stream.send([origin], BIG)
    ends.stream.flush()
    ends.gateway.sendall(record(b"", b"more"))
    assert ends.ready() == {}
    assert ends.take() == []
    ends.answers(count)
    assert [frames[-1] for frames in ends.take()] == [b"more"]


def test_it_ends_where_others_need_the_memory(ends: Ends) -> None:
    origin = ends.origin()
    ends.stream.send([origin], BIG)
    ends.stream.shed(2 * len(BIG))
    assert ends.stream.dropped == 0
    ends.stream.shed(len(BIG) - 1)
    assert (ends.stream.dropped, ends.stream.lost) == (1, 1)
    assert (ends.stream.held, ends.ready()) == (0, {})
    assert ends.gateway.recv(1) == b""


def test_it_ends_also_while_no_more_is_asked_for(ends: Ends) -> None:
    origin = ends.origin()
    for _ in range(WAITING_BYTES // len(BIG) + 2):
        ends.stream.send([origin], BIG)
    ends.stream.flush()
    assert ends.ready() == {}

    ends.stream.shed(0)

    assert (ends.stream.dropped, ends.stream.held) == (1, 0)
    ends.gateway.close()
    ends.start()
    assert ends.origin() != origin


def test_a_poll_that_told_of_nothing_costs_one_look(ends: Ends) -> None:
    with pytest.raises(zmq.Again):
        ends.stream.receive()
    assert ends.take() == []


def test_a_gateway_that_died_is_forgotten(ends: Ends) -> None:
    origin = ends.origin()
    ends.gateway.sendall(record(b"", b"whole") + b"\0")
    ends.gateway.close()
    assert [frames[-1] for frames in ends.take()] == [b"whole"]
    assert ends.take() == []
    assert ends.ready() == {}
    ends.stream.send([origin], b"answer")
    ends.stream.flush()
    assert ends.stream.lost == 1


def test_answers_to_one_gateway_are_not_sent_to_the_next(ends: Ends) -> None:
    old = ends.origin()
    ends.gateway.sendall(b"\0")
    ends.gateway.close()
    ends.start()
    new = ends.origin()
    ends.stream.send([old], b"old")
    ends.stream.send([new], b"new")
    assert ends.answers(1) == [b"new"]
    assert ends.stream.lost == 1


def test_a_gateway_that_is_gone_when_it_is_answered(ends: Ends) -> None:
    origin = ends.origin()
    ends.gateway.close()
    ends.stream.send([origin], b"answer")
    ends.stream.flush()
    assert (ends.stream.lost, ends.ready()) == (1, {})


@pytest.mark.parametrize(
    "noise", [b"\xff" * 6, record(b"", b"x" * (REQUEST_BYTES + 1))[:6]]
)
def test_noise_ends_it(ends: Ends, noise: bytes) -> None:
    ends.gateway.sendall(noise)
    assert ends.take() == []
    assert ends.gateway.recv(1) == b""


def test_without_a_gateway_there_is_nothing_to_wait_for() -> None:
    poller = zmq.Poller()
    stream = GatewayStream(poller)
    assert not stream.is_readable({})
    with pytest.raises(zmq.Again):
        stream.receive()
    stream.send([b"nobody"], b"answer")
    stream.drain()
    stream.close()
    assert (stream.lost, len(stream), poller.poll(0)) == (1, 0, [])


def test_each_stream_has_a_name_of_its_own() -> None:
    ends = Ends()
    first = ends.origin()
    ends.gateway.close()
    ends.start()
    assert ends.origin() != first
    ends.close()

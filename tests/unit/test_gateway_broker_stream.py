"""The gateway's end of the stream to its broker, under a Link."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from zchat.client.connection import Link, NoAnswer
from zchat.gateway.stream import BrokerStream, stream_to_broker
from zchat.rpc.codec import pack, unpack
from zchat.rpc.records import Record, RecordReader, record


class Broker:
    """The other end of the stream, which is read and written by hand."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._reader = RecordReader(2**20)

    async def requests(self, count: int) -> list[Record]:
        """So many requests, and no more."""
        loop = asyncio.get_running_loop()
        came: list[Record] = []
        while len(came) < count:
            came += self._reader.feed(await loop.sock_recv(self.end, 65536))
        assert len(came) == count
        return came

    def answer(self, *ids: int) -> None:
        self.end.sendall(
            b"".join(
                record(b"", pack((1, id, None, f"answer {id}"))) for id in ids
            )
        )


Scene = Callable[[Broker, BrokerStream, Link, list[str]], Awaitable[None]]


def play(scene: Scene) -> list[str]:
    """Play it on a link over a stream; what was told of up and lost."""

    async def run() -> list[str]:
        told: list[str] = []
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        stream = await stream_to_broker(
            theirs.detach(), lambda: told.append("lost")
        )
        link = Link(
            ["tcp://127.0.0.1:1"],
            in_flight=1000,
            on_up=lambda: told.append("up"),
            on_down=lambda: told.append("down"),
            dial=stream.dial,
        )
        with ours:
            await scene(Broker(ours), stream, link, told)
        link.close()
        return told

    return asyncio.run(asyncio.wait_for(run(), 30))


def test_requests_are_answered_in_any_order() -> None:
    async def scene(broker: Broker, _: Any, link: Link, told: Any) -> None:
        first = link.call("status", {})
        second = link.call("hello", {})
        requests = await broker.requests(2)
        methods = [unpack(body)[2] for _, body in requests]
        assert methods == ["status", "hello"]
        broker.answer(2, 1)
        assert await first == "answer 1"
        assert await second == "answer 2"

    assert play(scene) == ["up"]


def test_a_lane_goes_with_its_request() -> None:
    async def scene(broker: Broker, _: Any, link: Link, told: Any) -> None:
        link.request("status", {}, lambda error, result: None, lane=b"ann")
        link.request("status", {}, lambda error, result: None)
        lanes = [lane for lane, _ in await broker.requests(2)]
        assert lanes == [b"ann", b""]

    play(scene)


def test_many_answers_at_once_all_arrive() -> None:
    async def scene(broker: Broker, _: Any, link: Link, told: Any) -> None:
        calls = [link.call("status", {}) for _ in range(700)]
        await broker.requests(700)
        broker.answer(*range(1, 701))
        assert len(await asyncio.gather(*calls)) == 700

    play(scene)


def test_the_end_of_the_broker_is_told_once() -> None:
    async def scene(
        broker: Broker, stream: BrokerStream, link: Link, told: list[str]
    ) -> None:
        sent = link.call("send", {})
        await broker.requests(1)
        broker.end.close()
        with pytest.raises(NoAnswer) as lost:
            await sent
        assert lost.value.sent
        late = link.call("status", {})
        assert stream.send([[b"body"]]) == 0
        link.close()
        with pytest.raises(NoAnswer) as unsent:
            await late
        assert not unsent.value.sent

    assert play(scene) == ["up", "down", "lost"]


def test_a_link_that_is_closed_hears_nothing_more() -> None:
    async def scene(
        broker: Broker, stream: BrokerStream, link: Link, told: list[str]
    ) -> None:
        call = link.call("status", {})
        await broker.requests(1)
        link.close()
        with pytest.raises(NoAnswer):
            await call
        loop = asyncio.get_running_loop()
        assert await loop.sock_recv(broker.end, 1) == b""

    assert play(scene) == ["up"]

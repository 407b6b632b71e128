"""The link and the subscriber against bare sockets on the same loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
import zmq

from zchat.client import connection
from zchat.client.connection import Link, NoAnswer, Subscriber
from zchat.errors import Code, Refused
from zchat.rpc import REQUEST_BYTES

PATIENCE_SECONDS = 10.0


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until it holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class FakeServer:
    """A ROUTER that answers only when it is told to."""

    def __init__(self, ctx: "zmq.Context[Any]", port: int) -> None:
        self.socket: Any = ctx.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self.socket.bind(self.endpoint)
        self.envelopes: dict[int, bytes] = {}

    async def take(self) -> tuple[int, str, dict[str, Any]]:
        """The next request: id, method, params."""
        await until(lambda: self.socket.poll(0))
        envelope, body = self.socket.recv_multipart()
        kind, id, method, params = msgpack.unpackb(body)
        assert kind == 0
        self.envelopes[id] = envelope
        return id, method, params

    def answer(self, id: int, result: Any = None, error: Any = None) -> None:
        self.send(id, msgpack.packb([1, id, error, result]))

    def send(self, id: int, body: bytes) -> None:
        self.socket.send_multipart([self.envelopes[id], body])

    def quiet(self) -> bool:
        return not self.socket.poll(50)

    def close(self) -> None:
        self.socket.close(0)


@pytest.fixture
def ctx() -> Iterator["zmq.Context[Any]"]:
    made: zmq.Context[Any] = zmq.Context()
    yield made
    made.destroy(linger=0)


@pytest.fixture
def server(
    ctx: "zmq.Context[Any]", free_port: Callable[[], int]
) -> Iterator[FakeServer]:
    made = FakeServer(ctx, free_port())
    yield made
    made.close()


@asynccontextmanager
async def linked(*endpoints: str, **options: Any) -> AsyncIterator[Link]:
    link = Link(endpoints, **options)
    try:
        yield link
    finally:
        link.close()


def run(work: Awaitable[None]) -> None:
    async def main() -> None:
        await work

    asyncio.run(main())


def test_answers_find_their_requests_in_any_order(server: FakeServer) -> None:
    async def work() -> None:
        async with linked(server.endpoint) as link:
            first = link.call("one", {"a": 1})
            second = link.call("two", {})
            assert (await server.take())[1:] == ("one", {"a": 1})
            assert (await server.take())[1:] == ("two", {})
            server.answer(2, "second")
            server.answer(1, "first")
            assert await first == "first"
            assert await second == "second"

    run(work())


def test_many_requests_at_once(server: FakeServer) -> None:
    async def work() -> None:
        async with linked(server.endpoint) as link:
            calls = [link.call("x", {"n": n}) for n in range(900)]
            for _ in calls:
                id, _, params = await server.take()
                server.answer(id, params["n"])
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await asyncio.gather(*calls) == list(range(900))

    run(work())


def test_a_refusal_is_raised(server: FakeServer) -> None:
    async def work() -> None:
        async with linked(server.endpoint) as link:
            call = link.call("x", {})
            id, _, _ = await server.take()
            server.answer(
                id,
                error={
                    "code": "rate_limited",
                    "message": "slow down",
                    "data": {"retry_after": 3},
                },
            )
            with pytest.raises(Refused, match="slow down") as caught:
                await call
            assert caught.value.code is Code.RATE_LIMITED
            assert caught.value.data == {"retry_after": 3}

    run(work())


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\xc1",
        b"\x91\x01",
        msgpack.packb([1, None, {}, None]),
        msgpack.packb([1, 999, None, "stranger"]),
    ],
)
def test_what_is_no_answer_is_left_out(
    server: FakeServer, junk: bytes
) -> None:
    async def work() -> None:
        async with linked(server.endpoint) as link:
            call = link.call("x", {})
            id, _, _ = await server.take()
            server.send(id, junk)
            server.answer(id, "right")
            assert await call == "right"

    run(work())


def test_a_request_waits_for_a_server_that_is_not_there_yet(
    ctx: "zmq.Context[Any]", free_port: Callable[[], int]
) -> None:
    async def work() -> None:
        port = free_port()
        async with linked(f"tcp://127.0.0.1:{port}") as link:
            call = link.call("x", {})
            await asyncio.sleep(0.2)
            assert not link.up
            server = FakeServer(ctx, port)
            id, _, _ = await server.take()
            server.answer(id, "late")
            assert await call == "late"
            server.close()

    run(work())


def test_what_was_lost_goes_out_again_in_its_order(
    ctx: "zmq.Context[Any]", server: FakeServer
) -> None:
    async def work() -> None:
        downs = 0

        def on_down() -> None:
            nonlocal downs
            downs += 1

        async with linked(server.endpoint, on_down=on_down) as link:
            calls = [link.call("x", {"n": n}, resend=True) for n in range(3)]
            for _ in calls:
                await server.take()
            port = int(server.endpoint.rpartition(":")[2])
            server.close()
            await until(lambda: downs)
            calls.append(link.call("x", {"n": 3}))
            again = FakeServer(ctx, port)
            for n in range(4):
                id, _, params = await again.take()
                assert params == {"n": n}
                again.answer(id, n)
            assert await asyncio.gather(*calls) == [0, 1, 2, 3]
            again.close()

    run(work())


def test_what_may_not_go_out_again_fails_at_once(server: FakeServer) -> None:
    async def work() -> None:
        async with linked(server.endpoint) as link:
            call = link.call("x", {})
            await server.take()
            server.close()
            async with asyncio.timeout(PATIENCE_SECONDS):
                with pytest.raises(NoAnswer) as caught:
                    await call
            assert caught.value.sent

    run(work())


def test_an_answer_that_came_before_the_break_counts(
    server: FakeServer,
) -> None:
    async def work() -> None:
        async with linked(server.endpoint) as link:
            call = link.call("x", {})
            id, _, _ = await server.take()
            server.answer(id, "in time")
            server.socket.close(linger=1000)
            assert await call == "in time"

    run(work())


def test_all_answers_are_read_once_the_break_is_seen(
    server: FakeServer,
) -> None:
    """More than are read in one go, none of which was read before."""
    count = 2 * connection._DRAIN_LIMIT

    async def work() -> None:
        async with linked(server.endpoint) as link:
            calls = [link.call("x", {"n": n}) for n in range(count)]
            asked = [await server.take() for _ in calls]
            assert isinstance(link._wire, connection.ZmqSocket)
            link._wire.paused = True
            for id, _, params in asked:
                server.answer(id, params["n"])
            server.socket.close(linger=1000)
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await asyncio.gather(*calls) == list(range(count))

    run(work())


def test_no_answer_in_time(server: FakeServer) -> None:
    async def work() -> None:
        async with linked(server.endpoint, answer_seconds=0.3) as link:
            call = link.call("x", {}, resend=True)
            await server.take()
            with pytest.raises(NoAnswer, match="in time") as caught:
                await call
            assert caught.value.sent

    run(work())


def test_no_server_in_time(free_port: Callable[[], int]) -> None:
    async def work() -> None:
        endpoint = f"tcp://127.0.0.1:{free_port()}"
        async with linked(endpoint, answer_seconds=0.3) as link:
            with pytest.raises(NoAnswer, match=endpoint) as caught:
                await link.call("x", {})
            assert not caught.value.sent

    run(work())


def test_a_silent_server_is_left_for_the_next(
    ctx: "zmq.Context[Any]", server: FakeServer, free_port: Callable[[], int]
) -> None:
    async def work() -> None:
        other = FakeServer(ctx, free_port())
        async with linked(
            server.endpoint, other.endpoint, silence_seconds=0.3
        ) as link:
            call = link.call("x", {}, resend=True)
            await server.take()
            id, _, _ = await other.take()
            other.answer(id, "here")
            assert await call == "here"
            assert link.endpoint == other.endpoint
        other.close()

    run(work())


def test_a_server_that_is_idle_is_not_silent(server: FakeServer) -> None:
    async def work() -> None:
        async with linked(server.endpoint, silence_seconds=0.2) as link:
            await until(lambda: link.up)
            downs = []
            link._on_down = lambda: downs.append(1)
            await asyncio.sleep(1.2)
            call = link.call("x", {})
            id, _, _ = await server.take()
            server.answer(id, "still here")
            assert await call == "still here"
            assert downs == []

    run(work())


def test_a_dead_server_is_left_for_the_next(
    server: FakeServer, free_port: Callable[[], int]
) -> None:
    async def work() -> None:
        dead = f"tcp://127.0.0.1:{free_port()}"
        async with linked(dead, server.endpoint) as link:
            call = link.call("x", {})
            id, _, _ = await server.take()
            server.answer(id, "here")
            assert await call == "here"

    run(work())


def test_too_many_and_too_large_requests_are_refused(
    server: FakeServer,
) -> None:
    async def work() -> None:
        async with linked(server.endpoint, in_flight=2) as link:
            with pytest.raises(Refused) as caught:
                link.call("x", {"data": bytes(REQUEST_BYTES)})
            assert caught.value.code is Code.TOO_LARGE
            calls = [link.call("x", {}) for _ in range(2)]
            with pytest.raises(Refused) as caught:
                link.call("x", {})
            assert caught.value.code is Code.UNAVAILABLE
            for _ in calls:
                id, _, _ = await server.take()
                server.answer(id)
            await asyncio.gather(*calls)

    run(work())


def test_closing_fails_what_waits(server: FakeServer) -> None:
    async def work() -> None:
        async with linked(server.endpoint) as link:
            sent = link.call("x", {})
            await server.take()
            link.close()
            with pytest.raises(NoAnswer, match="closed") as caught:
                await sent
            assert caught.value.sent
            with pytest.raises(NoAnswer) as caught:
                link.call("x", {})
            assert not caught.value.sent

    run(work())


def test_a_failing_reply_harms_no_other(server: FakeServer) -> None:
    async def work() -> None:
        faults: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: faults.append(context["exception"])
        )

        def reply(error: Any, result: Any) -> None:
            raise RuntimeError("of the application")

        async with linked(server.endpoint) as link:
            link.request("x", {}, reply)
            call = link.call("x", {})
            for _ in range(2):
                id, _, _ = await server.take()
                server.answer(id, "fine")
            assert await call == "fine"
        assert [str(fault) for fault in faults] == ["of the application"]

    run(work())


def test_a_given_up_call_is_no_fault(server: FakeServer) -> None:
    async def work() -> None:
        async with linked(server.endpoint) as link:
            link.call("x", {}).cancel()
            call = link.call("x", {})
            for _ in range(2):
                id, _, _ = await server.take()
                server.answer(id, "fine")
            assert await call == "fine"

    run(work())


def test_sockets_are_given_back(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[connection.ZmqSocket] = []

    class Counted(connection.ZmqSocket):
        def __init__(self, *options: Any) -> None:
            super().__init__(*options)
            made.append(self)

    monkeypatch.setattr(connection, "ZmqSocket", Counted)

    async def work() -> None:
        dead = "tcp://127.0.0.1:1"
        async with linked(
            dead, dead, "tcp://no.such:x", server.endpoint
        ) as link:
            await until(lambda: link.up)

    run(work())
    assert len(made) == 3
    assert all(plug.socket.closed for plug in made)


@pytest.mark.parametrize("attempt", [0, 3, 7, 50])
def test_backoff_grows_and_is_jittered(attempt: int) -> None:
    ceiling = min(5.0, 0.05 * 2 ** min(attempt, 16))
    tries = {connection.backoff_seconds(attempt) for _ in range(50)}
    assert len(tries) > 1
    assert all(ceiling / 2 <= seconds <= ceiling for seconds in tries)


class TestSubscriber:
    """Against a bare XPUB."""

    @pytest.fixture
    def publisher(
        self, ctx: "zmq.Context[Any]", free_port: Callable[[], int]
    ) -> Iterator[Any]:
        socket = ctx.socket(zmq.XPUB)
        socket.linger = 0
        socket.bind(f"tcp://127.0.0.1:{free_port()}")
        yield socket
        socket.close()

    async def pump(self, publisher: Any, came: list[bytes]) -> None:
        """Answer barriers, keep the other subscriptions."""
        while True:
            while publisher.poll(0):
                frame = publisher.recv()
                if frame[:2] == b"\x01b":
                    publisher.send_multipart([frame[1:], b""])
                came.append(frame)
            await asyncio.sleep(0.005)

    def test_more_topics_than_the_high_water_mark(
        self, publisher: Any
    ) -> None:
        async def work() -> None:
            came: list[bytes] = []
            pump = asyncio.create_task(self.pump(publisher, came))
            got: list[tuple[bytes, bytes]] = []
            state = []
            subscriber = Subscriber(
                publisher.last_endpoint.decode(),
                lambda topic, body: got.append((topic, body)),
                lambda: state.append("up"),
                lambda: state.append("down"),
                lambda: state.append("renewed"),
            )
            wanted = [b"c" + n.to_bytes(16, "big") for n in range(3000)]
            subscriber.subscribe(wanted, lambda: state.append("live"))
            await until(lambda: "live" in state)
            assert {
                frame[1:] for frame in came if frame[:2] == b"\x01c"
            } == set(wanted)
            publisher.send_multipart([wanted[-1], b"body"])
            publisher.send_multipart([b"x" * 17, b"not subscribed"])
            publisher.send_multipart([wanted[0], b"three", b"frames"])
            publisher.send_multipart([wanted[0], b"last"])
            await until(lambda: len(got) == 2)
            assert got == [(wanted[-1], b"body"), (wanted[0], b"last")]
            subscriber.unsubscribe(wanted[:1])
            await until(lambda: b"\x00" + wanted[0] in came)
            subscriber.close()
            pump.cancel()
            assert state == ["up", "live"]

        run(work())

    def test_topics_go_out_in_portions_and_one_barrier_stays(
        self, publisher: Any
    ) -> None:
        """A proxy that connects anew repeats the barrier that stands."""

        async def work() -> None:
            came: list[bytes] = []
            pump = asyncio.create_task(self.pump(publisher, came))
            state: list[str] = []
            subscriber = Subscriber(
                publisher.last_endpoint.decode(),
                lambda topic, body: state.append("event"),
                lambda: None,
                lambda: None,
                lambda: state.append("renewed"),
            )
            wanted = [b"c" + n.to_bytes(16, "big") for n in range(1200)]
            subscriber.subscribe(wanted, lambda: state.append("live"))
            subscriber.subscribe([b"d" + bytes(16)], lambda: None)
            subscriber.unsubscribe(wanted[-1:])
            await until(lambda: b"\x01d" + bytes(16) in came)
            await until(lambda: sum(f[:2] == b"\x00b" for f in came) == 3)
            barriers = [n for n, f in enumerate(came) if f[:2] == b"\x01b"]
            assert len(barriers) == 4
            assert barriers[0] == 500
            assert b"\x01" + wanted[-1] not in came
            assert state == ["live"]
            for n in barriers:
                publisher.send_multipart([came[n][1:], b""])
            await until(lambda: state == ["live", "renewed"])
            subscriber.close()
            pump.cancel()

        run(work())

    def test_nothing_is_read_while_paused(self, publisher: Any) -> None:
        async def work() -> None:
            came: list[bytes] = []
            pump = asyncio.create_task(self.pump(publisher, came))
            got: list[bytes] = []
            live: list[int] = []
            subscriber = Subscriber(
                publisher.last_endpoint.decode(),
                lambda topic, body: got.append(body),
                lambda: None,
                lambda: None,
                lambda: None,
            )
            topic = b"c" + bytes(16)
            subscriber.subscribe([topic], lambda: live.append(1))
            await until(lambda: live)
            subscriber.pause()
            publisher.send_multipart([topic, b"one"])
            await asyncio.sleep(0.2)
            assert got == []
            subscriber.resume()
            await until(lambda: got == [b"one"])
            subscriber.close()
            pump.cancel()

        run(work())

    def test_the_end_of_the_server_is_told_once(self, publisher: Any) -> None:
        async def work() -> None:
            state: list[str] = []
            subscriber = Subscriber(
                publisher.last_endpoint.decode(),
                lambda topic, body: None,
                lambda: state.append("up"),
                lambda: state.append("down"),
                lambda: state.append("renewed"),
            )
            await until(lambda: state == ["up"])
            publisher.close()
            await until(lambda: state == ["up", "down"])
            subscriber.close()

        run(work())

"""One event connection for many streams, without a socket."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import pytest

from zchat.gateway import feed
from zchat.gateway.feed import BACKLOG, EventFeed, Member

ENDPOINT = "tcp://127.0.0.1:1"


class Connection:
    """What the feed has of the broker; barriers are answered by hand."""

    made: list["Connection"]

    def __init__(
        self,
        endpoint: str,
        received: Callable[[bytes, bytes], None],
        up: Callable[[], None],
        down: Callable[[], None],
        renewed: Callable[[], None],
        keys: object,
    ) -> None:
        self.received = received
        self.up = up
        self.down = down
        self.renewed = renewed
        self.topics: list[bytes] = []
        self.barriers: list[Callable[[], None]] = []
        self.is_paused = False
        self.is_closed = False
        self.made.append(self)

    def subscribe(
        self, wanted: Iterable[bytes], live: Callable[[], None]
    ) -> None:
        self.topics += wanted
        self.barriers.append(live)

    def unsubscribe(self, unwanted: Iterable[bytes]) -> None:
        for topic in unwanted:
            self.topics.remove(topic)

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def close(self) -> None:
        self.is_closed = True


class Person:
    """One who joins a feed, and what comes of it."""

    def __init__(self, feed: EventFeed) -> None:
        self.came: list[bytes] = []
        self.told: list[str] = []
        self.member: Member = feed.join(
            ENDPOINT,
            lambda topic, body: self.came.append(body),
            lambda: self.told.append("up"),
            lambda: self.told.append("down"),
            lambda: self.told.append("renewed"),
        )

    def want(self, *topics: bytes) -> None:
        self.member.subscribe(topics, lambda: self.told.append("live"))


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    monkeypatch.setattr(feed, "Subscriber", Connection)
    monkeypatch.setattr(Connection, "made", [], raising=False)
    return Connection.made


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


async def settled(turns: int = 5) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


def test_all_share_one_connection(connections: list[Connection]) -> None:
    async def work() -> None:
        shared = EventFeed()
        people = [Person(shared) for _ in range(3)]
        (connection,) = connections
        connection.up()
        late = Person(shared)
        await settled()
        assert [one.told for one in [*people, late]] == [["up"]] * 4
        for one in people:
            one.want(b"a")
        people[0].want(b"b")
        assert connection.topics == [b"a", b"b"]
        connection.received(b"a", b"to all")
        connection.received(b"b", b"to one")
        connection.received(b"c", b"to nobody")
        await settled()
        assert people[0].came == [b"to all", b"to one"]
        assert people[1].came == people[2].came == [b"to all"]
        assert late.came == []

    run(work())


def test_a_subscription_is_live_when_its_barrier_came(
    connections: list[Connection],
) -> None:
    async def work() -> None:
        shared = EventFeed()
        first, second = Person(shared), Person(shared)
        first.want(b"a")
        second.want(b"a")
        told = [first.told, second.told]
        assert told == [[], []]
        for live in connections[0].barriers:
            live()
        assert told == [["live"], ["live"]]

    run(work())


def test_a_topic_is_given_up_by_the_last_who_wants_it(
    connections: list[Connection],
) -> None:
    async def work() -> None:
        shared = EventFeed()
        first, second = Person(shared), Person(shared)
        first.want(b"a", b"b")
        second.want(b"a")
        first.member.unsubscribe([b"a", b"b", b"c"])
        assert connections[0].topics == [b"a"]
        closed = []
        for one in (first, second):
            one.member.close()
            closed.append(connections[0].is_closed)
        assert closed == [False, True]
        Person(shared)
        assert len(connections) == 2

    run(work())


def test_all_are_told_of_a_lost_connection_and_make_a_new_one(
    connections: list[Connection],
) -> None:
    async def work() -> None:
        shared = EventFeed()
        first, second = Person(shared), Person(shared)
        connections[0].up()
        connections[0].renewed()
        connections[0].down()
        assert connections[0].is_closed
        assert first.told == second.told == ["up", "renewed", "down"]
        third = Person(shared)
        connections[1].up()
        await settled()
        assert (third.told, len(first.told)) == (["up"], 3)

    run(work())


def test_one_who_is_paused_is_passed_over_and_then_catches_up(
    connections: list[Connection],
) -> None:
    async def work() -> None:
        shared = EventFeed()
        first, second = Person(shared), Person(shared)
        for one in (first, second):
            one.want(b"a")
        first.member.pause()
        connections[0].received(b"a", b"1")
        await settled()
        assert (first.came, second.came) == ([], [b"1"])
        first.member.resume()
        second.member.pause()
        second.member.resume()
        await settled()
        assert (first.told, second.told) == (["renewed"], [])

    run(work())


def test_handing_out_takes_turns_and_keeps_the_order(
    connections: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        monkeypatch.setattr(feed, "TURN_SECONDS", 0.0)
        shared = EventFeed()
        people = [Person(shared) for _ in range(5)]
        for one in people:
            one.want(b"a")
        for number in range(3):
            connections[0].received(b"a", b"%d" % number)
        await asyncio.sleep(0)
        assert [len(one.came) for one in people] == [1, 0, 0, 0, 0]
        people[4].member.close()
        await settled(20)
        for one in people[:4]:
            assert one.came == [b"0", b"1", b"2"]
        assert people[4].came == []

    run(work())


def test_no_more_is_read_than_can_be_handed_out(
    connections: list[Connection],
) -> None:
    async def work() -> None:
        shared = EventFeed()
        one = Person(shared)
        one.want(b"a")
        for number in range(BACKLOG):
            assert not connections[0].is_paused
            connections[0].received(b"a", b"%d" % number)
        assert connections[0].is_paused
        await settled(10 * BACKLOG)
        assert len(one.came) == BACKLOG
        assert not connections[0].is_paused

    run(work())

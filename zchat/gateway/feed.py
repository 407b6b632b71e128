"""One event connection for all streams of the gateway.

Each stream is a device that wants its own topics. Did each have its own
connection, the broker would send the common chat's events once for each,
and the gateway would keep a queue for each. Here they share one: a topic
is subscribed when the first wants it, and what comes is handed to all who
want it.

- Handing one event to a thousand streams takes longer than anybody should
  have to wait, so it is done in turns of TURN_SECONDS, between which the
  loop serves others. What came stays in order: the next event is handed
  out when all have had the one before.
- While BACKLOG events wait to be handed out, nothing is read; what the
  broker then drops for us, each device notices and fetches.
- A member that is paused is passed over. What it missed is made good when
  it goes on: it is told that its connection was renewed, which makes it
  catch up.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from zchat.certificates import CurveKeys
from zchat.client.connection import Subscriber

TURN_SECONDS: Final = 0.002
BACKLOG: Final = 256

Received = Callable[[bytes, bytes], None]


class EventFeed:
    """Gives devices event connections that are all the same one."""

    def __init__(self) -> None:
        self._upstreams: dict[str, _Upstream] = {}

    def join(
        self,
        endpoint: str,
        received: Received,
        up: Callable[[], None],
        down: Callable[[], None],
        renewed: Callable[[], None],
        keys: CurveKeys | None = None,
    ) -> "Member":
        """A share of the connection to an endpoint, like a Subscriber."""
        upstream = self._upstreams.get(endpoint)
        if upstream is None:
            upstream = self._upstreams[endpoint] = _Upstream(
                endpoint,
                keys,
                lambda: self._upstreams.pop(endpoint, None),
            )
        return upstream.join(Member(upstream, received, up, down, renewed))


class Member:
    """One device's share; the interface is that of a Subscriber."""

    def __init__(
        self,
        upstream: "_Upstream",
        received: Received,
        up: Callable[[], None],
        down: Callable[[], None],
        renewed: Callable[[], None],
    ) -> None:
        self._upstream = upstream
        self._received = received
        self.up = up
        self.down = down
        self.renewed = renewed
        self.topics: set[bytes] = set()
        self._is_paused = False
        self._has_missed = False
        self._is_closed = False

    def subscribe(
        self, wanted: Iterable[bytes], live: Callable[[], None]
    ) -> None:
        """Subscribe; `live` is called once all of it has taken effect."""
        self._upstream.subscribe(
            self, wanted, lambda: None if self._is_closed else live()
        )

    def unsubscribe(self, unwanted: Iterable[bytes]) -> None:
        """Forget these topics."""
        self._upstream.unsubscribe(self, unwanted)

    def pause(self) -> None:
        """Take nothing until `resume`."""
        self._is_paused = True

    def resume(self) -> None:
        """Go on; what was missed is noticed as after a lost connection."""
        self._is_paused = False
        if self._has_missed:
            self._has_missed = False
            asyncio.get_running_loop().call_soon(self._renew)

    def _renew(self) -> None:
        if not self._is_closed:
            self.renewed()

    def take(self, topic: bytes, body: bytes) -> None:
        """An event of a topic that this one wants."""
        if self._is_paused:
            self._has_missed = True
        elif not self._is_closed:
            self._received(topic, body)

    def close(self) -> None:
        """Leave; nothing is called any more."""
        if not self._is_closed:
            self._is_closed = True
            self._upstream.leave(self)


class _Upstream:
    """The connection to one endpoint, and its members."""

    def __init__(
        self,
        endpoint: str,
        keys: CurveKeys | None,
        forget: Callable[[], object],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._forget = forget
        self._members: dict[Member, None] = {}
        self._wanting: dict[bytes, dict[Member, None]] = {}
        self._backlog: deque[tuple[bytes, bytes]] = deque()
        self._rest: Iterator[Member] = iter(())
        self._is_handing_out = False
        self._is_paused = False
        self._is_up = False
        self._subscriber = Subscriber(
            endpoint,
            self._take,
            self._came_up,
            self._went_down,
            self._renewed,
            keys,
        )

    def join(self, member: Member) -> Member:
        """Let a device in; it is told that the connection is up."""
        self._members[member] = None
        if self._is_up:
            self._loop.call_soon(self._welcome, member)
        return member

    def _welcome(self, member: Member) -> None:
        if self._is_up and member in self._members:
            member.up()

    def leave(self, member: Member) -> None:
        """Let a device go; without any, the connection is closed."""
        self.unsubscribe(member, list(member.topics))
        self._members.pop(member, None)
        if not self._members:
            self._close()

    def subscribe(
        self,
        member: Member,
        wanted: Iterable[bytes],
        live: Callable[[], None],
    ) -> None:
        """Subscribe to what nobody wanted before.

        There is a barrier in any case: another's subscription may not
        have taken effect yet.
        """
        new = []
        for topic in wanted:
            member.topics.add(topic)
            members = self._wanting.get(topic)
            if members is None:
                members = self._wanting[topic] = {}
                new.append(topic)
            members[member] = None
        self._subscriber.subscribe(new, live)

    def unsubscribe(self, member: Member, unwanted: Iterable[bytes]) -> None:
        """Unsubscribe from what nobody wants any more."""
        nobody = []
        for topic in unwanted:
            member.topics.discard(topic)
            members = self._wanting.get(topic, {})
            members.pop(member, None)
            if not members and self._wanting.pop(topic, None) is not None:
                nobody.append(topic)
        if nobody:
            self._subscriber.unsubscribe(nobody)

    # -- what the connection says

    def _came_up(self) -> None:
        self._is_up = True
        for member in list(self._members):
            self._welcome(member)

    def _went_down(self) -> None:
        members = list(self._members)
        self._members.clear()
        self._close()
        for member in members:
            member.down()

    def _renewed(self) -> None:
        for member in list(self._members):
            member.renewed()

    def _close(self) -> None:
        self._is_up = False
        self._forget()
        self._backlog.clear()
        self._wanting.clear()
        self._subscriber.close()

    # -- handing out

    def _take(self, topic: bytes, body: bytes) -> None:
        if topic not in self._wanting:
            return
        self._backlog.append((topic, body))
        if len(self._backlog) >= BACKLOG:
            self._is_paused = True
            self._subscriber.pause()
        if len(self._backlog) == 1:
            self._loop.call_soon(self._hand_out)

    def _hand_out(self) -> None:
        """Hand out for one turn."""
        ends = time.perf_counter() + TURN_SECONDS
        while self._backlog:
            topic, body = self._backlog[0]
            if not self._is_handing_out:
                self._is_handing_out = True
                self._rest = iter(list(self._wanting.get(topic, ())))
            for member in self._rest:
                member.take(topic, body)
                if time.perf_counter() >= ends:
                    self._loop.call_soon(self._hand_out)
                    return
            self._is_handing_out = False
            if self._backlog:
                self._backlog.popleft()
        if self._is_paused:
            self._is_paused = False
            self._subscriber.resume()

"""A session at work: its commands carried out on the sockets."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypeVar

import msgspec
import zmq

from zchat.certificates import CurveKeys
from zchat.client.addresses import events_endpoint
from zchat.client.connection import (
    NoAnswer,
    Reply,
    Subscriber,
    backoff_seconds,
)
from zchat.client.session import (
    AskChanges,
    AskSync,
    ChatCursor,
    Command,
    Cursors,
    Deliver,
    Event,
    Fetch,
    Reconnect,
    Session,
    Subscribe,
    Unsubscribe,
)
from zchat.errors import Code, Refused, ZchatError
from zchat.rpc import events, results

TICK_SECONDS: Final = 1.0
PRESENT_SECONDS: Final = 60.0
"""A device that asked nothing for so long asks something, since only who
asks counts as online."""
QUEUE_LIMIT: Final = 2000
PAUSE_SECONDS: Final = 5.0

Filling = TypeVar("Filling", bound=results.Result)

_log = logging.getLogger("zchat.client")


class EventConnection(Protocol):
    """What a device needs of a Subscriber."""

    def subscribe(
        self, wanted: Iterable[bytes], live: Callable[[], None]
    ) -> None: ...

    def unsubscribe(self, unwanted: Iterable[bytes]) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def close(self) -> None: ...


class Requests(Protocol):
    """What a device needs of a Link."""

    @property
    def endpoint(self) -> str: ...

    @property
    def keys(self) -> CurveKeys | None: ...

    def request(
        self,
        method: str,
        params: dict[str, Any],
        reply: Reply,
        *,
        resend: bool = False,
    ) -> None: ...


class Connect(Protocol):
    """Makes event connections, as Subscriber does."""

    def __call__(
        self,
        endpoint: str,
        received: Callable[[bytes, bytes], None],
        up: Callable[[], None],
        down: Callable[[], None],
        renewed: Callable[[], None],
        keys: CurveKeys | None,
        /,
    ) -> EventConnection: ...


class Device:
    """One device's events, as they are taken with `next_event`.

    While QUEUE_LIMIT events wait to be taken nothing more is read, and
    after PAUSE_SECONDS the event connection is given up, so that neither
    side keeps what nobody takes. What was missed is fetched when there is
    room again. `begun` is the answer to
    a `sync` that was asked before, from which on events count. `connect`
    makes the event connection.
    """

    def __init__(
        self,
        link: Requests,
        token: str,
        session: Session,
        begun: results.Sync | None = None,
        connect: Connect = Subscriber,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._link = link
        self._token = token
        self._session = session
        self._queue: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._held_back: list[Fetch | AskChanges] = []
        self._paused = False
        self._failure: ZchatError | None = None
        self._closed = False
        self._connect = connect
        self._subscriber: EventConnection | None = None
        self._attempt = 0
        self._asked_at = self._loop.time()
        self._carry_out: dict[type[Command], Callable[[Any], None]] = {
            Deliver: self._deliver,
            Fetch: self._fetch,
            AskChanges: self._ask_changes,
            AskSync: self._sync,
            Subscribe: self._subscribe,
            Unsubscribe: self._unsubscribe,
            Reconnect: self._reconnect,
        }
        self._retry: asyncio.Handle = self._loop.call_soon(self._ask_where)
        self._ticker = self._loop.call_later(TICK_SECONDS, self._tick)
        self._giving_up: asyncio.Handle | None = None
        if begun is not None:
            self._run(session.synced(begun))

    @property
    def epoch(self) -> str | None:
        """The store's epoch, once it is known."""
        return self._session.epoch

    @property
    def waiting(self) -> int:
        """How many events wait to be taken."""
        return len(self._queue)

    def cursors(self) -> Cursors:
        """The counts of each chat up to which events were taken."""
        reached = self._session.cursors()
        seqs, revisions = {}, {}
        for event in reversed(self._queue):
            if isinstance(event, events.MessageSent):
                seqs[event.chat_id] = event.seq - 1
            elif isinstance(event, events.CountedEvent):
                revisions[event.chat_id] = event.revision - 1
        if not (seqs or revisions):
            return reached
        return Cursors(
            reached.epoch,
            tuple(
                ChatCursor(
                    at.chat_id,
                    seqs.get(at.chat_id, at.seq),
                    # What a sync told carries the revision of the sync.
                    min(revisions.get(at.chat_id, at.revision), at.revision)
                    if at.revision is not None
                    else None,
                )
                for at in reached.chats
            ),
        )

    async def next_event(self) -> Event | None:
        """The next event, waited for; None once closed.

        Raises what makes it impossible to go on, as Refused.
        """
        while not self._queue:
            if self._failure is not None:
                raise self._failure
            if self._closed:
                return None
            self._wake.clear()
            await self._wake.wait()
        event = self._queue.popleft()
        if self._paused and len(self._queue) < QUEUE_LIMIT // 2:
            self._resume()
        return event

    def close(self) -> None:
        """Close the event connection."""
        self._closed = True
        self._retry.cancel()
        self._ticker.cancel()
        if self._giving_up is not None:
            self._giving_up.cancel()
        self._drop_subscriber()
        self._wake.set()

    # The event connection.

    def _ask_where(self) -> None:
        try:
            self._link.request("hello", {}, self._told_where, resend=True)
        except ZchatError:
            self._retry_later()

    def _told_where(
        self, error: Refused | NoAnswer | None, result: Any
    ) -> None:
        if self._closed or self._paused or self._subscriber is not None:
            return
        try:
            if error is not None:
                raise error
            hello = msgspec.convert(result, results.Hello)
            self._subscriber = self._connect(
                events_endpoint(hello.events, self._link.endpoint),
                self._published,
                self._came_up,
                self._went_down,
                self._renewed,
                self._link.keys,
            )
        except (ZchatError, msgspec.ValidationError, zmq.ZMQError) as fault:
            _log.warning("no events: %s", fault)
            self._retry_later()

    def _retry_later(self) -> None:
        if not self._closed:
            delay = backoff_seconds(self._attempt)
            self._attempt += 1
            self._retry = self._loop.call_later(delay, self._ask_where)

    def _came_up(self) -> None:
        self._attempt = 0
        self._run(self._session.connected(self._loop.time()))

    def _went_down(self) -> None:
        self._drop_subscriber()
        self._run(self._session.disconnected())
        self._retry_later()

    def _renewed(self) -> None:
        self._run(self._session.renewed(self._loop.time()))

    def _drop_subscriber(self) -> None:
        if self._subscriber is not None:
            self._subscriber.close()
            self._subscriber = None

    def _published(self, topic: bytes, body: bytes) -> None:
        self._run(self._session.published(topic, body))

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(TICK_SECONDS, self._tick)
        if not self._paused:
            self._run(self._session.tick(self._loop.time()))
        if self._loop.time() >= self._asked_at + PRESENT_SECONDS:
            self._request("settings", {}, lambda error, result: None)

    def was_read(self, chat_id: str, seq: int) -> None:
        """The user's read position in a chat is known from an answer."""
        self._run(self._session.was_read(chat_id, seq))

    def use_token(self, token: str) -> None:
        """The user has another token from now on."""
        self._token = token

    # The commands.

    def _run(self, commands: list[Command]) -> None:
        for command in commands:
            self._carry_out[type(command)](command)
        if self._queue:
            self._wake.set()
            if len(self._queue) >= QUEUE_LIMIT:
                self._pause()

    def _deliver(self, command: Deliver) -> None:
        self._queue.append(command.event)

    def _reconnect(self, command: Reconnect) -> None:
        self._drop_subscriber()
        self._retry_later()

    def _unsubscribe(self, command: Unsubscribe) -> None:
        if self._subscriber is not None:
            self._subscriber.unsubscribe(command.topics)

    def _subscribe(self, command: Subscribe) -> None:
        if self._subscriber is not None:
            self._subscriber.subscribe(
                command.topics, lambda: self._run(self._session.live(command))
            )

    def _sync(self, command: AskSync) -> None:
        def reply(error: Refused | NoAnswer | None, result: Any) -> None:
            try:
                if error is not None:
                    raise error
                sync = msgspec.convert(result, results.Sync)
            except (ZchatError, msgspec.ValidationError) as fault:
                self._sync_failed(fault)
            else:
                self._run(self._session.synced(sync))

        self._request("sync", {}, reply)

    def _sync_failed(self, fault: Exception) -> None:
        if self._closed:
            return
        if isinstance(fault, Refused) and fault.code is Code.UNAUTHORIZED:
            self._fail(fault)
            return
        _log.warning("sync failed: %s", fault)
        self._run(self._session.sync_refused())

    def _fail(self, fault: ZchatError) -> None:
        """Nothing more can come."""
        self._failure = fault
        self._wake.set()

    def _fetch(self, fetch: Fetch) -> None:
        self._fill(
            fetch,
            "history",
            results.History,
            lambda page: self._session.fetched(fetch, page),
        )

    def _ask_changes(self, asked: AskChanges) -> None:
        self._fill(
            asked,
            "changes",
            results.Changes,
            lambda found: self._session.changed(asked, found),
        )

    def _fill(
        self,
        request: Fetch | AskChanges,
        method: str,
        kind: type[Filling],
        take: Callable[[Filling], list[Command]],
    ) -> None:
        """Ask for what fills a hole; not now, if nothing more is read."""

        def reply(error: Refused | NoAnswer | None, result: Any) -> None:
            try:
                if error is not None:
                    raise error
                found = msgspec.convert(result, kind)
            except (ZchatError, msgspec.ValidationError) as fault:
                _log.info("%s failed: %s", method, fault)
                self._run(self._session.fetch_refused(request))
            else:
                self._run(take(found))

        if self._paused:
            self._held_back.append(request)
            return
        self._request(method, msgspec.structs.asdict(request), reply)

    def _request(
        self, method: str, params: dict[str, Any], reply: Reply
    ) -> None:
        self._asked_at = self._loop.time()
        try:
            self._link.request(
                method, {"token": self._token, **params}, reply, resend=True
            )
        except (Refused, NoAnswer) as error:
            self._loop.call_soon(reply, error, None)

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            if self._subscriber is not None:
                self._subscriber.pause()
            self._giving_up = self._loop.call_later(
                PAUSE_SECONDS, self._give_up
            )

    def _give_up(self) -> None:
        self._retry.cancel()
        self._drop_subscriber()
        self._run(self._session.disconnected())

    def _resume(self) -> None:
        self._paused = False
        if self._giving_up is not None:
            self._giving_up.cancel()
        if self._subscriber is not None:
            self._subscriber.resume()
        else:
            self._retry.cancel()
            self._ask_where()
        held_back, self._held_back = self._held_back, []
        self._run(list(held_back))

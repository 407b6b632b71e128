"""One stream of events: a device whose events are pushed to a client."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from zchat.client.device import Device
from zchat.client.session import (
    CaughtUp,
    Cursors,
    Event,
    Restored,
    Session,
)
from zchat.errors import ZchatError
from zchat.gateway.event_ids import Places
from zchat.gateway.feed import EventFeed
from zchat.gateway.messages import Sink
from zchat.gateway.paced_link import PacedLink
from zchat.gateway.shared_text import SharedTexts, Text
from zchat.gateway.stream_text import (
    END,
    Heartbeat,
    Open,
    event_head,
    opening_text,
    own_text,
)
from zchat.rpc import results

SILENCE_SECONDS: Final = 15.0
PENDING_BYTES: Final = 4 * 1024 * 1024
"""What may wait for a client before its device is paused."""
_ENTRY_BYTES: Final = 200
"""What an event in the queue takes up beside its text."""


class StreamDevice(Device):
    """A device that hands each event on at once, and keeps none."""

    def __init__(
        self,
        link: PacedLink,
        token: str,
        session: Session,
        begun: results.Sync,
        feed: EventFeed,
        deliver: Callable[[Event], None],
        failed: Callable[[], None],
    ) -> None:
        self._hand_on = deliver
        self._failed = failed
        super().__init__(link, token, session, begun, feed.join)

    def _deliver(self, command: Any) -> None:
        self._hand_on(command.event)

    def _fail(self, fault: ZchatError) -> None:
        super()._fail(fault)
        self._loop.call_soon(self._failed)

    def hold(self) -> None:
        """Read no events until `go_on`."""
        self._pause()

    def go_on(self) -> None:
        """Read events again; those between are fetched."""
        if self._paused:
            self._resume()


class EventStream:
    """The body of one answer to `GET /events`.

    `cursors` resume it; their epoch may be another than the store's,
    whose `sync` is `begun`. `ended` is called once, when nobody listens
    any more.
    """

    def __init__(
        self,
        link: PacedLink,
        feed: EventFeed,
        texts: SharedTexts,
        token: str,
        user_id: str,
        heartbeat_seconds: float,
        begun: results.Sync,
        cursors: Cursors | None,
        ended: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._texts = texts
        self._ended = ended
        self._sink: Sink | None = None
        self._is_closed = False
        self._pending: deque[tuple[bytes, Text | None]] = deque()
        self._held_bytes = 0
        self._waiting_bytes = 0
        self._epoch = begun.epoch
        is_resumed = cursors is not None and cursors.epoch == begun.epoch
        self._places = (
            Places(cursors) if cursors is not None and is_resumed else None
        )
        self._put(opening_text(Open(user_id, begun.epoch, is_resumed)))
        self._spoke_at = self._loop.time()
        self._timer = self._loop.call_later(SILENCE_SECONDS, self._listen)
        self._device = StreamDevice(
            link,
            token,
            Session(user_id, heartbeat_seconds, cursors=cursors),
            begun,
            feed,
            self._deliver,
            self._fail,
        )

    @property
    def held_bytes(self) -> int:
        """What it keeps of its own."""
        return self._held_bytes

    @property
    def waiting_bytes(self) -> int:
        """What waits for the client, with texts that are shared."""
        return self._waiting_bytes

    # -- what the connection says

    def begin(self, sink: Sink) -> None:
        """Push what is there, and from now on what comes."""
        if self._is_closed:
            sink.end()
            return
        self._sink = sink
        self.drained()

    def drained(self) -> None:
        """The client takes more."""
        sink = self._sink
        while self._pending and sink is not None and not sink.blocked:
            sink.send(*_pieces(*self._next()))
        if self._waiting_bytes < PENDING_BYTES // 2:
            self._device.go_on()

    def _next(self) -> tuple[bytes, Text | None]:
        """Take the next event off the queue."""
        head, text = self._pending.popleft()
        held = len(head) + _ENTRY_BYTES
        self._held_bytes -= held
        self._waiting_bytes -= held
        if text is not None:
            self._texts.dequeue(text)
            self._waiting_bytes -= len(text.json)
        return head, text

    def closed(self) -> None:
        """Nobody listens any more."""
        if not self._is_closed:
            self._is_closed = True
            self._timer.cancel()
            self._device.close()
            while self._pending:
                self._next()
            self._ended()

    def _fail(self) -> None:
        """The device cannot go on: the token is no longer known."""
        sink = self._sink
        self.closed()
        if sink is not None:
            sink.end()

    # -- what the device says

    def _deliver(self, event: Event) -> None:
        match event:
            case Restored(epoch):
                self._epoch = epoch
                self._places = None
            case CaughtUp():
                cursors = self._device.cursors()
                self._places = Places(cursors)
            case _ if self._places is not None:
                self._places.follow(event)
        id = "" if self._places is None else self._places.text
        self._put(event_head(event, id), self._texts.text_of(event))

    def _listen(self) -> None:
        """After a time of silence, show that the stream is alive."""
        silent = self._loop.time() - self._spoke_at
        if silent >= SILENCE_SECONDS:
            silent = 0.0
            self._put(own_text(Heartbeat(self._epoch)))
        self._timer = self._loop.call_later(
            SILENCE_SECONDS - silent, self._listen
        )

    def _put(self, head: bytes, text: Text | None = None) -> None:
        """Push an event, or keep it while the client takes nothing."""
        self._spoke_at = self._loop.time()
        sink = self._sink
        if sink is not None and not (self._pending or sink.blocked):
            sink.send(*_pieces(head, text))
        elif not self._is_closed:
            self._keep(head, text)
            if sink is not None:
                sink.tell_held()
                if self._waiting_bytes > PENDING_BYTES:
                    self._device.hold()

    def _keep(self, head: bytes, text: Text | None) -> None:
        self._pending.append((head, text))
        held = len(head) + _ENTRY_BYTES
        self._held_bytes += held
        self._waiting_bytes += held
        if text is not None:
            self._texts.enqueue(text)
            self._waiting_bytes += len(text.json)


def _pieces(head: bytes, text: Text | None) -> tuple[bytes, ...]:
    """An event as it is written; without a text, `head` is all of it."""
    return (head,) if text is None else (head, text.json, END)

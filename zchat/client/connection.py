"""The sockets of a client on asyncio: requests one way, events the other.

A socket is read through its file descriptor, which is edge-triggered:
after every send and receive EVENTS is looked at again
(docs/explanation/zeromq-traps.md, "Programming"). Reconnecting is done
here and not by libzmq, so that every loss is seen, and the next try may
go to another server.
"""

import asyncio
import errno
import logging
import os
import random
import struct
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import msgspec
import zmq

from zchat.certificates import CurveKeys
from zchat.errors import Code, Refused, ZchatError
from zchat.rpc import REQUEST_BYTES, codec, topics

ANSWER_SECONDS: Final = 30.0
SILENCE_SECONDS: Final = 10.0
IN_FLIGHT: Final = 1000
_DRAIN_LIMIT: Final = 256
_SWEEP_SECONDS: Final = 0.5
_FIRST_BACKOFF_SECONDS: Final = 0.05
_LAST_BACKOFF_SECONDS: Final = 5.0
# With -1, libzmq throws away what it received just before a break.
_NEVER_MILLISECONDS: Final = 3_600_000
_CLOSED: Final = "The client was closed."
_TOGETHER: Final = 16
"""So many requests of one turn of the loop go out at once."""
_PORTION: Final = 500
"""Topics subscribed at once; libzmq queues 1000 by default."""
_RECEIVE_HIGH_WATER: Final = 10_000
_UP: Final = zmq.Event.HANDSHAKE_SUCCEEDED
_DOWN: Final = (
    zmq.Event.DISCONNECTED
    | zmq.Event.CLOSED
    | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_AUTH
)
_MONITORED: Final = struct.Struct("=Hi")
_OTHER_MECHANISM: Final = 0x11000002
"""ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH of zmq.h."""
_UNEXPLAINED_LIMIT: Final = 5
"""A server that stops breaks off a handshake as well, but not so often."""
_OPTIONS: Final = {
    zmq.LINGER: 0,
    zmq.SNDHWM: 0,
    zmq.RECONNECT_IVL: _NEVER_MILLISECONDS,
    zmq.CONNECT_TIMEOUT: 3000,
    zmq.HANDSHAKE_IVL: 5000,
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 60,
    zmq.TCP_KEEPALIVE_INTVL: 15,
    zmq.TCP_KEEPALIVE_CNT: 4,
}

_log = logging.getLogger("zchat.client")


class NoAnswer(ZchatError):
    """A request got no answer.

    `sent` false: it never left and changed nothing. `sent` true: it may
    have taken effect.
    """

    def __init__(self, message: str, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Reply(Protocol):
    """Called once a request, with the result or with why there is none."""

    def __call__(
        self, error: Refused | NoAnswer | None, result: Any
    ) -> None: ...


def backoff_seconds(attempt: int) -> float:
    """How long to wait before a try: doubling, capped, with jitter."""
    ceiling = min(
        _LAST_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2 ** min(attempt, 16)
    )
    return random.uniform(ceiling / 2, ceiling)


def handshake_failure(
    event: int, value: int, keys: CurveKeys | None
) -> tuple[str, bool]:
    """Why hands were not shaken, and whether the server said so.

    Empty where the end had nothing to do with a handshake. A server
    drops what it cannot decrypt without a word.
    """
    if event == zmq.Event.HANDSHAKE_FAILED_AUTH:
        if value == 400:
            return (
                "The server does not know this client's key. "
                "Its operator must add the key to `clients/`.",
                True,
            )
        return "The server cannot check keys now. Tell its operator.", True
    if event == zmq.Event.HANDSHAKE_FAILED_PROTOCOL:
        if value == _OTHER_MECHANISM and keys is None:
            return (
                "The server accepts encrypted connections only. "
                "Give its --server-key, and your --client-key.",
                True,
            )
        return (
            "The server's connections are not encrypted. "
            "Leave --server-key out.",
            True,
        )
    broke_off = value in (errno.EPIPE, errno.ECONNRESET)
    if event == zmq.Event.HANDSHAKE_FAILED_NO_DETAIL and broke_off:
        return (
            "The server broke off the handshake. If it accepts encrypted "
            "connections only, give its --server-key."
            if keys is None
            else "The server broke off the encrypted handshake. "
            "Check that --server-key is this server's.",
            False,
        )
    return "", False


class Wire(Protocol):
    """What a Link sends its requests over; ZmqSocket says what each is."""

    closed: bool
    ended: tuple[int, int]

    def send(self, messages: Sequence[Sequence[bytes]]) -> int:
        """Send these, each its frames; how many were taken."""

    def receive(self, limit: int) -> list[bytes]:
        """So many answers at most of those that are there."""

    def check_soon(self) -> None: ...

    def close(self) -> None: ...


class Dial(Protocol):
    """Makes the connection to a server; raises zmq.ZMQError."""

    def __call__(
        self,
        endpoint: str,
        readable: Callable[[], None],
        up: Callable[[], None],
        down: Callable[[], None],
        keys: CurveKeys | None,
    ) -> Wire: ...


class ZmqSocket:
    """One ZeroMQ socket with one connection, watched on the loop.

    `readable` is called when messages may wait, `up` once the peer has
    shaken hands, `down` once when it has gone or did not come; `ended`
    is then libzmq's event and its value. With `keys` it is encrypted.
    """

    def __init__(
        self,
        kind: int,
        endpoint: str,
        readable: Callable[[], None],
        up: Callable[[], None],
        down: Callable[[], None],
        keys: CurveKeys | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._up = up
        self._down = down
        self._check_due = False
        self.ended: tuple[int, int] = (0, 0)
        self.readable = readable
        self.paused = False
        self.closed = False
        self.socket: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
        for option, value in _OPTIONS.items():
            self.socket.setsockopt(option, value)
        self.socket.setsockopt(zmq.RCVHWM, _RECEIVE_HIGH_WATER)
        if keys is not None:
            self.socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server)
            self.socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
        self._monitor: zmq.Socket[bytes] = self.socket.get_monitor_socket(
            _UP | _DOWN
        )
        self._monitor.setsockopt(zmq.LINGER, 0)
        self._fds: tuple[int, int] = (
            self.socket.getsockopt(zmq.FD),
            self._monitor.getsockopt(zmq.FD),
        )
        self._loop.add_reader(self._fds[0], self._ready)
        self._loop.add_reader(self._fds[1], self._watch)
        try:
            self.socket.connect(endpoint)
        except zmq.ZMQError:
            self.close()
            raise
        self._loop.call_soon(self._watch)

    def _ready(self) -> None:
        if not (self.paused or self.closed):
            self.readable()

    def _check(self) -> None:
        self._check_due = False
        if self.closed:
            return
        events: Any = self.socket.getsockopt(zmq.EVENTS)
        if events & zmq.POLLIN:
            self._ready()

    def send(self, messages: Sequence[Sequence[bytes]]) -> int:
        """Send these, each its frames; how many were taken."""
        taken = 0
        try:
            for frames in messages:
                self.socket.send_multipart(frames, zmq.NOBLOCK)
                taken += 1
        except zmq.Again:
            pass
        self.check_soon()
        return taken

    def receive(self, limit: int) -> list[bytes]:
        """The last frames of so many messages at most."""
        bodies: list[bytes] = []
        try:
            while len(bodies) < limit:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
                bodies.append(frames[-1])
        except zmq.Again:
            pass
        return bodies

    def check_soon(self) -> None:
        """Look for messages once more: call this after any use."""
        if not self._check_due:
            self._check_due = True
            self._loop.call_soon(self._check)

    def _watch(self) -> None:
        while not self.closed:
            try:
                frames = self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            event, value = _MONITORED.unpack(frames[0])
            if event & _UP:
                self._up()
            elif event & _DOWN:
                self.ended = (event, value)
                self._down()
                return

    def close(self) -> None:
        """Close both sockets; nothing is called any more."""
        if self.closed:
            return
        self.closed = True
        for fd in self._fds:
            self._loop.remove_reader(fd)
        self.socket.disable_monitor()
        self._monitor.close(0)
        self.socket.close(0)


def dial_zmq(
    endpoint: str,
    readable: Callable[[], None],
    up: Callable[[], None],
    down: Callable[[], None],
    keys: CurveKeys | None,
) -> ZmqSocket:
    """A DEALER, which a Link has unless it is given something else."""
    return ZmqSocket(zmq.DEALER, endpoint, readable, up, down, keys)


class _Waiting(msgspec.Struct):
    """A request without an answer yet."""

    reply: Reply
    frames: list[bytes]
    deadline: float
    resend: bool
    sent: bool = False


def _encoded(id: int, method: str, params: dict[str, Any]) -> bytes:
    try:
        return codec.encode_request(id, method, params)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise Refused(
            Code.BAD_REQUEST,
            "This cannot be sent. Text must be valid Unicode, and "
            "numbers at most 64 bits.",
        ) from None


class Link:
    """Requests to the first of several servers that answers.

    It reconnects by itself, to the next server in turn. A request made
    while there is no connection waits for one; one that was sent and
    lost goes out again where `resend` allows, in its first order, and
    else fails with NoAnswer. Answers may come in any order. Must be
    made and used on one running loop. `dial` makes its connections.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        answer_seconds: float = ANSWER_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
        in_flight: int = IN_FLIGHT,
        on_up: Callable[[], None] = lambda: None,
        on_down: Callable[[], None] = lambda: None,
        keys: CurveKeys | None = None,
        dial: Dial = dial_zmq,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._dial = dial
        self._endpoints = tuple(endpoints)
        self.keys = keys
        self._refusals = 0
        self._answer_seconds = answer_seconds
        self._silence_seconds = silence_seconds
        self._in_flight = in_flight
        self._on_up = on_up
        self._on_down = on_down
        self._waiting: dict[int, _Waiting] = {}
        self._unsent: list[_Waiting] = []
        self._last_id = 0
        self._tries = 0
        self._attempt = 0
        self._heard = self._loop.time()
        self._wire: Wire | None = None
        self._closed = False
        self.up = False
        self.endpoint = self._endpoints[0]
        self._retry: asyncio.Handle = self._loop.call_soon(self._open)
        self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def request(
        self,
        method: str,
        params: dict[str, Any],
        reply: Reply,
        *,
        resend: bool = False,
        lane: bytes = b"",
    ) -> None:
        """Ask; `reply` is called later, on the loop.

        Requests take effect in the order sent within a `lane`: a program
        that speaks for several users names one for each, so that they
        do not wait for one another.
        Raises Refused where the request cannot be taken (too large, not
        to be encoded, or too many already wait), NoAnswer after `close`.
        """
        if self._closed:
            raise NoAnswer(_CLOSED, sent=False)
        if len(self._waiting) >= self._in_flight:
            raise Refused(
                Code.UNAVAILABLE,
                "Too many requests are waiting for an answer. Try again "
                "in a moment.",
                retry_after=1,
            )
        self._last_id += 1
        body = _encoded(self._last_id, method, params)
        if len(body) > REQUEST_BYTES:
            raise Refused(
                Code.TOO_LARGE,
                "The request is too large. Send less at once.",
                limit=REQUEST_BYTES,
            )
        waiting = _Waiting(
            reply,
            [lane, body] if lane else [body],
            self._loop.time() + self._answer_seconds,
            resend,
        )
        self._waiting[self._last_id] = waiting
        if self.up:
            self._send_soon(waiting)

    def call(
        self, method: str, params: dict[str, Any], *, resend: bool = False
    ) -> asyncio.Future[Any]:
        """As `request`; the result or the error is in a future."""
        future: asyncio.Future[Any] = self._loop.create_future()

        def reply(error: Refused | NoAnswer | None, result: Any) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self.request(method, params, reply, resend=resend)
        return future

    def close(self) -> None:
        """Close; what still waits fails with NoAnswer."""
        self._closed = True
        self._retry.cancel()
        self._sweeper.cancel()
        self.up = False
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        self._fail(list(self._waiting), _CLOSED)

    def _open(self) -> None:
        self.endpoint = self._endpoints[self._tries % len(self._endpoints)]
        self._tries += 1
        try:
            self._wire = self._dial(
                self.endpoint,
                self._drain,
                self._came_up,
                self._lost,
                self.keys,
            )
        except zmq.ZMQError as error:
            _log.warning("cannot connect to %s: %s", self.endpoint, error)
            self._retry_later()

    def _retry_later(self) -> None:
        delay = backoff_seconds(self._attempt)
        self._attempt += 1
        self._retry = self._loop.call_later(delay, self._open)

    def _came_up(self) -> None:
        self.up = True
        self._refusals = 0
        self._attempt = 0
        self._heard = self._loop.time()
        self._send(list(self._waiting.values()))
        self._on_up()

    def _lost(self) -> None:
        wire, was_up = self._wire, self.up
        if wire is None:
            return
        self._receive(wire, self._in_flight)
        self._wire = None
        self.up = False
        wire.close()
        lost = [
            id
            for id, waiting in self._waiting.items()
            if waiting.sent and not waiting.resend
        ]
        for waiting in self._waiting.values():
            waiting.sent = False
        self._fail(
            lost,
            "The connection was lost before the answer arrived. The "
            "request may have taken effect.",
            sent=True,
        )
        self._note_refusal(*wire.ended)
        self._retry_later()
        if was_up:
            self._on_down()

    def _note_refusal(self, event: int, value: int) -> None:
        """Fail what waits once every server has refused to shake hands.

        It goes on trying: keys may be given to a running server.
        """
        reason, explained = handshake_failure(event, value, self.keys)
        if not reason:
            return
        self._refusals += 1
        tries = 1 if explained else _UNEXPLAINED_LIMIT
        if self._refusals >= tries * len(self._endpoints):
            self._refusals = 0
            self._fail(list(self._waiting), reason)

    def _send_soon(self, waiting: _Waiting) -> None:
        """Send at the end of this turn of the loop, or with enough others.

        What goes out in one go costs one wake-up of the I/O thread, or
        one write. A server that is idle should not wait for all of it.
        """
        if not self._unsent:
            self._loop.call_soon(self._send_unsent)
        self._unsent.append(waiting)
        if len(self._unsent) >= _TOGETHER:
            self._send_unsent()

    def _send_unsent(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self.up:
            self._send([waiting for waiting in unsent if not waiting.sent])

    def _send(self, waiting: Sequence[_Waiting]) -> None:
        wire = self._wire
        if wire is None or not waiting:
            return
        taken = wire.send([one.frames for one in waiting])
        for one in waiting[:taken]:
            one.sent = True

    def _drain(self) -> None:
        wire = self._wire
        if wire is not None and self._receive(wire, _DRAIN_LIMIT):
            wire.check_soon()

    def _receive(self, wire: Wire, limit: int) -> bool:
        """Take answers; whether there may be more."""
        self._heard = self._loop.time()
        bodies = wire.receive(limit)
        for body in bodies:
            self._answered(body)
        return len(bodies) == limit and not wire.closed

    def _answered(self, body: bytes) -> None:
        try:
            id, error, result = codec.decode_answer(body)
        except ValueError as unreadable:
            _log.warning("an answer cannot be read: %s", unreadable)
            return
        waiting = self._waiting.pop(id, None) if id is not None else None
        if waiting is None:
            return
        self._deliver(waiting.reply, error, result)

    def _deliver(
        self, reply: Reply, error: Refused | NoAnswer | None, result: Any
    ) -> None:
        try:
            reply(error, result)
        except Exception as fault:
            self._loop.call_exception_handler(
                {"message": "a reply callback failed", "exception": fault}
            )

    def _fail(
        self, ids: Iterable[int], message: str, sent: bool | None = None
    ) -> None:
        for id in ids:
            waiting = self._waiting.pop(id)
            left = waiting.sent if sent is None else sent
            self._deliver(waiting.reply, NoAnswer(message, left), None)

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        now = self._loop.time()
        late = []
        for id, waiting in self._waiting.items():
            if waiting.deadline > now:
                break
            late.append(id)
        self._fail(
            late,
            "The server did not answer in time."
            if self.up
            else f"No server answers at {', '.join(self._endpoints)}.",
        )
        oldest = next(iter(self._waiting.values()), None)
        if oldest is None or not self.up:
            return
        silent_since = max(self._heard, oldest.deadline - self._answer_seconds)
        if now - silent_since > self._silence_seconds:
            _log.warning("%s is silent; reconnecting", self.endpoint)
            self._lost()


class _Wanted(msgspec.Struct):
    """Topics that wait for their portion; `live` when all are."""

    topics: dict[bytes, None]
    live: Callable[[], None]


class Subscriber:
    """One connection to an event socket; `down` is called when it ends.

    `received` gets each message's topic and body. Reconnecting is for
    the owner to do, with a new Subscriber: it has to catch up anyway.

    Topics are subscribed in portions, each with a barrier behind it, so
    that no queue on the way has to hold them all. The last barrier stays
    subscribed: a proxy that connects anew subscribes to it again, so when
    it comes unasked, events may have been lost, and `renewed` is called.
    """

    def __init__(
        self,
        endpoint: str,
        received: Callable[[bytes, bytes], None],
        up: Callable[[], None],
        down: Callable[[], None],
        renewed: Callable[[], None],
        keys: CurveKeys | None = None,
    ) -> None:
        self._received = received
        self._renewed = renewed
        self._wanted: deque[_Wanted] = deque()
        self._barrier: bytes | None = None
        self._standing: bytes | None = None
        self._socket = ZmqSocket(
            zmq.SUB, endpoint, self._drain, up, down, keys
        )

    def subscribe(
        self, wanted: Iterable[bytes], live: Callable[[], None]
    ) -> None:
        """Subscribe; `live` is called once all of it has taken effect."""
        self._wanted.append(_Wanted(dict.fromkeys(wanted), live))
        if self._barrier is None:
            self._subscribe_portion()

    def unsubscribe(self, unwanted: Iterable[bytes]) -> None:
        """Forget these topics."""
        for topic in unwanted:
            waits = [w.topics for w in self._wanted if topic in w.topics]
            for waiting in waits:
                del waiting[topic]
            if not waits:
                self._socket.socket.unsubscribe(topic)
        self._socket.check_soon()

    def pause(self) -> None:
        """Read nothing until `resume`; the server drops what piles up."""
        self._socket.paused = True

    def resume(self) -> None:
        """Read on."""
        self._socket.paused = False
        self._socket.check_soon()

    def close(self) -> None:
        """Close; nothing is called any more."""
        self._socket.close()

    def _drain(self) -> None:
        plug = self._socket
        try:
            for _ in range(_DRAIN_LIMIT):
                frames = plug.socket.recv_multipart(zmq.NOBLOCK)
                if len(frames) == 2:
                    self._take(frames[0], frames[1])
                if plug.closed or plug.paused:
                    return
        except zmq.Again:
            return
        plug.check_soon()

    def _subscribe_portion(self) -> None:
        """Subscribe to the next topics that wait, and to a barrier."""
        waiting = self._wanted[0].topics
        for topic in list(waiting)[:_PORTION]:
            del waiting[topic]
            self._socket.socket.subscribe(topic)
        self._barrier = topics.barrier_topic(os.urandom(16))
        self._socket.socket.subscribe(self._barrier)
        self._socket.check_soon()

    def _take(self, topic: bytes, body: bytes) -> None:
        if topic == self._barrier:
            self._portion_is_live(topic)
        elif topic == self._standing:
            self._renewed()
        elif not topics.is_barrier(topic):
            self._received(topic, body)

    def _portion_is_live(self, barrier: bytes) -> None:
        """Go on with the next portion, or report that all are live."""
        if self._standing is not None:
            self._socket.socket.unsubscribe(self._standing)
        self._standing, self._barrier = barrier, None
        done = None
        if not self._wanted[0].topics:
            done = self._wanted.popleft()
        if self._wanted:
            self._subscribe_portion()
        self._socket.check_soon()
        if done is not None:
            done.live()

"""The broker: the sockets and the one loop.

One thread takes what has arrived, runs it as one batch, answers, and
publishes; while a batch is made durable the next one piles up in the
socket (docs/explanation/architecture.md, "One batch").
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

import structlog
import zmq

from zchat import __version__
from zchat.chat.environment import Facts
from zchat.chat.expiry import start
from zchat.chat.jobs import NoParams
from zchat.chat.quotas import count_totals
from zchat.chat.unit_of_work import UnitOfWork
from zchat.collector import calm_collector
from zchat.config import Settings
from zchat.engine import sockets
from zchat.engine.batch import Batches, Call
from zchat.engine.curve import ZapHandler
from zchat.engine.door import Door, GatewayDoor
from zchat.engine.entropy import SystemEntropy
from zchat.engine.fd_limit import DescriptorLimit
from zchat.engine.gateway_process import GatewayProcess
from zchat.engine.gateway_stream import GatewayStream
from zchat.engine.greeting import greeting
from zchat.engine.intake import Intake
from zchat.engine.keyring import Keyring
from zchat.engine.meters import Meters
from zchat.engine.operator_socket import operator_socket
from zchat.engine.pipes import Pipes
from zchat.engine.send_queue import QUICK_SECONDS, RETRY_SECONDS, SendQueue
from zchat.engine.subscribers import FloodGuard
from zchat.engine.timers import Every, Timers
from zchat.errors import (
    AddressInUse,
    ConfigError,
    StoreNotReady,
    StoreUnusable,
)
from zchat.model import SECOND, time_text
from zchat.rpc.codec import pack
from zchat.rpc.operator_results import BrokerStats
from zchat.rpc.topics import HEARTBEAT, is_barrier
from zchat.storage import open_store
from zchat.storage.base import Copying, Outgoing, Store

INTAKE_SHARE: Final = 4
"""Requests take so small a part of what may wait in all."""
SUBSCRIPTIONS_A_TURN: Final = 4_096
WATCH_SECONDS: Final = 0.5
COPYING_MILLISECONDS: Final = 20
COLLECT_OBJECTS: Final = 50_000
SWITCH_SECONDS: Final = 0.001
"""So soon the thread of the search index gives the interpreter back."""
_SUBSCRIBE: Final = b"\x01"
_WRONG_START: Final = 2

log = structlog.get_logger()


def clock() -> int:
    """The time in microseconds since the epoch."""
    return time.time_ns() // 1000


class Broker:
    """A store served on a ROUTER and an XPUB, until it is stopped."""

    def __init__(
        self,
        store: Store,
        batches: Batches,
        timers: Timers,
        meters: Meters,
        doors: tuple[Door, ...],
        events: Any,
        wake: socket.socket,
        poller: zmq.Poller,
        store_bytes: Callable[[], int | None],
        memory: int,
    ) -> None:
        self._store = store
        self._batches = batches
        self._timers = timers
        self._store_bytes = store_bytes
        self._memory = memory
        self._meters = meters
        self._doors = doors
        self._events = events
        self._floods = FloodGuard(sockets.own_name(events))
        self._send_event = sockets.sender(events)
        self._wake = wake
        self._stopping = False
        self._gaps = 0
        self._told = self._store_state()
        self._poller = poller
        routers = [door.router for door in doors]
        for readable in (*routers, events, wake, store.feed_fd()):
            if readable is not None:
                self._poller.register(readable, zmq.POLLIN)

    def stop(self) -> None:
        """Finish the batch at hand, answer it, and return from `run`."""
        self._stopping = True

    def run(self, child: GatewayProcess | None) -> None:
        """Serve until stopped."""
        self._meters.serving()
        watch = Every(WATCH_SECONDS, 0)
        open_files = DescriptorLimit()
        while not self._stopping:
            now = clock()
            if watch.ripe(now):
                open_files.watch()
                if child is not None:
                    child.watch()
            self._take_turn(
                min(self._timers.next_at(), now + int(WATCH_SECONDS * SECOND))
            )
        if child is not None:
            child.ask_to_stop()
            while child.stopping():
                self._take_turn(clock() + int(WATCH_SECONDS * SECOND))
        for door in self._doors:
            door.give_up_backups()
            door.send_queue.drain()

    def figures(self) -> BrokerStats:
        """What `stats` tells of this process."""
        queues = [door.send_queue for door in self._doors]
        return self._meters.shown(
            now=clock(),
            answers_waiting=sum(len(queue) for queue in queues),
            answers_lost=sum(queue.lost for queue in queues),
            clients_dropped=sum(queue.dropped for queue in queues),
            requests_waiting=sum(len(door.intake) for door in self._doors),
            feed_gaps=self._gaps,
            store_bytes=self._store_bytes(),
        )

    def _take_turn(self, until: int) -> None:
        """Wait for something to do, and do it."""
        pause = max(0, -(-(until - clock()) // 1000))
        is_quick = False
        for door in self._doors:
            if door.waiting:
                pause = 0
            if door.copying:
                door.answer_backups()
                pause = min(pause, COPYING_MILLISECONDS)
            if door.send_queue.waiting:
                door.send_queue.retry()
                pause = min(pause, int(RETRY_SECONDS * 1000))
                is_quick |= door.send_queue.is_quick
        ready = self._ready(pause, is_quick)
        if self._wake.fileno() in ready:
            self._wake.recv(4096)
        taken = [
            door.intake.take(
                door.has_arrived(ready), self._memory // INTAKE_SHARE
            )
            for door in self._doors
        ]
        now = clock()
        calls = self._timers.calls(now, is_idle=not any(taken))
        calls += [request.call for some in taken for request in some]
        if calls:
            self._run(calls)
            for door, pending in zip(self._doors, taken):
                door.answer(pending, self._batches.put_off)
            self._shed()
        self._publish_feed(now)
        if self._events in ready:
            self._take_subscriptions()
        if (
            self._timers.heartbeat.ripe(now)
            or self._told != self._store_state()
        ):
            self._beat(now)

    def _ready(self, pause: int, is_quick: bool) -> dict[Any, int]:
        """What is ready within so many milliseconds, or in far less."""
        ready = dict(self._poller.poll(0 if is_quick else pause))
        if is_quick and not ready:
            time.sleep(QUICK_SECONDS)
        return ready

    def _shed(self) -> None:
        """Drop slow clients while all doors together hold too much."""
        held = sum(door.held for door in self._doors)
        if held <= self._memory:
            return
        for door in sorted(
            self._doors, key=lambda door: door.held, reverse=True
        ):
            others = held - door.held
            door.shed(self._memory - others)
            held = others + door.held

    def _run(self, calls: list[Call]) -> None:
        """Run a batch, and measure it."""
        began = time.monotonic()
        self._batches.run_once([call for call in calls if not call.done])
        self._meters.batch(len(calls), time.monotonic() - began)

    # Events

    def _publish_feed(self, now: int) -> None:
        """Publish what was committed, here and by other brokers."""
        outgoing, lost = self._store.feed()
        for seconds in self._store.feed_delays():
            self._meters.fed(seconds)
        for event in outgoing:
            self._publish(event)
        for topic in dict.fromkeys(
            event.topic for event in outgoing if event.counted
        ):
            self._timers.heads.note(topic, now)
        if lost:
            log.warning("feed_lost")
            self._gaps += 1
            self._timers.feed_lost()
            self._beat(now)

    def _publish(self, event: Outgoing) -> None:
        self._meters.events += 1
        self._send_event(event.topic, sockets.MORE)
        self._send_event(event.body, sockets.NOBLOCK)

    def _beat(self, now: int) -> None:
        """Tell subscribers the time, the epoch, and how the store is.

        After a gap in the feed, which is a new number of gaps, they
        begin from the top and keep what they have.
        """
        work = self._batches.work
        work.facts = work.facts._replace(
            epoch=self._store.epoch, gaps=self._gaps
        )
        self._told = self._store_state()
        self._publish(
            Outgoing(
                HEARTBEAT,
                pack(
                    {
                        "epoch": self._store.epoch,
                        "time": time_text(now),
                        "gaps": self._gaps,
                        "store": self._told,
                    }
                ),
            )
        )

    def _store_state(self) -> str:
        most, open_now = self._store.connections()
        return "ready" if open_now == most else "away"

    def _take_subscriptions(self) -> None:
        """Answer barriers; whatever else subscribers send is nothing.

        libzmq gives a subscription as a message of its own; what stands
        in later parts of a message is none.
        """
        for _ in range(SUBSCRIPTIONS_A_TURN):
            try:
                frames = self._events.recv_multipart(sockets.NOBLOCK)
            except zmq.Again:
                return
            self._floods.heard()
            frame = frames[0]
            if frame[:1] == _SUBSCRIBE and is_barrier(frame[1:]):
                self._publish(Outgoing(frame[1:], b""))


def serve(settings: Settings) -> int:
    """Run a broker, and its gateway, until SIGTERM or Ctrl-C.

    Returns the exit status: 2 where it could not start, 75 where it may
    start later as it is (EX_TEMPFAIL of sysexits.h).
    """
    with ExitStack() as stack:
        try:
            keyring = _keyring(settings)
            poller = zmq.Poller()
            stream = GatewayStream(poller)
            stack.callback(stream.close)
            broker = _open(settings, keyring, poller, stream, stack)
            child = _gateway(settings, stream, keyring)
        except (ConfigError, StoreUnusable) as error:
            print(f"zchat: {error}", file=sys.stderr, flush=True)
            may_come = isinstance(error, AddressInUse | StoreNotReady)
            return os.EX_TEMPFAIL if may_come else _WRONG_START
        if child is not None:
            stack.callback(child.close)
        log.info(
            "started",
            version=__version__,
            pid=os.getpid(),
            store=settings.shown_store(),
            rpc=settings.rpc,
            events=settings.events,
        )
        print(greeting(settings), flush=True)
        calm_collector(COLLECT_OBJECTS)
        sys.setswitchinterval(SWITCH_SECONDS)
        broker.run(child)
        log.info("stopping")
    log.info("stopped")
    return 0


def _keyring(settings: Settings) -> Keyring | None:
    if settings.curve_keys is None:
        return None
    try:
        return Keyring(Path(settings.curve_keys), settings.curve_any)
    except OSError as error:
        raise ConfigError(
            f"--curve-keys: {error.filename} cannot be read: "
            f"{error.strerror}; `zchat keygen {settings.curve_keys}` makes it"
        ) from None


def _gateway(
    settings: Settings, stream: GatewayStream, keyring: Keyring | None
) -> GatewayProcess | None:
    if settings.no_http:
        return None
    return GatewayProcess(
        settings,
        stream.connect,
        None if keyring is None else keyring.issue(),
    )


def _open(
    settings: Settings,
    keyring: Keyring | None,
    poller: zmq.Poller,
    stream: GatewayStream,
    stack: ExitStack,
) -> Broker:
    """Everything a broker needs; the stack gives it back in order."""
    entropy = SystemEntropy()
    store = open_store(
        settings.store,
        clock(),
        lambda: entropy.id(clock()),
        settings.durability,
    )
    stack.callback(store.close)
    ctx = sockets.context()
    stack.callback(ctx.term)
    secret = None
    if keyring is not None:
        secret = keyring.secret
        stack.callback(ZapHandler(ctx, keyring.allows).close)
    meters = Meters(clock())
    doors = [_door(sockets.rpc_socket(ctx, settings.rpc, secret), meters)]
    stack.callback(doors[0].router.close)
    if settings.operator_socket is not None:
        router = operator_socket(ctx, settings.operator_socket, stack)
        doors.append(_door(router, meters, True, store.back_up))
    doors.append(GatewayDoor(stream, meters))
    events = sockets.events_socket(ctx, settings.events, secret)
    stack.callback(events.close)
    rules = settings.rules()
    work = UnitOfWork(
        rules,
        Facts(
            __version__,
            store.epoch,
            settings.events,
            store.connections,
            lambda: broker.figures(),
        ),
        entropy,
        store.common_id,
        cacheable=store.cacheable,
    )
    batches = Batches(store, work, store.now)
    batches.run([Call(rule, NoParams()) for rule in (start, count_totals)])
    wake, waker = socket.socketpair()
    for end in (wake, waker):
        end.setblocking(False)
        stack.callback(end.close)
    broker = Broker(
        store,
        batches,
        Timers(clock(), rules.message_ttl_seconds is not None),
        meters,
        tuple(doors),
        events,
        wake,
        poller,
        lambda: _file_bytes(settings.store),
        settings.rpc_memory,
    )
    _stop_on_signals(broker, waker, stack)
    return broker


def _door(
    router: Any,
    meters: Meters,
    for_operator: bool = False,
    back_up: Callable[[Path], Copying] | None = None,
) -> Door:
    """The door of a bound ROUTER."""
    pipes = Pipes(sockets.ANSWERS_WAITING, sockets.own_name(router))
    return Door(
        router,
        Intake(partial(sockets.receive, router), pipes.seen, for_operator),
        SendQueue(sockets.sender(router), pipes),
        meters,
        back_up,
    )


def _file_bytes(store: str) -> int | None:
    """The size of an SQLite store; None where it is in a database."""
    try:
        return (
            sum(
                path.stat().st_size
                for path in (Path(store), Path(f"{store}-wal"))
                if path.exists()
            )
            or None
        )
    except OSError:
        return None


def _stop_on_signals(
    broker: Broker, waker: socket.socket, stack: ExitStack
) -> None:
    """SIGTERM and Ctrl-C end the loop; a dead child wakes it."""

    def stop(number: int, frame: FrameType | None) -> None:
        broker.stop()

    def ignore(number: int, frame: FrameType | None) -> None:
        """The wake-up descriptor is all that is wanted."""

    for number, handler in (
        (signal.SIGTERM, stop),
        (signal.SIGINT, stop),
        (signal.SIGCHLD, ignore),
    ):
        stack.callback(signal.signal, number, signal.signal(number, handler))
    stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(waker.fileno()))

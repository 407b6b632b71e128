"""The gateway as a program: starts, serves, stops."""

import asyncio
import math
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog
import uvloop

from zchat.certificates import CurveKeys
from zchat.client.connection import SILENCE_SECONDS, Dial, Link, dial_zmq
from zchat.client.curve import load_keys
from zchat.collector import calm_collector
from zchat.config import BROKER_SOCKET, GATEWAY_KEYS, HTTP_SOCKET, Settings
from zchat.errors import ConfigError, Refused
from zchat.gateway.app import Gateway
from zchat.gateway.limits import Limits
from zchat.gateway.messages import Request
from zchat.gateway.server import HttpServer
from zchat.gateway.stream import stream_to_broker
from zchat.listening import claim_descriptors
from zchat.options import endpoints_in
from zchat.tls import Certificate, certificate

ANSWER_SECONDS: Final = 10.0
GRACE_SECONDS: Final = 4.0
PATIENCE_SECONDS: Final = 2.0
"""How long a stopping gateway waits for answers of the broker, which may
be stopping too; then it tells its clients that there will be none."""
_IN_FLIGHT: Final = 4096
_OWN_DESCRIPTORS: Final = 256

_COLLECT_OBJECTS: Final = 5_000
"""Fewer than in the broker: each connection that ends leaves a cycle."""
_MOST_STREAMS: Final = 2000
_CANNOT_LISTEN: Final = 1
_WRONG_START: Final = 2

log = structlog.get_logger()


def run_gateway(settings: Settings) -> int:
    """Serve HTTP until SIGTERM, Ctrl-C, or the end of a parent.

    A standard input that is a pipe belongs to a parent: at its end the
    gateway stops. Returns the exit status.
    """
    return uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    stopped = asyncio.Event()
    _stop_with_signals(stopped)
    _stop_with_parent(stopped)
    try:
        keys = _keys(settings)
        tls = certificate(settings.tls_cert, settings.tls_key)
    except ConfigError as error:
        print(f"zchat: {error}", file=sys.stderr, flush=True)
        return _WRONG_START
    allowed = _claim_descriptors()
    greeter = Greeter()
    link = await _link(settings, greeter.greet, keys, stopped.set)
    catch_up = Link(endpoints_in(settings.rpc), keys=keys)
    operator = _operator_link(settings)
    gateway = greeter.gateway = Gateway(
        link, catch_up, allowed.streams, operator
    )
    server = HttpServer(
        gateway.handle,
        limits=Limits(connections=allowed.connections),
        memory_bytes=settings.http_memory,
        shared_bytes=gateway.shared_bytes,
        upload_limit=gateway.upload_limit,
        observe=Observe(gateway),
    )
    gateway.watch(server)
    try:
        if not await _listens(server, settings, tls):
            return _CANNOT_LISTEN
        calm_collector(_COLLECT_OBJECTS)
        await stopped.wait()
        log.info("stopping", connections=server.connections)
        giving_up = asyncio.get_running_loop().call_later(
            PATIENCE_SECONDS, link.close
        )
        await server.stop(GRACE_SECONDS)
        giving_up.cancel()
    finally:
        link.close()
        catch_up.close()
        if operator is not None:
            operator.close()
    log.info("stopped")
    return 0


async def _link(
    settings: Settings,
    on_up: Callable[[], None],
    keys: CurveKeys | None,
    lost: Callable[[], None],
) -> Link:
    """The way to the broker: a parent's stream, else a DEALER.

    A stream does not come again, so the gateway stops without it, and
    the parent starts another. That the broker is silent says nothing
    then but that it is busy.
    """
    stream = os.environ.pop(BROKER_SOCKET, None)
    if stream is None:
        dial: Dial = dial_zmq
        silence_seconds = SILENCE_SECONDS
    else:
        dial = (await stream_to_broker(int(stream), lost)).dial
        silence_seconds = math.inf
    return Link(
        endpoints_in(settings.rpc),
        answer_seconds=ANSWER_SECONDS,
        silence_seconds=silence_seconds,
        in_flight=_IN_FLIGHT,
        on_up=on_up,
        keys=keys,
        dial=dial,
    )


def _operator_link(settings: Settings) -> Link | None:
    """A connection to the operator's socket, where one is set."""
    if settings.operator_socket is None:
        return None
    return Link([f"ipc://{settings.operator_socket}"])


def _keys(settings: Settings) -> CurveKeys | None:
    """The keys of an encrypted broker: a parent's, or from files."""
    told = os.environ.pop(GATEWAY_KEYS, None)
    if told is not None:
        return CurveKeys(*told.encode().split(b" "))
    return load_keys(settings.server_key, settings.client_key)


async def _listens(
    server: HttpServer, settings: Settings, tls: Certificate | None
) -> bool:
    """Whether the server could be started."""
    try:
        await server.start(
            settings.host,
            settings.port,
            settings.allow_origin,
            settings.allow_host,
            _inherited_socket(),
            tls,
        )
    except OSError as error:
        log.error(
            "cannot_listen",
            host=settings.host,
            port=settings.port,
            reason=os.strerror(error.errno or 0),
        )
        return False
    log.info(
        "listening", host=settings.host, port=settings.port, rpc=settings.rpc
    )
    return True


def _inherited_socket() -> socket.socket | None:
    """What the parent listens on, where there is one."""
    descriptor = os.environ.get(HTTP_SOCKET)
    return socket.socket(fileno=int(descriptor)) if descriptor else None


class Greeter:
    """Lets the gateway learn the broker's limits whenever it comes up."""

    def __init__(self) -> None:
        self.gateway: Gateway | None = None
        self._greetings: set[asyncio.Task[None]] = set()

    def greet(self) -> None:
        """The broker is there, for the first time or again."""
        if self.gateway is None:
            return
        greeting = asyncio.ensure_future(_greet(self.gateway))
        self._greetings.add(greeting)
        greeting.add_done_callback(self._greetings.discard)


async def _greet(gateway: Gateway) -> None:
    try:
        await gateway.greet()
    except Refused as refused:
        log.warning("broker_does_not_greet", reason=refused.message)


def _stop_with_signals(stopped: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)


def _stop_with_parent(stopped: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    try:
        stdin = sys.stdin.fileno()
        is_pipe = stat.S_ISFIFO(os.fstat(stdin).st_mode)
    except (AttributeError, ValueError, OSError):
        return
    if not is_pipe:
        return

    def readable() -> None:
        if not os.read(stdin, 4096):
            loop.remove_reader(stdin)
            stopped.set()

    loop.add_reader(stdin, readable)


class Shares(NamedTuple):
    """How many of the descriptors are for what."""

    connections: int
    streams: int


def shares(descriptors: int) -> Shares:
    """Connections and event streams that so many descriptors allow.

    A stream is a connection, and at most every second one is a stream.
    """
    connections = min(
        Limits().connections, max(2, descriptors - _OWN_DESCRIPTORS)
    )
    return Shares(connections, min(_MOST_STREAMS, connections // 2))


def _claim_descriptors() -> Shares:
    """Raise the limit on descriptors as far as it goes, and divide it."""
    limit = claim_descriptors()
    return shares(limit if limit > 0 else _OWN_DESCRIPTORS)


class Observe:
    """Counts each answer, and logs it where somebody wants to know."""

    def __init__(self, gateway: Gateway) -> None:
        self._count = gateway.metrics.observe
        self._template = gateway.router.template
        self._log = structlog.get_logger()
        self._is_debug = self._log.is_enabled_for(10)

    def __call__(self, request: Request, status: int, seconds: float) -> None:
        self._count(request, status, seconds)
        if status < 400 and not self._is_debug:
            return
        tell = self._log.debug if status < 400 else self._log.info
        tell(
            "answered" if status < 400 else "refused",
            method=request.method,
            route=self._template(request.path),
            status=status,
            milliseconds=round(seconds * 1000, 1),
        )

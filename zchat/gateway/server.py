"""The listening side: accepts connections, times them out, stops them."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from zchat.gateway.access import AccessPolicy
from zchat.gateway.budget import Budget
from zchat.gateway.heads import usual_fields_at
from zchat.gateway.http import Connection
from zchat.gateway.limits import DEFAULT_LIMITS, Limits
from zchat.gateway.messages import Request
from zchat.gateway.reader import UploadLimit
from zchat.gateway.site import Handler, Observer, Site
from zchat.listening import BACKLOG, is_loopback, tcp_listener
from zchat.tls import Certificate

SWEEP_SECONDS: Final = 1.0
_REFUSALS: Final = 64
MEMORY_BYTES: Final = 256 * 1024 * 1024

log = structlog.get_logger()


def observe_nothing(request: Request, status: int, seconds: float) -> None:
    """The observer where nobody counts."""


def no_uploads(method: str, path: str) -> None:
    """The limit where no route streams its body."""


class HttpServer:
    """Serves `handle` on one address; see Site for what is passed on.

    `memory_bytes` is for all that is kept for clients, `shared_bytes` of
    it for several at once; `dropped` counts those who had to go for it.
    `clock` runs evenly, `wall_clock` is Unix time, both in seconds.
    """

    def __init__(
        self,
        handle: Handler,
        *,
        limits: Limits = DEFAULT_LIMITS,
        memory_bytes: int = MEMORY_BYTES,
        shared_bytes: Callable[[], int] = lambda: 0,
        upload_limit: UploadLimit = no_uploads,
        observe: Observer = observe_nothing,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.site = Site(
            handle,
            limits,
            AccessPolicy("127.0.0.1", 0),
            upload_limit,
            observe,
            usual_fields_at(wall_clock()),
        )
        self.clock = clock
        self._wall_clock = wall_clock
        self._limits = limits
        self._connections: set[Connection] = set()
        self._budget = Budget(memory_bytes, self._drop, shared_bytes)
        self.dropped = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._listener: asyncio.Server | None = None
        self._certificate: Certificate | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    @property
    def in_flight(self) -> int:
        """How many requests wait for their answers."""
        return sum(connection.unanswered for connection in self._connections)

    @property
    def held_bytes(self) -> int:
        """What is kept for all clients together."""
        return self._budget.held

    def open_connections(self) -> tuple[Connection, ...]:
        """The connections as they are now."""
        return tuple(self._connections)

    async def start(
        self,
        host: str,
        port: int,
        allowed_origins: Iterable[str] = (),
        allowed_hosts: Iterable[str] = (),
        listening: socket.socket | None = None,
        certificate: Certificate | None = None,
    ) -> int:
        """Listen, on a socket that listens already if there is one.

        With a certificate it speaks TLS. Returns the port, which the
        system chose if 0; raises OSError.
        """
        self._certificate = certificate
        if listening is None:
            listening = tcp_listener(host, port)
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(self.site, self, self.clock),
            sock=listening,
            backlog=BACKLOG,
            ssl=None if certificate is None else certificate.context,
            ssl_handshake_timeout=self._handshake_seconds(certificate),
        )
        bound: int = self._listener.sockets[0].getsockname()[1]
        names = [*allowed_hosts]
        if not is_loopback(host):
            names += _own_names()
        self.site.access = AccessPolicy(
            host,
            bound,
            allowed_origins,
            names,
            "http" if certificate is None else "https",
        )
        self._tick()
        return bound

    def _handshake_seconds(
        self, certificate: Certificate | None
    ) -> float | None:
        """A handshake may take as long as a head."""
        return None if certificate is None else self._limits.head_seconds

    def admit(self, connection: Connection) -> bool:
        """Count a new connection; False when there are too many.

        Those refused are counted too until they have their answer; when
        even they are too many, they get none.
        """
        self._connections.add(connection)
        self._empty.clear()
        excess = len(self._connections) - self._limits.connections
        if excess > _REFUSALS:
            connection.abort()
        return excess <= 0

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        self._budget.forget(connection)
        if not self._connections:
            self._empty.set()

    def hold(
        self, connection: Connection, held_bytes: int, waiting_bytes: int
    ) -> None:
        """A connection keeps so many bytes, and shares in so many more."""
        self._budget.hold(connection, held_bytes, waiting_bytes)

    def _drop(self, connection: Connection, held_bytes: int) -> None:
        """All together keep too much, and this one the most of it."""
        self.dropped += 1
        log.warning(
            "slow_client_dropped",
            held_bytes=held_bytes,
            limit=self._budget.limit,
            dropped=self.dropped,
        )
        connection.abort()

    def _tick(self) -> None:
        self.sweep()
        self._timer = asyncio.get_running_loop().call_later(
            SWEEP_SECONDS, self._tick
        )

    def sweep(self) -> None:
        """Expire the connections whose deadlines have passed."""
        self.site.usual_fields = usual_fields_at(self._wall_clock())
        if self._certificate is not None:
            self._certificate.refresh()
        now = self.clock()
        for connection in self.open_connections():
            if connection.is_overdue(now):
                connection.expire(now)

    async def stop(self, grace_seconds: float) -> None:
        """Accept nobody new, finish what is in flight, close."""
        self.site.is_stopping = True
        if self._listener is not None:
            self._listener.close()
        for connection in self.open_connections():
            connection.stop()
        try:
            async with asyncio.timeout(grace_seconds):
                await self._empty.wait()
        except TimeoutError:
            for connection in self.open_connections():
                connection.abort()
        if self._timer is not None:
            self._timer.cancel()


def _own_names() -> tuple[str, str]:
    """What this machine is called, on its network too (mDNS)."""
    name = socket.gethostname()
    return name, f"{name.partition('.')[0]}.local"

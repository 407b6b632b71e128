"""The gateway's routes: the table of methods, files, events, itself."""

import asyncio
from collections.abc import Awaitable
from functools import cache, partial
from typing import Final

import msgspec

from zchat.client.connection import Link
from zchat.errors import Code, Refused
from zchat.gateway.binding import Binding, json_answer
from zchat.gateway.broker_metrics import BrokerMetrics
from zchat.gateway.calls import Caller
from zchat.gateway.events import EventStreams
from zchat.gateway.fairness import FairTurns
from zchat.gateway.files import Files
from zchat.gateway.messages import Request, Response, problem
from zchat.gateway.metrics import Metrics
from zchat.gateway.openapi import document
from zchat.gateway.paced_link import PacedLink
from zchat.gateway.pages import page_routes
from zchat.gateway.router import Router, Values
from zchat.gateway.server import HttpServer
from zchat.rpc.methods import METHODS

FILE_BYTES: Final = 5_242_880
_HELLO_SECONDS: Final = 2.0


class Gateway:
    """HTTP in front of one broker, with so many event streams at most.

    `catch_up` is a connection for the streams alone. `operator` is one to
    the broker's socket for operators, where there is one: its numbers are
    shown among the metrics then.
    """

    def __init__(
        self,
        link: Link,
        catch_up: Link,
        streams: int,
        operator: Link | None = None,
    ) -> None:
        self._link = link
        self._caller = Caller(link)
        self._turns = FairTurns()
        self._files = Files(self._caller, FILE_BYTES)
        self._streams = EventStreams(
            self._caller, PacedLink(catch_up), streams
        )
        self.router = Router()
        self.metrics = Metrics(self.router.template)
        self._broker = None if operator is None else BrokerMetrics(operator)
        if self._broker is not None:
            self.metrics.add(self._broker)
        self._add_methods()
        self._add_own()

    def _add_methods(self) -> None:
        raw = {"upload": self._files.upload, "download": self._files.download}
        for method in METHODS:
            for route in method.routes:
                binding = Binding(method, route)
                serve = self._caller.serve(binding)
                if route.raw:
                    serve = partial(raw[method.name], binding)
                else:
                    serve = self._turns.fair(serve)
                self.router.add(route.verb, route.path, serve)

    def _add_own(self) -> None:
        for path, serve in (
            ("/events", self._streams.serve),
            ("/readyz", self._ready),
            ("/healthz", _healthy),
            ("/openapi.json", self._describe),
            ("/metrics", self._measure),
        ):
            self.router.add("GET", path, serve)
        self.router.add("POST", "/events/ticket", self._streams.ticket)
        for path, page in page_routes():
            self.router.add("GET", path, page)

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Serve one request."""
        return self.router.serve(request)

    def upload_limit(self, verb: str, path: str) -> int | None:
        """The bytes that a route takes as a stream; None: it does not."""
        if (verb, path) == ("POST", "/files"):
            return self._files.limit_bytes
        return None

    def shared_bytes(self) -> int:
        """What is kept for several clients at once."""
        return self._streams.texts.held_bytes

    def watch(self, server: HttpServer) -> None:
        """Show the server's numbers among the metrics."""
        for name, text, read in (
            (
                "zchat_http_connections",
                "Open connections.",
                lambda: server.connections,
            ),
            (
                "zchat_http_in_flight",
                "Requests being processed.",
                lambda: server.in_flight,
            ),
            (
                "zchat_http_event_streams",
                "Open event streams.",
                lambda: self._streams.open,
            ),
            (
                "zchat_http_waiting",
                "Requests that wait for their turn.",
                lambda: self._turns.waiting,
            ),
            (
                "zchat_http_held_bytes",
                "Bytes kept for clients.",
                lambda: server.held_bytes,
            ),
            (
                "zchat_broker_up",
                "Whether the broker is connected.",
                lambda: self._link.up,
            ),
        ):
            self.metrics.gauge(name, text, read)
        self.metrics.counter(
            "zchat_http_dropped",
            "Clients dropped since they kept the most of too much.",
            lambda: server.dropped,
        )

    async def greet(self) -> None:
        """Learn the broker's limits; called when it has (re)connected."""
        hello = await self._caller.ask("hello", {}, may_repeat=True)
        self._files.limit_bytes = hello["limits"]["file_bytes"]
        self._streams.heartbeat_seconds = hello["heartbeat"]

    async def _ready(self, request: Request, values: Values) -> Response:
        """Whether a request would be answered: the broker is asked."""
        try:
            if not self._link.up:
                raise TimeoutError
            async with asyncio.timeout(_HELLO_SECONDS):
                hello = await self._caller.ask("hello", {}, may_repeat=True)
        except (TimeoutError, Refused):
            return problem(
                503, Code.UNAVAILABLE, "The broker does not answer."
            )
        return json_answer({"status": "ready", "epoch": hello["epoch"]})

    def _describe(self, request: Request, values: Values) -> Response:
        return Response(200, _description())

    async def _measure(self, request: Request, values: Values) -> Response:
        if self._broker is not None:
            await self._broker.refresh()
        return self.metrics.page()


@cache
def _description() -> bytes:
    """The description of all endpoints, made when it is first asked for."""
    return msgspec.json.encode(document()) + b"\n"


def _healthy(request: Request, values: Values) -> Response:
    return json_answer({"status": "ok"})

"""What the gateway counts, as Prometheus reads it."""

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Gauge,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from zchat.gateway.messages import Request, Response

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_SECONDS: Final = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
)
_VERBS: Final = frozenset(("GET", "HEAD", "POST", "DELETE", "OPTIONS"))


class _Counted:
    """A counter whose number is kept elsewhere."""

    def __init__(
        self, name: str, text: str, read: Callable[[], float]
    ) -> None:
        self._name = name
        self._text = text
        self._read = read

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(self._name, self._text, self._read())


class _Times(msgspec.Struct):
    """How long the answers of a route took: how many by bucket, all."""

    by_bucket: list[int]
    seconds: float = 0.0
    since: float = msgspec.field(default_factory=time.time)


class _Tally(msgspec.Struct):
    """How often a route was answered with a status."""

    times: _Times
    count: int = 0
    since: float = msgspec.field(default_factory=time.time)


class _Answered:
    """Requests by method, route and status, and their times by route.

    It is what a Counter and a Histogram would show, which take a lock
    for each number: one thread counts here.
    """

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str, int], _Tally] = {}
        self._times: dict[str, _Times] = {}

    def count(
        self, verb: str, route: str, status: int, seconds: float
    ) -> None:
        """Count one answer."""
        tally = self._tallies.get((verb, route, status))
        if tally is None:
            tally = self._begin(verb, route, status)
        tally.count += 1
        times = tally.times
        times.seconds += seconds
        times.by_bucket[bisect_left(BUCKETS_SECONDS, seconds)] += 1

    def _begin(self, verb: str, route: str, status: int) -> _Tally:
        times = self._times.get(route)
        if times is None:
            times = _Times([0] * (len(BUCKETS_SECONDS) + 1))
            self._times[route] = times
        tally = self._tallies[verb, route, status] = _Tally(times)
        return tally

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "zchat_http_requests",
            "Requests answered.",
            labels=("method", "route", "status"),
        )
        for (verb, route, status), tally in self._tallies.items():
            requests.add_metric(
                (verb, route, str(status)), tally.count, tally.since
            )
        yield requests
        name = "zchat_http_request_seconds"
        seconds = HistogramMetricFamily(
            name, "From request to answer.", labels=("route",)
        )
        for route, times in self._times.items():
            bounds = map(floatToGoString, (*BUCKETS_SECONDS, math.inf))
            seconds.add_metric(
                (route,),
                list(zip(bounds, accumulate(times.by_bucket))),
                times.seconds,
            )
            seconds.add_sample(
                f"{name}_created", {"route": route}, times.since
            )
        yield seconds


class Metrics:
    """Requests by route and status, their times, and what is open now.

    `route_of` gives the template of a path, so that no path makes a
    series of its own.
    """

    def __init__(self, route_of: Callable[[str], str]) -> None:
        self._route_of = route_of
        self._registry = CollectorRegistry()
        self._answered = _Answered()
        self._registry.register(self._answered)
        ProcessCollector(registry=self._registry)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a number that is read when somebody asks."""
        Gauge(name, text, registry=self._registry).set_function(read)

    def counter(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a number that only grows, read when somebody asks."""
        self.add(_Counted(name, text, read))

    def add(self, collector: Collector) -> None:
        """Show what a collector gives."""
        self._registry.register(collector)

    def observe(self, request: Request, status: int, seconds: float) -> None:
        """Count one answer."""
        verb = request.method if request.method in _VERBS else "other"
        self._answered.count(
            verb, self._route_of(request.path), status, seconds
        )

    def page(self) -> Response:
        """All of it in Prometheus's text format."""
        return Response(200, generate_latest(self._registry), CONTENT_TYPE)

"""What the gateway counts, as Prometheus reads it."""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from zchat.gateway.messages import Request, Response

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_SECONDS: Final = (
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


class Metrics:
    """Requests by route and status, their times, and what is open now.

    `route_of` gives the template of a path, so that no path makes a
    series of its own.
    """

    def __init__(self, route_of: Callable[[str], str]) -> None:
        self._route_of = route_of
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "zchat_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "zchat_http_request_seconds",
            "From request to answer.",
            ("route",),
            buckets=_BUCKETS_SECONDS,
            registry=self._registry,
        )
        self._counters: dict[
            tuple[str, str, int], tuple[Counter, Histogram]
        ] = {}
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
        key = (verb, self._route_of(request.path), status)
        counters = self._counters.get(key)
        if counters is None:
            counters = self._counters[key] = (
                self._requests.labels(*key),
                self._seconds.labels(key[1]),
            )
        counters[0].inc()
        counters[1].observe(seconds)

    def page(self) -> Response:
        """All of it in Prometheus's text format."""
        return Response(200, generate_latest(self._registry), CONTENT_TYPE)

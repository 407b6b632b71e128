"""The broker's own numbers among the metrics, asked for at its socket.

Whoever may open the operator's socket may read them, and a gateway that
is given the socket shows them to Prometheus. They are kept for a moment:
anybody may ask for /metrics, and the broker counts the store for each
answer.
"""

import asyncio
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

import msgspec
import structlog
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from zchat.client.connection import Link
from zchat.errors import ZchatError
from zchat.rpc.operator_results import Counts, Histogram, Stats

KEPT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 2.0
_COUNTERS: Final = (
    ("requests", "Requests answered."),
    ("events", "Events published."),
    ("answers_lost", "Answers to clients that were gone."),
    ("clients_dropped", "Clients dropped since too much waited for them."),
    ("feed_gaps", "Times that events of other brokers may have been missed."),
    ("cpu_seconds", "Processor time."),
)
_GAUGES: Final = (
    ("uptime", "Seconds since the start."),
    ("requests_waiting", "Requests that wait for a batch."),
    ("answers_waiting", "Answers that wait for their clients."),
    ("connections", "Connections of clients, about."),
    ("open_files", "Open file descriptors."),
    ("open_files_limit", "How many there may be."),
    ("memory_bytes", "Resident memory."),
    ("store_bytes", "Size of the store, where it is a file."),
)
_HISTOGRAMS: Final = (
    ("batch_seconds", "What a batch takes, its commit included."),
    ("batch_requests", "Requests in a batch."),
    (
        "feed_seconds",
        "How far events lag from their broker's commit, on PostgreSQL.",
    ),
)
_COUNTS: Final = (
    ("users", "zchat_users", "Users."),
    ("chats", "zchat_chats", "Chats."),
    ("messages", "zchat_messages", "Messages ever sent."),
    ("files", "zchat_files", "Files."),
    ("file_bytes", "zchat_file_bytes", "Size of all files."),
    ("scheduled", "zchat_scheduled", "Scheduled messages that wait."),
    ("complaints", "zchat_complaints_open", "Complaints that wait."),
)

log = structlog.get_logger()


class BrokerMetrics:
    """What the broker last said of itself, as a collector."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._asked_at = -KEPT_SECONDS
        self._asking: asyncio.Task[None] | None = None
        self._stats: Stats | None = None

    async def refresh(self) -> None:
        """Ask the broker, unless that was done a moment ago."""
        if self._loop.time() - self._asked_at < KEPT_SECONDS:
            return
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ask())
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._link.call("stats", {}, resend=True)
            self._stats = msgspec.convert(answer, Stats)
        except (TimeoutError, ZchatError, msgspec.ValidationError) as error:
            self._stats = None
            log.warning("no_broker_metrics", reason=str(error) or "no answer")
        finally:
            self._asked_at = self._loop.time()
            self._asking = None

    def collect(self) -> Iterator[Metric]:
        """What Prometheus is shown; nothing while the broker is away."""
        if self._stats is not None:
            yield from families(self._stats)


def families(stats: Stats) -> Iterator[Metric]:
    """The numbers of an answer to `stats` as Prometheus has them."""
    broker = stats.broker
    for name, text in _COUNTERS:
        yield CounterMetricFamily(
            f"zchat_broker_{name}", text, getattr(broker, name)
        )
    for name, text in _GAUGES:
        value = getattr(broker, name)
        if value is not None:
            yield GaugeMetricFamily(f"zchat_broker_{name}", text, value)
    for name, text in _HISTOGRAMS:
        yield _histogram(f"zchat_broker_{name}", text, getattr(broker, name))
    refusals = CounterMetricFamily(
        "zchat_broker_refusals", "Requests refused, by code.", labels=["code"]
    )
    for code, count in sorted(broker.refusals.items()):
        refusals.add_metric([code], count)
    yield refusals
    yield GaugeMetricFamily(
        "zchat_broker_store_up",
        "Whether every connection to the store is open.",
        float(stats.connections_db_now == stats.connections_db_max),
    )
    yield from _counts(stats.counts)


def _counts(counts: Counts) -> Iterator[Metric]:
    for name, shown, text in _COUNTS:
        yield GaugeMetricFamily(shown, text, getattr(counts, name))


def _histogram(name: str, text: str, found: Histogram) -> Metric:
    """Prometheus counts all values up to a bound, `found` those between."""
    bounds = [str(bound) for bound in found.bounds] + ["+Inf"]
    return HistogramMetricFamily(
        name,
        text,
        buckets=list(zip(bounds, accumulate(found.counts), strict=True)),
        sum_value=found.sum,
    )

"""The broker's numbers in the words of Prometheus."""

from datetime import UTC, datetime

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

from zchat.engine.meters import Meters
from zchat.errors import Code
from zchat.gateway.broker_metrics import families
from zchat.rpc.operator_results import Counts, Stats


class Shown:
    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    def collect(self) -> list[Metric]:
        return list(families(self._stats))


def page(store_bytes: int | None = 7, connections_now: int = 1) -> str:
    meters = Meters(0)
    meters.requests = 3
    meters.refused(Code.BANNED)
    for requests, seconds in ((1, 0.0004), (2, 0.003), (600, 9.0)):
        meters.batch(requests, seconds)
    meters.fed(0.002)
    meters.fed(4)
    stats = Stats(
        time=datetime(2030, 1, 1, tzinfo=UTC).isoformat(),
        version="1",
        epoch="e",
        connections_db_max=1,
        connections_db_now=connections_now,
        broker=meters.shown(
            now=2_000_000,
            answers_waiting=4,
            answers_lost=5,
            clients_dropped=6,
            requests_waiting=7,
            feed_gaps=8,
            store_bytes=store_bytes,
        ),
        counts=Counts(
            users=1,
            chats=2,
            messages=3,
            files=4,
            file_bytes=5,
            scheduled=6,
            complaints=7,
        ),
    )
    read = msgspec.convert(msgspec.to_builtins(stats), Stats)
    registry = CollectorRegistry()
    registry.register(Shown(read))
    return generate_latest(registry).decode()


def test_counts_and_gauges_have_their_kinds() -> None:
    text = page()
    assert "# TYPE zchat_broker_requests_total counter" in text
    assert "\nzchat_broker_requests_total 3.0\n" in text
    assert '\nzchat_broker_refusals_total{code="banned"} 1.0\n' in text
    assert "# TYPE zchat_broker_answers_waiting gauge" in text
    assert "\nzchat_complaints_open 7.0\n" in text
    assert "\nzchat_broker_uptime 2.0\n" in text


def test_a_histogram_counts_all_up_to_a_bound() -> None:
    text = page()
    for bound, count in (("0.0005", 1), ("0.005", 2), ("2.5", 2), ("+Inf", 3)):
        line = f'zchat_broker_batch_seconds_bucket{{le="{bound}"}} {count}.0'
        assert f"\n{line}\n" in text
    assert "\nzchat_broker_batch_requests_sum 603.0\n" in text
    assert "\nzchat_broker_batch_requests_count 3.0\n" in text
    line = 'zchat_broker_feed_seconds_bucket{le="2.5"} 1.0'
    assert f"\n{line}\n" in text
    assert "\nzchat_broker_feed_seconds_count 2.0\n" in text


def test_what_is_not_known_is_not_shown() -> None:
    assert "zchat_broker_store_bytes 7.0" in page()
    assert "zchat_broker_store_bytes" not in page(store_bytes=None)


def test_a_store_without_its_connections_is_down() -> None:
    assert "zchat_broker_store_up 1.0" in page()
    assert "zchat_broker_store_up 0.0" in page(connections_now=0)

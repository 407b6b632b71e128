"""The page of metrics shows what prometheus_client's own types would."""

import re

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)

from zchat.gateway.messages import Request
from zchat.gateway.metrics import BUCKETS_SECONDS, Metrics

answers = st.lists(
    st.tuples(
        st.sampled_from(("GET", "POST", "BREW")),
        st.sampled_from(("/send", '/a/{"b"}')),
        st.sampled_from((200, 404)),
        st.sampled_from((0.0, *BUCKETS_SECONDS)) | st.floats(0, 100),
    )
)


def lines(page: bytes) -> list[str]:
    """What is shown of requests, but for when each series began."""
    return [
        re.sub(r"(_created\S*) .*", r"\1", line)
        for line in page.decode().splitlines()
        if "zchat_http_request" in line
    ]


@given(answers)
def test_answers_are_shown_as_a_counter_and_a_histogram(
    told: list[tuple[str, str, int, float]],
) -> None:
    registry = CollectorRegistry()
    requests = Counter(
        "zchat_http_requests",
        "Requests answered.",
        ("method", "route", "status"),
        registry=registry,
    )
    times = Histogram(
        "zchat_http_request_seconds",
        "From request to answer.",
        ("route",),
        buckets=BUCKETS_SECONDS,
        registry=registry,
    )
    metrics = Metrics(lambda path: path)
    for verb, path, status, seconds in told:
        metrics.observe(Request(verb, path, "", {}), status, seconds)
        known = "other" if verb == "BREW" else verb
        requests.labels(known, path, status).inc()
        times.labels(path).observe(seconds)
    assert lines(metrics.page().body) == lines(generate_latest(registry))

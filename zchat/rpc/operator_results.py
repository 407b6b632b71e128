"""What the methods of operators and moderators answer."""

from zchat.rpc.results import Moment, Result


class Histogram(Result, frozen=True, kw_only=True):
    """How often a value was in (bounds[i - 1], bounds[i]].

    `counts` has one more: of the values above the last bound.
    """

    bounds: list[float]
    counts: list[int]
    sum: float


class BrokerStats(Result, frozen=True, kw_only=True):
    """What one broker counts since its start, and how its process is.

    Times are seconds. `refusals` counts by code; `requests_waiting` and
    `answers_waiting` wait now; `connections` is read
    off the open files, and so is not exact.
    """

    uptime: float
    requests: int
    refusals: dict[str, int]
    batch_seconds: Histogram
    batch_requests: Histogram
    events: int
    answers_waiting: int
    answers_lost: int
    clients_dropped: int
    requests_waiting: int
    feed_gaps: int
    connections: int
    open_files: int
    open_files_limit: int
    memory_bytes: int
    cpu_seconds: float
    store_bytes: int | None


class Counts(Result, frozen=True, kw_only=True):
    """How much there is in the store; messages are all ever sent."""

    users: int
    chats: int
    messages: int
    files: int
    file_bytes: int
    scheduled: int
    complaints: int


class Stats(Result, frozen=True, kw_only=True):
    """How the server is."""

    time: Moment
    version: str
    epoch: str
    connections_db_max: int
    connections_db_now: int
    broker: BrokerStats
    counts: Counts

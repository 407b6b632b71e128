"""What the methods of operators and moderators answer."""

from zchat.rpc.results import Moment, Person, Result


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
    feed_seconds: Histogram
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


class Account(Result, frozen=True, kw_only=True):
    """An account as operators see it."""

    id: str
    name: str
    role: str
    created: Moment
    last_seen: Moment | None
    banned_until: Moment | None
    closed: Moment | None
    warnings: int
    chats: int
    scheduled: int


class Accounts(Result, frozen=True, kw_only=True):
    """A page of accounts, by id."""

    users: list[Account]


class ComplaintInfo(Result, frozen=True, kw_only=True):
    """A complaint with its evidence: the text that the message had."""

    id: str
    reporter: Person
    offender: Person
    reason: str
    message_id: str | None
    evidence: str | None
    created: Moment
    state: str


class Complaints(Result, frozen=True, kw_only=True):
    """A page of complaints, oldest first."""

    complaints: list[ComplaintInfo]


class BanEnd(Result, frozen=True, kw_only=True):
    """When the ban ends."""

    until: Moment


class ResetToken(Result, frozen=True, kw_only=True):
    """The user's new token; the old one is dead."""

    token: str


class NewInvite(Result, frozen=True, kw_only=True):
    """A code that lets newcomers in; it is shown once."""

    code: str
    id: str
    expires_at: Moment


class InviteInfo(Result, frozen=True, kw_only=True):
    """An invite as it is seen afterwards."""

    id: str
    created: Moment
    expires_at: Moment
    max_uses: int
    uses: int


class Invites(Result, frozen=True, kw_only=True):
    """The invites that still let somebody in."""

    invites: list[InviteInfo]


class AuditEntry(Result, frozen=True, kw_only=True):
    """What was done; `actor` null was the operator at the socket."""

    id: str
    created: Moment
    actor: Person | None
    action: str
    subject: str | None
    subject_name: str | None
    detail: dict[str, str | int]


class AuditEntries(Result, frozen=True, kw_only=True):
    """A page of the audit log, newest first."""

    entries: list[AuditEntry]


class BackedUp(Result, frozen=True, kw_only=True):
    """The size of the copy, and the epoch of the store."""

    bytes: int
    epoch: str

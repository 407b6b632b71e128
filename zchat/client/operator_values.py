"""What moderators and admins get: frozen values, as in `values`.

They mirror `zchat.rpc.operator_results`.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from msgspec import structs

from zchat.client.values import Person, Value


class Account(Value, frozen=True, kw_only=True):
    """An account; `warnings` counts reporters since the last ban."""

    id: str
    name: str
    role: str
    created: datetime
    last_seen: datetime | None
    banned_until: datetime | None
    closed: datetime | None
    warnings: int
    chats: int
    scheduled: int


class Accounts(Value, frozen=True, kw_only=True):
    """A page of accounts, by id."""

    users: tuple[Account, ...]


class ComplaintInfo(Value, frozen=True, kw_only=True):
    """A complaint; `evidence` is the text that the message had.

    `state` is `open`, `dismissed` or `upheld`.
    """

    id: str
    reporter: Person
    offender: Person
    reason: str
    message_id: str | None
    evidence: str | None
    created: datetime
    state: str


class Complaints(Value, frozen=True, kw_only=True):
    """A page of complaints, oldest first."""

    complaints: tuple[ComplaintInfo, ...]


class BanEnd(Value, frozen=True, kw_only=True):
    """When the ban ends."""

    until: datetime


class NewInvite(Value, frozen=True, kw_only=True):
    """A code that lets newcomers in. `code` is shown this once."""

    code: str
    id: str
    expires_at: datetime


class InviteInfo(Value, frozen=True, kw_only=True):
    """An invite as it is seen afterwards."""

    id: str
    created: datetime
    expires_at: datetime
    max_uses: int
    uses: int


class Invites(Value, frozen=True, kw_only=True):
    """The invites that still let somebody in."""

    invites: tuple[InviteInfo, ...]


class AuditEntry(Value, frozen=True, kw_only=True):
    """What was done; `actor` is None for the operator at the socket."""

    id: str
    created: datetime
    actor: Person | None
    action: str
    subject: str | None
    subject_name: str | None
    detail: Mapping[str, str | int]

    def __post_init__(self) -> None:
        """Nothing that is handed out can be changed."""
        structs.force_setattr(self, "detail", MappingProxyType(self.detail))


class AuditEntries(Value, frozen=True, kw_only=True):
    """A page of the audit log, newest first."""

    entries: tuple[AuditEntry, ...]

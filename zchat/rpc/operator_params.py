"""What the methods of operators and moderators take."""

from typing import Annotated, Final

from msgspec import Meta

from zchat.rpc.params import Id, Limit, Name, Params, Reason

ROLE_PATTERN: Final = "^(member|moderator|admin)$"
COMPLAINT_PATTERN: Final = "^(open|dismissed|upheld)$"
VERDICT_PATTERN: Final = "^(dismissed|upheld)$"
LONGEST_SECONDS: Final = 315_360_000

Role = Annotated[str, Meta(pattern=ROLE_PATTERN)]
Seconds = Annotated[int, Meta(ge=1, le=LONGEST_SECONDS)]


class Accounts(Params, frozen=True, kw_only=True):
    """Which accounts; what is left out does not matter."""

    name: Name | None = None
    user_id: Id | None = None
    role: Role | None = None
    banned: bool | None = None
    after: Id | None = None
    limit: Limit | None = None


class Complaints(Params, frozen=True, kw_only=True):
    """Which complaints."""

    state: Annotated[str, Meta(pattern=COMPLAINT_PATTERN)] | None = None
    after: Id | None = None
    limit: Limit | None = None


class Resolve(Params, frozen=True, kw_only=True):
    """A complaint, and what is to be thought of it."""

    id: Id
    verdict: Annotated[str, Meta(pattern=VERDICT_PATTERN)]


class Ban(Params, frozen=True, kw_only=True):
    """Whom to ban, for how long, and why."""

    user_id: Id
    seconds: Seconds | None = None
    reason: Reason


class Unban(Params, frozen=True, kw_only=True):
    """Whose ban ends."""

    user_id: Id


class SetRole(Params, frozen=True, kw_only=True):
    """A user and the new role."""

    user_id: Id
    role: Role


class ResetToken(Params, frozen=True, kw_only=True):
    """Who lost the token."""

    user_id: Id


class CloseAccount(Params, frozen=True, kw_only=True):
    """Whose account ends, and whether what it wrote goes too."""

    user_id: Id
    erase: bool = False


class Announce(Params, frozen=True, kw_only=True):
    """What to say, by default in the common chat."""

    text: Annotated[str, Meta(min_length=1)]
    chat_id: Id | None = None


class CreateInvite(Params, frozen=True, kw_only=True):
    """How often an invite may be used, and for how many seconds."""

    uses: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    expires_in: Seconds | None = None


class Invites(Params, frozen=True, kw_only=True):
    """No parameters but the token."""


class RevokeInvite(Params, frozen=True, kw_only=True):
    """The invite to revoke."""

    id: Id


class AuditPage(Params, frozen=True, kw_only=True):
    """A page of the audit log."""

    after: Id | None = None
    limit: Limit | None = None


class DeleteMessage(Params, frozen=True, kw_only=True):
    """The message to delete, in whatever chat it is."""

    message_id: Id


class Backup(Params, frozen=True, kw_only=True):
    """Where the copy is to be, on the server's machine."""

    path: Annotated[str, Meta(min_length=1, max_length=4096)]


class Stats(Params, frozen=True, kw_only=True):
    """No parameters but the token."""

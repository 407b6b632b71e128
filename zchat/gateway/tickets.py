"""Tickets that open one event stream each, in place of a token.

A browser's EventSource sends no header, and a token in an address ends up
in logs and histories. A ticket may stand there: it opens one stream,
within TICKET_SECONDS, and nothing else.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from zchat.errors import Code, Refused

TICKET_SECONDS: Final = 30
TICKETS_PER_USER: Final = 16
_MOST_TICKETS: Final = 10_000


class Ticket(msgspec.Struct, frozen=True):
    """The answer to `POST /events/ticket`; `expires_in` in seconds."""

    ticket: str
    expires_in: int = TICKET_SECONDS


class _Issued(msgspec.Struct, frozen=True):
    """What a ticket stands for, and until when (in the clock's seconds)."""

    user_id: str
    token: str
    deadline: float


class Tickets:
    """The tickets that were issued and not yet used.

    Of one user's the oldest gives way to a new one, so that nobody's
    tickets crowd out others. `clock` runs evenly, in seconds;
    `new_secret` makes texts that cannot be guessed.
    """

    def __init__(
        self, clock: Callable[[], float], new_secret: Callable[[], str]
    ) -> None:
        self._clock = clock
        self._new_secret = new_secret
        self._issued: OrderedDict[str, _Issued] = OrderedDict()
        self._by_user: dict[str, OrderedDict[str, None]] = {}

    def issue(self, user_id: str, token: str) -> Ticket:
        """A new ticket for a token's user; raises Refused when full."""
        self._forget_expired()
        own = self._by_user.get(user_id, ())
        if len(own) >= TICKETS_PER_USER:
            self._forget(next(iter(own)))
        if len(self._issued) >= _MOST_TICKETS:
            raise Refused(
                Code.UNAVAILABLE,
                "Too many tickets are waiting to be used. "
                "Try again in a moment.",
                retry_after=TICKET_SECONDS,
            )
        secret = self._new_secret()
        self._issued[secret] = _Issued(
            user_id, token, self._clock() + TICKET_SECONDS
        )
        self._by_user.setdefault(user_id, OrderedDict())[secret] = None
        return Ticket(secret)

    def redeem(self, secret: str) -> str:
        """The token that a ticket stands for; raises Refused.

        A ticket is spent even if the stream then cannot begin.
        """
        self._forget_expired()
        issued = self._forget(secret)
        if issued is None:
            raise Refused(
                Code.UNAUTHORIZED,
                "This ticket is unknown, expired, or was used already. "
                "Get a new one from POST /events/ticket.",
            )
        return issued.token

    def _forget(self, secret: str) -> _Issued | None:
        issued = self._issued.pop(secret, None)
        if issued is not None:
            own = self._by_user[issued.user_id]
            del own[secret]
            if not own:
                del self._by_user[issued.user_id]
        return issued

    def _forget_expired(self) -> None:
        """All live equally long, so the oldest expire first."""
        now = self._clock()
        while self._issued:
            secret, issued = next(iter(self._issued.items()))
            if issued.deadline > now:
                return
            self._forget(secret)

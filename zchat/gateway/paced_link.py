"""The connection by which event streams catch up, a few at a time.

A thousand streams that catch up at once ask for a thousand pages. On the
connection of everybody's requests, each answer would wait behind them; so
streams have their own, and a window of requests in it, by turns.
"""

import asyncio
from typing import Any, Final

from zchat.certificates import CurveKeys
from zchat.client.connection import Link, NoAnswer, Reply
from zchat.errors import Refused
from zchat.gateway.turns import Turns

WINDOW: Final = 8
SHARE: Final = 2


class PacedLink:
    """A Link that keeps no more than a window of requests in flight."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._turns = Turns(WINDOW, SHARE)

    @property
    def endpoint(self) -> str:
        """Where the broker is that answers."""
        return self._link.endpoint

    @property
    def keys(self) -> CurveKeys | None:
        """The keys of an encrypted broker."""
        return self._link.keys

    def request(
        self,
        method: str,
        params: dict[str, Any],
        reply: Reply,
        *,
        resend: bool = False,
    ) -> None:
        """Ask when it is the turn of the token in the parameters."""
        caller = params.get("token")

        def done(error: Refused | NoAnswer | None, result: Any) -> None:
            self._turns.leave(caller)
            reply(error, result)

        def ask() -> None:
            try:
                self._link.request(method, params, done, resend=resend)
            except (Refused, NoAnswer) as error:
                self._loop.call_soon(done, error, None)

        if self._turns.take(caller):
            ask()
        else:
            self._turns.wait(caller, ask)

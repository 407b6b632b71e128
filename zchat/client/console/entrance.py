"""Coming in on the full screen: a name, an invite, an old token."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from textual.screen import ModalScreen

from zchat.client import Client, NoAnswer
from zchat.client.console.conversation import failure
from zchat.client.console.dialogs import Ask, Choice, Question
from zchat.client.console.entry import Entry, UnknownToken
from zchat.client.console.text import harmless
from zchat.errors import Code, Refused

ANSWER_SECONDS: Final = 120.0
_RETRY_SECONDS: Final = 1.0

AskPerson = Callable[[ModalScreen[str | None]], Awaitable[str | None]]
"""Shows a dialog and gives its answer; None if it was closed."""


class Entrance:
    """Makes the client, asking a newcomer for what the server wants.

    `ask` shows a dialog, `tell` says why it takes so long.
    """

    def __init__(
        self,
        entry: Entry,
        now: Callable[[], datetime],
        ask: AskPerson,
        tell: Callable[[str], None],
    ) -> None:
        self._entry = entry
        self._now = now
        self._ask = ask
        self._tell = tell
        self._name = entry.options.name
        self._invite: str | None = None

    async def enter(
        self, on_up: Callable[[], None], on_down: Callable[[], None]
    ) -> Client | None:
        """The client; None if the person gave up.

        Asks for a name, and again while none fits. Raises Refused and
        UnknownToken where asking does not mend it.
        """
        if self._name is None and self._entry.kept is None:
            self._name = await self._asked_name()
        while self._name is not None or self._entry.kept is not None:
            try:
                return await self._entry.connect(
                    self._name,
                    invite=self._invite,
                    listen=True,
                    answer_seconds=ANSWER_SECONDS,
                    on_up=on_up,
                    on_down=on_down,
                )
            except NoAnswer as error:
                self._tell(f"{error} Trying again …")
                await asyncio.sleep(_RETRY_SECONDS)
            except UnknownToken:
                if not await self._forgets():
                    raise
                self._name = await self._asked_name()
            except Refused as refused:
                if self._entry.kept is not None:
                    raise
                await self._ask_again(refused)
        return None

    async def _ask_again(self, refused: Refused) -> None:
        """Ask for what was refused; raises what asking does not mend."""
        if refused.data.get("field") == "invite":
            self._invite = await self._asked_invite(refused)
        elif refused.code in (Code.CONFLICT, Code.BAD_REQUEST):
            self._name = await self._asked_name(
                failure(refused, self._now()), self._name or ""
            )
        else:
            raise refused

    async def _asked_name(
        self, problem: str = "", typed: str = ""
    ) -> str | None:
        return await self._ask(
            Ask(
                "Welcome to zchat. What should others call you?",
                typed,
                problem or "1 to 32 letters or digits, no spaces",
            )
        )

    async def _asked_invite(self, refused: Refused) -> str:
        code = await self._ask(
            Ask("Your invite code", note=failure(refused, self._now()))
        )
        if code is None:
            raise refused
        return code

    async def _forgets(self) -> bool:
        answer = await self._ask(
            Question(
                f"{harmless(self._entry.options.server)} does not know you. "
                "Perhaps it has another store now.",
                [Choice("n", "n", "forget the old token, begin as new")],
            )
        )
        if answer == "n":
            self._entry.profile.forget(self._entry.servers)
        return answer == "n"

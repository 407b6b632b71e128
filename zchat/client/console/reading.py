"""What the user has seen, and telling the server of it.

The read position moves over messages that were on the screen, without a
gap from where it stood: what lies between must have been seen too.
"""

import asyncio
from collections import defaultdict
from typing import Final

from zchat.client import Client, KnownChat, NoAnswer, Refused
from zchat.client.console.timeline import Timeline

_READ_SECONDS: Final = 0.3


class ReadMarks:
    """How far each chat was on the screen."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._shown: defaultdict[str, int] = defaultdict(int)
        self._mark = asyncio.Event()

    def unread(self, chat: KnownChat) -> int:
        """How much is unread; nothing while all of it is on the screen."""
        if self._shown[chat.id] >= chat.head:
            return 0
        return chat.unread

    def was_shown(
        self, chat: KnownChat, timeline: Timeline, first: int, last: int
    ) -> None:
        """The messages from `first` to `last` were seen."""
        shown = self._shown[chat.id]
        if timeline.before(first) > max(shown, chat.read):
            return
        if last > shown:
            self._shown[chat.id] = last
            if last > chat.read:
                self._mark.set()

    async def mark_all(self, chat: KnownChat) -> None:
        """Call all of a chat read, seen or not."""
        self._shown[chat.id] = chat.head
        await self._client.read(chat.id, chat.head)

    def tell_again(self) -> None:
        """Positions that were not taken are told soon."""
        self._mark.set()

    def restored(self) -> None:
        """Another store: the counts begin again."""
        self._shown.clear()

    async def run(self) -> None:
        """Tell the server until cancelled."""
        while True:
            await self._mark.wait()
            await asyncio.sleep(_READ_SECONDS)
            self._mark.clear()
            for chat in self._client.known_chats.values():
                if chat.read < self._shown[chat.id] <= chat.head:
                    try:
                        await self._client.read(chat.id, self._shown[chat.id])
                    except NoAnswer:
                        self._mark.set()
                    except Refused:
                        continue

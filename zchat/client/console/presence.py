"""Who is in a chat: online, typing, and how far the others have read."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from zchat.client import Client, ListedUser, Message, NoAnswer, Refused
from zchat.client.console.text import harmless
from zchat.errors import Code

TOLD_TYPING: Final = timedelta(seconds=3)
TYPING: Final = timedelta(seconds=6)
"""How long somebody is called typing after the last sign of it."""
LISTED_MEMBERS: Final = 200
_GONE: Final = (Code.FORBIDDEN, Code.NOT_FOUND)


class Members(Struct, frozen=True):
    """Who is in a chat: at most LISTED_MEMBERS, and how many in all.

    `owner_id` is a group's owner.
    """

    users: tuple[ListedUser, ...] = ()
    size: int = 0
    owner_id: str | None = None


class Presence:
    """What is known of the members of the chats that were looked at."""

    def __init__(self, client: Client, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now
        self._members: dict[str, Members] = {}
        self._typing: dict[tuple[str, str], datetime] = {}
        self._told_typing = datetime.min.replace(tzinfo=UTC)
        self._seen: dict[tuple[str, str], int] = {}

    def __contains__(self, chat_id: str) -> bool:
        return chat_id in self._members

    def of(self, chat_id: str) -> Members:
        """The members of a chat; nobody where nobody has looked."""
        return self._members.get(chat_id, Members())

    def forget(self, chat_id: str) -> None:
        """Let go of a chat that is gone."""
        self._members.pop(chat_id, None)

    def others(self, chat_id: str) -> list[ListedUser]:
        """The members but for the user."""
        own = self._client.user_id
        return [user for user in self.of(chat_id).users if user.id != own]

    async def look(self, chat_id: str) -> bool:
        """Ask who is there; whether there is an answer."""
        try:
            members = await self._asked(chat_id)
        except NoAnswer:
            return False
        except Refused as refused:
            if refused.code not in _GONE:
                raise
            return False
        for user in members.users:
            if user.read is not None:
                self.has_read(chat_id, user.id, user.read)
        self._members[chat_id] = members
        return True

    async def _asked(self, chat_id: str) -> Members:
        users = await self._client.users(chat_id, limit=LISTED_MEMBERS)
        size, owner_id = len(users), None
        known = self._client.known_chats.get(chat_id)
        is_group = known is not None and known.kind == "group"
        if is_group or size == LISTED_MEMBERS:
            chat = await self._client.chat(chat_id, depth=0)
            size = chat.size
            if is_group:
                found = await self._client.changes(chat_id, chat.revision)
                owner_id = found.chat.owner_id
        listed = sorted(
            users, key=lambda user: (not user.online, user.name.casefold())
        )
        return Members(tuple(listed), size, owner_id)

    # Typing.

    def typists(self, chat_id: str) -> list[str]:
        """Who is writing there, harmless."""
        recent = self._now() - TYPING
        return [
            harmless(name)
            for (place, name), when in self._typing.items()
            if place == chat_id and when > recent
        ]

    def types(self, chat_id: str, name: str) -> None:
        """Somebody is writing there."""
        self._typing[chat_id, name] = self._now()

    def wrote(self, chat_id: str, name: str) -> None:
        """Somebody has sent what they were writing."""
        self._typing.pop((chat_id, name), None)

    async def tell_typing(self, chat_id: str) -> None:
        """The user is writing there; the others are told now and then."""
        now = self._now()
        if now - self._told_typing > TOLD_TYPING:
            self._told_typing = now
            with suppress(NoAnswer, Refused):
                await self._client.typing(chat_id)

    # Reading.

    def has_read(self, chat_id: str, user_id: str, seq: int) -> None:
        """Somebody has read so far; positions move forward only."""
        place = (chat_id, user_id)
        self._seen[place] = max(seq, self._seen.get(place, 0))

    def have_seen(self, chat_id: str, message: Message) -> bool:
        """Whether another member has read up to a message."""
        return any(
            self._seen.get((chat_id, user.id), 0) >= message.seq
            for user in self.others(chat_id)
        )

    def restored(self) -> None:
        """Another store: what was read counts no more."""
        self._seen.clear()

"""What is loaded of each conversation, and loading more of it.

A conversation is loaded where one left off in it; further pages come
when the screen reaches an end of what there is. Those that were left
longest ago are let go.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from zchat.client import Client, History, KnownChat, Message, NoAnswer
from zchat.client.console.finding import find_message
from zchat.client.console.timeline import Timeline
from zchat.errors import Refused

PAGE: Final = 100
KEPT_TIMELINES: Final = 20


class Timelines:
    """The conversations of all chats.

    `chore` does something meanwhile, `changed` is called when something
    that is shown may be another.
    """

    def __init__(
        self,
        client: Client,
        chore: Callable[[Coroutine[Any, Any, None]], None],
        changed: Callable[[], None],
    ) -> None:
        self._client = client
        self._chore = chore
        self._changed = changed
        self._timelines: dict[str, Timeline] = {}
        self._loading: set[tuple[str, str]] = set()
        self._targets: dict[str, Message | None] = {}
        self._visited: list[str] = []

    def of(self, chat_id: str) -> Timeline:
        """The conversation of a chat."""
        if chat_id not in self._timelines:
            self._timelines[chat_id] = Timeline(chat_id)
        return self._timelines[chat_id]

    def known(self) -> list[str]:
        """The chats that have one."""
        return list(self._timelines)

    def forget(self, chat_id: str) -> None:
        """Let go of a chat that is gone."""
        self._timelines.pop(chat_id, None)

    def visit(self, chat_id: str) -> None:
        """Let go of the conversations that were left longest ago."""
        if chat_id in self._visited:
            self._visited.remove(chat_id)
        self._visited.append(chat_id)
        for old in self._visited[:-KEPT_TIMELINES]:
            if not self.of(old).outgoing:
                self._visited.remove(old)
                del self._timelines[old]

    def restored(self) -> None:
        """Another store: what is loaded counts no more."""
        for chat_id, timeline in list(self._timelines.items()):
            fresh = Timeline(chat_id)
            fresh.outgoing = timeline.outgoing
            self._timelines[chat_id] = fresh
        self._targets.clear()

    def message_changed(self, chat_id: str, message: Message) -> None:
        """A message is another now, also where it is commented on."""
        self.of(chat_id).changed(message)
        if message.id in self._targets:
            self._targets[message.id] = message

    # Pages.

    def is_loading(self, chat_id: str) -> bool:
        """Whether messages of this chat are on their way."""
        return any(chat == chat_id for chat, _ in self._loading)

    async def load(self, timeline: Timeline, known: KnownChat | None) -> None:
        """Load the first page."""
        key = (timeline.chat_id, "open")
        if key in self._loading:
            return
        self._loading.add(key)
        try:
            timeline.opened(await self._first_page(timeline.chat_id, known))
        finally:
            self._loading.discard(key)
            self._changed()

    async def _first_page(
        self, chat_id: str, known: KnownChat | None
    ) -> History:
        """The newest page, or the one where what is unread begins."""
        if known is not None and known.unread > PAGE // 2:
            return await self._client.history(
                chat_id, around=known.read + 1, limit=PAGE
            )
        return await self._client.history(chat_id, limit=PAGE)

    def reach(self, timeline: Timeline, *, older: bool) -> None:
        """Load more at this end, if there is."""
        more = timeline.has_older if older else timeline.has_newer
        key = (timeline.chat_id, "older" if older else "newer")
        if more and timeline.is_loaded and key not in self._loading:
            self._loading.add(key)
            self._chore(self._load_more(timeline, older, key))

    async def _load_more(
        self, timeline: Timeline, older: bool, key: tuple[str, str]
    ) -> None:
        chat_id = timeline.chat_id
        try:
            if older:
                timeline.add_older(
                    await self._client.history(
                        chat_id, before=timeline.first, limit=PAGE
                    )
                )
            else:
                timeline.add_newer(
                    await self._client.history(
                        chat_id, after=timeline.last, limit=PAGE
                    )
                )
        finally:
            self._loading.discard(key)
            self._changed()

    async def newest(self, timeline: Timeline) -> None:
        """Load the end of a conversation."""
        if timeline.has_newer:
            timeline.opened(
                await self._client.history(timeline.chat_id, limit=PAGE)
            )
            self._changed()

    async def around(self, timeline: Timeline, seq: int) -> None:
        """Load the place of a message."""
        if timeline.message(seq) is None:
            timeline.opened(
                await self._client.history(
                    timeline.chat_id, around=seq, limit=PAGE
                )
            )

    # What is commented on.

    def target(self, timeline: Timeline, message_id: str) -> Message | None:
        """A message that is commented on; it is fetched if need be."""
        found = timeline.by_id(message_id)
        if found is not None:
            return found
        if message_id not in self._targets:
            key = (timeline.chat_id, message_id)
            if key not in self._loading:
                self._loading.add(key)
                self._chore(self._find_target(timeline, message_id, key))
        return self._targets.get(message_id)

    def is_gone(self, message_id: str) -> bool:
        """Whether a message that is commented on was looked for in vain."""
        targets = self._targets
        return message_id in targets and targets[message_id] is None

    async def _find_target(
        self, timeline: Timeline, message_id: str, key: tuple[str, str]
    ) -> None:
        try:
            self._targets[message_id] = await find_message(
                self._client, timeline.chat_id, message_id, timeline.first
            )
            timeline.version += 1
        except NoAnswer:
            pass
        except Refused:
            self._targets[message_id] = None
        finally:
            self._loading.discard(key)
            self._changed()

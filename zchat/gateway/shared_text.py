"""The text of a message, encoded once for all streams that get it.

A message of the common chat goes to every stream. Its JSON is the same
for all, so it is made for the first and shared by the rest, in their
queues too; only the id before it is each stream's own. What is shared is
counted once, as long as it waits in any queue.
"""

from collections import OrderedDict
from typing import Final

from zchat.client.session import Event
from zchat.gateway.stream_text import event_json
from zchat.rpc.events import MessageChanged, MessageSent

_KEPT: Final = 256


class Text:
    """The JSON of an event, and how many queues it waits in."""

    __slots__ = ("json", "queues")

    def __init__(self, json: bytes) -> None:
        self.json = json
        self.queues = 0


class SharedTexts:
    """Makes texts, and keeps those of the newest messages.

    A message is told again when it changed, so what is kept is used for
    an equal one only. `held_bytes` is what waits in queues.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], tuple[Event, Text]] = (
            OrderedDict()
        )
        self.held_bytes = 0

    def text_of(self, event: Event) -> Text:
        """The text of an event, the same one for equal messages."""
        if not isinstance(event, MessageSent | MessageChanged):
            return Text(event_json(event))
        place = event.chat_id, event.message.seq
        kept = self._kept.get(place)
        if kept is not None and kept[0] == event:
            return kept[1]
        made = Text(event_json(event))
        self._kept[place] = event, made
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return made

    def enqueue(self, text: Text) -> None:
        """A text waits in one more queue."""
        text.queues += 1
        if text.queues == 1:
            self.held_bytes += len(text.json)

    def dequeue(self, text: Text) -> None:
        """A text has left a queue."""
        text.queues -= 1
        if not text.queues:
            self.held_bytes -= len(text.json)

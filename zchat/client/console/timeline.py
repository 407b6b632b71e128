"""One chat's conversation as far as it is loaded, pure.

The messages held are one stretch of the chat without a hole: pages are
added at its ends, live messages at its newer end while it reaches the
head. A jump elsewhere begins another stretch. So memory does not grow
with the chat: what is far from the place being read is let go, and
loaded again when somebody scrolls there.

Below the messages stand what was typed and is not sent yet, and what
waits for its time. Notes stand where they were made.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from typing import Final, NamedTuple

from msgspec.structs import replace

from zchat.client import History, Message

LOADED_MOST: Final = 600
"""Messages held before those furthest away are let go."""
LOADED_KEPT: Final = 400
NOTES_MOST: Final = 200
CHANGES_MOST: Final = 200
"""Changes kept for pages that were asked for before them."""

Key = int | str
"""What names an item: a message's seq, or an id made here."""


class State(Enum):
    """What becomes of a message that was typed here."""

    WAITING = "waiting"
    UPLOADING = "uploading"
    SENDING = "sending"
    FAILED = "failed"


class Outgoing(NamedTuple):
    """A message typed here that the server has not confirmed.

    `paths` are files to upload first, `files` their names; `done` is
    the part of the upload that has arrived, from 0 to 1.
    """

    key: str
    text: str
    comment_on: str | None = None
    paths: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    state: State = State.SENDING
    done: float = 0.0
    reason: str = ""


class Waiting(NamedTuple):
    """A scheduled message of this chat."""

    key: str
    text: str
    send_at: datetime


class Note(NamedTuple):
    """A line of the program's own, behind the message `after`."""

    key: str
    text: str
    after: int
    is_error: bool = False


Item = Message | Outgoing | Waiting | Note


class Timeline:
    """The stretch of one chat that is loaded, and what stands below it.

    `has_older` and `has_newer` say whether the chat goes on beyond the
    stretch; `head` is the newest seq known. `version` counts changes.
    """

    def __init__(self, chat_id: str) -> None:
        self.chat_id = chat_id
        self.is_loaded = False
        self.has_older = False
        self.has_newer = False
        self.head = 0
        self.marker: int | None = None
        self.outgoing: list[Outgoing] = []
        self.waiting: list[Waiting] = []
        self.version = 0
        self._messages: list[Message] = []
        self._early: dict[int, Message] = {}
        self._changes: dict[int, Message] = {}
        self._notes: list[Note] = []
        self._made = 0
        self._items: tuple[int, list[Item]] = (-1, [])

    # What is there.

    @property
    def messages(self) -> list[Message]:
        """The loaded messages, oldest first; not to be changed."""
        return self._messages

    @property
    def first(self) -> int:
        """The oldest seq that is loaded; one beyond the head if none."""
        return self._messages[0].seq if self._messages else self.head + 1

    @property
    def last(self) -> int:
        """The newest seq that is loaded; the head if none is."""
        return self._messages[-1].seq if self._messages else self.head

    def before(self, seq: int) -> int:
        """The seq of the loaded message before this one.

        Without one, 0 at the beginning of the chat, else `seq` - 1.
        """
        index = bisect_left(self._messages, seq, key=_seq)
        if index:
            return self._messages[index - 1].seq
        return seq - 1 if self.has_older else 0

    def message(self, seq: int) -> Message | None:
        """The loaded message with this number."""
        index = bisect_left(self._messages, seq, key=_seq)
        if index < len(self._messages) and self._messages[index].seq == seq:
            return self._messages[index]
        return None

    def by_id(self, message_id: str) -> Message | None:
        """The loaded message with this id."""
        for message in reversed(self._messages):
            if message.id == message_id:
                return message
        return None

    @property
    def items(self) -> list[Item]:
        """All that is shown, from top to bottom; not to be changed."""
        version, items = self._items
        if version != self.version:
            items = self._merged()
            self._items = (self.version, items)
        return items

    def _merged(self) -> list[Item]:
        items: list[Item] = []
        notes = [note for note in self._notes if note.after >= self.first - 1]
        position = 0
        for message in self._messages:
            while (
                position < len(notes) and notes[position].after < message.seq
            ):
                items.append(notes[position])
                position += 1
            items.append(message)
        if not self.has_newer:
            items += notes[position:]
            items += self.outgoing
            items += self.waiting
        return items

    # Pages.

    def opened(self, page: History, *, is_newest: bool = False) -> None:
        """Begin with this page; forget what was loaded before.

        A newest page goes on with what came while it was on its way.
        """
        self._messages = [self._as_changed(each) for each in page.messages]
        self.has_older = page.has_older
        self.has_newer = page.has_newer and not is_newest
        self.head = max(self.head, page.head)
        self.is_loaded = True
        self._take_early()
        self.version += 1

    def add_older(self, page: History) -> None:
        """Add the page that ends where the stretch begins."""
        first = self.first
        older = [
            self._as_changed(each)
            for each in page.messages
            if each.seq < first
        ]
        self._messages[:0] = older
        self.has_older = page.has_older
        self.head = max(self.head, page.head)
        if len(self._messages) > LOADED_MOST:
            del self._messages[LOADED_KEPT:]
            self.has_newer = True
        self.version += 1

    def add_newer(self, page: History) -> None:
        """Add the page that begins where the stretch ends."""
        last = self.last
        self._messages += [
            self._as_changed(each) for each in page.messages if each.seq > last
        ]
        self.has_newer = page.has_newer
        self.head = max(self.head, page.head)
        self._take_early()
        self._let_go_of_old()
        self.version += 1

    def _let_go_of_old(self) -> None:
        if len(self._messages) > LOADED_MOST:
            del self._messages[:-LOADED_KEPT]
            self.has_older = True

    def _take_early(self) -> None:
        """What came during the load belongs behind the newest page."""
        if not self.has_newer:
            for seq in sorted(self._early):
                if seq > self.last:
                    self._messages.append(self._as_changed(self._early[seq]))
            self.head = max(self.head, self.last)
        self._early.clear()

    # What happens.

    def came(self, message: Message) -> None:
        """A live message; they come in order, without a hole."""
        self.head = max(self.head, message.seq)
        if not self.is_loaded or self.has_newer:
            self._early[message.seq] = message
            if len(self._early) > LOADED_MOST:
                del self._early[min(self._early)]
            return
        if message.seq > self.last or not self._messages:
            self._messages.append(message)
            self._let_go_of_old()
        self.version += 1

    def _as_changed(self, message: Message) -> Message:
        """The message of a page, which may be older than what was told."""
        told = self._changes.get(message.seq)
        if told is None or told.revision < message.revision:
            return message
        return told

    def changed(self, message: Message) -> None:
        """A message as it is now: edited, deleted, reacted to."""
        self._changes.pop(message.seq, None)
        self._changes[message.seq] = message
        if len(self._changes) > CHANGES_MOST:
            del self._changes[next(iter(self._changes))]
        index = bisect_left(self._messages, message.seq, key=_seq)
        if (
            index < len(self._messages)
            and self._messages[index].id == message.id
            and self._messages[index].revision <= message.revision
        ):
            self._messages[index] = message
            self.version += 1

    def named(self, names: Mapping[str, str]) -> None:
        """What people are called now, by their ids."""
        for index, message in enumerate(self._messages):
            author = message.author
            name = names.get(author.id, author.name)
            if name != author.name:
                self._messages[index] = replace(
                    message, author=replace(author, name=name)
                )
                self.version += 1

    def commented(self, message_id: str) -> None:
        """One more comment stands on a message."""
        message = self.by_id(message_id)
        if message is not None:
            index = bisect_left(self._messages, message.seq, key=_seq)
            self._messages[index] = replace(
                message, comments=message.comments + 1
            )
            self.version += 1

    def expired(self, seq: int) -> None:
        """The messages up to a seq are gone."""
        keep = bisect_left(self._messages, seq + 1, key=_seq)
        if keep:
            del self._messages[:keep]
            self.has_older = False
            self.version += 1

    # What was typed here.

    def note(self, text: str, *, is_error: bool = False) -> str:
        """Put a line of the program's own below what is loaded; its key."""
        self._made += 1
        key = f"note-{self._made}"
        self._notes.append(Note(key, text, self.head, is_error))
        del self._notes[:-NOTES_MOST]
        self.version += 1
        return key

    def edit_note(self, key: str, text: str) -> None:
        """Put another text in the place of a note."""
        for index, note in enumerate(self._notes):
            if note.key == key:
                self._notes[index] = note._replace(text=text)
                self.version += 1

    def put(self, outgoing: Outgoing) -> None:
        """Add what was typed."""
        self.outgoing.append(outgoing)
        self.version += 1

    def update(self, outgoing: Outgoing) -> None:
        """How it stands by now, unless it was taken away."""
        for index, other in enumerate(self.outgoing):
            if other.key == outgoing.key:
                self.outgoing[index] = outgoing
                self.version += 1

    def drop(self, key: str) -> Outgoing | None:
        """Take away what was typed, when it is sent or given up."""
        for index, outgoing in enumerate(self.outgoing):
            if outgoing.key == key:
                self.version += 1
                return self.outgoing.pop(index)
        return None

    def wait_for(self, waiting: Iterable[Waiting]) -> None:
        """These are the chat's scheduled messages."""
        self.waiting = sorted(waiting, key=lambda each: each.send_at)
        self.version += 1


def _seq(message: Message) -> int:
    return message.seq

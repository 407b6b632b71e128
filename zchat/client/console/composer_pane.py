"""Where one writes: the text, what it is about, what forbids it."""

from collections.abc import Sequence
from typing import Final

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message as Event

from zchat.client import Message
from zchat.client.console.composer import Composer
from zchat.client.console.composing import Words
from zchat.client.console.conversation_pane import EDIT
from zchat.client.console.desk import Desk
from zchat.client.console.rows import Span, moment_text
from zchat.client.console.slash import SLASH_BY_NAME, SLASHES
from zchat.client.console.strips import SpanLine
from zchat.client.console.text import clock_time, harmless
from zchat.client.console.wrapping import cells, fitted

_OFFERED_CHARACTERS: Final = 30


class InfoLine(SpanLine):
    """One row above the text; it is there only if it says something."""

    def say(self, spans: tuple[Span, ...]) -> None:
        """Show this."""
        self.display = bool(spans)
        super().say(spans)


class ComposerPane(Vertical):
    """The composer in its frame, which says where one writes to.

    Each chat keeps what was being written in it. A message that one
    comments on or edits takes the draft's place, and the draft comes
    back afterwards.
    """

    class Commented(Event):
        """A comment was sent."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="compose")
        self._desk = desk
        self._drafts: dict[str, str] = {}
        self._drafted = desk.chat_id
        self._about: tuple[str, Message] | None = None
        self.composer = Composer(self._words)
        self.info = InfoLine("info")

    def compose(self) -> ComposeResult:
        """The info line above the text."""
        yield self.info
        yield self.composer

    def _words(self) -> Words:
        """What Tab may put in."""
        return Words(
            names=self._desk.names(),
            chats=[line.title for line in self._desk.lines()],
            commands=[slash.name for slash in SLASHES],
            arguments=_first_argument,
        )

    # What is written.

    def enter(self) -> str | None:
        """Take what was written, to be sent or done.

        None where it stays, or was about a message and is sent already.
        """
        text = self.composer.text
        most = self._desk.client.limits.text
        if len(text) > most:
            self._desk.fail(
                f"This has {len(text):,} characters; a message holds "
                f"{most:,}. Shorten it, or /upload it as a file."
            )
            return None
        if not text.strip():
            return None
        self.composer.recall.add(text)
        if self._about is not None:
            self._send_about(*self._about, text)
            return None
        self.composer.write("")
        return text

    def _send_about(self, action: str, message: Message, text: str) -> None:
        desk = self._desk
        self.stop_about()
        if action == EDIT:
            desk.chore(desk.edit(message, text))
        else:
            desk.submit(text, desk.chat_id, comment_on=message.id)
            self.post_message(self.Commented())

    def start_about(self, action: str, message: Message, text: str) -> None:
        """Write about a message; the draft comes back afterwards."""
        if self._about is None:
            self._drafts[self._desk.chat_id] = self.composer.text
        self._about = (action, message)
        self.composer.write(text)
        self.composer.focus()

    def stop_about(self) -> None:
        """Back to the draft."""
        if self._about is not None:
            self._about = None
            self.composer.write(self._drafts.pop(self._desk.chat_id, ""))

    def swap_drafts(self) -> None:
        """Bring the draft of the chat that is open now."""
        chat_id = self._desk.chat_id
        if self._drafted == chat_id:
            return
        if self._about is None:
            self._drafts[self._drafted] = self.composer.text
        self._about = None
        self._drafted = chat_id
        self.composer.write(self._drafts.pop(chat_id, ""))
        self.composer.focus()

    # What stands around it.

    def update(self) -> None:
        """Draw what the desk has now."""
        desk = self._desk
        self.info.say(self._info(self.size.width))
        notes = []
        quota = desk.standing.quota
        if quota is not None and desk.chat_id == desk.client.chat_default:
            until = (
                f" until {clock_time(quota.resets_at, desk.now())}"
                if quota.resets_at
                else ""
            )
            notes.append(f"{quota.remaining} of {quota.limit} left{until}")
        most = desk.client.limits.text
        length = len(self.composer.text)
        if length > most * 3 // 4:
            notes.append(f"{length:,} of {most:,}")
        self.set_class(length > most, "over")
        self._title(desk.chat_name(desk.chat_id), "  ".join(notes))

    def _title(self, title: str, note: str) -> None:
        """Say in the frame where one writes to, and what is left."""
        room = max(4, self.size.width - cells(note) - 8)
        if self.border_title != _escaped(fitted(title, room)):
            self.border_title = _escaped(fitted(title, room))
        if self.border_subtitle != _escaped(note):
            self.border_subtitle = _escaped(note)

    def _info(self, columns: int) -> tuple[Span, ...]:
        """What stands above the text."""
        offered = self.composer.offered
        if offered is not None:
            return _offered_spans(*offered, columns)
        if self._about is not None:
            return _about_spans(*self._about, columns)
        now = self._desk.now()
        until = self._desk.standing.banned_until
        if until is not None and until > now:
            return (
                Span(
                    f"You are banned until {moment_text(until, now)}: "
                    "you can read, not write.",
                    "error",
                ),
            )
        return ()


def _escaped(text: str) -> str:
    """Titles of frames are markup; ours are plain."""
    return text.replace("[", "\\[")


def _first_argument(command: str) -> str:
    """What a command takes first, as its usage calls it."""
    slash = SLASH_BY_NAME.get(command.lower())
    if slash is None or not slash.arguments:
        return ""
    return slash.arguments[0].strip("[].")


def _about_spans(
    action: str, message: Message, columns: int
) -> tuple[Span, ...]:
    """The info line while one comments on or edits a message."""
    name = harmless(message.author.name)
    text = harmless(" ".join(message.text.split()))
    start = f"{action} {name}: "
    room = max(1, columns - cells(start) - 14)
    return (
        Span(start, "own"),
        Span(fitted(text, room), "dim"),
        Span("   Esc stops", "hint"),
    )


def _offered_spans(
    choices: Sequence[str], number: int, columns: int
) -> tuple[Span, ...]:
    """What Tab goes through, from the one that stands there on."""
    spans: list[Span] = []
    used = 0
    for place, choice in enumerate(choices[number:], number):
        shown = harmless(choice.strip()[-_OFFERED_CHARACTERS:])
        used += len(shown) + 2
        if used > columns - 4:
            spans.append(Span("…", "dim"))
            break
        spans += [
            Span(shown, "called" if place == number else "dim"),
            Span("  ", "dim"),
        ]
    return tuple(spans)

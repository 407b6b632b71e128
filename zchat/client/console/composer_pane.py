"""Where one writes: the text, what it is about, what forbids it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message as Event
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import TextArea

from zchat.client import Message
from zchat.client.console.colours import STYLES
from zchat.client.console.composing import (
    Completion,
    Recall,
    Words,
    complete,
    is_large,
)
from zchat.client.console.keys import Where, keys_of
from zchat.client.console.log_pane import strip
from zchat.client.console.rows import Span
from zchat.client.console.text import harmless
from zchat.client.console.wrapping import cells, fitted

_ACTIONS: Final = {
    name: key.action
    for key in keys_of(Where.WRITING)
    for name in key.keys.split(",")
}


class InfoLine(Widget):
    """One row above the text; it is there only if it says something."""

    def __init__(self) -> None:
        super().__init__(id="info")
        self._spans: tuple[Span, ...] = ()

    def say(self, spans: tuple[Span, ...]) -> None:
        """Show this."""
        if spans != self._spans:
            self._spans = spans
            self.display = bool(spans)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The row."""
        return strip(
            self._spans,
            self.size.width,
            self.rich_style,
            STYLES[self.app.theme],
        )


class Composer(TextArea):
    """The text being written.

    Keys of the table go first; the rest is a usual editor.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+z", "undo", show=False),
    ]

    @dataclass
    class Pressed(Event):
        """A key of the table that is not about the text alone."""

        action: str

    @dataclass
    class Pasted(Event):
        """A paste that is so large that one is asked."""

        text: str

    def __init__(self, words: Callable[[], Words]) -> None:
        super().__init__(
            id="composer",
            soft_wrap=True,
            tab_behavior="focus",
            show_line_numbers=False,
            highlight_cursor_line=False,
            compact=True,
            placeholder="",
        )
        self.recall = Recall()
        self._words = words
        self._offered: tuple[Completion, int] | None = None

    @property
    def offered(self) -> tuple[tuple[str, ...], int] | None:
        """What Tab goes through, and where it is."""
        if self._offered is None:
            return None
        return self._offered[0].choices, self._offered[1]

    async def _on_key(self, event: events.Key) -> None:
        action = _ACTIONS.get(event.key)
        if action is None or not self._takes(action):
            self._offered = None
            await super()._on_key(event)
            return
        event.stop()
        event.prevent_default()
        if action == "newline":
            self.insert("\n")
        elif action == "complete":
            self._complete()
        elif action.startswith("recall"):
            step = -1 if "-1" in action else 1
            self.write(self.recall.move(step, self.text))
        elif action == "clear" and self.text:
            self.recall.add(self.text)
            self.write("")
        else:
            self.post_message(self.Pressed(action))

    def _takes(self, action: str) -> bool:
        """Whether the key means this now: ↑ only in an empty text."""
        return action != "select" or not self.text

    async def _on_paste(self, event: events.Paste) -> None:
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        event.stop()
        event.prevent_default()
        if is_large(text):
            self.post_message(self.Pasted(text))
        else:
            self.insert(text)

    def write(self, text: str) -> None:
        """Put this text there, the cursor at its end."""
        self.text = text
        self.move_cursor(self.document.end)
        self._offered = None

    def _complete(self) -> None:
        """Put in what Tab offers; again for the next."""
        if self._offered is not None:
            completion, number = self._offered
            choices = completion.choices
            self._put(completion, choices[(number + 1) % len(choices)])
            self._offered = completion, (number + 1) % len(choices)
            return
        row, column = self.cursor_location
        lines = self.text.split("\n")
        cursor = sum(len(line) + 1 for line in lines[:row]) + column
        found = complete(self.text, cursor, self._words())
        if found is not None:
            self._put(found, found.choices[0])
            self._offered = (found, 0) if len(found.choices) > 1 else None

    def _put(self, completion: Completion, choice: str) -> None:
        before = self.text[: completion.start]
        row = before.count("\n")
        column = completion.start - (before.rfind("\n") + 1)
        self.replace(choice, (row, column), self.cursor_location)


class ComposerPane(Vertical):
    """The composer in its frame, which says where one writes to."""

    def __init__(self, composer: Composer) -> None:
        super().__init__(id="compose")
        self.composer = composer
        self.info = InfoLine()

    def compose(self) -> ComposeResult:
        """The info line above the text."""
        yield self.info
        yield self.composer

    def title(self, title: str, note: str) -> None:
        """Say in the frame where one writes to, and what is left."""
        room = max(4, self.size.width - cells(note) - 8)
        if self.border_title != _escaped(fitted(title, room)):
            self.border_title = _escaped(fitted(title, room))
        if self.border_subtitle != _escaped(note):
            self.border_subtitle = _escaped(note)


def _escaped(text: str) -> str:
    """Titles of frames are markup; ours are plain."""
    return text.replace("[", "\\[")


def about(action: str, message: Message, columns: int) -> tuple[Span, ...]:
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

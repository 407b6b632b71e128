"""The text being written: an editor with the keys of the table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message as Event
from textual.widgets import TextArea

from zchat.client.console.composing import (
    Completion,
    Recall,
    Words,
    complete,
    is_large,
)
from zchat.client.console.keys import Where, keys_of

_ACTIONS: Final = {
    name: key.action
    for key in keys_of(Where.WRITING)
    for name in key.keys.split(",")
}


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

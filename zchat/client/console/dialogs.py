"""What opens over the conversation: help, lists to pick from, questions."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from msgspec import Struct
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from zchat.client.console.keys import Where, keys_of
from zchat.client.console.slash import SLASHES


class Choice(Struct, frozen=True):
    """One row of a list: its id, a harmless title and a harmless note."""

    id: str
    title: str
    note: str = ""


class Help(ModalScreen[None]):
    """The keys and the commands, from their tables."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,q,question_mark,enter", "dismiss", show=False)
    ]

    def compose(self) -> ComposeResult:
        """One long page."""
        with Vertical(classes="dialog wide"):
            with VerticalScroll():
                yield Static(_help_text(), markup=False)
            yield Static("↑↓ PgUp PgDn scroll   Esc closes", classes="foot")


def _help_text() -> Text:
    text = Text()
    for where in Where:
        text.append(f"{where.value}\n", "bold")
        for key in keys_of(where):
            text.append(f"  {key.shown:<11}")
            text.append(f"{key.summary}\n", "dim")
        text.append("\n")
    text.append("Commands\n", "bold")
    width = max(len(slash.usage) for slash in SLASHES)
    for slash in SLASHES:
        text.append(f"  {slash.usage:<{width}}  ")
        text.append(f"{slash.summary}\n", "dim")
    text.append("\nA text that begins with // is sent with one slash.")
    return text


class Picker(ModalScreen[str | None]):
    """A line to type into and what fits it; gives the id of what is taken.

    `find` is asked whenever the line changes; the answer to what is no
    longer there is dropped.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", show=False),
        Binding("down,ctrl+n", "move(1)", show=False, priority=True),
        Binding("up,ctrl+p", "move(-1)", show=False, priority=True),
        Binding("pagedown", "move(8)", show=False, priority=True),
        Binding("pageup", "move(-8)", show=False, priority=True),
    ]

    def __init__(
        self,
        prompt: str,
        find: Callable[[str], Awaitable[Sequence[Choice]]],
        nothing: str,
        pause_seconds: float = 0.0,
    ) -> None:
        super().__init__()
        self._prompt = prompt
        self._find = find
        self._nothing = nothing
        self._pause_seconds = pause_seconds
        self._asked: asyncio.Task[None] | None = None

    def compose(self) -> ComposeResult:
        """The line, the list, and why the list is empty."""
        with Vertical(classes="dialog"):
            yield Input(placeholder=self._prompt)
            yield OptionList(markup=False)
            yield Static("", classes="foot", markup=False)

    def on_mount(self) -> None:
        """Offer what fits an empty line."""
        self.query_one(Input).focus()
        self._ask("")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Offer what fits now."""
        self._ask(event.value)

    def _ask(self, typed: str) -> None:
        if self._asked is not None:
            self._asked.cancel()
        self._asked = asyncio.create_task(self._offer(typed))

    async def _offer(self, typed: str) -> None:
        if typed and self._pause_seconds:
            await asyncio.sleep(self._pause_seconds)
        choices = await self._find(typed)
        offered = self.query_one(OptionList)
        offered.clear_options()
        offered.add_options(
            Option(
                Text.assemble(choice.title, ("  " + choice.note, "dim")),
                choice.id,
            )
            for choice in choices
        )
        if choices:
            offered.highlighted = 0
        self.query_one(".foot", Static).update(
            "Enter takes it   Esc closes" if choices else self._nothing
        )

    def action_move(self, step: int) -> None:
        """Highlight another one."""
        offered = self.query_one(OptionList)
        if offered.option_count:
            place = (offered.highlighted or 0) + step
            offered.highlighted = min(max(0, place), offered.option_count - 1)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take what is highlighted."""
        offered = self.query_one(OptionList)
        if offered.highlighted is not None:
            self.dismiss(offered.get_option_at_index(offered.highlighted).id)

    def on_option_list_option_selected(
        self, event: OptionList.OptionSelected
    ) -> None:
        """Take what was clicked."""
        self.dismiss(event.option.id)

    def action_give_up(self) -> None:
        """Take nothing."""
        self.dismiss(None)

    def on_unmount(self) -> None:
        """Ask no more."""
        if self._asked is not None:
            self._asked.cancel()


class Question(ModalScreen[str | None]):
    """A question with a few answers, each a key; Esc answers None."""

    def __init__(self, question: str, answers: Sequence[Choice]) -> None:
        super().__init__()
        self._question = question
        self._answers = answers

    def compose(self) -> ComposeResult:
        """The question above its answers."""
        text = Text(self._question + "\n\n")
        for answer in self._answers:
            text.append(f"  {answer.title}  ", "bold")
            text.append(f"{answer.note}\n")
        text.append("  Esc  ", "bold")
        text.append("none of it")
        with Vertical(classes="dialog small"):
            yield Static(text, markup=False)

    def on_key(self, event: events.Key) -> None:
        """One of the answers."""
        event.stop()
        if event.key == "escape":
            self.dismiss(None)
        for answer in self._answers:
            if event.key == answer.id:
                self.dismiss(answer.id)


class Ask(ModalScreen[str | None]):
    """A line that is asked for; Esc answers None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", show=False)
    ]

    def __init__(self, question: str, typed: str = "", note: str = "") -> None:
        super().__init__()
        self._question = question
        self._typed = typed
        self._note = note

    def compose(self) -> ComposeResult:
        """The question, the line, a note."""
        with Vertical(classes="dialog small"):
            yield Static(self._question, markup=False, classes="question")
            yield Input(self._typed)
            yield Static(
                self._note or "Enter goes on   Esc closes",
                classes="foot",
                markup=False,
            )

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The answer, if there is one."""
        if event.value.strip():
            self.dismiss(event.value.strip())

    def action_give_up(self) -> None:
        """No answer."""
        self.dismiss(None)

"""The conversation, and what the keys do with its selected message."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.message import Message as Event

from zchat.client import Message
from zchat.client.console.desk import Desk
from zchat.client.console.dialogs import Ask, Choice, Question
from zchat.client.console.keys import Where, keys_of
from zchat.client.console.log_pane import LogPane
from zchat.client.console.paths import free_path
from zchat.client.console.pickers import emoji_picker
from zchat.client.console.rows import excerpt
from zchat.client.console.text import harmless
from zchat.client.console.timeline import Outgoing, State, Waiting

COMMENT: Final = "Comment on"
EDIT: Final = "Edit"


class ConversationPane(LogPane):
    """The log whose selected message has keys of its own."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action, key.summary, show=False)
        for key in keys_of(Where.SELECTED)
    ]

    @dataclass
    class About(Event):
        """One wants to write about a message: `action` says what."""

        action: str
        message: Message
        text: str

    @dataclass
    class Dropped(Event):
        """A text that was not sent was taken away."""

        text: str

    @property
    def _selected(self) -> Message | None:
        item = self.item
        return item if isinstance(item, Message) else None

    def action_move(self, step: int) -> None:
        """Select the message above or below."""
        self.select_next(step)
        self.desk.changed()

    def action_unselect(self) -> None:
        """Back to writing."""
        self.post_message(self.Left())

    def action_comment(self) -> None:
        """Comment on the selected message."""
        if message := self._selected:
            self.post_message(self.About(COMMENT, message, ""))

    def action_edit(self) -> None:
        """Edit the selected message, if it is the user's."""
        message = self._selected
        if message is None or message.deleted:
            return
        if message.author.id != self.desk.client.user_id:
            self.notify("Only your own messages can be edited.", timeout=3)
            return
        self.post_message(self.About(EDIT, message, message.text))

    async def action_delete(self) -> None:
        """Delete the selected message, once it is confirmed."""
        message, desk = self._selected, self.desk
        if message is None or message.deleted:
            return
        await self.app.push_screen(
            Question(
                f"Delete this message of {harmless(message.author.name)}? "
                f"{excerpt(message, 40)}",
                [Choice("d", "d", "delete it for everybody")],
            ),
            _if_any(lambda _: desk.chore(desk.delete(message))),
        )

    async def action_react(self) -> None:
        """Put an emoji on the selected message, or take it off."""
        message, desk = self._selected, self.desk
        if message is None or message.deleted:
            return
        await self.app.push_screen(
            emoji_picker(),
            _if_any(lambda emoji: desk.chore(desk.react(message, emoji))),
        )

    def action_copy(self) -> None:
        """Copy the selected message's text to the clipboard."""
        item = self.item
        if isinstance(item, Message | Outgoing):
            self.app.copy_to_clipboard(item.text)
            self.notify("Copied.", timeout=2)

    def action_open(self) -> None:
        """Unfold the message, or go to what it comments on."""
        message = self._selected
        if message is None:
            return
        target = message.is_comment_on and self._target(message.is_comment_on)
        if target:
            self.desk.chore(self.desk.jump(target.seq))
        else:
            self.toggle_opened()

    def action_save(self) -> None:
        """Save the files of the selected message."""
        message = self._selected
        if message is None:
            return
        if not message.files:
            self.notify("There is no file on this message.", timeout=3)
        for file in message.files:
            self.desk.chore(self.desk.save(file, free_path(Path(), file.name)))

    async def action_report(self) -> None:
        """Report the selected message."""
        message, desk = self._selected, self.desk
        if message is None:
            return
        await self.app.push_screen(
            Ask(
                f"Report {harmless(message.author.name)}: "
                f"{excerpt(message, 30)}",
                note="Why? The operator reads this and the message.",
            ),
            _if_any(lambda reason: desk.chore(_report(desk, message, reason))),
        )

    def action_private(self) -> None:
        """Write to the author of the selected message alone."""
        if message := self._selected:
            self.desk.chore(self.desk.open_private(message.author.id))

    def action_retry(self) -> None:
        """Send again what was not sent."""
        item = self.item
        if isinstance(item, Outgoing):
            self.desk.retry(item.key)
            self.action_unselect()

    def action_drop(self) -> None:
        """Drop what was not sent, cancel what is scheduled."""
        item, desk = self.item, self.desk
        if isinstance(item, Outgoing) and item.state is not State.SENDING:
            desk.give_up(item.key)
            self.post_message(self.Dropped(item.text))
            self.action_unselect()
        elif isinstance(item, Waiting):
            desk.chore(desk.client.cancel(item.key))
            self.action_unselect()


def _if_any(take: Callable[[str], None]) -> Callable[[str | None], None]:
    """What a dialog answered, unless it was closed without an answer."""

    def answered(answer: str | None) -> None:
        if answer is not None:
            take(answer)

    return answered


async def _report(desk: Desk, message: Message, reason: str) -> None:
    await desk.client.report(message.author.id, reason, message_id=message.id)
    desk.say("reported")

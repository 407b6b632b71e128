"""The panes of the full screen, and what one of them does to another."""

from typing import Final

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from zchat.client.console.chats_pane import ChatsPane
from zchat.client.console.composer import Composer
from zchat.client.console.composer_pane import ComposerPane
from zchat.client.console.conversation import Quit
from zchat.client.console.conversation_pane import ConversationPane
from zchat.client.console.desk import Desk
from zchat.client.console.heading import Heading
from zchat.client.console.log_pane import LogPane
from zchat.client.console.members_pane import MembersPane
from zchat.client.console.settings import ScreenSettings
from zchat.client.console.slash import dispatch
from zchat.client.console.status_bar import StatusBar

NARROW: Final = 100
"""Columns below which the members are hidden until they are asked for."""
_TINY: Final = 60
"""Columns below which the chats are, too."""
_ROOMY: Final = 140


class Panes(Vertical):
    """Everything that one sees of the desk."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.log_pane = ConversationPane(desk)
        self.chats_pane = ChatsPane(desk)
        self.members_pane = MembersPane(desk)
        self.status_bar = StatusBar(desk)
        self.composer_pane = ComposerPane(desk)
        self.composer = self.composer_pane.composer
        self.heading = Heading(desk)

    def compose(self) -> ComposeResult:
        """Chats, conversation and members above the status bar."""
        with Horizontal(id="panes"):
            yield self.chats_pane
            with Vertical(id="middle"):
                yield self.heading
                yield self.log_pane
                yield self.composer_pane
            yield self.members_pane
        yield self.status_bar

    def fit(self, columns: int, settings: ScreenSettings) -> None:
        """Show the panes that there is room for, unless told otherwise."""
        members, chats = settings.members, settings.chats
        self.members_pane.display = (
            columns >= NARROW if members is None else members
        )
        self.chats_pane.display = columns >= _TINY if chats is None else chats
        self.set_class(columns >= _ROOMY, "roomy")

    def update(self) -> None:
        """Draw what the desk has now."""
        self.composer_pane.swap_drafts()
        self.log_pane.update()
        self.chats_pane.update()
        self.members_pane.update()
        self.status_bar.is_selecting = self.log_pane.has_focus
        self.status_bar.update()
        self.heading.show()
        self.composer_pane.update()

    def go(self, chat_id: str) -> None:
        """Open a chat."""
        if chat_id != self.desk.chat_id:
            self.desk.chore(self.desk.open(chat_id))

    def on_chats_pane_picked(self, event: ChatsPane.Picked) -> None:
        """A chat was clicked."""
        self.go(event.chat_id)

    def newest(self) -> None:
        """Scroll to the newest message."""
        self.log_pane.newest()
        self.desk.chore(self.desk.newest())

    # Writing.

    def on_composer_pressed(self, event: Composer.Pressed) -> None:
        """A key of the table while one writes."""
        if event.action == "send":
            if (text := self.composer_pane.enter()) is not None:
                self.type(text)
        elif event.action == "select":
            if self.log_pane.select_last():
                self.log_pane.focus()
        elif event.action == "clear":
            self.desk.say("Ctrl+Q or /quit closes the program.")
        elif event.action == "back":
            self.composer_pane.stop_about()
            self.newest()
        self.desk.changed()

    def on_text_area_changed(self) -> None:
        """The count in the frame may be another; others see one type."""
        text = self.composer.text
        if text and not text.startswith("/"):
            self.desk.is_typing()
        self.desk.changed()

    def type(self, text: str) -> None:
        """Send a text, or do what stands behind its slash."""
        desk = self.desk
        if text.startswith("/") and not text.startswith("//"):
            desk.chore(self._slash(text[1:]))
        else:
            desk.submit(text.removeprefix("/"), desk.chat_id)
            self.newest()

    async def _slash(self, line: str) -> None:
        try:
            await dispatch(self.desk, line)
        except Quit:
            self.app.exit()

    def on_composer_pane_commented(self) -> None:
        """Show the comment, which is the newest."""
        self.log_pane.newest()

    # A selected message.

    def on_log_pane_left(self, event: LogPane.Left) -> None:
        """Back to writing."""
        self.log_pane.unselect()
        self.composer.focus()
        self.desk.changed()

    def on_conversation_pane_about(
        self, event: ConversationPane.About
    ) -> None:
        """Write about the selected message."""
        self.log_pane.unselect()
        self.composer_pane.start_about(event.action, event.message, event.text)
        self.desk.changed()

    def on_conversation_pane_dropped(
        self, event: ConversationPane.Dropped
    ) -> None:
        """Ctrl+↑ brings the text back."""
        self.composer.recall.add(event.text)

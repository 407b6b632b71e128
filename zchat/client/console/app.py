"""The full screen: coming in, looks, and the keys that work anywhere."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, Final, cast

from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.keys import Keys
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Static

from zchat.client.console.colours import (
    STYLES,
    THEME_NAMES,
    THEMES,
    detected_theme,
)
from zchat.client.console.composer import Composer
from zchat.client.console.desk import Desk
from zchat.client.console.dialogs import Choice, Help, Question
from zchat.client.console.entrance import Entrance
from zchat.client.console.entry import Entry
from zchat.client.console.following import Follower
from zchat.client.console.keys import KEYS, Where
from zchat.client.console.panes import Panes
from zchat.client.console.pickers import (
    chat_picker,
    command_picker,
    message_picker,
)
from zchat.client.console.settings import ScreenSettings
from zchat.client.console.slash import SLASH_BY_NAME
from zchat.client.console.text import harmless
from zchat.errors import ConfigError, ZchatError

FRAME_SECONDS: Final = 0.05
"""Changes are drawn this often at most; keys are drawn at once."""
TICK_SECONDS: Final = 20.0
MEMBERS_SECONDS: Final = 60.0

# Most terminals send Alt+Enter as ESC CR, which Textual reads as Enter.
cast(dict[str, object], ANSI_SEQUENCES_KEYS)["\x1b\r"] = (Keys.ControlJ,)


class Console(App[None]):
    """The program; `failure` is what ended it against one's will."""

    CSS_PATH = "console.tcss"
    TITLE = "zchat"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action, key.summary, show=False, priority=True)
        for key in KEYS
        if key.where is Where.ANYWHERE
    ]

    def __init__(
        self,
        entry: Entry,
        now: Callable[[], datetime],
        chat: str | None = None,
        theme: str | None = None,
    ) -> None:
        super().__init__()
        self._entry = entry
        self._now = now
        self._chat = chat
        self._theme = theme
        self._frame: Timer | None = None
        self._work: asyncio.Task[None] | None = None
        self._is_link_up = True
        self._settings = ScreenSettings()
        self.panes: Panes | None = None
        self.failure: ZchatError | None = None
        for made in THEMES:
            self.register_theme(made)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Colours of the style sheet that themes of others lack."""
        return THEMES[0].variables

    # Coming in.

    def compose(self) -> ComposeResult:
        """Empty until the server answers."""
        yield Static(
            f"Connecting to {self._entry.options.server} …",
            id="splash",
            markup=False,
        )

    def on_mount(self) -> None:
        """Come in beside the first drawing."""
        self.app_resume_signal.subscribe(self, self._resumed)
        self._settings = self._entry.profile.screen_settings()
        self.theme = (
            self._theme
            or self._settings.theme
            or detected_theme(self.console.color_system)
        )
        self._work = asyncio.create_task(self._run())
        self._work.add_done_callback(self._ended)

    def _ended(self, work: "asyncio.Task[None]") -> None:
        if work.cancelled():
            return
        try:
            work.result()
        except ZchatError as error:
            self.failure = error
            self.exit()
        except Exception as error:
            self._handle_exception(error)

    async def _run(self) -> None:
        client = await Entrance(
            self._entry, self._now, self._answer_to, self._splash
        ).enter(self._link_up, self._link_down)
        if client is None:
            self.exit()
            return
        async with client:
            desk = Desk(
                client, self._now, self.changed, is_up=self._is_link_up
            )
            desk.called = self._called
            desk.helped = self._help_soon
            await self._furnish(desk)
            await Follower(desk).run(self._chat)

    def _splash(self, text: str) -> None:
        self.query_one("#splash", Static).update(harmless(text))

    async def _answer_to(self, screen: ModalScreen[str | None]) -> str | None:
        """Show a dialog and wait for its answer, from any task."""
        answered: asyncio.Future[str | None] = (
            asyncio.get_running_loop().create_future()
        )

        def answer(result: str | None) -> None:
            if not answered.done():
                answered.set_result(result)

        await self.push_screen(screen, answer)
        return await answered

    async def _furnish(self, desk: Desk) -> None:
        """Put the panes where the splash was."""
        panes = Panes(desk)
        await self.query_one("#splash").remove()
        self.panes = panes
        await self.screen.mount(panes)
        self._arrange()
        panes.composer.focus()
        self.set_interval(TICK_SECONDS, self.changed)
        self.set_interval(MEMBERS_SECONDS, desk.look_at_members)
        self.changed()

    @property
    def desk(self) -> Desk | None:
        """What the panes show; None until one has come in."""
        return None if self.panes is None else self.panes.desk

    def _arrange(self) -> None:
        if self.panes is not None:
            self.panes.fit(self.size.width, self._settings)

    def on_resize(self, event: events.Resize) -> None:
        """Other panes fit now."""
        self._arrange()

    async def action_leave(self) -> None:
        """Close the program."""
        self.exit()

    async def on_unmount(self) -> None:
        """Close the connection."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    # Drawing.

    def changed(self) -> None:
        """Draw soon: at most once in FRAME_SECONDS."""
        if self._frame is None and self.is_running:
            self._frame = self.set_timer(FRAME_SECONDS, self._draw)

    def _draw(self) -> None:
        self._frame = None
        if self.panes is not None and self.panes.is_attached:
            self.panes.update()

    def _called(self) -> None:
        """Somebody named the user, or wrote in private."""
        if not self.app_focus:
            self.bell()

    def _link_up(self) -> None:
        self._is_link_up = True
        if self.desk is not None:
            self.desk.came_up()

    def _link_down(self) -> None:
        self._is_link_up = False
        if self.desk is not None:
            self.desk.went_down()

    def on_app_focus(self) -> None:
        """What is on the screen is seen now."""
        self.changed()

    # Chats.

    def action_next_unread(self) -> None:
        """Go where something is unread."""
        panes = self.panes
        if panes is not None and (found := panes.desk.next_unread()):
            panes.go(found)

    def action_neighbour(self, step: int) -> None:
        """Go to the chat above or below."""
        panes = self.panes
        if panes is not None:
            panes.go(panes.desk.neighbour(step))

    async def action_switch(self) -> None:
        """Go to a chat or a person by name."""
        panes = self.panes
        if panes is None:
            return

        def taken(picked: str | None) -> None:
            kind, _, found = (picked or "").partition(" ")
            if kind == "chat":
                panes.go(found)
            elif kind == "user":
                panes.desk.chore(panes.desk.open_private(found))

        await self.push_screen(chat_picker(panes.desk), taken)

    async def action_search(self) -> None:
        """Search messages."""
        panes = self.panes
        if panes is None:
            return

        def taken(picked: str | None) -> None:
            if picked is not None:
                chat_id, _, seq = picked.partition(" ")
                panes.desk.chore(panes.desk.show_found(chat_id, int(seq)))
                panes.log_pane.focus()

        await self.push_screen(message_picker(panes.desk), taken)

    async def action_palette(self) -> None:
        """Find a command by its name."""

        def taken(picked: str | None) -> None:
            kind, _, found = (picked or "").partition(" ")
            if kind == "key":
                self.call_later(self.run_action, KEYS[int(found)].action)
            elif kind == "slash" and self.panes is not None:
                if SLASH_BY_NAME[found].arguments:
                    self.panes.composer.write(f"/{found} ")
                    self.panes.composer.focus()
                else:
                    self.panes.type(f"/{found}")

        await self.push_screen(command_picker(), taken)

    # Looks.

    def _help_soon(self) -> None:
        self.call_later(self.action_help)

    async def action_help(self) -> None:
        """Show the keys and the commands."""
        await self.push_screen(Help())

    def action_toggle_chats(self) -> None:
        """Show or hide the list of chats."""
        if self.panes is not None:
            self._keep(chats=not self.panes.chats_pane.display)

    def action_toggle_members(self) -> None:
        """Show or hide the members."""
        if self.panes is not None:
            self._keep(members=not self.panes.members_pane.display)

    def action_toggle_theme(self) -> None:
        """The next theme."""
        place = THEME_NAMES.index(self.theme) if self.theme in STYLES else -1
        self.theme = THEME_NAMES[(place + 1) % len(THEME_NAMES)]
        self._keep(theme=self.theme)
        self.refresh_css()
        if self.panes is not None:
            for pane in self.query("#panes *, #status"):
                pane.refresh()
            self.changed()

    def _keep(self, **changes: Any) -> None:
        self._settings = self._settings.changed(**changes)
        try:
            self._entry.profile.keep_screen_settings(self._settings)
        except ConfigError as error:
            self._fail(str(error))
        self._arrange()
        self.changed()

    def action_redraw(self) -> None:
        """Draw the whole screen again: also what did not change."""
        self.refresh(layout=True)
        for widget in self.screen.walk_children():
            widget.refresh()

    def _resumed(self, app: "App[None]") -> None:
        """The shell gave the terminal back, with its own text on it."""
        self.action_redraw()

    def action_suspend(self) -> None:
        """Back to the shell."""
        self.action_suspend_process()

    def _fail(self, text: str) -> None:
        if self.desk is not None:
            self.desk.fail(harmless(text))

    # Moving.

    def action_page(self, step: int) -> None:
        """Scroll by a page."""
        if self.panes is not None:
            self.panes.log_pane.page(step)
            self.changed()

    def action_oldest(self) -> None:
        """Scroll to the oldest message that is loaded."""
        if self.panes is not None:
            self.panes.log_pane.oldest()
            self.changed()

    def action_newest(self) -> None:
        """Scroll to the newest message."""
        if self.panes is not None:
            self.panes.newest()

    def action_read_all(self) -> None:
        """Mark this chat as read."""
        if self.desk is not None:
            self.desk.chore(self.desk.mark_all_read())

    # Pasting.

    async def on_composer_pasted(self, event: Composer.Pasted) -> None:
        """Ask what a large paste is meant to be."""
        lines = event.text.count("\n") + 1
        panes = self.panes
        if panes is None:
            return

        def answered(answer: str | None) -> None:
            if answer == "enter":
                panes.composer.insert(event.text)
            elif answer == "f":
                path = self._entry.profile.paste_path(self._now())
                path.write_text(event.text, encoding="utf-8")
                panes.desk.submit("", panes.desk.chat_id, paths=[str(path)])

        await self.push_screen(
            Question(
                f"Paste {lines:,} lines, {len(event.text):,} characters?",
                [
                    Choice("enter", "Enter", "put it into the message"),
                    Choice("f", "f", "send it as a file"),
                ],
            ),
            answered,
        )

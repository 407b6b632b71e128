"""The full screen: the panes, the keys, and what they do with the desk."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final, cast

from msgspec import Struct
from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.keys import Keys
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Static

from zchat.client import Client, Message, NoAnswer
from zchat.client.console.chats_pane import ChatsPane
from zchat.client.console.colours import (
    STYLES,
    THEME_NAMES,
    THEMES,
    detected_theme,
)
from zchat.client.console.composer_pane import Composer, ComposerPane, about
from zchat.client.console.composing import Words, matches
from zchat.client.console.conversation import Quit, failure
from zchat.client.console.desk import Desk
from zchat.client.console.dialogs import Ask, Choice, Help, Picker, Question
from zchat.client.console.entry import Entry, UnknownToken
from zchat.client.console.keys import KEYS, Where
from zchat.client.console.log_pane import LogPane
from zchat.client.console.members_pane import MembersPane
from zchat.client.console.rows import Span, excerpt, moment_text
from zchat.client.console.settings import ScreenSettings
from zchat.client.console.slash import (
    SLASH_BY_NAME,
    SLASHES,
    dispatch,
    free_path,
)
from zchat.client.console.status_bar import StatusBar
from zchat.client.console.text import clock_time, harmless
from zchat.client.console.timeline import Outgoing, State, Waiting
from zchat.errors import Code, ConfigError, Refused, ZchatError

ANSWER_SECONDS: Final = 120.0
FRAME_SECONDS: Final = 0.05
"""Changes are drawn this often at most; keys are drawn at once."""
TICK_SECONDS: Final = 20.0
MEMBERS_SECONDS: Final = 60.0
NARROW: Final = 100
"""Columns below which the members are hidden until they are asked for."""
COMMENT: Final = "Comment on"
EDIT: Final = "Edit"
REACTIONS: Final = {
    "👍": "thumbs up, yes",
    "👎": "thumbs down, no",
    "❤": "heart, love",
    "😂": "laughing",
    "🎉": "party, congratulations",
    "👀": "eyes, looking",
    "🙏": "thank you, please",
    "✅": "done, check",
    "😮": "surprised",
    "😢": "sad",
    "🔥": "fire",
    "🤔": "thinking",
}
SEARCH_SECONDS: Final = 0.2
"""How long a search waits for the next letter."""
_RETRY_SECONDS: Final = 1.0

# Most terminals send Alt+Enter as ESC CR, which Textual reads as Enter.
cast(dict[str, object], ANSI_SEQUENCES_KEYS)["\x1b\r"] = (Keys.ControlJ,)


class _Newcomer(Struct):
    """What somebody new has said of themselves."""

    name: str | None
    invite: str | None = None


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
        self._client: Client | None = None
        self._is_dirty = False
        self._frame: Timer | None = None
        self._work: asyncio.Task[None] | None = None
        self._is_link_up = True
        self._drafts: dict[str, str] = {}
        self._drafted: str | None = None
        self._about: tuple[str, Message] | None = None
        self._settings = ScreenSettings()
        self.desk: Desk | None = None
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
        client = await self._enter()
        if client is None:
            self.exit()
            return
        async with client:
            self._client = client
            desk = Desk(
                client, self._now, self.changed, is_up=self._is_link_up
            )
            desk.called = self._called
            desk.helped = self._help_soon
            self.desk = desk
            await self._furnish(desk)
            await desk.run(self._chat)

    async def _enter(self) -> Client | None:
        """The client; asks for a name, and again while none fits."""
        who = _Newcomer(self._entry.options.name)
        if who.name is None and self._entry.kept is None:
            who.name = await self._asked_name("")
        while who.name is not None or self._entry.kept is not None:
            try:
                return await self._entry.connect(
                    who.name,
                    invite=who.invite,
                    listen=True,
                    answer_seconds=ANSWER_SECONDS,
                    on_up=self._link_up,
                    on_down=self._link_down,
                )
            except NoAnswer as error:
                self._splash(f"{error} Trying again …")
                await asyncio.sleep(_RETRY_SECONDS)
            except UnknownToken as error:
                if not await self._forgets(error):
                    raise
                who.name = await self._asked_name("")
            except Refused as refused:
                if self._entry.kept is not None:
                    raise
                await self._ask_again(who, refused)
        return None

    async def _ask_again(self, who: "_Newcomer", refused: Refused) -> None:
        """Ask for what was refused; raises what asking does not mend."""
        if refused.data.get("field") == "invite":
            who.invite = await self._asked_invite(refused)
        elif refused.code in (Code.CONFLICT, Code.BAD_REQUEST):
            who.name = await self._asked_name(
                failure(refused, self._now()), who.name or ""
            )
        else:
            raise refused

    def _splash(self, text: str) -> None:
        self.query_one("#splash", Static).update(harmless(text))

    async def _asked_name(self, problem: str, typed: str = "") -> str | None:
        return await self._answer_to(
            Ask(
                "Welcome to zchat. What should others call you?",
                typed,
                problem or "1 to 32 letters or digits, no spaces",
            )
        )

    async def _asked_invite(self, refused: Refused) -> str:
        code = await self._answer_to(
            Ask("Your invite code", note=failure(refused, self._now()))
        )
        if code is None:
            raise refused
        return code

    async def _forgets(self, error: UnknownToken) -> bool:
        answer = await self._answer_to(
            Question(
                f"{harmless(self._entry.options.server)} does not know you. "
                "Perhaps it has another store now.",
                [Choice("n", "n", "forget the old token, begin as new")],
            )
        )
        if answer == "n":
            self._entry.profile.forget(self._entry.servers)
        return answer == "n"

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
        self.log_pane = LogPane(desk)
        self.chats_pane = ChatsPane(desk)
        self.members_pane = MembersPane(desk)
        self.status_bar = StatusBar(desk)
        self.composer = Composer(self._words)
        self.composer_pane = ComposerPane(self.composer)
        self.heading = Static("", id="heading", markup=False)
        await self.query_one("#splash").remove()
        await self.screen.mount(
            Horizontal(
                self.chats_pane,
                Vertical(
                    self.heading,
                    self.log_pane,
                    self.composer_pane,
                    id="middle",
                ),
                self.members_pane,
                id="panes",
            ),
            self.status_bar,
        )
        self._arrange()
        self.composer.focus()
        self._drafted = desk.chat_id
        self.set_interval(TICK_SECONDS, self.changed)
        self.set_interval(MEMBERS_SECONDS, desk.look_at_members)
        self.changed()

    def _arrange(self) -> None:
        """Show the panes that there is room for, unless told otherwise."""
        if self.desk is None:
            return
        is_wide = self.size.width >= NARROW
        members = self._settings.members
        self.members_pane.display = is_wide if members is None else members
        chats = self._settings.chats
        self.chats_pane.display = (
            self.size.width >= 60 if chats is None else chats
        )
        self.screen.set_class(self.size.width >= 140, "roomy")

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
        desk = self.desk
        if desk is None or not self.log_pane.is_attached:
            return
        self._swap_drafts(desk)
        self.log_pane.update()
        self.chats_pane.update()
        self.members_pane.update()
        self.status_bar.is_selecting = self.log_pane.has_focus
        self.status_bar.update()
        self._draw_heading(desk)
        self._draw_frame(desk)

    def _draw_heading(self, desk: Desk) -> None:
        chat = desk.chat
        members = desk.members.get(desk.chat_id)
        parts = [desk.chat_name(desk.chat_id)]
        if chat is not None and chat.kind != "p2p" and members is not None:
            plural = "s" * (members.size != 1)
            parts.append(f"{members.size} member{plural}")
        elif chat is not None and chat.kind == "p2p":
            parts.append("private")
            if desk.is_seen():
                parts.append("seen")
        if chat is not None and (asking := chat.requests):
            verb = "asks" if asking == 1 else "ask"
            parts.append(f"{asking} {verb} to come in: /requests")
        self.heading.update("  ·  ".join(parts))

    def _draw_frame(self, desk: Desk) -> None:
        columns = self.composer_pane.size.width
        self.composer_pane.info.say(self._info(desk, columns))
        notes = []
        quota = desk.standing.quota
        if quota is not None and desk.chat_id == desk.client.chat_default:
            until = (
                f" until {clock_time(quota.resets_at, self._now())}"
                if quota.resets_at
                else ""
            )
            notes.append(f"{quota.remaining} of {quota.limit} left{until}")
        most = desk.client.limits.text
        length = len(self.composer.text)
        if length > most * 3 // 4:
            notes.append(f"{length:,} of {most:,}")
        self.composer_pane.set_class(length > most, "over")
        self.composer_pane.title(
            desk.chat_name(desk.chat_id), "  ".join(notes)
        )

    def _info(self, desk: Desk, columns: int) -> tuple[Span, ...]:
        """What stands above the text."""
        offered = self.composer.offered
        if offered is not None:
            return _offered_spans(*offered, columns)
        if self._about is not None:
            action, message = self._about
            return about(action, message, columns)
        until = desk.standing.banned_until
        if until is not None and until > self._now():
            moment = moment_text(until, self._now())
            return (
                Span(
                    f"You are banned until {moment}: you can read, not write.",
                    "error",
                ),
            )
        return ()

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

    def go(self, chat_id: str) -> None:
        """Open a chat."""
        desk = self.desk
        if desk is not None and chat_id != desk.chat_id:
            desk.chore(desk.open(chat_id))

    def _swap_drafts(self, desk: Desk) -> None:
        """Each chat keeps what was being written in it."""
        if self._drafted == desk.chat_id:
            return
        if self._drafted is not None and self._about is None:
            self._drafts[self._drafted] = self.composer.text
        self._about = None
        self._drafted = desk.chat_id
        self.composer.write(self._drafts.pop(desk.chat_id, ""))
        self.composer.focus()

    def on_chats_pane_picked(self, event: ChatsPane.Picked) -> None:
        """A chat was clicked."""
        self.go(event.chat_id)

    def action_next_unread(self) -> None:
        """Go where something is unread."""
        if self.desk is not None and (found := self.desk.next_unread()):
            self.go(found)

    def action_neighbour(self, step: int) -> None:
        """Go to the chat above or below."""
        if self.desk is not None:
            self.go(self.desk.neighbour(step))

    async def action_switch(self) -> None:
        """Go to a chat or a person by name."""
        desk = self.desk
        if desk is None:
            return

        async def find(typed: str) -> Sequence[Choice]:
            chats = [
                Choice(
                    f"chat {line.id}",
                    line.title,
                    f"{line.unread} unread" if line.unread else "",
                )
                for line in desk.lines()
                if matches(typed, line.title)
            ]
            people = [
                Choice(f"user {user_id}", harmless(name), "write in private")
                for user_id, name in sorted(
                    desk.people.items(), key=lambda each: each[1].casefold()
                )
                if typed
                and user_id != desk.client.user_id
                and matches(typed, name)
            ]
            return [*chats, *people][:100]

        def taken(picked: str | None) -> None:
            kind, _, found = (picked or "").partition(" ")
            if kind == "chat":
                self.go(found)
            elif kind == "user":
                desk.chore(self._go_private(desk, found))

        await self.push_screen(
            Picker("Go to a chat or a person", find, "Nothing is called so."),
            taken,
        )

    @staticmethod
    async def _go_private(desk: Desk, user_id: str) -> None:
        await desk.open(await desk.client.p2p(user_id))

    async def action_search(self) -> None:
        """Search messages."""
        desk = self.desk
        if desk is None:
            return

        async def find(typed: str) -> Sequence[Choice]:
            return [
                Choice(
                    f"{chat_id} {message.seq}",
                    excerpt(message, 44),
                    f"{harmless(message.author.name)} in "
                    f"{desk.chat_name(chat_id)}, "
                    f"{moment_text(message.created, self._now())}",
                )
                for chat_id, message in await desk.search(typed)
            ]

        def taken(picked: str | None) -> None:
            if picked is not None:
                chat_id, _, seq = picked.partition(" ")
                desk.chore(desk.show_found(chat_id, int(seq)))
                self.log_pane.focus()

        await self.push_screen(
            Picker("Search all chats", find, "Nothing found.", SEARCH_SECONDS),
            taken,
        )

    async def action_palette(self) -> None:
        """Find a command by its name."""

        async def find(typed: str) -> Sequence[Choice]:
            keys = [
                Choice(f"key {number}", key.summary, key.shown)
                for number, key in enumerate(KEYS)
                if key.where is Where.ANYWHERE and matches(typed, key.summary)
            ]
            slashes = [
                Choice(f"slash {slash.name}", slash.summary, slash.usage)
                for slash in SLASHES
                if matches(typed, f"{slash.name} {slash.summary}")
            ]
            return [*keys, *slashes]

        def taken(picked: str | None) -> None:
            kind, _, found = (picked or "").partition(" ")
            if kind == "key":
                self.call_later(self.run_action, KEYS[int(found)].action)
            elif kind == "slash" and SLASH_BY_NAME[found].arguments:
                self.composer.write(f"/{found} ")
                self.composer.focus()
            elif kind == "slash":
                self._type(f"/{found}")

        await self.push_screen(
            Picker("Do …", find, "There is no such thing."), taken
        )

    # Looks.

    def _help_soon(self) -> None:
        self.call_later(self.action_help)

    async def action_help(self) -> None:
        """Show the keys and the commands."""
        await self.push_screen(Help())

    def action_toggle_chats(self) -> None:
        """Show or hide the list of chats."""
        if self.desk is not None:
            shown = not self.chats_pane.display
            self._keep(chats=shown)

    def action_toggle_members(self) -> None:
        """Show or hide the members."""
        if self.desk is not None:
            shown = not self.members_pane.display
            self._keep(members=shown)

    def action_toggle_theme(self) -> None:
        """The next theme."""
        place = THEME_NAMES.index(self.theme) if self.theme in STYLES else -1
        self.theme = THEME_NAMES[(place + 1) % len(THEME_NAMES)]
        self._keep(theme=self.theme)
        self.refresh_css()
        if self.desk is not None:
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
        if self.desk is not None:
            self.log_pane.page(step)
            self.changed()

    def action_oldest(self) -> None:
        """Scroll to the oldest message that is loaded."""
        if self.desk is not None:
            self.log_pane.oldest()
            self.changed()

    def action_newest(self) -> None:
        """Scroll to the newest message."""
        if self.desk is not None:
            self.log_pane.newest()
            self.desk.chore(self.desk.newest())

    def action_read_all(self) -> None:
        """Mark this chat as read."""
        if self.desk is not None:
            self.desk.chore(self.desk.mark_all_read())

    # Writing.

    def on_composer_pressed(self, event: Composer.Pressed) -> None:
        """A key of the table while one writes."""
        if self.desk is None:
            return
        if event.action == "send":
            self._enter_text(self.desk)
        elif event.action == "select":
            if self.log_pane.select_last():
                self.log_pane.focus()
        elif event.action == "clear":
            self.desk.say("Ctrl+Q or /quit closes the program.")
        elif event.action == "back":
            self._stop_about()
            self.action_newest()
        self.changed()

    def on_text_area_changed(self) -> None:
        """The count in the frame may be another; others see one type."""
        text = self.composer.text
        if self.desk is not None and text and not text.startswith("/"):
            self.desk.is_typing()
        self.changed()

    def _words(self) -> Words:
        """What Tab may put in."""
        if self.desk is None:
            return Words()
        return Words(
            names=self.desk.names(),
            chats=[line.title for line in self.desk.lines()],
            commands=[slash.name for slash in SLASHES],
            arguments=_first_argument,
        )

    def _enter_text(self, desk: Desk) -> None:
        """Send what is written, or do what stands behind the slash."""
        text = self.composer.text
        most = desk.client.limits.text
        if len(text) > most:
            self._fail(
                f"This has {len(text):,} characters; a message holds "
                f"{most:,}. Shorten it, or /upload it as a file."
            )
            return
        if not text.strip():
            return
        self.composer.recall.add(text)
        if self._about is not None:
            self._send_about(desk, text)
            return
        self.composer.write("")
        self._type(text)

    def _type(self, text: str) -> None:
        desk = self.desk
        if desk is None:
            return
        if text.startswith("/") and not text.startswith("//"):
            desk.chore(self._slash(desk, text[1:]))
        else:
            desk.submit(text.removeprefix("/"), desk.chat_id)
            self.log_pane.newest()
            desk.chore(desk.newest())

    async def _slash(self, desk: Desk, line: str) -> None:
        try:
            await dispatch(desk, line)
        except Quit:
            self.exit()

    def _send_about(self, desk: Desk, text: str) -> None:
        assert self._about is not None
        action, message = self._about
        self._stop_about()
        if action == EDIT:
            desk.chore(desk.edit(message, text))
            return
        desk.submit(text, desk.chat_id, comment_on=message.id)
        self.log_pane.newest()

    def _start_about(self, action: str, message: Message, text: str) -> None:
        """Write about a message; the draft comes back afterwards."""
        if self.desk is None:
            return
        if self._about is None:
            self._drafts[self.desk.chat_id] = self.composer.text
        self._about = (action, message)
        self.log_pane.unselect()
        self.composer.write(text)
        self.composer.focus()
        self.changed()

    def _stop_about(self) -> None:
        if self._about is not None and self.desk is not None:
            self._about = None
            self.composer.write(self._drafts.pop(self.desk.chat_id, ""))

    async def on_composer_pasted(self, event: Composer.Pasted) -> None:
        """Ask what a large paste is meant to be."""
        lines = event.text.count("\n") + 1

        def answered(answer: str | None) -> None:
            if answer == "enter":
                self.composer.insert(event.text)
            elif answer == "f" and self.desk is not None:
                path = self._entry.profile.paste_path(self._now())
                path.write_text(event.text, encoding="utf-8")
                self.desk.submit("", self.desk.chat_id, paths=[str(path)])

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

    # A selected message.

    @property
    def _selected(self) -> Message | None:
        item = self.log_pane.item
        return item if isinstance(item, Message) else None

    def on_log_pane_left(self, event: LogPane.Left) -> None:
        """Down from the last message: back to writing."""
        self.action_unselect()

    def action_move(self, step: int) -> None:
        """Select the message above or below."""
        self.log_pane.select_next(step)
        self.changed()

    def action_unselect(self) -> None:
        """Back to writing."""
        self.log_pane.unselect()
        self.composer.focus()
        self.changed()

    def action_comment(self) -> None:
        """Comment on the selected message."""
        if message := self._selected:
            self._start_about(COMMENT, message, "")

    def action_edit(self) -> None:
        """Edit the selected message, if it is the user's."""
        message = self._selected
        if message is None or self.desk is None or message.deleted:
            return
        if message.author.id != self.desk.client.user_id:
            self.notify("Only your own messages can be edited.", timeout=3)
            return
        self._start_about(EDIT, message, message.text)

    async def action_delete(self) -> None:
        """Delete the selected message, once it is confirmed."""
        message, desk = self._selected, self.desk
        if message is None or desk is None or message.deleted:
            return

        def answered(answer: str | None) -> None:
            if answer is not None:
                desk.chore(desk.delete(message))

        await self.push_screen(
            Question(
                f"Delete this message of {harmless(message.author.name)}? "
                f"{excerpt(message, 40)}",
                [Choice("d", "d", "delete it for everybody")],
            ),
            answered,
        )

    async def action_react(self) -> None:
        """Put an emoji on the selected message, or take it off."""
        message, desk = self._selected, self.desk
        if message is None or desk is None or message.deleted:
            return

        async def find(typed: str) -> Sequence[Choice]:
            found = [
                Choice(emoji, f"{emoji}  {name}")
                for emoji, name in REACTIONS.items()
                if matches(typed, name)
            ]
            if typed and not found:
                found.append(Choice(typed, harmless(typed)))
            return found

        def taken(emoji: str | None) -> None:
            if emoji is not None:
                desk.chore(desk.react(message, emoji))

        await self.push_screen(
            Picker("React with", find, "Type a name or an emoji."), taken
        )

    def action_copy(self) -> None:
        """Copy the selected message's text to the clipboard."""
        item = self.log_pane.item
        if self.desk is not None and isinstance(item, Message | Outgoing):
            self.copy_to_clipboard(item.text)
            self.notify("Copied.", timeout=2)

    def action_open(self) -> None:
        """Unfold the message, or go to what it comments on."""
        message = self._selected
        if message is None or self.desk is None:
            return
        target = message.is_comment_on and self.desk.target(
            message.is_comment_on
        )
        if target:
            self.desk.chore(self.desk.jump(target.seq))
        else:
            self.log_pane.toggle_opened()

    def action_save(self) -> None:
        """Save the files of the selected message."""
        message = self._selected
        if message is None or self.desk is None:
            return
        if not message.files:
            self.notify("There is no file on this message.", timeout=3)
        for file in message.files:
            self.desk.chore(self.desk.save(file, free_path(Path(), file.name)))

    async def action_report(self) -> None:
        """Report the selected message."""
        message, desk = self._selected, self.desk
        if message is None or desk is None:
            return

        def answered(reason: str | None) -> None:
            if reason is not None:
                desk.chore(self._report(desk, message, reason))

        await self.push_screen(
            Ask(
                f"Report {harmless(message.author.name)}: "
                f"{excerpt(message, 30)}",
                note="Why? The operator reads this and the message.",
            ),
            answered,
        )

    @staticmethod
    async def _report(desk: Desk, message: Message, reason: str) -> None:
        await desk.client.report(
            message.author.id, reason, message_id=message.id
        )
        desk.say("reported")

    def action_private(self) -> None:
        """Write to the author of the selected message alone."""
        message, desk = self._selected, self.desk
        if message is not None and desk is not None:
            desk.chore(self._go_private(desk, message.author.id))

    def action_retry(self) -> None:
        """Send again what was not sent."""
        item = self.log_pane.item
        if self.desk is not None and isinstance(item, Outgoing):
            self.desk.retry(item.key)
            self.action_unselect()

    def action_drop(self) -> None:
        """Drop what was not sent, cancel what is scheduled."""
        item, desk = self.log_pane.item, self.desk
        if desk is None:
            return
        if isinstance(item, Outgoing) and item.state is not State.SENDING:
            desk.give_up(item.key)
            self.composer.recall.add(item.text)
            self.action_unselect()
        elif isinstance(item, Waiting):
            desk.chore(desk.client.cancel(item.key))
            self.action_unselect()


def _first_argument(command: str) -> str:
    """What a command takes first, as its usage calls it."""
    slash = SLASH_BY_NAME.get(command.lower())
    if slash is None or not slash.arguments:
        return ""
    return slash.arguments[0].strip("[].")


def _offered_spans(
    choices: Sequence[str], number: int, columns: int
) -> tuple[Span, ...]:
    """What Tab goes through, from the one that stands there on."""
    spans: list[Span] = []
    used = 0
    for place, choice in enumerate(choices[number:], number):
        shown = harmless(choice.strip()[-30:])
        used += len(shown) + 2
        if used > columns - 4:
            spans.append(Span("…", "dim"))
            break
        spans += [
            Span(shown, "called" if place == number else "dim"),
            Span("  ", "dim"),
        ]
    return tuple(spans)

"""The conversation, drawn: only the rows that are on the screen."""

from textual import events
from textual.geometry import Size
from textual.message import Message as Event
from textual.strip import Strip
from textual.widget import Widget

from zchat.client import Message
from zchat.client.console.colours import STYLES
from zchat.client.console.desk import Desk
from zchat.client.console.rows import Row, View, item_rows
from zchat.client.console.strips import strip
from zchat.client.console.timeline import (
    Item,
    Key,
    Note,
    Outgoing,
    Timeline,
    Waiting,
)
from zchat.client.console.viewport import Place, Viewport, key_of

_NEAR_ROWS = 30
"""Items before the end of what is loaded at which more is asked for."""
_MARGIN = 1


class LogPane(Widget):
    """The open conversation of the desk.

    Each chat keeps its place while another one is open. Rows are laid
    out once for a width and kept as long as their item is shown.
    """

    can_focus = True

    class Left(Event):
        """The selection was left downwards: back to writing."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="log")
        self.desk = desk
        self.selected: Key | None = None
        self._views: dict[str, Viewport] = {}
        self._places: dict[str, Place | None] = {}
        self._chat_id: str | None = None
        self._began: set[int] = set()
        self._opened: set[Key] = set()
        self._laid: dict[Key, tuple[object, list[Row]]] = {}
        self._drawn: list[Row] = []
        self._view = self._viewed()

    # What is drawn.

    def _viewed(self) -> View:
        desk = self.desk
        return View(
            columns=max(10, self.size.width - 2 * _MARGIN),
            own_id=desk.client.user_id,
            own_name=desk.client.name,
            now=desk.now(),
            marker=desk.timeline.marker,
            opened=frozenset(self._opened),
            target=self._target,
            is_gone=desk.timelines.is_gone,
        )

    @property
    def viewport(self) -> Viewport:
        """The place in the open chat."""
        return self._views.setdefault(self.desk.chat_id, Viewport())

    def update(self) -> None:
        """Draw what the desk has now; tell it what is seen."""
        desk = self.desk
        timeline = desk.timeline
        if desk.chat_id != self._chat_id:
            self._chat_id = desk.chat_id
            self.selected = None
            self._laid.clear()
        self._view = self._viewed()
        viewport = self.viewport
        viewport.height = max(1, self.size.height)
        viewport.rows_of = self._rows_of
        viewport.show(timeline.items)
        self._begin(timeline, viewport)
        self._jump(viewport)
        self._drawn = viewport.rows()
        self._reach(timeline, viewport)
        self._tell(timeline, viewport)
        self.refresh()

    def _begin(self, timeline: Timeline, viewport: Viewport) -> None:
        """Show the *new* line when the conversation is first seen."""
        if not timeline.is_loaded or id(timeline) in self._began:
            return
        self._began.add(id(timeline))
        viewport.follow()
        if timeline.marker is not None:
            for message in timeline.messages:
                if message.seq > timeline.marker:
                    viewport.go_to(message.seq, viewport.height // 4)
                    return

    def _jump(self, viewport: Viewport) -> None:
        seq = self.desk.jumped_to
        if seq is not None and viewport.go_to(seq, viewport.height // 3):
            self.desk.jumped_to = None
            self.selected = seq

    def _reach(self, timeline: Timeline, viewport: Viewport) -> None:
        shown, timelines = viewport.shown(), self.desk.timelines
        if shown.start < _NEAR_ROWS:
            timelines.reach(timeline, older=True)
        if len(viewport.items) - shown.stop < _NEAR_ROWS:
            timelines.reach(timeline, older=False)

    def _tell(self, timeline: Timeline, viewport: Viewport) -> None:
        """Which messages are seen, as long as somebody looks."""
        if not self.app.app_focus or not self.screen.is_current:
            return
        items = viewport.items
        seqs = [
            item.seq
            for item in (items[index] for index in viewport.shown())
            if isinstance(item, Message)
        ]
        if seqs:
            self.desk.was_shown(seqs[0], seqs[-1])

    def _rows_of(self, index: int) -> list[Row]:
        items = self.viewport.items
        item = items[index]
        previous = items[index - 1] if index else None
        key = key_of(item)
        view = self._view
        state = (
            item,
            previous,
            view.columns,
            view.marker,
            view.own_name,
            view.now.date(),
            key in self._opened,
            self._target_state(item),
        )
        laid = self._laid.get(key)
        if laid is not None and laid[0] == state:
            return laid[1]
        if len(self._laid) > 2000:
            self._laid.clear()
        rows = item_rows(item, previous, view)
        self._laid[key] = (state, rows)
        return rows

    def _target(self, message_id: str) -> Message | None:
        """The message that one of the open conversation comments on."""
        return self.desk.timelines.target(self.desk.timeline, message_id)

    def _target_state(self, item: Item) -> object:
        if isinstance(item, Message) and item.is_comment_on is not None:
            target = item.is_comment_on
            return self._target(target), self.desk.timelines.is_gone(target)
        return None

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        width = self.size.width
        base = self.rich_style
        drawn = self._drawn
        above = self.size.height - len(drawn)
        if self.viewport.is_following or not drawn:
            y -= above
        if not 0 <= y < len(drawn):
            return Strip.blank(width, base)
        row = drawn[y]
        styles = STYLES[self.app.theme]
        if row.key is not None and row.key == self.selected:
            base += styles["selected"]
        return strip(row.spans, width, base, styles, _MARGIN)

    # Moving.

    def on_resize(self, event: events.Resize) -> None:
        """Other rows fit now."""
        self.update()

    def scroll_rows(self, rows: int) -> None:
        """Move by so many rows; up is negative."""
        self.viewport.scroll(rows)
        self.update()

    def page(self, step: int) -> None:
        """Move by a page, less two rows to hold on to."""
        self.scroll_rows(step * max(1, self.size.height - 2))

    def oldest(self) -> None:
        """Move to the first message that is loaded."""
        items = self.viewport.items
        if items:
            self.viewport.go_to(key_of(items[0]))
        self.update()

    def newest(self) -> None:
        """Move to the end, and stay there."""
        self.viewport.follow()
        self.update()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Three rows up."""
        event.stop()
        self.scroll_rows(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Three rows down."""
        event.stop()
        self.scroll_rows(3)

    def on_click(self, event: events.Click) -> None:
        """Select the message under the mouse."""
        above = self.size.height - len(self._drawn)
        y = event.y - (above if self.viewport.is_following else 0)
        if 0 <= y < len(self._drawn) and self._drawn[y].key is not None:
            self.selected = self._drawn[y].key
            self.focus()
            self.refresh()

    # Selecting.

    @property
    def item(self) -> Item | None:
        """The selected item."""
        for item in self.viewport.items:
            if key_of(item) == self.selected:
                return item
        return None

    def select_last(self) -> bool:
        """Select the lowest message on the screen; False: there is none."""
        items = self.viewport.items
        for index in reversed(self.viewport.shown()):
            if _is_selectable(items[index]):
                self._select(items[index])
                return True
        return False

    def select_next(self, step: int) -> None:
        """Select the message above or below."""
        items = [
            item
            for item in self.viewport.items
            if _is_selectable(item) or key_of(item) == self.selected
        ]
        keys = [key_of(item) for item in items]
        if self.selected not in keys:
            self.select_last()
            return
        index = keys.index(self.selected) + step
        if index >= len(items):
            self.post_message(self.Left())
        elif index >= 0:
            self._select(items[index])

    def _select(self, item: Item) -> None:
        self.selected = key_of(item)
        self.viewport.reveal(self.selected)
        self.update()

    def unselect(self) -> None:
        """Select nothing."""
        self.selected = None
        self.refresh()

    def toggle_opened(self) -> None:
        """Show all rows of the selected message, or its first ones."""
        if self.selected is not None:
            self._opened ^= {self.selected}
            self.update()

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """All there is."""
        return container.width


def _is_selectable(item: Item) -> bool:
    return isinstance(item, Message | Outgoing | Waiting) and not isinstance(
        item, Note
    )

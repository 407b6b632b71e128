"""The list of chats: what is unread, where one is, where one was named."""

from textual import events
from textual.message import Message as Event
from textual.strip import Strip
from textual.widget import Widget

from zchat.client.console.colours import STYLES
from zchat.client.console.desk import ChatLine, Desk
from zchat.client.console.rows import Span, author_role
from zchat.client.console.strips import strip
from zchat.client.console.wrapping import cells, fitted

_COUNT_MOST = 999
_MARKS = {"common": "#", "p2p": "@", "group": "&"}


class ChatsPane(Widget):
    """One row for each chat; the open one is always in view."""

    class Picked(Event):
        """A chat was clicked."""

        def __init__(self, chat_id: str) -> None:
            super().__init__()
            self.chat_id = chat_id

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="chats")
        self.desk = desk
        self._lines: list[ChatLine] = []
        self._top = 0

    def update(self) -> None:
        """Draw what the desk has now, if it is another."""
        lines = self.desk.lines()
        height = max(1, self.size.height)
        place = next((n for n, line in enumerate(lines) if line.is_open), 0)
        top = max(place - height + 1, min(self._top, place))
        top = max(0, min(top, len(lines) - height))
        if lines != self._lines or top != self._top:
            self._lines, self._top = lines, top
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One chat."""
        width = self.size.width
        base = self.rich_style
        index = self._top + y
        if index >= len(self._lines):
            return Strip.blank(width, base)
        line = self._lines[index]
        styles = STYLES[self.app.theme]
        if line.is_open:
            base += styles["open"]
        return strip(chat_spans(line, width - 1), width, base, styles, 1)

    def on_resize(self, event: events.Resize) -> None:
        """Other rows fit now."""
        self._lines = []
        self.update()

    def on_click(self, event: events.Click) -> None:
        """Open the chat under the mouse."""
        index = self._top + event.y
        if index < len(self._lines):
            self.post_message(self.Picked(self._lines[index].id))


def chat_spans(line: ChatLine, columns: int) -> tuple[Span, ...]:
    """A chat in so many columns: its mark, title and unread count."""
    count = ""
    if line.unread:
        most = line.unread > _COUNT_MOST
        count = f"{_COUNT_MOST}+" if most else str(line.unread)
    room = max(1, columns - 2 - cells(count) - 2 * bool(count))
    title = fitted(line.title, room)
    role = "text" if line.unread or line.is_open else "dim"
    mark = author_role(line.id) if line.kind == "p2p" else "dim"
    gap = " " * max(0, columns - 2 - cells(title) - cells(count) - 1)
    spans = [
        Span(f"{_MARKS.get(line.kind, ' ')} ", mark),
        Span(title, role),
    ]
    if count:
        called = line.is_called or line.kind == "p2p"
        spans += [
            Span(gap, "text"),
            Span(count, "called" if called else "own"),
        ]
    return tuple(spans)

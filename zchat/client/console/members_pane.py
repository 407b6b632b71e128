"""Who is in the open chat."""

from textual import events
from textual.strip import Strip
from textual.widget import Widget

from zchat.client.console.colours import STYLES
from zchat.client.console.desk import Desk
from zchat.client.console.presence import Members
from zchat.client.console.rows import Span, author_role
from zchat.client.console.strips import strip
from zchat.client.console.text import harmless
from zchat.client.console.wrapping import cells, fitted, without_piles


class MembersPane(Widget):
    """A heading with the number of members, then their names."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="members")
        self.desk = desk
        self._members = Members()

    def update(self) -> None:
        """Draw what the desk has now, if it is another."""
        members = self.desk.presence.of(self.desk.chat_id)
        if members != self._members:
            self._members = members
            self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """Other rows fit now."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The heading, or one member."""
        width = self.size.width
        spans = self._spans(y, width - 2)
        return strip(spans, width, self.rich_style, STYLES[self.app.theme], 1)

    def _spans(self, y: int, columns: int) -> tuple[Span, ...]:
        members = self._members
        if y == 0:
            if not members.size:
                return ()
            plural = "s" * (members.size != 1)
            return (Span(f"{members.size} member{plural}", "dim"),)
        index = y - 1
        left = members.size - index
        is_last = y == self.size.height - 1 and left > 1
        if is_last or (index == len(members.users) and left > 0):
            return (Span(f"and {left} more", "hint"),)
        if index >= len(members.users):
            return ()
        user = members.users[index]
        is_own = user.id == self.desk.client.user_id
        mark = "owner" if user.id == members.owner_id else ""
        if user.role != "member":
            mark = user.role
        name = fitted(without_piles(harmless(user.name)), columns - 2)
        role = "own" if is_own else author_role(user.id)
        spans = [
            Span(
                "● " if user.online else "○ ", "good" if user.online else "dim"
            ),
            Span(name, role if user.online or is_own else "dim"),
        ]
        if mark and cells(name) + len(mark) + 3 <= columns:
            spans.append(Span(f" {mark}", "hint"))
        return tuple(spans)

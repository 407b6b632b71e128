"""The line at the bottom: the connection, what is going on, a few keys."""

from zchat.client.console.desk import Desk
from zchat.client.console.keys import KEYS, Where
from zchat.client.console.rows import Span
from zchat.client.console.strips import SpanLine
from zchat.client.console.text import harmless
from zchat.client.console.wrapping import cells


class StatusBar(SpanLine):
    """Left how it stands with the server, right the keys that help now."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("status", margin=1)
        self.desk = desk
        self.is_selecting = False

    def update(self) -> None:
        """Draw what the desk has now, if it is another."""
        left = (*self._connection(), *self._more())
        right = self._keys(self.size.width - _width(left) - 4)
        gap = self.size.width - _width(left) - _width(right) - 2
        self.say((*left, Span(" " * max(2, gap), "dim"), *right))

    def _connection(self) -> tuple[Span, ...]:
        desk = self.desk
        name = Span(f" {harmless(desk.client.name)}", "own")
        if not desk.is_up:
            return (
                Span("○", "error"),
                name,
                Span("  connection lost, trying again", "error"),
            )
        if not desk.is_caught_up or desk.timelines.is_loading(desk.chat_id):
            return Span("◌", "called"), name, Span("  catching up", "dim")
        return Span("●", "good"), name

    def _more(self) -> tuple[Span, ...]:
        timeline = self.desk.timeline
        behind = timeline.head - timeline.last
        if timeline.has_newer and behind > 0:
            return (Span(f"  {behind} newer below", "called"),)
        typists = self.desk.presence.typists(self.desk.chat_id)
        if typists:
            names = " and ".join(typists[:2])
            others = "are" if len(typists) > 1 else "is"
            return (Span(f"  {names} {others} typing …", "dim"),)
        return ()

    def _keys(self, columns: int) -> tuple[Span, ...]:
        where = Where.SELECTED if self.is_selecting else Where.ANYWHERE
        spans: list[Span] = []
        for key in KEYS:
            if key.where is where and key.hint:
                added = (
                    Span(key.shown.split()[0], "text"),
                    Span(f" {key.hint}   ", "dim"),
                )
                if _width((*spans, *added)) > columns:
                    break
                spans += added
        return tuple(spans)


def _width(spans: tuple[Span, ...]) -> int:
    return sum(cells(span.text) for span in spans)

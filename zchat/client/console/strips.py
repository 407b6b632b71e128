"""Spans of text as rows of the screen."""

from collections.abc import Mapping

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from zchat.client.console.colours import STYLES
from zchat.client.console.rows import Span


def strip(
    spans: tuple[Span, ...],
    width: int,
    base: Style,
    styles: Mapping[str, Style],
    margin: int = 0,
) -> Strip:
    """Spans as a row of the screen, of exactly this width."""
    segments = [Segment(" " * margin, base)]
    segments += [
        Segment(span.text, base + styles[span.role]) for span in spans
    ]
    return Strip(segments).adjust_cell_length(width, base)


class SpanLine(Widget):
    """A widget of one row, drawn when its spans are others."""

    def __init__(self, id: str, margin: int = 0) -> None:
        super().__init__(id=id)
        self._margin = margin
        self._spans: tuple[Span, ...] = ()

    def say(self, spans: tuple[Span, ...]) -> None:
        """Show this."""
        if spans != self._spans:
            self._spans = spans
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The row."""
        return strip(
            self._spans,
            self.size.width,
            self.rich_style,
            STYLES[self.app.theme],
            self._margin,
        )

"""What an operator reads: aligned columns, times and sizes as people
write them."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from zchat.client.console.text import harmless

_GAP: Final = "  "
_STEPS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """The rows under their heads; columns of numbers end at the right.

    What users wrote is made harmless to the terminal.
    """
    cells = [[harmless(_text(value)) for value in row] for row in rows]
    lines = [list(heads), *cells]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    are_numbers = [
        bool(rows) and all(isinstance(row[place], int) for row in rows)
        for place in range(len(heads))
    ]
    return "\n".join(
        _GAP.join(
            _padded(cell, size, to_right)
            for cell, size, to_right in zip(
                line, widths, are_numbers, strict=True
            )
        ).rstrip()
        for line in lines
    )


def facts(rows: Sequence[tuple[str, object]]) -> str:
    """One fact a line, the values aligned."""
    size = max(width(name) for name, _ in rows)
    return "\n".join(
        f"{_padded(name, size, False)}{_GAP}{harmless(_text(value))}".rstrip()
        for name, value in rows
    )


def _text(value: object) -> str:
    return "-" if value is None or value == "" else str(value)


def _padded(cell: str, size: int, to_right: bool) -> str:
    space = " " * (size - width(cell))
    return space + cell if to_right else cell + space


def width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def moment(text: str | None) -> str | None:
    """A time of the wire as local time, to the minute."""
    if text is None:
        return None
    local = datetime.fromisoformat(text).astimezone()
    return local.strftime("%Y-%m-%d %H:%M")


def size(count: int | None) -> str:
    """A number of bytes."""
    if count is None:
        return "-"
    value = float(count)
    for unit in _STEPS[:-1]:
        if value < _STEP:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= _STEP
    return f"{value:.1f} {_STEPS[-1]}"


def duration(seconds: float) -> str:
    """A time in its two largest units: `2 d 3 h`."""
    left = int(seconds)
    parts: list[str] = []
    for length, unit in _UNITS:
        count, left = divmod(left, length)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def shortened(text: str, columns: int) -> str:
    """The first line of a text, cut to so many columns."""
    line = " ".join(text.split())
    if width(line) <= columns:
        return line
    while width(line) > columns - 1:
        line = line[:-1]
    return f"{line}…"

"""Text cut into rows of a terminal, by the cells that characters take.

A cut never falls inside a grapheme: a wide character, an emoji made of
several, or a letter with its marks stays whole. Widths are Rich's,
because Textual draws with them: a row that is measured otherwise would
move the border to its right.
"""

from typing import Final

from rich.cells import cell_len, split_graphemes

_TAB: Final = "    "
_MARKS: Final = 6
"""Code points without width that one character may carry."""
_ELLIPSIS: Final = "…"


def cells(text: str) -> int:
    """How many columns a harmless text takes."""
    return cell_len(text)


def spaced(text: str) -> str:
    """The text with its tabs as spaces."""
    return text.replace("\t", _TAB)


def without_piles(text: str) -> str:
    """The text without marks beyond what one character may carry.

    A pile of combining marks has no width, so it would be drawn over
    the rows around it.
    """
    if text.isascii():
        return text
    kept: list[str] = []
    marks = 0
    for character in text:
        marks = 0 if cell_len(character) else marks + 1
        if marks <= _MARKS:
            kept.append(character)
    return "".join(kept)


def wrapped(text: str, columns: int) -> list[str]:
    """One line as rows of at most `columns` cells, cut between words.

    A word that is longer than a row is cut where the row ends.
    """
    if cells(text) <= columns:
        return [text]
    rows: list[str] = []
    row, used = "", 0
    for word in _words(text):
        width = cells(word)
        if used + cells(word.rstrip(" ")) <= columns:
            row, used = row + word, used + width
            continue
        if row:
            rows.append(row.rstrip(" "))
        *full, row = _chopped(word, columns)
        rows += full
        used = cells(row)
    rows.append(row.rstrip(" "))
    return rows


def _words(text: str) -> list[str]:
    """The words of a line, each with the spaces behind it."""
    words: list[str] = []
    start = 0
    for index in range(1, len(text)):
        if text[index - 1] == " " and text[index] != " ":
            words.append(text[start:index])
            start = index
    words.append(text[start:])
    return words


def _chopped(word: str, columns: int) -> list[str]:
    """A long word in pieces that each fit a row; at least one piece."""
    if cells(word) <= columns:
        return [word]
    pieces: list[str] = []
    start, used = 0, 0
    spans, _ = split_graphemes(word)
    for begin, _, width in spans:
        if used + width > columns and begin > start:
            pieces.append(word[start:begin])
            start, used = begin, 0
        used += width
    pieces.append(word[start:])
    return pieces


def fitted(text: str, columns: int) -> str:
    """The text, cut with an ellipsis if it takes more than `columns`."""
    if cells(text) <= columns:
        return text
    if columns < 1:
        return ""
    return _chopped(text, columns - 1)[0] + _ELLIPSIS if columns > 1 else "…"

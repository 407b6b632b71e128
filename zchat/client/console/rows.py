"""Messages as rows of a terminal, pure: what is drawn, not how.

A row is made of spans, each a harmless text with a role; the theme
gives a role its colour. Messages stand under one header while author
and day stay the same and little time passes. Whatever others wrote
goes through `harmless`, so a text cannot move the cursor, look like a
header or end in another row than its own.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from zlib import crc32

from msgspec import Struct

from zchat.client import FileInfo, Message
from zchat.client.console.text import harmless, size_text
from zchat.client.console.timeline import (
    Item,
    Key,
    Note,
    Outgoing,
    State,
    Waiting,
)
from zchat.client.console.wrapping import (
    cells,
    fitted,
    spaced,
    without_piles,
    wrapped,
)

AUTHOR_ROLES: Final = tuple(f"author{number}" for number in range(8))
GROUPED: Final = timedelta(minutes=10)
"""How much time may pass under one header."""
FOLDED_ROWS: Final = 12
"""Rows of a message that are shown before it is opened."""
_INDENT: Final = 2
_PIECES: Final = re.compile(r"(https?://[^\s<>]+|@[\w.-]+)")
_OWN_BAR: Final = "▎ "
_BAR: Final = "  "


class Span(NamedTuple):
    """A harmless text and the role that colours it."""

    text: str
    role: str


class Row(NamedTuple):
    """One row of the screen; `key` says which item it is part of."""

    spans: tuple[Span, ...]
    key: Key | None = None


class View(Struct, frozen=True):
    """All that rows depend on besides their item."""

    columns: int
    own_id: str
    own_name: str
    now: datetime
    marker: int | None = None
    opened: frozenset[Key] = frozenset()
    target: Callable[[str], Message | None] = lambda message_id: None
    is_gone: Callable[[str], bool] = lambda message_id: False


def author_role(user_id: str) -> str:
    """The colour of an author: the same everywhere, for ever."""
    return AUTHOR_ROLES[crc32(user_id.encode()) % len(AUTHOR_ROLES)]


def moment_text(moment: datetime, now: datetime) -> str:
    """A time in the zone of `now`, with its day unless it is today."""
    local = moment.astimezone(now.tzinfo)
    if local.date() == now.date():
        return f"{local:%H:%M}"
    return f"{day_text(local.date(), now.date())} {local:%H:%M}"


def day_text(day: date, today: date) -> str:
    """A day as a person calls it."""
    if day == today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    year = "" if day.year == today.year else f" {day.year}"
    return f"{day:%A}, {day.day} {day:%B}{year}"


def item_rows(item: Item, previous: Item | None, view: View) -> list[Row]:
    """The rows of an item that stands below another one."""
    if isinstance(item, Note):
        return _note_rows(item, view)
    if isinstance(item, Waiting):
        return _waiting_rows(item, view)
    if isinstance(item, Outgoing):
        return _outgoing_rows(item, previous, view)
    return _message_rows(item, previous, view)


def ruler(label: str, columns: int, role: str) -> Row:
    """A line across the conversation with a word in it."""
    label = f" {label} "
    left = max(2, (columns - cells(label)) // 2)
    right = max(0, columns - left - cells(label))
    return Row(
        (
            Span("─" * left, "rule"),
            Span(label, role),
            Span("─" * right, "rule"),
        )
    )


def excerpt(message: Message, columns: int) -> str:
    """The first words of a message, on one row."""
    text = without_piles(harmless(" ".join(message.text.split())))
    if message.deleted:
        text = "(deleted)"
    elif not text and message.files:
        text = harmless(message.files[0].name)
    return fitted(text, columns)


def _message_rows(
    message: Message, previous: Item | None, view: View
) -> list[Row]:
    rows: list[Row] = []
    before = previous if isinstance(previous, Message) else None
    day = _day(message, view)
    if before is None or _day(before, view) != day:
        rows.append(ruler(day_text(day, view.now.date()), view.columns, "day"))
    if _is_marked(message, before, view):
        rows.append(ruler("new", view.columns, "new"))
    if rows or not _is_grouped(message, before):
        if previous is not None and not rows:
            rows.append(Row(()))
        rows.append(_header(message, view))
    return rows + _body(message, view)


def _day(message: Message, view: View) -> date:
    return message.created.astimezone(view.now.tzinfo).date()


def _is_marked(message: Message, before: Message | None, view: View) -> bool:
    """Whether what is new begins with this message."""
    marker = view.marker
    if marker is None or message.seq <= marker:
        return False
    return before is None or before.seq <= marker


def _is_grouped(message: Message, before: Message | None) -> bool:
    """Whether the message stands under the header of the one before."""
    return (
        before is not None
        and before.author.id == message.author.id
        and timedelta() <= message.created - before.created < GROUPED
    )


def _role_of(message: Message, view: View) -> str:
    """The colour of a message's author."""
    author_id = message.author.id
    return "own" if author_id == view.own_id else author_role(author_id)


def _header(message: Message, view: View) -> Row:
    role = _role_of(message, view)
    name = without_piles(harmless(message.author.name))
    moment = f"{message.created.astimezone(view.now.tzinfo):%H:%M}"
    room = max(1, view.columns - cells(moment) - 2)
    return Row(
        (
            Span(fitted(name, room), f"{role} name"),
            Span(f"  {moment}", "dim"),
        ),
        message.seq,
    )


def _body(message: Message, view: View) -> list[Row]:
    is_own = message.author.id == view.own_id
    is_called = view.own_id in message.mentions and not message.deleted
    bar = Span(
        _OWN_BAR if is_own or is_called else _BAR,
        "called" if is_called else "own",
    )
    columns = max(1, view.columns - _INDENT)
    lines = [_target_line(message, view, columns)]
    lines += _text_lines(message, view, columns)
    lines += [_file_line(file, columns) for file in message.files]
    lines.append(_reaction_line(message, view, columns))
    lines.append(_comments_line(message))
    return [Row((bar, *spans), message.seq) for spans in lines if spans]


Spans = tuple[Span, ...]


def _target_line(message: Message, view: View, columns: int) -> Spans:
    """What a comment comments on."""
    if message.is_comment_on is None:
        return ()
    target = view.target(message.is_comment_on)
    if target is None:
        is_gone = view.is_gone(message.is_comment_on)
        words = "a message that is gone" if is_gone else "an earlier message"
        return (Span(f"↱ on {words}", "dim"),)
    name = fitted(without_piles(harmless(target.author.name)), columns // 2)
    room = columns - cells(name) - 4
    return (
        Span("↱ ", "dim"),
        Span(name, _role_of(target, view)),
        Span(f"  {excerpt(target, room)}", "dim"),
    )


def _text_lines(message: Message, view: View, columns: int) -> list[Spans]:
    if message.deleted:
        return [(Span("message deleted", "gone"),)]
    lines = (
        [_coloured(row, view) for row in text_rows(message.text, columns)]
        if message.text
        else []
    )
    if len(lines) > FOLDED_ROWS and message.seq not in view.opened:
        hidden = len(lines) - FOLDED_ROWS + 1
        lines = lines[: FOLDED_ROWS - 1]
        lines.append((Span(f"… {hidden} more rows; ↑ and o opens", "hint"),))
    elif message.edited and lines:
        note = " (edited)"
        if sum(cells(span.text) for span in lines[-1]) + 9 > columns:
            lines.append((Span(note[1:], "dim"),))
        else:
            lines[-1] += (Span(note, "dim"),)
    return lines


def text_rows(text: str, columns: int) -> list[str]:
    """A message's text as harmless rows."""
    return [
        row
        for line in text.split("\n")
        for row in wrapped(
            without_piles(harmless(spaced(line.removesuffix("\r")))), columns
        )
    ]


def _coloured(row: str, view: View) -> Spans:
    """A row with its links and names of users marked."""
    if "@" not in row and "://" not in row:
        return (Span(row, "text"),)
    spans = []
    own = f"@{view.own_name}".casefold()
    for piece in _PIECES.split(row):
        role = "text"
        if piece.startswith("@") and len(piece) > 1:
            called = piece.casefold().rstrip(".-")
            role = "called" if called in (own, "@all") else "at"
        elif _PIECES.fullmatch(piece):
            role = "link"
        if piece:
            spans.append(Span(piece, role))
    return tuple(spans)


def _file_line(file: FileInfo, columns: int) -> Spans:
    size = size_text(file.size)
    name = fitted(
        without_piles(harmless(file.name)), columns - cells(size) - 4
    )
    return (Span("▤ ", "dim"), Span(name, "file"), Span(f"  {size}", "dim"))


def _reaction_line(message: Message, view: View, columns: int) -> Spans:
    spans: list[Span] = []
    used = 0
    for reaction in message.reactions:
        text = f"{without_piles(harmless(reaction.emoji))} {reaction.count}"
        if used + cells(text) + 2 > columns:
            break
        is_own = view.own_id in reaction.users
        spans += [Span(text, "own" if is_own else "dim"), Span("  ", "dim")]
        used += cells(text) + 2
    return tuple(spans)


def _comments_line(message: Message) -> Spans:
    count = message.comments
    if not count:
        return ()
    return (Span(f"{count} comment{'s' * (count > 1)}", "dim"),)


def _outgoing_rows(
    outgoing: Outgoing, previous: Item | None, view: View
) -> list[Row]:
    columns = max(1, view.columns - _INDENT)
    rows = []
    if not isinstance(previous, Outgoing):
        rows.append(Row(()))
        rows.append(
            Row((Span(harmless(view.own_name), "own name"),), outgoing.key)
        )
    lines: list[Spans] = [
        (Span(row, "waiting"),)
        for row in text_rows(outgoing.text, columns)[:FOLDED_ROWS]
        if row or not outgoing.files
    ]
    lines += [
        (Span(f"▤ {harmless(name)}", "waiting"),) for name in outgoing.files
    ]
    note, role = {
        State.WAITING: ("… waiting for the server", "dim"),
        State.SENDING: ("… sending", "dim"),
        State.UPLOADING: (f"{_bar(outgoing.done)} uploading", "dim"),
        State.FAILED: (
            f"✗ not sent: {harmless(outgoing.reason)}",
            "error",
        ),
    }[outgoing.state]
    lines += [(Span(row, role),) for row in wrapped(note, columns)]
    if outgoing.state is State.FAILED:
        lines.append((Span("↑ then r sends it again, x drops it", "hint"),))
    return rows + [
        Row((Span(_OWN_BAR, "own"), *spans), outgoing.key) for spans in lines
    ]


def _bar(done: float) -> str:
    """How far something is, as ten blocks and a percentage."""
    full = round(done * 10)
    return f"{'━' * full}{'╌' * (10 - full)} {done:4.0%}"


def _waiting_rows(waiting: Waiting, view: View) -> list[Row]:
    """A scheduled message: one row."""
    moment = moment_text(waiting.send_at, view.now)
    text = harmless(" ".join(waiting.text.split())) or "(files)"
    room = max(1, view.columns - cells(moment) - 6)
    return [
        Row(
            (
                Span("◷ ", "scheduled"),
                Span(moment, "scheduled"),
                Span(f"  {fitted(without_piles(text), room)}", "waiting"),
            ),
            waiting.key,
        )
    ]


def _note_rows(note: Note, view: View) -> list[Row]:
    role = "error" if note.is_error else "note"
    mark = "✗ " if note.is_error else "· "
    columns = max(1, view.columns - _INDENT)
    return [
        Row((Span(mark if number == 0 else _BAR, role), Span(row, role)))
        for number, row in enumerate(text_rows(note.text, columns))
    ]

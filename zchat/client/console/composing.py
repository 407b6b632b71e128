"""What a person writes: drafts, what was sent before, completion; pure."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

RECALLED_MOST: Final = 200
LARGE_PASTE_LINES: Final = 12
LARGE_PASTE_CHARACTERS: Final = 1500


class Recall:
    """The texts that were sent, and the one being written, in order."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._position = 0
        self._unfinished = ""

    def add(self, text: str) -> None:
        """Keep a text that was sent or taken away."""
        if text.strip():
            if text in self._texts:
                self._texts.remove(text)
            self._texts.append(text)
            del self._texts[:-RECALLED_MOST]
        self._position = len(self._texts)
        self._unfinished = ""

    def move(self, step: int, current: str) -> str:
        """The text so many places on; `current` is what stands there."""
        if self._position == len(self._texts):
            self._unfinished = current
        self._position = min(max(0, self._position + step), len(self._texts))
        if self._position == len(self._texts):
            return self._unfinished
        return self._texts[self._position]


class Completion(NamedTuple):
    """What may stand in a text from `start` to `end`."""

    start: int
    end: int
    choices: tuple[str, ...]


class Words(NamedTuple):
    """What there is to complete: names of users, chats, commands."""

    names: Sequence[str] = ()
    chats: Sequence[str] = ()
    commands: Sequence[str] = ()
    arguments: Callable[[str], str] = lambda command: ""


def complete(text: str, cursor: int, words: Words) -> Completion | None:
    """What Tab offers at a place in a text, best first; None: nothing.

    A command at the beginning, what the command takes behind it, and
    elsewhere names of users.
    """
    before = text[:cursor]
    start = max(before.rfind(" "), before.rfind("\n")) + 1
    word = before[start:]
    if before.startswith("/") and not before.startswith("//"):
        command, space, rest = before[1:].partition(" ")
        if not space:
            found = _starting(command, words.commands)
            return _offer(0, cursor, [f"/{name} " for name in found])
        if kind := words.arguments(command):
            start = 2 + len(command)
            return _argument(kind, start, cursor, rest, words)
    if not word:
        return None
    name = word.removeprefix("@")
    mark = "@" if word.startswith("@") else ""
    end = " " if mark or start else ": "
    found = _starting(name, words.names)
    return _offer(start, cursor, [f"{mark}{each}{end}" for each in found])


def _argument(
    kind: str, start: int, cursor: int, typed: str, words: Words
) -> Completion | None:
    if kind == "PATH":
        return _offer(start, cursor, paths(typed))
    if kind == "CHAT":
        return _offer(start, cursor, _starting(typed, words.chats))
    if kind.startswith("USER") and " " not in typed:
        found = _starting(typed.removeprefix("@"), words.names)
        return _offer(start, cursor, [f"{name} " for name in found])
    return None


def _offer(start: int, end: int, choices: Iterable[str]) -> Completion | None:
    found = tuple(choices)
    return Completion(start, end, found) if found else None


def _starting(typed: str, among: Sequence[str]) -> list[str]:
    """Those that begin so, then those that contain it."""
    wanted = typed.casefold()
    first = [one for one in among if one.casefold().startswith(wanted)]
    if not wanted:
        return first
    return first + [
        one for one in among if wanted in one.casefold() and one not in first
    ]


def paths(typed: str) -> list[str]:
    """The files and folders whose path begins so."""
    folder, slash, name = typed.rpartition("/")
    try:
        where = Path((folder + slash) or ".").expanduser()
        found = sorted(
            entry.name + "/" * entry.is_dir()
            for entry in where.iterdir()
            if entry.name.startswith(name)
            and (name or not entry.name.startswith("."))
        )
    except (OSError, ValueError, RuntimeError):
        return []
    return [folder + slash + entry for entry in found[:200]]


def is_large(text: str) -> bool:
    """Whether a paste is so large that one is asked first."""
    return (
        text.count("\n") >= LARGE_PASTE_LINES
        or len(text) > LARGE_PASTE_CHARACTERS
    )


def matches(typed: str, title: str) -> bool:
    """Whether the letters typed come in this order in a title."""
    rest = iter(title.casefold())
    return all(letter in rest for letter in typed.casefold() if letter != " ")

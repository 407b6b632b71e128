"""Lines in from a person or a pipe, lines out in between."""

import asyncio
import io
import shutil
import sys
import threading
import unicodedata
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

try:
    import readline
    import termios
except ImportError:  # not on this system: lines are plain then
    readline = termios = None  # type: ignore[assignment]

_PROMPT = "> "
_CLEAR_BELOW = "\r\x1b[J"
_NEXT_ROW = " \r"


def between(line: str, typed: str, columns: int) -> str:
    """What writes a line above the one that is being typed.

    That one may be wrapped; the cursor is taken to be at its end.
    """
    rows, rest = divmod(cells(_PROMPT + typed), columns)
    up = f"\x1b[{rows}A" if rows else ""
    wrap = _NEXT_ROW if rows and not rest else ""
    return f"{up}{_CLEAR_BELOW}{line}\n{_PROMPT}{typed}{wrap}"


def cells(text: str) -> int:
    """The width of a text on a terminal."""
    return sum(
        0
        if unicodedata.combining(character)
        else 2
        if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )


class Terminal:
    """Standard input and output; what is being typed stays below."""

    def __init__(self) -> None:
        self._is_person = (
            readline is not None and sys.stdin.isatty() and sys.stdout.isatty()
        )
        self._is_typing = False
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="surrogateescape")

    def show(self, line: str) -> None:
        """Write one line, which must be harmless already."""
        if self._is_typing:
            typed = readline.get_line_buffer()
            sys.stdout.write(
                between(line, typed, shutil.get_terminal_size().columns)
            )
        else:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    async def lines(self) -> AsyncIterator[str]:
        """The lines that come in, without their ends."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[str | None] = asyncio.Queue()

        def read() -> None:
            for line in self._typed():
                loop.call_soon_threadsafe(queue.put_nowait, line)
            loop.call_soon_threadsafe(queue.put_nowait, None)

        with self._restored():
            threading.Thread(target=read, daemon=True).start()
            while (line := await queue.get()) is not None:
                yield line

    def _typed(self) -> Iterator[str]:
        if not self._is_person:
            for line in sys.stdin:
                yield line.rstrip("\r\n")
            return
        self._is_typing = True
        while True:
            try:
                yield input(_PROMPT)
            except EOFError:
                return

    @contextmanager
    def _restored(self) -> Iterator[None]:
        """Leave the terminal as it was, though a thread still reads."""
        if not self._is_person:
            yield
            return
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
        try:
            yield
        finally:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)

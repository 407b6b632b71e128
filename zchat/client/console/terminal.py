"""Lines in from a person or a pipe, lines out in between."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

try:
    import readline
    import termios
except ImportError:  # not on this system: lines are plain then
    readline = termios = None  # type: ignore[assignment]

_PROMPT = "> "
_CLEAR_LINE = "\r\x1b[K"


class Terminal:
    """Standard input and output; what is being typed stays below."""

    def __init__(self) -> None:
        self._is_person = (
            readline is not None and sys.stdin.isatty()
            and sys.stdout.isatty())
        self._is_typing = False

    def show(self, line: str) -> None:
        """Write one line, which must be harmless already."""
        if self._is_typing:
            typed = readline.get_line_buffer()
            sys.stdout.write(f"{_CLEAR_LINE}{line}\n{_PROMPT}{typed}")
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

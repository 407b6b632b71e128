"""What a rule may await, as it is handed to the runner of the batch.

A rule is a coroutine that nothing but the runner drives: awaiting one
of these yields the object itself to the runner, which fetches what it
asks for and resumes the rule (engine/batch.py). There is no event loop.
"""

from collections.abc import Coroutine, Generator, Sequence
from typing import Any, Generic, TypeVar

from zchat.model import FileChunk, Table
from zchat.queries import QueryCall

Answer = TypeVar("Answer")
Given = TypeVar("Given")


class Want:
    """Rows by key that a rule waits for: table, index, key of each."""

    __slots__ = ("entries",)

    def __init__(self, entries: list[tuple[Table[Any], int, Any]]) -> None:
        self.entries = entries

    def __await__(self) -> Generator["Want", None, None]:
        yield self


class Question:
    """An ask that a rule waits for, and later its answer."""

    __slots__ = ("ask", "rows")

    def __init__(self, ask: QueryCall) -> None:
        self.ask = ask
        self.rows: list[Any] = []

    def __await__(self) -> Generator["Question", None, list[Any]]:
        yield self
        return self.rows


class Several:
    """What the parts of one rule wait for at the same time."""

    __slots__ = ("wants",)

    def __init__(self, wants: list[Any]) -> None:
        self.wants = wants

    def __await__(self) -> Generator["Several", None, None]:
        yield self


class Staging:
    """Bytes that had better be on the disk before a batch counts them.

    The runner may put the rule off until they are: it then begins again,
    in a later batch.
    """

    __slots__ = ("chunk",)

    def __init__(self, chunk: FileChunk) -> None:
        self.chunk = chunk

    def __await__(self) -> Generator["Staging", None, None]:
        yield self


class TurnWait(Generic[Given]):
    """Waits until those before are done; gives what can change rows."""

    __slots__ = ("_turn",)

    def __init__(self, turn: Given) -> None:
        self._turn = turn

    def __await__(self) -> Generator["TurnWait[Given]", None, Given]:
        yield self
        return self._turn


async def gather(parts: Sequence[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """The results of parts of a rule that load at the same time.

    For rules that only read, and whose parts would otherwise go to the
    store one after another.
    """
    answers: dict[int, Answer] = {}
    running = list(enumerate(parts))
    try:
        while running:
            wants, waiting = [], []
            for place, part in running:
                try:
                    wants.append(part.send(None))
                    waiting.append((place, part))
                except StopIteration as stop:
                    answers[place] = stop.value
            if wants:
                await Several(wants)
            running = waiting
    finally:
        for part in parts:
            part.close()
    return [answers[place] for place in range(len(parts))]

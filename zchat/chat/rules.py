"""Which rule answers which method: said where the rule stands.

The row of a method (rpc/methods.py) says all that clients may know of
it, and whether it only reads. Here the server binds its rule to it:

    @writes("send")
    async def send(work: Writing, caller_id: str, params: given.Send)

Whether the rule may change anything follows from the decorator by its
type, and must agree with the row. A method that changes something for
some parameters only (`changes_if`) has a rule of each kind.

A rule that is called very often may be bound in a second form as well,
which needs no coroutine, for calls whose rows are all in memory:

    @without_waiting("send", deliver)
    def plain_draft(view: View, caller_id: str, params: given.Send)

`deliver` is the rule's own, so nothing is checked in two places.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from msgspec import Struct

from zchat.chat.phases import Reading, Turn, View, Writing
from zchat.errors import Refused
from zchat.rpc.methods import METHOD_BY_NAME

Outcome: TypeAlias = Struct | Refused | None
ReadingRule: TypeAlias = Callable[
    [Reading, Any, Any], Coroutine[Any, Any, Outcome]
]
WritingRule: TypeAlias = Callable[
    [Writing, Any, Any], Coroutine[Any, Any, Outcome]
]
Rule: TypeAlias = Callable[[Any, Any, Any], Coroutine[Any, Any, Outcome]]
"""Either, as a batch runs it."""
Reads = TypeVar("Reads", bound=ReadingRule)
Writes = TypeVar("Writes", bound=WritingRule)

Prepared = TypeVar("Prepared")


class Immediate(NamedTuple):
    """A rule that changes something, without what it would wait for.

    `prepare` gives what `finish` takes, or None where something has to
    be loaded. It may look, and change nothing; rows that are loaded stay
    so for the batch. `finish` is what the rule does in its turn.
    """

    prepare: Callable[[View, Any, Any], Any]
    finish: Callable[[Turn, Any], Outcome]


READING: Final[dict[str, ReadingRule]] = {}
WRITING: Final[dict[str, WritingRule]] = {}
IMMEDIATE: Final[dict[str, Immediate]] = {}


def reads(method: str) -> Callable[[Reads], Reads]:
    """The rule answers the method, and changes nothing."""
    row = METHOD_BY_NAME[method]
    if not row.reads and not row.changes_if:
        raise ValueError(f"{method} is not a method that reads")

    def bind(rule: Reads) -> Reads:
        if READING.setdefault(method, rule) is not rule:
            raise ValueError(f"{method} has two rules that read")
        return rule

    return bind


def writes(method: str) -> Callable[[Writes], Writes]:
    """The rule answers the method, and may change something."""
    if METHOD_BY_NAME[method].reads:
        raise ValueError(f"{method} is a method that only reads")

    def bind(rule: Writes) -> Writes:
        if WRITING.setdefault(method, rule) is not rule:
            raise ValueError(f"{method} has two rules that write")
        return rule

    return bind


def without_waiting(
    method: str, finish: Callable[[Turn, Prepared], Outcome]
) -> Callable[
    [Callable[[View, Any, Any], Prepared | None]],
    Callable[[View, Any, Any], Prepared | None],
]:
    """What is prepared so needs no coroutine; `finish` does the rest."""

    def bind(
        prepare: Callable[[View, Any, Any], Prepared | None],
    ) -> Callable[[View, Any, Any], Prepared | None]:
        if method in IMMEDIATE:
            raise ValueError(f"{method} has two immediate rules")
        IMMEDIATE[method] = Immediate(prepare, finish)
        return prepare

    return bind

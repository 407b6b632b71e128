"""Which rule answers which method: said where the rule stands.

The row of a method (rpc/methods.py) says all that clients may know of
it, and whether it only reads. Here the server binds its rule to it:

    @writes("send")
    async def send(work: Writing, caller_id: str, params: given.Send)

Whether the rule may change anything follows from the decorator by its
type, and must agree with the row. A method that changes something for
some parameters only (`changes_if`) has a rule of each kind.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias, TypeVar

from msgspec import Struct

from zchat.chat.phases import Reading, Writing
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

READING: Final[dict[str, ReadingRule]] = {}
WRITING: Final[dict[str, WritingRule]] = {}


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

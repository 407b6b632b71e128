"""Subjects of staleness: what is required is invalidated, and reversely.

Read off the source, so that a subject that one rule requires fresh and
none ever invalidates is found, and one that nobody asks about as well.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from zchat import chat
from zchat.chat.subjects import Counted, Subject

ROLES = {
    "invalidate": "changed",
    "require_fresh": "asked",
    "is_stale": "asked",
    "adjust_count": "changed",
    "count_adjustment": "asked",
}


def uses(source: str) -> Iterator[tuple[str, str]]:
    """Each subject that a call of the source names, and in which role."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        if not isinstance(node.func, ast.Attribute):
            continue
        role = ROLES.get(node.func.attr)
        for given in node.args if role else ():
            if (
                isinstance(given, ast.Attribute)
                and isinstance(given.value, ast.Name)
                and given.value.id in ("Subject", "Counted")
            ):
                yield f"{given.value.id}.{given.attr}", str(role)


def roles(sources: list[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        for subject, role in uses(source):
            found[subject].add(role)
    return found


def test_each_subject_is_asked_about_and_changed() -> None:
    found = roles(
        [
            path.read_text(encoding="utf-8")
            for path in Path(chat.__path__[0]).glob("*.py")
        ]
    )

    expected = [str(one) for one in (*Subject, *Counted)]
    assert found == {key: {"asked", "changed"} for key in expected}


def test_the_source_is_read_rightly() -> None:
    assert roles(
        [
            "turn.require_fresh(Subject.LEFT, x)",
            "turn.adjust_count(-1, Counted.LINKS, x)",
            "turn.is_stale(other)",
        ]
    ) == {"Subject.LEFT": {"asked"}, "Counted.LINKS": {"changed"}}

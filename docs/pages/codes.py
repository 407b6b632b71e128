"""Which error codes a method may answer, read off the rules themselves.

The source of `zchat/chat/` says which function refuses with which code
and which functions it calls; a method's codes are those within reach of
its handler.
"""

import ast
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from zchat import chat
from zchat.chat.handlers import handler_of
from zchat.errors import Code
from zchat.rpc.methods import Method

RULES: Final = "zchat.chat."
ALWAYS: Final = (Code.BAD_REQUEST, Code.UNAVAILABLE, Code.INTERNAL)


class Function(NamedTuple):
    """What one function refuses with, and what it may call."""

    codes: frozenset[Code]
    calls: frozenset[str]


@cache
def functions() -> dict[str, Function]:
    """Every function of the rules by its dotted name."""
    found: dict[str, Function] = {}
    for path in sorted(Path(chat.__path__[0]).glob("*.py")):
        module = RULES + path.stem
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = _imported(tree) | {
            node.name: f"{module}.{node.name}"
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[f"{module}.{node.name}"] = _function(node, names)
    return found


def _imported(tree: ast.Module) -> dict[str, str]:
    """Names that a module takes from other rules."""
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith(RULES)
        for alias in node.names
    }


def _function(node: ast.AST, names: dict[str, str]) -> Function:
    inside = list(ast.walk(node))
    return Function(
        frozenset(
            Code[part.attr]
            for part in inside
            if isinstance(part, ast.Attribute)
            and isinstance(part.value, ast.Name)
            and part.value.id == "Code"
            and part.attr in Code.__members__
        ),
        frozenset(
            names[part.id]
            for part in inside
            if isinstance(part, ast.Name) and part.id in names
        ),
    )


def codes_of(method: Method) -> list[Code]:
    """The codes of a method, in the order of the enum."""
    handler = handler_of(method.name, method.reads)
    found = set(ALWAYS)
    if method.takes_token:
        found.add(Code.UNAUTHORIZED)
    seen: set[str] = set()
    waiting = [f"{handler.__module__}.{handler.__qualname__}"]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in functions():
            continue
        seen.add(name)
        found |= functions()[name].codes
        waiting += functions()[name].calls
    return [code for code in Code if code in found]

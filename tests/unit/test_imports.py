"""Which way imports point, and what pure rooms do without.

The rule stands in CONTRIBUTING.md, "The rooms". It is read off the source,
so an import inside a function or under TYPE_CHECKING counts as well.
Rooms import each other as ARROWS says; within a room, files must not
import each other in a circle.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import zchat

SOURCE = Path(zchat.__file__).parent

ARROWS = {
    "cli": {
        "broker",
        "gateway",
        "client.console",
        "client",
        "operator",
        "conformance",
        "config",
        "logs",
    },
    "conformance": {"rpc"},
    "broker": {"engine"},
    "engine": {
        "chat",
        "storage",
        "rpc",
        "config",
        "logs",
        "certificates",
        "tls",
        "listening",
        "collector",
    },
    "operator": {
        "client.console",
        "client",
        "storage",
        "config",
        "certificates",
    },
    "gateway": {"client", "config", "logs", "tls", "listening", "collector"},
    "client.console": {"client"},
    "client": {"client.session", "rpc", "certificates", "listening"},
    "client.session": {"rpc"},
    "chat": {"rpc", "model", "queries"},
    "storage": {"model", "queries"},
    "config": {"model", "options", "listening"},
    "queries": {"model"},
    "rpc": set(),
    "model": set(),
    "options": set(),
    "logs": set(),
    "errors": set(),
    "certificates": set(),
    "listening": set(),
    "collector": set(),
    "tls": set(),
}
"""A room to those it imports; what they import, it may import too."""

PURE_ROOMS = {"rpc", "chat", "client.session"}
IMPURE_MODULES = {"zmq", "asyncio", "sqlite3", "psycopg", "time", "random"}

FILES = sorted(SOURCE.rglob("*.py"))

Graph = dict[str, set[str]]


def reach(room: str) -> set[str]:
    """All that the room may import; anything may use errors."""
    found = {room, "errors"}
    for other in ARROWS[room]:
        found |= reach(other)
    return found


def module_name(path: Path, source: Path = SOURCE) -> str:
    """The dotted name of a file of the package."""
    parts = path.relative_to(source.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str | None:
    """The room of a dotted name; None for the package itself.

    `zchat.__main__` stands with cli, which it starts.
    """
    parts = module.split(".")[1:]
    if not parts:
        return None
    if parts[0] == "__main__":
        return "cli"
    for length in (2, 1):
        room = ".".join(parts[:length])
        if room in ARROWS:
            return room
    return parts[0]


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """The dotted names that a module imports, absolute.

    `from a import b` gives `a.b`: b may be a module; `room_of` does not
    mind a longer name.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")
                kept = above[: len(above) - node.level + 1]
                base = ".".join([*kept, base] if base else kept)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def offences(path: Path, source: Path = SOURCE) -> list[str]:
    """What a file imports against the rules."""
    module = module_name(path, source)
    room = room_of(module)
    is_package = path.name == "__init__.py"
    package = module if is_package else module.rpartition(".")[0]
    names = set(imported(ast.parse(path.read_text(encoding="utf-8")), package))
    found = []
    for name in sorted(names):
        top = name.partition(".")[0]
        if top == "zchat":
            target = room_of(name)
            is_known = target in ARROWS
            if is_known and (room is None or target not in reach(room)):
                found.append(f"{module} imports {name}")
        elif room in PURE_ROOMS and top in IMPURE_MODULES:
            found.append(f"{module} is pure and imports {name}")
    return found


def file_graph(files: list[Path], source: Path = SOURCE) -> Graph:
    """Each module with the modules of the package that it imports.

    Of `from a import b`, b is the module if there is a file of it, else
    a. That importing a module runs its package's `__init__` is left out:
    those of ours import nothing but constants.
    """
    names = {module_name(path, source): path for path in files}
    graph: Graph = {}
    for name, path in names.items():
        is_package = path.name == "__init__.py"
        package = name if is_package else name.rpartition(".")[0]
        found = set()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for dotted in imported(tree, package):
            target = dotted
            while target and target not in names:
                target = target.rpartition(".")[0]
            if target and target != name:
                found.add(target)
        graph[name] = found
    return graph


def circle(graph: Graph) -> list[str]:
    """The modules of a circle, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circle(file_graph(FILES)) == []


@pytest.mark.parametrize(
    "back",
    [
        "from zchat.chat import one",
        "from zchat.chat.one import X",
        "import zchat.chat.one",
        "from .one import X",
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from zchat.chat.one import X",
        "def f():\n    from zchat.chat import one",
    ],
)
def test_a_circle_within_a_room_is_found(tmp_path: Path, back: str) -> None:
    room = tmp_path / "zchat" / "chat"
    room.mkdir(parents=True)
    files = [room / "__init__.py", room / "one.py", room / "two.py"]
    for file, text in zip(
        files, ("", "from zchat.chat.two import X", back), strict=True
    ):
        file.write_text(text)

    found = circle(file_graph(files, tmp_path / "zchat"))

    assert set(found) == {"zchat.chat.one", "zchat.chat.two"}


def test_the_rule_itself_has_no_circle() -> None:
    assert tuple(TopologicalSorter(ARROWS).static_order())


@pytest.mark.parametrize("path", FILES, ids=lambda path: module_name(path))
def test_imports_point_one_way(path: Path) -> None:
    room = room_of(module_name(path))
    assert room is None or room in ARROWS, (
        f"{path.name} is in no room yet: give it its arrows above"
    )
    assert offences(path) == []


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("rpc/codec.py", "import zmq", ["is pure and imports zmq"]),
        (
            "rpc/codec.py",
            "from time import time",
            ["is pure and imports time"],
        ),
        (
            "chat/sync.py",
            "def f():\n import random",
            ["is pure and imports random"],
        ),
        (
            "chat/__init__.py",
            "import asyncio.events",
            ["is pure and imports asyncio"],
        ),
        (
            "client/session.py",
            "import psycopg",
            ["is pure and imports psycopg"],
        ),
        ("client/connection.py", "import zmq, time", []),
        ("model.py", "from zchat.chat import sync", ["imports zchat.chat"]),
        ("model.py", "import zchat.rpc", ["imports zchat.rpc"]),
        ("model.py", "from zchat import storage", ["imports zchat.storage"]),
        ("model.py", "from . import storage", ["imports zchat.storage"]),
        (
            "chat/groups.py",
            "from ..storage.base import X",
            ["imports zchat.storage"],
        ),
        (
            "chat/__init__.py",
            "from ..storage import base",
            ["imports zchat.storage"],
        ),
        ("chat/groups.py", "from . import sync", []),
        (
            "storage/base.py",
            "from zchat.rpc import methods",
            ["imports zchat.rpc"],
        ),
        (
            "client/session.py",
            "from zchat.client.connection import X",
            ["imports zchat.client"],
        ),
        ("client/connection.py", "from zchat.client.session import X", []),
        (
            "client/connection.py",
            "from zchat.client.console import X",
            ["imports zchat.client.console"],
        ),
        ("client/console/commands.py", "from zchat.client import Client", []),
        (
            "gateway/http.py",
            "from zchat.broker import serve",
            ["imports zchat.broker"],
        ),
        ("gateway/http.py", "from zchat.rpc import methods", []),
        (
            "broker.py",
            "from zchat.client import Client",
            ["imports zchat.client"],
        ),
        ("broker.py", "from zchat import __version__, errors", []),
        ("__init__.py", "from zchat import cli", ["imports zchat.cli"]),
        ("__main__.py", "from zchat.cli import main", []),
    ],
)
def test_the_rule_finds_what_is_against_it(
    tmp_path: Path,
    file: str,
    text: str,
    expected: list[str],
) -> None:
    path = tmp_path / "zchat" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    found = offences(path, tmp_path / "zchat")
    assert len(found) == len(expected)
    for line, part in zip(found, expected, strict=True):
        assert part in line

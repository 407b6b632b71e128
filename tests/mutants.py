"""Change the code one small piece at a time: some test must notice each.

mutmut makes the changed functions ("mutants") and keeps what became of
them; running them is our own, for two reasons (docs/decisions/0052).
mutmut leaves out decorated functions, and all rules that answer methods
are decorated. And it starts pytest once per mutant, where we collect the
tests once and fork: most mutants then cost milliseconds.

A mutant is killed when the type checker refuses it, as `make lint` would,
or when a test that reaches the changed function fails. One that lives is
printed unless docs/explanation/mutants.md lists it with the reason why it
is harmless: there by its function and the changed line, since numbers
shift with every edit.
"""

import argparse
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from functools import cache
from math import inf
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

import libcst as cst
import mutmut.__main__ as mutmut_program
import pytest
from _pytest.runner import runtestprotocol
from mutmut.configuration import config
from mutmut.mutation import file_mutation
from mutmut.mutation.data import MutantLineSpans, SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import (
    copy_also_copy_files,
    copy_src_dir,
    setup_source_paths,
    walk_mutatable_files,
)
from mutmut.utils.format_utils import mangled_name_from_mutant_name

FOLDER: Final = Path("mutants").absolute()
STATS: Final = FOLDER / "reached.json"
HARMLESS: Final = Path("docs/explanation/mutants.md")
ONCE: Final = frozenset({"property", "reads", "writes", "contextmanager"})
"""Decorators that go on the function that chooses a mutant, only there."""
KILLED, SURVIVED, BROKEN, NO_TESTS, REFUSED_BY_TYPES = 1, 0, 35, 33, 37
SEPARATOR: Final = "\u01c1"
ARTEFACTS: Final = frozenset({"unused-ignore", "no-redef", "has-type"})
"""Type errors that come of copies beside each other, not of a change."""
SPARE_SECONDS: Final = 10


# Which mutants there are.


class Visitor(file_mutation.MutationVisitor):
    """Mutates decorated functions too, and no sentences for people.

    Tests compare an error's code and field and never its text, which is
    free to become better; tests/unit/test_docs.py holds its form.
    """

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.FunctionDef) and node.decorators:
            return not all(_is_once(each) for each in node.decorators)
        if _is_sentence(node):
            return True
        return super()._skip_node_and_children(node)


def _is_once(decorator: cst.Decorator) -> bool:
    name = decorator.decorator
    if isinstance(name, cst.Call):
        name = name.func
    return isinstance(name, cst.Name) and name.value in (
        *ONCE,
        "staticmethod",
        "classmethod",
    )


def _is_sentence(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.FormattedString):
        return any(
            isinstance(part, cst.FormattedStringText) and " " in part.value
            for part in node.parts
        )
    if isinstance(node, cst.ConcatenatedString):
        return True
    return isinstance(node, cst.SimpleString) and bool(
        re.search(r"[a-z`] [a-z`]|\. [A-Z]", node.value)
    )


_arrange = file_mutation.function_trampoline_arrangement


def arrange(
    function: cst.FunctionDef, mutants: Iterable[Any], class_name: str | None
) -> Any:
    """As mutmut does it, with the decorators on the choosing one only."""
    moved = [
        each
        for each in function.decorators
        if _is_once(each) and not _is_method_kind(each)
    ]
    if not moved:
        return _arrange(function, mutants, class_name)
    bare = function.with_changes(decorators=())
    before, nodes, after, names = _arrange(bare, mutants, class_name)
    chooser, *copies = nodes
    assert isinstance(chooser, cst.FunctionDef)
    chooser = chooser.with_changes(
        decorators=(*function.decorators, *chooser.decorators)
    )
    return before, [chooser, *copies], after, names


def _is_method_kind(decorator: cst.Decorator) -> bool:
    name = decorator.decorator
    return isinstance(name, cst.Name) and name.value.endswith("method")


def generate() -> None:
    """Write the mutants; what is known of unchanged functions stays."""
    file_mutation.MutationVisitor = Visitor  # type: ignore[misc]
    file_mutation.function_trampoline_arrangement = arrange
    set_mutant_under_test("mutant_generation")
    FOLDER.mkdir(exist_ok=True)
    for folder in ("tests", "docs"):
        shutil.rmtree(FOLDER / folder, ignore_errors=True)
    with open(os.devnull, "w") as nowhere:
        sys.stdout = nowhere
        copy_src_dir()
        shutil.copytree(
            "zchat",
            FOLDER / "zchat",
            ignore=shutil.ignore_patterns("*.py", "__pycache__"),
            dirs_exist_ok=True,
        )
        copy_also_copy_files()
        mutmut_program.create_mutants(2)
        sys.stdout = sys.__stdout__


class Mutant(NamedTuple):
    """One changed function, and where its result is kept."""

    name: str
    data: SourceFileMutationData

    @property
    def function(self) -> str:
        return str(mangled_name_from_mutant_name(self.name))

    @property
    def result(self) -> int | None:
        return self.data.exit_code_by_key[self.name]

    @property
    def lives(self) -> bool:
        return self.result in (SURVIVED, NO_TESTS)

    def ended(self, result: int) -> None:
        self.data.exit_code_by_key[self.name] = result
        self.data.save()


def every_mutant(patterns: Sequence[str]) -> list[Mutant]:
    """Those whose name fits one of the patterns, in order."""
    found = []
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        data.meta_path = data.meta_path.absolute()
        found += [
            Mutant(name, data)
            for name in data.exit_code_by_key
            if any(fnmatch(name, pattern) for pattern in patterns)
        ]
    return found


# The type checker.


def refuse_by_types(mutants: Sequence[Mutant]) -> None:
    """Note each mutant that mypy refuses.

    Functions in whose unchanged copy it finds fault, mostly `__init__`,
    whose copies declare attributes twice, are left to the tests.
    """
    new = {mutant.name: mutant for mutant in mutants if mutant.result is None}
    if not new:
        return
    report = subprocess.run(
        [sys.executable, "-m", "mypy", "--output", "json", "zchat"],
        cwd=FOLDER,
        check=False,
        capture_output=True,
        text=True,
    )
    refused: set[str] = set()
    copies = {}
    for line in report.stdout.splitlines():
        error = json.loads(line)
        path = error["file"]
        if error["severity"] != "error" or error["code"] in ARTEFACTS:
            continue
        if path not in copies:
            copies[path] = MutantLineSpans.load(path)
        name = _copy_at(copies[path], error["line"])
        if name is not None:
            module = path.removesuffix(".py").replace("/", ".")
            refused.add(f"{module.removesuffix('.__init__')}.{name}")
    for name in refused & new.keys():
        mutant = new[name]
        if f"{mutant.function}__mutmut_orig" not in refused:
            mutant.data.exit_code_by_key[name] = REFUSED_BY_TYPES
    for data in {id(m.data): m.data for m in new.values()}.values():
        data.save()


def _copy_at(copies: MutantLineSpans | None, line: int) -> str | None:
    """The name of the copy of a function that the line is in."""
    if copies is None:
        return None
    for name, span in copies.span_by_function_name.items():
        if span.start <= line <= span.end:
            return str(name)
    return None


# The tests.


class Reached(NamedTuple):
    """What one test reaches, and how long it takes on its own."""

    functions: frozenset[str]
    seconds: float


class Child(NamedTuple):
    """A process that tries a mutant, and where it says what killed it."""

    mutant: Mutant
    answer: int


class Runner:
    """A plugin: instead of the tests' turn, the mutants have theirs."""

    def __init__(self, mutants: Sequence[Mutant], options: Any) -> None:
        self._mutants = mutants
        self._options = options
        self._items: dict[str, pytest.Item] = {}
        self._seconds: dict[str, float] = {}
        self._breadth: dict[str, int] = {}
        self._tests_by_function: dict[str, list[str]] = defaultdict(list)
        self._kills: Counter[tuple[str, str]] = Counter()
        self._children: dict[int, Child] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Failed("the tests cannot be collected")
        self._items = {item.nodeid: item for item in session.items}
        for nodeid, reached in self._measured(session).items():
            self._seconds[nodeid] = reached.seconds
            self._breadth[nodeid] = len(reached.functions)
            for function in reached.functions:
                self._tests_by_function[function].append(nodeid)
        for number, mutant in enumerate(self._mutants):
            if number % 50 == 0:
                say(f"{number} of {len(self._mutants)}: {mutant.name}")
            tests = self._tests_of(mutant.function)
            if tests:
                self._start(mutant, tests)
            else:
                mutant.ended(NO_TESTS)
        while self._children:
            self._wait()
        return True

    # Which test reaches what.

    def _measured(self, session: pytest.Session) -> dict[str, Reached]:
        """What each test reaches; those not known yet run once."""
        version = version_of("zchat")
        known: dict[str, Any] = {}
        with suppress(FileNotFoundError):
            saved = json.loads(STATS.read_text())
            if saved["version"] == version:
                known = saved["tests"]
        new = [
            item
            for item in session.items
            if known.get(item.nodeid, [None])[0] != version_of(item.path)
        ]
        say(f"{len(new)} of {len(session.items)} tests are measured")
        _, answer = self._fork(lambda out: measure(new, out))
        with open(answer) as rows:
            for row in rows:
                nodeid, failed, *rest = json.loads(row)
                if failed:
                    say(f"fails without a change: {nodeid}")
                    raise session.Failed("the tests must pass")
                known[nodeid] = rest
        os.wait()
        STATS.write_text(json.dumps({"version": version, "tests": known}))
        return {
            item.nodeid: Reached(frozenset(functions), seconds)
            for item in session.items
            for _, seconds, functions in [known[item.nodeid]]
        }

    def _tests_of(self, function: str) -> list[str]:
        """Those that reach it: first what killed its neighbours.

        Then the narrowest: a test that reaches few functions is more
        likely to be about this one, and takes less time.
        """
        module = function.rpartition(".")[0]
        found = [
            nodeid
            for nodeid in self._tests_by_function[function]
            if self._seconds[nodeid] <= self._options.slowest
        ]
        found.sort(
            key=lambda nodeid: (
                -self._kills[function, nodeid],
                -self._kills[module, nodeid],
                self._breadth[nodeid],
            )
        )
        spent = 0.0
        for count, nodeid in enumerate(found):
            spent += self._seconds[nodeid]
            if spent > self._options.budget:
                return found[: count + 1]
        return found

    # One process per mutant.

    def _fork(self, act: Callable[[TextIO], None]) -> tuple[int, int]:
        """A child that does it, and the end of what it writes."""
        read, write = os.pipe()
        child = os.fork()
        if child:
            os.close(write)
            return child, read
        try:
            os.close(read)
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 1)
            os.dup2(null, 2)
            with open(write, "w") as out:
                act(out)
        finally:
            os._exit(BROKEN)

    def _start(self, mutant: Mutant, tests: Sequence[str]) -> None:
        while len(self._children) >= self._options.children:
            self._wait()
        items = [self._items[nodeid] for nodeid in tests]
        seconds = sum(self._seconds[nodeid] for nodeid in tests)
        limit = int(3 * seconds) + SPARE_SECONDS
        child, answer = self._fork(
            lambda out: attempt(mutant.name, items, limit, out)
        )
        self._children[child] = Child(mutant, answer)

    def _wait(self) -> None:
        """Note how the next child to end ended."""
        process, status = os.wait()
        mutant, answer = self._children.pop(process)
        with open(answer) as written:
            killer = written.read()
        if killer:
            module = mutant.function.rpartition(".")[0]
            self._kills[mutant.function, killer] += 1
            self._kills[module, killer] += 1
        mutant.ended(os.waitstatus_to_exitcode(status))


def measure(items: Sequence[pytest.Item], out: TextIO) -> None:
    """Run the tests without a change, noting what each reaches."""
    set_mutant_under_test("stats")
    for item, following in zip(items, [*items[1:], None], strict=True):
        state()._stats.clear()
        begin = time.process_time()
        failed = fails(item, following)
        seconds = time.process_time() - begin
        reached = [*state()._stats]
        row = (item.nodeid, failed, version_of(item.path), seconds, reached)
        out.write(json.dumps(row) + "\n")
        out.flush()


def attempt(
    name: str, items: Sequence[pytest.Item], limit: int, out: TextIO
) -> None:
    """Run the tests on a mutant, up to the first that fails."""
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    set_mutant_under_test(name)
    for item, following in zip(items, [*items[1:], None], strict=True):
        try:
            failed = fails(item, following)
        except BaseException:
            failed = True
        if failed:
            out.write(item.nodeid)
            out.flush()
            os._exit(KILLED)
    os._exit(SURVIVED)


def fails(item: pytest.Item, following: pytest.Item | None) -> bool:
    """Whether the test fails now."""
    reports = runtestprotocol(item, log=False, nextitem=following)
    return any(report.failed for report in reports)


@cache
def version_of(place: str | Path) -> str:
    """A hash of a file, or of all Python files below a folder."""
    path = Path(place)
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def say(text: str) -> None:
    """A line of how far it is, while pytest has the standard streams."""
    print(time.strftime("%H:%M:%S"), text, file=sys.__stderr__, flush=True)


def run_tests(mutants: Sequence[Mutant], options: argparse.Namespace) -> int:
    """Give every mutant its turn, in the folder of changed sources."""
    set_mutant_under_test("")
    root = Path.cwd()
    setup_source_paths()
    sys.modules.pop("tests", None)
    os.chdir(FOLDER)
    try:
        return int(
            pytest.main(
                [
                    "-q",
                    "--capture=sys",
                    "-pno:cacheprovider",
                    "--timeout=40",
                    *config().pytest_add_cli_args,
                    *(
                        options.tests
                        or config().pytest_add_cli_args_test_selection
                    ),
                ],
                plugins=[Runner(mutants, options)],
            )
        )
    finally:
        os.chdir(root)


# What lives on.


class Change(NamedTuple):
    """A mutant as the page lists it."""

    module: str
    function: str
    line: str


def listed() -> set[Change]:
    """The harmless ones of the page: module, function, changed line."""
    found = set()
    module = function = ""
    for line in HARMLESS.read_text().splitlines():
        if heading := re.match(r"### `([\w.]+)`", line):
            module = heading[1]
        elif item := re.match(r"- `([\w.]+)`: ", line):
            function = item[1]
        elif change := re.match(r"  - `+ ?(.*?) ?`+$", line):
            found.add(Change(module, function, change[1]))
    return found


def mangled(change: Change) -> str:
    """The name of the change's function as mutmut has it."""
    scope, _, name = change.function.rpartition(".")
    if scope:
        return f"{change.module}.x{SEPARATOR}{scope}{SEPARATOR}{name}"
    return f"{change.module}.x_{name}"


def change_of(mutant: Mutant) -> Change:
    """The mutant's place, and the lines that it has instead."""
    diff = get_diff_for_mutant(mutant.name, path=mutant.data.path)
    lines = [
        line for line in diff.splitlines() if line[:3] not in ("+++", "---")
    ]
    there = [line[1:].strip() for line in lines if line.startswith("+")]
    gone = [line[1:].strip() for line in lines if line.startswith("-")]
    module, _, name = mutant.function.rpartition(".")
    return Change(
        module,
        ".".join(name.split(SEPARATOR)[1:]) or name.removeprefix("x_"),
        " ".join(there) if there else "without " + " ".join(gone),
    )


def report(mutants: Sequence[Mutant]) -> int:
    """Print what lives and is not listed, and what is listed in vain."""
    harmless = listed()
    living = {m.name: change_of(m) for m in mutants if m.lives}
    faults = 0
    for name, change in living.items():
        if change not in harmless:
            faults += 1
            print(f"lives: {name}\n    {change.function}: {change.line}")
    tried = {
        mutant.function for mutant in mutants if mutant.result is not None
    }
    for change in sorted(harmless - set(living.values())):
        if mangled(change) in tried:
            faults += 1
            print(f"listed, but gone: {change.module}.{change.function}")
            print(f"    {change.line}")
    counts = Counter(status_by_exit_code[mutant.result] for mutant in mutants)
    counts["survived and listed"] = sum(
        change in harmless for change in living.values()
    )
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    return faults


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants",
        description="Change the code; each change must fail a test.",
    )
    add = parser.add_argument
    add("patterns", nargs="*", default=["*"], help="names of mutants, with *")
    add("--tests", nargs="+", help="these instead of the configured ones")
    add("--every", type=int, default=1, metavar="N", help="only each Nth")
    add("--children", type=int, default=2, help="processes at a time")
    add("--again", action="store_true", help="those that were killed, too")
    add("--report", action="store_true", help="only print what is known")
    for name, help in (
        ("--slowest", "leave slower tests out"),
        ("--budget", "try a mutant for so long"),
    ):
        add(name, type=float, default=inf, metavar="SECONDS", help=help)
    return parser.parse_args()


def main() -> int:
    """Try the mutants asked for; 1 if one lives that is not listed."""
    options = arguments()
    if not options.report:
        generate()
    mutants = every_mutant(options.patterns)[:: options.every]
    if not options.report:
        refuse_by_types(mutants)
        harmless = listed()
        todo = [
            mutant
            for mutant in mutants
            if options.again
            or mutant.result is None
            or (mutant.lives and change_of(mutant) not in harmless)
        ]
        say(f"{len(todo)} of {len(mutants)} mutants are tried")
        if todo and run_tests(todo, options):
            return 1
    return 1 if report(mutants) else 0


if __name__ == "__main__":
    sys.exit(main())

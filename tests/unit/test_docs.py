"""The pages name everything there is, and everything they name is there."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Final

import click
import pytest

import zchat
from docs.generate import PAGES, REFERENCE
from docs.pages.http import OWN
from docs.pages.readme import README
from zchat import cli
from zchat.client.console.slash import SLASHES
from zchat.config import load
from zchat.errors import Code
from zchat.options import OPTION_BY_NAME, OPTIONS
from zchat.rpc.events import EVENTS, name_of
from zchat.rpc.methods import METHODS

ROOT: Final = README.parent
DOCS: Final = ROOT / "docs"
WRITTEN: Final = sorted(
    [
        *DOCS.rglob("*.md"),
        README,
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
    ]
)
FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ (.*)$", re.M)
TEST_NAME: Final = re.compile(r"`(tests/[\w/]+\.py)((?:::\w+)*)`")


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def fenced(language: str) -> list[tuple[str, str]]:
    """Each block in that language, with the page that it is on."""
    return [
        (shown(path), body)
        for path in WRITTEN
        for kind, body in FENCE.findall(path.read_text(encoding="utf-8"))
        if kind == language
    ]


class TestReference:
    @pytest.mark.parametrize("path", PAGES, ids=shown)
    def test_a_generated_page_is_up_to_date(self, path: Path) -> None:
        assert path.read_text(encoding="utf-8") == PAGES[path](), (
            f"{path.name} is out of date; run `make docs`"
        )

    @pytest.mark.parametrize("method", METHODS, ids=lambda one: one.name)
    def test_every_method_with_its_parameters(self, method: object) -> None:
        assert isinstance(method, type(METHODS[0]))
        section = re.search(
            rf"^## {method.name}$(.*?)(?=^## )",
            page("methods.md"),
            re.M | re.S,
        )
        assert section
        for name in method.params.__struct_fields__:
            assert f"| `{name}` |" in section[1]
        assert f"(docs/reference/methods.md#{method.name})" in (
            README.read_text(encoding="utf-8")
        )

    def test_every_event_with_its_fields(self) -> None:
        text = page("events.md")
        for event in EVENTS:
            section = text.partition(f"\n### {name_of(event)}\n")[2].partition(
                "\n### "
            )[0]
            for name in event.__struct_fields__:
                assert f"| `{name}` |" in section

    def test_every_code_with_its_status(self) -> None:
        for code in Code:
            assert f"\n| [`{code.wire}`](#{code.wire}) | {code.http} |" in (
                page("errors.md")
            )
            assert f"\n## {code.wire}\n" in page("errors.md")

    def test_every_endpoint_here_and_in_the_readme(self) -> None:
        endpoints = [
            f"{route.verb} {route.path}"
            for method in METHODS
            for route in method.routes
        ]
        for text in (page("http.md"), README.read_text(encoding="utf-8")):
            for endpoint in [*endpoints, *(f"{o.verb} {o.path}" for o in OWN)]:
                assert f"\n| `{endpoint}` |" in text

    def test_the_gateways_own_endpoints_are_all_of_them(self) -> None:
        source = (Path(zchat.__file__).parent / "gateway/app.py").read_text(
            encoding="utf-8"
        )
        served = {
            node.value
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.fullmatch(r"/[a-z./]+", node.value)
        }
        assert served - {"/files"} == {own.path for own in OWN}

    def test_every_flag_variable_and_key(self) -> None:
        for option in OPTIONS:
            for name in (option.flag, option.variable, option.name):
                assert re.search(rf"`{name}[`\s]", page("settings.md"))

    def test_every_command_with_its_flags(self) -> None:
        context = click.Context(cli.main)
        for name in cli.main.list_commands(context):
            command = cli.main.get_command(context, name)
            assert command is not None
            section = (
                page("commands.md")
                .partition(f"\n## zchat {name}\n")[2]
                .partition("\n## ")[0]
            )
            for parameter in command.params:
                if isinstance(parameter, click.Option):
                    flag = parameter.opts[0]
                    text = (
                        page("settings.md")
                        if (flag.removeprefix("--") in OPTION_BY_NAME)
                        else section
                    )
                    assert re.search(rf"`{flag}[`\s]", text)

    def test_the_wire_says_how_every_frame_is_made(self) -> None:
        text = page("protocol.md")
        for words in (
            "[0, id, method, params]",
            "[1, id, error, result]",
            "AES-256-GCM",
            "big-endian",
            "associated",
            "barrier",
            "heartbeat",
            "idempotency_key",
            "history(after=…)",
        ):
            assert words in text


class TestPages:
    @pytest.mark.parametrize("path", WRITTEN, ids=shown)
    def test_no_link_is_dead(self, path: Path) -> None:
        text = FENCE.sub("", path.read_text(encoding="utf-8"))
        for target in LINK.findall(text):
            if "://" in target:
                continue
            name, _, anchor = target.partition("#")
            linked = (path.parent / name).resolve() if name else path
            assert linked.exists(), target
            if anchor:
                assert anchor in anchors(linked), target

    def test_every_decision_has_a_number_of_its_own(self) -> None:
        paths = sorted((DOCS / "decisions").glob("*.md"))
        numbers = [int(path.name[:4]) for path in paths]
        assert numbers == sorted(set(numbers))
        for number, path in zip(numbers, paths, strict=True):
            assert path.read_text(encoding="utf-8").startswith(f"# {number}. ")

    @pytest.mark.parametrize(
        ("where", "code"), fenced("python"), ids=lambda _: ""
    )
    def test_python_can_be_read(self, where: str, code: str) -> None:
        compile(code, where, "exec")

    @pytest.mark.parametrize(
        ("where", "settings"), fenced("toml"), ids=lambda _: ""
    )
    def test_settings_are_taken(
        self, where: str, settings: str, tmp_path: Path
    ) -> None:
        assert tomllib.loads(settings)
        file = tmp_path / "zchat.toml"
        file.write_text(settings, encoding="utf-8")
        load("serve", {}, {}, str(file))

    def test_commands_and_their_flags_are_there(self) -> None:
        commands = [
            line
            for kind in ("console", "sh", "ini")
            for _, block in fenced(kind)
            for line in block.splitlines()
            if re.search(r"zchat (serve|gateway)\b", line)
        ]
        assert commands
        for line in commands:
            for flag in re.findall(r" --([a-z-]+)", line):
                assert flag == "config" or flag in OPTION_BY_NAME, line

    def test_only_commands_of_zchat(self) -> None:
        known = set(cli.main.list_commands(click.Context(cli.main)))
        for kind, start in (("console", r"\$ "), ("sh", "")):
            for where, block in fenced(kind):
                for name in re.findall(
                    rf"^{start}zchat ([a-z]+)", block, re.M
                ):
                    assert name in known, where


def test_what_is_typed_in_a_conversation_is_there() -> None:
    lines = [
        line
        for path in WRITTEN
        for line in re.findall(
            r"^In `zchat chat` .*?\n\n",
            path.read_text(encoding="utf-8"),
            re.M | re.S,
        )
    ]
    typed = [
        name for line in lines for name in re.findall(r"`/([a-z]+)", line)
    ]
    assert set(typed) <= {slash.name for slash in SLASHES}
    assert len(typed) > 10


def anchors(path: Path) -> set[str]:
    """What a link into the page may name, as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(path.read_text(encoding="utf-8"))
    }


class TestPromises:
    """Every promise names tests, and these tests exist."""

    NAMED: Final = sorted(
        set(
            TEST_NAME.findall(
                (DOCS / "explanation" / "safety.md").read_text(
                    encoding="utf-8"
                )
            )
        )
    )

    def test_every_promise_names_some(self) -> None:
        text = (DOCS / "explanation" / "safety.md").read_text(encoding="utf-8")
        promises = re.findall(r"^## \d\. .*?(?=^## |\Z)", text, re.M | re.S)
        assert len(promises) == 5
        for promise in promises:
            assert TEST_NAME.search(promise), promise.splitlines()[0]

    @pytest.mark.parametrize(
        ("file", "names"), NAMED, ids=lambda part: part or "file"
    )
    def test_a_named_test_exists(self, file: str, names: str) -> None:
        node: ast.AST = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        for name in names.split("::")[1:]:
            node = next(
                inner
                for inner in ast.iter_child_nodes(node)
                if isinstance(
                    inner,
                    ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
                )
                and inner.name == name
            )


CITED: Final = re.compile(
    r"(?<![\w/])((?:[\w.-]+/)*[\w-]+\.md)(?:,\s+\"([^\"]+)\")?"
)


def citations() -> list[tuple[str, str, str | None]]:
    """What modules and SQL cite: where, which page, which heading."""
    found = []
    for folder in ("zchat", "tests", "benchmarks", "docs"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix == ".sql":
                texts = [path.read_text(encoding="utf-8")]
            elif path.suffix == ".py":
                texts = written_words(path)
            else:
                continue
            found += [
                (shown(path), page, heading or None)
                for text in texts
                for page, heading in CITED.findall(text)
            ]
    return found


def written_words(path: Path) -> list[str]:
    """The docstrings of a module, and the texts below its constants."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]


def test_docstrings_cite_only_what_is_there() -> None:
    wrong = []
    for where, page_, heading in citations():
        target = ROOT / page_
        if not target.is_file():
            wrong.append(f"{where}: {page_}")
        elif heading and heading not in HEADING.findall(
            target.read_text(encoding="utf-8")
        ):
            wrong.append(f"{where}: {page_}, {heading!r}")
    assert wrong == []

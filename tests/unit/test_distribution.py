"""What is installed: the lists of packages, and what needs which of them."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.server import environment
from zchat import __version__
from zchat.cli import EXTRA_BY_MODULE

ROOT = Path(__file__).resolve().parents[2]
LISTS = ROOT / "requirements"
WITHOUT = """
import importlib.abc
import sys

BLOCKED = {blocked!r}

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return None

sys.meta_path.insert(0, Absent())
"""
RUN = """
from zchat.cli import main
main({arguments!r}, prog_name="zchat")
"""


def packages(path: Path) -> list[str]:
    """The names in a list, the lists that it includes read in."""
    found = []
    for line in path.read_text().splitlines():
        if line.startswith("-r "):
            found += packages(path.parent / line[3:])
        elif line and not line.startswith("#"):
            found.append(re.split(r"[\[<>=]", line)[0])
    return found


def without(
    modules: set[str], code: str
) -> "subprocess.CompletedProcess[str]":
    """Run code where these modules are not installed."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(blocked=modules) + code],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_requirements_txt_is_the_lists_that_pyproject_reads() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    hook = project["tool"]["hatch"]["metadata"]["hooks"]["requirements_txt"]
    read = {*hook["files"]}
    for files in hook["optional-dependencies"].values():
        read |= {*files}
    included = {
        line[3:]
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line.startswith("-r ")
    }
    assert read == included
    assert packages(ROOT / "requirements.txt")


def test_what_an_extra_holds_is_told_by_its_modules() -> None:
    for extra in ("console", "server", "postgres"):
        modules = {
            name.replace("-", "_") for name in packages(LISTS / f"{extra}.txt")
        }
        assert modules == {
            module
            for module, found in EXTRA_BY_MODULE.items()
            if found == extra
        }


def test_the_client_needs_nothing_of_the_server() -> None:
    ended = without(
        set(EXTRA_BY_MODULE),
        "import zchat.client, zchat.client.console.commands, zchat.cli\n"
        + RUN.format(arguments=["--version"]),
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"zchat, version {__version__}\n"


@pytest.mark.parametrize(
    ("absent", "arguments", "extra"),
    [
        (set(EXTRA_BY_MODULE), ["serve"], "server"),
        (set(EXTRA_BY_MODULE), ["gateway"], "server"),
        ({"psycopg"}, ["serve", "--store", "postgresql://x/y"], "postgres"),
    ],
)
def test_what_is_missing_is_named(
    absent: set[str], arguments: list[str], extra: str
) -> None:
    ended = without(absent, RUN.format(arguments=arguments))
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == (
        "zchat: This command needs packages that are not installed. "
        f"Run: pip install 'zchat[{extra}]'"
    )


def test_building_leaves_nothing_behind(tmp_path: Path) -> None:
    checkout, built = tmp_path / "checkout", tmp_path / "built"
    checkout.mkdir()
    for name in ("zchat", "requirements"):
        shutil.copytree(
            ROOT / name,
            checkout / name,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.txt"):
        shutil.copy(ROOT / name, checkout)
    before = sorted(checkout.rglob("*"))
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
            *("--no-build-isolation", "--disable-pip-version-check"),
            *("--wheel-dir", str(built), str(checkout)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert sorted(checkout.rglob("*")) == before
    [wheel] = built.iterdir()
    assert wheel.name == f"zchat-{__version__}-py3-none-any.whl"

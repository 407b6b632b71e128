"""The tables in the README, renewed between their marks."""

import re
from pathlib import Path
from typing import Final

from docs.pages.http import endpoints_table
from zchat.rpc.methods import METHODS

README: Final = Path(__file__).parents[2] / "README.md"
METHODS_PAGE: Final = "docs/reference/methods.md"


def readme_page() -> str:
    """The README with its tables as the code has them now."""
    text = README.read_text(encoding="utf-8")
    for name, table in (
        ("endpoints", endpoints_table(METHODS_PAGE)),
        ("methods", _methods_table()),
    ):
        text = _replaced(text, name, table)
    return text


def _replaced(text: str, name: str, table: str) -> str:
    """The text with a new table between the marks of that name."""

    def renewed(marks: re.Match[str]) -> str:
        return marks[1] + table + marks[2]

    text, count = re.subn(
        f"(<!-- {name}: .*? -->\n).*?(<!-- end -->)",
        renewed,
        text,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"README.md has no place for {name}")
    return text


def _methods_table() -> str:
    rows = "".join(
        f"| [`{method.name}`]({METHODS_PAGE}#{method.name}) "
        f"| {', '.join(method.params.__struct_fields__)} "
        f"| {method.summary} |\n"
        for method in METHODS
    )
    return f"| method | parameters | what it does |\n|---|---|---|\n{rows}"

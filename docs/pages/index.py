"""The list of all pages, by their headings."""

from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[1]
INDEX: Final = DOCS / "README.md"

FOLDERS: Final = (
    ("tutorial", "Begin here"),
    ("howto", "How to …"),
    ("reference", "Look it up"),
    ("explanation", "Understand it"),
    ("decisions", "What was decided, and why"),
)
FIRST: Final = (
    "web",
    "console",
    "curl",
    "python-client",
    "client",
    "conformance",
    "unread",
    "devices",
    "edit-and-delete",
    "react",
    "mentions",
    "search",
    "files",
    "scheduled-messages",
    "groups",
    "rate-limit",
    "complaints-and-bans",
    "message-lifetime",
    "other-machines",
    "service",
    "backup",
    "several-brokers",
    "protocol",
    "methods",
    "events",
    "http",
    "python",
    "errors",
    "commands",
    "settings",
    "limits",
    "architecture",
    "glossary",
    "delivery",
    "safety",
    "mutants",
    "zeromq-traps",
    "performance",
    "scale",
)
"""Names of pages in the order to read them; others follow by name."""


def index_page() -> str:
    """A list of links a folder."""
    parts = [
        "# The documents\n\nThis list comes from the pages; `make docs` "
        "writes it.\n"
    ]
    for folder, title in FOLDERS:
        lines = "".join(
            f"- [{_heading(path)}]({folder}/{path.name})\n"
            for path in sorted((DOCS / folder).glob("*.md"), key=_place)
        )
        parts.append(f"## {title}\n\n{lines}")
    return "\n".join(parts)


def reading_order() -> list[Path]:
    """Every page, from the README on, as a newcomer would read them."""
    return [
        DOCS.parent / "README.md",
        *(
            path
            for folder, _ in FOLDERS
            for path in sorted((DOCS / folder).glob("*.md"), key=_place)
        ),
    ]


def _place(path: Path) -> tuple[int, str]:
    known = path.stem in FIRST
    return (FIRST.index(path.stem) if known else len(FIRST), path.name)


def _heading(path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# ")

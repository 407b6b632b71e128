"""The SQL: named blocks for both stores, and numbered migrations.

What one store wants in another way stands in `queries.sql` of its dialect.

A block begins with `-- name: NAME`; `:parameters` stand for values and
`{skip_locked}` for what a store that is shared adds to take rows that
nobody else is taking.
"""

import re
from importlib.resources import files
from typing import Final, NamedTuple

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"^--.*\n", re.MULTILINE)
_MIGRATION: Final = re.compile(r"^(\d{4})_\w+\.sql$")


class Migration(NamedTuple):
    """One step of the schema; steps are only ever appended."""

    number: int
    name: str
    script: str


def blocks(dialect: str, skip_locked: str) -> dict[str, str]:
    """Every block by its name: the dialect's own, or else the common."""
    found: dict[str, str] = {}
    for path in ("queries.sql", f"{dialect}/queries.sql"):
        source = files(__package__).joinpath(path)
        if source.is_file():
            text = source.read_text("utf-8")
            found |= _blocks(text, skip_locked)
    return found


def _blocks(text: str, skip_locked: str) -> dict[str, str]:
    parts = _NAME.split(text)[1:]
    return {
        name: _COMMENT.sub("", body)
        .strip()
        .rstrip(";")
        .replace("{skip_locked}", skip_locked)
        for name, body in zip(parts[::2], parts[1::2])
    }


def migrations(dialect: str) -> list[Migration]:
    """The migrations of `sqlite` or `postgres`, in order."""
    steps = []
    for entry in files(__package__).joinpath(dialect).iterdir():
        match = _MIGRATION.match(entry.name)
        if match:
            steps.append(
                Migration(
                    int(match.group(1)), entry.name, entry.read_text("utf-8")
                )
            )
    return sorted(steps)

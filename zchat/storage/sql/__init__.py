"""The SQL: named blocks for both stores, and numbered migrations.

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


def blocks(skip_locked: str) -> dict[str, str]:
    """Every block of `queries.sql` by its name."""
    text = files(__package__).joinpath("queries.sql").read_text("utf-8")
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

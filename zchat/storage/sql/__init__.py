"""The SQL: named blocks for both stores, and numbered migrations.

What one store wants in another way stands in `queries.sql` of its dialect.

A block begins with `-- name: NAME`; `:parameters` stand for values and
`{skip_locked}` for what a store that is shared adds to take rows that
nobody else is taking. `{messages}` are the columns of a message `m` and
the name of its author `u`.

Each column of an answer has the name of the field that it becomes, and
stands where that field stands in the row's class, so that rows can be
made without looking at names. A test compares them.
"""

import re
from importlib.resources import files
from typing import Final, NamedTuple

from zchat.model import AuthoredMessage

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"^--.*\n", re.MULTILINE)
_MESSAGE_COLUMNS: Final = {
    field: f"m.{field}" for field in AuthoredMessage.__struct_fields__
} | {"author_name": "u.name"}
_OWN_COLUMNS: Final = {
    "sqlite": {"chat_id": "n.id", "seq": "m.place & 68719476735"},
    "postgres": {},
}
"""Columns of messages that the blocks of one dialect find elsewhere."""
_MIGRATION: Final = re.compile(r"^(\d{4})_\w+\.sql$")


class Migration(NamedTuple):
    """One step of the schema; steps are only ever appended."""

    number: int
    name: str
    script: str


def blocks(dialect: str, skip_locked: str) -> dict[str, str]:
    """Every block by its name: the dialect's own, or else the common."""
    found: dict[str, str] = {}
    for path, columns in (
        ("queries.sql", _MESSAGE_COLUMNS),
        (f"{dialect}/queries.sql", _MESSAGE_COLUMNS | _OWN_COLUMNS[dialect]),
    ):
        source = files(__package__).joinpath(path)
        if source.is_file():
            text = source.read_text("utf-8")
            found |= _blocks(text, skip_locked, _named(columns))
    return found


def _named(columns: dict[str, str]) -> str:
    return ", ".join(f"{column} AS {name}" for name, column in columns.items())


def _blocks(text: str, skip_locked: str, messages: str) -> dict[str, str]:
    parts = _NAME.split(text)[1:]
    return {
        name: _COMMENT.sub("", body)
        .strip()
        .rstrip(";")
        .replace("{skip_locked}", skip_locked)
        .replace("{messages}", messages)
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

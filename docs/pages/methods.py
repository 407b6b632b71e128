"""The page of all methods, from the table in `zchat/rpc/methods.py`."""

from typing import Final

import msgspec

from docs.pages.codes import codes_of
from docs.pages.notes import PARAMETERS, RESULTS
from docs.pages.types import Field, fields_of, sentence, structs_in
from zchat.rpc.methods import METHODS, Method
from zchat.rpc.results import Empty

HEAD: Final = """\
# Methods

This page comes from `zchat/rpc/methods.py`; `make docs` writes it. How a
request travels stands in [protocol.md](protocol.md), what a code means in
[errors.md](errors.md), every bound in [limits.md](limits.md).

Every method takes `token`, the caller's secret, but for `hello`, and for
`connect` when it makes a new user; the tables leave it out. A parameter that
is not required may be left out. A parameter that is not in the table is
refused. Ids in results are UUIDs, times are RFC 3339 with an offset. Results
may gain fields: ignore those you do not know.

"""


def methods_page() -> str:
    """The table of methods, a section each, and the objects in results."""
    sections = [_overview(), *map(_section, METHODS), _objects()]
    return HEAD + "\n".join(sections)


def _overview() -> str:
    rows = "".join(
        f"| [`{method.name}`](#{method.name}) | {method.summary} |\n"
        for method in METHODS
    )
    return f"| method | what it does |\n|---|---|\n{rows}"


def _section(method: Method) -> str:
    parts = [f"## {method.name}\n", method.summary + _effect(method) + "\n"]
    if method.routes:
        routes = ", ".join(
            f"`{route.verb} {route.path}`" for route in method.routes
        )
        parts.append(f"Over HTTP: {routes}.\n")
    if method.command:
        parts.append(f"At a shell: `zchat {method.command}`.\n")
    if not method.params.__struct_fields__:
        parts.append("Takes no parameters.\n")
    else:
        parts.append(
            f"{_takes(method)}\n\n"
            + _table(
                fields_of(method.params, PARAMETERS),
                "parameter",
                required=True,
            )
        )
    if method.result is Empty:
        parts.append("Answers an empty map.\n")
    else:
        parts.append(
            f"Answers: {_lowered(sentence(method.result))}\n\n"
            + _table(fields_of(method.result, RESULTS), "field")
        )
    codes = ", ".join(
        f"[`{code.wire}`](errors.md#{code.wire})" for code in codes_of(method)
    )
    parts.append(f"May refuse with {codes}.\n")
    return "\n".join(parts)


def _effect(method: Method) -> str:
    """Whether it is safe to call again."""
    if method.changes_if:
        return f" It changes something only with `{method.changes_if}`."
    return " It changes nothing." if method.reads else ""


def _takes(method: Method) -> str:
    """What the parameters are; a shared struct also names its methods."""
    text = sentence(method.params)
    users = [other for other in METHODS if other.params is method.params]
    return text.partition(":")[0] + "." if len(users) > 1 else text


def _lowered(text: str) -> str:
    """A sentence as it goes on after a colon."""
    first, _, rest = text.partition(" ")
    return (
        text
        if first.isupper() and len(first) > 1
        else (f"{first[0].lower()}{first[1:]} {rest}".strip())
    )


def _table(fields: list[Field], title: str, required: bool = False) -> str:
    """The fields as a table; results have no column `required`."""
    rows = [
        (
            f"`{field.name}`",
            field.type,
            *(("yes" if field.required else "",) if required else ()),
            _note(field, required),
        )
        for field in fields
    ]
    heads = (title, "type", *(("required",) if required else ()), "")
    return "".join(
        "|" + "|".join(f" {cell} " if cell else " " for cell in row) + "|\n"
        for row in (heads, ("---",) * len(heads), *rows)
    ).replace(" --- ", "---")


def _note(field: Field, is_parameter: bool) -> str:
    if is_parameter or not field.may_lack:
        return field.note
    return f"{field.note} Left out where there is nothing to tell."


def _objects() -> str:
    """The structs that stand inside results, each once."""
    found: dict[str, type[msgspec.Struct]] = {}
    for method in METHODS:
        for struct in structs_in(method.result):
            found[struct.__name__] = struct
    sections = [
        f"### {name}\n\n{sentence(struct)}\n\n"
        + _table(fields_of(struct, RESULTS), "field")
        for name, struct in sorted(found.items())
    ]
    return "## Objects in results\n\n" + "\n".join(sections)

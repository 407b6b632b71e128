"""The reference of the Python library, from its signatures and docstrings."""

import enum
import inspect
import re
from collections.abc import Iterable
from typing import Any, Final, get_args

import msgspec

from zchat import client
from zchat.client import events, values

_HEAD: Final = """\
# The Python library

Everything that `zchat.client` exports, from its docstrings; `make docs` writes
this page. [How to use it](../howto/python-client.md) comes first.

Times are `datetime`s with an offset, ids are text, lists are tuples; nothing
that is handed out can be changed.
"""
_TEXT_OF: Final = (
    (re.compile(r"zchat\.(?:\w+\.)+"), ""),
    (re.compile(r"datetime\.datetime"), "datetime"),
    (re.compile(r"collections\.abc\.|typing\.|pathlib\."), ""),
    (re.compile(r"<function Client\.<lambda> at 0x[0-9a-f]+>"), "..."),
    (re.compile(r"<Start\.(\w+): '\w+'>"), r"Start.\1"),
)
_EVENTS: Final = inspect.formatannotation(events.Event)
_FIRST: Final[tuple[str, ...]] = ("connect", "close")
"""Methods that come first; the others follow as they are defined."""


def python_page() -> str:
    """The clients, the events, the values and the errors."""
    parts = [
        _HEAD,
        _client_section(),
        "## BlockingClient\n\n"
        f"{_doc(client.BlockingClient)}\n\n"
        "The same methods, each waited for. `next_event` takes "
        "`timeout_seconds` and raises `TimeoutError`.\n",
        _structs_section(
            "Events",
            "What `Client.events()` gives, in the order in which it happens.",
            get_args(events.Event),
        ),
        _structs_section(
            "Values",
            "What the methods answer.",
            [getattr(values, name) for name in values.__all__],
        ),
        _structs_section(
            "Values for moderators and admins",
            "What the methods answer that the server gives to them alone.",
            [
                client.Account,
                client.ComplaintInfo,
                client.BanEnd,
                client.NewInvite,
                client.InviteInfo,
                client.AuditEntry,
            ],
        ),
        _structs_section(
            "Where events begin",
            "What `connect` takes as `cursors` and `start`.",
            [client.Cursors, client.ChatCursor, client.Start],
        ),
        _errors_section(),
    ]
    return "\n".join(parts)


def _client_section() -> str:
    members = dict(inspect.getmembers(client.Client))
    order = [name for name in _FIRST if name in members]
    defined = [
        name
        for kind in (client.Client, *client.Client.__mro__)
        for name in vars(kind)
    ]
    order += [
        name
        for name in dict.fromkeys(defined)
        if not name.startswith("_") and name not in order
    ]
    properties = "".join(
        f"| `{name}` | {_first_line(members[name])} |\n"
        for name in order
        if isinstance(inspect.getattr_static(client.Client, name), property)
    )
    methods = "\n".join(
        f"#### {name}\n\n```text\n{_signature(name, members[name])}\n```\n\n"
        f"{_doc(members[name])}\n"
        for name in order
        if callable(members[name])
    )
    return (
        f"## Client\n\n{_doc(client.Client)}\n\n"
        "`token`, `user_id`, `chat_default` and `limits` stay as they are;\n"
        f"these follow what happens:\n\n| | |\n|---|---|\n{properties}\n"
        f"### Methods\n\n{methods}"
    )


def _signature(name: str, member: Any) -> str:
    found = inspect.signature(member)
    shown = [
        parameter
        for parameter in found.parameters.values()
        if parameter.name != "self"
    ]
    words = "await " if inspect.iscoroutinefunction(member) else ""
    if inspect.isasyncgenfunction(member):
        words = "async for event in "
    line = str(found.replace(parameters=shown)).replace(_EVENTS, "Event")
    for pattern, text in _TEXT_OF:
        line = pattern.sub(text, line)
    text = f"{words}{name}{line}"
    return text if len(text) < 80 else _folded(text)


def _folded(text: str) -> str:
    """One parameter a line."""
    head, _, rest = text.partition("(")
    inside, _, tail = rest.rpartition(")")
    depth, parts, start = 0, [], 0
    for at, sign in enumerate(inside):
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and not depth:
            parts.append(inside[start:at].strip())
            start = at + 1
    parts.append(inside[start:].strip())
    lines = "".join(f"    {part},\n" for part in parts if part)
    return f"{head}(\n{lines}){tail}"


def _structs_section(title: str, text: str, kinds: Iterable[type]) -> str:
    entries = "\n".join(_entry(kind) for kind in kinds)
    return f"## {title}\n\n{text}\n\n{entries}"


def _entry(kind: type) -> str:
    lines = [f"### {kind.__name__}\n\n{_doc(kind)}\n"]
    if issubclass(kind, enum.Enum):
        names = ", ".join(f"`{kind.__name__}.{each.name}`" for each in kind)
        lines.append(f"{names}\n")
    fields = (
        msgspec.structs.fields(kind)
        if issubclass(kind, msgspec.Struct)
        else ()
    )
    if fields:
        lines.append(
            "```text\n"
            + "".join(
                f"{field.name}: {_type_text(field)}\n" for field in fields
            )
            + "```\n"
        )
    return "\n".join(lines)


def _type_text(field: msgspec.structs.FieldInfo) -> str:
    text = inspect.formatannotation(field.type)
    for pattern, replacement in _TEXT_OF:
        text = pattern.sub(replacement, text)
    if field.default is not msgspec.NODEFAULT:
        text += f" = {field.default!r}"
    return text


def _errors_section() -> str:
    kinds = (
        client.ZchatError,
        client.Refused,
        client.NoAnswer,
        client.ConfigError,
    )
    entries = "\n".join(
        f"### {kind.__name__}\n\n{_doc(kind)}\n" for kind in kinds
    )
    return (
        "## Errors\n\nAll are `ZchatError`s. `Refused.code` is a `Code` of "
        f"[errors](errors.md).\n\n{entries}"
    )


def _doc(member: Any) -> str:
    return inspect.cleandoc(inspect.getdoc(member) or "")


def _first_line(member: Any) -> str:
    return _doc(member).partition("\n")[0]

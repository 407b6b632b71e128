"""Types of parameters and results in words, read off the structs."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, get_args

import msgspec
from msgspec import inspect

from docs.pages.notes import note_on
from zchat.model import CHUNK_BYTES
from zchat.rpc.params import Id, Sha256

WORDS_BY_PATTERN: Final = {
    get_args(Id)[1].pattern: "UUID",
    get_args(Sha256)[1].pattern: "SHA-256 as 64 hex digits",
}
WHOLE_NUMBER_MAX: Final = 2**53 - 1
"""The largest bound that stands for "any"."""


class Field(NamedTuple):
    """One parameter or one field of a result, ready for a table."""

    name: str
    type: str
    required: bool
    may_lack: bool
    note: str


def fields_of(
    struct: type[msgspec.Struct],
    notes: Mapping[str, str],
) -> list[Field]:
    """The fields of a struct in its order, with what `notes` say."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return [
        Field(
            field.name,
            words(field.type),
            field.required,
            not field.required and _has_no_default(field),
            note_on(notes, struct, field.name),
        )
        for field in info.fields
    ]


def _has_no_default(field: inspect.Field) -> bool:
    """Whether a field that is not required is left out when unset."""
    return (
        field.default is msgspec.NODEFAULT
        and field.default_factory is msgspec.NODEFAULT
    )


def structs_in(struct: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """The structs that stand in a struct's fields, at any depth."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    found: list[type[msgspec.Struct]] = []
    for field in info.fields:
        for inner in _structs(field.type):
            found += [inner, *structs_in(inner)]
    return found


def _structs(kind: inspect.Type) -> list[type[msgspec.Struct]]:
    if isinstance(kind, inspect.StructType):
        return [kind.cls]
    if isinstance(kind, inspect.Metadata):
        return _structs(kind.type)
    if isinstance(kind, inspect.ListType):
        return _structs(kind.item_type)
    if isinstance(kind, inspect.UnionType):
        return [one for part in kind.types for one in _structs(part)]
    return []


def words(kind: inspect.Type) -> str:
    """A type in words, with its bounds."""
    if isinstance(kind, inspect.Metadata):
        extra = kind.extra_json_schema or {}
        if str(extra.get("description", "")).startswith("RFC 3339"):
            return "time"
        return words(kind.type)
    if isinstance(kind, inspect.UnionType):
        return _union(kind)
    if isinstance(kind, inspect.StructType):
        return f"[{kind.cls.__name__}](#{kind.cls.__name__.lower()})"
    if isinstance(kind, inspect.ListType):
        most = f", at most {kind.max_length}" if kind.max_length else ""
        return f"list of {words(kind.item_type)}{most}"
    if isinstance(kind, inspect.StrType):
        return _text(kind)
    if isinstance(kind, inspect.DictType):
        return f"map of {words(kind.key_type)} to {words(kind.value_type)}"
    if isinstance(kind, inspect.IntType):
        return _whole_number(kind)
    return _PLAIN[type(kind)]


_PLAIN: Final[dict[type[Any], str]] = {
    inspect.BoolType: "true or false",
    inspect.BytesType: "bytes",
    inspect.FloatType: "number",
    inspect.DateTimeType: "time",
    inspect.NoneType: "null",
    inspect.AnyType: "text",
}


def _union(kind: inspect.UnionType) -> str:
    """A union; null goes without saying where it stands for nothing."""
    return " or ".join(map(words, kind.types))


def _text(kind: inspect.StrType) -> str:
    if kind.pattern in WORDS_BY_PATTERN:
        return WORDS_BY_PATTERN[kind.pattern]
    if kind.pattern:
        choices = kind.pattern.strip("^$()").split("|")
        return ", ".join(f"`{choice}`" for choice in choices)
    if kind.max_length:
        return f"text, {kind.min_length or 0}–{kind.max_length} characters"
    return "text"


def _whole_number(kind: inspect.IntType) -> str:
    if kind.ge is None or kind.le is None:
        return "number"
    if kind.le == WHOLE_NUMBER_MAX:
        return f"number, {kind.ge} or more"
    return f"number, {kind.ge}–{kind.le}"


def sentence(struct: type[msgspec.Struct]) -> str:
    """The first line of a struct's docstring, constants as numbers."""
    first = (struct.__doc__ or "").partition("\n\n")[0]
    return " ".join(first.split()).replace(
        "CHUNK_BYTES", f"{CHUNK_BYTES} bytes"
    )

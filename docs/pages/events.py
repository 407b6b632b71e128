"""The page of all events, from the structs in `zchat/rpc/events.py`."""

from typing import Final

from msgspec import inspect

from docs.pages.types import sentence
from zchat.rpc.events import EVENTS, Event, InboxEvent, name_of

HEAD: Final = """\
# Events

This page comes from `zchat/rpc/events.py`; `make docs` writes it. How events
travel, how they are sealed, and how a client misses none stands in
[protocol.md](protocol.md#events).

An event is a map with its name under `event`, and the fields below. Over HTTP
the same maps come as JSON from [`GET /events`](http.md#get-events), but for
`head`, `inbox_head` and `key_changed`, which the gateway handles.

"""
PLACES: Final = (
    ("Events of a chat", "They reach every member of the chat.", False),
    ("Events of an inbox", "They reach every device of one user.", True),
)


def events_page() -> str:
    """The events of chats, then those of inboxes."""
    return HEAD + "\n".join(
        _place(title, words, inbox) for title, words, inbox in PLACES
    )


def _place(title: str, words: str, inbox: bool) -> str:
    sections = [
        _section(event)
        for event in EVENTS
        if issubclass(event, InboxEvent) is inbox
    ]
    return f"## {title}\n\n{words}\n\n" + "\n".join(sections)


def _section(event: type[Event]) -> str:
    rows = "".join(
        f"| `{name}` | {meaning} |\n"
        for name, meaning in described_fields(event)
    )
    return (
        f"### {name_of(event)}\n\n{sentence(event)}\n\n"
        f"| field | |\n|---|---|\n{rows}"
    )


def described_fields(event: type[Event]) -> list[tuple[str, str]]:
    """The fields of an event and what its struct says of each."""
    info = inspect.type_info(event)
    assert isinstance(info, inspect.StructType)
    return [(field.name, _description(field)) for field in info.fields]


def _description(field: inspect.Field) -> str:
    kind = field.type
    assert isinstance(kind, inspect.Metadata), field.name
    return str((kind.extra_json_schema or {})["description"])

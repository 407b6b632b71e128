"""What the client hands out mirrors the wire and cannot be changed."""

import importlib
import importlib.resources
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from msgspec import UNSET, Struct

from zchat import client
from zchat.client import events, operator_values, session, values
from zchat.rpc import events as wire
from zchat.rpc import operator_results, results
from zchat.rpc.events import EVENTS, name_of

INTERNAL = {"ChatId", "Connected", "Empty", "NewName", "ReadPosition"}
"""Results of which the client hands out one field, or nothing."""
INTERNAL |= {"ReportId"}
PLAIN = {"BrokerStats", "Counts", "Histogram", "ResetToken", "Stats"}
PLAIN |= {"BackedUp"}
"""Results of operators that are plain numbers, or for no user."""
MUTABLE = (list, dict, set, bytearray)
OWN_EVENTS = {"message", "head", "inbox_head", "key_changed"}
"""Events of the wire that the session takes in, or has a type for."""

MESSAGE = results.Message(
    id="m",
    seq=7,
    created="2026-03-01T10:30:00.500000+02:00",
    author=results.Person(id="a", name="ann"),
    text="hi",
    is_comment_on=None,
    comments=0,
    files=[
        results.FileInfo(file_id="f", name="n", size=1, type="t", sha256="s")
    ],
)
FIELDS: dict[str, Any] = {
    "user": {"id": "u", "name": "bob"},
    "name": "new",
    "seq": 4,
    "kind": "group",
    "until": "2026-03-01T10:30:00+00:00",
    "id": "s",
    "message_id": "m",
    "error": "banned",
    "state": "pending",
    "link_id": "l",
    "approved": True,
    "chat_id": "c",
    "title": "t",
    "owner_id": "u",
    "user_id": "u",
    "on": True,
    "role": "admin",
    "receipts": False,
    "message": msgspec.to_builtins(MESSAGE),
}
COUNTS = {"revision", "inbox"}
"""What the session takes in, and a program does not need."""


def structs(module: Any) -> list[type[Struct]]:
    return [
        found
        for found in vars(module).values()
        if isinstance(found, type)
        and issubclass(found, Struct)
        and found is not Struct
    ]


def parts(kind: Any) -> set[Any]:
    """A type and all those that it is made of."""
    found = {kind}
    for part in get_args(kind):
        found |= parts(part)
    return found


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in structs(results)
        if kind.__name__ not in {"Result", *INTERNAL}
    ],
    ids=lambda kind: kind.__name__,
)
def test_each_result_has_a_value_with_its_fields(kind: type[Struct]) -> None:
    value = getattr(values, kind.__name__)
    assert set(kind.__struct_fields__) <= set(value.__struct_fields__)


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in structs(operator_results)
        if kind.__name__ not in PLAIN | {"Result", "Person"}
    ],
    ids=lambda kind: kind.__name__,
)
def test_so_has_each_result_of_operators(kind: type[Struct]) -> None:
    value = getattr(operator_values, kind.__name__)
    assert set(kind.__struct_fields__) <= set(value.__struct_fields__)


@pytest.mark.parametrize(
    "kind",
    [
        *structs(values),
        *structs(operator_values),
        *structs(events),
        session.Cursors,
    ],
    ids=lambda kind: kind.__name__,
)
def test_nothing_that_is_handed_out_can_change(kind: type[Struct]) -> None:
    assert kind.__struct_config__.frozen
    for hint in get_type_hints(kind).values():
        origins = {getattr(part, "__origin__", part) for part in parts(hint)}
        assert not origins & set(MUTABLE)


def test_a_message_has_a_time_and_tuples() -> None:
    event = events.event_of(
        wire.MessageSent(chat_id="c", seq=7, message=MESSAGE)
    )
    assert isinstance(event, events.MessageEvent)
    message = event.message
    assert message.created == datetime(2026, 3, 1, 8, 30, 0, 500000, UTC)
    assert message.author == values.Person(id="a", name="ann")
    assert isinstance(message.files, tuple)
    with pytest.raises(AttributeError):
        message.text = "other"  # type: ignore[misc]


@pytest.mark.parametrize("event", EVENTS, ids=name_of)
def test_each_event_of_the_wire_has_a_class(event: Any) -> None:
    if name_of(event) in OWN_EVENTS:
        return
    fields = set(event.__struct_fields__) - COUNTS
    data = {name: FIELDS[name] for name in fields}
    told = events.event_of(msgspec.convert(data, event))
    assert type(told) is events.CLASS_OF[event]
    assert set(told.__struct_fields__) == fields


def test_every_class_of_events_is_in_the_union() -> None:
    assert set(get_args(events.Event)) >= {*events.CLASS_OF.values()}
    assert set(map(name_of, EVENTS)) == (
        set(map(name_of, events.CLASS_OF)) | OWN_EVENTS
    )


def test_an_event_that_is_not_known_is_handed_out_read_only() -> None:
    told = events.event_of(session.Notice("new", "c", {"a": [{"b": []}]}))
    assert isinstance(told, events.OtherEvent)
    assert (told.name, told.chat_id) == ("new", "c")
    assert isinstance(told.data, MappingProxyType)
    assert told.data == {"a": ({"b": ()},)}
    assert isinstance(told.data["a"][0], MappingProxyType)


def test_an_event_with_a_time_that_is_none_does_not_end_the_loop() -> None:
    told = events.event_of(wire.Banned(until="no time"))
    assert isinstance(told, events.OtherEvent)
    assert told == events.OtherEvent("banned", None, told.data)
    assert told.data == {"until": "no time", "inbox": 0}


def test_what_the_session_says_itself_comes_as_it_is() -> None:
    for told in (
        session.CaughtUp(),
        session.Missed("c"),
        session.Restored("e"),
    ):
        assert events.event_of(told) is told


def test_cursors_are_saved_as_text() -> None:
    cursors = session.Cursors.of("e", {"c": 4, "d": 0})
    assert session.Cursors.from_json(cursors.to_json()) == cursors
    for text in ("", "[]", '{"chats": 1}', b"\xff"):
        with pytest.raises(ValueError, match=r"."):
            session.Cursors.from_json(text)


def test_the_front_door_names_what_it_exports() -> None:
    assert sorted(client.__all__) == sorted(set(client.__all__))
    exported = {
        name
        for module in (values, events)
        for name in module.__all__
        if name not in {"Connected", "EventKey", "event_of"}
    }
    assert exported <= set(client.__all__)
    for name in client.__all__:
        assert getattr(client, name) is not None


def test_the_types_are_for_others_too() -> None:
    assert importlib.resources.files("zchat").joinpath("py.typed").is_file()


def test_a_missing_field_of_the_wire_has_a_default() -> None:
    assert msgspec.convert({"state": "pending"}, values.Joined).chat_id is None
    assert results.Joined(state="pending").chat_id is UNSET

"""The table of methods, and what keeps to it."""

import re
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from click import Context

from tests.harness import NOWHERE, Asked, MakeWorld, Person, World
from zchat.chat.jobs import BackUp
from zchat.chat.phases import Reading, Writing
from zchat.chat.rules import READING, WRITING, reads, writes
from zchat.cli import main
from zchat.errors import Refused
from zchat.rpc.events import EVENT_BY_NAME, EVENTS
from zchat.rpc.methods import (
    METHOD_BY_NAME,
    METHODS,
    Method,
    schema_types,
)

FOR_GOOD = {
    "connect": {"name", "token"},
    "status": set(),
    "send": {"chat_id", "text", "comment_on", "files", "idempotency_key"},
    "chats": {"chat_id", "depth", "limit", "after"},
    "p2p": {"user_id"},
    "exit": {"chat_id"},
    "comment": {"message_id", "text", "idempotency_key"},
    "report": {"user_id", "reason", "message_id"},
}
"""Names and fields that never change (docs/reference/methods.md)."""

TOLD_ELSEWHERE = {
    "message_changed",
    "mentioned",
    "owner_changed",
    "role_changed",
    "settings_changed",
    "typing",
}
"""Events of methods that have plays of their own."""

VALUES = {
    "text": "xx",
    "emoji": "+",
    "after": 0,
    "message_id": NOWHERE,
    "chat_id": NOWHERE,
    "seq": 1,
    "user_id": NOWHERE,
    "reason": "x",
    "name": "x",
    "id": NOWHERE,
    "send_at": "2023-11-15T00:00:00+00:00",
    "size": 1,
    "offset": 0,
    "sha256": "0" * 64,
    "file_id": NOWHERE,
    "data": b"x",
    "link": NOWHERE,
    "role": "member",
    "verdict": "upheld",
    "path": "x",
}
"""A value for each parameter that some method needs."""

by_name = pytest.mark.parametrize(
    "method", METHODS, ids=lambda method: method.name
)


def test_each_method_has_a_rule() -> None:
    reading = {m.name for m in METHODS if m.reads or m.changes_if}
    writing = {m.name for m in METHODS if not m.reads}

    assert set(READING) == reading
    assert set(WRITING) == writing
    assert len(METHODS) == len(METHOD_BY_NAME)


@by_name
def test_its_rule_takes_and_gives_what_the_row_says(method: Method) -> None:
    for bound, phase in ((READING, Reading), (WRITING, Writing)):
        rule = bound.get(method.name)
        if rule is None:
            continue
        hints = get_type_hints(rule)
        assert hints["work"] is phase
        assert hints["params"] is method.params
        given = get_args(hints["return"]) or (hints["return"],)
        assert method.result in given
        assert set(given) <= {method.result, Refused, BackUp}


@pytest.mark.parametrize(
    ("bind", "method", "wrong"),
    [
        (reads, "send", "not a method that reads"),
        (writes, "sync", "only reads"),
        (reads, "sync", "two rules"),
        (writes, "send", "two rules"),
    ],
)
def test_a_rule_is_bound_as_the_row_says_and_once(
    bind: Any, method: str, wrong: str
) -> None:
    async def rule(work: Any, caller_id: str, params: Any) -> None:
        """Would answer the method."""

    with pytest.raises(ValueError, match=wrong):
        bind(method)(rule)


def test_its_command_exists() -> None:
    named = {m.command.split()[0] for m in METHODS if m.command}

    assert named <= set(main.list_commands(Context(main)))


def test_the_names_that_stay() -> None:
    for name, fields in FOR_GOOD.items():
        assert fields <= set(METHOD_BY_NAME[name].params.__struct_fields__)


@by_name
def test_it_is_described(method: Method) -> None:
    assert re.fullmatch(r"[A-Z].*\.", method.summary)
    assert msgspec.json.schema(method.params)
    assert msgspec.json.schema(method.result)


@by_name
def test_its_routes_name_its_parameters(method: Method) -> None:
    known = {*method.params.__struct_fields__, "token"}
    for route in method.routes:
        assert set(route.rename.values()) <= known
        assert set(re.findall(r"{(\w+)}", route.path)) <= known


@by_name
def test_it_is_answered_whatever_there_is(
    world: World, method: Method
) -> None:
    """With the least parameters, of nothing that exists."""
    ann = world.user()
    needed = {
        field.encode_name: VALUES[field.encode_name]
        for field in msgspec.structs.fields(method.params)
        if field.required
    }

    (outcome,) = world.batch([Asked(ann, method.name, needed)])

    assert getattr(outcome, "code", None) is None or outcome.code.wire in (
        "not_found",
        "forbidden",
    )


@by_name
def test_without_a_token(world: World, method: Method) -> None:
    needed = {
        field.encode_name: VALUES[field.encode_name]
        for field in msgspec.structs.fields(method.params)
        if field.required
    }

    (outcome,) = world.batch([Asked(None, method.name, needed)])

    if method.needs_token:
        assert outcome.code.wire == "unauthorized"
    else:
        assert method.name in ("hello", "connect")


def test_what_only_reads_changes_nothing(world: World) -> None:
    ann, bob = world.users("ann bob")
    group = world.group(ann, bob)
    sent = bob("send", text="x")
    file_id = world.file(ann, group, b"x")
    link = ann("invite_link", chat_id=group).link
    world.user("eve")("join", link=link)
    world.told()
    before = list(world.store._connection.iterdump())
    tried = set()

    for method, params in (
        ("hello", {}),
        ("status", {}),
        ("chats", {}),
        ("sync", {}),
        ("history", {"chat_id": world.common}),
        ("unread", {}),
        ("comments", {"message_id": sent.id}),
        ("changes", {"chat_id": world.common, "after": 0}),
        ("search", {"text": "xx"}),
        ("scheduled", {}),
        ("users", {"chat_id": world.common}),
        ("download", {"file_id": file_id}),
        ("invite_links", {"chat_id": group}),
        ("join_requests", {"chat_id": group}),
    ):
        tried.add(method)
        assert METHOD_BY_NAME[method].only_reads(
            METHOD_BY_NAME[method].params(**params)
        )
        (outcome,) = world.batch([ann.asks(method, **params)])
        assert not isinstance(outcome, Refused)

    theirs = {method.name for method in METHODS if method.role}
    assert tried == set(READING) - theirs
    assert list(world.store._connection.iterdump()) == before
    assert world.told() == []


def test_unread_changes_something_if_ack_is_true() -> None:
    method = METHOD_BY_NAME["unread"]

    assert not method.only_reads(method.params(ack=True))


def test_every_type_of_the_table_is_listed() -> None:
    kinds = schema_types()

    assert len(kinds) == len(set(kinds))
    for method in METHODS:
        assert {method.params, method.result} <= set(kinds)


def test_events_carry_the_fields_that_are_listed(
    make_world: MakeWorld,
) -> None:
    """A play in which every event of the table is told."""
    world = make_world(message_ttl_seconds=10, max_warnings=1)
    play_everything(world)

    told: dict[str, set[str]] = {}
    for one in world.told():
        told.setdefault(one.name, set()).update(one.body)
    for name, fields in told.items():
        listed = {"event", *EVENT_BY_NAME[name].__struct_fields__}
        assert fields == listed, name
    assert set(told) == set(EVENT_BY_NAME) - TOLD_ELSEWHERE
    assert len(EVENTS) == len(EVENT_BY_NAME)


def play_everything(world: World) -> None:
    ann, bob = world.users("ann bob")
    world.told()
    group = world.group(ann)
    link = ann("invite_link", chat_id=group).link
    bob("join", link=link)
    ann("deny", chat_id=group, user_id=bob.id)
    bob("join", link=link)
    ann("approve", chat_id=group, user_id=bob.id)
    play_schedule(world, ann, group)
    ann("rename_chat", chat_id=group, name="x")
    ann("rename", name="eve")
    bob("unread", ack=True)
    ann("read", chat_id=group, seq=1)
    bob("report", user_id=ann.id, reason="x")
    world.wait(60)
    bob("exit", chat_id=group)


def play_schedule(world: World, ann: Person, group: str) -> None:
    other = world.group(ann)
    ann("schedule", chat_id=group, text="x", send_at=world.at(1))
    ann("schedule", chat_id=other, text="x", send_at=world.at(1))
    ann("exit", chat_id=other)
    world.wait(3)

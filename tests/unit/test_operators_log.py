"""What the operator's log says of what users do: ids, and never a text."""

from collections.abc import MutableMapping
from typing import Any

import pytest

from tests.harness import START, MakeWorld, World
from zchat.chat.erasure import erase
from zchat.chat.jobs import NoParams
from zchat.engine.batch import Call
from zchat.model import SECOND, time_text

Logged = list[MutableMapping[str, Any]]


def entry(event: str, **fields: Any) -> dict[str, Any]:
    return {"event": event, "log_level": "info", **fields}


def test_who_came_and_what_they_made(world: World, logged: Logged) -> None:
    logged.clear()
    ann = world.user("ann")
    group = ann("create_chat", name="secret").chat_id
    ann("exit", chat_id=group)
    assert logged == [
        entry("user_made", user_id=ann.id),
        entry("chat_made", chat_id=group, kind="group"),
        entry("chat_deleted", chat_id=group),
    ]


def test_whose_message_was_deleted_by_whom(
    world: World, logged: Logged
) -> None:
    ann, bob, mod = world.users("ann bob mod")
    world.operator("set_role", user_id=mod.id, role="moderator")
    group = world.group(ann, bob)
    in_group = bob("send", chat_id=group, text="x")
    in_common = bob("send", text="x")
    own = bob("send", text="x")
    logged.clear()
    ann("delete", message_id=in_group.id)
    mod("delete", message_id=in_common.id)
    bob("delete", message_id=own.id)
    assert logged == [
        entry("message_deleted", message_id=in_group.id, by=ann.id),
        entry(
            "operator_acted",
            action="delete",
            actor_id=mod.id,
            subject_id=bob.id,
        ),
    ]
    last = world.operator("audit").entries[0]
    assert (last.action, last.actor.id) == ("delete", mod.id)
    assert last.subject == bob.id
    assert last.detail == {"message": in_common.id}


def test_what_the_operator_did(world: World, logged: Logged) -> None:
    ann = world.user("ann")
    logged.clear()
    world.operator("ban", user_id=ann.id, reason="secret")
    assert logged == [
        entry(
            "operator_acted",
            action="ban",
            actor_id="operator",
            subject_id=ann.id,
        )
    ]


@pytest.mark.parametrize("who", ["operator", "user"])
def test_that_a_token_was_replaced(
    world: World, logged: Logged, who: str
) -> None:
    ann = world.user("ann")
    logged.clear()
    if who == "user":
        ann("rotate_token")
    else:
        world.operator("reset_token", user_id=ann.id)
    assert entry("token_replaced", user_id=ann.id) in logged


def test_who_was_banned_until_when(
    make_world: MakeWorld, logged: Logged
) -> None:
    world = make_world(max_warnings=1, ban_seconds=60)
    ann, bob = world.users("ann bob")
    logged.clear()
    ann("report", user_id=bob.id, reason="x")
    until = time_text(START + 60 * SECOND)
    assert logged == [entry("user_banned", user_id=bob.id, until=until)]


def test_how_much_was_erased(world: World, logged: Logged) -> None:
    ann = world.user("ann")
    for _ in range(3):
        ann("send", text="x")
    world.operator("close_account", user_id=ann.id, erase=True)
    logged.clear()
    world.run([Call(erase, NoParams())])
    assert logged == [entry("account_erased", user_id=ann.id, messages=3)]

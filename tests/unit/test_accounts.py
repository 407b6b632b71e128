"""Users: coming, coming back, names, and the state of the server."""

from typing import Any
from uuid import UUID

import pytest

from tests.harness import (
    CONNECTIONS,
    Asked,
    MakeWorld,
    Person,
    World,
    codes,
    refused,
)
from zchat.chat import accounts
from zchat.chat.jobs import NoParams, Progress
from zchat.chat.paces import Pace
from zchat.engine.batch import Call
from zchat.errors import Code
from zchat.model import time_text
from zchat.rpc import PROTOCOL


def test_hello_needs_no_token(world: World) -> None:
    hello = world.call("hello")

    assert hello.protocol == PROTOCOL
    assert hello.server == "zchat/9.9"
    assert hello.epoch == world.store.epoch
    assert hello.events == "tcp://127.0.0.1:8002"
    assert hello.limits.text == 4096
    assert hello.limits.history_depth == 20
    assert hello.limits.chunk_size == 262_144


def test_connect_makes_a_user_in_the_common_chat(world: World) -> None:
    made = world.call("connect")

    assert UUID(made.token).version == 4
    assert UUID(made.user_id).version == 7
    assert made.token != made.user_id
    assert made.chat_default == world.common
    assert made.name.startswith("user-")
    people = world.call("users", made.token, chat_id=world.common).users
    assert [one.id for one in people] == [made.user_id]


def test_the_token_is_kept_as_a_hash_only(world: World) -> None:
    ann = world.user("ann")

    kept = b"".join(
        str(value).encode()
        for row in world.store.rows("SELECT * FROM users")
        for value in row
    )

    assert ann.token.encode() not in kept


def test_connect_with_a_token_comes_back(world: World) -> None:
    ann = world.user("ann")

    back = world.call("connect", ann)

    assert (back.token, back.user_id, back.name) == (ann.token, ann.id, "ann")
    assert len(ann("users", chat_id=world.common).users) == 1


def test_connect_with_a_token_leaves_the_name_alone(world: World) -> None:
    ann, _ = world.users("ann bob")

    assert world.call("connect", ann, name="bob").name == "ann"


def test_connect_comes_back_into_the_common_chat(world: World) -> None:
    ann, bob = world.users("ann bob")
    ann("exit", chat_id=world.common)
    world.told()

    world.call("connect", ann)

    assert len(bob("users", chat_id=world.common).users) == 2
    assert [body["event"] for body in world.told_in(world.common)] == [
        "member_joined"
    ]


def test_an_upper_case_token_is_another_one(world: World) -> None:
    ann = world.user()

    with refused(Code.UNAUTHORIZED):
        world.call("status", ann.token.upper())


@pytest.mark.parametrize(
    "token", ["", "x", "0" * 10_000, 5, 1.5, True, b"x", [], {}]
)
def test_a_token_of_any_form_that_nobody_has(world: World, token: Any) -> None:
    outcomes = world.batch(
        [
            Asked(token, "status", {}),
            Asked(token, "connect", {}),
            Asked(token, "send", {"text": "x"}),
        ]
    )

    assert codes(outcomes) == ["unauthorized"] * 3


def test_a_public_id_proves_nothing(world: World) -> None:
    ann = world.user()

    with refused(Code.UNAUTHORIZED):
        world.call("status", ann.id)


def test_no_token_is_unauthorized(world: World) -> None:
    with refused(Code.UNAUTHORIZED):
        world.call("status")


def test_a_name_is_unique_without_regard_to_case(world: World) -> None:
    world.user("Straße")

    with refused(Code.CONFLICT, field="name"):
        world.user("STRASSE")


def test_two_who_want_one_name_at_once(world: World) -> None:
    outcomes = world.batch(
        [
            Asked(None, "connect", {"name": "ann"}),
            Asked(None, "connect", {"name": "Ann"}),
        ]
    )

    assert codes(outcomes) == ["ok", "conflict"]


def test_a_made_name_that_is_taken_is_made_again(world: World) -> None:
    world.user("user-abc")
    world.entropy.words = ["def", "abc", "abc"]

    assert world.user().name == "user-def"


def test_two_made_names_at_once_that_are_the_same(world: World) -> None:
    world.entropy.words = ["c", "b", "b"]

    made = world.batch([Asked(None, "connect", {})] * 2)

    assert {one.name for one in made} == {"user-b", "user-c"}


@pytest.mark.parametrize(
    "name",
    [" ann", "a b", "a\nb", "a\u200bb", "", "x" * 33, "you", "\u0430nn"],
)
def test_names_that_are_refused(world: World, name: str) -> None:
    ann = world.user()

    with refused(Code.BAD_REQUEST, field="name"):
        world.call("connect", name=name)
    with refused(Code.BAD_REQUEST, field="name"):
        ann("rename", name=name)


@pytest.mark.parametrize("name", ["x", "x" * 32, "Ünï_cödé", "日本語"])
def test_names_that_are_taken(world: World, name: str) -> None:
    assert world.user(name).name == name


def test_rename_tells_the_other_devices(world: World) -> None:
    ann = world.user("ann")
    world.told()

    assert ann("rename", name="eve").name == "eve"

    assert world.told_to(ann) == [{"event": "renamed", "name": "eve"}]
    assert ann("status").user.name == "eve"


def test_rename_to_the_same_tells_nothing(world: World) -> None:
    ann = world.user("ann")
    world.told()

    assert ann("rename", name="ann").name == "ann"

    assert world.told() == []


def test_a_chat_that_one_enters_in_the_same_batch_is_told(
    world: World,
) -> None:
    ann, bob = world.users("ann bob")
    group = world.group(bob)
    world.told()

    world.batch(
        [
            bob.asks("invite", chat_id=group, user_id=ann.id),
            ann.asks("rename", name="eve"),
        ]
    )

    renamed = {"event": "member_renamed", "chat_id": group} | {
        "user": {"id": ann.id, "name": "eve"}
    }
    assert renamed in world.told_in(group)


def test_too_many_names_at_once_wait(world: World) -> None:
    ann = world.user("ann")
    times, seconds = Pace.RENAMES.times, Pace.RENAMES.seconds

    outcomes = world.batch(
        [ann.asks("rename", name=f"ann{n}") for n in range(times + 1)]
    )

    assert codes(outcomes) == ["ok"] * times + ["rate_limited"]
    world.advance(seconds - 0.5)
    with refused(Code.RATE_LIMITED, retry_after=1, limit=times, remaining=0):
        ann("rename", name="zoe")


def test_rename_may_change_the_case(world: World) -> None:
    assert world.user("ann")("rename", name="ANN").name == "ANN"


def test_rename_to_a_name_that_is_taken(world: World) -> None:
    ann, _ = world.users("ann bob")

    with refused(Code.CONFLICT, field="name"):
        ann("rename", name="BOB")


def test_a_name_is_free_at_once(world: World) -> None:
    ann, bob = world.users("ann bob")

    outcomes = world.batch(
        [
            ann.asks("rename", name="eve"),
            bob.asks("rename", name="ann"),
            Asked(None, "connect", {"name": "bob"}),
        ]
    )

    assert codes(outcomes) == ["ok"] * 3


def test_names_that_change_places_in_one_batch(world: World) -> None:
    ann, bob = world.users("ann bob")

    outcomes = world.batch(
        [
            ann.asks("rename", name="x"),
            bob.asks("rename", name="ann"),
            ann.asks("rename", name="bob"),
        ]
    )

    assert codes(outcomes) == ["ok"] * 3
    assert ann("status").user.name == "bob"
    assert bob("status").user.name == "ann"


def test_messages_show_the_present_name(world: World) -> None:
    ann, bob = world.users("ann bob")
    ann("send", text="hi")
    ann("rename", name="eve")

    (message,) = bob.chat(world.common).messages

    assert (message.author.id, message.author.name) == (ann.id, "eve")


class TestNamesThatWereNeverCompared:
    """Stores of earlier versions do not know how names look."""

    def age(self, world: World, person: Person, name: str) -> None:
        """The person is named so in a store of an earlier version."""
        world.store.rows(
            "UPDATE users SET name = ?1, name_key = ?1, name_skeleton = NULL"
            " WHERE id = ?2",
            name,
            person.id,
        )
        world.restart()

    def compare(self, world: World, *asked: Asked) -> bool:
        """Compare a page after these requests; whether there is more."""
        call = Call(accounts.compare_names, NoParams())
        world.run([*world.calls(asked), call])
        assert isinstance(call.outcome, Progress)
        return call.outcome.more

    def test_newcomers_cannot_look_like_them(self, world: World) -> None:
        self.age(world, world.user(), "bob")

        assert not self.compare(world)

        with refused(Code.CONFLICT, field="name"):
            world.user("b0b")

    def test_two_that_look_alike_keep_theirs(self, world: World) -> None:
        people = [world.user(), world.user()]
        for person, name in zip(people, ("modern", "modem")):
            self.age(world, person, name)

        assert not self.compare(world)

        names = [person("status").user.name for person in people]
        assert names == ["modern", "modem"]
        with refused(Code.CONFLICT, field="name"):
            world.user("rnodern")
        assert not world.store.rows(
            "SELECT id FROM users WHERE name_skeleton IS NULL"
        )

    def test_one_who_takes_another_just_before(self, world: World) -> None:
        ann = world.user()
        self.age(world, ann, "bob")

        self.compare(world, ann.asks("rename", name="zoe"))

        assert world.user("b0b").name == "b0b"
        with refused(Code.CONFLICT, field="name"):
            world.user("z0e")

    def test_in_pages(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(accounts, "NAMES_PAGE", 2)
        for name in ("ann", "bob", "eve"):
            self.age(world, world.user(), name)

        assert [self.compare(world) for _ in range(2)] == [True, False]


def test_status(world: World) -> None:
    ann, bob = world.users("ann bob")
    ann("p2p", user_id=bob.id)
    world.group(bob)

    status = ann("status")

    assert (
        status.connections_db_max,
        status.connections_db_now,
    ) == CONNECTIONS
    assert status.chat_default == world.common
    assert status.chats_count == 3
    assert status.chats_with_user_count == 2
    assert status.time == world.at(0)
    assert (status.user.id, status.user.name) == (ann.id, "ann")
    assert status.user.banned_until is None
    assert status.user.quota is None


def test_users_outlive_a_restart(world: World) -> None:
    ann = world.user("ann")
    epoch = world.store.epoch

    world.restart()

    assert ann("status").user.name == "ann"
    assert world.store.epoch == epoch
    with refused(Code.CONFLICT):
        world.user("ann")


def test_a_newcomer_sees_the_last_messages(world: World) -> None:
    ann = world.user()
    for number in range(1, 22):
        ann("send", text=str(number))

    bob = world.user()

    assert bob.texts(world.common) == [str(n) for n in range(2, 22)]
    chat = bob.chat(world.common)
    assert [m.text for m in chat.messages] == [
        str(n) for n in range(21, 1, -1)
    ]
    assert chat.unread == 0


def test_a_newcomer_sees_all_that_follow(world: World) -> None:
    ann = world.user()
    for _ in range(25):
        ann("send", text="before")
    bob = world.user()
    for _ in range(25):
        ann("send", text="after")

    assert bob.texts(world.common) == ["before"] * 20 + ["after"] * 25


def test_the_depth_may_be_nothing(make_world: MakeWorld) -> None:
    world = make_world(history_depth=0)
    world.user()("send", text="before")

    bob = world.user()

    assert bob.texts(world.common) == []
    assert bob.chat(world.common).messages == []


def test_hello_tells_how_one_registers(make_world: MakeWorld) -> None:
    assert make_world().call("hello").registration == "open"
    assert make_world(registration="invite").call("hello").registration == (
        "invite"
    )


def test_what_hello_says_of_lengths_holds(world: World) -> None:
    limits = world.call("hello").limits
    ann = world.user("a" * limits.name)
    ann("send", text="x", idempotency_key="k" * limits.idempotency_key)

    with refused(Code.BAD_REQUEST, field="name"):
        world.user("a" * (limits.name + 1))
    with refused(Code.BAD_REQUEST, field="idempotency_key"):
        key = "k" * (limits.idempotency_key + 1)
        ann("send", text="x", idempotency_key=key)


def test_who_has_just_come_is_online(world: World) -> None:
    ann, bob = world.users("ann bob")

    seen = {one.id: one for one in ann("users", chat_id=world.common).users}

    assert seen[bob.id].online
    assert seen[bob.id].last_seen == time_text(world.now)


def test_a_new_name_is_compared_by_its_looks(world: World) -> None:
    ann, _ = world.users("ann bob")
    with refused(Code.CONFLICT, field="name"):
        ann("rename", name="b0b")
    ann("rename", name="cloe")

    with refused(Code.CONFLICT, field="name"):
        world.user("cl0e")

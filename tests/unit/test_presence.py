"""Who is there, who is writing, and who has read how far."""

from typing import Any

import pytest

from tests.harness import MakeWorld, Person, World, refused
from zchat.chat.presence import SAVED_PAGE
from zchat.chat.times_seen import ONLINE_SECONDS, TimesSeen
from zchat.errors import Code
from zchat.model import SECOND
from zchat.rpc import RECEIPTS_LIMIT


def listed(who: Person, chat_id: str, other: Person) -> Any:
    """The other as `users` lists them."""
    users = who("users", chat_id=chat_id).users
    return next(user for user in users if user.id == other.id)


def test_times_that_are_saved_and_those_that_are_forgotten() -> None:
    times = TimesSeen()
    assert times.last("ann", None) is None
    assert times.last("ann", 5) == 5
    times.note("ann", 0)
    times.note("bob", ONLINE_SECONDS * SECOND)

    taken = times.take_unsaved(ONLINE_SECONDS * SECOND, 10)

    assert taken == {"ann": 0, "bob": ONLINE_SECONDS * SECOND}
    assert times.last("ann", None) is None
    assert times.last("bob", None) == ONLINE_SECONDS * SECOND
    assert times.take_unsaved(0, 10) == {}


class TestOnline:
    def test_for_two_minutes_after_a_request(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        bob("status")
        seen = world.at(0)
        world.advance(ONLINE_SECONDS - 1)
        assert listed(ann, world.common, bob).online
        world.advance(1)

        found = listed(ann, world.common, bob)

        assert (found.online, found.last_seen) == (False, seen)
        assert (found.name, found.role) == ("bob", "member")

    def test_it_holds_after_a_restart(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        world.advance(200)
        bob("status")
        seen = world.at(0)
        world.wait(31)
        world.restart()

        found = listed(ann, world.common, bob)

        assert (found.online, found.last_seen) == (True, seen)

    def test_times_are_saved_in_pages(self, world: World) -> None:
        people = [world.user() for _ in range(3)]
        for number in range(SAVED_PAGE):
            world.work.times_seen.note(f"gone-{number}", world.now)
        world.advance(1)
        for person in people:
            person("status")

        world.wait(31)

        saved = world.store.rows("SELECT DISTINCT last_seen FROM users")
        assert saved == [(world.now - 31_000_000,)]
        assert world.work.times_seen.take_unsaved(world.now, 9) == {}


class TestTyping:
    def test_the_chat_is_told_and_nothing_is_kept(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        chat_id = ann("p2p", user_id=bob.id).chat_id
        world.wait(60)
        world.told()
        before = list(world.store._connection.iterdump())

        ann("typing", chat_id=chat_id)

        assert world.told_in(chat_id) == [
            {
                "event": "typing",
                "chat_id": chat_id,
                "user": {"id": ann.id, "name": "ann"},
            }
        ]
        assert list(world.store._connection.iterdump()) == before
        world.wait(40)
        assert world.told() == []

    def test_once_in_three_seconds_a_chat(self, world: World) -> None:
        ann = world.user()
        chat_id = world.group(ann)
        world.told()
        told = []
        for _ in range(7):
            ann("typing", chat_id=chat_id)
            told.append(len(world.told_in(chat_id)))
            world.advance(1)

        assert told == [1, 0, 0, 1, 0, 0, 1]

    def test_not_in_any_number_of_chats(self, world: World) -> None:
        ann = world.user()
        rooms = [world.group(ann) for _ in range(30)]
        world.told()

        for chat_id in rooms:
            ann("typing", chat_id=chat_id)

        assert world.told_names() == ["typing"] * 20

    def test_only_by_members_who_may_write(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(max_warnings=1)
        ann, bob = world.users("ann bob")
        chat_id = world.group(ann)
        with refused(Code.NOT_FOUND):
            bob("typing", chat_id=chat_id)
        bob("report", user_id=ann.id, reason="x")

        with refused(Code.BANNED):
            ann("typing", chat_id=chat_id)


class TestReceipts:
    def test_the_others_see_how_far_one_has_read(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        chat_id = world.group(ann, bob)
        ann("send", chat_id=chat_id, text="x")
        world.told()

        bob("read", chat_id=chat_id, seq=1)

        assert world.told_in(chat_id) == [
            {
                "event": "seen",
                "chat_id": chat_id,
                "user_id": bob.id,
                "seq": 1,
            }
        ]
        assert listed(ann, chat_id, bob).read == 1

    def test_not_where_the_user_hides_it(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        chat_id = world.group(ann, bob)
        ann("send", chat_id=chat_id, text="x")
        world.told()
        assert bob("settings", receipts=False).receipts is False
        assert world.told_to(bob) == [
            {"event": "settings_changed", "receipts": False}
        ]
        bob("read", chat_id=chat_id, seq=1)

        assert world.told_in(chat_id) == []
        assert listed(ann, chat_id, bob).read is None
        assert bob("sync").user.receipts is False

    def test_not_in_the_common_chat(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        ann("send", text="x")
        world.told()
        bob("read", chat_id=world.common, seq=1)

        assert world.told_in(world.common) == []
        assert listed(ann, world.common, bob).read is None

    @pytest.mark.parametrize("more", [0, 1])
    def test_not_in_a_large_group(self, world: World, more: int) -> None:
        ann, bob = world.users("ann bob")
        chat_id = world.group(ann, bob)
        ann("send", chat_id=chat_id, text="x")
        world.store.rows(
            "UPDATE chats SET size = ? WHERE id = ?",
            RECEIPTS_LIMIT + more,
            chat_id,
        )
        world.restart()
        world.told()

        bob("read", chat_id=chat_id, seq=1)

        seen = {"event": "seen", "chat_id": chat_id} | {
            "user_id": bob.id,
            "seq": 1,
        }
        assert world.told_in(chat_id) == ([] if more else [seen])

    def test_settings_that_stay_tell_nothing(self, world: World) -> None:
        ann = world.user()
        world.told()

        assert ann("settings").receipts is True
        assert ann("settings", receipts=True).receipts is True
        assert world.told() == []


class TestToken:
    def test_the_old_one_is_dead_at_once(self, world: World) -> None:
        ann = world.user()
        old = Person(world, ann.id, ann.token, ann.name)

        ann.token = ann("rotate_token").token

        assert ann("status").user.id == ann.id
        with refused(Code.UNAUTHORIZED):
            old("status")
        world.restart()
        with refused(Code.UNAUTHORIZED):
            old("status")
        assert ann.token != old.token

    def test_who_had_it_opens_nothing_any_more(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        chat_id = ann("p2p", user_id=bob.id).chat_id
        thief = Person(world, ann.id, ann.token, ann.name)
        thief.syncs()
        ann.token = ann("rotate_token").token
        for one in (ann, bob):
            one.syncs()
        world.told()

        bob("send", chat_id=chat_id, text="a secret")
        ann("rename", name="eve")

        sealed = [told for told in world.told() if told.sealed]
        assert len(sealed) >= 3
        assert all(ann.opens(told) for told in sealed)
        assert not any(thief.opens(told) for told in sealed)

    def test_not_all_the_time(self, world: World) -> None:
        ann = world.user()
        for _ in range(5):
            ann.token = ann("rotate_token").token

        with refused(Code.RATE_LIMITED):
            ann("rotate_token")


@pytest.mark.parametrize("method", ["typing", "changes", "users"])
def test_of_a_strange_chat_nothing(world: World, method: str) -> None:
    ann, bob = world.users("ann bob")
    params = {"chat_id": world.group(ann)}
    if method == "changes":
        params["after"] = 0  # type: ignore[assignment]

    with refused(Code.NOT_FOUND):
        bob(method, **params)

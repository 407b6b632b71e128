"""What accounts and files may cost, of one user and of the server."""

from hashlib import sha256
from typing import Any

import pytest

from tests.harness import MakeWorld, Person, World, codes, refused
from zchat.chat.quotas import LEAST_FILE_BYTES, UNATTACHED_FILES
from zchat.errors import Code

KIB = 1024


def begin(
    who: Person, size: int, name: str = "a", chat_id: str | None = None
) -> str:
    """Begin an upload of so many bytes; its id."""
    made: str = who(
        "upload",
        chat_id=chat_id or who.world.common,
        name=name,
        size=size,
        sha256=sha256(name.encode()).hexdigest(),
    ).file_id
    return made


def upload(world: World, size: int, name: str) -> dict[str, Any]:
    """The parameters of an upload of so many bytes."""
    return {
        "chat_id": world.common,
        "name": name,
        "size": size,
        "sha256": "0" * 64,
    }


class TestNewUsers:
    def test_so_many_a_minute(self, make_world: MakeWorld) -> None:
        world = make_world(new_users=3)
        for _ in range(3):
            world.user()
            world.advance(10)

        with refused(Code.RATE_LIMITED, retry_after=30, limit=3, remaining=0):
            world.user()
        world.advance(30)
        for _ in range(3):
            world.user()

    def test_the_wait_is_in_whole_seconds(self, make_world: MakeWorld) -> None:
        world = make_world(new_users=1)
        world.user()
        world.advance(0.25)

        with refused(Code.RATE_LIMITED, retry_after=60):
            world.user()

    def test_who_comes_back_is_not_new(self, make_world: MakeWorld) -> None:
        world = make_world(new_users=1)
        ann = world.user()

        for _ in range(3):
            ann("connect")

    def test_a_refusal_makes_nobody(self, make_world: MakeWorld) -> None:
        world = make_world(new_users=1)
        world.user("ann")
        for _ in range(3):
            with refused(Code.RATE_LIMITED):
                world.user("bob")

        world.advance(60)
        world.user("bob")

    def test_within_one_batch(self, make_world: MakeWorld) -> None:
        world = make_world(new_users=2)
        ann = world.user()

        outcomes = world.batch([ann.asks("connect")._replace(who=None)] * 3)

        assert codes(outcomes) == ["ok", "rate_limited", "rate_limited"]

    def test_none(self, make_world: MakeWorld) -> None:
        world = make_world(new_users=0)

        for _ in range(700):
            world.user()

    def test_a_clock_set_back(self, make_world: MakeWorld) -> None:
        world = make_world(new_users=1)
        world.user()
        world.advance(10_000)
        world.user()
        world.advance(-9_000)
        world.restart()

        world.user()


class TestUsers:
    def test_so_many_in_all(self, make_world: MakeWorld) -> None:
        world = make_world(max_users=2)
        ann, _ = world.users("ann bob")

        with refused(Code.CONFLICT, limit=2):
            world.user()
        ann("connect")

    def test_also_after_a_restart(self, make_world: MakeWorld) -> None:
        world = make_world(max_users=1)
        world.user()
        world.restart()

        with refused(Code.CONFLICT):
            world.user()

    def test_those_that_are_gone_are_counted_no_more(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(max_users=1)
        world.user()
        world.work.totals.users = 100
        world.wait(61)

        assert world.work.totals.users == 1


class TestUnattached:
    @pytest.fixture
    def world(self, make_world: MakeWorld) -> World:
        return make_world(unattached_bytes=100 * KIB, max_file_bytes=60 * KIB)

    def test_so_many_bytes_of_a_user(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        begin(ann, 60 * KIB, "1")

        with refused(Code.CONFLICT, limit=100 * KIB):
            begin(ann, 60 * KIB, "2")
        begin(ann, 40 * KIB, "3")
        begin(bob, 60 * KIB, "1")

    def test_a_resumed_one_counts_once(self, world: World) -> None:
        ann = world.user()

        for _ in range(3):
            begin(ann, 60 * KIB)

    def test_small_ones_count_for_more(self, world: World) -> None:
        ann = world.user()
        for number in range(100 * KIB // LEAST_FILE_BYTES):
            begin(ann, 1, str(number))

        with refused(Code.CONFLICT):
            begin(ann, 1, "more")

    def test_within_one_batch(self, world: World) -> None:
        ann = world.user()

        outcomes = world.batch(
            [
                ann.asks(
                    "upload",
                    chat_id=world.common,
                    name=name,
                    size=50 * KIB,
                    sha256="0" * 64,
                )
                for name in "abc"
            ]
        )

        assert codes(outcomes) == ["ok", "ok", "conflict"]

    def test_attaching_makes_room_in_its_batch(self, world: World) -> None:
        ann = world.user()
        file_id = world.file(ann, world.common, b"x" * 60 * KIB)

        outcomes = world.batch(
            [
                ann.asks("send", text="x", files=[file_id]),
                ann.asks(
                    "upload",
                    chat_id=world.common,
                    name="b",
                    size=60 * KIB,
                    sha256="0" * 64,
                ),
            ]
        )

        assert codes(outcomes) == ["ok", "ok"]

    def test_a_false_one_that_is_dropped_makes_room(
        self, world: World
    ) -> None:
        """The count of the batch goes down with it."""
        ann = world.user()
        for number in range(UNATTACHED_FILES):
            if number == 5:
                break
            begin(ann, 1, str(number))
        false = ann(
            "upload",
            chat_id=world.common,
            name="x",
            size=1,
            sha256="0" * 64,
        ).file_id
        before = world.work.totals.file_bytes

        outcomes = world.batch(
            [
                ann.asks("upload_chunk", file_id=false, offset=0, data=b"x"),
                ann.asks(
                    "upload",
                    chat_id=world.common,
                    name="y",
                    size=20 * KIB,
                    sha256="0" * 64,
                ),
            ]
        )

        assert codes(outcomes) == ["conflict", "ok"]
        assert world.work.totals.file_bytes == before + 4 * KIB

    def test_the_largest_file_always_fits(self, make_world: MakeWorld) -> None:
        world = make_world(unattached_bytes=1, max_file_bytes=60 * KIB)

        begin(world.user(), 60 * KIB)


class TestFiles:
    def test_so_many_bytes_of_a_user(self, make_world: MakeWorld) -> None:
        world = make_world(user_file_bytes=40 * KIB)
        ann, bob = world.users("ann bob")
        for name in "ab":
            file_id = world.file(ann, world.common, b"x" * 20 * KIB, name)
            ann("send", text="x", files=[file_id])

        with refused(Code.CONFLICT, limit=40 * KIB):
            begin(ann, 1)
        begin(bob, 40 * KIB)

    def test_within_one_batch(self, make_world: MakeWorld) -> None:
        world = make_world(user_file_bytes=40 * KIB)
        ann, bob = world.users("ann bob")

        outcomes = world.batch(
            [
                who.asks("upload", **upload(world, 20 * KIB, name))
                for who, name in (
                    (ann, "a"),
                    (ann, "b"),
                    (bob, "a"),
                    (ann, "c"),
                )
            ]
        )

        assert codes(outcomes) == ["ok", "ok", "ok", "conflict"]

    def test_deleting_makes_room_in_its_batch(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(user_file_bytes=40 * KIB)
        ann, bob = world.users("ann bob")
        file_id = world.file(ann, world.common, b"x" * 40 * KIB)
        sent = ann("send", text="x", files=[file_id])
        begin(bob, 40 * KIB)

        outcomes = world.batch(
            [
                ann.asks("delete", message_id=sent.id),
                ann.asks("upload", **upload(world, 40 * KIB, "b")),
                ann.asks("upload", **upload(world, 1, "c")),
                bob.asks("upload", **upload(world, 1, "c")),
            ]
        )

        assert codes(outcomes) == ["ok", "ok", "conflict", "conflict"]

    def test_small_ones_count_as_much_after_a_restart(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(all_file_bytes=3 * LEAST_FILE_BYTES)
        ann = world.user()
        for name in "abc":
            begin(ann, 1, name)
        world.restart()

        with refused(Code.CONFLICT, limit=3 * LEAST_FILE_BYTES):
            begin(ann, 1, "more")

    def test_so_many_bytes_in_all(self, make_world: MakeWorld) -> None:
        world = make_world(all_file_bytes=40 * KIB)
        ann, bob = world.users("ann bob")
        begin(ann, 20 * KIB)
        begin(bob, 20 * KIB)

        with refused(Code.CONFLICT, limit=40 * KIB):
            begin(ann, 1, "more")
        world.advance(86_400)
        world.wait(121)
        begin(ann, 20 * KIB)

    def test_off(self, make_world: MakeWorld) -> None:
        world = make_world(
            user_file_bytes=None, all_file_bytes=None, max_users=None
        )

        begin(world.user(), 60 * KIB)

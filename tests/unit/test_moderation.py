"""The rules on behaviour: quota, complaints, bans."""

import pytest

from tests.harness import NOWHERE, MakeWorld, Person, World, codes, refused
from zchat.errors import Code, Refused


class TestQuota:
    @pytest.fixture
    def world(self, make_world: MakeWorld) -> World:
        return make_world(rate_limit=3, rate_period_seconds=60)

    def test_so_many_messages_a_period(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        for _ in range(3):
            ann("send", text="x")
            world.advance(10)

        with refused(Code.RATE_LIMITED, retry_after=30, limit=3, remaining=0):
            ann("send", text="x")
        bob("send", text="x")

    def test_the_period_starts_with_the_first_message(
        self, world: World
    ) -> None:
        ann = world.user()
        world.advance(1000)
        ann("send", text="1")
        world.advance(59)
        ann("send", text="2")
        ann("send", text="3")

        with refused(Code.RATE_LIMITED, retry_after=1):
            ann("send", text="x")
        world.advance(1)
        for _ in range(3):
            ann("send", text="4")

    def test_retry_after_is_enough(self, world: World) -> None:
        ann = world.user()
        ann("send", text="x")
        world.advance(0.25)
        ann("send", text="x")
        ann("send", text="x")
        with pytest.raises(Refused) as caught:
            ann("send", text="x")

        assert caught.value.data["retry_after"] == 60

        world.advance(caught.value.data["retry_after"])

        ann("send", text="x")

    def test_status_shows_it(self, world: World) -> None:
        ann = world.user()
        quota = ann("status").user.quota
        assert (quota.limit, quota.remaining, quota.period) == (3, 3, 60)
        assert quota.resets_at is None

        resets_at = world.at(60)
        ann("send", text="x")
        world.advance(10)
        quota = ann("status").user.quota
        assert (quota.remaining, quota.resets_at) == (2, resets_at)

        world.advance(50)
        quota = ann("status").user.quota
        assert (quota.remaining, quota.resets_at) == (3, None)

    def test_it_holds_within_one_batch(self, world: World) -> None:
        ann = world.user()

        outcomes = world.batch([ann.asks("send", text="x")] * 5)

        assert codes(outcomes) == ["ok"] * 3 + ["rate_limited"] * 2

    def test_it_is_for_the_common_chat_only(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        chat_id = ann("p2p", user_id=bob.id).chat_id

        for _ in range(5):
            ann("send", chat_id=chat_id, text="x")

        assert ann("status").user.quota.remaining == 3

    def test_comments_in_the_common_chat_count(self, world: World) -> None:
        ann = world.user()
        first = ann("send", text="x")
        ann("comment", message_id=first.id, text="y")

        assert ann("status").user.quota.remaining == 1

    def test_a_refusal_costs_nothing(self, world: World) -> None:
        ann = world.user()
        for _ in range(5):
            with refused(Code.TOO_LARGE):
                ann("send", text="x" * 5000)

        assert ann("status").user.quota.remaining == 3

    def test_a_restart_resets_nothing(self, world: World) -> None:
        ann = world.user()
        for _ in range(3):
            ann("send", text="x")
        world.restart()

        with refused(Code.RATE_LIMITED):
            ann("send", text="x")

    def test_a_batch_that_began_before_the_period_counts(
        self, world: World
    ) -> None:
        """It waited while another broker's took the user's row."""
        ann = world.user()
        for _ in range(3):
            ann("send", text="x")
        world.restart()
        world.advance(-1)

        with refused(Code.RATE_LIMITED):
            ann("send", text="x")


class TestReport:
    def test_distinct_reporters_make_a_ban(self, world: World) -> None:
        ann, *others = world.users("ann bob eve dan")
        world.told()
        until = world.at(14400)

        for other in others:
            assert ann("status").user.banned_until is None
            other("report", user_id=ann.id, reason="rude")

        assert ann("status").user.banned_until == until
        assert world.told_to(ann) == [{"event": "banned", "until": until}]

    def test_those_of_young_accounts_count_later(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(max_warnings=2, reporter_age_seconds=60)
        bad, ann = world.users("bad ann")
        world.advance(59)
        bob = world.user("bob")
        eve = world.user("eve")
        for one in (ann, bob):
            one("report", user_id=bad.id, reason="x")
        world.advance(1)
        assert bad("status").user.banned_until is None

        world.advance(59)
        eve("report", user_id=bad.id, reason="x")

        assert bad("status").user.banned_until is not None

    def test_those_of_young_accounts_count_for_nothing_yet(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(max_warnings=3, reporter_age_seconds=60)
        bad, ann, bob, cid = world.users("bad ann bob cid")
        world.advance(60)
        young = world.user()
        world.advance(59)
        for one in (ann, bob, young):
            one("report", user_id=bad.id, reason="x")
        assert bad("status").user.banned_until is None
        world.user()("report", user_id=bad.id, reason="x")
        assert bad("status").user.banned_until is None

        cid("report", user_id=bad.id, reason="x")

        assert bad("status").user.banned_until is not None

    def test_an_old_one_does_not_make_young_ones_count(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(max_warnings=3, reporter_age_seconds=60)
        bad, ann, bob = world.users("bad ann bob")
        world.advance(60)
        for one in (world.user(), ann, bob):
            one("report", user_id=bad.id, reason="x")

        assert bad("status").user.banned_until is None

    def test_each_round_is_another_one(self, make_world: MakeWorld) -> None:
        """Rounds end by themselves or by `unban`, and never come again."""
        world = make_world(max_warnings=1, ban_seconds=10)
        bad, ann = world.users("bad ann")
        for end in ("unban", "time", "unban", "time", "time", "unban"):
            ann("report", user_id=bad.id, reason="x")
            assert bad("status").user.banned_until is not None
            if end == "unban":
                world.operator("unban", user_id=bad.id)
            world.advance(10)

    def test_those_who_wrote_little_do_not_count(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(max_warnings=2, reporter_messages=2)
        bad, ann, bob, eve = world.users("bad ann bob eve")
        group = world.group(eve)
        for one, count in ((ann, 2), (bob, 1)):
            for _ in range(count):
                one("send", text="x")
        for _ in range(2):
            eve("send", chat_id=group, text="x")
        for one in (ann, bob, eve):
            one("report", user_id=bad.id, reason="x")
        assert bad("status").user.banned_until is None

        bob("send", text="x")
        with refused(Code.CONFLICT):
            bob("report", user_id=bad.id, reason="x")
        liz = world.user("liz")
        for _ in range(2):
            liz("send", text="x")
        liz("report", user_id=bad.id, reason="x")

        assert bad("status").user.banned_until is not None

    def test_what_does_not_count_bans_nobody_in_one_batch(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(max_warnings=2, reporter_messages=1)
        bad, ann, bob, eve = world.users("bad ann bob eve")
        ann("send", text="x")

        outcomes = world.batch(
            [
                one.asks("report", user_id=bad.id, reason="x")
                for one in (bob, eve, ann)
            ]
        )

        assert codes(outcomes) == ["ok"] * 3
        assert bad("status").user.banned_until is None

    def test_complaints_of_one_batch_all_count(self, world: World) -> None:
        ann, *others = world.users("ann bob eve dan")

        outcomes = world.batch(
            [
                other.asks("report", user_id=ann.id, reason="rude")
                for other in others
            ]
        )

        assert codes(outcomes) == ["ok"] * 3
        assert ann("status").user.banned_until is not None

    def test_one_complaint_a_reporter(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        bob("report", user_id=ann.id, reason="rude")

        with refused(Code.CONFLICT):
            bob("report", user_id=ann.id, reason="very rude")

    def test_also_within_one_batch(self, world: World) -> None:
        ann, bob = world.users("ann bob")

        outcomes = world.batch(
            [bob.asks("report", user_id=ann.id, reason="rude")] * 2
        )

        assert codes(outcomes) == ["ok", "conflict"]

    def test_not_on_oneself(self, world: World) -> None:
        ann = world.user()
        with refused(Code.BAD_REQUEST, field="user_id"):
            ann("report", user_id=ann.id, reason="rude")

    @pytest.mark.parametrize("reason", ["", "x" * 501, "a\x00"])
    def test_reasons_that_are_none(self, world: World, reason: str) -> None:
        ann, bob = world.users("ann bob")
        with refused(Code.BAD_REQUEST, field="reason"):
            bob("report", user_id=ann.id, reason=reason)

    def test_on_nobody_that_one_meets(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        ann("exit", chat_id=world.common)

        for user_id in (ann.id, NOWHERE):
            with refused(Code.NOT_FOUND):
                bob("report", user_id=user_id, reason="rude")

    def test_a_message_is_kept_as_evidence(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        sent = ann("send", text="you fool")

        bob("report", user_id=ann.id, reason="rude", message_id=sent.id)

        assert world.store.rows(
            "SELECT message_id, evidence FROM complaints"
        ) == [(sent.id, "you fool")]

    def test_its_author_may_have_left(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        sent = ann("send", text="you fool")
        ann("exit", chat_id=world.common)

        bob("report", user_id=ann.id, reason="rude", message_id=sent.id)

    def test_a_message_by_somebody_else(self, world: World) -> None:
        ann, bob, eve = world.users("ann bob eve")
        sent = eve("send", text="you fool")

        with refused(Code.BAD_REQUEST, field="message_id"):
            bob("report", user_id=ann.id, reason="x", message_id=sent.id)
        ann("exit", chat_id=world.common)
        with refused(Code.NOT_FOUND):
            bob("report", user_id=ann.id, reason="x", message_id=sent.id)

    def test_a_message_that_one_may_not_see(self, world: World) -> None:
        ann, bob, eve = world.users("ann bob eve")
        chat_id = ann("p2p", user_id=eve.id).chat_id
        sent = ann("send", chat_id=chat_id, text="you fool")

        for message_id in (sent.id, NOWHERE):
            with refused(Code.NOT_FOUND):
                bob(
                    "report",
                    user_id=ann.id,
                    reason="rude",
                    message_id=message_id,
                )

    def test_warnings_outlive_a_restart(self, world: World) -> None:
        ann, bob, eve, dan = world.users("ann bob eve dan")
        bob("report", user_id=ann.id, reason="rude")
        eve("report", user_id=ann.id, reason="rude")
        world.restart()

        with refused(Code.CONFLICT):
            bob("report", user_id=ann.id, reason="rude")
        dan("report", user_id=ann.id, reason="rude")
        assert ann("status").user.banned_until is not None


class TestBan:
    @pytest.fixture
    def world(self, make_world: MakeWorld) -> World:
        return make_world(max_warnings=1, ban_seconds=60)

    @pytest.fixture
    def ann(self, world: World) -> Person:
        return world.user("ann")

    @pytest.fixture
    def bob(self, world: World) -> Person:
        return world.user("bob")

    def ban(self, ann: Person, bob: Person) -> str:
        bob("report", user_id=ann.id, reason="rude")
        until: str = ann("status").user.banned_until
        return until

    def test_what_it_forbids(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        first = ann("send", text="x")
        upload = {
            "chat_id": world.common,
            "name": "a",
            "size": 1,
            "sha256": "0" * 64,
        }
        file_id = ann("upload", **upload).file_id
        until = self.ban(ann, bob)

        for method, params in (
            ("send", {"text": "x"}),
            ("comment", {"message_id": first.id, "text": "x"}),
            ("schedule", {"text": "x", "send_at": world.at(5)}),
            ("upload", upload | {"name": "b"}),
            ("upload", upload),
            ("upload_chunk", {"file_id": file_id, "offset": 0, "data": b"x"}),
            ("create_chat", {"name": "x"}),
            ("p2p", {"user_id": bob.id}),
        ):
            with refused(Code.BANNED, until=until):
                ann(method, **params)

    def test_and_nothing_else(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        eve = world.user("eve")
        group = world.group(ann)
        other = world.group(bob)
        link = bob("invite_link", chat_id=other).link
        private = ann("p2p", user_id=bob.id).chat_id
        sent = bob("send", text="x")
        plan = ann("schedule", text="x", send_at=world.at(999)).id
        self.ban(ann, bob)

        for method, params in (
            ("connect", {}),
            ("status", {}),
            ("chats", {}),
            ("history", {"chat_id": world.common}),
            ("unread", {}),
            ("comments", {"message_id": sent.id}),
            ("sync", {}),
            ("read", {"chat_id": world.common, "seq": 1}),
            ("users", {"chat_id": world.common}),
            ("rename", {"name": "nan"}),
            ("scheduled", {}),
            ("cancel", {"id": plan}),
            ("p2p", {"user_id": bob.id}),
            ("report", {"user_id": bob.id, "reason": "x"}),
            ("invite", {"chat_id": group, "user_id": eve.id}),
            ("rename_chat", {"chat_id": group, "name": "x"}),
            ("invite_link", {"chat_id": group}),
            ("join", {"link": link}),
            ("remove", {"chat_id": group, "user_id": eve.id}),
            ("exit", {"chat_id": private}),
        ):
            ann(method, **params)

    def test_a_repeat_is_answered(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        first = ann("send", text="x", idempotency_key="k")
        self.ban(ann, bob)

        assert ann("send", text="x", idempotency_key="k") == first

    def test_it_ends_by_itself(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        self.ban(ann, bob)
        world.advance(59.999)
        with refused(Code.BANNED):
            ann("send", text="x")

        world.advance(0.001)

        ann("send", text="x")
        assert ann("status").user.banned_until is None

    def test_it_outlives_a_restart(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        until = self.ban(ann, bob)
        world.restart()

        with refused(Code.BANNED, until=until):
            ann("send", text="x")

    def test_a_neighbour_of_the_batch_sees_it(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        outcomes = world.batch(
            [
                ann.asks("send", text="before"),
                bob.asks("report", user_id=ann.id, reason="rude"),
                ann.asks("send", text="after"),
            ]
        )

        assert codes(outcomes) == ["ok", "ok", "banned"]

    def test_after_it_warnings_start_from_zero(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(max_warnings=2, ban_seconds=60)
        ann, bob, eve, dan = world.users("ann bob eve dan")
        for one in (bob, eve):
            one("report", user_id=ann.id, reason="rude")
        with refused(Code.CONFLICT):
            bob("report", user_id=ann.id, reason="rude")
        dan("report", user_id=ann.id, reason="during the ban")
        until = ann("status").user.banned_until
        world.advance(60)

        bob("report", user_id=ann.id, reason="again")
        assert ann("status").user.banned_until is None
        with refused(Code.CONFLICT):
            bob("report", user_id=ann.id, reason="again")
        dan("report", user_id=ann.id, reason="again")

        assert ann("status").user.banned_until == world.at(60)
        assert ann("status").user.banned_until != until

    def test_a_complaint_during_it_does_not_lengthen_it(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        eve = world.user("eve")
        until = self.ban(ann, bob)
        world.advance(30)

        eve("report", user_id=ann.id, reason="rude")

        assert ann("status").user.banned_until == until

"""Messages that wait for their time."""

import pytest

from tests.harness import (
    NOWHERE,
    CountedEntropy,
    MakeWorld,
    Person,
    World,
    codes,
    refused,
)
from zchat.chat.schedule import DUE_PAGE
from zchat.errors import Code
from zchat.rpc import SCHEDULED_LIMIT


def states(person: Person) -> list[tuple[str, str]]:
    """Text and state of the person's scheduled messages."""
    return [(m.text, m.state) for m in person("scheduled").messages]


def test_at_its_time_it_is_sent(world: World) -> None:
    ann = world.user("ann")
    made = ann("schedule", text="hi", send_at=world.at(60))
    assert made.send_at == world.at(60)
    world.advance(59)
    world.run_timers()
    assert ann.texts(world.common) == []

    world.wait(2)

    assert ann.texts(world.common) == ["hi"]
    (message,) = ann.chat(world.common).messages
    (listed,) = ann("scheduled").messages
    assert (listed.id, listed.state, listed.message_id) == (
        made.id,
        "sent",
        message.id,
    )
    world.wait(60)
    assert ann.texts(world.common) == ["hi"]


def test_within_a_second(world: World) -> None:
    ann = world.user()
    due, late = world.at(60.1), world.at(61.1)
    ann("schedule", text="hi", send_at=due)

    world.wait(62)

    assert due <= ann.chat(world.common).messages[0].created < late


def test_the_devices_are_told(world: World) -> None:
    ann = world.user("ann")
    world.told()
    made = ann("schedule", text="hi", send_at=world.at(1))
    assert world.told_to(ann) == [
        {"event": "scheduled_changed", "id": made.id, "state": "pending"}
    ]

    world.wait(1.5)

    events = [
        told
        for told in world.told()
        if told.name not in ("head", "inbox_head")
    ]
    assert [told.name for told in events] == ["message", "scheduled_sent"]
    assert events[1].body == {
        "event": "scheduled_sent",
        "id": made.id,
        "chat_id": world.common,
        "seq": 1,
        "message_id": events[0].body["message"]["id"],
        "inbox": 3,
    }


def test_after_a_downtime_once(world: World) -> None:
    ann = world.user()
    ann("schedule", text="hi", send_at=world.at(1))
    world.advance(3600)
    world.restart()
    world.wait(1)
    world.restart()
    world.wait(1)

    assert ann.texts(world.common) == ["hi"]


def test_many_due_at_once_in_the_order_of_their_times(world: World) -> None:
    people = [world.user() for _ in range(DUE_PAGE // SCHEDULED_LIMIT + 1)]
    count = 0
    for one in people:
        for number in range(SCHEDULED_LIMIT):
            one("schedule", text=str(number), send_at=world.at(100 - number))
            count += 1
    assert count > DUE_PAGE
    world.advance(200)

    world.run_timers()

    texts = people[0].texts(world.common)
    assert len(texts) == count
    assert texts == sorted(texts, key=int, reverse=True)


class TestTime:
    @pytest.mark.parametrize("seconds", [0, -1, -1e9, 120 * 86_400 + 1])
    def test_out_of_bounds(self, world: World, seconds: float) -> None:
        with refused(Code.BAD_REQUEST, field="send_at"):
            world.user()("schedule", text="x", send_at=world.at(seconds))

    @pytest.mark.parametrize(
        "send_at", ["tomorrow", "2023-11-15T00:00:00", 1_700_000_060, None, ""]
    )
    def test_that_is_none(self, world: World, send_at: object) -> None:
        with refused(Code.BAD_REQUEST, field="send_at"):
            world.user()("schedule", text="x", send_at=send_at)

    def test_any_offset(self, world: World) -> None:
        made = world.user()(
            "schedule", text="x", send_at="2023-11-15T12:00:00+05:30"
        )

        assert made.send_at == "2023-11-15T06:30:00.000000+00:00"

    def test_the_farthest(self, world: World) -> None:
        world.user()("schedule", text="x", send_at=world.at(120 * 86_400))


class TestBounds:
    def test_so_many_wait(self, world: World) -> None:
        ann = world.user()

        outcomes = world.batch(
            [
                ann.asks("schedule", text="x", send_at=world.at(60))
                for _ in range(SCHEDULED_LIMIT + 1)
            ]
        )

        assert codes(outcomes) == ["ok"] * SCHEDULED_LIMIT + ["conflict"]
        assert world.store.committed < 10
        world.user()("schedule", text="x", send_at=world.at(60))

    def test_who_cancels_one_may_schedule_one(self, world: World) -> None:
        ann = world.user()
        ids = [
            ann("schedule", text="x", send_at=world.at(60)).id
            for _ in range(SCHEDULED_LIMIT)
        ]

        outcomes = world.batch(
            [
                ann.asks("cancel", id=ids[0]),
                ann.asks("schedule", text="y", send_at=world.at(60)),
                ann.asks("schedule", text="z", send_at=world.at(60)),
            ]
        )

        assert codes(outcomes) == ["ok", "ok", "conflict"]

    def test_one_that_is_sent_makes_room_in_its_batch(
        self, world: World
    ) -> None:
        ann = world.user()
        for number in range(SCHEDULED_LIMIT):
            at = world.at(99 if number else 9)
            ann("schedule", text="x", send_at=at)
        world.advance(9)

        calls = world.calls(
            [ann.asks("schedule", text="y", send_at=world.at(99))] * 2
        )
        world.run([*world.timers.calls(world.now), *calls])

        assert codes([call.outcome for call in calls]) == ["ok", "conflict"]

    def test_those_that_were_sent_do_not_count(self, world: World) -> None:
        ann = world.user()
        for _ in range(SCHEDULED_LIMIT):
            ann("schedule", text="x", send_at=world.at(1))
        world.wait(2)

        ann("schedule", text="y", send_at=world.at(1))

    def test_the_pending_are_listed_after_any_number(
        self, world: World
    ) -> None:
        ann = world.user()
        for _ in range(11):
            for _ in range(SCHEDULED_LIMIT):
                ann("schedule", text="old", send_at=world.at(1))
            world.wait(2)
        ann("schedule", text="new", send_at=world.at(1))

        listed = ann("scheduled").messages

        assert len(listed) == 500
        assert (listed[-1].text, listed[-1].state) == ("new", "pending")


class TestCancel:
    def test_it_is_never_sent(self, world: World) -> None:
        ann = world.user()
        made = ann("schedule", text="x", send_at=world.at(1))
        world.told()

        ann("cancel", id=made.id)

        assert world.told_to(ann) == [
            {"event": "scheduled_changed", "id": made.id, "state": "cancelled"}
        ]
        world.wait(5)
        assert ann.texts(world.common) == []
        assert states(ann) == [("x", "cancelled")]

    def test_too_late(self, world: World) -> None:
        ann = world.user()
        made = ann("schedule", text="x", send_at=world.at(1))
        world.wait(2)

        with refused(Code.CONFLICT, state="sent"):
            ann("cancel", id=made.id)

    def test_twice(self, world: World) -> None:
        ann = world.user()
        made = ann("schedule", text="x", send_at=world.at(1))

        outcomes = world.batch([ann.asks("cancel", id=made.id)] * 2)

        assert codes(outcomes) == ["ok", "conflict"]

    def test_of_somebody_else(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        made = ann("schedule", text="x", send_at=world.at(1))

        for id in (made.id, NOWHERE):
            with refused(Code.NOT_FOUND):
                bob("cancel", id=id)

    @pytest.mark.parametrize("cancel_first", [True, False])
    def test_in_one_batch_with_the_sending(
        self, world: World, cancel_first: bool
    ) -> None:
        ann = world.user()
        made = ann("schedule", text="x", send_at=world.at(1))
        world.advance(2)
        calls = world.timers.calls(world.now)
        asked = world.calls([ann.asks("cancel", id=made.id)])

        world.run(asked + calls if cancel_first else calls + asked)

        sent = ann.texts(world.common) == ["x"]
        assert sent is not cancel_first
        assert states(ann) == [("x", "sent" if sent else "cancelled")]
        assert codes([asked[0].outcome]) == ["conflict" if sent else "ok"]


class TestJudgedAgain:
    def fails(self, world: World, ann: Person, code: str) -> None:
        """What is due fails with the code, and ann is told."""
        world.told()
        world.wait(100)
        assert [m.state for m in ann("scheduled").messages] == ["failed"]
        assert ann("scheduled").messages[0].error == code
        (body,) = [
            body
            for body in world.told_to(ann)
            if body["event"] == "scheduled_failed"
        ]
        assert body["error"] == code

    def test_a_ban(self, make_world: MakeWorld) -> None:
        world = make_world(max_warnings=1)
        ann, bob = world.users("ann bob")
        ann("schedule", text="x", send_at=world.at(60))
        bob("report", user_id=ann.id, reason="rude")

        self.fails(world, ann, "banned")
        assert bob.texts(world.common) == []

    def test_membership(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        group = world.group(bob, ann)
        ann("schedule", chat_id=group, text="x", send_at=world.at(60))
        bob("remove", chat_id=group, user_id=ann.id)

        self.fails(world, ann, "not_found")
        assert bob.texts(group) == []

    def test_a_chat_that_is_gone(self, world: World) -> None:
        ann = world.user()
        group = world.group(ann)
        file_id = world.file(ann, group, b"data")
        ann(
            "schedule",
            chat_id=group,
            text="x",
            send_at=world.at(60),
            files=[file_id],
        )
        ann("exit", chat_id=group)

        self.fails(world, ann, "not_found")

    def test_quota(self, make_world: MakeWorld) -> None:
        world = make_world(rate_limit=1)
        ann = world.user()
        ann("schedule", text="x", send_at=world.at(60))
        assert ann("status").user.quota.remaining == 1
        ann("send", text="y")

        self.fails(world, ann, "rate_limited")

    def test_it_spends_quota(self, make_world: MakeWorld) -> None:
        world = make_world(rate_limit=2)
        ann = world.user()
        for _ in range(3):
            ann("schedule", text="x", send_at=world.at(60))
        world.wait(70)

        assert [state for _, state in states(ann)] == [
            "sent",
            "sent",
            "failed",
        ]
        assert ann("status").user.quota.remaining == 0

    def test_the_one_that_fails_harms_no_other(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        group = world.group(bob, ann)
        ann("schedule", chat_id=group, text="1", send_at=world.at(60))
        ann("schedule", text="2", send_at=world.at(60))
        ann("exit", chat_id=group)
        world.wait(70)

        assert states(ann) == [("1", "failed"), ("2", "sent")]


def test_what_is_refused_at_once(world: World) -> None:
    ann, bob = world.users("ann bob")
    at = world.at(60)
    with refused(Code.NOT_FOUND):
        ann("schedule", chat_id=world.group(bob), text="x", send_at=at)
    with refused(Code.TOO_LARGE, limit=4096):
        ann("schedule", text="x" * 4097, send_at=at)
    with refused(Code.NOT_FOUND):
        ann("schedule", text="x", comment_on=NOWHERE, send_at=at)
    with refused(Code.NOT_FOUND, field="files"):
        ann("schedule", text="x", files=[NOWHERE], send_at=at)


def test_a_comment_can_wait(world: World) -> None:
    ann = world.user()
    first = ann("send", text="1")
    ann("schedule", text="2", comment_on=first.id, send_at=world.at(1))
    world.wait(2)

    (found,) = ann("comments", message_id=first.id).messages
    assert found.text == "2"


def test_the_list_by_state(world: World) -> None:
    ann = world.user()
    for text, seconds in (("b", 20), ("a", 10), ("c", 1)):
        made = ann("schedule", text=text, send_at=world.at(seconds))
        if text == "b":
            ann("cancel", id=made.id)
    world.wait(2)

    assert states(ann) == [("c", "sent"), ("a", "pending"), ("b", "cancelled")]
    for state, texts in (
        ("pending", ["a"]),
        ("sent", ["c"]),
        ("failed", []),
        ("cancelled", ["b"]),
    ):
        found = ann("scheduled", state=state).messages
        assert [m.text for m in found] == texts
    with refused(Code.BAD_REQUEST, field="state"):
        ann("scheduled", state="lost")
    assert states(world.user()) == []


class TestOnce:
    def test_a_repeat_gets_the_first_answer(self, world: World) -> None:
        ann = world.user()
        params = {"text": "x", "send_at": world.at(60), "idempotency_key": "k"}
        first = ann("schedule", **params)

        assert world.batch([ann.asks("schedule", **params)] * 2) == [first] * 2
        world.restart()
        assert ann("schedule", **params) == first
        world.wait(100)
        assert ann("schedule", **params) == first
        assert ann.texts(world.common) == ["x"]

    def test_also_once_it_was_sent_and_deleted(self, world: World) -> None:
        ann = world.user()
        params = {
            "text": "x",
            "files": [world.file(ann, world.common, b"data")],
            "send_at": world.at(60),
            "idempotency_key": "k",
        }
        first = ann("schedule", **params)
        world.wait(61)
        (sent,) = ann("history", chat_id=world.common).messages
        ann("delete", message_id=sent.id)

        assert ann("schedule", **params) == first

    def test_other_content_is_a_conflict(self, world: World) -> None:
        ann = world.user()
        at = world.at(60)
        ann("schedule", text="x", send_at=at, idempotency_key="k")

        for params in (
            {"text": "y", "send_at": at},
            {"text": "x", "send_at": world.at(61)},
        ):
            with refused(Code.CONFLICT, field="idempotency_key"):
                ann("schedule", idempotency_key="k", **params)


def test_files_wait_with_their_message(world: World) -> None:
    ann = world.user()
    file_id = world.file(ann, world.common, b"data")
    made = ann(
        "schedule", text="x", files=[file_id], send_at=world.at(100_000)
    )
    with refused(Code.CONFLICT, field="files"):
        ann("send", text="y", files=[file_id])

    world.advance(90_000)
    world.wait(61)
    ann("cancel", id=made.id)

    assert ann("send", text="y", files=[file_id]).seq == 1


class TestFilesOfWhatCameToNothing:
    """They wait for another message, for a day from then on."""

    DAY = 86_400

    @pytest.fixture
    def ann(self, world: World) -> Person:
        return world.user("ann")

    @pytest.fixture
    def old(self, world: World, ann: Person) -> str:
        """A file that waited with its message for two days."""
        file_id = world.file(ann, world.common, b"data")
        ann(
            "schedule",
            text="x",
            files=[file_id],
            send_at=world.at(2 * self.DAY + 120),
        )
        world.advance(2 * self.DAY)
        return file_id

    def waits_its_day(self, world: World, ann: Person, file_id: str) -> None:
        world.wait(61)
        world.advance(self.DAY - 300)
        world.wait(61)
        assert ann("download", file_id=file_id).data == b"data"
        assert ann("send", text="y", files=[file_id]).seq

    def test_cancelled(self, world: World, ann: Person, old: str) -> None:
        ann("cancel", id=ann("scheduled").messages[0].id)

        self.waits_its_day(world, ann, old)

    def test_failed(self, world: World, ann: Person, old: str) -> None:
        ann("exit", chat_id=world.common)
        world.wait(121)
        assert states(ann) == [("x", "failed")]
        ann("connect")

        self.waits_its_day(world, ann, old)

    def test_then_it_goes(self, world: World, ann: Person, old: str) -> None:
        ann("cancel", id=ann("scheduled").messages[0].id)
        world.advance(self.DAY)
        world.wait(61)

        with refused(Code.NOT_FOUND):
            ann("download", file_id=old)

    def test_scheduled_and_cancelled_beside_the_clean_up(
        self, world: World, ann: Person
    ) -> None:
        file_id = world.file(ann, world.common, b"data")
        world.advance(self.DAY + 1)
        schedule = ann.asks(
            "schedule", text="x", files=[file_id], send_at=world.at(9)
        )
        made = CountedEntropy()
        made._count = world.entropy._count
        asked = world.calls(
            [schedule, ann.asks("cancel", id=made.id(world.now))]
        )

        world.run([*asked, *world.timers.calls(world.now)])

        assert codes([call.outcome for call in asked]) == ["ok", "ok"]
        assert ann("download", file_id=file_id).data == b"data"


def test_files_are_sent_with_their_message(world: World) -> None:
    ann, bob = world.users("ann bob")
    file_id = world.file(ann, world.common, b"data")
    ann("schedule", text="x", files=[file_id], send_at=world.at(1))
    with refused(Code.NOT_FOUND):
        bob("download", file_id=file_id)
    world.wait(2)

    assert bob("download", file_id=file_id).data == b"data"
    waiting = world.store.rows("SELECT scheduled_id FROM files")
    assert waiting == [(None,)]

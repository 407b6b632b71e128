"""Lifetime: visible from delivery for so long, then deleted."""

import pytest

from tests.harness import MakeWorld, Person, World, codes, refused
from zchat.chat import expiry
from zchat.chat.awaitables import Question, TurnWait, Want
from zchat.chat.expiry import EXPIRY_PAGE
from zchat.chat.jobs import NoParams, Progress
from zchat.chat.phases import Writing
from zchat.engine.batch import Call
from zchat.errors import Code
from zchat.model import CHATS, DELIVERIES, MEMBERS, Chat, Delivery, Member
from zchat.queries import PRIMARY, ChatThrough, KeyLookup

TTL = 100
DAY = 86_400


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(message_ttl_seconds=TTL)


def kept(world: World) -> list[str]:
    """The texts that stand in the store."""
    return [
        text
        for (text,) in world.store.rows(
            "SELECT text FROM messages ORDER BY chat_id, seq"
        )
    ]


def read_all(world: World, *people: Person) -> None:
    for one in people:
        one("read", chat_id=world.common, seq=2**50)


def test_off_by_default(make_world: MakeWorld) -> None:
    world = make_world()
    ann, bob = world.users("ann bob")
    ann("send", text="x")
    read_all(world, ann, bob)
    world.advance(400 * DAY)
    world.wait(70)

    assert bob.texts(world.common) == ["x"]


def test_visible_from_delivery_for_so_long(
    world: World, ann: Person, bob: Person
) -> None:
    ann("send", text="x")
    world.advance(10)
    read_all(world, bob)
    world.advance(TTL - 0.001)
    assert bob.texts(world.common) == ["x"]

    world.advance(0.001)

    assert bob.texts(world.common) == []
    assert bob.chat(world.common).messages == []
    assert ann.texts(world.common) == ["x"]


def test_what_is_not_delivered_stays(
    world: World, ann: Person, bob: Person
) -> None:
    ann("send", text="x")
    read_all(world, ann)
    world.advance(20 * DAY)
    world.wait(70)

    assert kept(world) == ["x"]
    assert bob.chat(world.common).unread == 1
    assert [
        m.text for chat in bob("unread", ack=True).chats for m in chat.messages
    ] == ["x"]


def test_but_thirty_days_at_the_most(
    world: World, ann: Person, bob: Person
) -> None:
    ann("send", text="x")
    world.advance(30 * DAY - 100)
    world.wait(70)
    assert kept(world) == ["x"]

    world.wait(100)

    assert kept(world) == []
    assert bob.chat(world.common).unread == 0
    assert bob("unread").chats == []


def test_deleted_within_a_minute_when_nobody_may_see_it(
    world: World, ann: Person, bob: Person
) -> None:
    ann("send", text="1")
    read_all(world, ann)
    world.advance(50)
    read_all(world, bob)
    ann("send", text="2")
    world.wait(TTL - 1)
    assert kept(world) == ["1", "2"]
    world.told()

    world.wait(61)

    assert kept(world) == ["2"]
    assert world.told_in(world.common) == [
        {"event": "expired", "chat_id": world.common, "seq": 1}
    ]
    assert ann.chat(world.common).head == 2


def test_seq_goes_on_after_a_deletion(
    world: World, ann: Person, bob: Person
) -> None:
    for _ in range(3):
        ann("send", text="x")
    read_all(world, ann, bob)
    world.wait(TTL + 61)
    assert kept(world) == []

    assert ann("send", text="y").seq == 4

    page = bob("history", chat_id=world.common)
    assert [m.seq for m in page.messages] == [4]
    assert not page.has_older
    assert bob.chat(world.common).unread == 1
    page = bob("history", chat_id=world.common, before=2)
    assert page.messages == []
    assert not page.has_older


def test_unread_counts_stay_right(
    world: World, ann: Person, bob: Person
) -> None:
    for number in range(5):
        ann("send", text=str(number))
    bob("read", chat_id=world.common, seq=3)
    read_all(world, ann)
    world.wait(TTL + 61)

    assert kept(world) == ["3", "4"]
    assert bob.chat(world.common).unread == 2
    assert bob.texts(world.common) == ["3", "4"]
    assert ann.texts(world.common) == []


def test_a_deletion_takes_all_traces(
    world: World, ann: Person, bob: Person
) -> None:
    ann(
        "send",
        text="secret",
        idempotency_key="k",
        files=[world.file(ann, world.common, b"secret")],
    )
    ann("schedule", text="secret", send_at=world.at(1))
    world.wait(2)
    read_all(world, ann, bob)
    world.wait(TTL + 61)

    for table in (
        "messages",
        "files",
        "file_chunks",
        "scheduled",
        "deliveries",
    ):
        assert world.store.rows(f"SELECT * FROM {table}") == [], table
    assert ann("send", text="other", idempotency_key="k").seq == 3


def test_files_are_gone_when_their_message_is(
    world: World, ann: Person, bob: Person
) -> None:
    file_id = world.file(ann, world.common, b"data")
    ann("send", text="x", files=[file_id])
    read_all(world, bob)
    world.advance(TTL)

    with refused(Code.NOT_FOUND):
        bob("download", file_id=file_id)
    assert ann("download", file_id=file_id).data == b"data"


def test_evidence_must_be_visible(
    world: World, ann: Person, bob: Person
) -> None:
    sent = ann("send", text="x")
    read_all(world, bob)
    world.advance(TTL)

    with refused(Code.NOT_FOUND):
        bob("report", user_id=ann.id, reason="x", message_id=sent.id)
    with refused(Code.NOT_FOUND):
        bob("comments", message_id=sent.id)


def test_what_is_commented_on_must_be_visible(
    world: World, ann: Person, bob: Person
) -> None:
    sent = ann("send", text="x")
    read_all(world, bob)
    world.advance(TTL - 1)
    bob("schedule", text="c", comment_on=sent.id, send_at=world.at(2))
    world.advance(1)

    with refused(Code.NOT_FOUND):
        bob("comment", message_id=sent.id, text="y")
    with refused(Code.NOT_FOUND):
        bob("send", text="y", comment_on=sent.id)
    with refused(Code.NOT_FOUND):
        bob("schedule", text="y", comment_on=sent.id, send_at=world.at(60))
    assert ann("comment", message_id=sent.id, text="a")
    world.wait(2)
    assert bob.texts(world.common) == ["a", "c"]


def test_a_comment_keeps_what_it_is_on(
    world: World, ann: Person, bob: Person
) -> None:
    first = ann("send", text="1")
    read_all(world, ann, bob)
    world.wait(50)
    bob("comment", message_id=first.id, text="2")
    world.wait(TTL)

    (message,) = ann.chat(world.common).messages
    assert (message.text, message.is_comment_on) == ("2", first.id)
    with refused(Code.NOT_FOUND):
        ann("comment", message_id=first.id, text="3")


def test_what_a_newcomer_sees_is_delivered_at_once(
    world: World, ann: Person
) -> None:
    ann("send", text="1")
    bob = world.user("bob")
    assert bob.texts(world.common) == ["1"]

    world.advance(TTL)

    assert bob.texts(world.common) == []


def test_who_leaves_and_comes_back_in_one_batch(
    world: World, ann: Person, bob: Person
) -> None:
    """The delivery at the return survives what leaving clears."""
    ann("send", text="1")
    outcomes = world.batch(
        [
            bob.asks("exit", chat_id=world.common),
            bob.asks("connect"),
            ann.asks("exit", chat_id=world.common),
            ann.asks("connect"),
        ]
    )
    assert codes(outcomes) == ["ok"] * 4
    world.wait(TTL - 1)
    assert bob.texts(world.common) == ["1"]

    world.wait(62)

    assert bob.texts(world.common) == []
    assert kept(world) == []


def test_what_expires_while_somebody_comes_back(
    world: World, ann: Person, bob: Person
) -> None:
    """Coming back does not begin another lifetime."""
    ann("send", text="1")
    read_all(world, bob)
    world.wait(TTL - 3)
    world.advance(8)

    world.run(
        world.timers.calls(world.now)
        + world.calls(
            [bob.asks("exit", chat_id=world.common), bob.asks("connect")]
        )
    )

    assert bob.texts(world.common) == []


@pytest.mark.parametrize("away", [1, 30, TTL])
@pytest.mark.parametrize("times", [1, 2])
def test_coming_back_begins_no_other_lifetime(
    world: World, ann: Person, bob: Person, away: int, times: int
) -> None:
    ann("send", text="1")
    private = ann("p2p", user_id=bob.id).chat_id
    ann("send", chat_id=private, text="2")
    bob("unread", ack=True)
    read_all(world, bob)
    world.wait(TTL - 20)

    for _ in range(times):
        for chat_id in (world.common, private):
            bob("exit", chat_id=chat_id)
        world.wait(away)
        bob("connect")
        bob("p2p", user_id=ann.id)

    expected = ([], []) if away * times > 20 else (["1"], ["2"])
    assert (bob.texts(world.common), bob.texts(private)) == expected
    world.wait(21)
    assert (bob.texts(world.common), bob.texts(private)) == ([], [])
    assert ann.texts(world.common) == ["1"]


@pytest.mark.parametrize("way", ["invite", "approve"])
def test_who_comes_back_into_a_quiet_group(
    world: World, ann: Person, bob: Person, way: str
) -> None:
    """What was delivered up to the head before is delivered no second
    time."""
    group = world.group(ann, bob)
    ann("send", chat_id=group, text="1")
    bob("read", chat_id=group, seq=1)
    ann("remove", chat_id=group, user_id=bob.id)
    if way == "approve":
        bob("join", link=ann("invite_link", chat_id=group).link)

    ann(way, chat_id=group, user_id=bob.id)

    assert bob.texts(group) == []
    ann("send", chat_id=group, text="2")
    assert bob.texts(group) == ["2"]


def test_what_came_while_away_is_visible_for_a_lifetime(
    world: World, ann: Person, bob: Person
) -> None:
    ann("send", text="1")
    read_all(world, bob)
    world.wait(TTL + 6)
    bob("exit", chat_id=world.common)
    ann("send", text="2")
    bob("connect")

    assert bob.texts(world.common) == ["2"]
    world.wait(TTL - 1)
    assert bob.texts(world.common) == ["2"]
    world.wait(1)
    assert bob.texts(world.common) == []


def test_what_was_delivered_is_forgotten_with_the_messages(
    world: World, ann: Person, bob: Person
) -> None:
    """Also to those who left for good."""
    ann("send", text="1")
    read_all(world, ann, bob)
    bob("exit", chat_id=world.common)
    world.wait(TTL + 61)

    assert kept(world) == []
    assert world.store.rows("SELECT * FROM deliveries") == []


def test_a_delivery_is_forgotten_when_its_time_is_over(
    world: World, ann: Person, bob: Person
) -> None:
    """Also while others have not read what was delivered."""
    ann("send", text="1")
    read_all(world, ann)
    world.wait(TTL + 61)

    assert kept(world) == ["1"]
    assert world.store.rows("SELECT * FROM deliveries") == []


def test_one_chat_that_ends_holds_up_no_other(
    world: World, ann: Person
) -> None:
    groups = [world.group(ann) for _ in range(3)]
    for group in groups:
        ann("send", chat_id=group, text="x")
        ann("read", chat_id=group, seq=1)
    world.advance(TTL)
    world.run([Call(expiry.expire_members, NoParams())])
    first = min(groups)
    call = Call(expiry.delete_expired, NoParams())

    world.run([*world.calls([ann.asks("exit", chat_id=first)]), call])

    assert kept(world) == []
    assert call.outcome == Progress(more=False)


def test_a_page_says_whether_there_is_more(
    world: World, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "DELETED_MESSAGES", 2)
    group = world.group(ann)
    for _ in range(4):
        ann("send", chat_id=group, text="x")
    ann("read", chat_id=group, seq=4)
    world.advance(TTL)
    world.run([Call(expiry.expire_members, NoParams())])

    calls = [Call(expiry.delete_expired, NoParams()) for _ in range(2)]
    for call in calls:
        world.run([call])

    assert [call.outcome for call in calls] == [
        Progress(more=True),
        Progress(more=False),
    ]


def test_who_leaves_holds_nothing_back(
    world: World, ann: Person, bob: Person
) -> None:
    ann("send", text="1")
    read_all(world, ann)
    world.wait(TTL + 61)
    assert kept(world) == ["1"]

    bob("exit", chat_id=world.common)
    world.wait(61)

    assert kept(world) == []


def test_private_chats_too(world: World, ann: Person, bob: Person) -> None:
    private = ann("p2p", user_id=bob.id).chat_id
    ann("send", chat_id=private, text="x")
    for one in (ann, bob):
        one("unread", ack=True)
    world.wait(TTL + 61)

    assert kept(world) == []


def test_more_members_than_a_page(world: World, ann: Person) -> None:
    """Those at the end of the order are not put off for ever."""
    crowd = [world.user() for _ in range(20)]
    ann("send", text="x")
    read_all(world, ann, *crowd)

    async def crowd_in(work: Writing, caller: None, params: NoParams) -> None:
        turn = await work.turn()
        for seq in range(EXPIRY_PAGE):
            id = f"00000000-0000-7000-8000-{seq:012x}"
            turn.put(MEMBERS, Member(world.common, id, 1, 1, 1))
            turn.put(DELIVERIES, Delivery(world.common, id, 1, 1))

    world.run([Call(crowd_in, NoParams())])
    world.wait(TTL + 61)

    assert kept(world) == []


def test_it_outlives_a_restart(world: World, ann: Person, bob: Person) -> None:
    ann("send", text="x")
    read_all(world, ann, bob)
    world.advance(60)
    world.restart()
    world.wait(39)
    assert bob.texts(world.common) == ["x"]

    world.wait(62)

    assert kept(world) == []


def test_switched_on_later(make_world: MakeWorld) -> None:
    """What was read before counts as delivered at that start."""
    world = make_world()
    ann, bob = world.users("ann bob")
    ann("send", text="x")
    read_all(world, ann, bob)
    world.advance(DAY)

    world.restart(message_ttl_seconds=TTL)

    assert bob.texts(world.common) == ["x"]
    world.wait(TTL)
    assert bob.texts(world.common) == []


def test_a_group_member_who_came_late_holds_nothing_back(
    world: World, ann: Person, bob: Person
) -> None:
    group = world.group(ann)
    ann("send", chat_id=group, text="1")
    ann("read", chat_id=group, seq=1)
    ann("invite", chat_id=group, user_id=bob.id)
    world.wait(TTL + 61)

    assert kept(world) == []


def test_much_is_deleted_in_pages(
    world: World, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "DELETED_MESSAGES", 2)
    for number in range(5):
        ann("send", text=str(number))
    read_all(world, ann)
    world.told()

    world.wait(TTL + 61)

    assert kept(world) == []
    assert [
        told.body["seq"]
        for told in world.told()
        if told.body["event"] == "expired"
    ] == [2, 4, 5]


class TestMeanwhile:
    """What happens in the batch before its messages are deleted."""

    @pytest.fixture
    def group(self, world: World, ann: Person) -> str:
        """A group with messages that nobody may see any longer."""
        chat_id = world.group(ann)
        for text in "12":
            ann("send", chat_id=chat_id, text=text)
        ann("read", chat_id=chat_id, seq=2)
        world.advance(TTL)
        world.run([Call(expiry.expire_members, NoParams())])
        world.told()
        return chat_id

    def expired(self, world: World) -> list[tuple[str, int]]:
        return [
            (told.body["chat_id"], told.body["seq"])
            for told in world.told()
            if told.name == "expired"
        ]

    def test_the_chat_ends(
        self, world: World, ann: Person, group: str
    ) -> None:
        world.run(
            [
                *world.calls([ann.asks("exit", chat_id=group)]),
                Call(expiry.delete_expired, NoParams()),
            ]
        )

        assert self.expired(world) == []
        assert kept(world) == []

    def test_somebody_comes_in(
        self, world: World, ann: Person, bob: Person, group: str
    ) -> None:
        """Newcomers may see some of it; it is asked again next time."""
        world.run(
            [
                *world.calls(
                    [ann.asks("invite", chat_id=group, user_id=bob.id)]
                ),
                Call(expiry.delete_expired, NoParams()),
            ]
        )
        assert self.expired(world) == []

        world.run([Call(expiry.delete_expired, NoParams())])

        assert self.expired(world) == [(group, 2)]

    def test_it_was_done_already(self, world: World, group: str) -> None:
        world.run([Call(expiry.delete_expired, NoParams()) for _ in range(2)])

        assert self.expired(world) == [(group, 2)]


def test_it_asks_again_once_the_chats_are_locked(world: World) -> None:
    """Who came in meanwhile may see some of what nobody saw before."""
    chat_id = world.common
    rule = expiry.delete_expired(world.work.writing, None, NoParams())
    first = rule.send(None)
    assert isinstance(first, Question)
    first.rows = [ChatThrough(chat_id, 5)]
    locked = rule.send(None)
    assert isinstance(locked, Want)
    assert locked.entries == [(CHATS, PRIMARY, chat_id)]
    world.work.learn(
        [KeyLookup(CHATS, PRIMARY, {chat_id: None})],
        [[Chat(chat_id, "common", "", None, None, 1, 9, 0, 1, 1, b"")]],
    )

    again = rule.send(None)

    assert isinstance(again, Question)
    assert again.ask == first.ask
    assert isinstance(rule.send(None), TurnWait)
    with pytest.raises(StopIteration) as end:
        rule.send(None)
    assert not end.value.value.more
    assert not world.work.changes()
    world.work.abandon()


def test_a_comment_on_what_is_deleted_in_the_same_batch(
    world: World, ann: Person, bob: Person
) -> None:
    """It is old, and never was delivered to the one who comments."""
    sent = ann("send", text="x")
    read_all(world, ann)
    world.advance(31 * DAY)
    world.run([Call(expiry.expire_members, NoParams())])
    comment = world.calls([bob.asks("comment", message_id=sent.id, text="y")])

    world.run([Call(expiry.delete_expired, NoParams()), *comment])

    assert codes([call.outcome for call in comment]) == ["not_found"]

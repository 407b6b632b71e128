"""Messages: sending, commenting, once only, and pages of them."""

from datetime import datetime
from uuid import UUID

import pytest

from tests.harness import NOWHERE, MakeWorld, Person, World, codes, refused
from zchat.errors import Code


def test_send_goes_to_the_common_chat(world: World) -> None:
    ann = world.user()

    sent = ann("send", text="hi")

    assert UUID(sent.id).version == 7
    assert (sent.seq, sent.chat_id) == (1, world.common)
    assert datetime.fromisoformat(sent.created).tzinfo is not None
    assert sent.created == world.at(0)


def test_null_is_the_common_chat(world: World) -> None:
    sent = world.user()("send", chat_id=None, text="hi")

    assert sent.chat_id == world.common


def test_everybody_is_told_the_whole_message(world: World) -> None:
    ann = world.user("ann")
    world.told()

    sent = ann("send", text="hi")

    (told,) = world.told()
    assert not told.sealed
    assert (told.raw.chat_id, told.raw.seq) == (world.common, 1)
    assert told.body == {
        "event": "message",
        "chat_id": world.common,
        "seq": 1,
        "message": {
            "id": sent.id,
            "seq": 1,
            "created": sent.created,
            "author": {"id": ann.id, "name": "ann"},
            "text": "hi",
            "is_comment_on": None,
            "comments": 0,
            "files": [],
            "mentions": [],
            "revision": 0,
            "edited": None,
            "deleted": None,
            "reactions": [],
        },
    }
    (message,) = ann.chat(world.common).messages
    assert message.text == "hi"


def test_seq_has_no_holes(world: World) -> None:
    ann, bob = world.users("ann bob")
    chat_id = ann("p2p", user_id=bob.id).chat_id

    outcomes = world.batch(
        [
            ann.asks("send", text="1"),
            bob.asks("send", text="2"),
            ann.asks("send", chat_id=chat_id, text="1"),
            bob.asks("send", chat_id=NOWHERE, text="x"),
            ann.asks("send", text="3"),
        ]
    )

    assert codes(outcomes) == ["ok", "ok", "ok", "not_found", "ok"]
    assert [o.seq for o in outcomes if hasattr(o, "seq")] == [1, 2, 1, 3]
    assert ann.texts(world.common) == ["1", "2", "3"]


@pytest.mark.parametrize("text", ["", " ", "x" * 4096, "😀" * 4096, "\n"])
def test_texts_that_are_taken(world: World, text: str) -> None:
    ann = world.user()
    ann("send", text=text)

    assert ann.texts(world.common) == [text]


def test_a_text_that_is_too_long(world: World) -> None:
    with refused(Code.TOO_LARGE, limit=4096, field="text"):
        world.user()("send", text="x" * 4097)


def test_a_nul_is_refused(world: World) -> None:
    with refused(Code.BAD_REQUEST, field="text"):
        world.user()("send", text="a\x00b")


def test_a_chat_of_others_is_not_there(world: World) -> None:
    ann, bob, eve = world.users("ann bob eve")
    chat_id = ann("p2p", user_id=bob.id).chat_id
    message_id = ann("send", chat_id=chat_id, text="x").id

    for place in (chat_id, NOWHERE):
        for asked in (
            eve.asks("send", chat_id=place, text="x"),
            eve.asks("history", chat_id=place),
            eve.asks("chats", chat_id=place),
            eve.asks("users", chat_id=place),
            eve.asks("exit", chat_id=place),
            eve.asks("read", chat_id=place, seq=1),
        ):
            assert codes(world.batch([asked])) == ["not_found"]
    for target in (message_id, NOWHERE):
        with refused(Code.NOT_FOUND):
            eve("comment", message_id=target, text="x")
        with refused(Code.NOT_FOUND):
            eve("comments", message_id=target)
        with refused(Code.NOT_FOUND):
            eve("send", comment_on=target, text="x")


def test_ids_may_be_in_capitals(world: World) -> None:
    ann = world.user()
    sent = ann("send", chat_id=world.common.upper(), text="x")

    ann("comment", message_id=sent.id.upper(), text="y")

    assert ann.texts(world.common.upper()) == ["x", "y"]


class TestComments:
    def test_a_comment_is_a_message_on_another(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        first = ann("send", text="first")
        world.told()

        sent = bob("comment", message_id=first.id, text="so so")

        assert (sent.seq, sent.chat_id) == (2, world.common)
        (body,) = world.told_in(world.common)
        assert body["message"]["is_comment_on"] == first.id
        comment, target = ann.chat(world.common).messages
        assert comment.is_comment_on == first.id
        assert (target.comments, comment.comments) == (1, 0)

    def test_send_can_comment_as_well(self, world: World) -> None:
        ann = world.user()
        first = ann("send", text="first")

        ann("send", text="so so", comment_on=first.id)

        found = ann("comments", message_id=first.id).messages
        assert [m.text for m in found] == ["so so"]

    def test_comments_on_comments(self, world: World) -> None:
        ann = world.user()
        first = ann("send", text="1")
        second = ann("comment", message_id=first.id, text="2")
        ann("comment", message_id=second.id, text="3")

        found = ann("comments", message_id=first.id).messages

        assert [(m.text, m.comments) for m in found] == [("2", 1)]

    def test_the_count_holds_within_one_batch(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        first = ann("send", text="1")

        world.batch(
            [
                ann.asks("comment", message_id=first.id, text="2"),
                bob.asks("comment", message_id=first.id, text="3"),
                bob.asks("send", text="4", comment_on=first.id),
            ]
        )

        assert ann.chat(world.common).messages[-1].comments == 3

    def test_comments_are_listed_in_pages(self, world: World) -> None:
        ann = world.user()
        first = ann("send", text="1")
        for number in range(2, 7):
            ann("comment", message_id=first.id, text=str(number))

        page = ann("comments", message_id=first.id, limit=2).messages
        assert [m.seq for m in page] == [2, 3]
        page = ann("comments", message_id=first.id, after=3).messages
        assert [m.seq for m in page] == [4, 5, 6]

    def test_only_in_the_same_chat(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        chat_id = ann("p2p", user_id=bob.id).chat_id
        first = ann("send", text="1")

        with refused(Code.NOT_FOUND):
            ann("send", chat_id=chat_id, text="x", comment_on=first.id)

    def test_not_on_what_was_before_a_newcomer(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(history_depth=1)
        ann = world.user()
        hidden, seen = ann("send", text="1"), ann("send", text="2")
        bob = world.user()

        with refused(Code.NOT_FOUND):
            bob("comment", message_id=hidden.id, text="x")
        with refused(Code.NOT_FOUND):
            bob("comments", message_id=hidden.id)
        bob("comment", message_id=seen.id, text="x")


class TestOnce:
    def test_a_repeat_gets_the_first_answer(self, world: World) -> None:
        ann = world.user()
        first = ann("send", text="x", idempotency_key="k")
        world.told()
        world.advance(5)

        assert ann("send", text="x", idempotency_key="k") == first

        assert ann.texts(world.common) == ["x"]
        assert world.told() == []

    def test_also_within_one_batch(self, world: World) -> None:
        ann = world.user()

        one, two = world.batch(
            [ann.asks("send", text="x", idempotency_key="k")] * 2
        )

        assert one == two
        assert ann.texts(world.common) == ["x"]

    def test_also_after_a_restart(self, world: World) -> None:
        ann = world.user()
        first = ann("send", text="x", idempotency_key="k")
        world.restart()

        assert ann("send", text="x", idempotency_key="k") == first

    def test_other_content_is_a_conflict(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        chat_id = ann("p2p", user_id=bob.id).chat_id
        first = ann("send", text="x", idempotency_key="k")

        for params in (
            {"text": "y"},
            {"text": "x", "chat_id": chat_id},
            {"text": "x", "comment_on": first.id},
            {"text": "x", "files": [NOWHERE]},
        ):
            with refused(Code.CONFLICT, field="idempotency_key"):
                ann("send", idempotency_key="k", **params)

    def test_a_key_is_its_authors_own(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        ann("send", text="x", idempotency_key="k")

        assert bob("send", text="y", idempotency_key="k").seq == 2

    def test_comments_have_keys_too(self, world: World) -> None:
        ann = world.user()
        first = ann("send", text="x")
        sent = ann(
            "comment", message_id=first.id, text="y", idempotency_key="k"
        )

        assert sent == ann(
            "send", text="y", comment_on=first.id, idempotency_key="k"
        )
        assert ann.chat(world.common).messages[-1].comments == 1

    def test_a_refusal_uses_up_no_key(self, world: World) -> None:
        ann = world.user()
        with refused(Code.NOT_FOUND):
            ann("send", chat_id=NOWHERE, text="x", idempotency_key="k")

        assert ann("send", text="x", idempotency_key="k").seq == 1

    def test_a_repeat_costs_no_quota(self, make_world: MakeWorld) -> None:
        world = make_world(rate_limit=1)
        ann = world.user()
        first = ann("send", text="x", idempotency_key="k")

        assert ann("send", text="x", idempotency_key="k") == first
        with refused(Code.RATE_LIMITED):
            ann("send", text="y")

    def test_a_key_lives_as_long_as_its_message(self, world: World) -> None:
        """The chat and its messages go; in the same batch or before."""
        ann, bob = world.users("ann bob")
        for key, gather in (("k1", True), ("k2", False)):
            chat_id = ann("p2p", user_id=bob.id).chat_id
            ann("send", chat_id=chat_id, text="x", idempotency_key=key)
            bob("exit", chat_id=chat_id)
            asked = [
                ann.asks("exit", chat_id=chat_id),
                ann.asks("send", text="y", idempotency_key=key),
            ]
            for batch in [asked] if gather else [[a] for a in asked]:
                assert set(codes(world.batch(batch))) == {"ok"}

        assert ann.texts(world.common) == ["y", "y"]


class TestHistory:
    @pytest.fixture
    def ann(self, world: World) -> Person:
        ann = world.user("ann")
        for number in range(1, 31):
            ann("send", text=str(number))
        return ann

    @pytest.mark.parametrize(
        ("params", "seqs", "older", "newer"),
        [
            ({}, range(11, 31), True, False),
            ({"limit": 5}, range(26, 31), True, False),
            ({"limit": 200}, range(1, 31), False, False),
            ({"before": 11, "limit": 5}, range(6, 11), True, True),
            ({"before": 3}, range(1, 3), False, True),
            ({"before": 1}, [], False, True),
            ({"after": 27}, range(28, 31), True, False),
            ({"after": 0, "limit": 3}, range(1, 4), False, True),
            ({"after": 30}, [], True, False),
            ({"after": 99}, [], True, False),
            ({"around": 15, "limit": 5}, range(13, 18), True, True),
            ({"around": 1, "limit": 5}, range(1, 6), False, True),
            ({"around": 30, "limit": 5}, range(28, 31), True, False),
        ],
    )
    def test_pages(
        self,
        world: World,
        ann: Person,
        params: dict[str, int],
        seqs: list[int],
        older: bool,
        newer: bool,
    ) -> None:
        page = ann("history", chat_id=world.common, **params)

        assert [m.seq for m in page.messages] == list(seqs)
        assert (page.has_older, page.has_newer) == (older, newer)
        assert page.head == 30

    def test_one_of_before_after_around(
        self, world: World, ann: Person
    ) -> None:
        with refused(Code.BAD_REQUEST, field="before"):
            ann("history", chat_id=world.common, before=3, after=1)

    @pytest.mark.parametrize("limit", [0, 201, -1])
    def test_bounds_of_a_page(
        self, world: World, ann: Person, limit: int
    ) -> None:
        with refused(Code.BAD_REQUEST, field="limit"):
            ann("history", chat_id=world.common, limit=limit)

    def test_a_newcomer_has_nothing_older(
        self, world: World, ann: Person
    ) -> None:
        bob = world.user()

        page = bob("history", chat_id=world.common, limit=200)

        assert [m.seq for m in page.messages] == list(range(11, 31))
        assert not page.has_older
        assert bob("history", chat_id=world.common, before=11).messages == []

    def test_the_second_that_a_newcomer_sees_has_one_older(
        self, world: World, ann: Person
    ) -> None:
        bob = world.user()

        page = bob("history", chat_id=world.common, after=11, limit=1)

        assert [m.seq for m in page.messages] == [12]
        assert page.has_older

    def test_twenty_where_nothing_else_is_said(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(history_depth=0)
        ann = world.user()
        for _ in range(25):
            ann("send", text="x")

        assert len(ann("history", chat_id=world.common).messages) == 20

    def test_as_many_as_the_operator_says(self, make_world: MakeWorld) -> None:
        world = make_world(history_depth=3)
        ann = world.user()
        for _ in range(25):
            ann("send", text="x")

        assert len(ann("history", chat_id=world.common).messages) == 3

    def test_an_empty_chat(self, world: World, ann: Person) -> None:
        page = ann("history", chat_id=world.group(ann))

        assert (page.messages, page.head) == ([], 0)
        assert not page.has_older
        assert not page.has_newer


@pytest.mark.parametrize(
    ("params", "newer"),
    [
        ({}, False),
        ({"after": 0}, False),
        ({"after": 3}, False),
        ({"before": 1}, False),
        ({"before": 6}, False),
        ({"around": 3}, False),
    ],
)
def test_an_empty_page_of_somebody_who_came_later(
    world: World, params: dict[str, int], newer: bool
) -> None:
    """Nothing is visible: there is nothing on either side of the page."""
    ann, bob = world.users("ann bob")
    group = world.group(ann)
    for _ in range(5):
        ann("send", chat_id=group, text="x")
    ann("invite", chat_id=group, user_id=bob.id)

    page = bob("history", chat_id=group, **params)

    assert (page.messages, page.head) == ([], 5)
    assert (page.has_older, page.has_newer) == (False, newer)


def test_what_came_after_an_empty_page_is_newer(world: World) -> None:
    ann, bob = world.users("ann bob")
    group = world.group(ann)
    ann("send", chat_id=group, text="1")
    ann("invite", chat_id=group, user_id=bob.id)
    ann("send", chat_id=group, text="2")

    page = bob("history", chat_id=group, before=1)

    assert page.messages == []
    assert (page.has_older, page.has_newer) == (False, True)


def test_a_message_begins_without_revision(world: World) -> None:
    ann = world.user()
    ann("send", text="x")

    (message,) = ann("history", chat_id=world.common).messages
    assert (message.revision, message.comments) == (0, 0)


def test_a_comment_again_whose_target_has_gone(make_world: MakeWorld) -> None:
    world = make_world(message_ttl_seconds=10)
    ann = world.user()
    target = ann("send", text="x")
    asked = {"message_id": target.id, "text": "y", "idempotency_key": "k"}
    first = ann("comment", **asked)
    ann("read", chat_id=world.common, seq=1)
    world.wait(100)
    assert world.store.rows("SELECT * FROM messages WHERE seq = 1") == []

    assert ann("comment", **asked) == first


@pytest.mark.parametrize("text", ["x" * 4096, "\U0001f600" * 1024])
def test_a_page_of_long_texts_is_cut(world: World, text: str) -> None:
    ann = world.user("Ann")
    for _ in range(80):
        ann("send", text=text)

    page = ann("history", chat_id=world.common, limit=200)
    older = ann(
        "history", chat_id=world.common, limit=200, before=page.messages[0].seq
    )

    assert [m.seq for m in page.messages] == [*range(17, 81)]
    assert page.has_older
    assert [m.seq for m in older.messages] == [*range(1, 17)]


def test_a_repeated_comment_has_its_answer_after_leaving(world: World) -> None:
    ann, bob = world.users("Ann Bob")
    target = bob("send", text="hi")
    first = ann(
        "comment", message_id=target.id, text="ho", idempotency_key="k"
    )
    ann("exit", chat_id=world.common)

    assert (
        ann("comment", message_id=target.id, text="ho", idempotency_key="k")
        == first
    )

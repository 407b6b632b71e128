"""What happens to a message after it was sent: edit, delete, react."""

from typing import Any

import pytest

from tests.harness import NOWHERE, Asked, MakeWorld, Person, World, codes
from tests.harness import refused as expect
from zchat.chat.paces import Pace
from zchat.errors import Code, StoreAway
from zchat.rpc import REACTIONS_LIMIT, REACTORS_LISTED

CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("edit", {"text": "other"}),
    ("delete", {}),
    ("react", {"emoji": "👍"}),
)
every_change = pytest.mark.parametrize(
    ("method", "params"), CHANGES, ids=[name for name, _ in CHANGES]
)


def one(person: Person, chat_id: str) -> Any:
    """The newest message of a chat as the person sees it."""
    return person("history", chat_id=chat_id, limit=1).messages[-1]


class TestEdit:
    def test_everybody_is_told_the_whole_message(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        sent = ann("send", text="hullo", idempotency_key="k")
        world.told()
        world.advance(5)

        made = ann("edit", message_id=sent.id, text="hello")

        (told,) = world.told()
        message = one(bob, world.common)
        assert told.name == "message_changed"
        assert told.body["revision"] == made.revision == message.revision
        assert told.body["message"]["text"] == message.text == "hello"
        assert told.body["message"]["edited"] == made.edited
        assert (message.seq, message.id) == (sent.seq, sent.id)
        assert message.edited == made.edited != message.created

    def test_only_the_author_may(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann, bob)
        sent = bob("send", chat_id=chat_id, text="mine")

        with expect(Code.FORBIDDEN):
            ann("edit", message_id=sent.id, text="not yours")

    def test_for_so_long_after_it_was_sent(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(edit_seconds=60)
        ann = world.user()
        sent = ann("send", text="x")
        world.advance(59.9)
        ann("edit", message_id=sent.id, text="y")
        world.advance(0.1)

        with expect(Code.FORBIDDEN):
            ann("edit", message_id=sent.id, text="z")

    def test_not_at_all_where_the_operator_says_so(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(edit_seconds=0)
        ann = world.user()

        with expect(Code.FORBIDDEN):
            ann("edit", message_id=ann("send", text="x").id, text="y")

    def test_a_text_that_is_too_long(self, world: World, ann: Person) -> None:
        sent = ann("send", text="x")

        with expect(Code.TOO_LARGE, field="text", limit=4096):
            ann("edit", message_id=sent.id, text="x" * 4097)

    def test_repeated_with_its_key_it_changes_nothing(
        self, world: World, ann: Person
    ) -> None:
        sent = ann("send", text="x")
        asked = {"message_id": sent.id, "text": "y", "idempotency_key": "e"}
        first = ann("edit", **asked)
        ann("edit", message_id=sent.id, text="z")
        world.restart()
        world.told()

        assert ann("edit", **asked) == first
        with expect(Code.CONFLICT, field="idempotency_key"):
            ann("edit", **{**asked, "text": "w"})
        assert one(ann, world.common).text == "z"
        assert world.told() == []

    def test_what_was_edited_is_still_not_sent_twice(
        self, world: World, ann: Person
    ) -> None:
        first = ann("send", text="x", idempotency_key="k")
        ann("edit", message_id=first.id, text="y")
        ann("edit", message_id=first.id, text="z")

        assert ann("send", text="x", idempotency_key="k") == first
        for other in ("y", "z"):
            with expect(Code.CONFLICT, field="idempotency_key"):
                ann("send", text=other, idempotency_key="k")

    def test_too_often_waits(self, world: World, ann: Person) -> None:
        sent = ann("send", text="x")
        for number in range(Pace.EDITS.times):
            ann("edit", message_id=sent.id, text=str(number))

        with expect(Code.RATE_LIMITED, retry_after=60, remaining=0):
            ann("edit", message_id=sent.id, text="x")
        world.advance(60)
        ann("edit", message_id=sent.id, text="x")

    def test_a_batch_that_fails_spends_nothing(
        self, world: World, ann: Person
    ) -> None:
        sent = ann("send", text="x")
        for _ in range(Pace.EDITS.times + 1):
            world.store.faults = [("commit", StoreAway("gone"))]
            with expect(Code.UNAVAILABLE):
                ann("edit", message_id=sent.id, text="y")

        ann("edit", message_id=sent.id, text="y")


class TestOneSpaceOfKeys:
    @pytest.mark.parametrize("first", ["send", "comment", "schedule", "edit"])
    @pytest.mark.parametrize("second", ["send", "comment", "schedule", "edit"])
    def test_a_key_is_for_one_thing(
        self, world: World, ann: Person, first: str, second: str
    ) -> None:
        target = ann("send", text="target").id
        asked: dict[str, dict[str, Any]] = {
            "send": {"text": "x"},
            "comment": {"text": "x", "message_id": target},
            "schedule": {"text": "x", "send_at": world.at(60)},
            "edit": {"text": "x", "message_id": target},
        }
        before = ann(first, **asked[first], idempotency_key="k")

        if first == second:
            again = ann(second, **asked[second], idempotency_key="k")
            assert again == before
        else:
            with expect(Code.CONFLICT, field="idempotency_key"):
                ann(second, **asked[second], idempotency_key="k")

    def test_also_in_one_batch(self, world: World, ann: Person) -> None:
        outcomes = world.batch(
            [
                ann.asks("send", text="x", idempotency_key="k"),
                ann.asks(
                    "schedule",
                    text="x",
                    send_at=world.at(60),
                    idempotency_key="k",
                ),
            ]
        )

        assert codes(outcomes) == ["ok", "conflict"]


class TestDelete:
    def test_a_tombstone_stays(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        first = bob("send", text="first")
        file_id = world.file(ann, world.common, b"data")
        sent = ann(
            "send", text="@bob secret", comment_on=first.id, files=[file_id]
        )
        bob("react", message_id=sent.id, emoji="👍")
        ann("edit", message_id=sent.id, text="@bob SECRET")
        world.told()

        made = ann("delete", message_id=sent.id)

        message = one(bob, world.common)
        assert (message.id, message.seq) == (sent.id, sent.seq)
        assert message.author.id == ann.id
        assert message.is_comment_on == first.id
        assert message.created == sent.created
        assert message.deleted is not None
        assert (message.text, message.edited) == ("", None)
        assert (message.files, message.mentions) == ([], [])
        assert (message.reactions, message.revision) == ([], made.revision)
        with expect(Code.NOT_FOUND):
            bob("download", file_id=file_id)
        for table in ("files", "file_chunks", "reactors", "mentions", "edits"):
            assert world.store.rows(f"SELECT * FROM {table}") == []

    def test_its_files_make_room(self, make_world: MakeWorld) -> None:
        world = make_world(user_file_bytes=300_000, all_file_bytes=300_000)
        ann = world.user("ann")
        for _ in range(3):
            file_id = world.file(ann, world.common, bytes(200_000))
            sent = ann("send", text="x", files=[file_id])
            ann("delete", message_id=sent.id)

        world.file(ann, world.common, bytes(200_000))

    def test_by_author_owner_and_moderator(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann, bob)
        private = ann("p2p", user_id=bob.id).chat_id
        eve = world.user("eve")
        world.store.rows(
            "UPDATE users SET role = 'moderator' WHERE id = ?", eve.id
        )
        world.restart()
        in_group = bob("send", chat_id=chat_id, text="x").id
        in_common = bob("send", text="x").id
        in_private = bob("send", chat_id=private, text="x").id
        by_owner = ann("send", chat_id=chat_id, text="x").id

        for who, message_id in (
            (ann, in_common),
            (ann, in_private),
            (bob, by_owner),
        ):
            with expect(Code.FORBIDDEN):
                who("delete", message_id=message_id)
        with expect(Code.NOT_FOUND):
            eve("delete", message_id=in_group)
        ann("delete", message_id=in_group)
        eve("delete", message_id=in_common)
        bob("delete", message_id=in_private)

    def test_no_hash_of_its_text_is_kept(
        self, world: World, ann: Person
    ) -> None:
        sent = ann("send", text="x", idempotency_key="k")
        ann("edit", message_id=sent.id, text="y")
        (kept,) = world.store.rows("SELECT sent_hash FROM messages")
        assert kept != (None,)

        ann("delete", message_id=sent.id)

        assert world.store.rows("SELECT sent_hash FROM messages") == [(None,)]

    def test_a_reaction_taken_off_in_its_batch_finds_it_deleted(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        sent = ann("send", text="x")
        for person in (ann, bob):
            person("react", message_id=sent.id, emoji="+")
        off = {"message_id": sent.id, "emoji": "+", "on": False}

        outcomes = world.batch(
            [
                ann.asks("delete", message_id=sent.id),
                bob.asks("react", **off),
            ]
        )

        assert codes(outcomes) == ["ok", "conflict"]

    def test_own_ones_too_often_wait(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        world.operator("set_role", user_id=bob.id, role="moderator")
        sent = ann("send", text="x")
        for number in range(Pace.EDITS.times - 1):
            ann("edit", message_id=sent.id, text=str(number))
        last = ann("send", text="x")
        ann("delete", message_id=sent.id)

        with expect(Code.RATE_LIMITED):
            ann("delete", message_id=last.id)
        bob("delete", message_id=last.id)

    def test_who_moderates_is_not_slowed_down(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(bob, ann)
        in_group = ann("send", chat_id=chat_id, text="x")
        own = bob("send", text="x")
        for number in range(Pace.EDITS.times):
            bob("edit", message_id=own.id, text=str(number))

        bob("delete", message_id=in_group.id)
        world.operator("set_role", user_id=bob.id, role="moderator")
        bob("delete", message_id=ann("send", text="x").id)

    def test_twice_is_once(self, world: World, ann: Person) -> None:
        sent = ann("send", text="x")
        made = ann("delete", message_id=sent.id)
        world.told()

        assert ann("delete", message_id=sent.id) == made
        assert world.told() == []
        for method, params in CHANGES[::2]:
            with expect(Code.CONFLICT):
                ann(method, message_id=sent.id, **params)

    def test_a_repeated_send_does_not_bring_it_back(
        self, world: World, ann: Person
    ) -> None:
        first = ann("send", text="x", idempotency_key="k")
        ann("delete", message_id=first.id)

        assert ann("send", text="x", idempotency_key="k") == first
        assert one(ann, world.common).text == ""

    def test_what_was_scheduled_is_blank_too(
        self, world: World, ann: Person
    ) -> None:
        asked = {"text": "a secret", "send_at": world.at(1)}
        made = ann("schedule", **asked, idempotency_key="k")
        world.wait(2)
        ann("delete", message_id=one(ann, world.common).id)

        assert world.store.rows("SELECT text FROM scheduled") == [("",)]
        assert ann("schedule", **asked, idempotency_key="k") == made

    def test_evidence_of_a_complaint_stays(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        sent = ann("send", text="an insult")
        bob("report", user_id=ann.id, reason="x", message_id=sent.id)

        ann("delete", message_id=sent.id)

        assert world.store.rows("SELECT evidence FROM complaints") == [
            ("an insult",)
        ]

    def test_what_was_lost_holds_nothing_up(
        self, world: World, ann: Person
    ) -> None:
        """A store may be damaged; a text must go nevertheless."""
        file = world.file(ann, world.common, b"bytes")
        sent = ann("send", text="private", files=[file])
        world.store.rows("DELETE FROM files")

        ann("delete", message_id=sent.id)

        assert ann.texts(world.common) == [""]

    def test_edited_and_deleted_in_one_batch(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        sent = ann("send", text="x")

        outcomes = world.batch(
            [
                ann.asks("edit", message_id=sent.id, text="@bob"),
                bob.asks("react", message_id=sent.id, emoji="+"),
                ann.asks("delete", message_id=sent.id),
                bob.asks("react", message_id=sent.id, emoji="-"),
                ann.asks("edit", message_id=sent.id, text="again"),
            ]
        )

        assert codes(outcomes) == ["ok", "ok", "ok", "conflict", "conflict"]
        assert world.store.rows("SELECT * FROM mentions") == []
        assert world.store.rows("SELECT * FROM reactors") == []
        assert one(bob, world.common).reactions == []


class TestReact:
    def test_once_an_emoji_and_user(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        sent = ann("send", text="x")
        first = bob("react", message_id=sent.id, emoji="👍")
        ann("react", message_id=sent.id, emoji="👍")
        ann("react", message_id=sent.id, emoji="🎉")
        world.told()

        bob("react", message_id=sent.id, emoji="👍")

        assert world.told() == []
        assert [
            (found.emoji, found.count, found.users)
            for found in one(bob, world.common).reactions
        ] == [("👍", 2, [bob.id, ann.id]), ("🎉", 1, [ann.id])]
        assert one(bob, world.common).revision > first.revision

    def test_taken_off_again(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        sent = ann("send", text="x")
        for person in (ann, bob):
            person("react", message_id=sent.id, emoji="👍")
        ann("react", message_id=sent.id, emoji="👍", on=False)
        ann("react", message_id=sent.id, emoji="👍", on=False)
        (left,) = one(bob, world.common).reactions
        assert (left.count, left.users) == (1, [bob.id])

        bob("react", message_id=sent.id, emoji="👍", on=False)

        assert one(bob, world.common).reactions == []
        assert world.store.rows("SELECT * FROM reactors") == []

    def test_the_others_of_a_message_stay_as_they_are(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        sent = ann("send", text="x")
        ann("react", message_id=sent.id, emoji="👍")
        ann("react", message_id=sent.id, emoji="🎉")
        bob("react", message_id=sent.id, emoji="🎉")
        ann("react", message_id=sent.id, emoji="🎉", on=False)

        assert [
            (found.emoji, found.count, found.users)
            for found in one(bob, world.common).reactions
        ] == [("👍", 1, [ann.id]), ("🎉", 1, [bob.id])]

    def test_beyond_those_listed_the_next_moves_up(
        self, world: World, ann: Person
    ) -> None:
        sent = ann("send", text="x")
        people = [world.user() for _ in range(REACTORS_LISTED + 2)]
        for person in people:
            world.advance(1)
            person("react", message_id=sent.id, emoji="👍")

        people[3]("react", message_id=sent.id, emoji="👍", on=False)

        (found,) = one(ann, world.common).reactions
        left = [person.id for person in people if person is not people[3]]
        assert found.count == REACTORS_LISTED + 1
        assert found.users == left[:REACTORS_LISTED]

    def test_in_one_batch_each_counts(self, world: World, ann: Person) -> None:
        sent = ann("send", text="x")
        people = [world.user() for _ in range(REACTORS_LISTED + 5)]
        params = {"message_id": sent.id, "emoji": "👍"}
        world.batch([person.asks("react", **params) for person in people])

        world.batch(
            [person.asks("react", **params, on=False) for person in people[:4]]
        )

        (found,) = one(ann, world.common).reactions
        assert found.count == REACTORS_LISTED + 1
        assert len(set(found.users)) == REACTORS_LISTED
        assert not {person.id for person in people[:4]} & set(found.users)

    def test_so_many_different_ones(self, world: World, ann: Person) -> None:
        sent = ann("send", text="x")
        for number in range(REACTIONS_LIMIT):
            ann("react", message_id=sent.id, emoji=f"e{number}")

        with expect(Code.CONFLICT, limit=REACTIONS_LIMIT):
            ann("react", message_id=sent.id, emoji="more")
        ann("react", message_id=sent.id, emoji="e0", on=False)
        ann("react", message_id=sent.id, emoji="more")

    @pytest.mark.parametrize(
        "emoji",
        ["👨‍👩‍👧", "🏴\U000e0067\U000e0062\U000e007f", "❤️", "+1", "привет"],
    )
    def test_what_may_be_put(
        self, world: World, ann: Person, emoji: str
    ) -> None:
        sent = ann("send", text="x")
        ann("react", message_id=sent.id, emoji=emoji)

        assert one(ann, world.common).reactions[0].emoji == emoji

    @pytest.mark.parametrize(
        "emoji",
        ["", "a b", "\n", "\u202e", "\u200b", "x" * 33, "\x07", "\u3000"],
    )
    def test_what_may_not(self, world: World, ann: Person, emoji: str) -> None:
        sent = ann("send", text="x")

        with expect(Code.BAD_REQUEST, field="emoji"):
            ann("react", message_id=sent.id, emoji=emoji)

    def test_too_often_waits(self, world: World, ann: Person) -> None:
        sent = ann("send", text="x")
        for number in range(Pace.REACTIONS.times):
            ann("react", message_id=sent.id, emoji="+", on=number % 2 == 0)

        with expect(Code.RATE_LIMITED):
            ann("react", message_id=sent.id, emoji="+")


class TestWhoMay:
    """A message that one may not see is not there."""

    @every_change
    def test_a_stranger_learns_nothing(
        self,
        world: World,
        ann: Person,
        bob: Person,
        method: str,
        params: dict[str, Any],
    ) -> None:
        chat_id = world.group(ann)
        sent = ann("send", chat_id=chat_id, text="x")
        missing = world.batch([bob.asks(method, message_id=NOWHERE, **params)])
        strange = world.batch([bob.asks(method, message_id=sent.id, **params)])

        assert codes(missing) == codes(strange) == ["not_found"]
        assert missing[0].message == strange[0].message

    @every_change
    def test_a_former_member_neither(
        self,
        world: World,
        ann: Person,
        bob: Person,
        method: str,
        params: dict[str, Any],
    ) -> None:
        chat_id = world.group(ann, bob)
        sent = bob("send", chat_id=chat_id, text="x")
        bob("exit", chat_id=chat_id)

        with expect(Code.NOT_FOUND):
            bob(method, message_id=sent.id, **params)

    @every_change
    def test_nor_who_came_later(
        self,
        world: World,
        ann: Person,
        bob: Person,
        method: str,
        params: dict[str, Any],
    ) -> None:
        chat_id = world.group(ann)
        sent = ann("send", chat_id=chat_id, text="x")
        ann("invite", chat_id=chat_id, user_id=bob.id)

        with expect(Code.NOT_FOUND):
            bob(method, message_id=sent.id, **params)

    @every_change
    def test_an_event_shows_nothing_to_who_came_later(
        self,
        world: World,
        ann: Person,
        bob: Person,
        method: str,
        params: dict[str, Any],
    ) -> None:
        chat_id = world.group(ann)
        sent = ann("send", chat_id=chat_id, text="before bob came")
        ann("invite", chat_id=chat_id, user_id=bob.id)
        later = ann("send", chat_id=chat_id, text="bob sees this")
        before = ann("changes", chat_id=chat_id, after=0).revision
        world.told()

        ann(method, message_id=sent.id, **params)

        (told,) = world.told()
        assert told.name == "head"
        assert told.body["revision"] == before + 1
        assert bob("changes", chat_id=chat_id, after=before).messages == []
        (changed,) = ann("changes", chat_id=chat_id, after=before).messages
        assert changed.id == sent.id
        ann(method, message_id=later.id, **params)
        assert "message_changed" in world.told_names()

    @pytest.mark.parametrize(
        ("method", "params", "code"),
        [
            ("edit", {"text": "y"}, Code.BANNED),
            ("react", {"emoji": "+"}, Code.BANNED),
            ("delete", {}, None),
        ],
    )
    def test_who_is_banned_may_only_delete(
        self,
        make_world: MakeWorld,
        method: str,
        params: dict[str, Any],
        code: Code | None,
    ) -> None:
        world = make_world(max_warnings=1)
        ann, bob = world.users("ann bob")
        sent = ann("send", text="x")
        bob("report", user_id=ann.id, reason="x")

        (outcome,) = world.batch(
            [ann.asks(method, message_id=sent.id, **params)]
        )

        assert codes([outcome]) == [code.wire if code else "ok"]

    @every_change
    def test_what_has_expired_is_gone(
        self, make_world: MakeWorld, method: str, params: dict[str, Any]
    ) -> None:
        world = make_world(message_ttl_seconds=10)
        ann = world.user()
        sent = ann("send", text="x")
        ann("read", chat_id=world.common, seq=1)
        world.advance(10)

        with expect(Code.NOT_FOUND):
            ann(method, message_id=sent.id, **params)

    @every_change
    def test_no_token_no_change(
        self,
        world: World,
        ann: Person,
        method: str,
        params: dict[str, Any],
    ) -> None:
        sent = ann("send", text="x")
        asked = {"message_id": sent.id, **params}

        outcomes = world.batch(
            [Asked(None, method, asked), Asked(ann.id, method, asked)]
        )

        assert codes(outcomes) == ["unauthorized", "unauthorized"]


class TestChanges:
    def test_each_message_as_it_is_now(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann, bob)
        ids = [ann("send", chat_id=chat_id, text=text).id for text in "abcd"]
        start = ann("changes", chat_id=chat_id, after=0).revision
        ann("edit", message_id=ids[2], text="C")
        ann("delete", message_id=ids[0])
        bob("react", message_id=ids[2], emoji="👍")

        found = bob("changes", chat_id=chat_id, after=start)

        assert found.revision == start + 3
        assert [m.id for m in found.messages] == [ids[0], ids[2]]
        assert [m.revision for m in found.messages] == [start + 2, start + 3]
        assert found.messages[1].text == "C"
        assert not found.more
        again = bob("changes", chat_id=chat_id, after=start + 3)
        assert again.messages == []

    def test_members_with_other_names(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann, bob)
        first = bob("send", chat_id=chat_id, text="who am I")
        start = ann("changes", chat_id=chat_id, after=0).revision
        bob("rename", name="rob")
        bob("edit", message_id=first.id, text="who now")
        bob("rename", name="robert")

        (found,) = ann("changes", chat_id=chat_id, after=start).renamed
        page = ann("changes", chat_id=chat_id, after=start, limit=1)

        assert (found.id, found.name) == (bob.id, "robert")
        assert found.revision == start + 3
        assert not page.more
        assert page.renamed == [found]
        assert (
            ann("changes", chat_id=chat_id, after=found.revision).renamed == []
        )

    def test_a_name_that_changed_after_a_page_is_not_on_it(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        for text in "ab":
            sent = ann("send", text=text)
            ann("edit", message_id=sent.id, text="c")
        bob("rename", name="rob")

        page = ann("changes", chat_id=world.common, after=0, limit=1)
        rest = ann(
            "changes",
            chat_id=world.common,
            after=page.messages[-1].revision,
        )

        assert page.more
        assert page.renamed == []
        assert [one.name for one in rest.renamed] == ["rob"]

    def test_a_read_position_of_the_same_batch_is_kept(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        seq = ann("send", text="hello").seq
        world.batch(
            [
                bob.asks("read", chat_id=world.common, seq=seq),
                bob.asks("rename", name="rob"),
            ]
        )
        assert bob.chat(world.common).read == seq

    def test_in_pages(self, world: World, ann: Person) -> None:
        ids = [ann("send", text=str(n)).id for n in range(5)]
        for id in ids:
            ann("edit", message_id=id, text="x")
        after, pages = 0, []
        more = True
        while more:
            page = ann("changes", chat_id=world.common, after=after, limit=2)
            pages.append([message.id for message in page.messages])
            more = page.more
            after = page.messages[-1].revision if more else page.revision

        assert pages == [ids[:2], ids[2:4], ids[4:]]

    def test_what_the_chat_is_now(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann, bob)
        private = ann("p2p", user_id=bob.id).chat_id
        ann("rename_chat", chat_id=chat_id, name="Tea")

        chat = bob("changes", chat_id=chat_id, after=0).chat
        shown = bob("changes", chat_id=private, after=0).chat

        key = next(c for c in bob("sync").chats if c.id == chat_id).event_key
        assert (chat.name, chat.title, chat.size) == ("Tea", "Tea", 2)
        assert (chat.owner_id, chat.event_key) == (ann.id, key)
        assert (shown.name, shown.title) == ("p2p", "ann")
        assert bob(
            "changes", chat_id=world.common, after=0
        ).chat.event_key is (None)

    def test_only_what_may_be_seen(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann)
        sent = ann("send", chat_id=chat_id, text="x")
        with expect(Code.NOT_FOUND):
            bob("changes", chat_id=chat_id, after=0)
        ann("invite", chat_id=chat_id, user_id=bob.id)
        ann("edit", message_id=sent.id, text="before bob came")

        assert bob("changes", chat_id=chat_id, after=0).messages == []

    def test_a_later_owner_is_told(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann, bob)
        world.told()
        ann("exit", chat_id=chat_id)

        assert {
            "event": "owner_changed",
            "chat_id": chat_id,
            "owner_id": bob.id,
        } in world.told_in(chat_id)
        assert bob("changes", chat_id=chat_id, after=0).chat.owner_id == bob.id

    def test_a_new_name_is_told_to_all_chats(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        private = ann("p2p", user_id=bob.id).chat_id
        world.told()

        ann("rename", name="eve")

        told = [one.body for one in world.told() if one.name != "renamed"]
        assert [body["event"] for body in told] == ["member_renamed"] * 2
        assert {body["chat_id"] for body in told} == {world.common, private}
        assert told[0]["user"] == {"id": ann.id, "name": "eve"}
        assert bob.chat(private).title == "eve"

"""Who is in which chat: private chats, groups, links, leaving."""

from typing import Any

import pytest

from tests.harness import NOWHERE, Asked, Person, World, codes, refused
from zchat.chat import memberships
from zchat.chat.links import LIVE_LINKS
from zchat.errors import Code
from zchat.rpc import MEMBERSHIPS_LIMIT
from zchat.rpc.topics import chat_topic


@pytest.fixture
def eve(world: World) -> Person:
    return world.user("eve")


class TestP2P:
    def test_the_one_chat_of_two(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = ann("p2p", user_id=bob.id).chat_id

        assert bob("p2p", user_id=ann.id).chat_id == chat_id
        assert ann("p2p", user_id=bob.id.upper()).chat_id == chat_id
        assert ann.chat(chat_id).size == 2

    def test_both_who_want_it_at_once(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        one, other = world.batch(
            [ann.asks("p2p", user_id=bob.id), bob.asks("p2p", user_id=ann.id)]
        )

        assert one == other
        assert ann.chat(one.chat_id).size == 2

    def test_the_other_is_told(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        world.told()
        chat_id = ann("p2p", user_id=bob.id).chat_id

        assert world.told_to(bob) == [
            {
                "event": "chat_added",
                "chat_id": chat_id,
                "name": "p2p",
                "title": "ann",
                "kind": "p2p",
            }
        ]

    def test_not_with_oneself(self, ann: Person) -> None:
        with refused(Code.BAD_REQUEST, field="user_id"):
            ann("p2p", user_id=ann.id)

    def test_not_with_whom_one_does_not_meet(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        bob("exit", chat_id=world.common)

        for user_id in (bob.id, NOWHERE):
            with refused(Code.NOT_FOUND):
                ann("p2p", user_id=user_id)

    def test_a_shared_group_is_enough(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        world.group(ann, bob)
        bob("exit", chat_id=world.common)

        ann("p2p", user_id=bob.id)

    @pytest.mark.parametrize("leaver", [0, 1])
    def test_who_leaves_the_only_shared_chat_in_the_same_batch(
        self, world: World, ann: Person, bob: Person, leaver: int
    ) -> None:
        """Whichever of the two leaves: they share it no longer."""
        group = world.group(ann, bob)
        bob("exit", chat_id=world.common)
        who = (ann, bob)[leaver]

        outcomes = world.batch(
            [
                Asked(who, "exit", {"chat_id": group}, "another connection"),
                ann.asks("p2p", user_id=bob.id),
            ]
        )

        assert codes(outcomes) == ["ok", "not_found"]

    @pytest.mark.parametrize("newcomer", [0, 1])
    def test_who_comes_into_a_shared_chat_in_the_same_batch(
        self, world: World, ann: Person, bob: Person, newcomer: int
    ) -> None:
        group = world.group((ann, bob)[1 - newcomer])
        owner, other = (ann, bob) if newcomer else (bob, ann)
        link = owner("invite_link", chat_id=group).link
        other("join", link=link)
        bob("exit", chat_id=world.common)

        outcomes = world.batch(
            [
                Asked(
                    owner,
                    "approve",
                    {"chat_id": group, "user_id": other.id},
                    "another connection",
                ),
                ann.asks("p2p", user_id=bob.id),
            ]
        )

        assert codes(outcomes) == ["ok", "ok"]

    def test_who_left_is_brought_back(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = ann("p2p", user_id=bob.id).chat_id
        ann("send", chat_id=chat_id, text="1")
        bob("exit", chat_id=chat_id)
        ann("send", chat_id=chat_id, text="2")

        assert bob("p2p", user_id=ann.id).chat_id == chat_id

        assert bob.texts(chat_id) == ["1", "2"]
        assert bob.chat(chat_id).unread == 0

    def test_after_both_left_it_is_a_new_one(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        old = ann("p2p", user_id=bob.id).chat_id
        ann("send", chat_id=old, text="1")

        outcomes = world.batch(
            [
                ann.asks("exit", chat_id=old),
                bob.asks("exit", chat_id=old),
                bob.asks("p2p", user_id=ann.id),
            ]
        )

        assert codes(outcomes) == ["ok"] * 3
        new = outcomes[2].chat_id
        assert new != old
        assert ann.texts(new) == []
        assert world.store.rows("SELECT * FROM messages") == []

    def test_leaving_and_coming_back_in_one_batch(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = ann("p2p", user_id=bob.id).chat_id
        ann("send", chat_id=chat_id, text="1")

        outcomes = world.batch(
            [
                bob.asks("exit", chat_id=chat_id),
                bob.asks("p2p", user_id=ann.id),
                bob.asks("send", chat_id=chat_id, text="2"),
            ]
        )

        assert codes(outcomes) == ["ok"] * 3
        assert ann.texts(chat_id) == ["1", "2"]
        assert ann.chat(chat_id).size == 2

    def test_leaving_counts_for_who_comes_later_in_the_batch(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        outcomes = world.batch(
            [
                ann.asks("exit", chat_id=world.common),
                bob.asks("p2p", user_id=ann.id),
            ]
        )
        assert codes(outcomes) == ["ok", "not_found"]

        outcomes = world.batch(
            [ann.asks("connect"), bob.asks("p2p", user_id=ann.id)]
        )
        assert codes(outcomes) == ["ok", "ok"]

    @pytest.mark.parametrize(
        "method",
        [
            "rename_chat",
            "invite",
            "remove",
            "invite_link",
            "invite_links",
            "join_requests",
            "approve",
            "deny",
        ],
    )
    def test_nobody_owns_it(
        self, world: World, ann: Person, bob: Person, method: str
    ) -> None:
        other = {"user_id": bob.id}
        params = {
            "rename_chat": {"name": "x"},
            "invite": other,
            "remove": other,
            "approve": other,
            "deny": other,
        }
        for chat_id in (ann("p2p", user_id=bob.id).chat_id, world.common):
            with refused(Code.FORBIDDEN):
                ann(method, chat_id=chat_id, **params.get(method, {}))


class TestGroup:
    def test_its_maker_is_the_owner(self, world: World, ann: Person) -> None:
        world.told()
        chat_id = ann("create_chat", name="Tea").chat_id

        assert world.told_to(ann) == [
            {
                "event": "chat_added",
                "chat_id": chat_id,
                "name": "Tea",
                "title": "Tea",
                "kind": "group",
            }
        ]
        ann("rename_chat", chat_id=chat_id, name="Coffee")
        assert ann.chat(chat_id).name == "Coffee"

    @pytest.mark.parametrize("name", ["", " x", "a\nb", "x" * 65])
    def test_names_that_are_refused(self, ann: Person, name: str) -> None:
        with refused(Code.BAD_REQUEST, field="name"):
            ann("create_chat", name=name)

    @pytest.mark.parametrize("name", ["default", "DEFAULT", "p2p", "P2P"])
    def test_names_of_other_chats(
        self, world: World, ann: Person, name: str
    ) -> None:
        chat_id = world.group(ann)
        with refused(Code.BAD_REQUEST, field="name"):
            ann("create_chat", name=name)
        with refused(Code.BAD_REQUEST, field="name"):
            ann("rename_chat", chat_id=chat_id, name=name)

    def test_who_is_invited_is_a_member(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann)
        ann("send", chat_id=chat_id, text="before")
        world.told()

        ann("invite", chat_id=chat_id, user_id=bob.id)

        events = world.told()
        assert [(told.name, told.sealed) for told in events] == [
            ("key_changed", True),
            ("member_joined", True),
            ("chat_added", True),
        ]
        ann("send", chat_id=chat_id, text="after")
        assert bob.texts(chat_id) == ["after"]
        assert bob.chat(chat_id).unread == 1
        ann("invite", chat_id=chat_id, user_id=bob.id)
        assert bob.chat(chat_id).size == 2

    def test_only_acquaintances_are_invited(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        bob("exit", chat_id=world.common)
        chat_id = world.group(ann)

        for user_id in (bob.id, NOWHERE):
            with refused(Code.NOT_FOUND):
                ann("invite", chat_id=chat_id, user_id=user_id)

    def test_only_the_owner_may(
        self, world: World, ann: Person, bob: Person, eve: Person
    ) -> None:
        chat_id = world.group(ann, bob)
        for method, params in (
            ("rename_chat", {"name": "x"}),
            ("invite", {"user_id": eve.id}),
            ("remove", {"user_id": ann.id}),
            ("invite_link", {}),
            ("invite_links", {}),
            ("join_requests", {}),
            ("approve", {"user_id": eve.id}),
            ("deny", {"user_id": eve.id}),
        ):
            with refused(Code.FORBIDDEN):
                bob(method, chat_id=chat_id, **params)
            for place in (chat_id, NOWHERE):
                with refused(Code.NOT_FOUND):
                    eve(method, chat_id=place, **params)

    def test_rename_tells_the_members(self, world: World, ann: Person) -> None:
        chat_id = world.group(ann)
        world.told()

        ann("rename_chat", chat_id=chat_id, name="x")
        ann("rename_chat", chat_id=chat_id, name="x")

        assert world.told_in(chat_id) == [
            {"event": "chat_renamed", "chat_id": chat_id, "name": "x"}
        ]

    def test_who_is_removed_has_nothing_any_more(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann, bob)
        sent = ann("send", chat_id=chat_id, text="1")
        world.told()

        ann("remove", chat_id=chat_id, user_id=bob.id)

        assert world.told_to(bob) == [
            {"event": "chat_removed", "chat_id": chat_id}
        ]
        for method, params in (
            ("send", {"chat_id": chat_id, "text": "x"}),
            ("history", {"chat_id": chat_id}),
            ("comments", {"message_id": sent.id}),
            ("comment", {"message_id": sent.id, "text": "x"}),
        ):
            with refused(Code.NOT_FOUND):
                bob(method, **params)
        assert len(bob("sync").chats) == 1
        assert ann.chat(chat_id).size == 1

    def test_removing_whom_there_is_not(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann)
        for user_id in (bob.id, NOWHERE):
            with refused(Code.NOT_FOUND):
                ann("remove", chat_id=chat_id, user_id=user_id)
        with refused(Code.BAD_REQUEST, field="user_id"):
            ann("remove", chat_id=chat_id, user_id=ann.id)

    def test_removal_counts_at_once(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann, bob)

        outcomes = world.batch(
            [
                bob.asks("send", chat_id=chat_id, text="1"),
                ann.asks("remove", chat_id=chat_id, user_id=bob.id),
                bob.asks("send", chat_id=chat_id, text="2"),
                bob.asks("history", chat_id=chat_id),
            ]
        )

        assert codes(outcomes) == ["ok", "ok", "not_found", "not_found"]
        assert ann.texts(chat_id) == ["1"]

    def test_who_comes_back_sees_what_follows_only(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann, bob)
        ann("send", chat_id=chat_id, text="1")

        outcomes = world.batch(
            [
                ann.asks("remove", chat_id=chat_id, user_id=bob.id),
                ann.asks("send", chat_id=chat_id, text="2"),
                ann.asks("invite", chat_id=chat_id, user_id=bob.id),
                ann.asks("send", chat_id=chat_id, text="3"),
            ]
        )

        assert codes(outcomes) == ["ok"] * 4
        assert bob.texts(chat_id) == ["3"]

    def test_groups_of_one_batch_all_count(
        self,
        world: World,
        ann: Person,
        bob: Person,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(memberships, "MEMBERSHIPS_LIMIT", 3)
        makers = (ann, bob, ann, ann, bob)

        outcomes = world.batch(
            [maker.asks("create_chat", name="x") for maker in makers]
        )

        assert codes(outcomes) == ["ok", "ok", "ok", "conflict", "ok"]


class TestExit:
    def test_an_owner_hands_the_group_on(
        self, world: World, ann: Person, bob: Person, eve: Person
    ) -> None:
        chat_id = world.group(ann)
        ann("invite", chat_id=chat_id, user_id=eve.id)
        world.advance(1)
        ann("invite", chat_id=chat_id, user_id=bob.id)

        ann("exit", chat_id=chat_id)

        eve("rename_chat", chat_id=chat_id, name="Eve's")
        with refused(Code.FORBIDDEN):
            bob("rename_chat", chat_id=chat_id, name="Bob's")

    def test_to_whom_does_not_leave_in_the_same_batch(
        self, world: World, ann: Person, bob: Person, eve: Person
    ) -> None:
        chat_id = world.group(ann)
        for one in (bob, eve):
            world.advance(1)
            ann("invite", chat_id=chat_id, user_id=one.id)

        world.batch(
            [
                bob.asks("exit", chat_id=chat_id),
                ann.asks("exit", chat_id=chat_id),
            ]
        )

        eve("rename_chat", chat_id=chat_id, name="Eve's")

    def test_two_owners_in_one_batch(
        self, world: World, ann: Person, bob: Person, eve: Person
    ) -> None:
        chat_id = world.group(ann, bob, eve)
        world.batch([one.asks("exit", chat_id=chat_id) for one in (ann, bob)])

        eve("rename_chat", chat_id=chat_id, name="Eve's")
        assert eve.chat(chat_id).size == 1

    def test_an_heir_who_comes_in_the_same_batch(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann)
        world.batch(
            [
                ann.asks("invite", chat_id=chat_id, user_id=bob.id),
                ann.asks("exit", chat_id=chat_id),
            ]
        )

        bob("rename_chat", chat_id=chat_id, name="Bob's")

    def test_the_last_one_takes_the_group_along(
        self, world: World, ann: Person, bob: Person, eve: Person
    ) -> None:
        chat_id = world.group(ann, bob)
        link = ann("invite_link", chat_id=chat_id).link
        eve("join", link=link)
        ann(
            "send",
            chat_id=chat_id,
            text="x",
            files=[world.file(ann, chat_id, b"data")],
        )
        world.file(bob, chat_id, b"more data")
        for one in (ann, bob):
            one("exit", chat_id=chat_id)

        for table in (
            "messages",
            "files",
            "file_chunks",
            "links",
            "join_requests",
        ):
            assert world.store.rows(f"SELECT * FROM {table}") == []
        with refused(Code.NOT_FOUND):
            eve("join", link=link)
        assert eve("status").chats_count == 1

    def test_a_message_of_the_same_batch_goes_too(
        self, world: World, ann: Person
    ) -> None:
        chat_id = world.group(ann)

        world.batch(
            [
                ann.asks("send", chat_id=chat_id, text="x"),
                ann.asks("exit", chat_id=chat_id),
            ]
        )

        assert world.store.rows("SELECT * FROM messages") == []

    def test_the_common_chat_stays(self, world: World, ann: Person) -> None:
        ann("send", text="x")
        ann("exit", chat_id=world.common)
        with refused(Code.NOT_FOUND):
            ann("send", text="x")

        world.call("connect", ann)
        assert ann.texts(world.common) == ["x"]

    def test_twice_at_once(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann, bob)

        outcomes = world.batch([bob.asks("exit", chat_id=chat_id)] * 2)

        assert codes(outcomes) == ["ok", "not_found"]
        assert ann.chat(chat_id).size == 1


class TestKeys:
    def test_private_events_are_sealed(
        self, world: World, ann: Person, bob: Person, eve: Person
    ) -> None:
        chat_id = ann("p2p", user_id=bob.id).chat_id
        for one in (ann, bob, eve):
            one.syncs()
        world.told()

        ann("send", chat_id=chat_id, text="secret")

        (told,) = world.told()
        assert told.sealed
        assert b"secret" not in told.raw.body
        assert [one.opens(told) for one in (ann, bob, eve)] == [
            True,
            True,
            False,
        ]

    def test_the_key_changes_when_somebody_leaves(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann, bob)
        bob.syncs()
        world.told()

        ann("remove", chat_id=chat_id, user_id=bob.id)
        ann("send", chat_id=chat_id, text="secret")

        told = [
            one for one in world.told() if one.raw.topic == chat_topic(chat_id)
        ]
        assert [(one.name, bob.opens(one)) for one in told] == [
            ("key_changed", True),
            ("member_left", False),
            ("message", False),
        ]

    def test_also_for_messages_of_the_same_batch(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann, bob)
        bob.syncs()
        world.told()

        world.batch(
            [
                ann.asks("send", chat_id=chat_id, text="1"),
                bob.asks("exit", chat_id=chat_id),
                ann.asks("send", chat_id=chat_id, text="2"),
            ]
        )

        opened = [
            told.body["message"]["text"]
            for told in world.told()
            if told.name == "message" and bob.opens(told)
        ]
        assert opened == ["1"]

    def test_a_newcomer_cannot_open_what_was_before(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann)
        world.told()
        ann("send", chat_id=chat_id, text="1")
        ann("invite", chat_id=chat_id, user_id=bob.id)
        bob.syncs()
        ann("send", chat_id=chat_id, text="2")

        opened = [
            told.body["message"]["text"]
            for told in world.told()
            if told.name == "message" and bob.opens(told)
        ]
        assert opened == ["2"]

    def test_keys_are_numbered_in_order(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        chat_id = world.group(ann)
        keys = []
        for act in ("invite", "remove"):
            keys.append(self.key_of(ann, chat_id))
            ann(act, chat_id=chat_id, user_id=bob.id)
        keys.append(self.key_of(ann, chat_id))

        assert [key.id for key in keys] == [1, 2, 3]
        assert len({key.secret for key in keys}) == 3

    def test_keys_of_inboxes_too(self, world: World, ann: Person) -> None:
        keys = [ann("sync").inbox_key]
        for _ in range(2):
            ann.token = ann("rotate_token").token
            keys.append(ann("sync").inbox_key)

        assert [key.id for key in keys] == [1, 2, 3]
        assert len({key.secret for key in keys}) == 3

    @staticmethod
    def key_of(person: Person, chat_id: str) -> Any:
        """The key of a chat's events as the person learns it."""
        return next(
            chat.event_key
            for chat in person("sync").chats
            if chat.id == chat_id
        )

    def test_keys_outlive_a_restart(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        ann("p2p", user_id=bob.id)
        before = ann("sync")
        world.restart()

        assert ann("sync") == before


class TestLinks:
    @pytest.fixture
    def chat_id(self, world: World, ann: Person) -> str:
        return world.group(ann)

    def test_a_stranger_waits_for_the_owner(
        self, world: World, ann: Person, bob: Person, chat_id: str
    ) -> None:
        made = ann("invite_link", chat_id=chat_id)
        assert made.expires_at == world.at(86_400)
        world.told()

        joined = bob("join", link=made.link)

        assert joined.state == "pending"
        assert world.told_to(ann) == [
            {
                "event": "join_requested",
                "chat_id": chat_id,
                "user": {"id": bob.id, "name": "bob"},
            }
        ]
        with refused(Code.NOT_FOUND):
            bob("history", chat_id=chat_id)
        (request,) = ann("join_requests", chat_id=chat_id).requests
        assert (request.user.id, request.user.name, request.created) == (
            bob.id,
            "bob",
            world.at(0),
        )

    def test_the_owner_approves(
        self, world: World, ann: Person, bob: Person, chat_id: str
    ) -> None:
        made = ann("invite_link", chat_id=chat_id, max_uses=7)
        ann("send", chat_id=chat_id, text="before")
        bob("join", link=made.link)
        world.told()

        ann("approve", chat_id=chat_id, user_id=bob.id)

        assert [body["event"] for body in world.told_to(bob)] == [
            "chat_added",
            "join_decided",
        ]
        assert bob.texts(chat_id) == []
        (link,) = ann("invite_links", chat_id=chat_id).links
        assert (link.link_id, link.uses) == (made.link_id, 1)
        assert (link.max_uses, link.expires_at) == (7, made.expires_at)
        assert ann("join_requests", chat_id=chat_id).requests == []
        joined = bob("join", link=made.link)
        assert (joined.state, joined.chat_id) == ("member", chat_id)

    def test_what_the_decision_says(
        self, world: World, ann: Person, bob: Person, eve: Person, chat_id: str
    ) -> None:
        made = ann("invite_link", chat_id=chat_id)
        for one in (bob, eve):
            one("join", link=made.link)
        ann("approve", chat_id=chat_id, user_id=bob.id)
        assert world.told_to(bob)[-1] == {
            "event": "join_decided",
            "chat_id": chat_id,
            "link_id": made.link_id,
            "approved": True,
        }

        ann("deny", chat_id=chat_id, user_id=eve.id)
        assert world.told_to(eve) == [
            {
                "event": "join_decided",
                "chat_id": None,
                "link_id": made.link_id,
                "approved": False,
            }
        ]

    def test_who_is_denied_may_ask_again(
        self, ann: Person, bob: Person, chat_id: str
    ) -> None:
        link = ann("invite_link", chat_id=chat_id, max_uses=1).link
        bob("join", link=link)
        ann("deny", chat_id=chat_id, user_id=bob.id)
        with refused(Code.NOT_FOUND):
            ann("approve", chat_id=chat_id, user_id=bob.id)

        assert bob("join", link=link).state == "pending"
        ann("approve", chat_id=chat_id, user_id=bob.id)

    def test_asking_twice_is_asking_once(
        self, world: World, ann: Person, bob: Person, chat_id: str
    ) -> None:
        link = ann("invite_link", chat_id=chat_id).link
        world.told()

        world.batch([bob.asks("join", link=link)] * 2)

        assert len(world.told_to(ann)) == 1
        assert len(ann("join_requests", chat_id=chat_id).requests) == 1

    def test_the_link_is_kept_as_a_hash_only(
        self, world: World, ann: Person, chat_id: str
    ) -> None:
        link = ann("invite_link", chat_id=chat_id).link

        assert link not in str(world.store.rows("SELECT * FROM links"))

    def test_one_answer_for_every_dead_link(
        self, world: World, ann: Person, bob: Person, eve: Person, chat_id: str
    ) -> None:
        expired = ann("invite_link", chat_id=chat_id, expires_in=1).link
        world.advance(1)
        used = ann("invite_link", chat_id=chat_id, max_uses=1).link
        eve("join", link=used)
        ann("approve", chat_id=chat_id, user_id=eve.id)
        revoked = ann("invite_link", chat_id=chat_id).link
        ann("revoke_link", link=revoked)
        gone = eve("invite_link", chat_id=world.group(eve)).link
        eve("exit", chat_id=eve("chats").chats[-1].id)

        outcomes = world.batch(
            [
                Asked(bob, "join", {"link": link})
                for link in (
                    "unknown",
                    expired,
                    used,
                    revoked,
                    gone,
                    "x" * 128,
                )
            ]
        )

        assert {outcome.message for outcome in outcomes} == {
            outcomes[0].message
        }
        assert codes(outcomes) == ["not_found"] * 6
        assert ann("invite_links", chat_id=chat_id).links == []

    def test_a_use_counts_at_approval(
        self, world: World, ann: Person, bob: Person, eve: Person, chat_id: str
    ) -> None:
        link = ann("invite_link", chat_id=chat_id, max_uses=1).link
        for one in (bob, eve):
            assert one("join", link=link).state == "pending"

        outcomes = world.batch(
            [
                ann.asks("approve", chat_id=chat_id, user_id=one.id)
                for one in (bob, eve)
            ]
        )

        assert codes(outcomes) == ["ok", "conflict"]
        assert ann.chat(chat_id).size == 2
        ann("invite", chat_id=chat_id, user_id=eve.id)
        assert ann("join_requests", chat_id=chat_id).requests == []

    def test_a_use_is_never_counted_twice(
        self, world: World, ann: Person, bob: Person, chat_id: str
    ) -> None:
        link = ann("invite_link", chat_id=chat_id, max_uses=2).link
        bob("join", link=link)

        outcomes = world.batch(
            [ann.asks("approve", chat_id=chat_id, user_id=bob.id)] * 2
        )

        assert codes(outcomes) == ["ok", "not_found"]
        assert ann("invite_links", chat_id=chat_id).links[0].uses == 1

    def test_who_is_invited_meanwhile_uses_no_link(
        self, world: World, ann: Person, bob: Person, chat_id: str
    ) -> None:
        link = ann("invite_link", chat_id=chat_id, max_uses=1).link
        bob("join", link=link)

        outcomes = world.batch(
            [
                ann.asks("invite", chat_id=chat_id, user_id=bob.id),
                ann.asks("approve", chat_id=chat_id, user_id=bob.id),
            ]
        )

        assert codes(outcomes) == ["ok", "not_found"]
        assert ann("invite_links", chat_id=chat_id).links[0].uses == 0

    def test_approving_after_the_end_of_the_link(
        self, world: World, ann: Person, bob: Person, eve: Person, chat_id: str
    ) -> None:
        made = ann("invite_link", chat_id=chat_id, expires_in=10)
        for one in (bob, eve):
            one("join", link=made.link)
        world.advance(20)
        ann("approve", chat_id=chat_id, user_id=bob.id)
        ann("revoke_link", link=made.link_id)
        ann("approve", chat_id=chat_id, user_id=eve.id)

        assert ann.chat(chat_id).size == 3

    def test_revoking_by_the_link_or_its_id(
        self, ann: Person, chat_id: str
    ) -> None:
        one = ann("invite_link", chat_id=chat_id)
        other = ann("invite_link", chat_id=chat_id)

        ann("revoke_link", link=one.link)
        ann("revoke_link", link=other.link_id.upper())

        assert ann("invite_links", chat_id=chat_id).links == []
        ann("revoke_link", link=one.link)

    def test_only_the_owner_revokes(
        self, ann: Person, bob: Person, chat_id: str
    ) -> None:
        made = ann("invite_link", chat_id=chat_id)
        ann("invite", chat_id=chat_id, user_id=bob.id)

        for link in (made.link, made.link_id, NOWHERE, "x"):
            with refused(Code.NOT_FOUND):
                bob("revoke_link", link=link)

    def test_the_heir_is_told_of_who_waits(
        self, world: World, ann: Person, bob: Person, eve: Person, chat_id: str
    ) -> None:
        ann("invite", chat_id=chat_id, user_id=bob.id)
        link = ann("invite_link", chat_id=chat_id).link
        world.told()

        world.batch(
            [ann.asks("exit", chat_id=chat_id), eve.asks("join", link=link)]
        )

        assert "join_requested" in [
            body["event"] for body in world.told_to(bob)
        ]

    def test_into_a_group_that_ended_in_the_same_batch(
        self, world: World, ann: Person, bob: Person, chat_id: str
    ) -> None:
        link = ann("invite_link", chat_id=chat_id).link

        outcomes = world.batch(
            [ann.asks("exit", chat_id=chat_id), bob.asks("join", link=link)]
        )

        assert codes(outcomes) == ["ok", "not_found"]
        assert world.store.rows("SELECT * FROM join_requests") == []

    def test_so_many_live_links(
        self, world: World, ann: Person, chat_id: str
    ) -> None:
        outcomes = world.batch(
            [ann.asks("invite_link", chat_id=chat_id)] * (LIVE_LINKS + 1)
        )
        assert codes(outcomes) == ["ok"] * LIVE_LINKS + ["conflict"]

        outcomes = world.batch(
            [
                ann.asks("revoke_link", link=outcomes[0].link),
                ann.asks("invite_link", chat_id=chat_id),
                ann.asks("invite_link", chat_id=chat_id),
            ]
        )
        assert codes(outcomes) == ["ok", "ok", "conflict"]

    def test_revoking_a_dead_one_makes_no_room(
        self, world: World, ann: Person, chat_id: str
    ) -> None:
        dead = ann("invite_link", chat_id=chat_id, expires_in=1).link
        world.advance(2)
        for _ in range(LIVE_LINKS):
            ann("invite_link", chat_id=chat_id)

        outcomes = world.batch(
            [
                ann.asks("revoke_link", link=dead),
                ann.asks("invite_link", chat_id=chat_id),
            ]
        )

        assert codes(outcomes) == ["ok", "conflict"]

    def test_who_is_removed_is_approved_in_the_next_batch(
        self, world: World, ann: Person, bob: Person, chat_id: str
    ) -> None:
        ann("invite", chat_id=chat_id, user_id=bob.id)
        link = ann("invite_link", chat_id=chat_id).link
        before = world.store.committed

        outcomes = world.batch(
            [
                ann.asks("remove", chat_id=chat_id, user_id=bob.id),
                bob.asks("join", link=link),
                Asked(
                    ann,
                    "approve",
                    {"chat_id": chat_id, "user_id": bob.id},
                    "another connection",
                ),
            ]
        )

        assert codes(outcomes) == ["ok"] * 3
        assert world.store.committed == before + 2

    def test_links_outlive_a_restart(
        self, world: World, ann: Person, bob: Person, chat_id: str
    ) -> None:
        link = ann("invite_link", chat_id=chat_id, max_uses=1).link
        bob("join", link=link)
        world.restart()

        ann("approve", chat_id=chat_id, user_id=bob.id)
        world.restart()

        assert bob.chat(chat_id).size == 2
        with refused(Code.NOT_FOUND):
            world.user()("join", link=link)

    @pytest.mark.parametrize(
        ("field", "value"),
        [("expires_in", 0), ("expires_in", 31_536_001), ("max_uses", 0)],
    )
    def test_bounds(
        self, ann: Person, chat_id: str, field: str, value: int
    ) -> None:
        with refused(Code.BAD_REQUEST, field=field):
            ann("invite_link", chat_id=chat_id, **{field: value})


def test_a_user_is_in_so_many_groups_at_the_most(world: World) -> None:
    ann, bob = world.users("Ann Bob")
    for _ in range(MEMBERSHIPS_LIMIT - 1):
        ann("create_chat", name="one of many")
    own = bob("create_chat", name="Bob's").chat_id

    with refused(Code.CONFLICT, limit=MEMBERSHIPS_LIMIT):
        ann("create_chat", name="one too many")
    with refused(Code.CONFLICT, limit=MEMBERSHIPS_LIMIT):
        bob("invite", chat_id=own, user_id=ann.id)

    ann("exit", chat_id=world.common)
    ann("create_chat", name="one more")

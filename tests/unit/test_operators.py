"""What operators and moderators may do, on whom, and what is written down."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.harness import (
    NOWHERE,
    Asked,
    MakeWorld,
    Person,
    World,
    codes,
    refused,
)
from zchat.chat.jobs import BackUp
from zchat.errors import Code, Refused
from zchat.model import OPERATOR_ID
from zchat.rpc.methods import METHODS

MODERATORS = {m.name: m for m in METHODS if m.role == "moderator"}
ADMINS = {m.name: m for m in METHODS if m.role == "admin"}

SAMPLE: dict[str, dict[str, Any]] = {
    "resolve": {"id": NOWHERE, "verdict": "dismissed"},
    "ban": {"user_id": NOWHERE, "reason": "x"},
    "unban": {"user_id": NOWHERE},
    "set_role": {"user_id": NOWHERE, "role": "admin"},
    "reset_token": {"user_id": NOWHERE},
    "close_account": {"user_id": NOWHERE},
    "announce": {"text": "x"},
    "revoke_invite": {"id": NOWHERE},
    "delete_message": {"message_id": NOWHERE},
}
"""What each of them takes, where it needs anything."""


def staff(world: World, name: str, role: str) -> Person:
    """A user with a role."""
    person = world.user(name)
    world.operator("set_role", user_id=person.id, role=role)
    return person


def actions(world: World) -> list[str]:
    """The audit log's actions, oldest first."""
    entries = world.operator("audit").entries
    return [entry.action for entry in reversed(entries)]


class TestWhoMay:
    """A member may nothing, a moderator some, an admin all."""

    @pytest.mark.parametrize("method", [*MODERATORS, *ADMINS])
    def test_a_member_may_not_and_learns_nothing(
        self, world: World, method: str
    ) -> None:
        ann, bob = world.users("ann bob")
        given = SAMPLE.get(method, {})
        with refused(Code.FORBIDDEN):
            ann(method, **given)
        if "user_id" in given:
            with refused(Code.FORBIDDEN):
                ann(method, **given | {"user_id": bob.id})
        assert actions(world) == []

    @pytest.mark.parametrize("method", ADMINS)
    def test_a_moderator_may_not_do_what_admins_do(
        self, world: World, method: str
    ) -> None:
        mod = staff(world, "mod", "moderator")
        with refused(Code.FORBIDDEN):
            mod(method, **SAMPLE.get(method, {}))

    @pytest.mark.parametrize("method", [*MODERATORS, *ADMINS])
    def test_an_admin_may(self, world: World, method: str) -> None:
        boss = staff(world, "boss", "admin")
        needs_a_row = {"user_id", "id", "message_id"} & set(
            SAMPLE.get(method, {})
        )
        if needs_a_row:
            with refused(Code.NOT_FOUND):
                boss(method, **SAMPLE[method])
        else:
            assert boss(method, **SAMPLE.get(method, {}))

    def test_every_method_of_operators_is_tried(self) -> None:
        assert len(MODERATORS) == 4
        assert set(SAMPLE) <= {*MODERATORS, *ADMINS}

    @pytest.mark.parametrize("method", [*MODERATORS, *ADMINS])
    def test_no_token_opens_nothing(self, world: World, method: str) -> None:
        for token in (None, "nobody's", OPERATOR_ID):
            with refused(Code.UNAUTHORIZED):
                world.call(method, token, **SAMPLE.get(method, {}))

    def test_a_role_that_was_taken_away_just_before(
        self, world: World
    ) -> None:
        mod, ann = staff(world, "mod", "moderator"), world.user("ann")
        boss = staff(world, "boss", "admin")
        outcomes = world.batch(
            [
                boss.asks("set_role", user_id=mod.id, role="member"),
                mod.asks("ban", user_id=ann.id, reason="x"),
                mod.asks("complaints"),
            ]
        )
        assert codes(outcomes) == ["ok", "forbidden", "forbidden"]

    @pytest.mark.parametrize(
        "method", [name for name, row in ADMINS.items() if not row.reads]
    )
    def test_so_it_is_with_every_change_of_an_admin(
        self, world: World, method: str
    ) -> None:
        boss, ann = staff(world, "boss", "admin"), world.user("ann")
        invite = world.operator("create_invite").id
        given = SAMPLE.get(method, {}) | {
            "user_id": ann.id,
            "id": invite,
            "message_id": ann("send", text="x").id,
        }
        known = {
            name: given[name]
            for name in given
            if name in SAMPLE.get(method, {})
        }
        outcomes = world.batch(
            [
                world.operator.asks(
                    "set_role", user_id=boss.id, role="member"
                ),
                boss.asks(method, **known),
            ]
        )
        assert codes(outcomes) == ["ok", "forbidden"]
        assert actions(world)[-1] == "set_role"

    def test_a_banned_moderator_may_not(self, world: World) -> None:
        mod, ann = staff(world, "mod", "moderator"), world.user("ann")
        own = mod("send", text="x")
        world.operator("ban", user_id=mod.id, reason="x")
        assert mod("delete", message_id=own.id)
        with refused(Code.BANNED):
            mod("ban", user_id=ann.id, reason="x")
        sent = ann("send", text="x")
        with refused(Code.BANNED):
            mod("delete", message_id=sent.id)

    @pytest.mark.parametrize("role", ["moderator", "admin"])
    @pytest.mark.parametrize("method", ["ban", "unban"])
    def test_a_moderator_acts_on_members_only(
        self, world: World, role: str, method: str
    ) -> None:
        mod, other = staff(world, "mod", "moderator"), staff(world, "x", role)
        world.operator("ban", user_id=other.id, reason="x")
        with refused(Code.FORBIDDEN):
            mod(method, **SAMPLE[method] | {"user_id": other.id})
        assert other("status").user.banned_until

    def test_nor_on_complaints_about_others(self, world: World) -> None:
        mod, boss = (
            staff(world, "mod", "moderator"),
            staff(world, "boss", "admin"),
        )
        complaint = world.user()("report", user_id=boss.id, reason="bossy")
        with refused(Code.FORBIDDEN):
            mod("resolve", id=complaint.id, verdict="upheld")

    def test_nobody_judges_themselves(self, world: World) -> None:
        boss, ann = staff(world, "boss", "admin"), world.user("ann")
        complaint = ann("report", user_id=boss.id, reason="bossy")
        with refused(Code.FORBIDDEN):
            boss("ban", user_id=boss.id, reason="x")
        with refused(Code.FORBIDDEN):
            boss("resolve", id=complaint.id, verdict="dismissed")
        assert world.operator("resolve", id=complaint.id, verdict="dismissed")


class TestBans:
    """Bans by hand live beside those of complaints."""

    def test_a_ban_and_its_end(self, world: World) -> None:
        ann = world.user("ann")
        world.told()
        until = world.operator(
            "ban", user_id=ann.id, seconds=60, reason="spam"
        ).until
        assert until == world.at(60)
        (event,) = world.told_to(ann)
        assert (event["event"], event["until"]) == ("banned", until)
        with refused(Code.BANNED, until=until):
            ann("send", text="x")
        world.operator("unban", user_id=ann.id)
        assert world.told_to(ann)[0]["until"] is None
        assert ann("send", text="x")
        with refused(Code.CONFLICT):
            world.operator("unban", user_id=ann.id)
        assert actions(world) == ["ban", "unban"]

    def test_it_ends_by_itself(self, world: World) -> None:
        ann = world.user("ann")
        world.operator("ban", user_id=ann.id, seconds=60, reason="x")
        world.advance(61)
        assert ann("send", text="x")

    def test_the_usual_length_is_the_setting(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(ban_seconds=7)
        ann = world.user("ann")
        assert world.operator(
            "ban", user_id=ann.id, reason="x"
        ).until == world.at(7)

    def test_warnings_start_again_after_unban(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(max_warnings=2)
        ann, bob, eve = world.users("ann bob eve")
        for reporter in (bob, eve):
            reporter("report", user_id=ann.id, reason="rude")
        world.operator("unban", user_id=ann.id)
        bob("report", user_id=ann.id, reason="rude again")
        assert ann("send", text="x")
        eve("report", user_id=ann.id, reason="rude again")
        with refused(Code.BANNED):
            ann("send", text="x")

    @pytest.mark.parametrize("method", ["ban", "unban"])
    def test_a_complaint_just_after_it_undoes_nothing(
        self, make_world: MakeWorld, method: str
    ) -> None:
        """The complaint was begun when the round was another one."""
        world = make_world(max_warnings=2)
        ann, bob = world.users("ann bob")
        world.operator("ban", user_id=ann.id, seconds=10, reason="x")
        if method == "ban":
            world.advance(11)
        outcomes = world.batch(
            [
                world.operator.asks(
                    method, **SAMPLE[method] | {"user_id": ann.id}
                ),
                bob.asks("report", user_id=ann.id, reason="x"),
            ]
        )
        assert codes(outcomes) == ["ok", "ok"]
        banned = ann("status").user.banned_until
        assert (banned is not None) is (method == "ban")
        (account,) = world.operator("accounts", user_id=ann.id).users
        assert account.warnings == 1

    def test_nor_does_it_bring_the_round_before_back(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(max_warnings=2)
        ann, bob, eve = world.users("ann bob eve")
        bob("report", user_id=ann.id, reason="x")
        world.operator("ban", user_id=ann.id, seconds=10, reason="x")

        outcomes = world.batch(
            [
                world.operator.asks("unban", user_id=ann.id),
                eve.asks("report", user_id=ann.id, reason="x"),
            ]
        )

        assert codes(outcomes) == ["ok", "ok"]
        assert ann("status").user.banned_until is None

    def test_a_long_ban_replaces_one_by_complaints(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(max_warnings=1, ban_seconds=10)
        ann, bob = world.users("ann bob")
        bob("report", user_id=ann.id, reason="rude")
        world.operator("ban", user_id=ann.id, seconds=1000, reason="x")
        world.advance(500)
        with refused(Code.BANNED):
            ann("send", text="x")
        world.advance(501)
        bob("report", user_id=ann.id, reason="rude again")


class TestComplaints:
    """What was reported, with its evidence, and what becomes of it."""

    def test_they_are_listed_with_evidence(self, world: World) -> None:
        mod, ann, bob = staff(world, "mod", "moderator"), *world.users("a b")
        sent = ann("send", text="the evidence")
        bob("report", user_id=ann.id, reason="rude", message_id=sent.id)
        mod("report", user_id=ann.id, reason="mean")
        first, second = mod("complaints").complaints
        assert (first.reporter.name, first.offender.name) == ("b", "a")
        assert (first.reason, first.evidence) == ("rude", "the evidence")
        assert (first.message_id, first.state) == (sent.id, "open")
        assert (second.reason, second.evidence) == ("mean", None)
        assert mod("complaints", after=first.id).complaints == [second]
        assert mod("complaints", limit=1).complaints == [first]

    def test_a_dismissed_one_counts_for_no_ban(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(max_warnings=2)
        mod = staff(world, "mod", "moderator")
        ann, bob, eve, joe = world.users("ann bob eve joe")
        first = bob("report", user_id=ann.id, reason="no reason")
        assert self.warnings(world, ann) == 1
        mod("resolve", id=first.id, verdict="dismissed")
        assert self.warnings(world, ann) == 0
        eve("report", user_id=ann.id, reason="rude")
        assert ann("send", text="x")
        joe("report", user_id=ann.id, reason="rude")
        with refused(Code.BANNED):
            ann("send", text="x")
        states = [c.state for c in mod("complaints").complaints]
        assert states == ["dismissed", "open", "open"]
        assert len(mod("complaints", state="open").complaints) == 2
        with refused(Code.CONFLICT):
            mod("resolve", id=first.id, verdict="upheld")
        with refused(Code.CONFLICT):
            bob("report", user_id=ann.id, reason="again")

    def test_dismissed_in_the_batch_of_the_next_one(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(max_warnings=2)
        ann, bob, eve = world.users("ann bob eve")
        first = bob("report", user_id=ann.id, reason="x")
        outcomes = world.batch(
            [
                world.operator.asks(
                    "resolve", id=first.id, verdict="dismissed"
                ),
                eve.asks("report", user_id=ann.id, reason="y"),
            ]
        )
        assert codes(outcomes) == ["ok", "ok"]
        assert ann("send", text="x")

    @staticmethod
    def warnings(world: World, person: Person) -> int:
        (account,) = world.operator("accounts", user_id=person.id).users
        warnings: int = account.warnings
        return warnings


class TestAccounts:
    """Looking accounts up, roles, tokens, and the end of an account."""

    def test_they_are_found(self, world: World) -> None:
        ann, _, bob = world.users("ann Anna bob")
        world.operator("set_role", user_id=bob.id, role="moderator")
        world.operator("ban", user_id=ann.id, seconds=60, reason="x")

        def names(**given: Any) -> list[str]:
            found = world.operator("accounts", **given).users
            return [account.name for account in found]

        assert names() == ["ann", "Anna", "bob"]
        assert names(limit=1, after=ann.id) == ["Anna"]
        assert names(name="AN") == ["ann", "Anna"]
        assert names(name="anna") == ["Anna"]
        assert names(role="moderator") == ["bob"]
        assert names(banned=True) == ["ann"]
        assert names(banned=False) == ["Anna", "bob"]
        assert names(user_id=bob.id) == ["bob"]
        assert names(user_id=NOWHERE) == []
        assert names(name="%") == []
        world.advance(61)
        assert names(banned=True) == []

    def test_what_is_told_of_one(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        world.group(ann, bob)
        ann("schedule", text="later", send_at=world.at(60))
        (account,) = world.operator("accounts", user_id=ann.id).users
        assert (account.role, account.chats, account.scheduled) == (
            "member",
            2,
            1,
        )
        assert account.banned_until is account.closed is None
        assert (account.created, account.last_seen) == (
            world.at(0),
            world.at(0),
        )
        until = world.operator(
            "ban", user_id=ann.id, seconds=5, reason="x"
        ).until
        (account,) = world.operator("accounts", user_id=ann.id).users
        assert account.banned_until == until
        world.advance(5)
        (account,) = world.operator("accounts", user_id=ann.id).users
        assert account.banned_until is None

    def test_a_role_is_told(self, world: World) -> None:
        ann = world.user("ann")
        world.told()
        for _ in range(2):
            world.operator("set_role", user_id=ann.id, role="admin")
        (event,) = world.told_to(ann)
        assert (event["event"], event["role"]) == ("role_changed", "admin")
        assert ann("sync").user.role == "admin"
        assert actions(world) == ["set_role"]

    def test_a_new_token_shuts_the_old_devices_out(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        group = world.group(ann, bob)
        ann.syncs()
        thief = Person(world, ann.id, ann.token, ann.name, dict(ann.keys))
        token = world.operator("reset_token", user_id=ann.id).token
        with refused(Code.UNAUTHORIZED):
            thief("status")
        world.told()
        bob("send", chat_id=group, text="secret")
        bob("p2p", user_id=ann.id)
        sealed = [told for told in world.told() if told.sealed]
        assert {told.name for told in sealed} >= {"message", "chat_added"}
        assert not any(thief.opens(told) for told in sealed)
        ann.token = token
        ann.syncs()
        bob("send", chat_id=group, text="more")
        assert all(ann.opens(told) for told in world.told() if told.raw.seq)
        assert ann("status").user.id == ann.id

    @pytest.mark.parametrize("method", ["reset_token", "rotate_token"])
    def test_a_new_token_in_the_batch_of_an_invitation(
        self, world: World, method: str
    ) -> None:
        """The old devices got the key of that group, too."""
        ann, bob = world.users("ann bob")
        group = world.group(bob)
        world.told()
        own = method == "rotate_token"
        changes = [
            bob.asks("invite", chat_id=group, user_id=ann.id),
            ann.asks(method)
            if own
            else world.operator.asks(method, user_id=ann.id),
        ]

        assert codes(world.batch(changes)) == ["ok", "ok"]

        told = [body["event"] for body in world.told_in(group)]
        assert told.count("key_changed") == 2

    def test_files_that_waited_with_a_message_go(self, world: World) -> None:
        ann = world.user()
        file_id = world.file(ann, world.common, b"x")
        at = world.at(10 * 86_400)
        ann("schedule", text="x", files=[file_id], send_at=at)
        world.operator("close_account", user_id=ann.id)
        world.advance(86_400)
        world.wait(61)

        assert world.store.rows("SELECT * FROM files") == []

    def test_closed_in_the_batch_of_an_invitation(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        group = world.group(bob)
        world.batch(
            [
                bob.asks("invite", chat_id=group, user_id=ann.id),
                world.operator.asks("close_account", user_id=ann.id),
            ]
        )
        people = bob("users", chat_id=group).users
        assert [person.id for person in people] == [bob.id]

    def test_a_closed_account(self, world: World) -> None:
        ann, bob, eve = world.users("ann bob eve")
        group = world.group(ann, bob)
        alone = world.group(ann)
        pair = bob("p2p", user_id=ann.id).chat_id
        ann("schedule", text="later", send_at=world.at(60))
        ann.syncs()
        world.operator("close_account", user_id=ann.id)
        with refused(Code.UNAUTHORIZED):
            ann("status")
        with refused(Code.UNAUTHORIZED):
            world.call("connect", None, token=ann.token)
        assert bob("sync")
        assert ann.id not in {u.id for u in bob("users", chat_id=group).users}
        bob("rename_chat", chat_id=group, name="mine now")
        world.told()
        bob("send", chat_id=group, text="secret")
        bob("send", chat_id=pair, text="are you there?")
        assert not any(ann.opens(t) for t in world.told() if t.sealed)
        world.wait(90)
        assert "later" not in bob.texts(world.common)
        with refused(Code.NOT_FOUND):
            bob("p2p", user_id=ann.id)
        with refused(Code.NOT_FOUND):
            eve("report", user_id=ann.id, reason="x")
        with refused(Code.CONFLICT):
            world.user("ann")
        for method, given in (
            ("ban", {"reason": "x"}),
            ("close_account", {}),
            ("reset_token", {}),
            ("set_role", {"role": "admin"}),
        ):
            with refused(Code.CONFLICT):
                world.operator(method, user_id=ann.id, **given)
        (account,) = world.operator("accounts", user_id=ann.id).users
        assert account.closed
        assert account.chats == 0
        assert alone not in {chat.id for chat in bob("sync").chats}

    def test_its_groups_are_told_of_their_new_owner(
        self, world: World
    ) -> None:
        ann, bob = world.users("ann bob")
        group = world.group(ann, bob)
        world.told()

        world.operator("close_account", user_id=ann.id)

        assert {
            "event": "owner_changed",
            "chat_id": group,
            "owner_id": bob.id,
        } in world.told_in(group)

    def test_the_heir_is_told_who_asks_to_join_in_the_same_batch(
        self, world: World
    ) -> None:
        ann, bob, eve = world.users("ann bob eve")
        group = world.group(ann, bob)
        link = ann("invite_link", chat_id=group).link
        world.restart()
        world.told()
        committed = world.store.committed

        outcomes = world.batch(
            [
                world.operator.asks("close_account", user_id=ann.id),
                eve.asks("join", link=link),
            ]
        )

        assert codes(outcomes) == ["ok", "ok"]
        assert world.store.committed == committed + 1
        assert "join_requested" in [
            body["event"] for body in world.told_to(bob)
        ]

    def test_one_who_inherits_a_group_in_the_same_batch(
        self, world: World
    ) -> None:
        ann, bob, eve = world.users("ann bob eve")
        group = world.group(ann, bob, eve)

        outcomes = world.batch(
            [
                ann.asks("exit", chat_id=group),
                world.operator.asks("close_account", user_id=bob.id),
            ]
        )

        assert codes(outcomes) == ["ok", "ok"]
        facts = eve("changes", chat_id=group, after=0).chat
        assert (facts.owner_id, facts.size) == (eve.id, 1)

    def test_one_who_waits_for_a_group(self, world: World) -> None:
        ann, eve = world.users("ann eve")
        group = world.group(ann)
        link = ann("invite_link", chat_id=group).link
        eve("join", link=link)

        world.operator("close_account", user_id=eve.id)

        assert ann("join_requests", chat_id=group).requests == []
        with refused(Code.NOT_FOUND):
            ann("approve", chat_id=group, user_id=eve.id)

    def test_one_who_is_let_into_a_group_just_then(self, world: World) -> None:
        """Nobody comes in once the account is closed, nor waits on."""
        ann, eve = world.users("ann eve")
        group = world.group(ann)
        link = ann("invite_link", chat_id=group).link
        eve("join", link=link)
        other = world.group(ann)
        late = ann("invite_link", chat_id=other).link

        outcomes = world.batch(
            [
                eve.asks("join", link=late),
                world.operator.asks("close_account", user_id=eve.id),
                ann.asks("approve", chat_id=group, user_id=eve.id),
            ]
        )

        assert codes(outcomes) == ["ok", "ok", "not_found"]
        assert world.store.rows("SELECT * FROM join_requests") == []
        (account,) = world.operator("accounts", user_id=eve.id).users
        assert account.chats == 0

    def test_closed_while_its_owner_acts(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        group = world.group(ann)
        outcomes = world.batch(
            [
                ann.asks("invite", chat_id=group, user_id=bob.id),
                world.operator.asks("close_account", user_id=ann.id),
                ann.asks("send", text="still here?"),
            ]
        )
        assert codes(outcomes)[:2] == ["ok", "ok"]
        bob("rename_chat", chat_id=group, name="mine now")
        with refused(Code.UNAUTHORIZED):
            ann("status")


class TestDeleting:
    """Any message may be deleted, and who did it is written down."""

    def test_in_a_group_of_others(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        group = world.group(ann, bob)
        file = world.file(ann, group, b"bad")
        sent = ann("send", chat_id=group, text="bad", files=[file])
        for _ in range(2):
            world.operator("delete_message", message_id=sent.id)
        (message,) = bob("history", chat_id=group).messages
        assert (message.text, message.files) == ("", [])
        assert message.deleted
        with refused(Code.NOT_FOUND):
            bob("download", file_id=file)
        assert actions(world) == ["delete"]

    def test_in_a_group_that_just_ended(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        group = world.group(ann)
        sent = ann("send", chat_id=group, text="bad")
        committed = world.store.committed

        outcomes = world.batch(
            [
                ann.asks("exit", chat_id=group),
                bob.asks("send", text="x"),
                world.operator.asks("delete_message", message_id=sent.id),
            ]
        )

        assert codes(outcomes) == ["ok", "ok", "not_found"]
        assert world.store.committed == committed + 1

    def test_what_a_moderator_deletes_is_written_down(
        self, world: World
    ) -> None:
        mod, ann = staff(world, "mod", "moderator"), world.user("ann")
        mod("delete", message_id=ann("send", text="bad").id)
        ann("delete", message_id=ann("send", text="oops").id)
        assert actions(world) == ["set_role", "delete"]


def test_a_backup_is_for_the_socket_alone(world: World) -> None:
    boss = staff(world, "boss", "admin")
    with refused(Code.FORBIDDEN):
        boss("backup", path="/tmp/x")
    (call,) = world.calls([world.operator.asks("backup", path="/tmp/x")])
    world.run([call])
    assert call.outcome == BackUp("/tmp/x")
    assert "backup" in actions(world)


class TestAnnouncements:
    """The operator speaks as a user of its own."""

    def test_everybody_reads_it(self, make_world: MakeWorld) -> None:
        world = make_world(rate_limit=1)
        ann = world.user("ann")
        world.told()
        for text in ("hello all", "again"):
            world.operator("announce", text=text)
        assert ann.texts(world.common) == ["hello all", "again"]
        page = ann("history", chat_id=world.common)
        author = page.messages[0].author
        assert (author.id, author.name) == (OPERATOR_ID, "operator")
        assert "message" in world.told_names()
        assert actions(world) == ["announce", "announce"]

    def test_into_a_group(self, world: World) -> None:
        ann, bob = world.users("ann bob")
        group = world.group(ann)
        world.operator("announce", text="to you", chat_id=group)
        assert ann.texts(group) == ["to you"]
        assert bob.texts(world.common) == []
        with refused(Code.NOT_FOUND):
            world.operator("announce", text="x", chat_id=NOWHERE)

    def test_its_account_stays_as_it_is(self, world: World) -> None:
        world.operator("announce", text="x")
        for method, given in (
            ("ban", {"reason": "x"}),
            ("reset_token", {}),
            ("close_account", {}),
            ("set_role", {"role": "admin"}),
        ):
            with refused(Code.FORBIDDEN):
                world.operator(method, user_id=OPERATOR_ID, **given)

    def test_nobody_acts_on_its_account(self, world: World) -> None:
        ann = world.user("ann")
        group = world.group(ann)
        sent = world.operator("announce", text="x")
        for method, given in (
            ("p2p", {}),
            ("report", {"reason": "rude"}),
            ("report", {"reason": "rude", "message_id": sent.id}),
            ("invite", {"chat_id": group}),
        ):
            with refused(Code.FORBIDDEN):
                ann(method, user_id=OPERATOR_ID, **given)

    def test_whoever_had_its_name_before_keeps_it(self, world: World) -> None:
        """The name was not always reserved."""
        ann = world.user("ann")
        world.store.rows(
            "UPDATE users SET name = 'operator', name_key = 'operator'"
            " WHERE id = ?",
            ann.id,
        )
        world.restart()

        world.operator("announce", text="x")

        (message,) = ann("history", chat_id=world.common).messages
        assert message.author.id == OPERATOR_ID
        assert message.author.name.startswith("operator-")
        assert ann("status").user.name == "operator"

    def test_a_text_that_is_too_long(self, make_world: MakeWorld) -> None:
        world = make_world(max_text=3)
        with refused(Code.TOO_LARGE):
            world.operator("announce", text="four")


class TestTheDoor:
    """Who may make an account."""

    def test_open(self, world: World) -> None:
        assert world.user().id
        assert world.call("connect", None, invite="anything").token
        assert world.call("hello").registration == "open"

    def test_closed(self, make_world: MakeWorld) -> None:
        world = make_world()
        ann = world.user("ann")
        world.restart(registration="closed")
        assert world.call("connect", None, token=ann.token).name == "ann"
        for given in ({}, {"name": "ann"}, {"invite": self.code(world)}):
            with refused(Code.FORBIDDEN):
                world.call("connect", None, **given)

    @staticmethod
    def code(world: World, **given: int) -> str:
        code: str = world.operator("create_invite", **given).code
        return code

    def test_an_invite_is_used_up(self, make_world: MakeWorld) -> None:
        world = make_world(registration="invite")
        code = self.code(world, uses=2)
        for _ in range(2):
            assert world.call("connect", None, invite=code).token
        self.fails_alike(world, code)

    def test_it_lets_one_in_where_nothing_else_is_said(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(registration="invite")
        code = self.code(world)
        assert code == code.lower()
        assert world.call("connect", None, invite=code).token
        self.fails_alike(world, code)

    def test_of_several_at_once_only_so_many_come_in(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(registration="invite")
        code = self.code(world, uses=2)
        newcomer = Asked(None, "connect", {"invite": code})
        outcomes = world.batch([newcomer] * 4)
        assert codes(outcomes) == ["ok", "ok", "forbidden", "forbidden"]

    def test_every_code_that_is_of_no_use_gets_one_answer(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(registration="invite")
        expired = self.code(world, expires_in=10)
        made = world.operator("create_invite")
        world.operator("revoke_invite", id=made.id)
        world.advance(10)
        codes = (expired, made.code, "unknown", made.id, None)
        assert len({self.fails_alike(world, code) for code in codes}) == 1

    @staticmethod
    def fails_alike(world: World, code: str | None) -> str:
        with pytest.raises(Refused) as caught:
            world.call("connect", None, **({"invite": code} if code else {}))
        assert caught.value.code is Code.FORBIDDEN
        assert caught.value.data == {"field": "invite"}
        return str(caught.value.to_wire())

    def test_a_name_that_is_taken_uses_nothing_up(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world()
        world.user("ann")
        world.restart(registration="invite")
        code = self.code(world)
        with refused(Code.CONFLICT):
            world.call("connect", None, name="ann", invite=code)
        assert world.call("connect", None, name="ben", invite=code).token

    def test_they_are_listed_without_their_codes(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(registration="invite")
        made = world.operator("create_invite", uses=3, expires_in=60)
        world.call("connect", None, invite=made.code)
        (listed,) = world.operator("invites").invites
        assert (listed.id, listed.uses, listed.max_uses) == (made.id, 1, 3)
        assert listed.expires_at == made.expires_at == world.at(60)
        assert made.code not in repr(listed)
        dump = "\n".join(world.store._connection.iterdump())
        assert made.code not in dump
        world.operator("revoke_invite", id=made.id)
        world.operator("revoke_invite", id=made.id)
        assert world.operator("invites").invites == []
        assert actions(world) == ["create_invite", "revoke_invite"]


class TestTheLog:
    """Nothing is done without a line in the audit log."""

    def test_who_did_what_to_whom(
        self, world: World, logged: list[Any]
    ) -> None:
        boss, ann = staff(world, "boss", "admin"), world.user("ann")
        boss("ban", user_id=ann.id, reason="a secret reason")
        entry = boss("audit").entries[0]
        assert (entry.actor.name, entry.action) == ("boss", "ban")
        assert (entry.subject, entry.subject_name) == (ann.id, "ann")
        assert entry.detail["reason"] == "a secret reason"
        assert boss("audit").entries[-1].actor is None
        assert "a secret reason" not in repr(logged)
        assert any(e["event"] == "operator_acted" for e in logged)

    def test_each_act_with_its_details(self, world: World) -> None:
        boss, ann, bob = (
            staff(world, "boss", "admin"),
            *world.users("ann bob"),
        )
        before = len(actions(world))
        invite = boss("create_invite", uses=3).id
        boss("revoke_invite", id=invite)
        complaint = bob("report", user_id=ann.id, reason="x").id
        boss("resolve", id=complaint, verdict="dismissed")
        until = boss("ban", user_id=ann.id, seconds=5, reason="spam").until
        boss("unban", user_id=ann.id)
        boss("set_role", user_id=ann.id, role="moderator")
        ann = replace(ann, token=boss("reset_token", user_id=ann.id).token)
        ann("schedule", text="later", send_at=world.at(60))
        message = ann("send", text="x").id
        boss("delete_message", message_id=message)
        said = boss("announce", text="hear me").id
        boss("close_account", user_id=ann.id)
        (account,) = boss("accounts", user_id=ann.id).users
        assert (account.role, account.scheduled) == ("member", 0)
        boss("close_account", user_id=ann.id, erase=True)

        entries = boss("audit").entries[::-1][before:]
        assert [(e.action, e.detail) for e in entries[:2]] == [
            ("create_invite", {"uses": 3}),
            ("revoke_invite", {}),
        ]
        for entry in entries[:2]:
            assert entry.actor is not None
            assert (entry.actor.id, entry.subject) == (boss.id, invite)
        del entries[:2]
        assert [(e.action, e.detail) for e in entries] == [
            ("resolve", {"complaint": complaint, "verdict": "dismissed"}),
            ("ban", {"until": until, "reason": "spam"}),
            ("unban", {}),
            ("set_role", {"was": "member", "role": "moderator"}),
            ("reset_token", {}),
            ("delete", {"message": message}),
            ("announce", {"chat": world.common}),
            ("close_account", {}),
            ("close_account", {"erase": 1}),
        ]
        for entry in entries:
            assert entry.actor is not None
            assert entry.actor.id == boss.id
            subject = said if entry.action == "announce" else ann.id
            assert entry.subject == subject
            assert entry.created == world.at(0)

    def test_pages(self, world: World) -> None:
        ids = [world.operator("create_invite").id for _ in range(5)]
        first = world.operator("audit", limit=2).entries
        rest = world.operator("audit", after=first[-1].id).entries
        assert [e.subject for e in (*first, *rest)] == ids[::-1]

    @pytest.mark.parametrize(
        "act",
        [
            lambda world, ann: world.operator(
                "ban", user_id=NOWHERE, reason="x"
            ),
            lambda world, ann: world.operator("unban", user_id=ann.id),
            lambda world, ann: ann("ban", user_id=ann.id, reason="x"),
        ],
    )
    def test_what_was_refused_leaves_none(
        self, world: World, act: Callable[[World, Person], Any]
    ) -> None:
        ann = world.user("ann")
        with pytest.raises(Refused):
            act(world, ann)
        assert actions(world) == []


def test_stats(world: World) -> None:
    ann, bob = world.users("ann bob")
    bob("report", user_id=ann.id, reason="x")
    ann("send", text="x")
    boss = staff(world, "boss", "admin")
    found = boss("stats")
    assert (found.counts.users, found.counts.messages) == (3, 1)
    assert found.counts.complaints == 1
    assert found.epoch == world.store.epoch

"""The rules of the chat as a small model, to compare a `World` with.

The model is told each request and its outcome in the order in which
they took effect. It says which refusal was due, learns the ids of what
was made, and afterwards knows what everybody must see.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.harness import Person, World
from zchat.errors import Refused
from zchat.model import COMMON, GROUP, P2P, SECOND, Rules


class No(Exception):
    """The rules forbid it, with this code."""


@dataclass
class Member:
    first: int
    read: int
    joined: tuple[int, str]


@dataclass
class Message:
    id: str
    author: str
    text: str
    on: str | None
    readers: frozenset[str]
    """Who was in the chat when it was sent."""


@dataclass
class Chat:
    kind: str
    owner: str | None = None
    pair: frozenset[str] = frozenset()
    members: dict[str, Member] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)

    @property
    def head(self) -> int:
        return len(self.messages)

    def seen_by(self, user: str) -> list[Message]:
        return self.messages[self.members[user].first - 1 :]

    def unread_by(self, user: str) -> list[tuple[int, Message]]:
        member = self.members[user]
        after = max(member.read, member.first - 1)
        return [
            (seq, one)
            for seq, one in enumerate(self.messages, 1)
            if seq > after and one.author != user
        ]


@dataclass
class Link:
    id: str
    chat: str
    expires: int
    most: int | None
    uses: int = 0
    revoked: bool = False


@dataclass
class Plan:
    author: str
    chat: str
    text: str
    at: int
    state: str = "pending"
    message: str | None = None


class Model:
    """What one server must do, for a fixed set of users."""

    def __init__(
        self, world: World, people: list[Person], scheduled_limit: int
    ) -> None:
        self.world = world
        self.rules: Rules = world.rules
        self.common = world.common
        self.names = {one.id: one.name for one in people}
        self.chats = {self.common: Chat(COMMON)}
        self.keys: dict[tuple[str, str], tuple[Any, Any]] = {}
        self.plan_keys: dict[tuple[str, str], tuple[Any, Any]] = {}
        self.links: dict[str, Link] = {}
        self.requests: dict[tuple[str, str], str] = {}
        self.plans: dict[str, Plan] = {}
        self.quota: dict[str, tuple[int, int]] = {}
        self.reporters: dict[str, set[str]] = {}
        self.banned: dict[str, int] = {}
        self.sent: list[tuple[str, Message]] = []
        self.scheduled_limit = scheduled_limit
        for one in people:
            self.enter(self.common, one.id)
        self.table: dict[str, Callable[..., None]] = {
            "connect": self.connect,
            "send": self.send,
            "comment": self.comment,
            "read": self.read,
            "unread": self.unread,
            "p2p": self.p2p,
            "exit": self.exit,
            "create_chat": self.create_chat,
            "invite": self.invite,
            "remove": self.remove,
            "invite_link": self.invite_link,
            "revoke_link": self.revoke_link,
            "join": self.join,
            "approve": self.approve,
            "deny": self.deny,
            "report": self.report,
            "schedule": self.schedule,
            "cancel": self.cancel,
            "rename": self.rename,
            "history": self.history,
        }

    @property
    def now(self) -> int:
        return self.world.now

    def apply(
        self, method: str, who: str, outcome: Any, params: dict[str, Any]
    ) -> None:
        """One request took effect; its outcome must be the right one."""
        expected = "ok"
        try:
            self.table[method](who, outcome, **params)
        except No as no:
            expected = str(no)
        found = outcome.code.wire if isinstance(outcome, Refused) else "ok"
        assert found == expected, (method, params)

    # What the rules share

    def member(self, who: str, chat_id: str) -> tuple[Chat, Member]:
        chat = self.chats.get(chat_id)
        if chat is None or who not in chat.members:
            raise No("not_found")
        return chat, chat.members[who]

    def owned(self, who: str, chat_id: str) -> Chat:
        chat, _ = self.member(who, chat_id)
        if chat.owner != who:
            raise No("forbidden")
        return chat

    def not_banned(self, who: str) -> None:
        if self.banned.get(who, 0) > self.now:
            raise No("banned")

    def acquainted(self, who: str, other: str) -> None:
        if not any(
            who in chat.members and other in chat.members
            for chat in self.chats.values()
        ):
            raise No("not_found")

    def enter(self, chat_id: str, who: str) -> None:
        chat = self.chats[chat_id]
        first = {
            P2P: 1,
            GROUP: chat.head + 1,
            COMMON: max(1, chat.head - self.rules.history_depth + 1),
        }
        chat.members[who] = Member(
            first[chat.kind], chat.head, (self.now, who)
        )
        self.requests.pop((chat_id, who), None)

    def leave(self, chat_id: str, who: str) -> None:
        chat = self.chats[chat_id]
        del chat.members[who]
        if chat.owner == who and chat.members:
            chat.owner = min(
                chat.members, key=lambda one: chat.members[one].joined
            )
        if not chat.members and chat.kind != COMMON:
            self.forget(chat_id)

    def forget(self, chat_id: str) -> None:
        """A private chat that everybody left."""
        gone = {one.id for one in self.chats.pop(chat_id).messages}
        self.keys = {
            key: (content, sent)
            for key, (content, sent) in self.keys.items()
            if sent.id not in gone
        }
        sent_plans = {
            id for id, plan in self.plans.items() if plan.message in gone
        }
        for id in sent_plans:
            del self.plans[id]
        self.plan_keys = {
            key: (content, made)
            for key, (content, made) in self.plan_keys.items()
            if made.id not in sent_plans
        }
        self.links = {
            text: link
            for text, link in self.links.items()
            if link.chat != chat_id
        }
        self.requests = {
            key: link
            for key, link in self.requests.items()
            if key[0] != chat_id
        }

    def judged(self, who: str, chat_id: str, on: str | None = None) -> Chat:
        """The chat, where a message of theirs is allowed but for quota."""
        chat, _ = self.member(who, chat_id)
        self.not_banned(who)
        if on is not None and on not in [one.id for one in chat.seen_by(who)]:
            raise No("not_found")
        return chat

    def spend(self, who: str, chat: Chat) -> None:
        limit = self.rules.rate_limit
        if chat.kind != COMMON or limit is None:
            return
        started, used = self.quota.get(who, (0, 0))
        if not used or self.now >= (
            started + self.rules.rate_period_seconds * SECOND
        ):
            started, used = self.now, 0
        if used >= limit:
            raise No("rate_limited")
        self.quota[who] = started, used + 1

    # The rules

    def connect(self, who: str, outcome: Any) -> None:
        if who not in self.chats[self.common].members:
            self.enter(self.common, who)

    def send(
        self,
        who: str,
        outcome: Any,
        text: str,
        chat_id: str | None = None,
        comment_on: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        place = chat_id or self.common
        content = place, text, comment_on
        known = self.keys.get((who, idempotency_key or ""))
        if known is not None:
            if known[0] != content:
                raise No("conflict")
            assert outcome == known[1]
            return
        if (who, idempotency_key or "") in self.plan_keys:
            raise No("conflict")
        chat = self.judged(who, place, comment_on)
        self.spend(who, chat)
        assert not isinstance(outcome, Refused), outcome.message
        self.append(chat, place, who, outcome, text, comment_on)
        if idempotency_key is not None:
            self.keys[who, idempotency_key] = content, outcome

    def append(
        self,
        chat: Chat,
        place: str,
        who: str,
        sent: Any,
        text: str,
        on: str | None,
    ) -> None:
        assert (sent.chat_id, sent.seq) == (place, chat.head + 1)
        message = Message(
            sent.id, who, text, on, chat.pair or frozenset(chat.members)
        )
        chat.messages.append(message)
        self.sent.append((place, message))

    def comment(
        self,
        who: str,
        outcome: Any,
        message_id: str,
        text: str,
        idempotency_key: str | None = None,
    ) -> None:
        places = [
            id
            for id, chat in self.chats.items()
            if message_id in [one.id for one in chat.messages]
        ]
        if not places:
            raise No("not_found")
        content, _ = self.keys.get((who, idempotency_key or ""), (None, None))
        if content is None or content[-1] != message_id:
            self.member(who, places[0])
        self.send(who, outcome, text, places[0], message_id, idempotency_key)

    def read(self, who: str, outcome: Any, chat_id: str, seq: int) -> None:
        chat, member = self.member(who, chat_id)
        member.read = max(member.read, min(seq, chat.head))
        assert outcome.seq == member.read

    def chats_of(self, who: str) -> Iterator[tuple[str, Chat]]:
        for id in sorted(self.chats, key=lambda id: (id != self.common, id)):
            if who in self.chats[id].members:
                yield id, self.chats[id]

    def unread(self, who: str, outcome: Any, ack: bool, limit: int) -> None:
        left, more, expected = limit, False, []
        for id, chat in self.chats_of(who):
            news = chat.unread_by(who)
            page = news[:left]
            more = more or len(news) > len(page)
            if page:
                expected.append((id, [one.id for _, one in page]))
            if ack and (left or not news):
                through = page[-1][0] if len(news) > left else chat.head
                member = chat.members[who]
                if left:
                    member.read = max(member.read, through)
            left -= len(page)
        found = [
            (chat.id, [one.id for one in chat.messages])
            for chat in outcome.chats
        ]
        assert (found, outcome.more) == (expected, more)

    def p2p(self, who: str, outcome: Any, user_id: str) -> None:
        if who == user_id:
            raise No("bad_request")
        self.acquainted(who, user_id)
        pair = frozenset((who, user_id))
        known = [id for id, chat in self.chats.items() if chat.pair == pair]
        if not known:
            self.not_banned(who)
        assert not isinstance(outcome, Refused)
        if known:
            assert known == [outcome.chat_id]
        else:
            assert outcome.chat_id not in self.chats
            self.chats[outcome.chat_id] = Chat(P2P, pair=pair)
        for one in (who, user_id):
            if one not in self.chats[outcome.chat_id].members:
                self.enter(outcome.chat_id, one)

    def exit(self, who: str, outcome: Any, chat_id: str) -> None:
        self.member(who, chat_id)
        self.leave(chat_id, who)

    def create_chat(self, who: str, outcome: Any, name: str) -> None:
        self.not_banned(who)
        assert not isinstance(outcome, Refused)
        self.chats[outcome.chat_id] = Chat(GROUP, owner=who)
        self.enter(outcome.chat_id, who)

    def invite(
        self, who: str, outcome: Any, chat_id: str, user_id: str
    ) -> None:
        chat = self.owned(who, chat_id)
        if user_id not in chat.members:
            self.acquainted(who, user_id)
            self.enter(chat_id, user_id)

    def remove(
        self, who: str, outcome: Any, chat_id: str, user_id: str
    ) -> None:
        chat = self.owned(who, chat_id)
        if who == user_id:
            raise No("bad_request")
        if user_id not in chat.members:
            raise No("not_found")
        self.leave(chat_id, user_id)

    def invite_link(
        self,
        who: str,
        outcome: Any,
        chat_id: str,
        expires_in: int,
        max_uses: int | None,
    ) -> None:
        self.owned(who, chat_id)
        assert not isinstance(outcome, Refused)
        self.links[outcome.link] = Link(
            outcome.link_id, chat_id, self.now + expires_in * SECOND, max_uses
        )

    def revoke_link(self, who: str, outcome: Any, link: str) -> None:
        known = self.links.get(link)
        if known is None or self.chats[known.chat].owner != who:
            raise No("not_found")
        known.revoked = True

    def join(self, who: str, outcome: Any, link: str) -> None:
        known = self.links.get(link)
        if (
            known is None
            or known.revoked
            or known.uses == known.most
            or known.expires <= self.now
        ):
            raise No("not_found")
        if who in self.chats[known.chat].members:
            assert outcome.state == "member"
            return
        assert outcome.state == "pending"
        self.requests.setdefault((known.chat, who), link)

    def waiting(self, who: str, chat_id: str, user_id: str) -> Link:
        self.owned(who, chat_id)
        if (chat_id, user_id) not in self.requests:
            raise No("not_found")
        return self.links[self.requests[chat_id, user_id]]

    def approve(
        self, who: str, outcome: Any, chat_id: str, user_id: str
    ) -> None:
        link = self.waiting(who, chat_id, user_id)
        if link.uses == link.most:
            raise No("conflict")
        link.uses += 1
        self.enter(chat_id, user_id)

    def deny(self, who: str, outcome: Any, chat_id: str, user_id: str) -> None:
        self.waiting(who, chat_id, user_id)
        del self.requests[chat_id, user_id]

    def report(
        self, who: str, outcome: Any, user_id: str, reason: str
    ) -> None:
        if who == user_id:
            raise No("bad_request")
        self.acquainted(who, user_id)
        if self.banned.get(user_id, self.now + 1) <= self.now:
            del self.banned[user_id]
            self.reporters[user_id] = set()
        reporters = self.reporters.setdefault(user_id, set())
        if who in reporters:
            raise No("conflict")
        reporters.add(who)
        if (
            user_id not in self.banned
            and len(reporters) >= self.rules.max_warnings
        ):
            self.banned[user_id] = self.now + self.rules.ban_seconds * SECOND

    def schedule(
        self,
        who: str,
        outcome: Any,
        chat_id: str,
        text: str,
        send_at: str,
        seconds: int,
        idempotency_key: str | None = None,
    ) -> None:
        content = chat_id, text, send_at
        known = self.plan_keys.get((who, idempotency_key or ""))
        if known is not None:
            if known[0] != content:
                raise No("conflict")
            assert outcome == known[1]
            return
        if (who, idempotency_key or "") in self.keys:
            raise No("conflict")
        self.judged(who, chat_id)
        pending = [
            plan
            for plan in self.plans.values()
            if (plan.author, plan.state) == (who, "pending")
        ]
        if len(pending) >= self.scheduled_limit:
            raise No("conflict")
        assert not isinstance(outcome, Refused)
        self.plans[outcome.id] = Plan(
            who, chat_id, text, self.now + seconds * SECOND
        )
        if idempotency_key is not None:
            self.plan_keys[who, idempotency_key] = content, outcome

    def cancel(self, who: str, outcome: Any, id: str) -> None:
        plan = self.plans.get(id)
        if plan is None or plan.author != who:
            raise No("not_found")
        if plan.state != "pending":
            raise No("conflict")
        plan.state = "cancelled"

    def rename(self, who: str, outcome: Any, name: str) -> None:
        if any(
            other != who and taken.casefold() == name.casefold()
            for other, taken in self.names.items()
        ):
            raise No("conflict")
        self.names[who] = name

    def history(self, who: str, outcome: Any, chat_id: str) -> None:
        chat, _ = self.member(who, chat_id)
        page = chat.seen_by(who)[-self.rules.history_depth :]
        assert [one.id for one in outcome.messages] == [one.id for one in page]
        assert outcome.head == chat.head

    # What happens by itself

    def send_due(self, told: list[dict[str, Any]]) -> None:
        """The messages that are due were sent, or could not be."""
        sent = {
            body["id"]: body
            for body in told
            if body["event"] == "scheduled_sent"
        }
        due = sorted(
            (plan.at, id)
            for id, plan in self.plans.items()
            if plan.state == "pending" and plan.at <= self.now
        )
        for _, id in due:
            plan = self.plans[id]
            try:
                chat = self.judged(plan.author, plan.chat)
                self.spend(plan.author, chat)
            except No:
                plan.state = "failed"
                continue
            plan.state = "sent"
            plan.message = sent[id]["message_id"]
            self.append(
                chat, plan.chat, plan.author, _Sent(sent[id]), plan.text, None
            )

    # What everybody must see

    def check(self, people: list[Person]) -> None:
        """The server shows what the model says."""
        for one in people:
            self.check_places(one)
            listed = one("scheduled").messages
            assert {m.id: m.state for m in listed} == {
                id: plan.state
                for id, plan in self.plans.items()
                if plan.author == one.id
            }
            until = self.banned.get(one.id, 0)
            shown = one("status").user
            assert (shown.banned_until is None) == (until <= self.now)
            assert shown.name == self.names[one.id]
        stored = dict(
            self.world.store.rows(
                "SELECT chat_id, count(*) FROM messages GROUP BY chat_id"
            )
        )
        assert stored == {
            id: chat.head for id, chat in self.chats.items() if chat.head
        }

    def check_places(self, one: Person) -> None:
        places = dict(self.chats_of(one.id))
        found = one.syncs().chats
        assert [chat.id for chat in found] == list(places)
        for shown in found:
            chat = places[shown.id]
            assert (shown.head, shown.read, shown.unread, shown.kind) == (
                chat.head,
                chat.members[one.id].read,
                len(chat.unread_by(one.id)),
                chat.kind,
            )
            page = one("history", chat_id=shown.id, limit=200)
            assert [m.id for m in page.messages] == [
                m.id for m in chat.seen_by(one.id)
            ]
            for message in page.messages:
                assert message.comments == sum(
                    other.on == message.id for other in chat.messages
                )


class _Sent:
    """Where a scheduled message stands, as its event tells."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.id, self.seq = body["message_id"], body["seq"]
        self.chat_id = body["chat_id"]

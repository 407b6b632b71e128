"""The servers that a session is tried against: a model, and the real rules.

Both take the same few acts of a user (`me`), of somebody else who owns the
groups, and answer `sync`, `history` and `changes`. The model is fast, so the
random tests of the session run on it; the same tests run on the real rules
with fewer examples, and `tests/unit/test_session_servers.py` plays the same
acts on both and compares what they answer and publish.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from tests.harness import World as Rules
from zchat.client.session import AskChanges, Fetch
from zchat.errors import Refused
from zchat.rpc import events, results, sealing, topics

PAGE: Final = 3
"""Messages a page, so that few of them are many pages."""
COMMON, FIRST, SECOND = 0, 1, 2
"""The chats by number: of the second group `me` is no member at first."""
EDITED_BACK: Final = 3


class Server(Protocol):
    """What the tests do with a server, and what a session asks of it."""

    me: str
    chats: tuple[str, ...]
    published: list[tuple[bytes, bytes]]

    def post(self, chat: int, mine: bool = False) -> None:
        """Somebody sends a message, or `me` does, if in the chat."""

    def edit(self, chat: int, back: int) -> None:
        """The other edits the newest message but so many, if its own."""

    def rename(self, chat: int) -> None:
        """The group gets another name."""

    def rename_me(self) -> None:
        """Another device of `me` changes the name."""

    def read(self, chat: int) -> None:
        """Another device of `me` reads half of what is unread."""

    def come_or_go(self, chat: int) -> None:
        """The owner of the group takes `me` in, or removes `me`."""

    def heads(self) -> None:
        """The counts of all chats and of the inbox are told again."""

    def revisions(self) -> dict[str, int]:
        """The revision of every chat, also of those without `me`."""

    def sync(self) -> results.Sync:
        """The answer to `sync`."""

    def history(self, fetch: Fetch) -> results.History | None:
        """The answer to `history`; None: refused."""

    def changes(self, asked: AskChanges) -> results.Changes | None:
        """The answer to `changes`; None: refused."""


def uuid(number: int) -> str:
    """An id."""
    return f"00000000-0000-7000-8000-{number:012x}"


class Chat:
    """A chat of the model; `first` is the first seq that `me` may see."""

    def __init__(self, number: int) -> None:
        self.id = uuid(number + 1)
        self.is_common = number == COMMON
        self.is_member = number != SECOND
        self.name = "default" if self.is_common else "a group"
        self.authors: list[str] = []
        self.revision = 0
        self.changed: dict[int, int] = {}
        self.key = 1
        self.read = 0
        self.first = 1

    @property
    def head(self) -> int:
        """The newest seq."""
        return len(self.authors)

    @property
    def topic(self) -> bytes:
        """The topic of its events."""
        return topics.chat_topic(self.id)


class ModelServer:
    """The rules as far as a session sees them, in a few lines."""

    other = uuid(0xBB)

    def __init__(self) -> None:
        self.me = uuid(0xAA)
        self.name = "me"
        self.inbox = 0
        self.published: list[tuple[bytes, bytes]] = []
        self._chats = [Chat(number) for number in (COMMON, FIRST, SECOND)]
        self.chats = tuple(chat.id for chat in self._chats)

    def post(self, chat: int, mine: bool = False) -> None:
        """Somebody sends a message, or `me` does, if in the chat."""
        found = self._chats[chat]
        if mine and not found.is_member:
            return
        found.authors.append(self.me if mine else self.other)
        message = self._message(found, found.head)
        self._tell(
            found,
            events.MessageSent(
                chat_id=found.id, seq=found.head, message=message
            ),
        )

    def edit(self, chat: int, back: int) -> None:
        """The other edits the newest message but so many, if its own."""
        found = self._chats[chat]
        seq = found.head - back % EDITED_BACK
        if seq < 1 or found.authors[seq - 1] != self.other:
            return
        found.changed[seq] = found.revision + 1
        message = self._message(found, seq)
        self._count(found, events.MessageChanged, message=message)

    def rename(self, chat: int) -> None:
        """The group gets another name."""
        found = self._chats[chat]
        if not found.is_common:
            found.name += "!"
            self._count(found, events.ChatRenamed, name=found.name)

    def rename_me(self) -> None:
        """Another device of `me` changes the name."""
        self.name += "-"
        user = results.Person(id=self.me, name=self.name)
        for chat in self._chats:
            if chat.is_member:
                self._count(chat, events.MemberRenamed, user=user)
        self._tell_me(events.Renamed, name=self.name)

    def read(self, chat: int) -> None:
        """Another device of `me` reads half of what is unread."""
        found = self._chats[chat]
        seq = (found.read + found.head + 1) // 2
        if found.is_member and seq > found.read:
            found.read = seq
            self._tell_me(events.Read, chat_id=found.id, seq=seq)
            if not found.is_common:
                self._tell(
                    found,
                    events.Seen(chat_id=found.id, user_id=self.me, seq=seq),
                )

    def come_or_go(self, chat: int) -> None:
        """The owner of the group takes `me` in, or removes `me`."""
        found = self._chats[chat]
        if found.is_common:
            return
        found.is_member = not found.is_member
        user = results.Person(id=self.me, name=self.name)
        if found.is_member:
            found.first = found.head + 1
            found.read = found.head
            self._count(found, events.KeyChanged)
            found.key += 1
            self._count(found, events.MemberJoined, user=user)
            self._tell_me(
                events.ChatAdded,
                chat_id=found.id,
                name=found.name,
                title=found.name,
                kind="group",
            )
        else:
            self._tell_me(events.ChatRemoved, chat_id=found.id)
            self._count(found, events.KeyChanged)
            found.key += 1
            self._count(found, events.MemberLeft, user=user)

    def heads(self) -> None:
        """The counts of all chats and of the inbox are told again."""
        for chat in self._chats:
            self._tell(
                chat,
                events.Head(
                    chat_id=chat.id, seq=chat.head, revision=chat.revision
                ),
            )
        self._publish_inbox(events.InboxHead(inbox=self.inbox))

    def revisions(self) -> dict[str, int]:
        """The revision of every chat, also of those without `me`."""
        return {chat.id: chat.revision for chat in self._chats}

    def sync(self) -> results.Sync:
        """The answer to `sync`."""
        return results.Sync(
            epoch="e",
            gaps=0,
            inbox=self.inbox,
            inbox_key=_key(0, 1),
            user=results.SyncUser(
                id=self.me,
                name=self.name,
                role="member",
                banned_until=None,
                quota=None,
                receipts=True,
            ),
            scheduled=0,
            chats=[
                self._synced(chat) for chat in self._chats if chat.is_member
            ],
        )

    def history(self, fetch: Fetch) -> results.History | None:
        """The answer to `history`; None: refused."""
        chat = self._chat(fetch.chat_id)
        if not chat.is_member:
            return None
        first = max(fetch.after + 1, chat.first)
        last = min(first + PAGE - 1, chat.head)
        return results.History(
            messages=[self._message(chat, n) for n in range(first, last + 1)],
            has_older=min(first, chat.head + 1) > chat.first,
            has_newer=last < chat.head,
            head=chat.head,
        )

    def changes(self, asked: AskChanges) -> results.Changes | None:
        """The answer to `changes`; None: refused."""
        chat = self._chat(asked.chat_id)
        if not chat.is_member:
            return None
        found = sorted(
            (revision, seq)
            for seq, revision in chat.changed.items()
            if revision > asked.after and seq >= chat.first
        )
        return results.Changes(
            revision=chat.revision,
            messages=[self._message(chat, seq) for _, seq in found[:PAGE]],
            chat=results.ChatFacts(
                name=chat.name,
                title=chat.name,
                owner_id=None if chat.is_common else self.other,
                size=3,
                event_key=self._chat_key(chat),
            ),
            more=len(found) > PAGE,
        )

    def _chat(self, chat_id: str) -> Chat:
        return self._chats[self.chats.index(chat_id)]

    def _chat_key(self, chat: Chat) -> results.EventKey | None:
        return None if chat.is_common else _key(chat.topic[-1], chat.key)

    def _synced(self, chat: Chat) -> results.SyncChat:
        after = max(chat.read, chat.first - 1)
        return results.SyncChat(
            id=chat.id,
            name=chat.name,
            title=chat.name,
            kind="common" if chat.is_common else "group",
            head=chat.head,
            revision=chat.revision,
            read=chat.read,
            unread=sum(who != self.me for who in chat.authors[after:]),
            mentions=0,
            requests=0,
            event_key=self._chat_key(chat),
        )

    def _message(self, chat: Chat, seq: int) -> results.Message:
        author = chat.authors[seq - 1]
        name = self.name if author == self.me else "other"
        return results.Message(
            id=f"{seq}",
            seq=seq,
            created="x",
            text="",
            author=results.Person(id=author, name=name),
            is_comment_on=None,
            comments=0,
            files=[],
            revision=chat.changed.get(seq, 0),
        )

    def _count(
        self, chat: Chat, event: Callable[..., events.Event], **fields: Any
    ) -> None:
        chat.revision += 1
        self._tell(
            chat, event(chat_id=chat.id, revision=chat.revision, **fields)
        )

    def _tell(self, chat: Chat, event: events.Event) -> None:
        plain = msgspec.msgpack.encode(event)
        key = self._chat_key(chat)
        if key is not None:
            plain = sealing.seal(
                key.id, key.secret, chat.topic, plain, bytes(12)
            )
        self.published.append((chat.topic, plain))

    def _tell_me(
        self, event: Callable[..., events.Event], **fields: Any
    ) -> None:
        self.inbox += 1
        self._publish_inbox(event(inbox=self.inbox, **fields))

    def _publish_inbox(self, event: events.Event) -> None:
        topic, key = topics.inbox_topic(self.me), _key(0, 1)
        plain = msgspec.msgpack.encode(event)
        self.published.append(
            (topic, sealing.seal(key.id, key.secret, topic, plain, bytes(12)))
        )


def _key(of: int, number: int) -> results.EventKey:
    return results.EventKey(id=number, secret=bytes([of, number]) * 16)


class RuleServer:
    """The real rules on a real store (tests/harness.py)."""

    def __init__(self, folder: Path) -> None:
        self._rules = Rules(folder)
        self._other = self._rules.user("ann")
        self._me = self._rules.user("ben")
        self.me = self._me.id
        first = self._rules.group(self._other, self._me)
        second = self._rules.group(self._other)
        self.chats: tuple[str, ...] = (self._rules.common, first, second)
        self._names = 0
        self.published: list[tuple[bytes, bytes]] = []
        self._rules.told()

    def close(self) -> None:
        """Close the store."""
        self._rules.close()

    def _publish(self) -> None:
        self.published += [
            (told.raw.topic, told.raw.body) for told in self._rules.told()
        ]

    def _try(self, who: Any, method: str, **params: Any) -> Any:
        """The answer, None where it is refused."""
        try:
            return who(method, **params)
        except Refused:
            return None
        finally:
            self._publish()

    def post(self, chat: int, mine: bool = False) -> None:
        """Somebody sends a message, or `me` does, if in the chat."""
        who = self._me if mine else self._other
        self._try(who, "send", chat_id=self.chats[chat], text="text")

    def edit(self, chat: int, back: int) -> None:
        """The other edits the newest message but so many, if its own."""
        page = self._other(
            "history", chat_id=self.chats[chat], limit=EDITED_BACK
        )
        back %= EDITED_BACK
        if back < len(page.messages):
            message = page.messages[-1 - back]
            self._names += 1
            self._try(
                self._other,
                "edit",
                message_id=message.id,
                text=f"edited {self._names}",
            )

    def rename(self, chat: int) -> None:
        """The group gets another name."""
        self._names += 1
        self._try(
            self._other,
            "rename_chat",
            chat_id=self.chats[chat],
            name=f"a group {self._names}",
        )

    def rename_me(self) -> None:
        """Another device of `me` changes the name."""
        self._names += 1
        self._try(self._me, "rename", name=f"ben-{self._names}")

    def read(self, chat: int) -> None:
        """Another device of `me` reads half of what is unread."""
        for found in self.sync().chats:
            if found.id == self.chats[chat]:
                seq = (found.read + found.head + 1) // 2
                self._try(self._me, "read", chat_id=found.id, seq=seq)

    def come_or_go(self, chat: int) -> None:
        """The owner of the group takes `me` in, or removes `me`."""
        chat_id = self.chats[chat]
        is_member = any(found.id == chat_id for found in self.sync().chats)
        self._try(
            self._other,
            "remove" if is_member else "invite",
            chat_id=chat_id,
            user_id=self.me,
        )

    def heads(self) -> None:
        """The counts of all chats and of the inbox are told again."""
        self._rules.wait(31)
        self._publish()

    def revisions(self) -> dict[str, int]:
        """The revision of every chat, also of those without `me`."""
        return {chat.id: chat.revision for chat in self._other("sync").chats}

    def sync(self) -> results.Sync:
        """The answer to `sync`."""
        answer: results.Sync = self._me("sync")
        return answer

    def history(self, fetch: Fetch) -> results.History | None:
        """The answer to `history`; None: refused."""
        page: results.History | None = self._try(
            self._me,
            "history",
            chat_id=fetch.chat_id,
            after=fetch.after,
            limit=PAGE,
        )
        return page

    def changes(self, asked: AskChanges) -> results.Changes | None:
        """The answer to `changes`; None: refused."""
        found: results.Changes | None = self._try(
            self._me,
            "changes",
            chat_id=asked.chat_id,
            after=asked.after,
            limit=PAGE,
        )
        return found

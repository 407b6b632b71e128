"""The session: scripts of events in, commands out."""

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from zchat.client import session as s
from zchat.rpc import codec, events, results, sealing, topics

ME = "00000000-0000-7000-8000-0000000000aa"
OTHER = "00000000-0000-7000-8000-0000000000bb"
COMMON = "00000000-0000-7000-8000-000000000001"
GROUP = "00000000-0000-7000-8000-000000000002"
SECOND_GROUP = "00000000-0000-7000-8000-000000000003"
INBOX = topics.inbox_topic(ME)
BEAT = 5.0


def secret(number: int) -> bytes:
    return bytes([number]) * 32


def message(seq: int, author: str = OTHER) -> results.Message:
    return results.Message(
        id=f"00000000-0000-7000-8000-{seq:012x}",
        seq=seq,
        created="2026-01-01T00:00:00.000000+00:00",
        author=results.Person(id=author, name="somebody"),
        text=f"text {seq}",
        is_comment_on=None,
        comments=0,
        files=[],
    )


def chat(
    chat_id: str = COMMON,
    *,
    head: int = 0,
    read: int = 0,
    unread: int = 0,
    name: str = "chat",
    key: int | None = None,
    **more: Any,
) -> results.SyncChat:
    known = results.SyncChat(
        id=chat_id,
        name=name,
        title=name,
        kind="common" if chat_id == COMMON else "group",
        head=head,
        revision=0,
        read=read,
        unread=unread,
        mentions=0,
        requests=0,
        event_key=None
        if chat_id == COMMON
        else results.EventKey(id=key or 1, secret=secret(key or 1)),
    )
    return replace(known, **more)


def sync(
    *chats: results.SyncChat,
    epoch: str = "e",
    inbox_key: int = 1,
    inbox: int = 0,
    scheduled: int = 0,
    **user: Any,
) -> results.Sync:
    known = results.SyncUser(
        id=ME,
        name="me",
        role="member",
        banned_until=None,
        quota=None,
        receipts=True,
    )
    return results.Sync(
        epoch=epoch,
        gaps=0,
        inbox=inbox,
        user=replace(known, **user),
        scheduled=scheduled,
        inbox_key=results.EventKey(id=inbox_key, secret=secret(inbox_key)),
        chats=list(chats),
    )


def page(*seqs: int, head: int, has_newer: bool = False) -> results.History:
    return results.History(
        messages=[message(seq) for seq in seqs],
        has_older=False,
        has_newer=has_newer,
        head=head,
    )


def changes(
    *changed: tuple[int, int],
    revision: int,
    more: bool = False,
    name: str = "chat",
    key: int | None = None,
) -> results.Changes:
    """An answer to `changes`: messages by seq and revision."""
    return results.Changes(
        revision=revision,
        messages=[
            replace(message(seq), revision=made) for seq, made in changed
        ],
        chat=results.ChatFacts(
            name=name,
            title=name,
            owner_id=None,
            size=2,
            event_key=None
            if key is None
            else results.EventKey(id=key, secret=secret(key)),
        ),
        more=more,
    )


def body(topic: bytes, event: dict[str, Any], key: int | None) -> bytes:
    plain = codec.pack(event)
    if key is None:
        return plain
    return sealing.seal(key, secret(key), topic, plain, bytes(12))


FIELDS: dict[str, dict[str, Any]] = {
    "head": {"revision": 0},
    "member_joined": {"user": {"id": OTHER, "name": "somebody"}},
    "chat_added": {"name": "chat", "title": "chat", "kind": "group"},
    "banned": {"until": "2026-01-01T00:00:00+00:00"},
}
"""What an event has besides what a test says of it."""


class Device:
    """A session, and a short way to tell it what happened."""

    def __init__(
        self, cursors: dict[str, int] | None = None, **options: Any
    ) -> None:
        saved = None if cursors is None else s.Cursors.of("e", cursors)
        self.session = s.Session(ME, BEAT, cursors=saved, **options)
        self.now = 100.0
        self.revisions: Counter[str] = Counter()

    def start(self, *chats: results.SyncChat) -> list[s.Command]:
        """Connect and sync, as often as new chats make it necessary."""
        commands = self.session.connected(self.now)
        for command in commands:
            if isinstance(command, s.Subscribe):
                self.session.live(command)
                commands += self.session.synced(sync(*chats))
        return [
            command
            for command in commands
            if not isinstance(command, s.Subscribe)
        ]

    def event(
        self, chat_id: str, name: str, key: int | None = None, /, **fields: Any
    ) -> list[s.Command]:
        if key is None and chat_id != COMMON:
            key = 1
        topic = topics.chat_topic(chat_id)
        fields = FIELDS.get(name, {}) | fields
        kind = events.EVENT_BY_NAME.get(name, events.Event)
        if issubclass(kind, events.CountedEvent) and "revision" not in fields:
            self.revisions[chat_id] += 1
            fields["revision"] = self.revisions[chat_id]
        return self.session.published(
            topic,
            body(topic, {"event": name, "chat_id": chat_id, **fields}, key),
        )

    def inbox(
        self, name: str, key: int = 1, /, **fields: Any
    ) -> list[s.Command]:
        fields = FIELDS.get(name, {}) | fields
        return self.session.published(
            INBOX, body(INBOX, {"event": name, **fields}, key)
        )

    def message(
        self, seq: int, chat_id: str = COMMON, key: int | None = None
    ) -> list[s.Command]:
        return self.event(
            chat_id,
            "message",
            key,
            seq=seq,
            message=(
                {
                    "id": message(seq).id,
                    "seq": seq,
                    "created": "x",
                    "author": {"id": OTHER, "name": "somebody"},
                    "text": f"text {seq}",
                    "is_comment_on": None,
                    "comments": 0,
                    "files": [],
                }
            ),
        )

    def beat(self, epoch: str = "e", gaps: int = 0) -> list[s.Command]:
        return self.session.published(
            topics.HEARTBEAT,
            codec.pack({"epoch": epoch, "time": "x", "gaps": gaps}),
        )

    def wait(self, seconds: float) -> list[s.Command]:
        self.now += seconds
        return self.session.tick(self.now)


def seqs(commands: list[s.Command]) -> list[int]:
    """The seqs of the messages that are delivered."""
    return [
        command.event.message.seq
        for command in commands
        if isinstance(command, s.Deliver)
        and isinstance(command.event, events.MessageSent)
    ]


def notices(commands: list[s.Command]) -> list[tuple[str, str | None]]:
    """The names and chats of the other events of the wire."""
    told = [c.event for c in commands if isinstance(c, s.Deliver)]
    return [
        (events.name_of(type(event)), getattr(event, "chat_id", None))
        for event in told
        if isinstance(event, events.Event)
        and not isinstance(event, events.MessageSent)
    ]


def fetch_in(commands: list[s.Command]) -> s.Fetch:
    return next(c for c in commands if isinstance(c, s.Fetch))


CAUGHT_UP = s.Deliver(s.CaughtUp())


class TestStart:
    def test_subscribes_then_syncs_behind_the_barrier(self) -> None:
        device = Device()
        [subscribe] = device.session.connected(0.0)
        assert isinstance(subscribe, s.Subscribe)
        assert set(subscribe.topics) == {topics.HEARTBEAT, INBOX}
        assert device.session.live(subscribe) == [s.AskSync()]

    def test_a_new_chat_is_subscribed_and_synced_once_more(self) -> None:
        device = Device()
        [first] = device.session.connected(0.0)
        assert isinstance(first, s.Subscribe)
        device.session.live(first)
        [second] = device.session.synced(sync(chat(head=3)))
        assert isinstance(second, s.Subscribe)
        assert second.topics == (topics.chat_topic(COMMON),)
        assert device.session.live(second) == [s.AskSync()]
        assert device.session.synced(sync(chat(head=3))) == [CAUGHT_UP]

    def test_nothing_is_asked_or_told_before_it_connects(self) -> None:
        device = Device()
        assert device.wait(100.0) == []
        assert (device.session.name, device.session.scheduled) == ("", 0)
        assert device.session.synced(sync()) == []

    def test_saved_chats_are_subscribed_at_once(self) -> None:
        device = Device(cursors={COMMON: 4})
        [subscribe] = device.session.connected(0.0)
        assert isinstance(subscribe, s.Subscribe)
        assert topics.chat_topic(COMMON) in subscribe.topics

    def test_a_fresh_device_begins_at_the_head(self) -> None:
        device = Device()
        assert device.start(chat(head=7, read=2)) == [CAUGHT_UP]
        assert device.session.cursors().seqs == {COMMON: 7}

    def test_or_at_what_is_unread(self) -> None:
        device = Device(start=s.Start.UNREAD)
        commands = device.start(chat(head=7, read=2))
        assert fetch_in(commands).after == 2

    def test_a_resumed_device_fetches_from_its_cursor(self) -> None:
        device = Device(cursors={COMMON: 4})
        commands = device.start(chat(head=6))
        fetch = fetch_in(commands)
        assert (fetch.chat_id, fetch.after) == (COMMON, 4)
        commands = device.session.fetched(fetch, page(5, 6, head=6))
        assert seqs(commands) == [5, 6]
        assert commands[-1] == CAUGHT_UP

    def test_a_chat_that_came_while_away_is_fetched_whole(self) -> None:
        device = Device(cursors={COMMON: 4})
        commands = device.start(chat(head=4), chat(GROUP, head=2, read=2))
        assert fetch_in(commands).after == 0

    def test_a_chat_that_came_while_away_is_announced_first(self) -> None:
        device = Device(cursors={COMMON: 4})
        commands = device.start(chat(head=4), chat(GROUP, head=2))
        assert notices(commands) == [("chat_added", GROUP)]
        kinds = [
            type(c.event if isinstance(c, s.Deliver) else c) for c in commands
        ]
        assert kinds.index(events.ChatAdded) < kinds.index(s.Fetch)
        assert notices(Device().start(chat(), chat(GROUP))) == []

    def test_a_chat_left_while_away_is_unsubscribed(self) -> None:
        device = Device(cursors={COMMON: 4, GROUP: 9})
        commands = device.start(chat(head=4))
        assert s.Unsubscribe((topics.chat_topic(GROUP),)) in commands
        assert device.session.cursors().seqs[GROUP] == 9

    def test_the_barrier_of_an_older_subscription_says_nothing(self) -> None:
        device = Device()
        [old] = device.session.connected(0.0)
        device.session.disconnected()
        device.session.connected(1.0)
        assert isinstance(old, s.Subscribe)
        assert device.session.live(old) == []

    def test_events_before_the_first_sync_are_kept(self) -> None:
        device = Device(cursors={COMMON: 4, GROUP: 0})
        device.session.connected(0.0)
        assert device.message(5) == [s.AskSync()]
        device.message(1, GROUP)
        device.inbox("banned", until="later")
        commands = device.session.synced(
            sync(chat(head=4), chat(GROUP, head=0))
        )
        assert sorted(seqs(commands)) == [1, 5]
        assert notices(commands) == [("banned", None)]


class TestMessages:
    def test_next_is_delivered(self) -> None:
        device = Device()
        device.start(chat(head=2))
        assert seqs(device.message(3)) == [3]
        assert seqs(device.message(4)) == [4]

    def test_older_is_dropped(self) -> None:
        device = Device()
        device.start(chat(head=2))
        device.message(3)
        assert device.message(3) == []
        assert device.message(1) == []
        assert device.session.chats[COMMON]._held == {}

    def test_a_gap_is_fetched_and_what_follows_held(self) -> None:
        device = Device()
        device.start(chat(head=2))
        [fetch] = device.message(5)
        assert fetch == s.Fetch(COMMON, 2, 200)
        assert device.message(6) == []
        assert seqs(device.session.fetched(fetch, page(3, 4, 5, head=5))) == [
            3,
            4,
            5,
            6,
        ]

    def test_the_missing_message_may_still_come_by_itself(self) -> None:
        device = Device()
        device.start(chat(head=2))
        [fetch] = device.message(4)
        assert isinstance(fetch, s.Fetch)
        assert seqs(device.message(3)) == [3, 4]
        assert device.session.fetched(fetch, page(3, 4, head=4)) == []

    def test_pages_follow_one_another(self) -> None:
        device = Device(cursors={COMMON: 0})
        fetch = fetch_in(device.start(chat(head=5)))
        commands = device.session.fetched(
            fetch, page(1, 2, head=5, has_newer=True)
        )
        assert seqs(commands) == [1, 2]
        assert fetch_in(commands).after == 2

    def test_what_the_server_deleted_does_not_stall(self) -> None:
        device = Device(cursors={COMMON: 1})
        fetch = fetch_in(device.start(chat(head=9)))
        commands = device.session.fetched(fetch, page(5, 7, head=9))
        assert seqs(commands) == [5, 7]
        assert commands[-1] == CAUGHT_UP
        assert device.session.cursors().seqs == {COMMON: 9}

    def test_a_page_may_be_empty_when_all_is_gone(self) -> None:
        device = Device(cursors={COMMON: 1})
        fetch = fetch_in(device.start(chat(head=9)))
        assert device.session.fetched(fetch, page(head=9)) == [CAUGHT_UP]
        assert seqs(device.message(10)) == [10]

    def test_held_and_gone_from_the_page_is_still_delivered(self) -> None:
        device = Device()
        device.start(chat(head=2))
        fetch = fetch_in(device.message(4))
        assert seqs(device.session.fetched(fetch, page(5, head=5))) == [4, 5]

    def test_a_head_event_behind_is_fetched(self) -> None:
        device = Device()
        device.start(chat(head=2))
        assert device.event(COMMON, "head", seq=2) == []
        assert device.event(COMMON, "head", seq=3) == [s.Fetch(COMMON, 2, 200)]

    def test_a_page_without_progress_waits_for_the_tick(self) -> None:
        device = Device()
        device.start(chat(head=2))
        fetch = fetch_in(device.event(COMMON, "head", seq=3))
        assert device.session.fetched(fetch, page(head=2)) == []
        assert device.event(COMMON, "head", seq=3) == []
        assert device.wait(1.0) == [s.Fetch(COMMON, 2, 200)]

    def test_held_messages_are_bounded(self) -> None:
        device = Device()
        device.start(chat(head=0))
        for seq in range(2, s.HELD_LIMIT + 50):
            device.message(seq)
        state = device.session.chats[COMMON]
        assert len(state._held) == s.HELD_LIMIT
        commands = device.message(1)
        assert seqs(commands) == list(range(1, s.HELD_LIMIT + 2))
        fetch = s.Fetch(COMMON, 0, 200)
        assert state._fetching == fetch
        assert state._fetching is not None
        commands = device.session.fetched(
            state._fetching,
            page(*range(1, 201), head=s.HELD_LIMIT + 49, has_newer=True),
        )
        assert fetch_in(commands).after == s.HELD_LIMIT + 1

    def test_a_page_goes_through_to_its_last_message(self) -> None:
        device = Device(cursors={COMMON: 0})
        fetch = fetch_in(device.start(chat(head=9)))
        commands = device.session.fetched(
            fetch, page(1, 3, 5, 7, head=9, has_newer=True)
        )
        assert seqs(commands) == [1, 3, 5, 7]
        assert fetch_in(commands).after == 7

    def test_few_fetches_at_once(self) -> None:
        ids = [f"00000000-0000-7000-8000-{n:012x}" for n in range(1, 30)]
        device = Device(cursors=dict.fromkeys(ids, 0))
        commands = device.start(*(chat(id, head=1) for id in ids))
        delivered = 0
        while fetches := [c for c in commands if isinstance(c, s.Fetch)]:
            assert len(fetches) <= s.FETCHES_AT_ONCE
            commands = []
            for fetch in fetches:
                answered = device.session.fetched(fetch, page(1, head=1))
                delivered += len(seqs(answered))
                commands += answered
        assert delivered == len(ids)
        assert commands[-1] == CAUGHT_UP

    @pytest.mark.parametrize(
        "broken",
        [
            b"",
            b"\xc1",
            codec.pack([1]),
            codec.pack({"event": 5}),
            codec.pack({"event": "message", "message": {"seq": 3}}),
            codec.pack({"event": "head", "seq": "3"}),
            codec.pack({"event": "chat_renamed", "name": 5}),
        ],
    )
    def test_what_cannot_be_read_is_left_out(self, broken: bytes) -> None:
        device = Device()
        device.start(chat(head=2))
        topic = topics.chat_topic(COMMON)
        assert device.session.published(topic, broken) == []
        assert seqs(device.message(3)) == [3]


class TestKeys:
    def test_sealed_events_are_opened(self) -> None:
        device = Device()
        device.start(chat(GROUP, head=0))
        assert seqs(device.message(1, GROUP)) == [1]

    def test_events_under_the_old_key_are_still_read(self) -> None:
        device = Device()
        device.start(chat(GROUP))
        assert device.event(GROUP, "key_changed") == [s.AskSync()]
        device.session.synced(sync(chat(GROUP, head=2, key=2)))
        assert seqs(device.message(1, GROUP, key=1)) == [1]
        assert seqs(device.message(2, GROUP, key=2)) == [2]

    def test_an_unknown_key_is_asked_for_and_the_event_kept(self) -> None:
        device = Device()
        device.start(chat(GROUP))
        assert device.event(GROUP, "member_joined", 2) == [s.AskSync()]
        commands = device.session.synced(sync(chat(GROUP, key=2)))
        assert notices(commands) == [("member_joined", GROUP)]

    def test_a_key_that_sync_does_not_give_is_asked_for_once(self) -> None:
        device = Device()
        device.start(chat(GROUP))
        assert device.message(1, GROUP, key=3) == [s.AskSync()]
        assert device.session.synced(sync(chat(GROUP, key=2))) == []

    def test_an_answer_older_than_the_event_is_no_answer(self) -> None:
        device = Device()
        device.start(chat(GROUP))
        assert device.event(GROUP, "key_changed") == [s.AskSync()]
        assert device.message(1, GROUP, key=3) == []
        assert device.session.synced(sync(chat(GROUP, key=2))) == [s.AskSync()]
        commands = device.session.synced(sync(chat(GROUP, head=1, key=3)))
        assert seqs(commands) == [1]

    def test_a_forged_body_is_nothing(self) -> None:
        device = Device()
        device.start(chat(GROUP))
        topic = topics.chat_topic(GROUP)
        forged = body(
            topics.chat_topic(SECOND_GROUP), {"event": "head", "seq": 9}, 1
        )
        assert device.session.published(topic, forged) == [s.AskSync()]
        assert device.session.synced(sync(chat(GROUP))) == []
        assert device.session.published(topic, b"short") == []

    def test_what_waits_for_its_key_is_bounded(self) -> None:
        device = Device()
        device.start(chat(GROUP))
        for seq in range(1, s.UNOPENED_LIMIT + 3):
            device.message(seq, GROUP, key=2)
        commands = device.session.synced(sync(chat(GROUP, key=2)))
        assert fetch_in(commands) == s.Fetch(GROUP, 0, 200)
        fetch = fetch_in(commands)
        commands = device.session.fetched(fetch, page(1, 2, head=2))
        assert seqs(commands) == list(range(1, s.UNOPENED_LIMIT + 3))

    def test_keys_are_bounded(self) -> None:
        device = Device()
        device.start(chat(GROUP))
        for number in range(2, 20):
            device.event(GROUP, "key_changed", number - 1)
            device.session.synced(sync(chat(GROUP, key=number)))
        keys = device.session._keys._keys[topics.chat_topic(GROUP)]
        assert len(keys) == s.KEPT_KEYS
        assert device.message(1, GROUP, key=1) == []


class TestChats:
    def test_an_added_chat_is_synced_subscribed_and_fetched(self) -> None:
        device = Device()
        device.start(chat())
        assert device.inbox("chat_added", chat_id=GROUP) == [s.AskSync()]
        commands = device.session.synced(sync(chat(), chat(GROUP, head=1)))
        assert notices(commands) == [("chat_added", GROUP)]
        [subscribe] = [c for c in commands if isinstance(c, s.Subscribe)]
        fetch = fetch_in(commands)
        assert seqs(device.session.fetched(fetch, page(1, head=1))) == [1]
        assert device.session.live(subscribe) == [s.AskSync()]
        commands = device.session.synced(sync(chat(), chat(GROUP, head=2)))
        assert fetch_in(commands).after == 1

    def test_a_removed_chat_is_forgotten(self) -> None:
        device = Device()
        device.start(chat(), chat(GROUP))
        commands = device.inbox("chat_removed", chat_id=GROUP)
        assert notices(commands) == [("chat_removed", GROUP)]
        assert s.Unsubscribe((topics.chat_topic(GROUP),)) in commands
        assert device.message(1, GROUP) == []

    def test_coming_back_repeats_nothing(self) -> None:
        device = Device()
        device.start(chat(), chat(GROUP))
        device.message(1, GROUP)
        device.inbox("chat_removed", chat_id=GROUP)
        device.inbox("chat_added", chat_id=GROUP)
        commands = device.session.synced(sync(chat(), chat(GROUP, head=3)))
        assert fetch_in(commands).after == 1

    def test_a_page_for_a_chat_that_was_left_is_dropped(self) -> None:
        device = Device(cursors={GROUP: 0})
        fetch = fetch_in(device.start(chat(GROUP, head=1)))
        device.inbox("chat_removed", chat_id=GROUP)
        assert seqs(device.session.fetched(fetch, page(1, head=1))) == []

    def test_a_refused_fetch_asks_who_we_are(self) -> None:
        device = Device(cursors={GROUP: 0})
        fetch = fetch_in(device.start(chat(GROUP, head=1)))
        assert device.session.fetch_refused(fetch) == [s.AskSync()]
        commands = device.session.synced(sync())
        assert notices(commands) == [("chat_removed", GROUP)]

    def test_a_refused_fetch_of_our_chat_waits_for_the_tick(self) -> None:
        device = Device(cursors={GROUP: 0})
        fetch = fetch_in(device.start(chat(GROUP, head=1)))
        device.session.fetch_refused(fetch)
        assert device.session.synced(sync(chat(GROUP, head=1))) == []
        [again] = device.wait(1.0)
        assert again == s.Fetch(GROUP, 0, 200)
        assert isinstance(again, s.Fetch)
        commands = device.session.fetched(again, page(1, head=1))
        assert seqs(commands) == [1]
        assert commands[-1] == CAUGHT_UP

    def test_the_new_name_is_told_once(self) -> None:
        device = Device()
        device.start(chat(GROUP, name="old"))
        assert notices(device.event(GROUP, "chat_renamed", name="new")) == [
            ("chat_renamed", GROUP)
        ]
        assert device.event(GROUP, "chat_renamed", name="new") == []
        assert device.session.chats[GROUP].name == "new"

    @pytest.mark.parametrize(
        ("kind", "title"), [("group", "new"), ("p2p", "old")]
    )
    def test_the_title_of_a_group_is_its_name(
        self, kind: str, title: str
    ) -> None:
        device = Device()
        device.start(chat(GROUP, name="old", kind=kind))
        device.event(GROUP, "chat_renamed", name="new")
        assert device.session.chats[GROUP].title == title

    @pytest.mark.parametrize(
        ("kind", "who", "title"),
        [
            ("p2p", OTHER, "new"),
            ("p2p", ME, "old"),
            ("group", OTHER, "old"),
            ("group", ME, "old"),
        ],
    )
    def test_the_title_of_a_private_chat_is_the_others_name(
        self, kind: str, who: str, title: str
    ) -> None:
        device = Device()
        device.start(chat(GROUP, name="old", kind=kind))
        user = {"id": who, "name": "new"}
        device.event(GROUP, "member_renamed", user=user)
        assert device.session.chats[GROUP].title == title

    def test_a_name_that_a_sync_tells_is_told_with_its_revision(self) -> None:
        device = Device()
        device.start(chat(GROUP, name="old"))
        device.session.disconnected()
        commands = device.start(chat(GROUP, name="new", revision=7))
        (renamed,) = [
            event
            for event in told(commands)
            if isinstance(event, events.ChatRenamed)
        ]
        assert (renamed.name, renamed.revision) == ("new", 7)

    @pytest.mark.parametrize("back", ["head", "revision", "read"])
    def test_one_count_set_back_is_a_store_set_back(self, back: str) -> None:
        """What the store counts goes up only, unless it was restored."""
        counts: dict[str, Any] = {"head": 5, "revision": 5, "read": 5}
        device = Device()
        device.start(chat(**counts, name="old"))
        device.session.disconnected()
        device.start(chat(**counts | {back: 3}, name="new"))
        log = device.session.chats[COMMON]
        found = {
            "head": log.cursor,
            "revision": log.revision,
            "read": log.read,
        }
        assert found == counts | {back: 3}
        assert log.name == "new"

    def test_an_older_answer_does_not_bring_the_old_name_back(self) -> None:
        device = Device()
        device.start(chat(GROUP, name="old"))
        device.event(GROUP, "key_changed")
        device.event(GROUP, "chat_renamed", name="new")
        device.session.synced(sync(chat(GROUP, name="old")))
        device.session.synced(sync(chat(GROUP, name="new")))
        assert device.session.chats[GROUP].name == "new"

    def test_events_without_a_rule_are_passed_on(self) -> None:
        device = Device()
        device.start(chat(GROUP))
        failed: Any = {"chat_id": GROUP, "id": "x", "error": "banned"}
        assert device.inbox("scheduled_failed", **failed) == [
            s.Deliver(events.ScheduledFailed(**failed))
        ]
        assert device.event(GROUP, "sparkle", brightness=3) == [
            s.Deliver(s.Notice("sparkle", GROUP, {"brightness": 3}))
        ]
        topic = topics.chat_topic(GROUP)
        nameless = body(topic, {"event": "sparkle"}, 1)
        assert device.session.published(topic, nameless) == [
            s.Deliver(s.Notice("sparkle", GROUP, {}))
        ]
        assert device.inbox("sparkle", brightness=3) == [
            s.Deliver(s.Notice("sparkle", None, {"brightness": 3}))
        ]


class TestRead:
    def test_own_messages_do_not_count(self) -> None:
        device = Device()
        device.start(chat())
        device.message(1)
        device.event(
            COMMON,
            "message",
            message={
                "id": "x",
                "seq": 2,
                "created": "x",
                "text": "",
                "author": {"id": ME, "name": "me"},
                "is_comment_on": None,
                "comments": 0,
                "files": [],
            },
        )
        assert device.session.chats[COMMON].unread == 1

    def test_what_sync_counted_is_not_counted_again(self) -> None:
        device = Device(cursors={COMMON: 0})
        fetch = fetch_in(device.start(chat(head=2, unread=2)))
        device.session.fetched(fetch, page(1, 2, head=2))
        assert device.session.chats[COMMON].unread == 2

    def test_another_device_read_all(self) -> None:
        device = Device()
        device.start(chat(head=3, unread=3))
        commands = device.inbox("read", chat_id=COMMON, seq=3)
        assert notices(commands) == [("read", COMMON)]
        assert device.session.chats[COMMON].unread == 0
        assert device.wait(1.0) == []

    def test_another_device_read_some(self) -> None:
        device = Device()
        device.start(chat(head=3, unread=3))
        device.inbox("read", chat_id=COMMON, seq=2)
        assert device.wait(1.0) == [s.AskSync()]
        device.session.synced(sync(chat(head=3, read=2, unread=1)))
        assert device.session.chats[COMMON].unread == 1

    def test_a_position_never_goes_back(self) -> None:
        device = Device()
        device.start(chat(head=3, read=3))
        assert device.inbox("read", chat_id=COMMON, seq=1) == []
        assert device.session.chats[COMMON].read == 3

    def test_sync_tells_what_was_read_while_away(self) -> None:
        device = Device()
        device.start(chat(head=3, unread=3))
        device.session.disconnected()
        commands = device.start(chat(head=3, read=3))
        assert notices(commands) == [("read", COMMON)]

    def test_an_answer_moves_the_position_and_its_event_says_nothing_new(
        self,
    ) -> None:
        device = Device()
        device.start(chat(head=3, read=1, unread=2))
        commands = device.session.was_read(COMMON, 3)
        assert notices(commands) == [("read", COMMON)]
        assert device.session.chats[COMMON].unread == 0
        assert device.inbox("read", chat_id=COMMON, seq=3) == []


class TestFromTheTop:
    def test_after_a_reconnect(self) -> None:
        device = Device()
        device.start(chat(head=2))
        assert device.session.disconnected() == []
        [subscribe] = device.session.connected(200.0)
        assert isinstance(subscribe, s.Subscribe)
        assert set(subscribe.topics) == {
            topics.HEARTBEAT,
            INBOX,
            topics.chat_topic(COMMON),
        }
        assert device.session.live(subscribe) == [s.AskSync()]
        commands = device.session.synced(sync(chat(head=3)))
        assert fetch_in(commands).after == 2

    def test_after_three_missed_heartbeats(self) -> None:
        device = Device()
        device.start(chat())
        assert device.wait(2 * BEAT) == []
        device.beat()
        assert device.wait(1.0) == []
        assert device.wait(3 * BEAT) == []
        assert device.wait(0.5) == [s.Reconnect()]
        assert device.wait(1.0) == []

    def test_after_a_barrier_that_never_came(self) -> None:
        device = Device()
        device.session.connected(device.now)
        for _ in range(15):
            device.beat()
            assert device.wait(1.0) == []
        device.beat()
        assert device.wait(1.5) == [s.Reconnect()]

    def test_after_a_new_epoch_without_subscribing_twice(self) -> None:
        device = Device()
        device.start(chat(head=9))
        assert device.beat("e") == []
        [subscribe] = device.beat("another")
        assert subscribe == s.Subscribe(())
        assert isinstance(subscribe, s.Subscribe)
        assert device.session.live(subscribe) == [s.AskSync()]
        assert device.beat("another") == []

    def test_after_a_gap_in_the_feed_of_the_broker(self) -> None:
        device = Device()
        device.start(chat(head=9))
        assert device.beat(gaps=0) == []
        [subscribe] = device.beat(gaps=1)
        assert isinstance(subscribe, s.Subscribe)
        assert device.session.live(subscribe) == [s.AskSync()]
        assert device.beat(gaps=1) == []

    def test_once_where_sync_and_events_are_of_two_brokers(self) -> None:
        device = Device()
        device.start(chat(head=9))
        for gaps in (1, 1, 1):
            for command in device.beat(gaps=gaps):
                assert isinstance(command, s.Subscribe)
                device.session.live(command)
                assert device.session.synced(sync(chat(head=9))) == [CAUGHT_UP]
        assert device.beat(gaps=1) == []

    def test_another_broker_counts_its_own_gaps(self) -> None:
        device = Device()
        device.start(chat(head=9))
        device.beat(gaps=0)
        device.session.disconnected()
        device.session.connected(device.now)
        assert device.beat(gaps=7) == []

    def test_a_restored_store_is_told_and_what_was_known_forgotten(
        self,
    ) -> None:
        device = Device()
        device.start(chat(head=9, read=9), chat(GROUP))
        [subscribe] = device.beat("another")
        assert isinstance(subscribe, s.Subscribe)
        device.session.live(subscribe)
        commands = device.session.synced(
            sync(chat(head=20, read=3, name="now"), epoch="another")
        )
        assert commands[0] == s.Deliver(s.Restored("another"))
        assert notices(commands) == []
        assert s.Deliver(s.Missed(None)) not in commands
        assert fetch_in(commands) == s.Fetch(COMMON, 3, 200)
        assert device.session.chats[COMMON].name == "now"
        assert device.session.chats.keys() == {COMMON}
        assert device.session.cursors() == s.Cursors(
            "another", (s.ChatCursor(COMMON, 3, 0),)
        )

    def test_a_new_history_that_outgrew_the_cursor_is_not_skipped(
        self,
    ) -> None:
        device = Device()
        device.start(chat(head=9, read=2))
        device.session.disconnected()
        [subscribe] = device.session.connected(device.now)
        assert isinstance(subscribe, s.Subscribe)
        assert seqs(device.message(10)) == []
        device.session.live(subscribe)
        commands = device.session.synced(
            sync(chat(head=12, read=2), epoch="another")
        )
        fetch = fetch_in(commands)
        commands = device.session.fetched(fetch, page(*range(3, 13), head=12))
        assert seqs(commands) == list(range(3, 13))

    def test_what_came_before_the_epoch_was_sure_comes_with_it(self) -> None:
        device = Device()
        device.start(chat(head=9))
        device.session.disconnected()
        [subscribe] = device.session.connected(device.now)
        assert isinstance(subscribe, s.Subscribe)
        assert seqs(device.message(10)) == []
        device.session.live(subscribe)
        assert seqs(device.session.synced(sync(chat(head=10)))) == [10]

    def test_saved_cursors_of_another_epoch_are_forgotten(self) -> None:
        device = Device(cursors={COMMON: 4, GROUP: 2})
        commands = device.session.synced(
            sync(chat(head=9, read=1), epoch="another")
        )
        assert commands[0] == s.Deliver(s.Restored("another"))
        assert fetch_in(commands).after == 1
        assert device.session.cursors().seqs == {COMMON: 1}

    def test_cursors_of_no_epoch_are_of_any(self) -> None:
        session = s.Session(ME, BEAT, cursors=s.Cursors.of(None, {COMMON: 4}))
        commands = session.synced(sync(chat(head=9), epoch="another"))
        assert fetch_in(commands).after == 4

    def test_a_barrier_that_comes_unasked_begins_again(self) -> None:
        device = Device()
        device.start(chat(head=2))
        device.beat(gaps=3)
        [subscribe] = device.session.renewed(device.now)
        assert subscribe == s.Subscribe(())
        assert isinstance(subscribe, s.Subscribe)
        assert device.session.live(subscribe) == [s.AskSync()]
        commands = device.session.synced(sync(chat(head=3)))
        assert fetch_in(commands).after == 2

    def test_a_page_of_the_store_before_is_dropped(self) -> None:
        device = Device()
        device.start(chat(head=4))
        device.message(5)
        old = fetch_in(device.message(9))
        [subscribe] = device.beat("another")
        assert isinstance(subscribe, s.Subscribe)
        device.session.live(subscribe)
        device.session.synced(sync(chat(head=4, read=4), epoch="another"))
        assert device.session.fetched(old, page(6, 7, 8, 9, head=9)) == [
            CAUGHT_UP
        ]
        assert device.session.cursors().seqs == {COMMON: 4}

    def test_saved_cursors_beyond_the_head_are_set_back(self) -> None:
        device = Device(cursors={COMMON: 9})
        device.start(chat(head=4))
        assert seqs(device.message(5)) == [5]

    def test_an_old_answer_does_not_set_the_cursor_back(self) -> None:
        device = Device()
        device.start(chat(head=2), chat(GROUP))
        device.event(GROUP, "key_changed")
        device.message(3)
        device.session.synced(sync(chat(head=2), chat(GROUP)))
        assert device.message(3) == []
        assert device.session.cursors().seqs[COMMON] == 3

    def test_nor_does_an_answer_after_another_cause(self) -> None:
        device = Device()
        device.start(chat(head=2), chat(GROUP))
        assert device.event(GROUP, "key_changed") == [s.AskSync()]
        device.message(3)
        assert device.event(GROUP, "key_changed") == []
        commands = device.session.synced(sync(chat(head=2), chat(GROUP)))
        assert s.AskSync() in commands
        assert device.message(3) == []

    def test_what_was_known_when_a_sync_was_asked_was_there(self) -> None:
        device = Device()
        device.start(chat(head=0))
        for seq in (1, 2, 3):
            device.message(seq)
        device.session.disconnected()
        device.start(chat(head=2))
        assert device.session.cursors().seqs == {COMMON: 2}

    def test_a_refused_sync_is_asked_again(self) -> None:
        device = Device()
        [subscribe] = device.session.connected(device.now)
        assert isinstance(subscribe, s.Subscribe)
        device.session.live(subscribe)
        assert device.session.sync_refused() == []
        assert device.wait(1.0) == [s.AskSync()]

    def test_a_broken_heartbeat_is_none(self) -> None:
        device = Device()
        device.start(chat())
        assert device.session.published(topics.HEARTBEAT, b"\xc1") == []
        assert device.wait(3 * BEAT + 1) == [s.Reconnect()]


MESSAGE: dict[str, Any] = {
    "created": "x",
    "author": {"id": OTHER, "name": "somebody"},
    "text": "",
    "is_comment_on": None,
    "comments": 0,
    "files": [],
}


def told(commands: list[s.Command]) -> list[s.Event]:
    return [c.event for c in commands if isinstance(c, s.Deliver)]


def asked(commands: list[s.Command]) -> s.AskChanges:
    return next(c for c in commands if isinstance(c, s.AskChanges))


class TestChanges:
    """What happens in a chat besides its messages."""

    def change(
        self, device: Device, seq: int, revision: int
    ) -> list[s.Command]:
        changed = {"id": f"m{seq}", "seq": seq, "revision": revision}
        return device.event(
            COMMON,
            "message_changed",
            revision=revision,
            message=MESSAGE | changed,
        )

    def test_next_is_delivered_and_older_dropped(self) -> None:
        device = Device()
        device.start(chat(head=3, revision=4))
        [event] = told(self.change(device, 2, 5))
        assert isinstance(event, events.MessageChanged)
        assert (event.message.seq, event.revision) == (2, 5)
        assert self.change(device, 2, 5) == []
        assert device.session.cursors().chats == (s.ChatCursor(COMMON, 3, 5),)

    def test_a_hole_is_asked_for_and_what_follows_held(self) -> None:
        device = Device()
        device.start(chat(head=3))
        ask = asked(self.change(device, 1, 3))
        assert ask == s.AskChanges(COMMON, 0, 200)
        assert self.change(device, 2, 4) == []
        commands = device.session.changed(
            ask, changes((3, 1), (3, 2), revision=2)
        )
        assert [
            (event.message.seq, event.revision)
            for event in told(commands)
            if isinstance(event, events.MessageChanged)
        ] == [(3, 1), (3, 2), (1, 3), (2, 4)]
        assert s.Missed(COMMON) not in told(commands)

    def test_held_and_not_in_the_answer_is_still_delivered(self) -> None:
        device = Device()
        device.start(chat(head=3))
        ask = asked(device.event(COMMON, "head", seq=3, revision=1))
        device.event(COMMON, "member_joined", revision=2)
        commands = device.session.changed(ask, changes((1, 1), revision=2))
        assert notices(commands) == [
            ("message_changed", COMMON),
            ("member_joined", COMMON),
        ]
        assert s.Missed(COMMON) not in told(commands)

    def test_what_changes_leave_out_is_said_to_be_missed(self) -> None:
        device = Device()
        device.start(chat(head=3))
        ask = asked(device.event(COMMON, "head", seq=3, revision=5))
        commands = device.session.changed(
            ask, changes((1, 2), revision=5, more=True)
        )
        assert s.Missed(COMMON) not in told(commands)
        ask = asked(commands)
        assert ask.after == 2
        commands = device.session.changed(ask, changes((2, 5), revision=5))
        assert told(commands)[-1] == s.Missed(COMMON)

    def test_a_page_of_changes_without_progress_waits_for_the_tick(
        self,
    ) -> None:
        device = Device()
        device.start(chat(head=3))
        ask = asked(device.event(COMMON, "head", seq=3, revision=5))
        assert (
            device.session.changed(ask, changes(revision=5, more=True)) == []
        )
        assert device.wait(1.0) == [s.AskChanges(COMMON, 0, 200)]

    def test_refused_changes_ask_whether_the_chat_is_ours(self) -> None:
        device = Device()
        device.start(chat(GROUP))
        ask = asked(device.event(GROUP, "head", seq=0, revision=1))
        assert device.session.fetch_refused(ask) == [s.AskSync()]
        assert notices(device.session.synced(sync())) == [
            ("chat_removed", GROUP)
        ]
        assert device.session.changed(ask, changes(revision=1)) == []
        assert device.session.fetch_refused(ask) == []

    def test_messages_come_before_changes(self) -> None:
        device = Device()
        device.start(chat(head=3))
        fetch = fetch_in(device.message(5))
        assert self.change(device, 3, 1) == []
        commands = device.session.fetched(fetch, page(4, 5, head=5))
        kinds = [type(event) for event in told(commands)]
        assert kinds == [
            events.MessageSent,
            events.MessageSent,
            events.MessageChanged,
        ]

    def test_a_change_that_overtakes_its_message_replaces_it(self) -> None:
        device = Device()
        device.start(chat(head=3))
        ask = asked(device.event(COMMON, "head", seq=3, revision=1))
        fetch = fetch_in(
            device.session.changed(ask, changes((4, 1), revision=1))
        )
        [event] = told(device.message(4))
        assert isinstance(event, events.MessageSent)
        assert event.message.revision == 1
        assert device.session.fetched(fetch, page(4, head=4)) == []

    def test_a_change_of_what_expired_meanwhile_is_forgotten(self) -> None:
        device = Device()
        device.start(chat(head=3))
        fetch = fetch_in(self.change(device, 5, 1))
        assert device.session.fetched(fetch, page(head=5)) == []
        assert device.session.chats[COMMON]._newer == {}

    def test_a_change_that_the_message_has_is_no_newer(self) -> None:
        device = Device()
        device.start(chat(head=3))
        fetch = fetch_in(self.change(device, 4, 1))
        known = page(4, head=4)
        known.messages[0] = replace(known.messages[0], revision=9)
        [event] = told(device.session.fetched(fetch, known))
        assert isinstance(event, events.MessageSent)
        assert event.message.revision == 9

    def test_held_changes_are_bounded(self) -> None:
        device = Device()
        device.start(chat(head=3))
        for revision in range(2, s.HELD_LIMIT + 50):
            self.change(device, 1, revision)
        state = device.session.chats[COMMON]
        assert len(state._held_events) == s.HELD_LIMIT
        assert state.newest == s.HELD_LIMIT + 49
        self.change(device, 1, 1)
        assert state.revision == s.HELD_LIMIT + 1

    def test_what_came_as_an_event_meanwhile_is_not_told_again(self) -> None:
        device = Device()
        device.start(chat(head=3))
        ask = asked(device.event(COMMON, "head", seq=3, revision=2))
        assert len(told(self.change(device, 1, 1))) == 1
        commands = device.session.changed(
            ask, changes((1, 1), (2, 2), revision=2)
        )
        assert [
            event.revision
            for event in told(commands)
            if isinstance(event, events.CountedEvent)
        ] == [2]

    def test_nothing_is_missed_where_all_came(self) -> None:
        device = Device()
        device.start(chat(head=3, revision=4))
        ask = asked(device.event(COMMON, "head", seq=3, revision=6))
        commands = device.session.changed(
            ask, changes((1, 5), (2, 6), revision=6)
        )
        assert s.Missed(COMMON) not in told(commands)

    def test_each_loss_is_told_once(self) -> None:
        device = Device()
        device.start(chat(head=3))
        ask = asked(device.event(COMMON, "head", seq=3, revision=2))
        commands = device.session.changed(ask, changes((1, 2), revision=2))
        assert s.Missed(COMMON) in told(commands)
        ask = asked(device.event(COMMON, "head", seq=3, revision=3))
        commands = device.session.changed(ask, changes((1, 3), revision=3))
        assert s.Missed(COMMON) not in told(commands)

    def test_an_old_answer_holds_nothing_up(self) -> None:
        device = Device()
        device.start(chat(head=3))
        ask = asked(device.event(COMMON, "head", seq=3, revision=1))
        self.change(device, 1, 1)
        device.session.changed(ask, changes(revision=0))
        assert not device.session.chats[COMMON].is_stalled
        fetch = fetch_in(device.event(COMMON, "head", seq=4, revision=1))
        device.message(4)
        device.session.fetched(fetch, page(head=3))
        assert not device.session.chats[COMMON].is_stalled

    def test_a_resumed_device_asks_from_its_revision(self) -> None:
        saved = s.Cursors("e", (s.ChatCursor(COMMON, 3, 2),))
        session = s.Session(ME, BEAT, cursors=saved)
        commands = session.synced(sync(chat(head=3, revision=4)))
        assert asked(commands) == s.AskChanges(COMMON, 2, 200)
        assert session.cursors() == saved
        assert session.epoch == "e"

    def test_a_key_comes_with_changes_too(self) -> None:
        device = Device()
        device.start(chat(GROUP))
        ask = asked(device.event(GROUP, "head", seq=0, revision=2))
        device.session.changed(ask, changes(revision=2, key=2))
        left = {"id": OTHER, "name": "somebody"}
        assert notices(
            device.event(GROUP, "member_left", 2, revision=3, user=left)
        ) == [("member_left", GROUP)]

    def test_an_old_key_change_asks_for_nothing(self) -> None:
        device = Device()
        device.start(chat(GROUP, revision=4))
        assert device.event(GROUP, "key_changed", revision=4) == []

    def test_typing_and_seen_count_nothing(self) -> None:
        device = Device()
        device.start(chat(GROUP))
        user = {"id": OTHER, "name": "somebody"}
        for _ in range(2):
            assert notices(device.event(GROUP, "typing", user=user)) == [
                ("typing", GROUP)
            ]
        assert notices(device.event(GROUP, "seen", user_id=OTHER, seq=1)) == [
            ("seen", GROUP)
        ]

    def test_an_event_that_names_another_chat_is_dropped(self) -> None:
        device = Device()
        device.start(chat(), chat(GROUP))
        topic = topics.chat_topic(COMMON)
        for event in (
            {"event": "head", "chat_id": GROUP, "seq": 9, "revision": 0},
            {"event": "renamed", "name": "you"},
        ):
            assert device.session.published(topic, codec.pack(event)) == []


class TestNames:
    """Names and titles."""

    def test_a_p2p_chat_is_titled_by_the_other(self) -> None:
        device = Device()
        device.start(chat(GROUP, kind="p2p", name="p2p", title="bob"))
        for user_id, name in ((ME, "ann"), (OTHER, "robert")):
            user = {"id": user_id, "name": name}
            assert notices(
                device.event(GROUP, "member_renamed", user=user)
            ) == [("member_renamed", GROUP)]
        state = device.session.chats[GROUP]
        assert (state.name, state.title) == ("p2p", "robert")
        device.event(GROUP, "chat_renamed", name="odd")
        assert (state.name, state.title) == ("odd", "robert")

    def test_changes_tell_a_name_that_was_missed(self) -> None:
        device = Device()
        device.start(chat(GROUP, name="old"))
        ask = asked(device.event(GROUP, "head", seq=0, revision=3))
        commands = device.session.changed(
            ask, changes(revision=3, name="new", key=1)
        )
        assert notices(commands) == [("chat_renamed", GROUP)]
        assert device.session.chats[GROUP].title == "new"

    def test_a_name_from_before_the_sync_is_not_brought_back(self) -> None:
        device = Device()
        device.start(chat(GROUP, name="new", revision=0))
        device.session.disconnected()
        device.start(chat(GROUP, name="newer", revision=2))
        ask = s.AskChanges(GROUP, 0, 200)
        assert device.session.chats[GROUP]._asking == ask
        assert device.event(GROUP, "chat_renamed", name="new") == []
        assert device.session.chats[GROUP].name == "newer"


class TestInbox:
    """The count of the inbox, and what it tells of the user."""

    def begun(self, *chats: results.SyncChat, inbox: int = 4) -> Device:
        device = Device()
        device.session.synced(sync(*chats, inbox=inbox))
        for command in device.session.connected(device.now):
            assert isinstance(command, s.Subscribe)
            device.session.live(command)
        device.session.synced(sync(*chats, inbox=inbox))
        return device

    def test_next_is_taken_and_a_repeat_dropped(self) -> None:
        device = self.begun()
        assert notices(device.inbox("renamed", name="you", inbox=5)) == [
            ("renamed", None)
        ]
        assert device.inbox("renamed", name="old", inbox=5) == []
        assert device.session.name == "you"

    def test_the_first_of_all_is_next(self) -> None:
        device = self.begun(inbox=0)
        assert device.inbox("renamed", name="you", inbox=1) == [
            s.Deliver(events.Renamed(name="you", inbox=1))
        ]
        assert device.session.name == "you"

    def test_a_hole_is_closed_by_a_sync(self) -> None:
        device = self.begun()
        commands = device.inbox("renamed", name="you", inbox=7)
        assert s.AskSync() in commands
        assert notices(commands) == [("renamed", None)]
        commands = device.session.synced(
            sync(inbox=7, name="you", scheduled=2)
        )
        assert told(commands) == [s.Missed(None)]
        assert device.session.scheduled == 2

    def test_the_head_of_the_inbox_shows_what_was_missed(self) -> None:
        device = self.begun()
        assert device.inbox("inbox_head", inbox=4) == []
        assert device.inbox("inbox_head", inbox=6) == [s.AskSync()]
        commands = device.session.synced(
            sync(
                inbox=6,
                name="you",
                role="admin",
                banned_until="2026-01-01T00:00:00+00:00",
                receipts=False,
            )
        )
        assert told(commands) == [
            s.Missed(None),
            events.Renamed(name="you"),
            events.Banned(until="2026-01-01T00:00:00+00:00"),
            events.RoleChanged(role="admin"),
            events.SettingsChanged(receipts=False),
        ]
        assert device.session.user is not None
        assert device.session.user.role == "admin"

    def test_what_a_sync_told_already_is_told_once(self) -> None:
        device = self.begun(chat())
        device.inbox("inbox_head", inbox=6)
        device.session.synced(sync(chat(read=2), inbox=7))
        assert device.inbox("read", chat_id=COMMON, seq=1, inbox=5) == []
        state = {"id": "x", "state": "pending"}
        assert notices(
            device.inbox("scheduled_changed", inbox=6, **state)
        ) == [("scheduled_changed", None)]
        asks = {"chat_id": COMMON, "user": {"id": OTHER, "name": "x"}}
        assert notices(device.inbox("join_requested", inbox=7, **asks)) == [
            ("join_requested", COMMON)
        ]
        assert device.session.chats[COMMON].requests == 0

    def test_the_user_is_kept_up_to_date(self) -> None:
        device = self.begun()
        told_in_order: dict[str, dict[str, Any]] = {
            "renamed": {"name": "you"},
            "banned": {"until": None},
            "role_changed": {"role": "moderator"},
            "settings_changed": {"receipts": False},
        }
        for number, (name, fields) in enumerate(told_in_order.items()):
            device.inbox(name, inbox=5 + number, **fields)
        user = device.session.user
        assert user is not None
        assert user.banned_until is None
        device.inbox("banned", until="later", inbox=9)
        assert device.session.user is not None
        assert device.session.user.banned_until == "later"
        assert (user.name, user.role, user.receipts) == (
            "you",
            "moderator",
            False,
        )
        assert device.session.name == "you"

    def test_an_event_before_the_first_sync_changes_no_user(self) -> None:
        device = Device()
        device.session._keys.keep(
            INBOX, results.EventKey(id=1, secret=secret(1))
        )
        assert notices(device.inbox("renamed", name="you")) == [
            ("renamed", None)
        ]
        assert device.session.user is None

    def test_a_sync_that_saw_less_is_asked_again(self) -> None:
        device = self.begun(chat(), chat(GROUP))
        device.event(GROUP, "key_changed")
        device.inbox("chat_removed", chat_id=GROUP, inbox=5)
        device.inbox("renamed", name="you", inbox=6)
        commands = device.session.synced(
            sync(chat(), chat(GROUP), inbox=4, name="old")
        )
        assert told(commands) == []
        assert device.session.name == "you"
        assert device.session.chats.keys() == {COMMON}
        assert device.wait(1.0) == [s.AskSync()]

    def test_mentions_are_counted(self) -> None:
        device = self.begun(chat(head=5, read=3, mentions=1))
        mention = {"chat_id": COMMON, "message_id": "m"}
        state = device.session.chats[COMMON]
        for number, (seq, on, count) in enumerate(
            [(4, True, 2), (3, True, 2), (4, False, 1)]
        ):
            device.inbox(
                "mentioned", inbox=5 + number, seq=seq, on=on, **mention
            )
            assert state.mentions == count
        device.inbox("mentioned", inbox=8, seq=5, on=False, **mention)
        assert state.mentions == 0
        device.inbox("mentioned", inbox=9, seq=5, on=True, **mention)
        device.inbox("read", chat_id=COMMON, seq=5, inbox=10)
        assert state.mentions == 0

    def test_join_requests_are_counted(self) -> None:
        device = self.begun(chat(GROUP, requests=1))
        asks = {"chat_id": GROUP, "user": {"id": OTHER, "name": "x"}}
        device.inbox("join_requested", inbox=5, **asks)
        assert device.session.chats[GROUP].requests == 2
        answered = {"chat_id": GROUP, "user_id": OTHER}
        for number, left in enumerate((1, 0, 0)):
            device.inbox("join_answered", inbox=6 + number, **answered)
            assert device.session.chats[GROUP].requests == left
        gone = {"chat_id": SECOND_GROUP, "user_id": OTHER}
        assert notices(device.inbox("join_answered", inbox=9, **gone)) == [
            ("join_answered", SECOND_GROUP)
        ]

    def test_a_chat_without_a_key_is_removed_like_any(self) -> None:
        device = self.begun(chat())
        commands = device.inbox("chat_removed", chat_id=COMMON, inbox=5)
        assert notices(commands) == [("chat_removed", COMMON)]

    def test_a_removal_of_a_chat_that_is_not_known(self) -> None:
        device = self.begun()
        assert device.inbox("chat_removed", chat_id=GROUP, inbox=5) == []


class TestPulse:
    """Heartbeats of other shapes."""

    @pytest.mark.parametrize(
        "beat",
        [[], {"gaps": 0}, {"epoch": 7}, {"epoch": "e", "gaps": "0"}],
    )
    def test_a_beat_without_numbers_is_a_beat(self, beat: object) -> None:
        device = Device()
        device.start(chat())
        assert (
            device.session.published(topics.HEARTBEAT, codec.pack(beat)) == []
        )
        assert device.wait(3 * BEAT) == []

    def test_a_beat_without_gaps_has_none(self) -> None:
        device = Device()
        device.start(chat())
        beat = codec.pack({"epoch": "e"})
        assert device.session.published(topics.HEARTBEAT, beat) == []
        beat = codec.pack({"epoch": "another"})
        assert device.session.published(topics.HEARTBEAT, beat) != []

    def test_the_gaps_that_a_sync_told_count(self) -> None:
        device = Device()
        device.start(chat())
        assert device.beat(gaps=1) != []

    def test_the_gaps_that_came_first_count(self) -> None:
        device = Device()
        device.start(chat())
        device.beat(gaps=1)
        device.event(COMMON, "head", seq=0, revision=1)
        device.session.synced(sync(chat()))
        assert device.beat(gaps=1) == []

    def test_saved_cursors_know_the_epoch(self) -> None:
        device = Device(cursors={COMMON: 4})
        device.session.connected(device.now)
        assert device.beat("e") == []
        assert device.beat("another") != []

        device = Device(cursors={COMMON: 4})
        device.session.connected(device.now)
        assert device.beat("another") != []


class TestOldAnswers:
    """Answers that were overtaken by an event, or by a new connection."""

    def test_what_another_device_read_is_not_counted_when_it_comes(
        self,
    ) -> None:
        device = Device()
        device.start(chat(head=3, read=3))
        device.inbox("read", chat_id=COMMON, seq=5)
        assert seqs(device.message(4)) == [4]
        assert seqs(device.message(5)) == [5]
        assert device.session.chats[COMMON].unread == 0
        assert seqs(device.message(6)) == [6]
        assert device.session.chats[COMMON].unread == 1

    def test_a_sync_from_before_a_read_is_asked_again(self) -> None:
        device = Device()
        device.start(chat(head=2, unread=2), chat(GROUP))
        device.event(GROUP, "key_changed")
        device.inbox("read", chat_id=COMMON, seq=2)
        device.session.synced(sync(chat(head=2, unread=2), chat(GROUP)))
        assert device.session.chats[COMMON].unread == 0
        assert device.wait(1.0) == [s.AskSync()]

    def test_nothing_is_fetched_before_the_epoch_is_sure(self) -> None:
        device = Device()
        device.start(chat(head=3))
        device.session.disconnected()
        [subscribe] = device.session.connected(device.now)
        assert isinstance(subscribe, s.Subscribe)
        assert device.message(9) == []
        device.session.live(subscribe)
        commands = device.session.synced(sync(chat(head=9)))
        assert fetch_in(commands).after == 3

    def test_a_sync_of_the_connection_before_confirms_nothing(self) -> None:
        device = Device()
        device.start(chat(head=3), chat(GROUP))
        assert device.event(GROUP, "key_changed") == [s.AskSync()]
        device.session.disconnected()
        [subscribe] = device.session.connected(device.now)
        assert isinstance(subscribe, s.Subscribe)
        assert device.message(4) == []
        both = sync(chat(head=4), chat(GROUP))
        assert seqs(device.session.synced(both)) == []
        assert device.session.live(subscribe) == [s.AskSync()]
        assert seqs(device.session.synced(both)) == [4]

    def test_changes_from_before_a_sync_rename_nothing_back(self) -> None:
        device = Device()
        device.start(chat(GROUP, name="old"))
        ask = asked(device.event(GROUP, "head", seq=0, revision=3))
        device.session.disconnected()
        device.start(chat(GROUP, name="new", revision=5))
        commands = device.session.changed(
            ask, changes(revision=3, name="old", key=1)
        )
        assert notices(commands) == []
        assert device.session.chats[GROUP].name == "new"

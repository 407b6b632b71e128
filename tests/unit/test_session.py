"""The session: scripts of events in, commands out."""

from typing import Any

import pytest

from zchat.client import session as s
from zchat.rpc import codec, results, sealing, topics

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
) -> results.SyncChat:
    return results.SyncChat(
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


def sync(
    *chats: results.SyncChat, epoch: str = "e", inbox_key: int = 1
) -> results.Sync:
    return results.Sync(
        epoch=epoch,
        gaps=0,
        inbox=0,
        user=results.SyncUser(
            id=ME,
            name="me",
            role="member",
            banned_until=None,
            quota=None,
            receipts=True,
        ),
        scheduled=0,
        chats=list(chats),
        inbox_key=results.EventKey(id=inbox_key, secret=secret(inbox_key)),
    )


def page(*seqs: int, head: int, has_newer: bool = False) -> results.History:
    return results.History(
        messages=[message(seq) for seq in seqs],
        has_older=False,
        has_newer=has_newer,
        head=head,
    )


def body(topic: bytes, event: dict[str, Any], key: int | None) -> bytes:
    plain = codec.pack(event)
    if key is None:
        return plain
    return sealing.seal(key, secret(key), topic, plain, bytes(12))


class Device:
    """A session, and a short way to tell it what happened."""

    def __init__(
        self, cursors: dict[str, int] | None = None, **options: Any
    ) -> None:
        saved = None if cursors is None else s.Cursors.of("e", cursors)
        self.session = s.Session(ME, BEAT, cursors=saved, **options)
        self.now = 100.0

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
        return self.session.published(
            topic,
            body(topic, {"event": name, "chat_id": chat_id, **fields}, key),
        )

    def inbox(
        self, name: str, key: int = 1, /, **fields: Any
    ) -> list[s.Command]:
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
        and isinstance(command.event, s.NewMessage)
    ]


def notices(commands: list[s.Command]) -> list[tuple[str, str | None]]:
    return [
        (command.event.name, command.event.chat_id)
        for command in commands
        if isinstance(command, s.Deliver)
        and isinstance(command.event, s.Notice)
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
        assert kinds.index(s.Notice) < kinds.index(s.Fetch)
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
        assert device.session.chats[COMMON].held == {}

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
        assert len(state.held) == s.HELD_LIMIT
        commands = device.message(1)
        assert seqs(commands) == list(range(1, s.HELD_LIMIT + 2))
        fetch = s.Fetch(COMMON, 0, 200)
        assert state.fetching == fetch
        assert state.fetching is not None
        commands = device.session.fetched(
            state.fetching,
            page(*range(1, 201), head=s.HELD_LIMIT + 49, has_newer=True),
        )
        assert fetch_in(commands).after == s.HELD_LIMIT + 1

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
        assert device.event(GROUP, "member_joined", 2, user={}) == [
            s.AskSync()
        ]
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

    def test_keys_are_bounded(self) -> None:
        device = Device()
        device.start(chat(GROUP))
        for number in range(2, 20):
            device.event(GROUP, "key_changed", number - 1)
            device.session.synced(sync(chat(GROUP, key=number)))
        assert len(device.session.chats[GROUP].keys) == s.KEPT_KEYS
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

    def test_an_older_answer_does_not_bring_the_old_name_back(self) -> None:
        device = Device()
        device.start(chat(GROUP, name="old"))
        device.event(GROUP, "key_changed")
        device.event(GROUP, "chat_renamed", name="new")
        commands = device.session.synced(sync(chat(GROUP, name="old")))
        assert s.AskSync() in commands
        device.session.synced(sync(chat(GROUP, name="new")))
        assert device.session.chats[GROUP].name == "new"

    def test_unknown_events_are_passed_on(self) -> None:
        device = Device()
        device.start(chat(GROUP))
        [deliver] = device.inbox(
            "scheduled_failed", chat_id=GROUP, id="x", error="banned"
        )
        assert deliver == s.Deliver(
            s.Notice("scheduled_failed", GROUP, {"id": "x", "error": "banned"})
        )
        assert notices(device.event(GROUP, "sparkle")) == [("sparkle", GROUP)]


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
        assert fetch_in(commands) == s.Fetch(COMMON, 3, 200)
        assert device.session.chats[COMMON].name == "now"
        assert device.session.chats.keys() == {COMMON}
        assert device.session.cursors() == s.Cursors.of("another", {COMMON: 3})

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

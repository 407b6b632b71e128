"""What came while away: read positions, unread, chats, sync."""

from typing import Any

import pytest

from tests.harness import (
    NOWHERE,
    Asked,
    MakeWorld,
    World,
    codes,
    refused,
)
from zchat.chat.messages import PAGE_BYTES
from zchat.errors import Code
from zchat.rpc.sealing import SECRET_BYTES


def came(answer: Any) -> dict[str, list[str]]:
    """The texts of an answer of `unread`, by the chat's name."""
    return {
        chat.title: [message.text for message in chat.messages]
        for chat in answer.chats
    }


def test_read_moves_forward_and_never_back(world: World) -> None:
    ann, bob = world.users("ann bob")
    for _ in range(5):
        bob("send", text="x")

    assert ann("read", chat_id=world.common, seq=3).seq == 3
    assert ann("read", chat_id=world.common, seq=1).seq == 3
    assert ann("read", chat_id=world.common, seq=0).seq == 3
    assert ann("read", chat_id=world.common, seq=99).seq == 5
    assert ann.chat(world.common).read == 5


def test_read_tells_the_other_devices(world: World) -> None:
    ann, bob = world.users("ann bob")
    bob("send", text="x")
    world.told()

    ann("read", chat_id=world.common, seq=1)
    assert world.told_to(ann) == [
        {"event": "read", "chat_id": world.common, "seq": 1}
    ]

    ann("read", chat_id=world.common, seq=1)
    assert world.told() == []


def test_two_devices_that_read_at_once(world: World) -> None:
    ann, bob = world.users("ann bob")
    for _ in range(5):
        bob("send", text="x")

    answers = world.batch(
        [
            Asked(ann, "read", {"chat_id": world.common, "seq": 4}, 1),
            Asked(ann, "read", {"chat_id": world.common, "seq": 2}, 2),
        ]
    )

    assert [answer.seq for answer in answers] == [4, 4]


@pytest.mark.parametrize("seq", [-1, 2**53, 1.5, "1", None])
def test_positions_that_are_none(world: World, seq: object) -> None:
    with refused(Code.BAD_REQUEST, field="seq"):
        world.user()("read", chat_id=world.common, seq=seq)


def test_read_of_a_chat_of_others(world: World) -> None:
    ann, bob = world.users("ann bob")

    with refused(Code.NOT_FOUND):
        bob("read", chat_id=world.group(ann), seq=1)


def test_own_messages_never_count(world: World) -> None:
    ann, bob = world.users("ann bob")
    ann("send", text="1")
    bob("send", text="2")
    ann("send", text="3")

    assert ann.chat(world.common).unread == 1
    assert bob.chat(world.common).unread == 2
    assert came(ann("unread")) == {"default": ["2"]}


def test_a_newcomer_has_nothing_unread(world: World) -> None:
    ann = world.user("ann")
    ann("send", text="1")
    bob = world.user("bob")

    assert came(bob("unread")) == {}
    ann("send", text="2")
    assert came(bob("unread")) == {"default": ["2"]}


def test_unread_of_all_chats_the_common_one_first(world: World) -> None:
    ann, bob, eve = world.users("ann bob eve")
    private = ann("p2p", user_id=bob.id).chat_id
    group = world.group(eve, ann)
    eve("send", chat_id=group, text="3")
    bob("send", chat_id=private, text="2")
    bob("send", text="1")
    eve("send", text="1b")

    answer = ann("unread")

    assert came(answer) == {
        "default": ["1", "1b"],
        "bob": ["2"],
        "a group": ["3"],
    }
    assert [chat.id for chat in answer.chats] == [world.common, private, group]
    assert not answer.more


def test_without_ack_nothing_moves(world: World) -> None:
    ann, bob = world.users("ann bob")
    bob("send", text="1")

    assert ann("unread") == ann("unread")


def test_with_ack_each_comes_once(world: World) -> None:
    ann, bob = world.users("ann bob")
    bob("send", text="1")
    world.told()

    assert came(ann("unread", ack=True)) == {"default": ["1"]}
    assert world.told_to(ann) == [
        {"event": "read", "chat_id": world.common, "seq": 1}
    ]
    assert came(ann("unread", ack=True)) == {}
    bob("send", text="2")
    assert came(ann("unread", ack=True)) == {"default": ["2"]}


def test_of_two_polls_at_once_each_message_goes_to_one(world: World) -> None:
    ann, bob = world.users("ann bob")
    for number in range(6):
        bob("send", text=str(number))

    answers = world.batch(
        [
            Asked(ann, "unread", {"ack": True, "limit": 4}, device)
            for device in (1, 2)
        ]
    )

    assert [came(answer) for answer in answers] == [
        {"default": ["0", "1", "2", "3"]},
        {"default": ["4", "5"]},
    ]


def test_pages_in_all(world: World) -> None:
    ann, bob = world.users("ann bob")
    private = ann("p2p", user_id=bob.id).chat_id
    for number in range(5):
        bob("send", text=f"c{number}")
        bob("send", chat_id=private, text=f"p{number}")

    pages = [ann("unread", ack=True, limit=4) for _ in range(4)]

    assert [came(page) for page in pages] == [
        {"default": ["c0", "c1", "c2", "c3"]},
        {"default": ["c4"], "bob": ["p0", "p1", "p2"]},
        {"bob": ["p3", "p4"]},
        {},
    ]
    assert [page.more for page in pages] == [True, True, False, False]


def test_a_full_page_knows_that_another_chat_has_more(world: World) -> None:
    ann, bob = world.users("ann bob")
    private = ann("p2p", user_id=bob.id).chat_id
    bob("send", text="1")

    assert not ann("unread", limit=1).more
    ann("send", chat_id=private, text="own")
    assert not ann("unread", limit=1).more
    bob("send", chat_id=private, text="2")
    assert ann("unread", limit=1).more


def test_a_full_page_knows_of_more_behind_own_messages(world: World) -> None:
    ann, bob = world.users("ann bob")
    second, third = sorted(world.group(ann, bob) for _ in range(2))
    bob("send", text="1")
    ann("send", chat_id=second, text="own")
    bob("send", chat_id=third, text="2")

    assert ann("unread", limit=1).more
    bob("read", chat_id=third, seq=1)
    ann("read", chat_id=third, seq=1)
    assert not ann("unread", limit=1).more


def test_ack_moves_past_own_messages(world: World) -> None:
    ann, bob = world.users("ann bob")
    bob("send", text="1")
    ann("send", text="2")

    ann("unread", ack=True)

    assert ann.chat(world.common).read == 2


def test_ack_of_who_was_removed_just_before(world: World) -> None:
    """What left with the membership is not shown any more."""
    ann, bob = world.users("ann bob")
    group = world.group(ann, bob)
    ann("send", chat_id=group, text="secret")

    _, answer = world.batch(
        [
            ann.asks("remove", chat_id=group, user_id=bob.id),
            bob.asks("unread", ack=True),
        ]
    )

    assert came(answer) == {}


def test_chats_the_common_one_first(world: World) -> None:
    ann, bob = world.users("ann bob")
    private = ann("p2p", user_id=bob.id).chat_id
    group = world.group(ann)
    bob("send", chat_id=private, text="hi")

    common, p2p, room = ann("chats").chats

    assert (common.id, common.kind, common.name) == (
        world.common,
        "common",
        "default",
    )
    assert (p2p.id, p2p.kind) == (private, "p2p")
    assert (p2p.name, p2p.title) == ("p2p", "bob")
    assert (room.id, room.kind, room.name) == (group, "group", "a group")
    assert (p2p.head, p2p.read, p2p.unread, p2p.size) == (1, 0, 1, 2)
    assert {one.name for one in p2p.authors} == {"ann", "bob"}
    assert [one.name for one in room.authors] == ["ann"]
    assert bob.chat(private).title == "ann"


def test_one_chat_under_history(world: World) -> None:
    ann = world.user("ann")
    for number in range(25):
        ann("send", text=str(number))

    chat = ann.chat(world.common)

    assert [m.text for m in chat.messages] == [
        str(n) for n in range(24, 4, -1)
    ]
    assert (
        ann("chats", chat_id=world.common, depth=2).history.messages
        == chat.messages[:2]
    )
    assert ann("chats", depth=0).chats[0].messages == []


def test_chats_in_pages(world: World) -> None:
    ann = world.user()
    every = [world.common, *(world.group(ann) for _ in range(5))]

    seen: list[str] = []
    after: dict[str, str] = {}
    while page := ann("chats", limit=2, **after).chats:
        seen += [chat.id for chat in page]
        after = {"after": seen[-1]}

    assert seen == every


def test_chats_of_who_left_the_common_one(world: World) -> None:
    ann = world.user()
    groups = [world.group(ann) for _ in range(3)]
    ann("exit", chat_id=world.common)

    assert [chat.id for chat in ann("chats", limit=2).chats] == groups[:2]
    assert [
        chat.id for chat in ann("chats", limit=2, after=groups[1]).chats
    ] == groups[2:]
    with refused(Code.NOT_FOUND):
        ann.chat(world.common)


def test_at_most_200_authors_are_listed(world: World) -> None:
    people = world.batch([Asked(None, "connect", {}) for _ in range(203)])

    chat = world.call("chats", people[0].token, chat_id=world.common).history

    assert (chat.size, len(chat.authors)) == (203, 200)


def test_users_in_pages(world: World) -> None:
    ann = world.users("ann bob eve dan")[0]

    seen: list[str] = []
    after: dict[str, str] = {}
    while page := ann("users", chat_id=world.common, limit=3, **after).users:
        seen += [one.name for one in page]
        after = {"after": page[-1].id}

    assert seen == ["ann", "bob", "eve", "dan"]


def test_sync_is_all_that_a_device_needs(world: World) -> None:
    ann, bob = world.users("ann bob")
    private = ann("p2p", user_id=bob.id).chat_id
    bob("send", chat_id=private, text="hi")

    sync = ann("sync")

    assert sync.epoch == world.store.epoch
    assert len(sync.inbox_key.secret) == SECRET_BYTES
    common, p2p = sync.chats
    assert common.event_key is None
    assert (p2p.id, p2p.kind) == (private, "p2p")
    assert (p2p.name, p2p.title) == ("p2p", "bob")
    assert (p2p.head, p2p.read, p2p.unread) == (1, 0, 1)
    assert p2p.event_key == bob("sync").chats[1].event_key
    assert sync.inbox_key != bob("sync").inbox_key


def test_sync_tells_what_waits_and_how_the_user_is(
    make_world: MakeWorld,
) -> None:
    world = make_world(rate_limit=5)
    ann, bob = world.users("ann bob")
    group = world.group(ann)
    other = world.group(ann)
    ann("schedule", text="later", send_at=world.at(60))
    bob("join", link=ann("invite_link", chat_id=group).link)
    ann("send", text="x")
    ann("settings", receipts=False)
    until = world.operator("ban", user_id=ann.id, seconds=5, reason="x").until

    sync = ann("sync")

    assert sync.scheduled == 1
    assert {chat.id: chat.requests for chat in sync.chats} == {
        world.common: 0,
        group: 1,
        other: 0,
    }
    assert (sync.user.banned_until, sync.user.receipts) == (until, False)
    assert (sync.user.quota.limit, sync.user.quota.remaining) == (5, 4)
    assert (bob("sync").scheduled, bob("sync").user.receipts) == (0, True)


def test_sync_tells_where_a_newcomer_begins(world: World) -> None:
    ann, bob = world.users("ann bob")
    group = world.group(ann)
    for _ in range(3):
        ann("send", chat_id=group, text="x")
    ann("invite", chat_id=group, user_id=bob.id)

    assert [chat.visible_after for chat in bob("sync").chats] == [0, 3]


def test_all_of_it_outlives_a_restart(world: World) -> None:
    ann, bob = world.users("ann bob")
    private = ann("p2p", user_id=bob.id).chat_id
    bob("send", chat_id=private, text="1")
    bob("send", chat_id=private, text="2")
    ann("read", chat_id=private, seq=1)
    before = ann("sync"), ann("chats"), ann("unread")

    world.restart()

    assert (ann("sync"), ann("chats"), ann("unread")) == before


def test_many_chats_are_loaded_together(world: World) -> None:
    """The cost of `chats` and `sync` in questions to the store."""
    ann = world.user()
    for _ in range(30):
        world.group(ann)
    loads = []
    load = world.store.load

    def counted(*args: object) -> object:
        loads.append(args)
        return load(*args)  # type: ignore[arg-type]

    world.store.load = counted  # type: ignore[assignment,method-assign]
    ann("chats")
    ann("sync")

    assert len(loads) < 15


def test_nothing_is_told_of_other_chats(world: World) -> None:
    ann = world.user()

    assert (
        codes(
            world.batch(
                [
                    ann.asks("chats", chat_id=NOWHERE),
                    ann.asks("users", chat_id=NOWHERE),
                ]
            )
        )
        == ["not_found"] * 2
    )


def test_a_page_of_chats_ends_at_4000_messages(world: World) -> None:
    ann = world.user("Ann")
    for _ in range(25):
        world.group(ann)

    assert len(ann("chats", depth=20).chats) == 26
    page = ann("chats", depth=200).chats
    rest = ann("chats", depth=200, after=page[-1].id).chats

    assert [len(page), len(rest)] == [20, 6]
    assert ann("chats", depth=200, after=rest[-1].id).chats == []


def test_a_page_of_chats_ends_where_it_would_be_too_large(
    make_world: MakeWorld,
) -> None:
    """The first chat is shown, however large it is."""
    world = make_world(max_text=PAGE_BYTES + 1)
    ann = world.user("ann")
    first, second, third = sorted(world.group(ann) for _ in range(3))
    ann("send", chat_id=first, text="x" * (PAGE_BYTES + 1))
    ann("send", chat_id=second, text="x" * (PAGE_BYTES - 1))
    ann("send", chat_id=third, text="x")

    pages, after = [], world.common
    for _ in range(3):
        page = [chat.id for chat in ann("chats", after=after).chats]
        pages.append(page)
        after = page[-1] if page else after

    assert pages == [[first], [second, third], []]


def test_a_page_ends_where_it_was_cut_by_size(world: World) -> None:
    """What follows in other chats waits, however short it is."""
    ann, bob = world.users("ann bob")
    first, second = sorted(world.group(ann, bob) for _ in range(2))
    for _ in range(PAGE_BYTES // 4096 + 1):
        ann("send", chat_id=first, text="x" * 4096)
    ann("send", chat_id=second, text="short")

    page = bob("unread", ack=True)

    assert [chat.id for chat in page.chats] == [first]
    assert page.more
    rest = bob("unread", ack=True)
    assert [(chat.id, len(chat.messages)) for chat in rest.chats] == [
        (first, 1),
        (second, 1),
    ]
    assert not rest.more

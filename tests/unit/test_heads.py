"""The counts of chats and inboxes, told again after their last event."""

from tests.harness import Person, World
from zchat.chat.heads import MISSED_SECONDS
from zchat.rpc.topics import inbox_topic


def heads(world: World) -> list[tuple[str, int]]:
    """The heads that were told since the last look."""
    return [
        (told.body["chat_id"], told.body["seq"])
        for told in world.told()
        if told.name == "head"
    ]


def inboxes(world: World, person: Person) -> list[int]:
    """The counts of the person's inbox that were told once more."""
    return [
        told.body["inbox"]
        for told in world.told()
        if told.name == "inbox_head"
        and told.raw.topic == inbox_topic(person.id)
    ]


def test_after_one_five_and_thirty_seconds(world: World) -> None:
    ann = world.user()
    world.wait(60)
    world.told()
    ann("send", text="1")
    ann("send", text="2")
    told = []
    for _ in range(40):
        world.wait(1)
        told.append(heads(world))

    expected = [(world.common, 2)]
    assert [n for n, found in enumerate(told, 1) if found] == [1, 5, 30]
    assert told[0] == told[4] == told[29] == expected


def test_they_are_local_and_sealed(world: World) -> None:
    ann, bob = world.users("ann bob")
    chat_id = ann("p2p", user_id=bob.id).chat_id
    ann.syncs()
    world.wait(60)
    ann("send", chat_id=chat_id, text="x")
    world.told()

    world.wait(1)

    (told,) = world.told()
    assert told.body == {
        "event": "head",
        "chat_id": chat_id,
        "seq": 1,
        "revision": 2,
    }
    assert told.sealed
    assert ann.opens(told)
    assert not bob.opens(told)
    assert told.raw.local
    assert told.raw.chat_id is None


def test_of_a_chat_that_is_gone_nothing(world: World) -> None:
    ann = world.user()
    world.wait(60)
    chat_id = world.group(ann)
    ann("send", chat_id=chat_id, text="x")
    ann("exit", chat_id=chat_id)
    world.told()

    world.wait(40)

    assert heads(world) == []


def test_all_recent_ones_where_some_were_missed(world: World) -> None:
    ann = world.user()
    old, new = world.group(ann), world.group(ann)
    ann("send", chat_id=old, text="x")
    world.wait(MISSED_SECONDS)
    for _ in range(2):
        ann("send", chat_id=new, text="x")
    world.wait(60)
    heads(world)

    world.timers.feed_lost()
    world.run_timers()

    assert heads(world) == [(new, 2)]


def test_after_whatever_else_happens_in_a_chat(world: World) -> None:
    ann = world.user()
    chat_id = world.group(ann)
    world.wait(60)
    world.told()
    ann("rename_chat", chat_id=chat_id, name="x")

    world.wait(60)

    assert heads(world) == [(chat_id, 0)] * 3


def test_of_an_inbox_after_its_last_event(world: World) -> None:
    ann = world.user("ann")
    ann("rename", name="eve")
    world.wait(0.5)
    ann("rename", name="ann")
    world.told()

    world.wait(40)

    assert inboxes(world, ann) == [3, 3, 3]


def test_an_inbox_head_is_local_and_sealed(world: World) -> None:
    ann, bob = world.users("ann bob")
    for one in (ann, bob):
        one.syncs()
    world.wait(60)
    ann("rename", name="eve")
    world.told()

    world.wait(1)

    told = next(one for one in world.told() if one.name == "inbox_head")
    assert told.raw.local
    assert ann.opens(told)
    assert not bob.opens(told)

"""The heads of chats, told again after their last message."""

from tests.harness import World
from zchat.chat.heads import MISSED_SECONDS


def heads(world: World) -> list[tuple[str, int]]:
    """The heads that were told since the last look."""
    return [
        (told.body["chat_id"], told.body["seq"])
        for told in world.told()
        if told.name == "head"
    ]


def test_after_one_five_and_thirty_seconds(world: World) -> None:
    ann = world.user()
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
    ann("send", chat_id=chat_id, text="x")
    world.told()

    world.wait(1)

    (told,) = world.told()
    assert told.body == {"event": "head", "chat_id": chat_id, "seq": 1}
    assert told.sealed
    assert ann.opens(told)
    assert not bob.opens(told)
    assert told.raw.local
    assert told.raw.chat_id is None


def test_of_a_chat_that_is_gone_nothing(world: World) -> None:
    ann = world.user()
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

"""Whoever was away ends with the same state as whoever was there.

Random requests of several users, random losses of events, then a
comparison of devices of each user: one that got every event, one that
lost a third of them, one that heard nothing until the end, and one that
starts only then. With a lifetime of messages, what was read is gone on
all of them.
"""

import random

import pytest

from tests.devices import Crowd
from tests.harness import MakeWorld
from tests.play import Play

SECONDS_OF_HEADS = 35


@pytest.mark.parametrize("ttl", [None, 10], ids=["kept", "ttl"])
@pytest.mark.parametrize("seed", range(12))
def test_all_devices_end_with_the_same(
    make_world: MakeWorld, seed: int, ttl: int | None
) -> None:
    world = make_world(history_depth=200, message_ttl_seconds=ttl)
    chance = random.Random(seed)
    people = world.users("ann bob eve dan")
    crowd = Crowd(world, people, chance)
    play = Play([world], people, chance)
    for _ in range(120):
        play.step()
        crowd.hear(world.told())
    world.wait(SECONDS_OF_HEADS)
    crowd.hear_all(world.told())

    ((expired,),) = world.store.rows(
        "SELECT max(expired_through) FROM members"
    )
    assert play.done > 80
    assert (expired > 0) is (ttl is not None)
    crowd.compare()

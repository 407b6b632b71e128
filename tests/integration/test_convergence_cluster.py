"""Two brokers on one PostgreSQL: devices at either end with the same."""

import random
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.devices import Crowd
from tests.harness import START, CountedEntropy, Person, Told, World
from tests.play import Play
from zchat.storage.postgres import PostgresStore

QUIET_SECONDS = 0.3
STEPS = 50


class SharedWorld(World):
    """One of several brokers that share a database."""

    def __init__(self, url: str, entropy: CountedEntropy) -> None:
        self._url = url
        super().__init__(Path(), entropy=entropy, history_depth=200)

    def make_store(self) -> Any:
        return PostgresStore(self._url, START, lambda: self.entropy.id(START))

    def drained(self) -> list[Told]:
        """What came, once nothing more does."""
        quiet = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < quiet:
            before = len(self.events)
            self.run([])
            if len(self.events) > before:
                quiet = time.monotonic() + QUIET_SECONDS
            time.sleep(0.01)
        return self.told()


@pytest.mark.parametrize("seed", range(2))
def test_all_devices_end_with_the_same(postgres_url: str, seed: int) -> None:
    entropy = CountedEntropy()
    with (
        closing(SharedWorld(postgres_url, entropy)) as one,
        closing(SharedWorld(postgres_url, entropy)) as other,
    ):
        worlds = [one, other]
        chance = random.Random(seed)
        people = one.users("ann bob eve dan")
        for world in worlds:
            world.drained()
        crowds = [
            Crowd(
                world,
                [Person(world, p.id, p.token, p.name) for p in people],
                chance,
            )
            for world in worlds
        ]
        play = Play(worlds, people, chance)
        for _ in range(STEPS):
            play.step()
            for world, crowd in zip(worlds, crowds):
                world.run([])
                crowd.hear(world.told())
        for world in worlds:
            world.wait(0.5)
        for world, crowd in zip(worlds, crowds):
            crowd.hear(world.drained())
            world.wait(35)
        for world, crowd in zip(worlds, crowds):
            crowd.hear_all(world.drained())

        assert play.done > STEPS / 2
        for crowd in crowds:
            crowd.compare()

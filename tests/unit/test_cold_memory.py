"""Rules load all that they look at: nothing is in memory beforehand.

On SQLite users, chats and members stay in memory between batches, so a
rule that forgets to load one of them goes unnoticed there; on PostgreSQL
each batch begins with nothing, and so it does here.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.harness import MEMORY, FaultyStore, Person, World
from tests.play import Play


class ColdStore(FaultyStore):
    cacheable = False


class ColdWorld(World):
    def make_store(self) -> FaultyStore:
        return ColdStore(self._path, self.entropy)


@pytest.fixture
def world() -> Iterator[World]:
    with TemporaryDirectory(dir=MEMORY) as folder:
        world = ColdWorld(Path(folder))
        yield world
        world.close()


def test_whatever_users_do(world: World) -> None:
    people = world.users("ann bob eve dan")
    play = Play([world], people, random.Random(1))
    for _ in range(400):
        play.step()

    assert play.done > 250


def test_a_group_from_its_link_to_its_end(world: World) -> None:
    ann, bob, eve = world.users("ann bob eve")
    group = world.group(ann)
    link = ann("invite_link", chat_id=group).link
    for person in (bob, eve):
        person("join", link=link)
    assert len(ann("join_requests", chat_id=group).requests) == 2
    ann("approve", chat_id=group, user_id=bob.id)
    ann("deny", chat_id=group, user_id=eve.id)
    ann("revoke_link", link=link)
    sent = bob("send", chat_id=group, text="x")
    ann("react", message_id=sent.id, emoji="+")
    bob("edit", message_id=sent.id, text="@ann")
    ann("delete", message_id=sent.id)
    ann("remove", chat_id=group, user_id=bob.id)
    ann("exit", chat_id=group)


def test_what_moderators_and_admins_do(world: World) -> None:
    ann, bob, boss = world.users("ann bob boss")
    world.operator("set_role", user_id=boss.id, role="admin")
    group = world.group(ann, bob)
    sent = ann("send", chat_id=group, text="x")
    complaint = bob("report", user_id=ann.id, reason="x", message_id=sent.id)
    boss("resolve", id=complaint.id, verdict="upheld")
    boss("ban", user_id=ann.id, reason="x")
    boss("unban", user_id=ann.id)
    boss("announce", text="@bob")
    boss("announce", text="again", chat_id=group)
    boss("delete_message", message_id=sent.id)
    code = boss("create_invite")
    boss("revoke_invite", id=code.id)
    ann = Person(
        world,
        ann.id,
        boss("reset_token", user_id=ann.id).token,
        ann.name,
    )
    ann("rotate_token")
    boss("close_account", user_id=ann.id, erase=True)
    world.wait(10)
    assert boss("accounts").users

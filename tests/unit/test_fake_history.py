"""The session's model test plays with a fake server: held to the real one.

The same cases run on both, so that the fake does not behave better.
"""

import pytest

from tests.harness import World
from tests.unit.test_session_model import COMMON, PAGE, Server
from zchat.client import session


@pytest.mark.parametrize("joined_at", [0, 1, 5])
@pytest.mark.parametrize("sent_since", [0, 1, PAGE, PAGE + 2])
def test_pages_of_the_fake_are_those_of_the_server(
    world: World, joined_at: int, sent_since: int
) -> None:
    ann, bob = world.users("ann bob")
    group = world.group(ann)
    fake = Server()
    room = fake.rooms[COMMON]
    for number in range(joined_at + sent_since + 1):
        if number == joined_at:
            ann("invite", chat_id=group, user_id=bob.id)
            room.first = number + 1
        if number < joined_at + sent_since:
            ann("send", chat_id=group, text="x")
            room.authors.append("somebody")

    for after in range(joined_at + sent_since + 2):
        real = bob("history", chat_id=group, after=after, limit=PAGE)
        faked = fake.history(session.Fetch(COMMON, after, PAGE))
        assert faked is not None
        assert [m.seq for m in faked.messages] == [
            m.seq for m in real.messages
        ]
        assert (faked.has_older, faked.has_newer, faked.head) == (
            real.has_older,
            real.has_newer,
            real.head,
        )

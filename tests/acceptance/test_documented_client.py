"""The client of docs/reference/protocol.md behind a network that fails.

It is taken out of the page and run against the real program, its event
connection cut again and again; it must end with what is there.
"""

import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from docs.examples import ROOT
from tests.bare import Client, User, context
from tests.cutting import CuttingProxy, cutting
from tests.server import Server, running

CUT_SECONDS = 2.0
PATIENCE_SECONDS = 60.0
_BLOCK = re.compile(
    r"`device\.py`:\n\n```python\n(?P<code>.*?)^```$", re.M | re.S
)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("documented")
    with running(folder, free_port()) as started:
        yield started


def documented(rpc: str, events: str) -> dict[str, Any]:
    """What the page's module defines, for a server at other ports."""
    page = (ROOT / "docs/reference/protocol.md").read_text(encoding="utf-8")
    found = _BLOCK.search(page)
    assert found
    module: dict[str, Any] = {"__name__": "device"}
    exec(compile(found["code"], "device.py", "exec"), module)
    module["RPC"], module["EVENTS"] = rpc, events
    return module


def follow(device: Any, seconds: float) -> None:
    """What `next_message` does, until the time is over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if device.behind:
            device.catch_up()
        elif device.sub.poll(50):
            device.take(*device.sub.recv_multipart())


def talk(people: list[User], chat_id: str, chance: random.Random) -> None:
    """A few messages, edits, deletions and reactions."""
    for number in range(12):
        person = chance.choice(people)
        sent = person.send(f"text {number}", chat_id=chat_id)
        deed = chance.randrange(4)
        if deed == 0:
            person.call("edit", message_id=sent["id"], text=f"new {number}")
        elif deed == 1:
            person.call("delete", message_id=sent["id"])
        elif deed == 2:
            chance.choice(people).call(
                "react", message_id=sent["id"], emoji="+"
            )


def lose(proxy: CuttingProxy, seconds: float) -> None:
    """Nothing gets through for a while."""
    proxy.shut()
    time.sleep(seconds)
    proxy.reopen()


@pytest.mark.timeout(120)
def test_it_loses_nothing_when_its_connection_is_cut(server: Server) -> None:
    chance = random.Random(1)
    with (
        context() as ctx,
        cutting(int(server.events.rpartition(":")[2])) as proxy,
    ):
        client = Client(ctx, server.rpc, server.events)
        ann, bob = client.users(2)
        module = documented(server.rpc, proxy.endpoint)
        device = module["Device"](token=ann.token)
        try:
            chat_id = bob.call("p2p", user_id=ann.id)["chat_id"]
            follow(device, 1.0)
            for cut in range(3):
                talk([ann, bob], chat_id, chance)
                if cut == 1:
                    proxy.cut()
                else:
                    lose(proxy, CUT_SECONDS)
                talk([ann, bob], chat_id, chance)
                follow(device, 1.0)

            page = ann.call("history", chat_id=chat_id, limit=200)
            expected = {m["seq"]: m for m in page["messages"]}
            until = time.monotonic() + PATIENCE_SECONDS
            while time.monotonic() < until:
                if device.chats[chat_id].messages == expected:
                    break
                follow(device, 0.2)
            assert device.chats[chat_id].messages == expected
            assert len(expected) == 72
            got = [m["seq"] for m in device.ready if m["seq"] in expected]
            assert got.count(72) == 1
            assert proxy.connections >= 4
        finally:
            module["context"].destroy(linger=0)

"""Two real brokers on one PostgreSQL (docs/howto/several-brokers.md)."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import msgpack
import pytest

from tests.bare import (
    HEARTBEAT,
    Answer,
    Client,
    Failed,
    Listener,
    User,
    context,
    wait_until,
)
from tests.postgres import Cluster, cluster
from tests.server import Server, environment, running
from zchat.client import MessageEvent
from zchat.client.aio import Client as AsyncClient

ROUNDS = 150


class Pair(NamedTuple):
    """Two brokers, and a client of each."""

    servers: tuple[Server, Server]
    clients: tuple[Client, Client]

    def user(self) -> tuple[User, User]:
        """One user, on both brokers."""
        first = self.clients[0].user()
        return first, self.clients[1].user(first.token)


NAME_TAKEN = "users_name_key_key"
"""The constraint by which two brokers that give one name at once find
out; a batch with other requests is then rejected, and run one by one."""


@contextmanager
def pair_of_brokers(
    folder: Path, ports: Callable[[], int], url: str, *flags: str
) -> Iterator[Pair]:
    with ExitStack() as stack:
        servers = []
        for name in ("first", "second"):
            (folder / name).mkdir()
            servers.append(
                stack.enter_context(
                    running(folder / name, ports(), "--store", url, *flags)
                )
            )
        ctx = stack.enter_context(context())
        first, second = servers
        yield Pair(
            (first, second),
            (
                Client(ctx, first.rpc, first.events),
                Client(ctx, second.rpc, second.events),
            ),
        )
        for server in servers:
            faults = server.log.events("internal_fault") + [
                rejected
                for rejected in server.log.events("batch_rejected")
                if NAME_TAKEN not in rejected["error"]
            ]
            assert not faults, server.log.text


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_cluster: Cluster,
    free_port: Callable[[], int],
) -> Iterator[Pair]:
    """Two brokers for tests that leave them as they were."""
    with (
        postgres_cluster.database() as url,
        pair_of_brokers(
            tmp_path_factory.mktemp("brokers"), free_port, url
        ) as pair,
    ):
        yield pair


@pytest.fixture
def start(
    tmp_path: Path, postgres_url: str, free_port: Callable[[], int]
) -> Iterator[Callable[..., Pair]]:
    """Starts two brokers of a test's own, with flags."""
    with ExitStack() as stack:
        yield lambda *flags: stack.enter_context(
            pair_of_brokers(tmp_path, free_port, postgres_url, *flags)
        )


def messages(listener: Listener, chat_id: str, count: int) -> list[Any]:
    """The next message events of a chat."""
    return [listener.next("message", chat_id=chat_id) for _ in range(count)]


def at_once(*tasks: Callable[[], Any]) -> list[Any]:
    """What the tasks return, each in a thread, begun together."""
    results: list[Any] = [None] * len(tasks)
    barrier = threading.Barrier(len(tasks))

    def work(place: int) -> None:
        barrier.wait()
        results[place] = tasks[place]()

    threads = [
        threading.Thread(target=work, args=(place,))
        for place in range(len(tasks))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def post_all(
    user: User, method: str, many: list[dict[str, Any]]
) -> dict[int | None, Answer]:
    """Post requests at once; the answers, by id."""
    for params in many:
        user.post(method, **params)
    return user.caller.answers(len(many))


# Members on both


def test_all_see_the_same_messages_in_the_same_order(shared: Pair) -> None:
    users = [client.user() for client in shared.clients for _ in range(3)]
    listeners = [
        client.listener(user)
        for client, user in zip(shared.clients, users[::3])
    ]
    common = users[0].common
    head = users[0].call("history", chat_id=common)["head"]

    answers = at_once(
        *(
            lambda user=user, name=name: post_all(
                user, "send", [{"text": f"{name} {n}"} for n in range(ROUNDS)]
            )
            for name, user in enumerate(users)
        )
    )

    total = len(users) * ROUNDS
    seen = [messages(listener, common, total) for listener in listeners]
    seqs = [event["seq"] for event in seen[0]]
    assert seqs == list(range(head + 1, head + total + 1))
    assert [(e["seq"], e["message"]["id"]) for e in seen[1]] == [
        (e["seq"], e["message"]["id"]) for e in seen[0]
    ]
    acknowledged = {
        (answer.result["seq"], answer.result["id"])
        for each in answers
        for answer in each.values()
    }
    assert acknowledged == {(e["seq"], e["message"]["id"]) for e in seen[0]}
    for name in range(len(users)):
        assert [
            e["message"]["text"]
            for e in seen[1]
            if e["message"]["text"].startswith(f"{name} ")
        ] == [f"{name} {n}" for n in range(ROUNDS)]


def test_private_chat_across_brokers(shared: Pair) -> None:
    ann, bob = (client.user() for client in shared.clients)
    ears = shared.clients[1].listener(bob)
    chat_id = ann.call("p2p", user_id=bob.id)["chat_id"]

    assert ears.next("chat_added", chat_id=chat_id)["kind"] == "p2p"
    ears.follow(bob)
    ann.send("over there", chat_id=chat_id)
    event = ears.next("message", chat_id=chat_id)

    assert event["message"]["text"] == "over there"
    assert bob.call("p2p", user_id=ann.id)["chat_id"] == chat_id


def test_long_message_crosses(shared: Pair) -> None:
    ann, bob = (client.user() for client in shared.clients)
    ears = shared.clients[1].listener(bob)
    text = "\U0001f600" * 4096

    sent = ann.send(text)

    assert ears.next("message", seq=sent["seq"])["message"]["text"] == text


def test_both_make_the_one_private_chat_at_once(shared: Pair) -> None:
    for _ in range(10):
        ann, bob = (client.user() for client in shared.clients)
        made = at_once(
            partial(ann.call, "p2p", user_id=bob.id),
            partial(bob.call, "p2p", user_id=ann.id),
        )

        assert made[0] == made[1]


def test_name_is_taken_once(shared: Pair) -> None:
    ann, bob = (client.user() for client in shared.clients)
    for _ in range(10):
        name = uuid4().hex

        codes = at_once(
            partial(code_of, ann, "rename", name=name),
            partial(code_of, bob, "rename", name=name.upper()),
        )

        assert sorted(codes) == ["conflict", "done"]


def code_of(user: User, method: str, **params: Any) -> str:
    """The code of the refusal, or `done`."""
    try:
        user.call(method, **params)
    except Failed as failed:
        return failed.code
    return "done"


def test_key_counts_on_every_broker(shared: Pair) -> None:
    here, there = shared.user()
    many = [
        {"text": f"k {n}", "idempotency_key": f"key {n}"}
        for n in range(ROUNDS)
    ]

    answers = at_once(
        lambda: post_all(here, "send", many),
        lambda: post_all(there, "send", many),
    )

    first, second = (
        [each[id].result for id in sorted(id for id in each if id is not None)]
        for each in answers
    )
    assert first == second
    assert len({sent["seq"] for sent in first}) == ROUNDS


def test_removed_member_learns_nothing_from_the_other_broker(
    shared: Pair,
) -> None:
    owner, gone = (client.user() for client in shared.clients)
    friend = shared.clients[1].user()
    chat_id = owner.call("create_chat", name="quiet")["chat_id"]
    for user in (gone, friend):
        owner.call("invite", chat_id=chat_id, user_id=user.id)
    ears, fine_ears = (
        shared.clients[1].listener(user) for user in (gone, friend)
    )

    owner.call("remove", chat_id=chat_id, user_id=gone.id)
    friend.send("without you", chat_id=chat_id)

    assert gone.refused("history", chat_id=chat_id).code == "not_found"
    assert gone.refused("send", chat_id=chat_id, text="x").code == "not_found"
    fine_ears.next("key_changed", chat_id=chat_id)
    fine_ears.follow(friend)
    sent = friend.send("still without", chat_id=chat_id)
    event = fine_ears.next("message", seq=sent["seq"])
    assert event["message"]["text"] == "still without"
    owner.send("to all")
    events: list[Any] = []
    while not events or events[-1]["chat_id"] == chat_id:
        opened = ears.opened(*ears.frames())
        events += [opened] if opened and opened["event"] == "message" else []
    assert len(events) == 1


def test_crosswise_work_in_many_chats(shared: Pair) -> None:
    """Brokers that need the same rows in another order both go on."""
    users = shared.user()
    chats = [
        users[0].call("create_chat", name=str(n))["chat_id"] for n in range(6)
    ]
    roots = [users[0].send("root", chat_id=chat_id)["id"] for chat_id in chats]

    def work(user: User, places: list[int]) -> list[Any]:
        for place in places:
            user.post("send", text="s", chat_id=chats[place])
            user.post("comment", text="c", message_id=roots[-place])
            user.post("read", chat_id=chats[-place], seq=1)
        return [
            answer.error
            for answer in user.caller.answers(3 * len(places)).values()
        ]

    order = [n % 6 for n in range(90)]
    errors = at_once(
        lambda: work(users[0], order), lambda: work(users[1], order[::-1])
    )

    assert set(map(str, errors[0] + errors[1])) == {"None"}
    heads = [
        users[0].call("history", chat_id=chat_id)["head"] for chat_id in chats
    ]
    assert sum(heads) == 6 + 2 * 2 * 90


# Rules that hold across brokers


def test_quota_is_one(start: Callable[..., Pair]) -> None:
    here, there = start("--rate-limit", "20").user()
    many = [{"text": f"{n}"} for n in range(20)]

    answers = at_once(
        lambda: post_all(here, "send", many),
        lambda: post_all(there, "send", many),
    )

    codes = [
        answer.error and answer.error["code"]
        for each in answers
        for answer in each.values()
    ]
    assert codes.count(None) == 20
    assert codes.count("rate_limited") == 20
    assert here.call("status")["user"]["quota"]["remaining"] == 0


def test_complaints_add_up_and_the_ban_holds(
    start: Callable[..., Pair],
) -> None:
    pair = start("--max-warnings", "4")
    here, there = pair.user()
    ears = pair.clients[1].listener(there)
    reporters = [client.user() for client in pair.clients * 2]

    at_once(
        *(
            lambda user=user: user.call("report", user_id=here.id, reason="r")
            for user in reporters
        )
    )

    assert ears.next("banned")["until"]
    for user in (here, there):
        assert user.refused("send", text="x").code == "banned"


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_due_messages_are_sent_once(shared: Pair) -> None:
    here, there = shared.user()
    ears = shared.clients[1].listener(there)
    at = soon(0.8)
    for n in range(40):
        here.call("schedule", text=f"due {n}", send_at=at)

    events = messages(ears, here.common, 40)

    assert sorted(e["message"]["text"] for e in events) == sorted(
        f"due {n}" for n in range(40)
    )
    states = here.call("scheduled")["messages"]
    assert {row["state"] for row in states} == {"sent"}


def test_cancel_wins_or_comes_too_late(shared: Pair) -> None:
    here, there = shared.user()
    head = here.call("history", chat_id=here.common)["head"]
    due = time.time() + 1.0
    ids = [
        here.call(
            "schedule",
            text="?",
            send_at=datetime.fromtimestamp(
                due - 0.5 + n * 0.025, UTC
            ).isoformat(),
        )["id"]
        for n in range(40)
    ]
    wait_until(lambda: time.time() >= due - 0.25, "some are due")

    answers = post_all(there, "cancel", [{"id": id} for id in ids])

    cancelled = {
        id
        for id, (_, answer) in zip(ids, sorted(answers.items()))
        if answer.error is None
    }
    assert {
        answer.error["code"] for answer in answers.values() if answer.error
    } <= {"conflict"}
    wait_until(
        lambda: not here.call("scheduled", state="pending")["messages"],
        "all are decided",
    )
    states = {
        row["id"]: row["state"] for row in here.call("scheduled")["messages"]
    }
    assert {id for id in ids if states[id] == "cancelled"} == cancelled
    sent = [id for id in ids if states[id] == "sent"]
    assert len(sent) + len(cancelled) == 40
    assert here.call("history", chat_id=here.common)["head"] == head + len(
        sent
    )


def test_lifetime_ends_on_every_broker(start: Callable[..., Pair]) -> None:
    ann, bob = (
        client.user() for client in start("--message-ttl", "1").clients
    )
    chat_id = ann.call("p2p", user_id=bob.id)["chat_id"]
    for text in "abc":
        ann.send(text, chat_id=chat_id)
    assert bob.call("read", chat_id=chat_id, seq=2)["seq"] == 2

    wait_until(lambda: bob.texts(chat_id) == ["c"], "two have expired")
    assert ann.texts(chat_id) == ["a", "b", "c"]


# Brokers and databases that go away


def test_brokers_start_at_once_on_an_empty_database(
    tmp_path: Path, postgres_url: str, free_port: Callable[[], int]
) -> None:
    with ExitStack() as stack:
        servers = []
        for n in range(3):
            (tmp_path / str(n)).mkdir()
            server = Server(
                tmp_path / str(n), free_port(), "--store", postgres_url
            )
            stack.callback(server.close)
            server.launch()
            servers.append(server)
        ctx = stack.enter_context(context())
        commons = set()
        for server in servers:
            server.log.wait_for("started")
            commons.add(Client(ctx, server.rpc, server.events).user().common)

        assert len(commons) == 1


def test_broker_that_is_killed_takes_nothing_with_it(
    start: Callable[..., Pair],
) -> None:
    pair = start()
    here, there = pair.user()
    ears = pair.clients[1].listener(there)
    many = [
        {"text": f"m {n}", "idempotency_key": f"k {n}"} for n in range(800)
    ]
    for params in many:
        here.post("send", **params)
    acknowledged = [here.caller.answer() for _ in range(200)]
    pair.servers[0].kill()

    repeated = post_all(there, "send", many)

    again = [answer.result for _, answer in sorted(repeated.items())]
    assert [answer.result for answer in acknowledged] == again[:200]
    seen = messages(ears, there.common, 800)
    assert [event["seq"] for event in seen] == list(range(1, 801))
    assert sorted(event["message"]["text"] for event in seen) == sorted(
        params["text"] for params in many
    )


def test_frozen_broker_does_not_stop_the_others(
    start: Callable[..., Pair],
) -> None:
    pair = start()
    here, there = pair.user()
    for n in range(500):
        here.post("send", text=f"m {n}")
    here.caller.answer()
    pair.servers[0].send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: accepted(there), "the other goes on", 20)
    finally:
        pair.servers[0].send_signal(signal.SIGCONT)


def accepted(user: User) -> bool:
    """Whether a message was taken; anything else is `unavailable`."""
    code = code_of(user, "send", text="after")
    assert code in {"done", "unavailable"}
    return code == "done"


def test_database_that_stops_and_comes_back(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with ExitStack() as stack:
        database = stack.enter_context(cluster())
        pair = stack.enter_context(
            pair_of_brokers(tmp_path, free_port, database.url())
        )
        here, there = pair.user()
        ears = pair.clients[1].listener(there)
        pulse = beats(pair.clients[1])
        gaps = there.call("sync")["gaps"]
        assert next(pulse) == (gaps, "ready")
        here.send("before")
        ears.next("message")
        database.stop()

        begun = time.monotonic()
        refusals = [
            user.refused("send", text="lost")
            for user in (here, there)
            for _ in range(5)
        ]
        refusals.append(here.refused("status"))
        assert time.monotonic() - begun < 1.0
        assert {failed.code for failed in refusals} == {"unavailable"}
        assert all(failed.data["retry_after"] for failed in refusals)
        wait_until(lambda: next(pulse) == (gaps, "away"), "it is told")
        database.start()

        wait_until(lambda: accepted(there), "the store is back")
        wait_until(lambda: accepted(here), "the store is back")
        assert there.texts()[0] == "before"
        assert "lost" not in there.texts()
        pair.servers[1].log.wait_for("feed_lost")
        wait_until(
            lambda: next(pulse) == (gaps + 1, "ready"),
            "subscribers are told to catch up",
        )
        assert there.call("sync")["gaps"] == gaps + 1
        sent = here.send("again")
        ears.next("message", seq=sent["seq"])


def beats(client: Client) -> Iterator[tuple[int, str]]:
    """The gaps so far and the store's state in each heartbeat."""
    ears = client.listener()
    ears.subscribe(HEARTBEAT)
    while True:
        beat = msgpack.unpackb(ears.frames()[1])
        yield beat["gaps"], beat["store"]


def test_gateway_goes_to_the_next_broker(
    start: Callable[..., Pair], free_port: Callable[[], int]
) -> None:
    pair = start()
    port = free_port()
    both = ",".join(server.rpc for server in pair.servers)
    with gateway(port, both):
        wait_until(lambda: ready(port), "the gateway serves")
        pair.servers[0].kill()

        wait_until(lambda: ready(port), "the gateway found the other")


@contextmanager
def gateway(port: int, rpc: str) -> Iterator[None]:
    """A gateway in front of the brokers."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "zchat",
            "gateway",
            "--port",
            str(port),
            "--rpc",
            rpc,
        ],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def ready(port: int) -> bool:
    """Whether a user can come in over HTTP."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/connect")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def test_clients_go_to_the_next_broker(start: Callable[..., Pair]) -> None:
    pair = start()
    both = ",".join(server.rpc for server in pair.servers)

    texts, seen, servers = asyncio.run(talk(both, pair.servers[0].kill))

    assert seen == texts
    assert servers == {pair.servers[1].rpc}


async def talk(
    servers: str,
    kill: Callable[[], None],
) -> tuple[list[str], list[str], set[str]]:
    """Send 600 texts, kill a broker midway; sent, seen, and where."""
    texts = [f"text {n}" for n in range(600)]
    async with (
        await AsyncClient.connect(servers) as writer,
        await AsyncClient.connect(servers) as reader,
    ):
        assert {writer.server, reader.server} == {servers.split(",")[0]}
        ready = asyncio.Event()

        async def listen() -> list[str]:
            seen: list[str] = []
            async for event in reader.events():
                ready.set()
                if isinstance(event, MessageEvent):
                    seen.append(event.message.text)
                if seen and seen[-1] == texts[-1]:
                    break
            return seen

        listening = asyncio.create_task(listen())
        await ready.wait()
        for text in texts:
            if text == texts[300]:
                await asyncio.to_thread(kill)
            await writer.send(text)
        return texts, await listening, {writer.server, reader.server}

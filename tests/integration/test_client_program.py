"""The clients against the real program, over connections that break."""

import asyncio
import threading
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
)
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import zmq

from tests.bare import Client as Bare
from tests.bare import context, wait_until
from tests.server import Server, running
from zchat.client import (
    CaughtUp,
    ChatAdded,
    ChatRemoved,
    ChatRenamed,
    Event,
    MessageEvent,
    NoAnswer,
    ReadMoved,
    Start,
    aio,
    blocking,
    connection,
    device,
)
from zchat.errors import Code, Refused

Told = TypeVar("Told")

PATIENCE_SECONDS = 40.0
FLOOD = 13_000
ABSENT = "00000000-0000-7000-8000-00000000dead"


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Server]:
    """A server for tests that do not stop it."""
    with running(tmp_path_factory.mktemp("shared"), free_port()) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Server]:
    """A server of one's own."""
    with running(tmp_path, free_port()) as made:
        yield made


def run(work: Coroutine[Any, Any, None]) -> None:
    async def main() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await work

    asyncio.run(main())


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until it holds."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


class Proxy:
    """A TCP connection that can be cut, in front of a server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.connections = 0
        self.endpoint = ""

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        there_reader, there_writer = await asyncio.open_connection(
            "127.0.0.1", self._port
        )
        self._writers |= {writer, there_writer}
        self.connections += 1
        await asyncio.gather(
            self._copy(reader, there_writer), self._copy(there_reader, writer)
        )

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    async def has_had(self, count: int) -> None:
        """Wait until there have been so many connections."""
        await until(lambda: self.connections >= count)

    def cut(self) -> None:
        """Break all connections, hard."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.endpoint = f"tcp://{host}:{port}"
        async with server:
            try:
                yield self
            finally:
                self.cut()
                await asyncio.gather(*self._tasks)


@contextmanager
def forwarder(events: str) -> Iterator[str]:
    """A ZeroMQ proxy of events, which connects anew by itself."""
    with context() as ctx:
        front, back = ctx.socket(zmq.XPUB), ctx.socket(zmq.XSUB)
        control, stop = ctx.socket(zmq.PAIR), ctx.socket(zmq.PAIR)
        front.setsockopt(zmq.XPUB_VERBOSE, 1)
        front.bind("tcp://127.0.0.1:*")
        back.setsockopt(zmq.RECONNECT_IVL, 50)
        back.connect(events)
        control.bind("inproc://forwarder")
        stop.connect("inproc://forwarder")
        thread = threading.Thread(
            target=zmq.proxy_steerable, args=(front, back, None, control)
        )
        thread.start()
        try:
            endpoint = front.getsockopt(zmq.LAST_ENDPOINT)
            yield bytes(endpoint).rstrip(b"\0").decode()
        finally:
            stop.send(b"TERMINATE")
            thread.join(PATIENCE_SECONDS)
            for socket in (front, back, control, stop):
                socket.close(0)


class Collector:
    """Takes a client's events as they come."""

    def __init__(self, client: aio.Client) -> None:
        self._client = client
        self.events: list[Event] = []
        self.task = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        async for event in self._client.events():
            self.events.append(event)

    @property
    def messages(self) -> list[MessageEvent]:
        return [
            event for event in self.events if isinstance(event, MessageEvent)
        ]

    @property
    def texts(self) -> list[str]:
        return [event.message.text for event in self.messages]

    @property
    def caught_up(self) -> int:
        return sum(isinstance(event, CaughtUp) for event in self.events)

    def of(self, kind: type[Told]) -> list[Told]:
        return [event for event in self.events if isinstance(event, kind)]

    async def has(self, count: int) -> None:
        """Wait until so many messages have come."""
        await until(lambda: len(self.texts) >= count)

    def check_order(self) -> None:
        """Each chat's messages came once and without a hole."""
        seqs: dict[str, list[int]] = {}
        for event in self.messages:
            seqs.setdefault(event.chat_id, []).append(event.message.seq)
        for found in seqs.values():
            assert found == list(range(found[0], found[0] + len(found)))


async def listening(client: aio.Client) -> Collector:
    """A collector that misses nothing from now on."""
    collector = Collector(client)
    await until(lambda: collector.caught_up)
    return collector


class TestCalls:
    """Every method, over both clients."""

    def test_the_asyncio_client(self, shared: Server) -> None:
        async def work() -> None:
            async with (
                await aio.Client.connect(shared.rpc) as ann,
                await aio.Client.connect(shared.rpc) as ben,
            ):
                await play(ann, ben, lambda value: value)

        run(work())

    def test_the_blocking_client(self, shared: Server) -> None:
        async def wait(value: Any) -> Any:
            return value

        with (
            blocking.BlockingClient.connect(shared.rpc) as ann,
            blocking.BlockingClient.connect(shared.rpc) as ben,
        ):
            run(play(ann, ben, wait))

    def test_who_only_listens_stays_online(
        self, shared: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(device, "PRESENT_SECONDS", 0.2)

        async def work() -> None:
            async with (
                await aio.Client.connect(shared.rpc) as ann,
                await aio.Client.connect(shared.rpc) as ben,
            ):
                chat_id = await ben.p2p(ann.user_id)

                async def last_seen() -> Any:
                    users = await ben.users(chat_id)
                    return next(
                        user.last_seen
                        for user in users
                        if user.id == ann.user_id
                    )

                first = await last_seen()
                while await last_seen() == first:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)

        run(work())

    def test_a_token_comes_back_as_the_same_user(self, shared: Server) -> None:
        with blocking.BlockingClient.connect(
            shared.rpc, name="Carol"
        ) as first:
            assert first.name == "Carol"
        with blocking.BlockingClient.connect(
            shared.rpc, first.token, "Other"
        ) as again:
            assert (again.user_id, again.name) == (first.user_id, "Carol")

    def test_a_wrong_token_is_refused(self, shared: Server) -> None:
        with pytest.raises(Refused) as caught:
            blocking.BlockingClient.connect(shared.rpc, ABSENT)
        assert caught.value.code is Code.UNAUTHORIZED

    def test_no_server(self, free_port: Callable[[], int]) -> None:
        before = threading.active_count()
        with pytest.raises(NoAnswer, match="is it running"):
            blocking.BlockingClient.connect(
                f"127.0.0.1:{free_port()}", connect_seconds=0.3
            )
        wait_until(
            lambda: threading.active_count() == before, "the thread has ended"
        )

    def test_a_repeat_with_the_same_key_sends_nothing_more(
        self, shared: Server
    ) -> None:
        with blocking.BlockingClient.connect(shared.rpc) as ann:
            first = ann.send("once", idempotency_key="k")
            assert ann.send("once", idempotency_key="k") == first

    def test_blocking_events(self, shared: Server) -> None:
        with (
            blocking.BlockingClient.connect(shared.rpc) as ann,
            blocking.BlockingClient.connect(shared.rpc) as ben,
        ):
            assert ben.next_event(PATIENCE_SECONDS) == CaughtUp()
            with pytest.raises(TimeoutError):
                ben.next_event(0.05)
            sent = ann.send("hello")
            event = next(ben.events())
            assert isinstance(event, MessageEvent)
            assert event.message.id == sent.id
            assert ben.cursors().seqs[sent.chat_id] == sent.seq
            assert ben.known_chats[sent.chat_id].unread == 1
            waiting = threading.Thread(target=lambda: list(ben.events()))
            waiting.start()
            ben.close()
            waiting.join(PATIENCE_SECONDS)
            assert not waiting.is_alive()

    def test_closing_ends_what_waits_and_what_comes_later(
        self, tmp_path: Path, free_port: Callable[[], int]
    ) -> None:
        with running(tmp_path, free_port()) as own:
            ann = blocking.BlockingClient.connect(own.rpc)
            own.kill()
            failed = []

            def send() -> None:
                with pytest.raises(NoAnswer, match="closed"):
                    ann.send("never answered")
                failed.append(True)

            waiting = threading.Thread(target=send)
            waiting.start()
            wait_until(lambda: ann._client._link._waiting, "it was asked")
            ann.close()
            waiting.join(PATIENCE_SECONDS)
            assert failed == [True]
            ann.close()
            with pytest.raises(NoAnswer, match="closed"):
                ann.status()


async def play(ann: Any, ben: Any, wait: Callable[[Any], Any]) -> None:
    """Everything two users can do; `wait` awaits what a call returns."""

    async def ask(value: Awaitable[Any]) -> Any:
        return await wait(value)

    assert (await ask(ann.hello())).protocol == 1
    assert (await ask(ann.status())).user.id == ann.user_id
    sent = await ask(ann.send("hello"))
    comment = await ask(ben.comment(sent.id, "well said"))
    assert [found.id for found in await ask(ann.comments(sent.id))] == [
        comment.id
    ]
    page = await ask(ann.history(ann.chat_default, after=sent.seq - 1))
    assert [message.id for message in page.messages] == [sent.id, comment.id]
    assert (await ask(ann.unread(ack=True))).chats[0].messages[-1].id == (
        comment.id
    )
    assert (await ask(ann.unread())).chats == ()
    assert await ask(ann.read(ann.chat_default, 0)) == comment.seq
    assert (await ask(ann.sync())).chats[0].read == comment.seq
    private = await ask(ann.p2p(ben.user_id))
    assert [chat.id for chat in await ask(ben.all_chats())] == [
        ann.chat_default,
        private,
    ]
    assert (await ask(ben.chats(limit=1)))[0].kind == "common"
    assert (await ask(ben.chat(private))).kind == "p2p"
    assert {user.id for user in await ask(ann.all_users(private))} == {
        ann.user_id,
        ben.user_id,
    }
    assert await ask(ann.users(private, limit=1))
    name = f"Ann-{ann.user_id[-12:]}"
    assert await ask(ann.rename(name)) == name == ann.name
    await play_schedule(ann, private, ask)
    await play_files(ann, ben, private, ask)
    await play_group(ann, ben, ask)
    assert await ask(ann.report(ben.user_id, "rude", message_id=comment.id))
    await ask(ann.exit(private))
    with pytest.raises(Refused) as caught:
        await ask(ann.history(private))
    assert caught.value.code is Code.NOT_FOUND


async def play_schedule(ann: Any, private: str, ask: Any) -> None:
    when = datetime.now(UTC) + timedelta(hours=1)
    waiting = await ask(ann.schedule("later", when, private))
    assert [found.id for found in await ask(ann.scheduled("pending"))] == [
        waiting.id
    ]
    await ask(ann.cancel(waiting.id))
    assert [found.state for found in await ask(ann.scheduled())] == [
        "cancelled"
    ]


async def play_files(ann: Any, ben: Any, private: str, ask: Any) -> None:
    content = bytes(range(256)) * 2100
    file_id = await ask(ann.upload(content, private, "bytes.bin"))
    sent = await ask(ann.send("", private, files=[file_id]))
    page = await ask(ben.history(private, around=sent.seq))
    [file] = page.messages[-1].files
    assert (file.name, file.size) == ("bytes.bin", len(content))
    assert (await ask(ben.download(file_id))).data == content
    assert (await ask(ben.download_range(file_id, 3, 2))).data == (
        content[3:5]
    )


async def play_group(ann: Any, ben: Any, ask: Any) -> None:
    group = await ask(ann.create_chat("group"))
    await ask(ann.rename_chat(group, "friends"))
    link = await ask(ann.invite_link(group, expires_in=60, max_uses=2))
    assert (await ask(ann.invite_links(group)))[0].link_id == link.link_id
    assert (await ask(ben.join(link.link))).state == "pending"
    assert [
        found.user.id for found in await ask(ann.join_requests(group))
    ] == [ben.user_id]
    await ask(ann.deny(group, ben.user_id))
    await ask(ben.join(link.link))
    await ask(ann.approve(group, ben.user_id))
    await ask(ann.remove(group, ben.user_id))
    await ask(ann.invite(group, ben.user_id))
    await ask(ann.revoke_link(link.link))
    assert await ask(ann.invite_links(group)) == ()


class TestEvents:
    """What comes to a device that stays connected."""

    def test_common_and_private_messages_and_notices(
        self, shared: Server
    ) -> None:
        async def work() -> None:
            async with (
                await aio.Client.connect(shared.rpc) as ann,
                await aio.Client.connect(shared.rpc) as ben,
            ):
                seen = await listening(ben)
                await ann.send("to all")
                group = await ann.create_chat("group")
                await ann.invite(group, ben.user_id)
                await ann.send("to the group", group)
                private = await ann.p2p(ben.user_id)
                await ann.send("to you", private)
                await ann.rename_chat(group, "friends")
                await seen.has(3)
                await until(lambda: seen.of(ChatRenamed))
                assert set(seen.texts) == {"to all", "to the group", "to you"}
                assert {notice.chat_id for notice in seen.of(ChatAdded)} == {
                    group,
                    private,
                }
                assert ben.known_chats[group].name == "friends"
                await ann.remove(group, ben.user_id)
                await until(lambda: seen.of(ChatRemoved))
                await ann.send("not for you", group)
                await ann.send("for you", private)
                await seen.has(4)
                assert seen.texts[-1] == "for you"

        run(work())

    def test_two_devices_show_the_same(self, shared: Server) -> None:
        async def work() -> None:
            async with (
                await aio.Client.connect(shared.rpc) as ann,
                await aio.Client.connect(shared.rpc) as ben,
                await aio.Client.connect(shared.rpc, ben.token) as phone,
            ):
                here, there = await listening(ben), await listening(phone)
                sent = await ann.send("one")
                await until(lambda: here.texts and there.texts)
                assert phone.known_chats[sent.chat_id].unread == 1
                await ben.read(sent.chat_id, sent.seq)
                await until(lambda: there.of(ReadMoved))
                assert phone.known_chats[sent.chat_id].unread == 0

        run(work())

    def test_unread_messages_first_if_wished(self, shared: Server) -> None:
        async def work() -> None:
            async with (
                await aio.Client.connect(shared.rpc) as ann,
                await aio.Client.connect(
                    shared.rpc, start=Start.UNREAD
                ) as ben,
            ):
                await ann.send("before the events began")
                seen = await listening(ben)
                assert seen.texts == ["before the events began"]

        run(work())

    def test_a_program_started_again_goes_on_where_it_was(
        self, shared: Server
    ) -> None:
        async def work() -> None:
            async with await aio.Client.connect(shared.rpc) as ann:
                async with await aio.Client.connect(shared.rpc) as ben:
                    seen = await listening(ben)
                    await ann.send("one")
                    await ann.send("two")
                    await seen.has(2)
                    seen.task.cancel()
                    cursors = ben.cursors()
                await ann.send("three")
                group = await ann.create_chat("group")
                await ann.invite(group, ben.user_id)
                await ann.send("four", group)
                async with await aio.Client.connect(
                    shared.rpc, ben.token, cursors=cursors
                ) as again:
                    assert again.cursors().epoch == cursors.epoch
                    assert again.cursors().seqs == cursors.seqs | {group: 0}
                    seen = await listening(again)
                    assert sorted(seen.texts) == ["four", "three"]

        run(work())

    def test_events_not_taken_are_not_in_the_cursors(
        self, shared: Server
    ) -> None:
        async def work() -> None:
            async with (
                await aio.Client.connect(shared.rpc) as ann,
                await aio.Client.connect(shared.rpc) as ben,
            ):
                assert await ben.next_event() == CaughtUp()
                sent = [await ann.send(f"{n}") for n in range(3)]
                await until(lambda: ben.events_waiting == 3)
                chat = sent[0].chat_id
                assert ben.cursors().seqs[chat] == sent[0].seq - 1
                await ben.next_event()
                assert ben.cursors().seqs[chat] == sent[0].seq

        run(work())


class TestSinceConnect:
    """Events count from `connect` on, whenever they are taken."""

    def test_a_reply_before_the_first_event_was_taken_comes(
        self, shared: Server
    ) -> None:
        with (
            blocking.BlockingClient.connect(shared.rpc) as bot,
            blocking.BlockingClient.connect(shared.rpc) as ann,
        ):
            asked = bot.send("Who is there?")
            group = ann.create_chat("later")
            ann.invite(group, bot.user_id)
            ann.comment(asked.id, "I am.")
            told: list[Event] = []
            while len(told) < 3:
                event = bot.next_event(PATIENCE_SECONDS)
                if isinstance(event, MessageEvent | ChatAdded):
                    told.append(event)
            assert {
                event.message.text
                for event in told
                if isinstance(event, MessageEvent)
            } == {"Who is there?", "I am."}
            assert group in {
                event.chat_id for event in told if isinstance(event, ChatAdded)
            }

    def test_what_nobody_takes_is_bounded_and_comes_in_the_end(
        self, shared: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(device, "QUEUE_LIMIT", 20)
        monkeypatch.setattr(device, "PAUSE_SECONDS", 0.05)

        async def work() -> None:
            async with (
                await aio.Client.connect(shared.rpc) as ann,
                await aio.Client.connect(shared.rpc) as ben,
            ):
                heard = ben._device
                assert heard is not None
                await until(lambda: heard.waiting)
                for n in range(40):
                    await ann.send(f"{n}")
                await until(lambda: heard._subscriber is None)
                for n in range(40, 60):
                    await ann.send(f"{n}")
                assert ben.events_waiting < 40
                seen = Collector(ben)
                await seen.has(60)
                seen.check_order()
                assert seen.texts == [f"{n}" for n in range(60)]
                await ann.send("live again")
                await seen.has(61)

        run(work())

    def test_a_new_user_is_not_lost_with_the_first_sync(
        self, shared: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        call = connection.Link.call

        def lossy(link: Any, method: str, *rest: Any, **options: Any) -> Any:
            if method == "sync":
                raise NoAnswer("lost", sent=True)
            return call(link, method, *rest, **options)

        monkeypatch.setattr(connection.Link, "call", lossy)
        with blocking.BlockingClient.connect(shared.rpc) as ann:
            assert ann.next_event(PATIENCE_SECONDS) == CaughtUp()
            assert ann.status().user.id == ann.user_id

    def test_who_does_not_listen_has_no_event_connection(
        self, shared: Server
    ) -> None:
        with (
            blocking.BlockingClient.connect(shared.rpc, listen=False) as ben,
            blocking.BlockingClient.connect(shared.rpc) as ann,
        ):
            assert ben.known_chats == {}
            ann.send("before he listens")
            assert ben.next_event(PATIENCE_SECONDS) == CaughtUp()
            ann.send("now")
            event = ben.next_event(PATIENCE_SECONDS)
            assert isinstance(event, MessageEvent)
            assert event.message.text == "now"

    def test_the_name_follows_other_devices(self, shared: Server) -> None:
        with (
            blocking.BlockingClient.connect(shared.rpc) as desk,
            blocking.BlockingClient.connect(shared.rpc, desk.token) as phone,
        ):
            name = f"Ann-{desk.user_id[-12:]}"
            phone.rename(name)
            wait_until(lambda: desk.name == name, "the desk knows")


class TestOneClientManyThreads:
    """A blocking client may be closed by any thread at any time."""

    def test_closing_lets_nobody_hang(self, shared: Server) -> None:
        for _ in range(20):
            client = blocking.BlockingClient.connect(shared.rpc)
            failures: list[BaseException] = []
            ready = threading.Barrier(9)
            threads = [
                threading.Thread(
                    target=use_until_closed, args=(client, ready, failures)
                )
                for _ in range(8)
            ]
            for thread in threads:
                thread.start()
            ready.wait()
            closers = [threading.Thread(target=client.close) for _ in range(2)]
            for thread in closers:
                thread.start()
            for thread in (*threads, *closers):
                thread.join(PATIENCE_SECONDS)
                assert not thread.is_alive()
            assert failures == []


def use_until_closed(
    client: blocking.BlockingClient,
    ready: threading.Barrier,
    failures: list[BaseException],
) -> None:
    """Use every kind of call; only NoAnswer may end it."""
    ready.wait()
    try:
        while True:
            client.status()
            assert client.known_chats
            assert client.cursors().epoch
    except NoAnswer:
        if list(client.events()):
            failures.append(AssertionError("events after the end"))
    except BaseException as fault:
        failures.append(fault)


class TestBreaks:
    """Each message comes once and in order, whatever breaks."""

    def test_the_broker_is_killed_under_load(self, server: Server) -> None:
        async def work() -> None:
            async with (
                await aio.Client.connect(server.rpc) as ann,
                await aio.Client.connect(server.rpc) as ben,
            ):
                seen = await listening(ben)
                sends = []
                for n in range(3):
                    sends += [
                        asyncio.create_task(ann.send(f"{n}.{i}"))
                        for i in range(100)
                    ]
                    await seen.has(50 * n + 1)
                    await asyncio.to_thread(server.kill)
                    await asyncio.to_thread(server.start)
                sent = await asyncio.gather(*sends)
                last = await ann.send("last")
                await until(lambda: seen.texts[-1:] == ["last"])
                seen.check_order()
                assert [event.message.id for event in seen.messages] == [
                    found.id
                    for found in sorted(
                        [*sent, last], key=lambda found: found.seq
                    )
                ]
                assert len(set(seen.texts)) == 301

        run(work())

    def test_a_subscriber_cut_off_comes_back(
        self, shared: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def work() -> None:
            async with (
                Proxy(shared.port + 2).running() as proxy,
                await aio.Client.connect(shared.rpc) as ann,
                await aio.Client.connect(shared.rpc) as ben,
            ):
                monkeypatch.setattr(
                    device,
                    "events_endpoint",
                    lambda told, reached: proxy.endpoint,
                )
                seen = await listening(ben)
                private = await ann.p2p(ben.user_id)
                for n in range(5):
                    proxy.cut()
                    await ann.send(f"common {n}")
                    await ann.send(f"private {n}", private)
                    await proxy.has_had(n + 2)
                await ann.send("end", private)
                await until(lambda: "end" in seen.texts)
                await seen.has(11)
                seen.check_order()
                assert len(set(seen.texts)) == 11

        run(work())

    def test_requests_over_a_line_that_breaks(self, shared: Server) -> None:
        async def work() -> None:
            async with (
                Proxy(shared.port + 1).running() as proxy,
                await aio.Client.connect(proxy.endpoint) as ann,
            ):
                texts = [f"line {n}" for n in range(200)]
                sends = []
                for n, text in enumerate(texts):
                    sends.append(asyncio.create_task(ann.send(text)))
                    await asyncio.sleep(0)
                    if n % 40 == 20:
                        proxy.cut()
                    if n % 40 == 30:
                        await proxy.has_had(n // 40 + 2)
                sent = await asyncio.gather(*sends)
                assert [found.seq for found in sent] == sorted(
                    found.seq for found in sent
                )
                page = await ann.history(
                    ann.chat_default, after=sent[0].seq - 1, limit=200
                )
                assert [message.text for message in page.messages] == texts

        run(work())

    def test_a_connection_without_heartbeats_is_replaced(
        self, shared: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def work() -> None:
            async with (
                Proxy(shared.port + 2).running() as proxy,
                await aio.Client.connect(shared.rpc) as ann,
                await aio.Client.connect(shared.rpc) as ben,
            ):
                monkeypatch.setattr(
                    device,
                    "events_endpoint",
                    lambda told, reached: proxy.endpoint,
                )
                monkeypatch.setattr(ben._session._pulse, "_patience", 0.3)
                seen = await listening(ben)
                for n in range(4):
                    await ann.send(f"{n}")
                    await proxy.has_had(n + 2)
                await seen.has(4)
                assert seen.texts == ["0", "1", "2", "3"]

        run(work())

    def test_a_proxy_that_connects_anew_unseen_is_noticed(
        self, shared: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The client's own connection holds; the one behind it breaks."""

        async def work() -> None:
            async with (
                Proxy(shared.port + 2).running() as line,
                await aio.Client.connect(shared.rpc) as ann,
            ):
                with forwarder(line.endpoint) as endpoint:
                    monkeypatch.setattr(
                        device,
                        "events_endpoint",
                        lambda told, reached: endpoint,
                    )
                    async with await aio.Client.connect(shared.rpc) as ben:
                        seen = await listening(ben)
                        line.cut()
                        await ann.send("lost")
                        await until(lambda: seen.caught_up == 2)
                        await seen.has(1)
                        await ann.send("comes")
                        await seen.has(2)
                        assert seen.texts == ["lost", "comes"]

        run(work())

    def test_what_was_dropped_at_the_high_water_mark_is_fetched(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "_RECEIVE_HIGH_WATER", 100)
        monkeypatch.setattr(device, "QUEUE_LIMIT", 100)
        fetched = []

        async def flood(ann: aio.Client) -> None:
            text = "x" * 4000
            for start in range(0, FLOOD, 500):
                await asyncio.gather(
                    *(
                        ann.send(f"{n} {text}")
                        for n in range(start, start + 500)
                    )
                )

        async def work() -> None:
            async with (
                await aio.Client.connect(server.rpc) as ann,
                await aio.Client.connect(server.rpc) as ben,
            ):
                assert await ben.next_event() == CaughtUp()
                request = ben._link.request

                def counted(method: str, *rest: Any, **options: Any) -> None:
                    fetched.append(method)
                    request(method, *rest, **options)

                ben._link.request = counted  # type: ignore[method-assign]
                await flood(ann)
                assert ben.events_waiting < 1000
                seen = Collector(ben)
                await seen.has(FLOOD)
                seen.check_order()
                assert [int(text.split()[0]) for text in seen.texts] == list(
                    range(FLOOD)
                )
                assert "history" in fetched

        run(work())


def begin_anew(server: Server) -> None:
    """Start again with an empty store."""
    server.kill()
    for path in server.folder.glob("zchat.db*"):
        path.unlink()
    server.start()


def test_a_user_whom_the_server_forgot_gets_an_error(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """The events end with what makes it impossible to go on."""

    async def work() -> None:
        server = Server(tmp_path, free_port())
        try:
            server.start()
            async with await aio.Client.connect(server.rpc) as ann:
                assert await ann.next_event() == CaughtUp()
                await asyncio.to_thread(begin_anew, server)
                with pytest.raises(Refused) as caught:
                    await Collector(ann).task
                assert caught.value.code is Code.UNAUTHORIZED
        finally:
            server.close()

    run(work())


def test_what_others_can_see_with_a_bare_client(shared: Server) -> None:
    """What this client writes, every client reads, and the reverse."""
    with context() as ctx, blocking.BlockingClient.connect(shared.rpc) as ann:
        bare = Bare(ctx, shared.rpc, shared.events).user()
        ann.send("from the client")
        bare.send("from a bare socket")
        page = ann.history(ann.chat_default, limit=2)
        assert [message.text for message in page.messages] == (
            bare.texts()[-2:]
        )

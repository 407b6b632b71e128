"""The session against servers whose events are lost at random.

Events are dropped, repeated and reordered, answers are late, the connection
breaks: in the end the device has every message once, in order and as it is
now, and shows what the server has. Each property is tried on the model of
tests/session_servers.py, and with fewer examples on the real rules.
"""

import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.harness import MEMORY
from tests.session_servers import (
    COMMON,
    FIRST,
    SECOND,
    ModelServer,
    RuleServer,
    Server,
)
from zchat.client import session as s
from zchat.rpc import codec, events, results, topics

BEAT = 5.0
REAL_EXAMPLES = 12
Question = s.AskSync | s.Fetch | s.AskChanges


class World:
    """A server, a device, and all that is under way between them."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.session = s.Session(server.me, BEAT)
        self.now = 0.0
        self.subscribed: set[bytes] = set()
        self.connected = False
        self.events: deque[tuple[bytes, bytes]] = deque()
        self.asked: list[Question] = []
        self.answers: list[tuple[Question, Any]] = []
        self.barriers: list[s.Subscribe] = []
        self.delivered: dict[str, list[int]] = {id: [] for id in server.chats}
        self.shown: dict[tuple[str, int], int] = {}
        self.told: list[s.Event] = []
        self.caught_up = False

    def run(self, commands: list[s.Command]) -> None:
        for command in commands:
            match command:
                case s.Subscribe():
                    assert self.connected
                    self.subscribed |= set(command.topics)
                    self.barriers.append(command)
                case s.Unsubscribe():
                    self.subscribed -= set(command.topics)
                case s.AskSync() | s.Fetch() | s.AskChanges():
                    self.asked.append(command)
                case s.Reconnect():
                    self.cut()
                case s.Deliver():
                    self.take(command.event)

    def take(self, event: s.Event) -> None:
        """What a program does: it shows each message as it is told last."""
        self.told.append(event)
        match event:
            case events.MessageSent(chat_id=chat_id, seq=seq):
                self.delivered[chat_id].append(seq)
                self.shown[chat_id, seq] = event.message.revision
            case events.MessageChanged(chat_id=chat_id, message=message):
                assert message.seq <= self.session.chats[chat_id].cursor
                if (chat_id, message.seq) in self.shown:
                    self.shown[chat_id, message.seq] = message.revision
            case s.CaughtUp():
                self.caught_up = True

    def fan_out(self) -> None:
        """What was published is under way to who subscribed to it."""
        self.events += [
            event
            for event in self.server.published
            if event[0] in self.subscribed
        ]
        self.server.published.clear()

    def connect(self) -> None:
        if not self.connected:
            self.connected = True
            self.caught_up = False
            self.run(self.session.connected(self.now))

    def cut(self) -> None:
        if self.connected:
            self.connected = False
            self.subscribed.clear()
            self.events.clear()
            self.barriers.clear()
            self.run(self.session.disconnected())

    def renew(self) -> None:
        """A proxy connects anew: what was under way is lost unseen."""
        if self.connected and not self.barriers:
            self.events.clear()
            self.run(self.session.renewed(self.now))

    def event(self, at: int, keep: bool = False) -> None:
        if self.events:
            at %= len(self.events)
            event = self.events[at]
            if not keep:
                del self.events[at]
            self.run(self.session.published(*event))

    def drop(self, at: int) -> None:
        if self.events:
            del self.events[at % len(self.events)]

    def barrier(self) -> None:
        if self.barriers:
            self.run(self.session.live(self.barriers.pop(0)))

    def answer(self, at: int) -> None:
        """The server answers, as it now is; the answer is under way."""
        if self.asked:
            asked = self.asked.pop(at % len(self.asked))
            found: Any
            match asked:
                case s.AskSync():
                    found = self.server.sync()
                case s.Fetch():
                    found = self.server.history(asked)
                case s.AskChanges():
                    found = self.server.changes(asked)
            self.answers.append((asked, found))

    def answered(self, at: int, lose: bool = False) -> None:
        if not self.answers:
            return
        asked, answer = self.answers.pop(at % len(self.answers))
        match asked:
            case s.AskSync() if lose:
                self.run(self.session.sync_refused())
            case s.AskSync():
                self.run(self.session.synced(answer))
            case _ if lose or answer is None:
                self.run(self.session.fetch_refused(asked))
            case s.Fetch():
                self.run(self.session.fetched(asked, answer))
            case s.AskChanges():
                self.run(self.session.changed(asked, answer))

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.run(self.session.tick(self.now))

    def beat(self) -> None:
        if topics.HEARTBEAT in self.subscribed:
            epoch = self.server.sync().epoch
            self.run(
                self.session.published(
                    topics.HEARTBEAT, codec.pack({"epoch": epoch})
                )
            )

    def settle(self) -> None:
        """Nothing is lost any more: let everything arrive."""
        self.connect()
        self.server.heads()
        self.fan_out()
        for _ in range(1000):
            self.beat()
            self.event(0)
            self.barrier()
            self.answer(0)
            self.answered(0)
            if not (
                self.events or self.barriers or self.asked or self.answers
            ):
                self.tick(1.0)
                if not (self.asked or self.barriers):
                    return
        raise AssertionError("the session does not come to rest")

    def restart(self) -> None:
        """The program ends, and another goes on from its cursors."""
        cursors = self.session.cursors()
        self.cut()
        self.asked.clear()
        self.answers.clear()
        self.session = s.Session(self.server.me, BEAT, cursors=cursors)


FAITHFUL = [
    "post",
    "post",
    "own",
    "edit",
    "edit",
    "head",
    "rename",
    "rename_me",
    "read",
    "come_or_go",
    "come_or_go",
    *["event"] * 8,
    "barrier",
    "barrier",
    *["answer"] * 3,
    *["answered"] * 3,
    "tick",
    "beat",
]
LOSSY = [
    *FAITHFUL,
    "post",
    "post",
    "repeat",
    "drop",
    "drop",
    "lose",
    "cut",
    "renew",
    "connect",
    "connect",
]


def steps_of(names: list[str]) -> st.SearchStrategy[list[tuple[str, int]]]:
    return st.lists(
        st.tuples(st.sampled_from(names), st.integers(0, 5)),
        min_size=40,
        max_size=150,
    )


STEPS = steps_of(LOSSY)
COMING_AND_GOING: Final = [
    ("post", 0),
    ("post", 2),
    ("come_or_go", 1),
    ("come_or_go", 2),
    ("come_or_go", 2),
    ("come_or_go", 2),
    ("event", 0),
    ("event", 0),
    ("event", 0),
    ("event", 0),
    ("event", 0),
    ("event", 0),
    ("event", 0),
    ("answer", 0),
    ("answered", 0),
    ("come_or_go", 2),
    ("head", 0),
    ("head", 0),
    ("rename", 0),
    ("rename", 0),
    ("event", 0),
    ("event", 0),
    ("barrier", 0),
    ("come_or_go", 2),
    ("event", 0),
    ("event", 0),
    ("event", 0),
    ("answer", 1),
    ("answer", 0),
    ("answered", 1),
    ("come_or_go", 2),
    ("come_or_go", 2),
    ("event", 0),
    ("event", 0),
    ("answer", 0),
    ("post", 2),
    ("event", 0),
    ("event", 0),
    ("answer", 0),
    ("answered", 2),
]
"""A sync from before the last coming is answered after it."""
Steps = list[tuple[str, int]]

ACTIONS: dict[str, Callable[[World, int], None]] = {
    "post": lambda world, n: world.server.post(n % 3),
    "own": lambda world, n: world.server.post(n % 3, mine=True),
    "edit": lambda world, n: world.server.edit(n % 3, n // 2),
    "head": lambda world, n: world.server.heads(),
    "rename": lambda world, n: world.server.rename(n % 3),
    "rename_me": lambda world, n: world.server.rename_me(),
    "read": lambda world, n: world.server.read(n % 3),
    "come_or_go": lambda world, n: world.server.come_or_go(n % 3),
    "event": lambda world, n: world.event(n),
    "repeat": lambda world, n: world.event(n, keep=True),
    "drop": lambda world, n: world.drop(n),
    "cut": lambda world, n: world.cut(),
    "renew": lambda world, n: world.renew(),
    "connect": lambda world, n: world.connect(),
    "barrier": lambda world, n: world.barrier(),
    "answer": lambda world, n: world.answer(n),
    "answered": lambda world, n: world.answered(n),
    "lose": lambda world, n: world.answered(n, lose=True),
    "tick": lambda world, n: world.tick(n),
    "beat": lambda world, n: world.beat(),
}


def step(world: World, name: str, number: int) -> None:
    ACTIONS[name](world, number)
    world.fan_out()
    check_order(world)


def begun(server: Server) -> World:
    """A device that is there from the first message on."""
    world = World(server)
    world.connect()
    world.settle()
    assert world.caught_up
    return world


def check_order(world: World) -> None:
    for seqs in world.delivered.values():
        assert seqs == sorted(set(seqs))


def visible(world: World, chat_id: str) -> list[results.Message]:
    """All messages of a chat that the user may read."""
    found: list[results.Message] = []
    while True:
        after = found[-1].seq if found else 0
        page = world.server.history(s.Fetch(chat_id, after, 200))
        assert page is not None
        found += page.messages
        if not page.has_newer:
            return found


def check_state(world: World) -> None:
    """The device shows just what the server has."""
    check_order(world)
    assert world.caught_up
    truth = world.server.sync()
    shown = {
        chat.id: (
            chat.title,
            chat.cursor,
            chat.revision,
            chat.read,
            chat.unread,
            chat.mentions,
        )
        for chat in world.session.chats.values()
    }
    assert shown == {
        chat.id: (
            chat.title,
            chat.head,
            chat.revision,
            chat.read,
            chat.unread,
            chat.mentions,
        )
        for chat in truth.chats
    }
    assert world.session.name == truth.user.name
    for chat in truth.chats:
        messages = visible(world, chat.id)
        first = messages[0].seq if messages else chat.head + 1
        assert [
            seq for seq in world.delivered[chat.id] if seq >= first
        ] == list(range(first, chat.head + 1))
        for message in messages:
            assert world.shown[chat.id, message.seq] == message.revision


@contextmanager
def real_server() -> Iterator[RuleServer]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        server = RuleServer(Path(folder))
        try:
            yield server
        finally:
            server.close()


def play_lossy(server: Server, steps: Steps) -> None:
    world = begun(server)
    for name, number in steps:
        step(world, name, number)
    world.cut()
    world.settle()
    check_state(world)


def play_faithful(server: Server, steps: Steps) -> None:
    world = begun(server)
    for name, number in steps:
        step(world, name, 0 if name == "event" else number)
    world.settle()
    check_state(world)


def play_restarted(server: Server, before: Steps, after: Steps) -> None:
    world = begun(server)
    for name, number in before:
        step(world, name, number)
    world.restart()
    for name, number in after:
        step(world, name, number)
    world.settle()
    check_state(world)


@given(STEPS)
def test_the_device_ends_with_what_the_server_has(steps: Steps) -> None:
    play_lossy(ModelServer(), steps)


@given(STEPS)
@settings(max_examples=REAL_EXAMPLES, deadline=None)
def test_so_it_does_on_the_real_rules(steps: Steps) -> None:
    with real_server() as server:
        play_lossy(server, steps)


@given(steps_of(FAITHFUL))
@example(steps=COMING_AND_GOING)
def test_it_needs_no_reconnect_when_nothing_is_lost(steps: Steps) -> None:
    play_faithful(ModelServer(), steps)


@given(steps_of(FAITHFUL))
@settings(max_examples=REAL_EXAMPLES, deadline=None)
def test_nor_on_the_real_rules(steps: Steps) -> None:
    with real_server() as server:
        play_faithful(server, steps)


@given(STEPS, STEPS)
def test_a_restarted_program_misses_and_repeats_nothing(
    before: Steps, after: Steps
) -> None:
    play_restarted(ModelServer(), before, after)


@given(STEPS, STEPS)
@settings(max_examples=REAL_EXAMPLES // 2, deadline=None)
def test_nor_does_it_on_the_real_rules(before: Steps, after: Steps) -> None:
    with real_server() as server:
        play_restarted(server, before, after)


@given(
    st.lists(
        st.sampled_from(["post", "edit", "event", "drop", "answer"]),
        max_size=60,
    )
)
def test_a_connection_that_only_loses_heals_without_a_reconnect(
    steps: list[str],
) -> None:
    world = begun(ModelServer())
    for name in steps:
        step(world, name, 0)
    world.settle()
    check_state(world)


@given(steps_of(["post", "edit", "rename", "come_or_go", "rename_me"]))
def test_all_that_was_missed_is_said_to_be(steps: Steps) -> None:
    """Who joined or left while away is not repeated: `Missed` says so."""
    world = begun(ModelServer())
    world.cut()
    gone = {chat.id: chat.revision for chat in world.server.sync().chats}
    for name, number in steps:
        step(world, name, number)
    world.told.clear()
    world.settle()
    check_state(world)
    missed = {e.chat_id for e in world.told if isinstance(e, s.Missed)}
    changed = {
        e.revision for e in world.told if isinstance(e, events.MessageChanged)
    }
    for chat in world.server.sync().chats:
        if chat.id in gone and chat.id != world.server.chats[SECOND]:
            lost = set(range(gone[chat.id] + 1, chat.revision + 1)) - changed
            assert (chat.id in missed) == bool(lost)


def test_the_numbers_of_the_chats() -> None:
    assert (COMMON, FIRST, SECOND) == (0, 1, 2)

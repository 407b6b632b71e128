"""The session against a model server whose events are lost at random.

Events are dropped, repeated and reordered, answers are late, the
connection breaks: in the end the device has every message once, in
order, and shows what the server has.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from zchat.client import session as s
from zchat.rpc import codec, results, sealing, topics

ME = "00000000-0000-7000-8000-0000000000aa"
OTHER = "00000000-0000-7000-8000-0000000000bb"
CHATS = [f"00000000-0000-7000-8000-{n:012x}" for n in range(1, 4)]
COMMON = CHATS[0]
INBOX = topics.inbox_topic(ME)
BEAT = 5.0
PAGE = 3


@dataclass
class Room:
    """A chat; `first` is the first seq that we may see."""

    id: str
    member: bool
    authors: list[str] = field(default_factory=list)
    name: str = "name 0"
    key: int = 1
    read: int = 0
    first: int = 1

    def message(self, seq: int) -> results.Message:
        return results.Message(
            id=f"{seq}",
            seq=seq,
            created="x",
            text="",
            author=results.Person(id=self.authors[seq - 1], name="x"),
            is_comment_on=None,
            comments=0,
            files=[],
        )

    @property
    def head(self) -> int:
        return len(self.authors)

    def unread(self) -> int:
        after = max(self.read, self.first - 1)
        return sum(author != ME for author in self.authors[after:])


class Server:
    """Chats and what is published of them."""

    def __init__(self) -> None:
        self.rooms = {id: Room(id, id != CHATS[2]) for id in CHATS}
        self.published: list[tuple[bytes, bytes]] = []

    def publish(
        self, room: Room, name: str, inbox: bool = False, **fields: Any
    ) -> None:
        plain = codec.pack({"event": name, "chat_id": room.id, **fields})
        topic = INBOX if inbox else topics.chat_topic(room.id)
        key = 1 if inbox else room.key
        if room.id != COMMON or inbox:
            plain = sealing.seal(
                key, secret(room.id, key, inbox), topic, plain, bytes(12)
            )
        self.published.append((topic, plain))

    def post(self, room: Room, author: str) -> None:
        if author == ME and not room.member:
            return
        room.authors.append(author)
        message = room.message(room.head)
        self.publish(
            room,
            "message",
            seq=room.head,
            message={
                "id": message.id,
                "seq": message.seq,
                "created": "x",
                "text": "",
                "author": {"id": author, "name": "x"},
                "is_comment_on": None,
                "comments": 0,
                "files": [],
            },
        )

    def head(self, room: Room) -> None:
        self.publish(room, "head", seq=room.head)

    def rotate(self, room: Room) -> None:
        if room.id == COMMON:
            return
        self.publish(room, "key_changed")
        room.key += 1

    def rename(self, room: Room) -> None:
        room.name = f"name {int(room.name.split()[1]) + 1}"
        name = {"name": room.name}
        plain = {"event": "chat_renamed", "chat_id": room.id, **name}
        topic = topics.chat_topic(room.id)
        body = codec.pack(plain)
        if room.id != COMMON:
            body = sealing.seal(
                room.key,
                secret(room.id, room.key, False),
                topic,
                body,
                bytes(12),
            )
        self.published.append((topic, body))

    def read(self, room: Room) -> None:
        if room.member and room.read < room.head:
            room.read = (room.read + room.head + 1) // 2
            self.publish(room, "read", inbox=True, seq=room.read)

    def come_or_go(self, room: Room) -> None:
        if room.id == COMMON:
            return
        room.member = not room.member
        if room.member:
            room.first = room.head + 1
            room.read = room.head
            self.publish(room, "chat_added", inbox=True)
        else:
            self.publish(room, "chat_removed", inbox=True)
            self.rotate(room)

    def sync(self) -> results.Sync:
        return results.Sync(
            epoch="e",
            gaps=0,
            inbox=0,
            user=results.SyncUser(
                id=ME,
                name="me",
                role="member",
                banned_until=None,
                quota=None,
                receipts=True,
            ),
            scheduled=0,
            inbox_key=results.EventKey(id=1, secret=secret(COMMON, 1, True)),
            chats=[
                results.SyncChat(
                    id=room.id,
                    name=room.name,
                    title=room.name,
                    head=room.head,
                    revision=0,
                    mentions=0,
                    requests=0,
                    kind="common" if room.id == COMMON else "group",
                    read=room.read,
                    unread=room.unread(),
                    event_key=None
                    if room.id == COMMON
                    else results.EventKey(
                        id=room.key, secret=secret(room.id, room.key, False)
                    ),
                )
                for room in self.rooms.values()
                if room.member
            ],
        )

    def history(self, fetch: s.Fetch) -> results.History | None:
        room = self.rooms[fetch.chat_id]
        if not room.member:
            return None
        first = max(fetch.after + 1, room.first)
        last = min(first + PAGE - 1, room.head)
        return results.History(
            messages=[room.message(n) for n in range(first, last + 1)],
            has_older=min(first, room.head + 1) > room.first,
            has_newer=last < room.head,
            head=room.head,
        )


def secret(chat_id: str, number: int, inbox: bool) -> bytes:
    return bytes([number, inbox]) * 15 + bytes.fromhex(chat_id[-4:])


class World:
    """A server, a device, and all that is under way between them."""

    def __init__(self) -> None:
        self.server = Server()
        self.session = s.Session(ME, BEAT)
        self.now = 0.0
        self.subscribed: set[bytes] = set()
        self.connected = False
        self.events: deque[tuple[bytes, bytes]] = deque()
        self.asked: list[s.AskSync | s.Fetch] = []
        self.answers: list[tuple[s.AskSync | s.Fetch, Any]] = []
        self.barriers: list[s.Subscribe] = []
        self.delivered: dict[str, list[int]] = {id: [] for id in CHATS}
        self.joined_at_sync: dict[str, int] = {}
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
                case s.AskSync() | s.Fetch():
                    self.asked.append(command)
                case s.Reconnect():
                    self.cut()
                case s.Deliver():
                    self.take(command.event)

    def take(self, event: s.Event) -> None:
        match event:
            case s.NewMessage():
                self.delivered[event.chat_id].append(event.message.seq)
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
            self.answers.append(
                (
                    asked,
                    self.server.history(asked)
                    if isinstance(asked, s.Fetch)
                    else self.server.sync(),
                )
            )

    def answered(self, at: int, lose: bool = False) -> None:
        if not self.answers:
            return
        asked, answer = self.answers.pop(at % len(self.answers))
        match asked:
            case s.AskSync() if lose:
                self.run(self.session.sync_refused())
            case s.AskSync():
                self.run(self.session.synced(answer))
            case s.Fetch() if lose or answer is None:
                self.run(self.session.fetch_refused(asked))
            case s.Fetch():
                self.run(self.session.fetched(asked, answer))

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.run(self.session.tick(self.now))

    def beat(self) -> None:
        if topics.HEARTBEAT in self.subscribed:
            self.run(
                self.session.published(
                    topics.HEARTBEAT, codec.pack({"epoch": "e"})
                )
            )

    def settle(self) -> None:
        """Nothing is lost any more: let all arrive that is under way."""
        self.connect()
        for room in self.server.rooms.values():
            self.server.head(room)
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


FAITHFUL = [
    "post",
    "post",
    "own",
    "head",
    "rotate",
    "rename",
    "read",
    "come_or_go",
    "come_or_go",
    *["event"] * 6,
    "barrier",
    "barrier",
    "answer",
    "answer",
    "answered",
    "answered",
    "tick",
    "beat",
]
LOSSY = [
    *FAITHFUL,
    "post",
    "post",
    "repeat",
    "drop",
    "lose",
    "cut",
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


ACTIONS: dict[str, Callable[[World, Room, int], None]] = {
    "post": lambda world, room, n: world.server.post(room, OTHER),
    "own": lambda world, room, n: world.server.post(room, ME),
    "head": lambda world, room, n: world.server.head(room),
    "rotate": lambda world, room, n: world.server.rotate(room),
    "rename": lambda world, room, n: world.server.rename(room),
    "read": lambda world, room, n: world.server.read(room),
    "come_or_go": lambda world, room, n: world.server.come_or_go(room),
    "event": lambda world, room, n: world.event(n),
    "repeat": lambda world, room, n: world.event(n, keep=True),
    "drop": lambda world, room, n: world.drop(n),
    "cut": lambda world, room, n: world.cut(),
    "connect": lambda world, room, n: world.connect(),
    "barrier": lambda world, room, n: world.barrier(),
    "answer": lambda world, room, n: world.answer(n),
    "answered": lambda world, room, n: world.answered(n),
    "lose": lambda world, room, n: world.answered(n, lose=True),
    "tick": lambda world, room, n: world.tick(n),
    "beat": lambda world, room, n: world.beat(),
}


def step(world: World, name: str, number: int) -> None:
    ACTIONS[name](world, world.server.rooms[CHATS[number % 3]], number)
    world.fan_out()


def begin(world: World) -> None:
    """A device that is there from the first message on."""
    world.connect()
    world.settle()
    assert world.caught_up


def check_order(world: World) -> None:
    for seqs in world.delivered.values():
        assert seqs == sorted(set(seqs))


@given(STEPS)
def test_every_message_comes_once_and_in_order(
    steps: list[tuple[str, int]],
) -> None:
    world = World()
    begin(world)
    for name, number in steps:
        step(world, name, number)
        check_order(world)
    world.cut()
    world.settle()
    check_order(world)
    assert world.caught_up
    for room in world.server.rooms.values():
        if room.member:
            wanted = list(range(room.first, room.head + 1))
            assert [
                seq for seq in world.delivered[room.id] if seq >= room.first
            ] == wanted


@given(STEPS)
def test_the_device_ends_with_the_state_of_the_server(
    steps: list[tuple[str, int]],
) -> None:
    world = World()
    begin(world)
    for name, number in steps:
        step(world, name, number)
    world.cut()
    world.settle()
    check_state(world)


@given(steps_of(FAITHFUL))
def test_it_does_so_without_a_reconnect_when_nothing_is_lost(
    steps: list[tuple[str, int]],
) -> None:
    world = World()
    begin(world)
    for name, number in steps:
        step(world, name, 0 if name == "event" else number)
        check_order(world)
    world.settle()
    check_state(world)


def check_state(world: World) -> None:
    shown = {
        chat.id: (chat.name, chat.head, chat.read, chat.unread)
        for chat in world.session.chats.values()
    }
    assert shown == {
        room.id: (room.name, room.head, room.read, room.unread())
        for room in world.server.rooms.values()
        if room.member
    }


@given(STEPS, STEPS)
def test_a_restarted_program_misses_and_repeats_nothing(
    before: list[tuple[str, int]], after: list[tuple[str, int]]
) -> None:
    world = World()
    begin(world)
    for name, number in before:
        step(world, name, number)
    cursors = world.session.cursors()
    world.cut()
    world.asked.clear()
    world.answers.clear()
    world.session = s.Session(ME, BEAT, cursors=cursors)
    for name, number in after:
        step(world, name, number)
        check_order(world)
    world.settle()
    check_order(world)
    for room in world.server.rooms.values():
        if room.member:
            assert [
                seq for seq in world.delivered[room.id] if seq >= room.first
            ] == list(range(room.first, room.head + 1))


@given(st.lists(st.sampled_from(["post", "event", "drop"]), max_size=40))
def test_a_connection_that_only_loses_heals_without_a_reconnect(
    steps: list[str],
) -> None:
    world = World()
    begin(world)
    for name in steps:
        step(world, name, 0)
    world.settle()
    room = world.server.rooms[COMMON]
    assert world.delivered[COMMON] == list(range(1, room.head + 1))

"""A whole server without a socket: rules, batches and a real store.

A `World` runs requests as the broker does, from their bytes to their
answers, with a clock that stands still until it is told otherwise.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pytest

from zchat.chat.environment import Facts
from zchat.chat.expiry import start
from zchat.chat.handlers import handler_of
from zchat.chat.jobs import NoParams
from zchat.chat.quotas import count_totals
from zchat.chat.unit_of_work import UnitOfWork
from zchat.engine.batch import Batches, Call
from zchat.engine.meters import Meters
from zchat.engine.requests import call_of
from zchat.engine.timers import Timers
from zchat.errors import Code, Refused
from zchat.model import SECOND, Rules, time_text
from zchat.rpc.codec import (
    Unreadable,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
    unpack,
)
from zchat.rpc.methods import TOKEN
from zchat.rpc.operator_results import BrokerStats
from zchat.rpc.sealing import SECRET_BYTES, unseal
from zchat.rpc.topics import chat_topic, inbox_topic
from zchat.storage.base import BatchChanges, Outgoing
from zchat.storage.sqlite import SqliteStore

START: Final = 1_700_000_000 * SECOND
NOWHERE: Final = "00000000-0000-7000-8000-00000000dead"
"""An id that nothing has."""
MEMORY: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""A folder whose files cost no disk; None: there is only the usual one."""
VERSION: Final = "9.9"
CONNECTIONS: Final = (4, 2)


def shown_by(meters: Meters, now: int = START) -> BrokerStats:
    """What meters show where nothing waits, and nothing was lost."""
    return meters.shown(
        now=now,
        answers_waiting=0,
        answers_lost=0,
        clients_dropped=0,
        requests_waiting=0,
        feed_gaps=0,
        store_bytes=None,
    )


FIGURES: Final = shown_by(Meters(START))


class CountedEntropy:
    """Ids, tokens and secrets that a number makes, and remembers."""

    def __init__(self) -> None:
        self._count = 0
        self.secrets: list[bytes] = []
        self.words: list[str] = []

    def _next(self) -> int:
        self._count += 1
        return self._count

    def id(self, now: int) -> str:
        time = f"{now // 1000:012x}"
        return f"{time[:8]}-{time[8:]}-7000-8000-{self._next():012x}"

    def token(self) -> str:
        return f"feed0000-0000-4000-8000-{self._next():012x}"

    def secret(self, size: int) -> bytes:
        made = sha256(b"%d" % self._next()).digest()[:size]
        if size == SECRET_BYTES:
            self.secrets.append(made)
        return made

    def word(self) -> str:
        return self.words.pop() if self.words else f"w{self._next()}"


class FaultyStore(SqliteStore):
    """A store whose next steps may fail.

    `faults` names a step (load, write, commit) and the error it raises;
    each fails one time.
    """

    def __init__(self, path: Path, entropy: CountedEntropy) -> None:
        self.faults: list[tuple[str, Exception]] = []
        self.committed = 0
        super().__init__(path, START, lambda: entropy.id(START), "normal")

    def _fail(self, step: str) -> None:
        for fault in self.faults:
            if fault[0] == step:
                self.faults.remove(fault)
                raise fault[1]

    def load(
        self, sources: Any, asks: Any, lock: bool
    ) -> tuple[list[list[Any]], list[list[Any]]]:
        self._fail("load")
        return super().load(sources, asks, lock)

    def write(self, changes: BatchChanges) -> None:
        super().write(changes)
        self._fail("write")

    def commit(self, outgoing: Sequence[Outgoing]) -> None:
        self._fail("commit")
        super().commit(outgoing)
        self.committed += 1

    def rows(self, sql: str, *params: object) -> list[Any]:
        """What stands in the file, for tests that look below."""
        return self._connection.execute(sql, params).fetchall()


@dataclass(frozen=True, eq=False)
class Told:
    """A published event: raw, and the body as its key shows it."""

    raw: Outgoing
    body: dict[str, Any]

    @property
    def name(self) -> str:
        name: str = self.body["event"]
        return name

    @property
    def sealed(self) -> bool:
        return self.raw.body[:1] not in (b"\x82", b"\x83", b"\x84")


class Asked(NamedTuple):
    """A request for `World.batch`: who, what, over which connection."""

    who: "Person | Operator | str | None"
    method: str
    params: dict[str, Any]
    origin: object = None


@dataclass(eq=False)
class Person:
    """A user; called with a method's name, the user asks for it."""

    world: "World"
    id: str
    token: str
    name: str
    keys: dict[tuple[bytes, int], bytes] = field(default_factory=dict)

    def __call__(self, method: str, **params: Any) -> Any:
        return self.world.call(method, self, **params)

    def asks(self, method: str, **params: Any) -> Asked:
        """The request, for `World.batch`; this person's connection."""
        return Asked(self, method, params, self)

    def syncs(self) -> Any:
        """Call `sync`, and keep the keys that it gives."""
        answer = self("sync")
        keys = [(inbox_topic(self.id), answer.inbox_key)]
        keys += [
            (chat_topic(chat.id), chat.event_key)
            for chat in answer.chats
            if chat.event_key
        ]
        for topic, key in keys:
            self.keys[topic, key.id] = key.secret
        return answer

    def opens(self, told: Told) -> bool:
        """Whether a key that this person was ever given opens it."""
        if not told.sealed:
            return True
        return any(
            unseal(secret, topic, told.raw.body) is not None
            for (topic, _), secret in self.keys.items()
            if topic == told.raw.topic
        )

    def chat(self, chat_id: str) -> Any:
        """The CHAT as `chats` shows it to this person."""
        return self("chats", chat_id=chat_id).history

    def texts(self, chat_id: str) -> list[str]:
        """The visible texts of a chat, oldest first."""
        page = self("history", chat_id=chat_id, limit=200)
        return [message.text for message in page.messages]


class Operator:
    """Whoever opened the operator's socket: needs no token."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def __call__(self, method: str, **params: Any) -> Any:
        return self._world.call(method, self, **params)

    def asks(self, method: str, **params: Any) -> Asked:
        """The request, for `World.batch`."""
        return Asked(self, method, params, self)


class World:
    """One server, its clock and its file."""

    def __init__(
        self,
        folder: Path,
        *,
        entropy: CountedEntropy | None = None,
        **rules: Any,
    ) -> None:
        self.now = START
        self.rules = Rules(**rules)
        self.entropy = entropy or CountedEntropy()
        self.events: list[Told] = []
        self.counts: dict[bytes, int] = {}
        self.operator = Operator(self)
        self._path = folder / "zchat.db"
        self._open()

    def make_store(self) -> FaultyStore:
        """The store of this world; others may have another kind."""
        return FaultyStore(self._path, self.entropy)

    def _open(self) -> None:
        self.store = self.make_store()
        self.common = self.store.common_id
        self.work = UnitOfWork(
            self.rules,
            Facts(
                VERSION,
                self.store.epoch,
                "tcp://127.0.0.1:8002",
                lambda: CONNECTIONS,
                lambda: FIGURES,
            ),
            self.entropy,
            self.common,
            self.store.cacheable,
        )
        self.batches = Batches(self.store, self.work, lambda: self.now)
        self.batches.run(
            [Call(rule, NoParams()) for rule in (start, count_totals)]
        )
        self.timers = Timers(
            self.now, self.rules.message_ttl_seconds is not None
        )

    def close(self) -> None:
        self.store.close()

    def restart(self, **rules: Any) -> None:
        """Stop and start again, where wished with other settings."""
        self.close()
        self.rules = msgspec.structs.replace(self.rules, **rules)
        self._open()

    # Time

    def advance(self, seconds: float) -> None:
        """The clock goes on; nothing else happens."""
        self.now += int(seconds * SECOND)

    def run_timers(self) -> None:
        """What the broker does by itself at this time."""
        while self.timers.next_at() <= self.now:
            self.timers.heartbeat.ripe(self.now)
            self.run(self.timers.calls(self.now))

    def wait(self, seconds: float) -> None:
        """The clock goes on, and the broker runs its timers meanwhile."""
        until = self.now + int(seconds * SECOND)
        while self.now < until:
            self.now = min(until, max(self.timers.next_at(), self.now + 1))
            self.run_timers()

    def at(self, seconds: float) -> str:
        """The time so many seconds from now, as a request names it."""
        return time_text(self.now + int(seconds * SECOND))

    # Requests

    def user(self, name: str | None = None) -> Person:
        """A new user."""
        made = self.call("connect", None, **({"name": name} if name else {}))
        return Person(self, made.user_id, made.token, made.name)

    def users(self, names: str) -> list[Person]:
        """New users with these names."""
        return [self.user(name) for name in names.split()]

    def call(
        self,
        method: str,
        who: "Person | Operator | str | None" = None,
        **params: Any,
    ) -> Any:
        """The result of one request; raises Refused."""
        (outcome,) = self.batch([Asked(who, method, params)])
        if isinstance(outcome, Refused):
            raise outcome
        return outcome

    def batch(self, asked: Sequence[Asked]) -> list[Any]:
        """The outcomes of requests that arrive together."""
        calls = self.calls(asked)
        self.run(calls)
        return [_outcome(call) for call in calls]

    def calls(self, asked: Sequence[Asked]) -> list[Call]:
        """The calls that the broker makes of requests."""
        return [_request(*one) for one in asked]

    def run(self, calls: Sequence[Call]) -> None:
        """Run calls as one batch, and take note of what is told."""
        self.batches.run([call for call in calls if not call.done])
        outgoing, lost = self.store.feed()
        assert not lost
        for event in outgoing:
            told = Told(event, self._opened(event))
            self.events.append(told)
            self._check_count(told)
            assert told.sealed or told.raw.topic == chat_topic(self.common)
            if event.counted:
                self.timers.heads.note(event.topic, self.now)

    def _opened(self, event: Outgoing) -> dict[str, Any]:
        for secret in reversed(self.entropy.secrets):
            plain = unseal(secret, event.topic, event.body)
            if plain is not None:
                return dict(unpack(plain))
        return dict(unpack(event.body))

    # Events

    def _check_count(self, told: Told) -> None:
        """No chat's revision, and no inbox's count, has a hole."""
        for counter in ("revision", "inbox"):
            count = told.body.get(counter)
            if count is not None:
                last = self.counts.get(told.raw.topic, 0)
                if told.raw.counted:
                    assert count == last + 1, told.body
                    self.counts[told.raw.topic] = count
                else:
                    assert told.name in ("head", "inbox_head")
                    assert count >= last, told.body

    def told(self) -> list[Told]:
        """The events since the last look."""
        told, self.events = self.events, []
        return told

    def told_names(self) -> list[str]:
        """The names of the events since the last look."""
        return [told.name for told in self.told()]

    def told_to(self, person: Person) -> list[dict[str, Any]]:
        """What the person's inbox got since the last look.

        Without the counts, which are checked as the events come, and
        without the heads that repeat them; so too in `told_in`.
        """
        return self._told_on(inbox_topic(person.id))

    def told_in(self, chat_id: str) -> list[dict[str, Any]]:
        """What the chat was told since the last look."""
        return self._told_on(chat_topic(chat_id))

    def _told_on(self, topic: bytes) -> list[dict[str, Any]]:
        return [
            {
                name: value
                for name, value in told.body.items()
                if name not in ("inbox", "revision")
            }
            for told in self.told()
            if told.raw.topic == topic
            and told.name not in ("head", "inbox_head")
        ]

    # Rooms

    def group(self, owner: Person, *members: Person) -> str:
        """A new group with these members."""
        chat_id: str = owner("create_chat", name="a group").chat_id
        for member in members:
            owner("invite", chat_id=chat_id, user_id=member.id)
        return chat_id

    def file(
        self, owner: Person, chat_id: str, data: bytes, name: str = "a.bin"
    ) -> str:
        """A complete upload of the owner's to the chat."""
        begun = owner(
            "upload",
            chat_id=chat_id,
            name=name,
            size=len(data),
            sha256=sha256(data).hexdigest(),
        )
        for offset in range(0, max(1, len(data)), begun.chunk_size):
            owner(
                "upload_chunk",
                file_id=begun.file_id,
                offset=offset,
                data=data[offset : offset + begun.chunk_size],
            )
        file_id: str = begun.file_id
        return file_id


def _request(
    who: Person | Operator | str | None,
    method: str,
    params: dict[str, Any],
    origin: object = None,
) -> Call:
    """The call that the broker makes of a request's bytes."""
    for_operator = isinstance(who, Operator)
    if who is not None and not for_operator:
        token = who.token if isinstance(who, Person) else who
        params = {TOKEN: token, **params}
    try:
        request = decode_request(encode_request(1, method, params))
    except Unreadable as unreadable:
        call = Call(handler_of("hello", True), None)
        call.end(unreadable.refused)
        return call
    return call_of(request, origin, for_operator)


def _outcome(call: Call) -> Any:
    """The outcome, after a look at whether it can be answered."""
    assert call.done
    assert call.outcome is not None
    if not isinstance(call.outcome, Refused):
        decode_answer(encode_answer(1, call.outcome))
    return call.outcome


@contextmanager
def refused(code: Code, **data: Any) -> Iterator[None]:
    """Expects a refusal with this code, and these fields of `data`."""
    with pytest.raises(Refused) as caught:
        yield
    refusal = caught.value
    assert refusal.code is code, refusal.message
    found = {name: refusal.data.get(name) for name in data}
    assert found == data, refusal.message


def codes(outcomes: Sequence[Any]) -> list[str]:
    """Each outcome as `ok`, or the code of its refusal."""
    return [
        outcome.code.wire if isinstance(outcome, Refused) else "ok"
        for outcome in outcomes
    ]


MakeWorld = Callable[..., World]

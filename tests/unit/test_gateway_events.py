"""The text of the event stream, and the ids by which it resumes."""

import asyncio
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.client.connection import Link
from zchat.client.session import (
    CaughtUp,
    ChatCursor,
    Cursors,
    Missed,
    Notice,
    Restored,
)
from zchat.errors import Code, Refused, ZchatError
from zchat.gateway import event_stream
from zchat.gateway.binding import Call
from zchat.gateway.calls import Caller
from zchat.gateway.event_ids import Places, cursors_of
from zchat.gateway.event_stream import SILENCE_SECONDS, EventStream
from zchat.gateway.events import EventStreams
from zchat.gateway.messages import Pushed, Request, Response
from zchat.gateway.paced_link import PacedLink
from zchat.gateway.shared_text import SharedTexts
from zchat.gateway.stream_text import (
    Open,
    event_json,
    event_text,
    opening_text,
)
from zchat.gateway.tickets import TICKET_SECONDS, TICKETS_PER_USER, Tickets
from zchat.rpc.events import ChatAdded, ChatRenamed, MessageSent, Read
from zchat.rpc.results import EventKey, Message, Person, Sync, SyncUser

EPOCH = str(UUID(int=7))
CHATS = st.uuids(version=4).map(str)
CHAT = {name: str(UUID(int=number)) for number, name in enumerate("abc")}


def message(text: str) -> Message:
    return Message(
        id="i",
        seq=7,
        created="2026-01-01T00:00:00+00:00",
        author=Person(id="a", name="ann"),
        text=text,
        is_comment_on=None,
        comments=0,
        files=[],
    )


COUNTS = st.integers(0, 2**40 - 2)


def cursors(**seqs: int) -> Cursors:
    """Chats by letters, each at a seq, with a revision ten times that."""
    return Cursors(
        EPOCH,
        tuple(
            ChatCursor(CHAT[name], seq, 10 * seq) for name, seq in seqs.items()
        ),
    )


def test_places_are_what_they_were_made_of() -> None:
    text = Places(cursors(a=1, b=2)).text
    assert cursors_of(text, CHAT.values()) == cursors(a=1, b=2)


@given(
    st.dictionaries(CHATS, st.tuples(COUNTS, COUNTS | st.none()), min_size=1)
)
def test_an_id_holds_every_cursor(
    counts: dict[str, tuple[int, int | None]],
) -> None:
    made = Cursors(
        EPOCH,
        tuple(
            ChatCursor(chat_id, seq, revision)
            for chat_id, (seq, revision) in counts.items()
        ),
    )
    assert cursors_of(Places(made).text, counts) == made


def test_places_follow_what_is_sent() -> None:
    places = Places(cursors(a=1, b=2))
    sent = MessageSent(chat_id=CHAT["a"], seq=300, message=message("hi"))
    places.follow(sent)
    places.follow(ChatRenamed(chat_id=CHAT["b"], revision=77, name="x"))
    places.follow(Read(chat_id=CHAT["a"], seq=500))
    assert cursors_of(places.text, CHAT.values()).chats == (
        ChatCursor(CHAT["a"], 300, 10),
        ChatCursor(CHAT["b"], 2, 77),
    )


def test_a_chat_that_was_never_told_of_gets_its_place() -> None:
    """A stream may begin between a chat and its first message."""
    places = Places(cursors(a=1))

    places.follow(MessageSent(chat_id=CHAT["b"], seq=3, message=message("x")))

    assert cursors_of(places.text, CHAT.values()).chats == (
        ChatCursor(CHAT["a"], 1, 10),
        ChatCursor(CHAT["b"], 3, 0),
    )


def test_an_added_chat_has_a_place_and_keeps_the_one_it_had() -> None:
    places = Places(cursors(a=5))
    for name in "ab":
        places.follow(
            ChatAdded(chat_id=CHAT[name], name="", title="", kind="group")
        )
    assert cursors_of(places.text, CHAT.values()) == cursors(a=5, b=0)


def test_only_chats_that_are_still_there_have_cursors() -> None:
    text = Places(cursors(a=1, b=2)).text
    assert cursors_of(text, [CHAT["b"], CHAT["c"]]) == cursors(b=2)


@given(st.text())
def test_any_other_text_is_no_id(text: str) -> None:
    try:
        found = cursors_of(text, [])
    except ValueError:
        return
    assert found.seqs == {}


def test_an_id_stays_below_the_limit_on_a_header() -> None:
    chats = {str(UUID(int=number)): number for number in range(680)}
    assert 0 < len(Places(Cursors.of(EPOCH, chats)).text) < 15_000
    chats[str(UUID(int=680))] = 1
    assert Places(Cursors.of(EPOCH, chats)).text == ""


@pytest.mark.parametrize("text", ["a\nb", "a\r\n\r\nevent: b", "\u2028", ""])
def test_no_text_breaks_out_of_its_event(text: str) -> None:
    block = event_text(
        MessageSent(chat_id="c", seq=7, message=message(text)), "x"
    )
    assert block.endswith(b"\n\n")
    assert b"\r" not in block
    lines = block[:-2].split(b"\n")
    assert [line.split(b": ")[0] for line in lines] == [
        b"event",
        b"id",
        b"data",
    ]


def test_other_events_have_their_names() -> None:
    assert event_text(Read(chat_id="c", seq=5, inbox=2), "") == (
        b"event: read\ndata: "
        b'{"event":"read","chat_id":"c","seq":5,"inbox":2}\n\n'
    )
    assert event_text(Notice("new", "c", {"seq": 5}), "") == (
        b'event: new\ndata: {"event":"new","chat_id":"c","seq":5}\n\n'
    )
    assert event_text(Missed("c"), "") == (
        b'event: missed\ndata: {"event":"missed","chat_id":"c"}\n\n'
    )
    assert event_text(Restored("e"), "") == (
        b'event: reset\ndata: {"event":"reset","epoch":"e"}\n\n'
    )
    assert event_text(CaughtUp(), "x") == (
        b'event: caught_up\nid: x\ndata: {"event":"caught_up"}\n\n'
    )


def test_a_stream_opens_with_its_user_and_epoch() -> None:
    opening = Open("u", "e", resumed=True)
    begin = (
        b"retry: 2000\n\nevent: open\ndata: "
        b'{"event":"open","user_id":"u","epoch":"e","resumed":true}\n\n'
    )
    assert opening_text(opening) == begin


def sent(chat_id: str, text: str) -> MessageSent:
    return MessageSent(chat_id=chat_id, seq=7, message=message(text))


def test_a_message_is_encoded_once_and_again_when_it_changed() -> None:
    texts = SharedTexts()
    first = texts.text_of(sent("c", "hi"))
    assert texts.text_of(sent("c", "hi")) is first
    edited = sent("c", "ho")
    assert texts.text_of(edited).json == event_json(edited)
    assert first.json == event_json(sent("c", "hi"))


def test_few_texts_are_kept() -> None:
    texts = SharedTexts()
    first = texts.text_of(sent("0", "hi"))
    for number in range(1, 300):
        texts.text_of(sent(str(number), "hi"))
    assert texts.text_of(sent("0", "hi")) is not first


def test_a_text_in_many_queues_is_counted_once() -> None:
    texts = SharedTexts()
    text = texts.text_of(sent("c", "hi"))
    for _ in range(3):
        texts.enqueue(text)
    assert texts.held_bytes == len(text.json)
    for _ in range(3):
        assert texts.held_bytes == len(text.json)
        texts.dequeue(text)
    assert texts.held_bytes == 0


class Office:
    """Tickets with a clock to set, numbered."""

    def __init__(self) -> None:
        self.now = 0.0
        self._number = 0
        self.tickets = Tickets(lambda: self.now, self._next)

    def _next(self) -> str:
        self._number += 1
        return str(self._number)

    def is_good(self, ticket: str) -> bool:
        try:
            return self.tickets.redeem(ticket) == "token"
        except Refused as refused:
            return refused.code is not Code.UNAUTHORIZED


def test_a_ticket_is_good_once() -> None:
    office = Office()
    ticket = office.tickets.issue("u", "token").ticket
    assert not office.is_good(ticket + "x")
    assert office.is_good(ticket)
    assert not office.is_good(ticket)


def test_a_ticket_expires() -> None:
    office = Office()
    first = office.tickets.issue("u", "token").ticket
    office.now = TICKET_SECONDS - 0.1
    second = office.tickets.issue("u", "token").ticket
    office.now = TICKET_SECONDS
    assert not office.is_good(first)
    assert office.is_good(second)


def test_a_users_newest_tickets_are_kept() -> None:
    office = Office()
    other = office.tickets.issue("other", "token").ticket
    mine = [
        office.tickets.issue("u", "token").ticket
        for _ in range(TICKETS_PER_USER + 1)
    ]
    assert not office.is_good(mine[0])
    assert all(office.is_good(ticket) for ticket in [other, *mine[1:]])


def test_tickets_of_many_users_are_bounded() -> None:
    office = Office()
    for number in range(10_000):
        office.tickets.issue(str(number), "token")
    with pytest.raises(Refused) as refused:
        office.tickets.issue("one more", "token")
    assert refused.value.code is Code.UNAVAILABLE
    office.now = TICKET_SECONDS
    assert office.is_good(office.tickets.issue("u", "token").ticket)


class Broker:
    """Knows every token, and answers when all have asked."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.refuses = False

    async def check_claim(self, call: Call) -> None:
        """Every claim is right."""

    async def user_id(self, token: object) -> str:
        await self.answers.wait()
        return str(UUID(int=1))

    async def ask(
        self, method: str, params: dict[str, Any], may_repeat: bool = False
    ) -> Any:
        await asyncio.sleep(0)
        if self.refuses:
            raise Refused(Code.UNAVAILABLE, "Not now.")
        return msgspec.to_builtins(SYNC)


SYNC = Sync(
    epoch=EPOCH,
    gaps=0,
    inbox=0,
    user=SyncUser(
        id=str(UUID(int=1)),
        name="ann",
        role="member",
        banned_until=None,
        quota=None,
        receipts=True,
    ),
    scheduled=0,
    inbox_key=EventKey(id=1, secret=b"0" * 32),
    chats=[],
)
RESUME = Request(
    "GET",
    "/events",
    "",
    {
        b"authorization": b"Bearer t",
        b"last-event-id": Places(cursors(a=1)).text.encode(),
    },
)


class Away:
    """A link to a broker that does not answer."""

    endpoint = "tcp://127.0.0.1:1"
    keys = None

    def request(self, *args: Any, **more: Any) -> None:
        """Nothing comes of it."""


def streams_of(broker: Broker, limit: int) -> EventStreams:
    link = PacedLink(cast(Link, Away()))
    return EventStreams(cast(Caller, broker), link, limit)


def pushed_by(response: Response) -> Pushed:
    assert response.push is not None
    return response.push


class Client:
    """A sink that takes what it is sent, until it is blocked."""

    def __init__(self) -> None:
        self.blocked = False
        self.has_ended = False
        self.text = b""

    def send(self, *pieces: bytes) -> None:
        self.text += b"".join(pieces)

    def tell_held(self) -> None:
        """Nobody counts."""

    def end(self) -> None:
        self.has_ended = True


def test_no_more_streams_open_at_once_than_allowed() -> None:
    async def run() -> None:
        broker = Broker()
        streams = streams_of(broker, 3)
        asked = [
            asyncio.ensure_future(streams.serve(RESUME, {})) for _ in range(10)
        ]
        await asyncio.sleep(0)
        broker.answers.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        served = [one for one in answers if isinstance(one, Response)]
        refused = [one for one in answers if isinstance(one, Refused)]
        assert (len(served), len(refused), streams.open) == (3, 7, 3)
        assert {one.code for one in refused} == {Code.UNAVAILABLE}
        for response in served:
            for _ in range(2):
                pushed_by(response).closed()
        assert streams.open == 0

    asyncio.run(run())


def test_a_stream_opens_again_where_its_id_says() -> None:
    async def run() -> None:
        broker = Broker()
        broker.answers.set()
        stream = pushed_by(await streams_of(broker, 1).serve(RESUME, {}))
        client = Client()
        stream.begin(client)
        assert b'"resumed":true' in client.text
        assert b"event: reset" not in client.text
        stream.closed()

    asyncio.run(run())


def test_an_id_of_another_epoch_is_reset() -> None:
    async def run() -> None:
        broker = Broker()
        broker.answers.set()
        id = Places(Cursors.of(str(UUID(int=8)), {})).text
        request = Request(
            "GET", "/events", f"user_id=t&last_event_id={id}", {}
        )
        stream = pushed_by(await streams_of(broker, 1).serve(request, {}))
        client = Client()
        stream.begin(client)
        assert b'"resumed":false' in client.text
        assert b'"event":"reset","epoch":"%b"' % EPOCH.encode() in client.text
        stream.closed()

    asyncio.run(run())


def test_what_a_client_does_not_take_is_kept_and_counted() -> None:
    async def run() -> None:
        broker = Broker()
        broker.answers.set()
        stream = pushed_by(await streams_of(broker, 1).serve(RESUME, {}))
        assert stream.held_bytes > 0
        client = Client()
        client.blocked = True
        stream.begin(client)
        assert client.text == b""
        client.blocked = False
        stream.drained()
        assert (stream.held_bytes, client.text[:5]) == (0, b"retry")
        stream.closed()

    asyncio.run(run())


def test_a_client_that_takes_nothing_holds_up_its_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What comes meanwhile is fetched once half of it is taken."""

    async def run() -> None:
        broker = Broker()
        broker.answers.set()
        stream = cast(
            EventStream,
            pushed_by(await streams_of(broker, 1).serve(RESUME, {})),
        )
        client = Client()
        client.blocked = True
        stream.begin(client)
        each = message("x" * 1_000)
        while not stream._device._paused:
            assert stream.waiting_bytes <= event_stream.PENDING_BYTES
            stream._deliver(
                MessageSent(chat_id=CHAT["a"], seq=1, message=each)
            )

        client.blocked = False
        stream.drained()
        paused: bool = stream._device._paused

        assert (stream.waiting_bytes, paused) == (0, False)
        stream.closed()

    monkeypatch.setattr(event_stream, "PENDING_BYTES", 20_000)
    asyncio.run(run())


def test_a_token_that_dies_ends_its_stream() -> None:
    """Before the client takes it, or after."""

    async def run() -> None:
        broker = Broker()
        broker.answers.set()
        streams = streams_of(broker, 2)
        clients = [Client(), Client()]
        early, late = [
            cast(EventStream, pushed_by(await streams.serve(RESUME, {})))
            for _ in clients
        ]
        late.begin(clients[1])
        assert not clients[1].has_ended

        for stream in (early, late):
            stream._device._fail(ZchatError("unknown token"))
        await asyncio.sleep(0)

        assert streams.open == 0
        early.begin(clients[0])
        assert [client.has_ended for client in clients] == [True, True]
        assert early.held_bytes == 0

    asyncio.run(run())


def test_a_quiet_stream_shows_that_it_is_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Silence alone: what was said just now puts it off."""

    async def run() -> None:
        broker = Broker()
        broker.answers.set()
        loop = asyncio.get_running_loop()
        clock = [loop.time()]
        monkeypatch.setattr(loop, "time", lambda: clock[0])
        stream = cast(
            EventStream,
            pushed_by(await streams_of(broker, 1).serve(RESUME, {})),
        )
        client = Client()
        stream.begin(client)
        found = []
        for seconds in (10, 5, 5, 10):
            clock[0] += seconds
            before = client.text.count(b'"event":"heartbeat"')
            stream._timer.cancel()
            stream._listen()
            found.append(client.text.count(b'"event":"heartbeat"') - before)
            remaining = stream._timer.when() - loop.time()
            assert 0 < remaining <= SILENCE_SECONDS
        assert found == [0, 1, 0, 1]
        stream.closed()

    asyncio.run(run())


def test_a_stream_that_cannot_begin_gives_its_place_back() -> None:
    async def run() -> None:
        broker = Broker()
        broker.answers.set()
        broker.refuses = True
        streams = streams_of(broker, 1)
        with pytest.raises(Refused):
            await streams.serve(RESUME, {})
        assert streams.open == 0
        broker.refuses = False
        given_up = asyncio.ensure_future(streams.serve(RESUME, {}))
        await asyncio.sleep(0)
        assert streams.open == 1
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        assert streams.open == 0

    asyncio.run(run())

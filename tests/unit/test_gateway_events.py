"""The text of the event stream, and the ids by which it resumes."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.client.connection import Link
from zchat.client.session import CaughtUp, Missed, Notice, Restored
from zchat.errors import Code, Refused
from zchat.gateway.binding import Call
from zchat.gateway.calls import Caller
from zchat.gateway.event_ids import Places, cursors_of
from zchat.gateway.events import EventStreams
from zchat.gateway.messages import Request, Response
from zchat.gateway.stream_text import Open, event_text, opening_text
from zchat.gateway.tickets import TICKET_SECONDS, TICKETS_PER_USER, Tickets
from zchat.rpc.events import MessageSent, Read
from zchat.rpc.results import Message, Person

EPOCH, OTHER_EPOCH = str(UUID(int=7)), str(UUID(int=8))
CHATS = st.uuids(version=4).map(str)


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


@given(st.dictionaries(CHATS, st.integers(0, 2**40 - 1), min_size=1))
def test_an_id_holds_every_cursor(cursors: dict[str, int]) -> None:
    assert cursors_of(Places(EPOCH, cursors).text, EPOCH, cursors) == cursors


@given(st.dictionaries(CHATS, st.integers(0, 2**40 - 1)))
def test_an_id_of_another_epoch_has_no_cursors(
    cursors: dict[str, int],
) -> None:
    text = Places(OTHER_EPOCH, cursors).text
    assert cursors_of(text, EPOCH, cursors) is None


def test_a_place_moves() -> None:
    first, second = str(UUID(int=1)), str(UUID(int=2))
    places = Places(EPOCH, {first: 1, second: 2})
    places.move(first, 300)
    assert cursors_of(places.text, EPOCH, [first, second]) == {
        first: 300,
        second: 2,
    }


def test_an_added_chat_has_a_place_and_keeps_the_one_it_had() -> None:
    first, second = str(UUID(int=1)), str(UUID(int=2))
    places = Places(EPOCH, {first: 5})
    places.add(first)
    places.add(second)
    assert cursors_of(places.text, EPOCH, [first, second]) == {
        first: 5,
        second: 0,
    }


def test_only_chats_that_are_still_there_have_cursors() -> None:
    first, second, third = (str(UUID(int=number)) for number in range(3))
    text = Places(EPOCH, {first: 1, second: 2}).text
    assert cursors_of(text, EPOCH, [second, third]) == {second: 2}


@given(st.text())
def test_any_other_text_is_no_id(text: str) -> None:
    try:
        found = cursors_of(text, EPOCH, [])
    except ValueError:
        return
    assert found in ({}, None)


def test_an_id_stays_below_the_limit_on_a_header() -> None:
    chats = {str(UUID(int=number)): number for number in range(1000)}
    assert 0 < len(Places(EPOCH, chats).text) < 15_000
    chats |= {str(UUID(int=number)): 1 for number in range(1000, 1001)}
    assert Places(EPOCH, chats).text == ""


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
    assert opening_text(opening, is_reset=False) == begin
    assert opening_text(opening, is_reset=True) == begin + (
        b'event: reset\ndata: {"event":"reset","epoch":"e"}\n\n'
    )


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
        return {"chats": [], "epoch": EPOCH}


RESUME = Request(
    "GET",
    "/events",
    "",
    {
        b"authorization": b"Bearer t",
        b"last-event-id": Places(EPOCH, {str(UUID(int=5)): 1}).text.encode(),
    },
)


def streams_of(broker: Broker, limit: int) -> EventStreams:
    return EventStreams(cast(Caller, broker), cast(Link, None), limit)


def chunks_of(response: Response) -> AsyncGenerator[bytes, None]:
    assert response.chunks is not None
    return response.chunks


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
            await chunks_of(response).aclose()
        assert streams.open == 0

    asyncio.run(run())


def test_a_stream_that_nobody_takes_gives_its_place_back() -> None:
    async def run() -> None:
        broker = Broker()
        broker.answers.set()
        streams = streams_of(broker, 1)
        for _ in range(3):
            await streams.serve(RESUME, {})
            for _ in range(5):
                await asyncio.sleep(0)
            assert streams.open == 0

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

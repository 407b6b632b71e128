"""The text of the event stream, and the ids by which it resumes."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.client.session import CaughtUp, MessageEvent, Notice
from zchat.gateway.events import Places, cursors_of, event_text
from zchat.rpc.results import Message, Person

CHATS = st.uuids(version=4).map(str)


def message(text: str) -> Message:
    return Message(
        id="i", seq=7, created="2026-01-01T00:00:00+00:00",
        author=Person(id="a", name="ann"), text=text, is_comment_on=None,
        comments=0, files=[])


@given(st.dictionaries(CHATS, st.integers(0, 2**40 - 1), min_size=1))
def test_an_id_holds_every_cursor(cursors: dict[str, int]) -> None:
    assert cursors_of(Places(cursors).text, cursors) == cursors


def test_a_place_moves() -> None:
    first, second = str(UUID(int=1)), str(UUID(int=2))
    places = Places({first: 1, second: 2})
    places.move(first, 300)
    assert cursors_of(places.text, [first, second]) == {
        first: 300, second: 2}


def test_only_chats_that_are_still_there_have_cursors() -> None:
    first, second, third = (str(UUID(int=number)) for number in range(3))
    text = Places({first: 1, second: 2}).text
    assert cursors_of(text, [second, third]) == {second: 2}


@given(st.text())
def test_any_other_text_is_no_id(text: str) -> None:
    try:
        found = cursors_of(text, [])
    except ValueError:
        return
    assert found == {}


def test_an_id_stays_below_the_limit_on_a_header() -> None:
    chats = {str(UUID(int=number)): number for number in range(1000)}
    assert 0 < len(Places(chats).text) < 15_000
    chats |= {str(UUID(int=number)): 1 for number in range(1000, 1001)}
    assert Places(chats).text == ""


@pytest.mark.parametrize("text", ["a\nb", "a\r\n\r\nevent: b", "\u2028", ""])
def test_no_text_breaks_out_of_its_event(text: str) -> None:
    block = event_text(MessageEvent("c", message(text)), "x")
    assert block.endswith(b"\n\n")
    assert b"\r" not in block
    lines = block[:-2].split(b"\n")
    assert [line.split(b": ")[0] for line in lines] == [
        b"event", b"id", b"data"]


def test_other_events_have_their_names() -> None:
    assert event_text(Notice("read", "c", {"seq": 5}), "") == (
        b'event: read\ndata: {"event":"read","chat_id":"c","seq":5}\n\n')
    assert event_text(CaughtUp(), "x") == (
        b'event: caught_up\nid: x\ndata: {"event":"caught_up"}\n\n')

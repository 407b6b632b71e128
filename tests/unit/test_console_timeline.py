"""The conversation that is loaded, and which rows of it are shown."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.client import History, Message, Person
from zchat.client.console.composing import (
    Completion,
    Recall,
    Words,
    complete,
    is_large,
    matches,
)
from zchat.client.console.rows import Row
from zchat.client.console.timeline import (
    LOADED_KEPT,
    LOADED_MOST,
    Outgoing,
    State,
    Timeline,
    Waiting,
)
from zchat.client.console.viewport import Viewport, key_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def message(seq: int, revision: int = 0, words: str = "") -> Message:
    return Message(
        id=f"id{seq}",
        seq=seq,
        created=NOW,
        author=Person(id="ann", name="ann"),
        text=words or f"text {seq}",
        is_comment_on=None,
        comments=0,
        files=(),
        revision=revision,
    )


def page(first: int, last: int, head: int, oldest: int = 1) -> History:
    return History(
        messages=tuple(map(message, range(first, last + 1))),
        has_older=first > oldest,
        has_newer=last < head,
        head=head,
    )


def seqs(timeline: Timeline) -> list[int]:
    return [each.seq for each in timeline.messages]


class TestTimeline:
    def test_what_comes_while_the_first_page_is_on_its_way(self) -> None:
        timeline = Timeline("c")
        for seq in (9, 10, 11):
            timeline.came(message(seq))
        timeline.opened(page(5, 10, 10))
        assert seqs(timeline) == [5, 6, 7, 8, 9, 10, 11]
        timeline.came(message(12))
        assert timeline.last == timeline.head == 12

    def test_authors_are_called_as_they_are_now(self) -> None:
        timeline = Timeline("c")
        timeline.opened(page(1, 3, 3))
        version = timeline.version
        timeline.named({"ann": "ann", "bob": "robert"})
        assert timeline.version == version
        timeline.named({"ann": "anna"})
        assert {each.author.name for each in timeline.messages} == {"anna"}
        assert timeline.version > version

    def test_pages_are_added_at_both_ends(self) -> None:
        timeline = Timeline("c")
        timeline.opened(page(50, 60, 100))
        timeline.came(message(101))
        assert timeline.last == 60
        assert timeline.head == 101
        timeline.add_older(page(40, 49, 101))
        timeline.add_newer(page(61, 101, 101))
        assert seqs(timeline) == list(range(40, 102))
        assert not timeline.has_newer
        timeline.came(message(102))
        assert timeline.last == 102

    def test_what_is_far_away_is_let_go(self) -> None:
        timeline = Timeline("c")
        timeline.opened(page(901, 1000, 1000))
        for first in range(801, 200, -100):
            timeline.add_older(page(first, first + 99, 1000))
            assert len(timeline.messages) <= LOADED_MOST
        assert timeline.has_newer
        assert timeline.first == 201
        for seq in range(1001, 1003):
            timeline.came(message(seq))
        assert timeline.last < 1000

    def test_live_messages_do_not_fill_the_memory(self) -> None:
        timeline = Timeline("c")
        timeline.opened(page(1, 1, 1))
        for seq in range(2, 5000):
            timeline.came(message(seq))
        assert LOADED_KEPT <= len(timeline.messages) <= LOADED_MOST
        assert timeline.has_older
        assert timeline.last == 4999

    def test_a_change_takes_the_place_of_what_it_changes(self) -> None:
        timeline = Timeline("c")
        timeline.opened(page(1, 3, 3))
        timeline.changed(message(2, 5, "new"))
        timeline.changed(message(2, 4, "older"))
        timeline.changed(message(9, 6, "not loaded"))
        assert [each.text for each in timeline.messages] == [
            "text 1",
            "new",
            "text 3",
        ]

    def test_a_page_does_not_undo_a_change(self) -> None:
        timeline = Timeline("c")
        timeline.changed(message(2, 5, "new"))
        timeline.opened(page(2, 3, 3))
        timeline.changed(message(1, 6, "new too"))
        timeline.add_older(page(1, 1, 3))
        assert [each.text for each in timeline.messages] == [
            "new too",
            "new",
            "text 3",
        ]

    def test_what_expires_goes(self) -> None:
        timeline = Timeline("c")
        timeline.opened(page(5, 9, 9))
        timeline.expired(7)
        assert seqs(timeline) == [8, 9]
        assert not timeline.has_older

    def test_notes_stay_where_they_were_made(self) -> None:
        timeline = Timeline("c")
        timeline.opened(page(1, 2, 2))
        timeline.note("between")
        timeline.came(message(3))
        timeline.put(Outgoing("o", "mine"))
        timeline.wait_for([Waiting("w", "later", NOW)])
        keys = [key_of(item) for item in timeline.items]
        assert keys == [1, 2, "note-1", 3, "o", "w"]

    def test_what_was_taken_away_does_not_come_back(self) -> None:
        timeline = Timeline("c")
        timeline.put(Outgoing("o", "mine"))
        dropped = timeline.drop("o")
        assert dropped is not None
        timeline.update(dropped._replace(state=State.FAILED))
        assert timeline.outgoing == []
        assert timeline.drop("o") is None

    def test_what_stands_before_a_message(self) -> None:
        timeline = Timeline("c")
        timeline.opened(page(5, 9, 9))
        assert (timeline.before(7), timeline.before(5)) == (6, 4)
        timeline.opened(page(5, 9, 9, oldest=5))
        assert timeline.before(5) == 0


def viewport(heights: list[int], height: int) -> Viewport:
    """A view of messages of so many rows each."""
    made = Viewport()
    made.height = height
    made.rows_of = lambda index: [
        Row((), index + 1) for _ in range(heights[index])
    ]
    made.show([message(seq) for seq in range(1, len(heights) + 1)])
    return made


def shown(made: Viewport) -> list[object]:
    return [row.key for row in made.rows()]


HEIGHTS = st.lists(st.integers(1, 7), min_size=1, max_size=30)


class TestViewport:
    def test_the_newest_is_followed(self) -> None:
        made = viewport([2, 2, 2], 3)
        assert shown(made) == [2, 3, 3]
        assert made.is_following

    def test_a_short_conversation_is_shown_whole(self) -> None:
        assert shown(viewport([1, 1], 10)) == [1, 2]

    @given(HEIGHTS, st.integers(1, 12), st.lists(st.integers(-40, 40)))
    def test_it_never_leaves_the_rows(
        self, heights: list[int], height: int, moves: list[int]
    ) -> None:
        made = viewport(heights, height)
        rows = [
            seq for seq, each in enumerate(heights, 1) for _ in range(each)
        ]
        place = last = max(0, len(rows) - height)
        for move in moves:
            made.scroll(move)
            place = min(max(0, place + move), last)
            assert shown(made) == rows[place : place + height]
            assert made.is_following == (place == last)

    def test_what_comes_does_not_move_what_is_read(self) -> None:
        made = viewport([1] * 30, 5)
        made.scroll(-10)
        before = shown(made)
        made.show([message(seq) for seq in range(3, 31)])
        made.rows_of = lambda index: [Row((), index + 3)]
        assert shown(made) == before

    @given(HEIGHTS, st.integers(1, 12), st.data())
    def test_what_is_revealed_is_in_view(
        self, heights: list[int], height: int, data: st.DataObject
    ) -> None:
        made = viewport(heights, height)
        for _ in range(4):
            seq = data.draw(st.integers(1, len(heights)))
            made.reveal(seq)
            assert seq in shown(made)

    def test_only_what_is_near_is_laid_out(self) -> None:
        made = viewport([1] * 100_000, 40)
        asked: set[int] = set()

        def rows_of(index: int) -> list[Row]:
            asked.add(index)
            return [Row((), index)]

        made.rows_of = rows_of
        made.rows()
        made.scroll(-40)
        made.rows()
        assert len(asked) < 200


class TestComposing:
    def test_what_was_sent_comes_back(self) -> None:
        recall = Recall()
        for words in ("one", "two", " ", "one"):
            recall.add(words)
        assert recall.move(-1, "draft") == "one"
        assert recall.move(-1, "one") == "two"
        assert recall.move(-1, "two") == "two"
        assert recall.move(1, "two") == "one"
        assert recall.move(1, "one") == "draft"

    WORDS = Words(
        names=["ann", "Anton", "ben"],
        chats=["default", "work shop"],
        commands=["msg", "members", "open"],
        arguments={"msg": "USER", "open": "CHAT"}.get,  # type: ignore
    )

    @pytest.mark.parametrize(
        ("typed", "start", "choices"),
        [
            ("/m", 0, ("/msg ", "/members ")),
            ("/msg b", 5, ("ben ",)),
            ("/open work", 6, ("work shop",)),
            ("an", 0, ("ann: ", "Anton: ")),
            ("hi @AN", 3, ("@ann ", "@Anton ")),
            ("one\nbe", 4, ("ben ",)),
        ],
    )
    def test_tab_completes(
        self, typed: str, start: int, choices: tuple[str, ...]
    ) -> None:
        assert complete(typed, len(typed), self.WORDS) == Completion(
            start, len(typed), choices
        )

    @pytest.mark.parametrize("typed", ["", "hi ", "/nonsense x", "zzz"])
    def test_where_tab_has_nothing(self, typed: str) -> None:
        assert complete(typed, len(typed), self.WORDS) is None

    def test_large_pastes(self) -> None:
        assert not is_large("x\n" * 11)
        assert is_large("x\n" * 12)
        assert is_large("x" * 1501)

    @pytest.mark.parametrize(
        ("typed", "title", "fits"),
        [("", "x", True), ("wsp", "Workshop", True), ("ps", "shop", False)],
    )
    def test_quick_switch(self, typed: str, title: str, fits: bool) -> None:
        assert matches(typed, title) is fits

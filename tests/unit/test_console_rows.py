"""What is drawn of messages: rows, their widths, what hostile text does."""

import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.client import FileInfo, Message, Person, Reaction
from zchat.client.console import rows, text
from zchat.client.console.colours import STYLES, theme_for
from zchat.client.console.keys import KEYS, Where
from zchat.client.console.timeline import (
    Item,
    Note,
    Outgoing,
    State,
    Waiting,
)
from zchat.client.console.wrapping import cells, fitted, without_piles, wrapped

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ME = Person(id="me", name="ann")
BEN = Person(id="ben", name="ben")


def message(words: str, seq: int = 7, **fields: Any) -> Message:
    found: dict[str, Any] = {
        "id": f"id{seq}",
        "seq": seq,
        "created": NOW - timedelta(minutes=30),
        "author": BEN,
        "text": words,
        "is_comment_on": None,
        "comments": 0,
        "files": (),
    }
    return Message(**(found | fields))


def view(columns: int = 40, **fields: Any) -> rows.View:
    return rows.View(
        columns=columns, own_id="me", own_name="ann", now=NOW, **fields
    )


def drawn(found: list[rows.Row]) -> list[str]:
    return ["".join(span.text for span in row.spans) for row in found]


class TestWrapping:
    @given(st.text(), st.integers(2, 60))
    def test_no_row_is_wider_than_the_screen(
        self, words: str, columns: int
    ) -> None:
        for line in wrapped(text.harmless(words), columns):
            assert cells(line) <= columns

    @given(st.text(), st.integers(2, 60))
    def test_nothing_is_lost_but_spaces(
        self, words: str, columns: int
    ) -> None:
        shown = text.harmless(words)
        joined = "".join(wrapped(shown, columns))
        assert joined.replace(" ", "") == shown.replace(" ", "")

    @pytest.mark.parametrize(
        ("words", "columns", "lines"),
        [
            ("one two three", 7, ["one two", "three"]),
            ("abcdefgh", 3, ["abc", "def", "gh"]),
            ("a abcdefgh", 4, ["a", "abcd", "efgh"]),
            ("你好世界", 5, ["你好", "世界"]),
            ("", 5, [""]),
        ],
    )
    def test_where_it_is_cut(
        self, words: str, columns: int, lines: list[str]
    ) -> None:
        assert wrapped(words, columns) == lines

    def test_a_family_stays_together(self) -> None:
        family = "👨\u200d👩\u200d👧"
        assert wrapped(family * 3, 4) == [family * 2, family]

    @pytest.mark.parametrize(
        ("words", "columns", "shown"),
        [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("你好", 3, "你…")],
    )
    def test_what_does_not_fit_is_cut(
        self, words: str, columns: int, shown: str
    ) -> None:
        assert fitted(words, columns) == shown

    def test_marks_do_not_pile_up(self) -> None:
        assert without_piles("e" + "\u0301" * 500) == "e" + "\u0301" * 6


class TestMessages:
    @given(st.text(max_size=300), st.text(max_size=40))
    def test_no_text_controls_the_terminal(
        self, words: str, name: str
    ) -> None:
        hostile = message(
            words,
            author=Person(id="x", name=name),
            files=(
                FileInfo(file_id="f", name=name, size=1, type="t", sha256="s"),
            ),
            reactions=(Reaction(emoji=name, count=1, users=()),),
        )
        for row in rows.item_rows(hostile, None, view()):
            for span in row.spans:
                for shown in span.text:
                    assert (
                        shown in text._JOINERS
                        or unicodedata.category(shown) not in text._CONTROLS
                    )

    @given(st.text(max_size=300))
    def test_no_text_looks_like_a_header(self, words: str) -> None:
        found = rows.item_rows(message(words), None, view())
        heads = [
            row
            for row in found
            if row.key is not None and not row.spans[0].text.startswith("  ")
        ]
        assert len(heads) == 1

    def test_a_first_message_has_its_day_and_header(self) -> None:
        assert drawn(rows.item_rows(message("hi"), None, view(24))) == [
            "──────── Today ─────────",
            "ben  11:30",
            "  hi",
        ]

    def test_a_group_has_one_header(self) -> None:
        first = message("one", 1)
        close = message("two", 2, created=first.created + timedelta(minutes=9))
        late = message("three", 3, created=close.created + timedelta(hours=1))
        assert drawn(rows.item_rows(close, first, view())) == ["  two"]
        assert drawn(rows.item_rows(late, close, view())) == [
            "",
            "ben  12:39",
            "  three",
        ]

    @pytest.mark.parametrize(
        ("back", "shown"),
        [
            (0, " Today "),
            (1, " Yesterday "),
            (2, " Friday, 27 February "),
            (400, " Saturday, 25 January 2025 "),
        ],
    )
    def test_days(self, back: int, shown: str) -> None:
        old = message("x", created=NOW - timedelta(days=back))
        assert shown in drawn(rows.item_rows(old, None, view()))[0]

    def test_where_what_is_new_begins(self) -> None:
        before, after = message("read", 4), message("unread", 6)
        marked = drawn(rows.item_rows(after, before, view(marker=4)))
        assert " new " in marked[0]
        assert drawn(rows.item_rows(after, before, view(marker=6))) == [
            "  unread"
        ]

    def test_a_comment_shows_what_it_is_about(self) -> None:
        target = message("the question", 1, author=ME)
        comment = message("the answer", 2, is_comment_on="id1")
        found = drawn(
            rows.item_rows(
                comment, target, view(target=lambda message_id: target)
            )
        )
        assert found[2:] == ["  ↱ ann  the question", "  the answer"]
        gone = view(is_gone=lambda message_id: True)
        assert "  ↱ on a message that is gone" in drawn(
            rows.item_rows(comment, target, gone)
        )

    def test_files_reactions_comments_and_edits(self) -> None:
        file = FileInfo(
            file_id="f", name="a\x1b.txt", size=2048, type="t", sha256="s"
        )
        found = drawn(
            rows.item_rows(
                message(
                    "hi",
                    files=(file,),
                    comments=2,
                    edited=NOW,
                    reactions=(Reaction(emoji="👍", count=3, users=("me",)),),
                ),
                None,
                view(),
            )
        )
        assert found[2:] == [
            "  hi (edited)",
            "  ▤ a␛.txt  2.0 KiB",
            "  👍 3  ",
            "  2 comments",
        ]

    def test_what_was_deleted_is_said(self) -> None:
        found = rows.item_rows(message("", deleted=NOW), None, view())
        assert drawn(found)[-1] == "  message deleted"

    def test_a_long_message_is_folded_until_it_is_opened(self) -> None:
        long = message("x" * 4000)
        folded = rows.item_rows(long, None, view())
        assert len(folded) == rows.FOLDED_ROWS + 2
        assert "more rows" in drawn(folded)[-1]
        opened = rows.item_rows(long, None, view(opened=frozenset({7})))
        assert "".join(drawn(opened)[2:]).replace(" ", "") == "x" * 4000

    def test_names_and_links_stand_out(self) -> None:
        found = rows.item_rows(
            message("@ann see https://a.b/c, says @ben"), None, view(80)
        )
        roles = {span.text: span.role for span in found[-1].spans}
        assert roles["@ann"] == "called"
        assert roles["@ben"] == "at"
        assert roles["https://a.b/c,"] == "link"

    def test_own_messages_are_marked(self) -> None:
        own = rows.item_rows(message("hi", author=ME), None, view())
        assert drawn(own)[-1] == "▎ hi"

    def test_every_role_has_a_colour(self) -> None:
        items: list[Item] = [
            message("@ann @x http://a (x) " + "y" * 900, author=ME),
            message("x", deleted=NOW),
            Outgoing("k", "x", files=("f",), state=State.FAILED),
            Outgoing("k", "x", state=State.UPLOADING, done=0.5),
            Waiting("k", "x", NOW),
            Note("k", "x", 0),
            Note("k", "x", 0, is_error=True),
        ]
        for styles in STYLES.values():
            for item in items:
                for row in rows.item_rows(item, None, view(marker=0)):
                    assert {span.role for span in row.spans} <= styles.keys()


class TestOtherItems:
    @pytest.mark.parametrize(
        ("state", "shown"),
        [
            (State.WAITING, "▎ … waiting for the server"),
            (State.UPLOADING, "▎ ━━━━━╌╌╌╌╌  50% uploading"),
            (State.FAILED, "▎ ✗ not sent: too fast"),
        ],
    )
    def test_what_is_not_sent_says_so(self, state: State, shown: str) -> None:
        outgoing = Outgoing(
            "k", "hi", state=state, done=0.5, reason="too fast"
        )
        assert shown in drawn(rows.item_rows(outgoing, None, view()))

    def test_what_is_scheduled_shows_its_time(self) -> None:
        waiting = Waiting("k", "later", NOW + timedelta(hours=1))
        assert drawn(rows.item_rows(waiting, None, view())) == [
            "◷ 13:00  later"
        ]

    def test_a_note_of_several_lines(self) -> None:
        assert drawn(rows.item_rows(Note("k", "a\nb", 0), None, view())) == [
            "· a",
            "  b",
        ]


@pytest.mark.parametrize(
    ("environment", "color_system", "theme"),
    [
        ({}, "truecolor", "dark"),
        ({}, "256", "dark"),
        ({"COLORFGBG": "0;15"}, "truecolor", "light"),
        ({"COLORFGBG": "15;0"}, "truecolor", "dark"),
        ({"COLORFGBG": "0;15"}, "standard", "terminal"),
        ({}, None, "terminal"),
    ],
)
def test_the_theme_suits_the_terminal(
    environment: dict[str, str], color_system: str | None, theme: str
) -> None:
    assert theme_for(environment, color_system) == theme


def test_no_key_means_two_things_in_one_place() -> None:
    for where in Where:
        keys = [
            name
            for key in KEYS
            if key.where is where
            for name in key.keys.split(",")
        ]
        assert len(keys) == len(set(keys))

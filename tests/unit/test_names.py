"""Which names may be had, and which are taken for one another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.chat.names import (
    RESERVED,
    kept_name,
    name_key,
    problem_of,
    skeleton,
)

GOOD = (
    "ada Ada a 1 a. a_b-c.d user-7k3f9q Ёжик мария_1 田中さん タナカ "
    "田中ー 佐々木 たなかtanaka 김철수 한국Latin ㄅㄆ שלום नमस्ते ไทย αβγ "
    "z̃chat z̃̃̃ ٣٤"
).split()


@pytest.mark.parametrize("name", GOOD)
def test_names_of_one_script_or_a_usual_mix_are_good(name: str) -> None:
    assert problem_of(kept_name(name)) is None


@pytest.mark.parametrize(
    ("name", "because"),
    [
        ("", "1 to 32"),
        ("a" * 33, "1 to 32"),
        ("ada:", "letters, digits"),
        ("#1 ada", "letters, digits"),
        ("-- connected --", "letters, digits"),
        ("ada\n", "letters, digits"),
        ("a\x00", "letters, digits"),
        ("a\u200bda", "letters, digits"),
        ("\u3164", "letters, digits"),
        ("\u202eada", "letters, digits"),
        ("\u2800", "letters, digits"),
        ("😀", "letters, digits"),
        ("\ud800", "letters, digits"),
        (".ada", "begins with"),
        ("-", "begins with"),
        ("\u0301a", "begins with"),
        ("a" + "\u0301" * 4, "plainer"),
        ("a" + "\u0335" * 4, "plainer"),
        ("1٣", "plainer"),
        ("аda", "one script"),
        ("adaː", "one script"),
        ("ᎪᎠᎪ", "one script"),
        ("ᄀα", "one script"),
    ],
)
def test_other_names_are_refused_with_the_reason(
    name: str, because: str
) -> None:
    assert because in (problem_of(kept_name(name)) or "")


@pytest.mark.parametrize(
    "name", [*RESERVED, "YOU", "y0u", "ｙｏｕ", "0perator", "zсhat", "SYSTEM"]
)
def test_nobody_can_be_called_as_the_server_calls_itself(name: str) -> None:
    assert problem_of(kept_name(name)) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada", "ａｄａ"),
        ("ace", "асе"),
        ("paypal", "paypaI"),
        ("bob", "b0b"),
        ("modern", "modem"),
        ("all", "a1I"),
        ("scope", "ѕсоре"),
    ],
)
def test_what_looks_alike_has_one_skeleton(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(
    ("one", "other"), [("ada", "bob"), ("ian", "lan"), ("7", "1")]
)
def test_what_looks_different_has_another(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Ada", "aDA"), ("Straße", "STRASSE"), ("é", "e\u0301"), ("ﬁn", "fin")],
)
def test_case_and_form_make_no_other_name(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@given(st.text(max_size=40))
def test_any_text_gets_an_answer(name: str) -> None:
    kept = kept_name(name)
    assert kept_name(kept) == kept
    problem_of(kept)
    assert skeleton(kept) == skeleton(name)
    assert name_key(kept) == name_key(name)

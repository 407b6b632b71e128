"""The trigrams of messages as numbers, on PostgreSQL."""

from hypothesis import given
from hypothesis import strategies as st

from zchat.queries import fold
from zchat.storage.postgres.search import number, numbers
from zchat.storage.search import GRAM, pairs

TEXTS = st.lists(
    st.text(max_size=12) | st.text("aбÅİ界\U0001f600", max_size=9)
)


@given(TEXTS)
def test_all_trigrams_are_numbered_as_one_is(texts: list[str]) -> None:
    expected: set[int] = set()
    for text in texts:
        folded = fold(text)
        grams = [
            folded[start : start + GRAM]
            for start in range(len(folded) - GRAM + 1)
        ]
        expected.update(map(number, grams + pairs(folded)))

    assert numbers(texts) == expected


def test_no_trigram_spans_two_messages() -> None:
    assert numbers(["abc", "", "d", "efg"]) == {number("abc"), number("efg")}

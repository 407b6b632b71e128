"""Messages on the stream between a broker and its gateway."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.rpc.records import Record, RecordReader, record

MOST_BYTES = 100

records = st.lists(
    st.tuples(st.binary(max_size=20), st.binary(max_size=MOST_BYTES)),
    max_size=8,
)


@given(records, st.lists(st.integers(1, 60)))
def test_records_come_out_whole_whatever_pieces_they_come_in(
    sent: list[Record], sizes: list[int]
) -> None:
    data = b"".join(record(*one) for one in sent)
    reader = RecordReader(MOST_BYTES)
    came: list[Record] = []
    for size in sizes:
        came += reader.feed(data[:size])
        data = data[size:]
    came += reader.feed(data)
    assert came == sent


def test_a_record_is_out_with_its_last_byte() -> None:
    data = record(b"lane", b"body")
    reader = RecordReader(MOST_BYTES)
    assert reader.feed(data[:-1]) == []
    assert reader.feed(data[-1:]) == [(b"lane", b"body")]


def test_a_body_beyond_the_limit_is_refused_by_its_size_alone() -> None:
    reader = RecordReader(MOST_BYTES)
    assert reader.feed(record(b"", b"x" * MOST_BYTES)) != []
    with pytest.raises(ValueError, match="101 bytes"):
        reader.feed(record(b"", b"x" * (MOST_BYTES + 1))[:6])

"""Topics: one letter and sixteen bytes."""

from uuid import UUID

from zchat.rpc.topics import (
    HEARTBEAT,
    TOPIC_BYTES,
    barrier_topic,
    chat_topic,
    inbox_topic,
    is_barrier,
)

ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def test_what_they_are() -> None:
    assert chat_topic(ID) == b"c" + UUID(ID).bytes
    assert inbox_topic(ID) == b"u" + UUID(ID).bytes
    assert b"h" + bytes(16) == HEARTBEAT


def test_none_is_a_prefix_of_another() -> None:
    topics = {
        chat_topic(ID),
        inbox_topic(ID),
        HEARTBEAT,
        barrier_topic(bytes(16)),
    }

    assert {len(topic) for topic in topics} == {TOPIC_BYTES}
    assert len(topics) == 4


def test_barriers() -> None:
    assert is_barrier(barrier_topic(b"0123456789abcdef"))
    for topic in (b"", b"b", b"b" * 16, b"b" * 18, HEARTBEAT, chat_topic(ID)):
        assert not is_barrier(topic)

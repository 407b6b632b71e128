"""Sealed bodies: only the holders of a key can read them."""

from hypothesis import given
from hypothesis import strategies as st

from zchat.rpc.sealing import (
    NONCE_BYTES,
    SECRET_BYTES,
    key_number,
    seal,
    unseal,
)

SECRET, OTHER = bytes(SECRET_BYTES), b"o" * SECRET_BYTES
TOPIC = b"c" * 17
NONCE = b"n" * NONCE_BYTES


@given(st.integers(0, 2**32 - 1), st.binary(max_size=300))
def test_what_is_sealed_can_be_opened(number: int, plain: bytes) -> None:
    body = seal(number, SECRET, TOPIC, plain, NONCE)

    assert key_number(body) == number
    assert unseal(SECRET, TOPIC, body) == plain


def test_its_form() -> None:
    body = seal(7, SECRET, TOPIC, b"plain", NONCE)

    assert body[:4] == b"\0\0\0\7"
    assert body[4:16] == NONCE
    assert len(body) == 4 + 12 + 5 + 16
    assert b"plain" not in body


def test_another_key_or_topic_does_not() -> None:
    body = seal(7, SECRET, TOPIC, b"plain", NONCE)

    assert unseal(OTHER, TOPIC, body) is None
    assert unseal(SECRET, b"u" + TOPIC[1:], body) is None


@given(st.data())
def test_nor_a_body_that_was_changed(data: st.DataObject) -> None:
    body = bytearray(seal(7, SECRET, TOPIC, b"plain", NONCE))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))

    assert unseal(SECRET, TOPIC, bytes(body)) is None


@given(st.binary(max_size=64))
def test_anything_else_is_not_sealed(body: bytes) -> None:
    assert unseal(SECRET, TOPIC, body) is None
    if len(body) < 32:
        assert key_number(body) is None


def test_what_is_too_short_has_no_key() -> None:
    """A number, a nonce and a seal take 32 bytes."""
    shortest = seal(7, SECRET, TOPIC, b"", NONCE)

    assert (len(shortest), key_number(shortest)) == (32, 7)
    assert key_number(shortest[:-1]) is None
    assert unseal(SECRET, TOPIC, shortest[:-1]) is None

"""Event bodies that only the holders of an event key can read.

A sealed body is the key's number (4 bytes, big-endian), a nonce
(12 random bytes) and the AES-256-GCM ciphertext with its tag; topic and
number are authenticated beside it (docs/reference/protocol.md).
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES: Final = 12
SECRET_BYTES: Final = 32
_NUMBER_BYTES: Final = 4
_SHORTEST: Final = _NUMBER_BYTES + NONCE_BYTES + 16


class _Seal(NamedTuple):
    """What is the same in all bodies of one topic under one key."""

    head: bytes
    beside: bytes
    encrypt: Callable[[bytes, bytes, bytes], bytes]


@lru_cache(maxsize=4096)
def _cipher(secret: bytes) -> AESGCM:
    return AESGCM(secret)


@lru_cache(maxsize=4096)
def _seal_of(number: int, secret: bytes, topic: bytes) -> _Seal:
    head = number.to_bytes(_NUMBER_BYTES, "big")
    return _Seal(head, topic + head, AESGCM(secret).encrypt)


def seal(
    number: int, secret: bytes, topic: bytes, plain: bytes, nonce: bytes
) -> bytes:
    """The sealed body; `nonce` is NONCE_BYTES fresh random bytes."""
    head, beside, encrypt = _seal_of(number, secret, topic)
    return head + nonce + encrypt(nonce, plain, beside)


def key_number(body: bytes) -> int | None:
    """The number of the key that opens the body; None: not sealed."""
    if len(body) < _SHORTEST:
        return None
    return int.from_bytes(body[:_NUMBER_BYTES], "big")


def unseal(secret: bytes, topic: bytes, body: bytes) -> bytes | None:
    """The plain body, or None where the key or the topic is another."""
    if len(body) < _SHORTEST:
        return None
    head = body[:_NUMBER_BYTES]
    nonce = body[_NUMBER_BYTES : _NUMBER_BYTES + NONCE_BYTES]
    rest = body[_NUMBER_BYTES + NONCE_BYTES :]
    try:
        return _cipher(secret).decrypt(nonce, rest, topic + head)
    except InvalidTag:
        return None

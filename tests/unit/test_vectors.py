"""The test vectors of the protocol, against the code and without it."""

import json
from typing import Any, Final

import msgpack
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from docs.generate import REFERENCE
from zchat.rpc import sealing
from zchat.rpc.codec import pack
from zchat.rpc.events import EVENT_BY_NAME, decode_event

VECTORS: Final[dict[str, Any]] = json.loads(
    (REFERENCE / "vectors.json").read_text(encoding="utf-8")
)


def test_there_is_one_of_each_event() -> None:
    names = [vector["json"]["event"] for vector in VECTORS["events"]]
    assert names == list(EVENT_BY_NAME)


@pytest.mark.parametrize(
    "vector", VECTORS["events"], ids=lambda vector: vector["json"]["event"]
)
class TestEvents:
    def test_any_messagepack_reads_the_same(
        self, vector: dict[str, Any]
    ) -> None:
        body = bytes.fromhex(vector["msgpack"])
        assert msgpack.unpackb(body) == vector["json"]

    def test_it_is_read_and_written_the_same(
        self, vector: dict[str, Any]
    ) -> None:
        body = bytes.fromhex(vector["msgpack"])
        event = decode_event(body)
        assert type(event) is EVENT_BY_NAME[vector["json"]["event"]]
        assert pack(event) == body


@pytest.mark.parametrize("vector", VECTORS["sealed"])
class TestSealed:
    def test_aes_gcm_opens_it(self, vector: dict[str, Any]) -> None:
        body, topic = bytes.fromhex(vector["body"]), vector["topic"]
        number, nonce, rest = body[:4], body[4:16], body[16:]
        assert int.from_bytes(number, "big") == vector["key"]["id"]
        assert nonce.hex() == vector["nonce"]
        cipher = AESGCM(bytes.fromhex(vector["key"]["secret"]))
        opened = cipher.decrypt(nonce, rest, bytes.fromhex(topic) + number)
        assert opened.hex() == vector["plain"]

    def test_the_code_seals_and_opens_it(self, vector: dict[str, Any]) -> None:
        secret = bytes.fromhex(vector["key"]["secret"])
        topic, body = (bytes.fromhex(vector[n]) for n in ("topic", "body"))
        plain = bytes.fromhex(vector["plain"])
        assert body == sealing.seal(
            vector["key"]["id"],
            secret,
            topic,
            plain,
            bytes.fromhex(vector["nonce"]),
        )
        assert sealing.unseal(secret, topic, body) == plain
        assert sealing.key_number(body) == vector["key"]["id"]

"""Test vectors of the protocol: sealed bodies, and one event of each kind.

Everything in them is fixed, so the file changes only when the wire does.
"""

import hashlib
import json
from typing import Any, Final

import msgspec
from msgspec import inspect

from zchat.rpc.codec import pack
from zchat.rpc.events import EVENTS, Event
from zchat.rpc.results import FileInfo, Message, Person, Reaction
from zchat.rpc.sealing import seal
from zchat.rpc.topics import chat_topic, inbox_topic

CHAT: Final = "01a20d86-9d21-7000-9d4a-feccf9e54fc1"
ADA: Final = "01a20d86-9cc7-7000-903d-b1c4eb6deb35"
BOB: Final = "01a20d86-9d13-7000-bfe9-517c4793a3d5"
MESSAGE: Final = "01a20d86-9e00-7000-8000-000000000001"
TIME: Final = "2030-01-31T18:00:00.000000+00:00"
_WHOLE_MESSAGE: Final = Message(
    id=MESSAGE,
    seq=3,
    created=TIME,
    author=Person(id=ADA, name="ada"),
    text="Привет, @bob 👋",
    is_comment_on=None,
    comments=1,
    files=[
        FileInfo(
            file_id="01a20d86-9e00-7000-8000-000000000002",
            name="numbers.txt",
            size=588895,
            type="text/plain",
            sha256=hashlib.sha256(b"numbers").hexdigest(),
        )
    ],
    mentions=[BOB],
    revision=5,
    edited=TIME,
    deleted=None,
    reactions=[Reaction(emoji="👍", count=1, users=[BOB])],
)
_VALUES: Final[dict[str, Any]] = {
    "approved": True,
    "chat_id": CHAT,
    "error": "banned",
    "id": "01a20d86-9e00-7000-8000-000000000003",
    "inbox": 4,
    "kind": "group",
    "link_id": "01a20d86-9e00-7000-8000-000000000004",
    "message": _WHOLE_MESSAGE,
    "message_id": MESSAGE,
    "name": "Climbers",
    "on": True,
    "owner_id": ADA,
    "receipts": False,
    "revision": 5,
    "role": "moderator",
    "seq": 3,
    "state": "cancelled",
    "title": "Climbers",
    "until": TIME,
    "user": Person(id=BOB, name="bob"),
    "user_id": BOB,
}
"""A value for every field of an event; a new field needs one here."""
_PLACES: Final = (
    (chat_topic(CHAT), 1, b'{"event":"typing"}'),
    (chat_topic(CHAT), 2**32 - 1, b""),
    (inbox_topic(ADA), 258, "Привет 👋".encode()),
)


def vectors_page() -> str:
    """The vectors as JSON; bytes are hexadecimal."""
    vectors = {
        "sealed": [
            _sealed(index, *place) for index, place in enumerate(_PLACES)
        ],
        "events": [_event(event) for event in EVENTS],
    }
    return json.dumps(vectors, indent=1, ensure_ascii=False) + "\n"


def _sealed(index: int, topic: bytes, number: int, plain: bytes) -> Any:
    """A sealed body with a key and a nonce that nobody else may use."""
    secret = hashlib.sha256(b"secret %d" % index).digest()
    nonce = hashlib.sha256(b"nonce %d" % index).digest()[:12]
    return {
        "topic": topic.hex(),
        "key": {"id": number, "secret": secret.hex()},
        "nonce": nonce.hex(),
        "plain": plain.hex(),
        "body": seal(number, secret, topic, plain, nonce).hex(),
    }


def _event(kind: type[Event]) -> Any:
    """An event of the kind, in both forms."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    event = kind(**{field.name: _VALUES[field.name] for field in info.fields})
    return {
        "json": msgspec.to_builtins(event),
        "msgpack": pack(event).hex(),
    }

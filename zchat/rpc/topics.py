"""The topics of the event socket: one letter and sixteen bytes.

All have one length, so that none is a prefix of another.
"""

from binascii import a2b_hex
from functools import lru_cache
from typing import Final
from uuid import UUID

TOPIC_BYTES: Final = 17
HEARTBEAT: Final = b"h" + bytes(16)
BARRIER: Final = b"b"


@lru_cache(maxsize=4096)
def chat_topic(chat_id: str) -> bytes:
    """The topic of a chat's events."""
    return b"c" + a2b_hex(chat_id.replace("-", ""))


def inbox_topic(user_id: str) -> bytes:
    """The topic of a user's inbox."""
    return b"u" + a2b_hex(user_id.replace("-", ""))


@lru_cache(maxsize=4096)
def id_of(topic: bytes) -> str:
    """The id of the chat or user whose topic it is."""
    return str(UUID(bytes=topic[1:]))


def is_inbox(topic: bytes) -> bool:
    """Whether the topic is a user's inbox."""
    return topic.startswith(b"u")


def barrier_topic(random: bytes) -> bytes:
    """The topic of a barrier; `random` is 16 bytes of the client's."""
    return BARRIER + random


def is_barrier(topic: bytes) -> bool:
    """Whether a subscription to the topic asks for the barrier."""
    return len(topic) == TOPIC_BYTES and topic.startswith(BARRIER)

"""The event keys of one device, and what came sealed with keys not here yet.

An event may come before the key that opens it: a chat's key changed, or the
user was just added. Such a body waits, together with the number of syncs
asked before it came, and is tried again after the next sync. If that sync
was asked after it came and still brought no key, the event is not for us.

Events sealed with an earlier key may still be on their way when the new one
arrives, so the last KEPT_KEYS keys of a topic stay. A body sealed with a key
older than those is dropped.
"""

from collections import deque
from enum import Enum
from typing import Final

from msgspec import Struct

from zchat.rpc import sealing
from zchat.rpc.results import EventKey

KEPT_KEYS: Final = 4
UNOPENED_LIMIT: Final = 256


class Closed(Enum):
    """Why a body cannot be opened."""

    FOR_LATER = "its key may come with a sync"
    FOR_NOBODY = "its key is too old, or it is not sealed"


class Unopened(Struct, frozen=True):
    """A body that waits; `asked` syncs had been asked when it came."""

    topic: bytes
    body: bytes
    asked: int


class KeyRing:
    """The keys by topic and number; a topic without keys is plain."""

    def __init__(self) -> None:
        self._keys: dict[bytes, dict[int, bytes]] = {}
        self._unopened: deque[Unopened] = deque(maxlen=UNOPENED_LIMIT)

    def keep(self, topic: bytes, key: EventKey | None) -> None:
        """Know a topic, by its newest key; None: its events are plain."""
        keys = self._keys.setdefault(topic, {})
        if key is not None:
            keys[key.id] = key.secret
            for number in sorted(keys)[:-KEPT_KEYS]:
                del keys[number]

    def forget(self, topic: bytes) -> None:
        """Forget a topic and its keys."""
        self._keys.pop(topic, None)

    def forget_all(self) -> None:
        """Forget everything, as after a restore."""
        self._keys.clear()
        self._unopened.clear()

    def open(self, topic: bytes, body: bytes) -> bytes | Closed:
        """The plain body of an event, or why there is none."""
        keys = self._keys.get(topic)
        if keys is None:
            return Closed.FOR_LATER
        if not keys:
            return body
        number = sealing.key_number(body)
        if number is None or number < min(keys):
            return Closed.FOR_NOBODY
        secret = keys.get(number)
        plain = secret and sealing.unseal(secret, topic, body)
        return plain or Closed.FOR_LATER

    def wait(self, unopened: Unopened) -> None:
        """Keep a body until the next sync; the oldest makes room."""
        self._unopened.append(unopened)

    def take_waiting(self) -> list[Unopened]:
        """All bodies that wait; they wait no more."""
        waiting = list(self._unopened)
        self._unopened.clear()
        return waiting

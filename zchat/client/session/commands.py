"""What a session wants done, and what it tells: its commands and events."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from zchat.rpc import events


class CaughtUp(Struct, frozen=True):
    """Everything sent before the (re)connection has been delivered."""


class Restored(Struct, frozen=True):
    """The server's store was restored from a copy: forget what came.

    The messages that the restored store counts as unread follow, some of
    them for the second time.
    """

    epoch: str


class Missed(Struct, frozen=True):
    """Events were lost that nothing repeats one by one.

    What they changed can be asked for: in a chat, its members and the
    names of its authors; without `chat_id`, the scheduled messages and
    the join requests. Messages are never missed.
    """

    chat_id: str | None


class Notice(Struct, frozen=True):
    """An event of a kind that is not known here, with its fields."""

    name: str
    chat_id: str | None
    data: Mapping[str, Any]


Event = events.Event | CaughtUp | Restored | Missed | Notice


class Subscribe(Struct, frozen=True):
    """Subscribe, then call `live` when a barrier says that it is done."""

    topics: tuple[bytes, ...]


class Unsubscribe(Struct, frozen=True):
    """Forget these topics."""

    topics: tuple[bytes, ...]


class AskSync(Struct, frozen=True):
    """Call `sync`, then `synced` or `sync_refused`."""


class Fetch(Struct, frozen=True):
    """Call `history(after=…)`, then `fetched` or `fetch_refused`."""

    chat_id: str
    after: int
    limit: int


class AskChanges(Struct, frozen=True):
    """Call `changes(after=…)`, then `changed` or `changes_refused`."""

    chat_id: str
    after: int
    limit: int


class Reconnect(Struct, frozen=True):
    """The event connection is dead: make another, then `connected`."""


class Deliver(Struct, frozen=True):
    """Give the event to the application."""

    event: Event


Command = (
    Subscribe
    | Unsubscribe
    | AskSync
    | Fetch
    | AskChanges
    | Reconnect
    | Deliver
)

"""The way to being live: subscribe, barrier, sync.

A subscription takes effect at some unknown later time, and what is published
before that is lost. So a device subscribes, waits until the barrier behind
the subscription comes back, and only then asks `sync`: everything that
happened before the barrier is in its answer, everything after it comes as an
event. The states:

    down ── connected ──> subscribing ── live ──> syncing ── synced ──> at rest
                              ^                                           │
                              └──────── a chat was added, from the top ───┘

At most one `sync` is under way. What makes another one necessary meanwhile is
remembered, because the answer under way may be older than its cause.

After a (re)connection the store may be a restored one, in which the same
numbers count other messages. `is_confirmed` says whether a sync that was asked
since then has told the epoch; until then no event is delivered.
"""

from zchat.client.session.commands import AskSync, Command, Subscribe


class Handshake:
    """Subscriptions and syncs of one device; commands go into a list."""

    def __init__(self, commands: list[Command]) -> None:
        self._commands = commands
        self.is_connected = False
        self.is_catching_up = False
        self.is_confirmed = False
        self.syncs_asked = 0
        self._subscribing: Subscribe | None = None
        self._since: float | None = None
        self._is_syncing = False
        self._again = False
        self._due = False
        self._asked_at_top = -1

    def connected(self) -> None:
        """There is an event connection."""
        self.is_connected = True

    def disconnected(self) -> None:
        """There is none; what was subscribed is gone with it."""
        self.is_connected = False
        self._subscribing = None

    def from_the_top(self, topics: tuple[bytes, ...]) -> None:
        """Subscribe, then ask for everything that may have been missed."""
        self.is_catching_up = True
        self.is_confirmed = False
        self._asked_at_top = self.syncs_asked
        self.subscribe(topics)

    def subscribe(self, topics: tuple[bytes, ...]) -> None:
        """Subscribe to these as well; a sync follows the barrier."""
        if not self.is_connected:
            return
        self._subscribing = Subscribe(topics)
        self._since = None
        self._commands.append(self._subscribing)

    def live(self, command: Subscribe) -> bool:
        """A barrier came; whether it is that of the last subscription."""
        if command is not self._subscribing:
            return False
        self._subscribing = None
        return True

    def ask_sync(self) -> bool:
        """Sync, or do so again after the one under way; whether it began."""
        if self._is_syncing:
            self._again = True
            return False
        self._is_syncing = True
        self._again = False
        self._due = False
        self.syncs_asked += 1
        self._commands.append(AskSync())
        return True

    def ask_later(self) -> None:
        """Sync at the next tick."""
        self._due = True

    def synced(self) -> None:
        """The answer to a sync came."""
        self._is_syncing = False
        self.is_confirmed = self.syncs_asked > self._asked_at_top

    def refused(self) -> None:
        """A sync failed: the next tick asks again."""
        self._is_syncing = False
        self._due = True

    @property
    def is_due(self) -> bool:
        """Whether a sync waits for the tick."""
        return self._due

    @property
    def must_repeat(self) -> bool:
        """Whether something happened while the last sync was under way."""
        return self._again and not self._is_syncing

    @property
    def is_busy(self) -> bool:
        """Whether a subscription or a sync is still to come to its end."""
        return bool(self._is_syncing or self._due or self._subscribing)

    def waiting_since(self, now: float) -> float:
        """Since when the barrier is awaited; now if none is."""
        if self._subscribing is None:
            self._since = None
        elif self._since is None:
            self._since = now
        return now if self._since is None else self._since

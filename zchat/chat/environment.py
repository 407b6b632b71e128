"""What the rules know of the server around them: entropy and facts."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from zchat.rpc.operator_results import BrokerStats


class Entropy(Protocol):
    """Where new ids and secrets come from."""

    def id(self, now: int) -> str:
        """A UUID version 7 for the time `now`, in microseconds."""

    def token(self) -> str:
        """A UUID version 4."""

    def secret(self, size: int) -> bytes:
        """So many random bytes."""

    def word(self) -> str:
        """A few random characters for a name."""


class Facts(NamedTuple):
    """What the rules may tell of the server itself.

    `connections` gives how many connections to the database may be,
    and are, open, and `figures` what the broker counts of itself.
    """

    version: str
    epoch: str
    events: str
    connections: Callable[[], tuple[int, int]]
    figures: Callable[[], BrokerStats]
    gaps: int = 0

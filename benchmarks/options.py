"""What every workload is told: how many rounds, peers or not."""

from typing import NamedTuple


class Options(NamedTuple):
    """The choices of the command line."""

    rounds: int = 5
    peers: bool = False

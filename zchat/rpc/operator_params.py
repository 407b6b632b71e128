"""What the methods of operators and moderators take."""

from zchat.rpc.params import Params


class Stats(Params, frozen=True, kw_only=True):
    """No parameters but the token."""

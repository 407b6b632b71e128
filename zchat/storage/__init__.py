"""Where everything is kept: the contract, and the stores that fulfil it."""

from collections.abc import Callable
from typing import Final

from zchat.storage.base import Store

URL_PREFIXES: Final = ("postgresql://", "postgres://")


def open_store(
    target: str, now: int, new_id: Callable[[], str], durability: str = "full"
) -> Store:
    """The store at a PostgreSQL URL, or else in the file of that path.

    `now` (microseconds) and `new_id` are for a store that is made
    thereby. Raises StoreUnusable.
    """
    if target.startswith(URL_PREFIXES):
        from zchat.storage.postgres import PostgresStore

        return PostgresStore(target, now, new_id, durability)
    from zchat.storage.sqlite import SqliteStore

    return SqliteStore(target, now, new_id, durability)

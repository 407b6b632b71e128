"""The store in one SQLite file, owned by one broker."""

from zchat.storage.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]

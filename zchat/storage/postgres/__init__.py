"""The store in a PostgreSQL database, shared by any number of brokers."""

from zchat.storage.postgres.store import PostgresStore

__all__ = ["PostgresStore"]

"""What a broker does first on a connection: settings, schema, identity."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import psycopg
from msgspec.structs import astuple
from psycopg.conninfo import conninfo_to_dict

from zchat.errors import StoreUnusable
from zchat.model import CHATS, COMMON, COMMON_NAME, Chat
from zchat.storage.postgres.feed import EPOCH_HEADING, channel_of
from zchat.storage.sql import migrations

OLDEST_VERSION: Final = 150_000
LOCK_SECONDS: Final = 1.0
"""How long a batch waits for what somebody else has locked, and with it
the whole loop; then the store pauses (store.py)."""
IDLE_IN_TRANSACTION_SECONDS: Final = 10
_MIGRATION_LOCK: Final = 0x7A63_6861_7400
_DEFAULTS: Final[dict[str, Any]] = {
    "connect_timeout": 3,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "target_session_attrs": "read-write",
    "application_name": "zchat",
}
_SYNCHRONOUS_COMMIT: Final = {
    "full": "CASE WHEN current_setting('synchronous_commit') = 'off' "
    "THEN 'on' ELSE current_setting('synchronous_commit') END",
    "normal": "'off'",
}


def connect(url: str) -> psycopg.Connection[Any]:
    """An open connection; blocks for at most a few seconds.

    What the URL says is taken before our defaults. With several hosts
    the first that can be written is taken.
    """
    given = conninfo_to_dict(url)
    return psycopg.connect(
        **(_DEFAULTS | given | {"client_encoding": "UTF8"}), autocommit=True
    )


def configure(connection: psycopg.Connection[Any], durability: str) -> None:
    """The settings of a connection that runs batches.

    A statement_timeout would cut short the wait for a standby and
    acknowledge what is on one machine only; hence none. Plans are made
    once and for indexes, also when the tables are still empty. A broker
    that freezes within a batch gives its locks back.
    """
    connection.execute(
        f"""
        SELECT set_config('statement_timeout', '0', false),
            set_config('lock_timeout', '{LOCK_SECONDS}s', false),
            set_config('idle_in_transaction_session_timeout',
                '{IDLE_IN_TRANSACTION_SECONDS}s', false),
            set_config('plan_cache_mode', 'force_generic_plan', false),
            set_config('enable_seqscan', 'off', false),
            set_config('jit', 'off', false),
            set_config('synchronous_commit',
                {_SYNCHRONOUS_COMMIT[durability]}, false)
        """.encode()
    )


def prepare(
    connection: psycopg.Connection[Any],
    now: int,
    new_id: Callable[[], str],
    heads: Mapping[str, int],
) -> str:
    """Migrate the schema and make what a store needs; the common chat.

    Brokers that start at once take turns here. `heads` are the newest
    seq by chat that were acknowledged here earlier: where the database
    has less, it lost history, and its epoch is a new one, of which all
    brokers are notified.
    """
    _check_server(connection)
    with connection.transaction():
        _take_turn(connection)
        meta = _migrate(connection)
        return _identify(connection, meta, now, new_id, heads)


def claim(connection: psycopg.Connection[Any], common_id: str) -> None:
    """Make the schema of a store that is moved here.

    The caller's transaction ends it. Raises StoreUnusable where there
    is a store already.
    """
    _check_server(connection)
    _take_turn(connection)
    if _migrate(connection).get("common_id"):
        raise StoreUnusable(
            "The database already holds a store. Give an empty one."
        )
    _remember(connection, "common_id", common_id)


def _take_turn(connection: psycopg.Connection[Any]) -> None:
    """Wait until no other broker migrates, however long that takes."""
    connection.execute("SET LOCAL lock_timeout = 0")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MIGRATION_LOCK])


def _check_server(connection: psycopg.Connection[Any]) -> None:
    version = connection.info.server_version
    if version < OLDEST_VERSION:
        raise StoreUnusable(
            f"The database is PostgreSQL {version // 10_000}; zchat needs "
            f"{OLDEST_VERSION // 10_000} or later."
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreUnusable(
            f"The database keeps text as {encoding}; create one with "
            "ENCODING 'UTF8' TEMPLATE template0."
        )


def _migrate(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Bring the schema up to date; what `meta` holds afterwards."""
    row = connection.execute("SELECT to_regclass('meta')").fetchone()
    meta = _meta(connection) if row and row[0] else {}
    version = int(meta.get("schema", "0"))
    steps = migrations("postgres")
    if version > steps[-1].number:
        raise StoreUnusable(
            f"The database was written by a newer zchat (schema {version}, "
            f"this one knows {steps[-1].number}); upgrade zchat."
        )
    for step in steps:
        if step.number > version:
            connection.execute(step.script.encode())
            _remember(connection, "schema", str(step.number))
    return _meta(connection)


def _meta(connection: psycopg.Connection[Any]) -> dict[str, str]:
    return dict(connection.execute("SELECT name, value FROM meta").fetchall())


def _remember(
    connection: psycopg.Connection[Any], name: str, value: str
) -> None:
    connection.execute(
        "INSERT INTO meta VALUES (%s, %s) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [name, value],
    )


def _identify(
    connection: psycopg.Connection[Any],
    meta: dict[str, str],
    now: int,
    new_id: Callable[[], str],
    heads: Mapping[str, int],
) -> str:
    if "common_id" not in meta:
        meta["common_id"] = new_id()
        _insert_common(connection, meta["common_id"], now)
        _remember(connection, "common_id", meta["common_id"])
    place = _place(connection)
    if meta.get("place") != place or _has_lost(connection, heads):
        meta["epoch"] = new_id()
        _remember(connection, "epoch", meta["epoch"])
        _remember(connection, "place", place)
        connection.execute(
            "SELECT pg_notify(%s, %s)",
            [channel_of(meta["common_id"]), EPOCH_HEADING + meta["epoch"]],
        )
    return meta["common_id"]


def _insert_common(
    connection: psycopg.Connection[Any], common_id: str, now: int
) -> None:
    chat = Chat(
        common_id, COMMON, COMMON_NAME, None, None, now, 0, 0, 0, 0, b""
    )
    columns = ", ".join(CHATS.columns)
    places = ", ".join(["%s"] * len(CHATS.columns))
    connection.execute(
        f"INSERT INTO chats ({columns}) VALUES ({places})".encode(),
        astuple(chat),
    )


def _place(connection: psycopg.Connection[Any]) -> str:
    """The cluster and the database in it: a standby has the same."""
    row = connection.execute(
        "SELECT system_identifier::text || ':' || d.oid "
        "FROM pg_control_system(), pg_database AS d "
        "WHERE d.datname = current_database()"
    ).fetchone()
    assert row is not None
    return str(row[0])


def _has_lost(
    connection: psycopg.Connection[Any], heads: Mapping[str, int]
) -> bool:
    row = connection.execute(
        "SELECT count(*) FROM unnest(%s::uuid[], %s::bigint[]) "
        "AS known (id, seq) JOIN chats AS c ON c.id = known.id "
        "WHERE c.head < known.seq",
        [list(heads), list(heads.values())],
    ).fetchone()
    assert row is not None
    return bool(row[0])

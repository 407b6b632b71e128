"""FastAPI on uvicorn: an endpoint that does nothing, and one like send.

The second does what zchat's does: token, membership, seq, insert, and
an fsync before the answer. It does so on the event loop, which is the
quickest of the plain ways.
"""

import hashlib
import os
import sqlite3
import time
from importlib import import_module
from typing import Annotated, Any
from uuid import uuid4

fastapi: Any = import_module("fastapi")
Body = Annotated[dict[str, str], fastapi.Body()]
SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE users (token_hash BLOB PRIMARY KEY, id TEXT NOT NULL);
CREATE TABLE members (chat_id TEXT, user_id TEXT,
                      PRIMARY KEY (chat_id, user_id));
CREATE TABLE chats (id TEXT PRIMARY KEY, head INTEGER NOT NULL);
CREATE TABLE messages (id TEXT UNIQUE, chat_id TEXT, seq INTEGER,
                       author_id TEXT, created REAL, text TEXT);
CREATE UNIQUE INDEX messages_by_seq ON messages (chat_id, seq);
"""

rows = sqlite3.connect(
    os.environ["BENCH_STORE"], isolation_level=None, check_same_thread=False
)
rows.executescript(SCHEMA)
rows.execute("INSERT INTO chats VALUES ('bench', 0)")
for number in range(10):
    token = hashlib.sha256(b"%d" % number).digest()
    rows.execute("INSERT INTO users VALUES (?, ?)", (token, str(number)))
    rows.execute("INSERT INTO members VALUES ('bench', ?)", (str(number),))


async def noop(body: Body) -> dict[str, Any]:
    """Read the JSON, keep nothing."""
    return {"id": "0", "seq": 0, "chat_id": body["chat_id"], "created": ""}


async def send(
    body: Body, authorization: Annotated[str, fastapi.Header()]
) -> dict[str, Any]:
    """Check and keep a message, durably."""
    token = hashlib.sha256(
        authorization.removeprefix("Bearer ").encode()
    ).digest()
    user = rows.execute(
        "SELECT user_id FROM users JOIN members ON user_id = id "
        "WHERE token_hash = ? AND chat_id = ?",
        (token, body["chat_id"]),
    ).fetchone()
    if user is None:
        raise fastapi.HTTPException(404)
    message_id, created = str(uuid4()), time.time()
    rows.execute("BEGIN IMMEDIATE")
    (seq,) = rows.execute(
        "UPDATE chats SET head = head + 1 WHERE id = ? RETURNING head",
        (body["chat_id"],),
    ).fetchone()
    rows.execute(
        "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)",
        (message_id, body["chat_id"], seq, user[0], created, body["message"]),
    )
    rows.execute("COMMIT")
    return {
        "id": message_id,
        "seq": seq,
        "chat_id": body["chat_id"],
        "created": created,
    }


app = fastapi.FastAPI()
app.add_api_route("/noop", noop, methods=["POST"])
app.add_api_route("/send", send, methods=["POST"])

"""The log, at its most talkative, holds no token and nobody's words."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.bare import Client, Failed, User, context
from tests.server import running


def outcome(user: User, method: str, params: dict[str, Any]) -> str:
    try:
        user.call(method, **params)
    except Failed:
        return "refused"
    return "done"


@pytest.mark.parametrize("form", ["--log-json", ""])
def test_the_log_holds_no_token_and_no_text(
    tmp_path: Path, free_port: Callable[[], int], form: str
) -> None:
    word = "Xylophone"
    with (
        running(tmp_path, free_port(), "--log-level", "debug") as server,
        context() as ctx,
    ):
        if not form:
            server.stop()
            server.flags.remove("--log-json")
            server.launch()
        client = Client(ctx, server.rpc, server.events)
        ann, bob = client.users(2)
        sent = ann.send(word, idempotency_key=word)
        chat_id = ann.call("create_chat", name="Club")["chat_id"]
        link = ann.call("invite_link", chat_id=chat_id)["link"]
        bob.call("join", link=link)
        bob.call("report", user_id=ann.id, reason=word, message_id=sent["id"])
        ann.call(
            "schedule",
            text=word,
            send_at=datetime.fromtimestamp(time.time() + 60, UTC).isoformat(),
        )
        file_id = ann.call(
            "upload",
            chat_id=chat_id,
            name="a",
            size=9,
            sha256=sha256(word.encode()).hexdigest(),
        )["file_id"]
        ann.call("upload_chunk", file_id=file_id, offset=0, data=word.encode())
        wrong: list[tuple[str, dict[str, Any]]] = [
            ("send", {"text": word * 600}),
            ("send", {"text": word, "idempotency_key": word, word: 1}),
            ("send", {"text": "other", "idempotency_key": word}),
            ("send", {"text": word + "\0"}),
            ("send", {"text": word, "chat_id": word}),
            ("join", {"link": word}),
            (word, {}),
            ("report", {"user_id": ann.id, "reason": word}),
            (
                "upload",
                {
                    "chat_id": chat_id,
                    "name": f"{word}/x",
                    "size": 1,
                    "sha256": "0" * 64,
                },
            ),
        ]
        for method, params in wrong:
            assert "refused" in {
                outcome(user, method, params) for user in (ann, bob)
            }
        client.caller().refused("status", token=ann.token + "x")
        client.caller().raw(msgpack.packb([0, 1, ann.token, word]))
        client.caller().raw(msgpack.packb([word, ann.token]))
        server.stop()
        log = server.log.text
        assert "refused" in log
        for secret in (word, ann.token, bob.token, link):
            assert secret not in log
        assert len(log.splitlines()) > 20
        assert os.fspath(tmp_path) not in log

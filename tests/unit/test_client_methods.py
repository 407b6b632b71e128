"""Both clients have every method of the table, and ask it rightly."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from zchat.client import aio, blocking
from zchat.client.connection import NoAnswer
from zchat.client.methods import Methods, may_repeat
from zchat.rpc import codec
from zchat.rpc.methods import METHOD_BY_NAME, METHODS, OPERATOR

MOMENT = "2026-03-01T10:30:00.000000+00:00"
ID = "00000000-0000-7000-8000-000000000001"
MESSAGE = {
    "id": ID,
    "seq": 7,
    "created": MOMENT,
    "text": "",
    "comments": 0,
    "author": {"id": ID, "name": "x"},
    "is_comment_on": None,
    "files": [],
}
CHAT = {
    "id": ID,
    "name": "x",
    "title": "x",
    "kind": "common",
    "messages": [],
    "authors": [],
    "size": 1,
    "head": 0,
    "revision": 0,
    "read": 0,
    "unread": 0,
}
SENT = {"id": ID, "seq": 1, "chat_id": ID, "created": MOMENT}
UPLOAD = {"file_id": ID, "offset": 0, "chunk_size": 4}
LINK = {"link": "x", "link_id": ID, "expires_at": MOMENT}
KEY = {"id": 1, "secret": bytes(32)}

Call = Callable[["Recorder"], Awaitable[Any]]

CALLS: list[tuple[str, dict[str, Any], Call]] = [
    (
        "status",
        {
            "time": MOMENT,
            "connections_db_max": 1,
            "connections_db_now": 1,
            "chat_default": ID,
            "chats_count": 1,
            "chats_with_user_count": 1,
            "user": {
                "id": ID,
                "name": "x",
                "banned_until": None,
                "quota": None,
            },
        },
        lambda c: c.status(),
    ),
    ("send", SENT, lambda c: c.send("text", ID, comment_on=ID, files=[ID])),
    ("comment", SENT, lambda c: c.comment(ID, "text")),
    ("chats", {"chats": []}, lambda c: c.chats(depth=1, limit=2, after=ID)),
    ("chats", {"chats": []}, lambda c: c.all_chats()),
    ("chats", {"history": CHAT}, lambda c: c.chat(ID, depth=1)),
    (
        "history",
        {"messages": [], "has_older": False, "has_newer": False, "head": 0},
        lambda c: c.history(ID, after=3, limit=2),
    ),
    ("comments", {"messages": []}, lambda c: c.comments(ID, after=1)),
    ("unread", {"chats": [], "more": False}, lambda c: c.unread(limit=3)),
    ("read", {"seq": 1}, lambda c: c.read(ID, 1)),
    (
        "sync",
        {
            "epoch": "x",
            "gaps": 0,
            "inbox": 0,
            "inbox_key": KEY,
            "user": {
                "id": ID,
                "name": "x",
                "role": "member",
                "banned_until": None,
                "quota": None,
                "receipts": True,
            },
            "scheduled": 0,
            "chats": [],
        },
        lambda c: c.sync(),
    ),
    ("p2p", {"chat_id": ID}, lambda c: c.p2p(ID)),
    ("exit", {}, lambda c: c.exit(ID)),
    ("report", {"id": ID}, lambda c: c.report(ID, "rude", message_id=ID)),
    ("users", {"users": []}, lambda c: c.users(ID, after=ID, limit=1)),
    ("users", {"users": []}, lambda c: c.all_users(ID)),
    ("rename", {"name": "x"}, lambda c: c.rename("x")),
    (
        "schedule",
        {"id": ID, "send_at": MOMENT},
        lambda c: c.schedule("text", datetime(2030, 1, 1, tzinfo=UTC), ID),
    ),
    ("scheduled", {"messages": []}, lambda c: c.scheduled("pending")),
    ("cancel", {}, lambda c: c.cancel(ID)),
    ("upload", UPLOAD, lambda c: c.begin_upload(ID, "x", 1, "a" * 64)),
    (
        "upload_chunk",
        {"offset": 1, "complete": True},
        lambda c: c.upload_chunk(ID, 0, b"x"),
    ),
    (
        "download",
        {"data": b"x", "size": 1, "name": "x", "type": "x"},
        lambda c: c.download_range(ID, 0, 1),
    ),
    ("create_chat", {"chat_id": ID}, lambda c: c.create_chat("x")),
    ("rename_chat", {}, lambda c: c.rename_chat(ID, "x")),
    ("invite", {}, lambda c: c.invite(ID, ID)),
    ("remove", {}, lambda c: c.remove(ID, ID)),
    (
        "invite_link",
        LINK,
        lambda c: c.invite_link(ID, expires_in=60, max_uses=1),
    ),
    ("invite_links", {"links": []}, lambda c: c.invite_links(ID)),
    ("revoke_link", {}, lambda c: c.revoke_link("x")),
    ("join", {"state": "pending"}, lambda c: c.join("x")),
    ("join_requests", {"requests": []}, lambda c: c.join_requests(ID)),
    (
        "edit",
        {"revision": 1, "edited": "2030-01-01T00:00:00+00:00"},
        lambda c: c.edit(ID, "text"),
    ),
    ("delete", {"revision": 1}, lambda c: c.delete(ID)),
    ("react", {"revision": 1}, lambda c: c.react(ID, "+", on=False)),
    (
        "changes",
        {
            "revision": 1,
            "messages": [MESSAGE],
            "chat": {
                "name": "x",
                "title": "x",
                "owner_id": None,
                "size": 1,
                "event_key": KEY,
            },
            "more": False,
        },
        lambda c: c.changes(ID, 0, limit=3),
    ),
    (
        "search",
        {"messages": [{**MESSAGE, "chat_id": ID}], "next": None},
        lambda c: c.search(
            "text",
            chat_id=ID,
            author_id=ID,
            has_file=True,
            before=ID,
            limit=1,
        ),
    ),
    ("typing", {}, lambda c: c.typing(ID)),
    ("settings", {"receipts": True}, lambda c: c.settings(receipts=True)),
    ("rotate_token", {"token": "x"}, lambda c: c.rotate_token()),
    ("approve", {}, lambda c: c.approve(ID, ID)),
    ("deny", {}, lambda c: c.deny(ID, ID)),
    (
        "hello",
        {
            "protocol": 1,
            "server": "x",
            "epoch": "x",
            "events": "x",
            "heartbeat": 5,
            "limits": dict.fromkeys(
                (
                    "text",
                    "name",
                    "page",
                    "history_depth",
                    "file_bytes",
                    "files_per_message",
                    "chunk_size",
                    "request_bytes",
                    "scheduled",
                    "idempotency_key",
                    "edit_seconds",
                    "reactions",
                ),
                1,
            ),
        },
        lambda c: c.hello(),
    ),
]

PERSON = {"id": ID, "name": "x"}
ACCOUNT = {
    "id": ID,
    "name": "x",
    "role": "member",
    "created": MOMENT,
    "last_seen": None,
    "banned_until": None,
    "closed": None,
    "warnings": 0,
    "chats": 1,
    "scheduled": 0,
}
COMPLAINT = {
    "id": ID,
    "reporter": PERSON,
    "offender": PERSON,
    "reason": "rude",
    "message_id": None,
    "evidence": None,
    "created": MOMENT,
    "state": "open",
}
INVITE = {
    "id": ID,
    "created": MOMENT,
    "expires_at": MOMENT,
    "max_uses": 1,
    "uses": 0,
}
ENTRY = {
    "id": ID,
    "created": MOMENT,
    "actor": None,
    "action": "ban",
    "subject": ID,
    "subject_name": "x",
    "detail": {"seconds": 5},
}
CALLS += [
    ("accounts", {"users": [ACCOUNT]}, lambda c: c.accounts(banned=True)),
    (
        "complaints",
        {"complaints": [COMPLAINT]},
        lambda c: c.complaints(state="open", limit=3),
    ),
    ("resolve", {}, lambda c: c.resolve(ID, "dismissed")),
    (
        "ban",
        {"until": MOMENT},
        lambda c: c.ban(ID, seconds=60, reason="rude"),
    ),
    ("unban", {}, lambda c: c.unban(ID)),
    ("set_role", {}, lambda c: c.set_role(ID, "moderator")),
    ("reset_token", {"token": ID}, lambda c: c.reset_token(ID)),
    ("close_account", {}, lambda c: c.close_account(ID)),
    ("delete_message", {}, lambda c: c.delete_message(ID)),
    ("announce", SENT, lambda c: c.announce("We stop at noon.")),
    (
        "create_invite",
        {"code": "x", "id": ID, "expires_at": MOMENT},
        lambda c: c.create_invite(uses=3, expires_in=60),
    ),
    ("invites", {"invites": [INVITE]}, lambda c: c.invites()),
    ("revoke_invite", {}, lambda c: c.revoke_invite(ID)),
    ("audit", {"entries": [ENTRY]}, lambda c: c.audit(after=ID)),
    ("stats", {"version": "x"}, lambda c: c.stats()),
]


def test_the_detail_of_an_entry_is_read_only() -> None:
    recorder = Recorder({"entries": [ENTRY]})
    [entry] = asyncio.run(recorder.audit())
    assert entry.detail == {"seconds": 5}
    with pytest.raises(TypeError):
        entry.detail["seconds"] = 6  # type: ignore[index]


OF_USERS = [method for method in METHODS if method.role != OPERATOR]
"""What is for the operator's socket alone, no user can call."""


class Recorder(Methods):
    """Answers as told, and keeps what was asked."""

    def __init__(self, *answers: Any) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers = list(answers)

    async def call(self, method: str, /, **params: object) -> Any:
        given = {
            name: value for name, value in params.items() if value is not None
        }
        self.asked.append((method, given))
        return self.answers.pop(0)


@pytest.mark.parametrize(
    ("method", "answer", "call"), CALLS, ids=[name for name, *_ in CALLS]
)
def test_what_is_asked_fits_the_table(
    method: str, answer: dict[str, Any], call: Call
) -> None:
    recorder = Recorder(answer)
    asyncio.run(_await(call(recorder)))
    [(asked, params)] = recorder.asked
    assert asked == method
    request = codec.decode_request(codec.encode_request(1, method, params))
    assert request.method is METHOD_BY_NAME[method]


async def _await(work: Awaitable[Any]) -> None:
    await work


def test_every_method_is_tried_above_but_connect() -> None:
    assert {name for name, *_ in CALLS} | {"connect"} == {
        method.name for method in OF_USERS
    }


@pytest.mark.parametrize("client", [aio.Client, blocking.BlockingClient])
@pytest.mark.parametrize("method", OF_USERS, ids=lambda method: method.name)
def test_each_client_has_each_method(client: type, method: Any) -> None:
    assert callable(getattr(client, method.name))


def test_both_clients_have_the_same_surface() -> None:
    def names(client: type) -> set[str]:
        return {name for name in dir(client) if not name.startswith("_")}

    assert names(aio.Client) == names(blocking.BlockingClient)


def test_what_has_a_key_may_go_out_again_and_gets_one() -> None:
    keyed = {
        method.name
        for method in METHODS
        if "idempotency_key" in method.params.__struct_fields__
    }
    for name, answer, call in CALLS:
        if name in keyed:
            recorder = Recorder(answer, answer)
            asyncio.run(_await(call(recorder)))
            asyncio.run(_await(call(recorder)))
            first, second = (
                params["idempotency_key"] for _, params in recorder.asked
            )
            assert first != second


@pytest.mark.parametrize(
    ("method", "params", "repeats"),
    [
        ("send", {"text": "a"}, False),
        ("send", {"text": "a", "idempotency_key": "k"}, True),
        ("unread", {}, True),
        ("unread", {"ack": True}, False),
        ("exit", {}, False),
        ("status", {}, True),
        ("read", {"chat_id": "c", "seq": 1}, True),
        ("invite_link", {"chat_id": "c"}, False),
        ("nonsense", {}, False),
    ],
)
def test_what_may_go_out_again(
    method: str, params: dict[str, Any], repeats: bool
) -> None:
    assert may_repeat(method, params) is repeats


def test_a_given_key_is_kept() -> None:
    recorder = Recorder(SENT)
    asyncio.run(_await(recorder.send("text", idempotency_key="mine")))
    assert recorder.asked[0][1]["idempotency_key"] == "mine"


def test_unread_moves_the_positions_after_the_messages_came() -> None:
    recorder = Recorder(
        {
            "more": False,
            "chats": [
                {"id": ID, "name": "x", "title": "x", "messages": [MESSAGE]}
            ],
        },
        {"seq": 7},
    )
    asyncio.run(_await(recorder.unread(ack=True)))
    assert recorder.asked == [
        ("unread", {}),
        ("read", {"chat_id": ID, "seq": 7}),
    ]


def test_pages_of_chats_follow_one_another() -> None:
    recorder = Recorder({"chats": [CHAT]}, {"chats": []})
    asyncio.run(_await(recorder.all_chats()))
    assert [params.get("after") for _, params in recorder.asked] == [None, ID]


def test_an_answer_of_another_shape_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match="too old"):
        asyncio.run(_await(Recorder({"seq": "x"}).read(ID, 1)))


def test_both_connect_with_the_same_parameters() -> None:
    blocking_ones = inspect.signature(blocking.BlockingClient.connect)
    asyncio_ones = inspect.signature(aio.Client.connect)
    callbacks = {"on_up", "on_down"}
    assert [*blocking_ones.parameters.values()] == [
        parameter
        for name, parameter in asyncio_ones.parameters.items()
        if name not in callbacks
    ]

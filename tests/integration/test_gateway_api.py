"""The gateway in front of the real broker: the routes and their rules."""

import hashlib
import http.client
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import msgspec
import pytest

from tests.http_server import Client
from tests.program import Program, User, wait_until
from tests.server import PROJECT

LIMIT_BYTES = 700_000


@pytest.fixture(scope="module")
def flags() -> tuple[str, ...]:
    return ("--max-file-bytes", str(LIMIT_BYTES))


def test_the_documented_api_from_connect_to_exit(program: Program) -> None:
    ask = program.ask
    ann = ask("POST", "/connect").json
    bob = ask("POST", "/connect").json
    token = ann["token"]
    status = ask("GET", "/status", {"user_id": token}).json
    assert status["chat_default"] == ann["chat_default"]
    sent = ask(
        "POST",
        "/send",
        {
            "author_id": token,
            "chat_id": None,
            "message": "hi",
            "comment_on": None,
        },
    )
    assert sent.status == 200
    assert set(sent.json) == {"id", "seq", "chat_id", "created"}
    chats = ask("GET", "/chats", {"user_id": bob["token"]}).json["chats"]
    assert chats[0]["messages"][0]["id"] == sent.json["id"]
    private = ask(
        "POST",
        "/connect_p2p",
        {"user_id": token, "other_user_id": bob["user_id"]},
    ).json["chat_id"]
    ask(
        "POST",
        "/send",
        {"author_id": token, "chat_id": private, "message": "psst"},
    )
    history = ask(
        "GET", "/chats", {"user_id": bob["token"], "chat_id": private}
    ).json["history"]
    assert [message["text"] for message in history["messages"]] == ["psst"]
    left = ask(
        "POST", "/chats/exit", {"user_id": bob["token"], "chat_id": private}
    )
    assert (left.status, left.json) == (200, {})
    gone = ask("GET", "/chats", {"user_id": bob["token"], "chat_id": private})
    assert (gone.status, gone.json["code"]) == (404, "not_found")


def test_the_token_may_stand_in_field_query_or_header(
    program: Program, ann: User
) -> None:
    for answer in (
        program.ask("GET", "/status", {"user_id": ann.token}),
        program.ask("GET", f"/status?user_id={ann.token}"),
        program.ask("GET", "/status", headers=ann.bearer),
        program.ask("GET", f"/status?user_id={ann.id}", headers=ann.bearer),
        program.ask("GET", "/status", {"user_id": ann.id.upper()}, ann.bearer),
    ):
        assert answer.json["user"]["id"] == ann.id


def test_another_ones_id_beside_the_header_is_forbidden(
    program: Program, ann: User, bob: User
) -> None:
    for claimed in (bob.id, bob.token, "nobody", 5):
        answer = program.ask(
            "POST", "/send", {"author_id": claimed, "message": "a"}, ann.bearer
        )
        assert (answer.status, answer.json["code"]) == (403, "forbidden")


def test_a_public_id_is_no_proof(program: Program, ann: User) -> None:
    for answer in (
        program.ask("GET", f"/status?user_id={ann.id}"),
        program.ask("GET", "/status"),
        program.ask(
            "GET", "/status", headers={"Authorization": f"Bearer {uuid4()}"}
        ),
        program.ask("GET", "/status", headers={"Authorization": "Basic abc"}),
    ):
        assert (answer.status, answer.json["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_the_other_may_be_named_by_its_token(
    program: Program, ann: User, bob: User
) -> None:
    chat = [
        program.ask(
            "POST",
            "/connect_p2p",
            {"user_id": ann.token, "other_user_id": other},
        ).json["chat_id"]
        for other in (bob.token, bob.id)
    ]
    assert chat[0] == chat[1]
    nobody = program.ask(
        "POST",
        "/connect_p2p",
        {"user_id": ann.token, "other_user_id": str(uuid4())},
    )
    assert nobody.status == 404
    oneself = program.ask(
        "POST",
        "/connect_p2p",
        {"user_id": ann.token, "other_user_id": ann.token},
    )
    assert oneself.status == 400


def test_a_repeat_under_one_key_is_one_message(
    program: Program, ann: User
) -> None:
    key = {"Idempotency-Key": str(uuid4())} | ann.bearer
    first, second = (
        program.ask("POST", "/send", {"message": "once"}, key)
        for _ in range(2)
    )
    assert first.json == second.json
    other = program.ask("POST", "/send", {"message": "other"}, key)
    assert (other.status, other.json["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("verb", "path", "body", "field"),
    [
        ("POST", "/send", {"message": "a", "bogus": 1}, "bogus"),
        ("POST", "/send", {}, "message"),
        ("POST", "/send", {"message": 5}, "message"),
        ("POST", "/send", {"message": "a\0b"}, "message"),
        ("POST", "/send", {"message": "a", "chat_id": "x"}, "chat_id"),
        ("GET", "/history?limit=0", None, "limit"),
        ("GET", "/history", None, "chat_id"),
        ("GET", f"/history?after={10**23 - 1}", None, "after"),
        ("POST", "/send", {"message": "a", "files": [2**64]}, "files"),
        ("POST", "/send", {"message": 2**64}, "message"),
        ("POST", "/connect", {"name": "x" * 33}, "name"),
        ("DELETE", "/scheduled/nonsense", None, "id"),
    ],
)
def test_a_fault_is_told_by_the_name_of_its_field(
    program: Program, ann: User, verb: str, path: str, body: Any, field: str
) -> None:
    headers = {} if path == "/connect" else ann.bearer
    answer = program.ask(verb, path, body, headers)
    assert (answer.status, answer.json["code"]) == (400, "bad_request")
    assert answer.json["field"] == field
    assert "text`" not in answer.json["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"message": "\\ud800"}',
        b'{"message": "a", "chat_id": 123456789012345678901234567890}',
        b'{"message": ' + b"[" * 2000 + b"]" * 2000 + b"}",
    ],
)
def test_json_that_cannot_be_sent_on_is_refused(
    program: Program, ann: User, body: bytes
) -> None:
    answer = program.ask("POST", "/send", body, ann.bearer)
    assert (answer.status, answer.json["code"]) == (400, "bad_request")
    assert program.ask("GET", "/readyz").status == 200


def test_head_does_not_take_the_unread(
    program: Program, ann: User, bob: User
) -> None:
    program.ask("POST", "/send", {"message": "kept"}, bob.bearer)
    refused = program.ask("HEAD", "/unread?ack=true", None, ann.bearer)
    assert refused.status == 400
    assert program.ask("HEAD", "/unread", None, ann.bearer).status == 200
    unread = program.ask("GET", "/unread?ack=true", None, ann.bearer)
    assert b'"kept"' in unread.body


def test_a_text_too_large_for_the_broker_is_refused(
    program: Program, ann: User
) -> None:
    answer = program.ask(
        "POST", "/send", {"message": "x" * 600_000}, ann.bearer
    )
    assert (answer.status, answer.json["code"]) == (413, "too_large")


def test_groups_go_by_their_paths(
    program: Program, ann: User, bob: User
) -> None:
    ask = program.ask
    chat = ask("POST", "/chats", {"name": "garden"}, ann.bearer).json[
        "chat_id"
    ]
    link = ask("POST", f"/chats/{chat}/links", {}, ann.bearer).json["link"]
    joined = ask("POST", f"/join/{quote(link, safe='')}", None, bob.bearer)
    assert joined.json == {"state": "pending"}
    waiting = ask("GET", f"/chats/{chat}/requests", None, ann.bearer).json
    assert [one["user"]["id"] for one in waiting["requests"]] == [bob.id]
    approved = ask(
        "POST", f"/chats/{chat}/requests/{bob.id}/approve", None, ann.bearer
    )
    assert approved.status == 200
    users = ask("GET", f"/users?chat_id={chat}", None, bob.bearer).json
    assert {user["id"] for user in users["users"]} == {ann.id, bob.id}
    removed = ask(
        "POST", f"/chats/{chat}/remove", {"user_id": bob.id}, ann.bearer
    )
    assert removed.status == 200
    assert ask("GET", f"/chats?chat_id={chat}", None, bob.bearer).status == 404


def test_scheduled_messages_come_and_go(program: Program, ann: User) -> None:
    made = program.ask(
        "POST",
        "/scheduled",
        {
            "message": "later",
            "send_at": datetime.now(UTC) + timedelta(hours=1),
        },
        ann.bearer,
    )
    cancelled = program.ask(
        "DELETE", f"/scheduled/{made.json['id']}", None, ann.bearer
    )
    assert (cancelled.status, cancelled.json) == (200, {})
    listed = program.ask(
        "GET", "/scheduled?state=cancelled", None, ann.bearer
    ).json
    assert [one["text"] for one in listed["messages"]] == ["later"]


def attach(program: Program, user: User, chat: str, file_id: str) -> None:
    sent = program.ask(
        "POST",
        "/send",
        {"chat_id": chat, "message": "see", "files": [file_id]},
        user.bearer,
    )
    assert sent.status == 200


@pytest.fixture
def chat(program: Program, ann: User, bob: User) -> str:
    made = program.ask(
        "POST", "/connect_p2p", {"user_id": ann.token, "other_user_id": bob.id}
    )
    found: str = made.json["chat_id"]
    return found


CONTENT = bytes(range(256)) * 2500


@pytest.mark.parametrize("given", ["nothing", "header", "query", "chunked"])
def test_a_file_goes_up_and_comes_down(
    program: Program, ann: User, bob: User, chat: str, given: str
) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    path = f"/files?chat_id={chat}&name=r%C3%A9sum%C3%A9.html"
    headers = dict(ann.bearer)
    body: Any = CONTENT
    if given == "header":
        headers["X-Content-SHA256"] = digest.upper()
    if given == "query":
        path += f"&sha256={digest}"
    connection = http.client.HTTPConnection("127.0.0.1", program.port)
    connection.request(
        "POST",
        path,
        iter([CONTENT[:9], CONTENT[9:]]) if given == "chunked" else body,
        headers,
        encode_chunked=given == "chunked",
    )
    with connection.getresponse() as answer:
        uploaded = msgspec.json.decode(answer.read())
    connection.close()
    assert uploaded["sha256"] == digest
    assert (uploaded["name"], uploaded["size"]) == (
        "résumé.html",
        len(CONTENT),
    )
    attach(program, ann, chat, uploaded["file_id"])
    got = program.ask("GET", f"/files/{uploaded['file_id']}", None, bob.bearer)
    assert got.body == CONTENT
    assert got.headers["content-disposition"] == (
        'attachment; filename="r_sum_.html"; '
        "filename*=UTF-8''r%C3%A9sum%C3%A9.html"
    )
    assert got.headers["content-security-policy"].startswith("sandbox")
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["accept-ranges"] == "bytes"


@pytest.fixture
def file(program: Program, ann: User, chat: str) -> str:
    made = program.ask(
        "POST", f"/files?chat_id={chat}&name=a.bin", CONTENT, ann.bearer
    )
    found: str = made.json["file_id"]
    attach(program, ann, chat, found)
    return found


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=639990-", 639_990, 640_000),
        ("bytes=-7", 639_993, 640_000),
        ("bytes=262100-262200", 262_100, 262_201),
        ("bytes=5-99999999", 5, 640_000),
        ("bytes=1-", 1, 640_000),
    ],
)
def test_a_range_is_given(
    program: Program, bob: User, file: str, asked: str, first: int, end: int
) -> None:
    got = program.ask(
        "GET", f"/files/{file}", None, bob.bearer | {"Range": asked}
    )
    assert (got.status, got.body) == (206, CONTENT[first:end])
    assert got.headers["content-range"] == f"bytes {first}-{end - 1}/640000"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-",
        "bytes=-9999999",
        "bytes=5-4",
        "bytes=-",
        "lines=1-2",
        "bytes=0-1,5-6",
        "bytes=a-b",
        "",
    ],
)
def test_what_is_no_range_gives_the_whole(
    program: Program, bob: User, file: str, asked: str
) -> None:
    got = program.ask(
        "GET", f"/files/{file}", None, bob.bearer | {"Range": asked}
    )
    assert (got.status, len(got.body)) == (200, 640_000)


def test_a_range_that_hangs_on_a_validator_gives_the_whole(
    program: Program, bob: User, file: str
) -> None:
    got = program.ask(
        "GET",
        f"/files/{file}",
        None,
        bob.bearer | {"Range": "bytes=0-0", "If-Range": '"tag"'},
    )
    assert (got.status, len(got.body)) == (200, 640_000)


@pytest.mark.parametrize("asked", ["bytes=640000-", "bytes=-0"])
def test_a_range_outside_the_file_cannot_be_given(
    program: Program, bob: User, file: str, asked: str
) -> None:
    got = program.ask(
        "GET", f"/files/{file}", None, bob.bearer | {"Range": asked}
    )
    assert got.status == 416
    assert got.headers["content-range"] == "bytes */640000"


def test_head_tells_a_files_size(
    program: Program, bob: User, file: str
) -> None:
    got = program.ask("HEAD", f"/files/{file}", None, bob.bearer)
    assert (got.status, got.headers["content-length"]) == (200, "640000")


def test_a_file_is_for_members_only(program: Program, file: str) -> None:
    stranger = program.user()
    for user, status in ((stranger.bearer, 404), ({}, 401)):
        got = program.ask("GET", f"/files/{file}", None, user)
        assert got.status == status


def test_an_empty_file_is_a_file(
    program: Program, ann: User, chat: str
) -> None:
    made = program.ask(
        "POST", f"/files?chat_id={chat}&name=empty", b"", ann.bearer
    )
    assert made.json["size"] == 0
    got = program.ask(
        "GET", f"/files/{made.json['file_id']}", None, ann.bearer
    )
    assert (got.status, got.body) == (200, b"")


def test_a_hash_in_capitals_is_the_same_hash(
    program: Program, ann: User, chat: str
) -> None:
    """Also where the file is spooled, since its length is not known."""
    digest = hashlib.sha256(b"abc").hexdigest()
    with Client(program.port) as client:
        client.send(
            (
                f"POST /files?chat_id={chat}&name=a HTTP/1.1\r\n"
                f"Host: 127.0.0.1\r\nAuthorization: Bearer {ann.token}\r\n"
                f"X-Content-SHA256: {digest.upper()}\r\n"
                "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            ).encode()
        )
        answer = client.answer()
    assert answer.status == 200
    assert msgspec.json.decode(answer.body)["sha256"] == digest


def test_json_ends_with_a_line_feed(program: Program) -> None:
    for path in ("/status", "/healthz", "/openapi.json", "/nothing"):
        assert program.ask("GET", path).body.endswith(b"}\n")


@pytest.mark.parametrize(
    ("query", "headers", "status", "field"),
    [
        ("", {}, 400, "chat_id"),
        ("chat_id=CHAT", {}, 400, "name"),
        ("chat_id=CHAT&name=a", {"X-Content-SHA256": "ab"}, 400, "sha256"),
        ("chat_id=CHAT&name=a", {"X-Content-SHA256": "0" * 64}, 409, "sha256"),
        ("chat_id=CHAT&name=a/b", {}, 400, "name"),
        ("chat_id=CHAT&name=a&bogus=1", {}, 400, "bogus"),
    ],
)
def test_a_faulty_upload_is_refused(
    program: Program,
    ann: User,
    chat: str,
    query: str,
    headers: dict[str, str],
    status: int,
    field: str,
) -> None:
    answer = program.ask(
        "POST",
        f"/files?{query.replace('CHAT', chat)}",
        b"abc",
        ann.bearer | headers,
    )
    assert (answer.status, answer.json["field"]) == (status, field)


def test_an_upload_is_measured_before_it_comes(
    program: Program, ann: User, chat: str
) -> None:
    wait_until(
        lambda: (
            program.ask(
                "POST",
                f"/files?chat_id={chat}&name=a",
                b"a" * (LIMIT_BYTES + 1),
                ann.bearer,
            ).status
            == 413
        )
    )


def test_a_stranger_cannot_fill_the_disk(program: Program) -> None:
    answer = program.ask("POST", "/files?chat_id=x&name=a", b"a" * 1000)
    assert answer.status == 401


def test_an_upload_goes_on_where_it_broke_off(
    program: Program, ann: User, chat: str
) -> None:
    path = f"/files?chat_id={chat}&name=resumed"
    headers = ann.bearer | {
        "X-Content-SHA256": hashlib.sha256(CONTENT).hexdigest()
    }
    broken = http.client.HTTPConnection("127.0.0.1", program.port)
    broken.putrequest("POST", path)
    for name, value in headers.items():
        broken.putheader(name, value)
    broken.putheader("Content-Length", str(len(CONTENT)))
    broken.endheaders(CONTENT[:300_000])
    broken.close()
    made = program.ask("POST", path, CONTENT, headers).json
    got = program.ask("GET", f"/files/{made['file_id']}", None, ann.bearer)
    assert got.body == CONTENT


def test_openapi_lists_what_there_is(program: Program) -> None:
    described = program.ask("GET", "/openapi.json").json
    assert described["openapi"].startswith("3.1")
    assert {"/send", "/files", "/events", "/join/{link}"} <= set(
        described["paths"]
    )


def test_metrics_count_by_route_and_status(
    program: Program, ann: User
) -> None:
    program.ask("GET", "/chats/not-a-chat/links", None, ann.bearer)
    page = program.ask("GET", "/metrics").body.decode()
    assert (
        'zchat_http_requests_total{method="GET",'
        'route="/chats/{chat_id}/links",status="400"}'
    ) in page
    assert "zchat_http_connections 1.0" in page
    assert "zchat_broker_up 1.0" in page
    assert ann.token not in page


def test_metrics_have_the_brokers_own_numbers(
    program: Program, ann: User
) -> None:
    """All that the dashboard and the alerts in deploy/ ask for."""
    program.ask("GET", "/status")
    page = program.ask("GET", "/metrics").body.decode()
    shown = {line.split("{")[0].split(" ")[0] for line in page.split("\n")}
    asked = {
        name
        for path in (PROJECT / "deploy").glob("*.*")
        if path.suffix in (".yml", ".json") and "test" not in path.name
        for name in re.findall(r"\bzchat_[a-z_]+", path.read_text())
    }
    assert len(asked) > 20
    assert asked - shown == set()
    assert 'zchat_broker_refusals_total{code="unauthorized"}' in page
    assert "zchat_broker_store_up 1.0" in page


def test_the_broker_is_not_asked_for_every_scrape(program: Program) -> None:
    def requests() -> float:
        page = program.ask("GET", "/metrics").body.decode()
        found = re.search(r"^zchat_broker_requests_total (\S+)$", page, re.M)
        assert found is not None
        return float(found[1])

    first = requests()
    assert [requests() for _ in range(20)].count(first) >= 10


def test_many_at_once_are_all_served(program: Program, ann: User) -> None:
    def send(number: int) -> int:
        sent = program.ask(
            "POST", "/send", {"message": str(number)}, ann.bearer
        )
        seq: int = sent.json["seq"]
        return seq

    with ThreadPoolExecutor(20) as pool:
        places = list(pool.map(send, range(200)))
    assert len(set(places)) == 200

"""From a request to a call of a method, and what OpenAPI says of it."""

import re
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.errors import Code, Refused
from zchat.gateway.binding import Binding, Call
from zchat.gateway.messages import Refusal, Request, Response
from zchat.gateway.openapi import document
from zchat.gateway.router import Router, Serve
from zchat.rpc.methods import METHOD_BY_NAME, METHODS

ID = "01a209a3-c5ce-7000-a1f7-a004673faba9"


def binding(name: str) -> Binding:
    method = METHOD_BY_NAME[name]
    return Binding(method, method.routes[0])


def call(
    name: str,
    body: Any = None,
    query: str = "",
    values: dict[str, str] | None = None,
    **headers: str,
) -> Call:
    encoded = {
        field.replace("_", "-").encode(): value.encode()
        for field, value in headers.items()
    }
    raw = b"" if body is None else msgspec.json.encode(body)
    return binding(name).call(
        Request("POST", "/", query, encoded, raw), values or {}
    )


def refused(*arguments: Any, **named: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        call(*arguments, **named)
    return caught.value


def test_documented_fields_become_parameters() -> None:
    made = call(
        "send",
        {
            "author_id": "t",
            "chat_id": None,
            "message": "hi",
            "comment_on": None,
        },
    )
    assert (made.method.name, made.token, made.params) == (
        "send",
        "t",
        {"chat_id": None, "text": "hi", "comment_on": None},
    )
    assert made.wire()["token"] == "t"
    made = call("p2p", {"user_id": "t", "other_user_id": ID})
    assert (made.token, made.params) == ("t", {"user_id": ID})
    made = call(
        "report", {"user_id": "t", "reported_user_id": ID, "reason": "r"}
    )
    assert (made.token, made.params) == ("t", {"user_id": ID, "reason": "r"})


def test_the_authorization_field_is_the_token() -> None:
    made = call("status", authorization="bearer  t ")
    assert (made.token, made.claimed) == ("t", None)
    made = call("status", {"user_id": "t"}, authorization="Bearer t")
    assert (made.token, made.claimed) == ("t", None)
    made = call("status", {"user_id": ID}, authorization="Bearer t")
    assert (made.token, made.claimed, made.params) == ("t", ID, {})


@pytest.mark.parametrize("field", ["Basic abc", "Bearer", "Bearer ", "t"])
def test_another_authorization_is_unauthorized(field: str) -> None:
    assert refused("status", authorization=field).code is Code.UNAUTHORIZED


def test_a_call_without_a_token_names_none() -> None:
    assert "token" not in call("send", {"message": "hi"}).wire()
    assert call("send", {"author_id": None, "message": "hi"}).token is None


def test_a_query_is_read_as_its_parameters_are() -> None:
    made = call("history", query=f"user_id=t&chat_id={ID}&limit=5")
    assert (made.token, made.params) == ("t", {"chat_id": ID, "limit": 5})
    assert call("unread", query="ack=true").params == {"ack": True}
    assert call("comment", query="message=1+%C3%A9%26").params == {
        "text": "1 é&"
    }
    assert call("rename", query="name=5").params == {"name": "5"}


@pytest.mark.parametrize(
    ("name", "query", "field"),
    [
        ("history", "limit=x", "limit"),
        ("history", "limit=1.5", "limit"),
        ("history", "after=", "after"),
        ("history", "limit=", "limit"),
        ("chats", "chat_id=", "chat_id"),
        ("unread", "ack=perhaps", "ack"),
        ("rename", "name=%ff", "query"),
        ("rename", "&".join(["name=a"] * 101), "query"),
    ],
)
def test_a_faulty_query_is_refused_by_name(
    name: str, query: str, field: str
) -> None:
    error = refused(name, query=query)
    assert (error.code, error.data["field"]) == (Code.BAD_REQUEST, field)


@pytest.mark.parametrize(
    ("name", "query", "message"),
    [
        ("history", "after=x", "`after` must be an integer, not text."),
        ("history", "after=1.5", "`after` must be an integer, not text."),
        ("unread", "ack=perhaps", "`ack` must be true or false, not text."),
    ],
)
def test_a_faulty_query_is_refused_in_the_words_of_the_wire(
    name: str, query: str, message: str
) -> None:
    assert refused(name, query=query).message == message


def test_a_whole_number_may_have_a_point() -> None:
    assert call("read", {"seq": 5.0}).params == {"seq": 5}
    assert call("read", {"seq": 5.5}).params == {"seq": 5.5}
    assert call("send", {"message": 5.0}).params == {"text": 5.0}


def test_a_large_integer_in_a_query_is_an_integer() -> None:
    for number in (2**63, 2**64, -(2**70), 10**25 - 1, 10**30):
        made = call("history", query=f"after={number}")
        assert made.params == {"after": number}


@pytest.mark.parametrize("number", [b"1" * 5000, b"1e400"])
def test_a_number_that_no_program_reads_is_refused_by_name(
    number: bytes,
) -> None:
    with pytest.raises(Refused) as caught:
        binding("history").call(
            Request("GET", "/", "", {}, b'{"limit": 5, "after": %b}' % number),
            {},
        )
    assert caught.value.code is Code.BAD_REQUEST
    assert caught.value.data["field"] == "after"


@pytest.mark.parametrize(
    ("query", "body"), [("ack=true", b""), ("", b'{"ack": true}')]
)
def test_head_changes_nothing(query: str, body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        binding("unread").call(Request("HEAD", "/unread", query, {}, body), {})
    assert caught.value.code is Code.BAD_REQUEST
    assert caught.value.data["field"] == "ack"
    kept = binding("unread").call(
        Request("HEAD", "/unread", "ack=false", {}), {}
    )
    assert kept.params == {"ack": False}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b'{"a": "\xff"}',
        b'{"\xc3": 1}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": 1e999, "\xff": "\xff"}',
        b"[1]",
        b"5",
        b"null",
        b'{"a": NaN}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        binding("send").call(Request("POST", "/", "", {}, body), {})
    assert caught.value.code is Code.BAD_REQUEST


@given(
    st.binary(max_size=60),
    st.sampled_from([b"%b", b'{"message": "%b"}', b'{"%b": 1}', b'{"a": %b}']),
)
def test_no_body_is_a_fault_of_ours(piece: bytes, frame: bytes) -> None:
    with suppress(Refused):
        binding("send").call(
            Request("POST", "/", "", {}, frame.replace(b"%b", piece)), {}
        )


@pytest.mark.parametrize(
    ("body", "query", "values", "field"),
    [
        ({"message": "a", "text": "b"}, "", {}, "text"),
        ({"message": "a"}, "message=b", {}, "message"),
        ({"author_id": "a", "token": "b"}, "", {}, "token"),
        ({}, "chat_id=a&chat_id=b", {}, "chat_id"),
        ({"chat_id": "a"}, "", {"chat_id": "b"}, "chat_id"),
    ],
)
def test_a_parameter_may_be_given_once(
    body: Any, query: str, values: dict[str, str], field: str
) -> None:
    error = refused("send", body, query, values)
    assert (error.code, error.data["field"]) == (Code.BAD_REQUEST, field)


def test_the_idempotency_key_field_is_the_key() -> None:
    body = {"message": "a"}
    made = call("send", body, idempotency_key="k")
    assert made.params["idempotency_key"] == "k"
    assert made.may_repeat()
    same = call("send", body | {"idempotency_key": "k"}, idempotency_key="k")
    assert same.params == made.params
    other = refused(
        "send", body | {"idempotency_key": "l"}, idempotency_key="k"
    )
    assert other.data["field"] == "idempotency_key"
    assert call("rename", {"name": "a"}, idempotency_key="k").params == {
        "name": "a"
    }


def test_what_may_be_sent_twice() -> None:
    assert call("status").may_repeat()
    assert call("unread").may_repeat()
    assert not call("unread", {"ack": True}).may_repeat()
    assert not call("send", {"message": "a"}).may_repeat()
    assert not call("connect").may_repeat()


def test_a_refusal_names_the_field_as_the_caller_does() -> None:
    error = binding("send").refusal(
        Refused(
            Code.BAD_REQUEST,
            "text: Object missing required field `text`.",
            field="text",
        )
    )
    assert error.data["field"] == "message"
    assert error.message == (
        "message: Object missing required field `message`."
    )
    kept = Refused(Code.BAD_REQUEST, "chat_id: no.", field="chat_id")
    assert binding("send").refusal(kept) is kept


@pytest.fixture
def router() -> Router:
    made = Router()
    for verb, path in (
        ("GET", "/chats"),
        ("POST", "/chats"),
        ("POST", "/chats/exit"),
        ("POST", "/chats/{chat_id}/invite"),
        ("DELETE", "/links/{link}"),
        ("POST", "/a/{b}/c/{d}"),
    ):
        made.add(verb, path, teller(verb, path))
    return made


def teller(verb: str, path: str) -> Serve:
    """A route that answers which one it is, and its values."""
    return lambda request, values: Response(
        200, msgspec.json.encode([verb, path, dict(values)])
    )


def serve(router: Router, verb: str, path: str) -> Response:
    answer = router.serve(Request(verb, path, "", {}))
    assert isinstance(answer, Response)
    return answer


@pytest.mark.parametrize(
    ("verb", "path", "found"),
    [
        ("GET", "/chats", ["GET", "/chats", {}]),
        ("HEAD", "/chats", ["GET", "/chats", {}]),
        ("POST", "/chats/exit", ["POST", "/chats/exit", {}]),
        (
            "POST",
            "/chats/x/invite",
            ["POST", "/chats/{chat_id}/invite", {"chat_id": "x"}],
        ),
        (
            "DELETE",
            "/links/a%2Fb%C3%A9",
            ["DELETE", "/links/{link}", {"link": "a/bé"}],
        ),
        ("POST", "/a/1/c/2", ["POST", "/a/{b}/c/{d}", {"b": "1", "d": "2"}]),
    ],
)
def test_a_path_finds_its_route(
    router: Router, verb: str, path: str, found: list[Any]
) -> None:
    assert msgspec.json.decode(serve(router, verb, path).body) == found


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/chat",
        "/chats/",
        "//chats",
        "/chats/x",
        "/chats//invite",
        "/a/1/c/",
        "/../chats",
        "/CHATS",
    ],
)
def test_other_paths_are_nothing(router: Router, path: str) -> None:
    assert serve(router, "GET", path).status == 404


def test_another_verb_is_told_which_there_are(router: Router) -> None:
    answer = serve(router, "PUT", "/chats")
    assert (answer.status, dict(answer.fields)["Allow"]) == (
        405,
        "GET, HEAD, OPTIONS, POST",
    )
    answer = serve(router, "OPTIONS", "/links/x")
    assert (answer.status, dict(answer.fields)["Allow"]) == (
        204,
        "DELETE, OPTIONS",
    )
    assert serve(router, "OPTIONS", "*").status == 204


def test_a_value_in_a_path_is_utf_8(router: Router) -> None:
    with pytest.raises(Refusal):
        serve(router, "DELETE", "/links/%ff")


def test_a_route_has_a_template_for_the_metrics(router: Router) -> None:
    assert router.template("/links/secret") == "/links/{link}"
    assert router.template("/secret") == "none"


def test_a_route_is_there_once(router: Router) -> None:
    for path in ("/chats", "/chats/{chat_id}/invite"):
        with pytest.raises(ValueError, match="twice"):
            router.add("POST", path, teller("POST", path))


def test_openapi_describes_every_route_of_the_table() -> None:
    described = document()
    for method in METHODS:
        for route in method.routes:
            operation = described["paths"][route.path][route.verb.lower()]
            assert operation["summary"] == method.summary
            in_path = {
                one["name"]
                for one in operation["parameters"]
                if one["in"] == "path"
            }
            assert in_path == set(re.findall(r"{(\w+)}", route.path))


def test_openapi_refers_to_what_it_holds() -> None:
    described = document()
    text = msgspec.json.encode(described).decode()
    names = set(re.findall(r'"#/components/schemas/([\w.]+)"', text))
    assert "Problem" in names
    assert names <= set(described["components"]["schemas"])


def test_openapi_speaks_the_names_of_http() -> None:
    send = document()["paths"]["/send"]["post"]["requestBody"]["content"][
        "application/json"
    ]["schema"]
    assert set(send["properties"]) == {
        "author_id",
        "chat_id",
        "message",
        "comment_on",
        "files",
        "idempotency_key",
    }
    assert send["required"] == ["message"]
    assert send["additionalProperties"] is False


def operations() -> dict[str, dict[str, Any]]:
    return {
        f"{verb.upper()} {path}": operation
        for path, verbs in document()["paths"].items()
        for verb, operation in verbs.items()
    }


def test_openapi_says_which_bodies_there_must_be() -> None:
    required = {
        name: operation["requestBody"]["required"]
        for name, operation in operations().items()
        if "requestBody" in operation
    }
    assert required["POST /send"]
    assert required["POST /files"]
    assert not required["POST /connect"]
    assert not required["POST /chats/{chat_id}/links"]


def test_openapi_has_no_null_where_none_can_be_written() -> None:
    for operation in operations().values():
        for parameter in operation.get("parameters", ()):
            assert "null" not in msgspec.json.encode(parameter).decode()


def test_openapi_says_who_may_call_without_a_token() -> None:
    free = {
        name
        for name, operation in operations().items()
        if {} in operation.get("security", ())
    }
    assert free == {
        "POST /connect",
        "GET /events",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /openapi.json",
    }


def test_openapi_types_every_event_of_a_stream() -> None:
    stream = operations()["GET /events"]["responses"]["200"]["content"]
    listed = stream["text/event-stream"]["x-itemSchema"]["oneOf"]
    schemas = document()["components"]["schemas"]
    names = {
        schemas[one["$ref"].rpartition("/")[2]]["properties"]["event"]["enum"][
            0
        ]
        for one in listed
    }
    assert {"open", "caught_up", "reset", "message", "read"} <= names
    assert "head" not in names


def test_openapi_sorts_every_operation_under_a_subject() -> None:
    subjects = {tag["name"] for tag in document()["tags"]}
    for operation in operations().values():
        assert set(operation["tags"]) <= subjects
        assert len(operation["tags"]) == 1

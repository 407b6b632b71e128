"""What leaves the gateway: heads, problems, and where nothing may."""

import msgspec
import pytest

from zchat.errors import Code, Refused
from zchat.gateway.heads import answer_head, field_line, usual_fields_at
from zchat.gateway.messages import problem, problem_of


def test_a_head_is_whole() -> None:
    head = answer_head(
        200,
        "application/json",
        3,
        (("Allow", "GET"),),
        usual_fields_at(0.0),
        "Connection: close\r\n",
    )
    assert head == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        b"Content-Length: 3\r\nAllow: GET\r\n"
        b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nCache-Control: no-store\r\n"
        b"X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )


def test_an_answer_without_a_body_says_nothing_of_one() -> None:
    assert b"Content-" not in answer_head(204, "text/plain", 0, (), "", "")


@pytest.mark.parametrize(
    "value", ["a\r\nb", "a\nb", "a\rb", "a\0b", "a\x0bb", "\u2028", "\x85"]
)
def test_a_field_cannot_break_out(value: str) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        field_line("X", value)
    with pytest.raises(ValueError, match="cannot be sent"):
        answer_head(200, value, 0, (), "", "")


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb"])
def test_a_name_cannot_break_out(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        field_line(name, "a")


def test_a_problem_has_the_standard_members_first() -> None:
    answer = problem(413, Code.TOO_LARGE, "Too much.", limit=5, title="x")
    document = msgspec.json.decode(answer.body)
    assert list(document) == [
        "type",
        "title",
        "status",
        "code",
        "detail",
        "limit",
    ]
    assert document["title"] == "Request Entity Too Large"
    assert (document["status"], document["code"]) == (413, "too_large")


@pytest.mark.parametrize("code", list(Code))
def test_a_refusal_has_the_status_of_its_code(code: Code) -> None:
    answer = problem_of(
        Refused.from_wire(
            {
                "code": code.wire,
                "message": "Why.",
                "data": {
                    "field": "a",
                    "status": 1,
                    "code": 2,
                    "detail": 3,
                    "fields": 4,
                    "type": 5,
                },
            }
        )
    )
    document = msgspec.json.decode(answer.body)
    assert answer.status == document["status"] == code.http
    assert (document["code"], document["detail"], document["field"]) == (
        code.wire,
        "Why.",
        "a",
    )


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "1"), (0.2, "1"), (17, "17"), (17.1, "18")]
)
def test_retry_after_is_in_whole_seconds(seconds: float, told: str) -> None:
    answer = problem_of(
        Refused(Code.RATE_LIMITED, "Wait.", retry_after=seconds)
    )
    assert dict(answer.fields)["Retry-After"] == told


def test_unavailable_and_unauthorized_say_what_to_do() -> None:
    away = problem_of(Refused(Code.UNAVAILABLE, "Away."))
    assert dict(away.fields)["Retry-After"] == "1"
    unknown = problem_of(Refused(Code.UNAUTHORIZED, "Who?"))
    assert dict(unknown.fields)["WWW-Authenticate"] == "Bearer"

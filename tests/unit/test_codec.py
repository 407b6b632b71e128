"""Requests, answers and what is wrong with them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgpack
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.harness import NOWHERE, refused
from zchat.errors import CODE_BY_WIRE, Code, Refused
from zchat.rpc import codec, params, results, validation_messages
from zchat.rpc.codec import (
    Request,
    Unreadable,
    decode_answer,
    decode_carefully,
    decode_request,
    encode_answer,
    encode_error,
    encode_request,
    pack,
    unpack,
)
from zchat.rpc.methods import METHOD_BY_NAME

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


def unreadable(body: bytes) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        decode_request(body)
    return caught.value


def complaint(method: str, **given: Any) -> Refused:
    return unreadable(pack([0, 1, method, given])).refused


ID = "abcdef00-0000-7000-8000-00000000000a"


@pytest.mark.parametrize(
    ("method", "name", "given", "read"),
    [
        ("history", "chat_id", ID.upper(), ID),
        ("history", "chat_id", ID, ID),
        ("send", "files", [ID, ID.upper()], [ID, ID]),
        ("send", "comment_on", None, None),
        ("report", "message_id", ID.upper(), ID),
        ("upload", "sha256", "AB" * 32, "ab" * 32),
        ("upload", "name", "A.TXT", "A.TXT"),
        ("join", "link", "ABC", "ABC"),
    ],
)
def test_ids_and_hashes_are_read_in_any_case(
    method: str, name: str, given: object, read: object
) -> None:
    least: dict[str, dict[str, object]] = {
        "history": {"chat_id": ID},
        "send": {"text": "x"},
        "report": {"user_id": ID, "reason": "x"},
        "upload": {"chat_id": ID, "name": "x", "size": 1, "sha256": "0" * 64},
        "join": {"link": "x"},
    }

    request = decode_request(
        encode_request(1, method, least[method] | {name: given})
    )

    assert getattr(request.params, name) == read


class TestRequests:
    def test_there_and_back(self) -> None:
        request = decode_request(
            encode_request(7, "send", {"token": "t", "text": "hi"})
        )

        assert (request.id, request.method.name, request.token) == (
            7,
            "send",
            "t",
        )
        assert isinstance(request.params, params.Send)
        assert request.params.text == "hi"

    def test_it_is_what_anybody_would_write(self) -> None:
        body = msgpack.packb([0, 2**64 - 1, "status", {"token": "t"}])

        assert decode_request(body).id == 2**64 - 1

    def test_connect_keeps_its_token(self) -> None:
        request = decode_request(encode_request(1, "connect", {"token": "t"}))

        assert request.token == "t"
        assert isinstance(request.params, params.Connect)
        assert request.params.token == "t"

    def test_hello_has_none(self) -> None:
        assert decode_request(encode_request(1, "hello", {})).token is None

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\xc1",
            b"\x94",
            b"\xdd\xff\xff\xff\xff",
            b"\x91" * 5000,
            b"\x94\x00\x01",
            b"\xa1\xff",
            b"\xff" * 100,
            b"\x80",
            b"\x90",
            msgpack.packb([0, 1, "hello"]),
            msgpack.packb([0, 1, "a", {}, 5]),
            msgpack.packb([0, -1, "hello", {}]),
            msgpack.packb([0, 1.0, "hello", {}]),
            msgpack.packb([0, True, "hello", {}]),
            msgpack.packb([0, None, "hello", {}]),
            msgpack.packb([0, "1", "hello", {}]),
            b"\x93\x00\x01\xa5hello",
        ],
    )
    def test_what_has_no_id(self, body: bytes) -> None:
        error = unreadable(body)

        assert error.id is None
        assert error.refused.code is Code.BAD_REQUEST

    @pytest.mark.parametrize(
        ("request_", "code", "field"),
        [
            ([1, 5, "hello", {}], Code.BAD_REQUEST, "type"),
            ([False, 5, "hello", {}], Code.BAD_REQUEST, "type"),
            ([0, 5, "nothing", {}], Code.UNKNOWN_METHOD, None),
            ([0, 5, None, {}], Code.UNKNOWN_METHOD, None),
            ([0, 5, ["hello"], {}], Code.UNKNOWN_METHOD, None),
            ([0, 5, "hello", []], Code.BAD_REQUEST, "params"),
            ([0, 5, "hello", None], Code.BAD_REQUEST, "params"),
            ([0, 5, "send", {}], Code.BAD_REQUEST, "text"),
            ([0, 5, "hello", {"x": 1}], Code.BAD_REQUEST, "x"),
            ([0, 5, "hello", {b"x": 1}], Code.BAD_REQUEST, None),
            ([0, 5, "hello", {1: 1}], Code.BAD_REQUEST, None),
        ],
    )
    def test_what_has_one(
        self, request_: list[Any], code: Code, field: str | None
    ) -> None:
        error = unreadable(msgpack.packb(request_))

        assert (error.id, error.refused.code) == (5, code)
        assert error.refused.data.get("field") == field

    @given(st.binary(max_size=200))
    @example(b"\xd6\xff\x00\x00\x00\x00")
    @example(b"\x94\x00\x01\xa5hello\xd6\xff\x00\x00\x00\x00")
    def test_any_bytes_get_an_answer(self, body: bytes) -> None:
        try:
            decode_request(body)
        except Unreadable as error:
            codec.encode_error(error.id, error.refused)

    @given(ANYTHING, st.sampled_from(sorted(METHOD_BY_NAME)))
    def test_any_parameters_get_an_answer(
        self, given_: Any, method: str
    ) -> None:
        id = None
        try:
            id = decode_request(pack([0, 1, method, given_])).id
        except Unreadable as error:
            id = error.id
            encode_error(error.id, error.refused)
        assert id == 1


class TestComplaints:
    @pytest.mark.parametrize(
        ("method", "given_", "message"),
        [
            ("send", {}, "`text` is missing."),
            ("ban", {"user_id": NOWHERE}, "`reason` is missing."),
            ("send", {"text": 5}, "`text` must be text, not an integer."),
            ("send", {"text": None}, "`text` must be text, not null."),
            ("send", {"text": b"x"}, "`text` must be text, not binary data."),
            (
                "send",
                {"text": "x", "chat_id": "zz"},
                "`chat_id` must be a UUID.",
            ),
            (
                "send",
                {"text": "x", "chat_id": 5},
                "`chat_id` must be text or null, not an integer.",
            ),
            (
                "send",
                {"text": "x", "chatid": "zz"},
                "`chatid` is not a parameter of this method.",
            ),
            (
                "send",
                {"text": "x", "files": ["q"]},
                "`files[0]` must be a UUID.",
            ),
            (
                "send",
                {"text": "x", "files": [NOWHERE] * 11},
                "`files` must have at most 10 entries.",
            ),
            (
                "send",
                {"text": "x", "idempotency_key": ""},
                "`idempotency_key` must not be empty.",
            ),
            (
                "send",
                {"text": "x", "idempotency_key": "x" * 65},
                "`idempotency_key` must have at most 64 characters.",
            ),
            (
                "send",
                {"text": "a\0b"},
                "`text` must not hold a NUL character.",
            ),
            (
                "users",
                {"chat_id": NOWHERE, "limit": 0},
                "`limit` must be at least 1.",
            ),
            (
                "users",
                {"chat_id": NOWHERE, "limit": 201},
                "`limit` must be at most 200.",
            ),
            (
                "unread",
                {"ack": 1},
                "`ack` must be true or false, not an integer.",
            ),
            (
                "scheduled",
                {"state": "lost"},
                "`state` must be pending, sent, failed or cancelled.",
            ),
            (
                "complaints",
                {"state": "lost"},
                "`state` must be open, dismissed or upheld.",
            ),
            (
                "resolve",
                {"id": NOWHERE, "verdict": "open"},
                "`verdict` must be dismissed or upheld.",
            ),
            (
                "set_role",
                {"user_id": NOWHERE, "role": "king"},
                "`role` must be member, moderator or admin.",
            ),
            (
                "schedule",
                {"text": "x", "send_at": "tomorrow"},
                "`send_at` must be an RFC 3339 time with an offset, such as "
                "2030-01-31T18:00:00+00:00.",
            ),
            (
                "schedule",
                {"text": "x", "send_at": "2030-01-31T18:00:00"},
                "`send_at` must be an RFC 3339 time with an offset, such as "
                "2030-01-31T18:00:00+00:00.",
            ),
            (
                "schedule",
                {"text": "x", "send_at": 5},
                "`send_at` must be a time as text, not an integer.",
            ),
            (
                "upload",
                {"chat_id": NOWHERE, "name": "a", "size": 1, "sha256": "x"},
                "`sha256` must be a SHA-256 in hexadecimal.",
            ),
            (
                "upload_chunk",
                {"file_id": NOWHERE, "offset": 0, "data": "AA"},
                "`data` must be binary data, not text.",
            ),
        ],
    )
    def test_they_say_what_to_do(
        self, method: str, given_: dict[str, Any], message: str
    ) -> None:
        refusal = complaint(method, **given_)

        assert refusal.message == message
        assert refusal.data == {"field": message.split("`")[1]}

    @pytest.mark.parametrize(
        "moment",
        [msgpack.Timestamp(4, n) for n in (0, 5)] + [msgpack.Timestamp(2**34)],
        ids=["32 bits", "64 bits", "96 bits"],
    )
    def test_a_time_is_text(self, moment: msgpack.Timestamp) -> None:
        """MessagePack has a type for times; clients of other languages
        may know no offset of theirs."""
        given = {"text": "x", "send_at": moment}

        refusal = unreadable(msgpack.packb([0, 1, "schedule", given])).refused

        assert refusal.message.startswith("`send_at` must be text;")
        assert refusal.data == {"field": "send_at"}

    def test_other_extensions_are_not_read(self) -> None:
        given = {"text": msgpack.ExtType(5, b"x")}

        refusal = unreadable(msgpack.packb([0, 1, "send", given])).refused

        assert refusal.code is Code.BAD_REQUEST

    def test_words_that_are_not_known_are_handed_on(self) -> None:
        """A later msgspec may have others."""
        refusal = validation_messages.complaint("Too odd - at `$.text`")

        assert refusal.message == "`text` is not right: Too odd."
        assert refusal.data == {"field": "text"}

    @pytest.mark.parametrize("end", ["\n", " ", "\0"])
    def test_an_id_ends_with_its_last_digit(self, end: str) -> None:
        assert complaint("exit", chat_id=NOWHERE + end).data == {
            "field": "chat_id"
        }
        assert complaint(
            "upload", chat_id=NOWHERE, name="a", size=1, sha256="0" * 64 + end
        ).data == {"field": "sha256"}

    def test_a_long_name_is_cut(self) -> None:
        refusal = complaint("hello", **{"x" * 10_000: 1})

        assert len(refusal.message) < 200

    @pytest.mark.parametrize(
        "value", [float("nan"), float("inf"), 2**64 - 1, -(2**63), 2**53]
    )
    def test_numbers_out_of_bounds(self, value: float) -> None:
        assert complaint("read", chat_id=NOWHERE, seq=value).data == {
            "field": "seq"
        }


class TestAnswers:
    def test_a_result(self) -> None:
        sent = results.Sent(id="i", seq=1, chat_id="c", created="t")

        answer = decode_answer(encode_answer(7, sent))

        assert (answer.id, answer.error) == (7, None)
        assert answer.result == {
            "id": "i",
            "seq": 1,
            "chat_id": "c",
            "created": "t",
        }

    def test_an_error(self) -> None:
        body = encode_error(
            None, Refused(Code.BANNED, "You are banned.", until="then")
        )

        assert unpack(body) == [
            1,
            None,
            {
                "code": "banned",
                "message": "You are banned.",
                "data": {"until": "then"},
            },
            None,
        ]
        error = decode_answer(body).error
        assert error is not None
        with refused(Code.BANNED, until="then"):
            raise error

    def test_a_field_that_is_not_set_is_not_there(self) -> None:
        body = encode_answer(1, results.Joined(state="pending"))

        assert decode_answer(body).result == {"state": "pending"}

    def test_bytes_stay_bytes(self) -> None:
        body = encode_answer(
            1, results.Download(data=b"\xff\0", size=2, name="a", type="t")
        )

        assert decode_answer(body).result["data"] == b"\xff\0"

    def test_a_code_from_the_future(self) -> None:
        error = decode_answer(
            pack([1, 2, {"code": "new", "data": 5}, None])
        ).error

        assert error is not None
        assert (error.code, error.data) == (Code.INTERNAL, {})

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\xc1",
            pack([]),
            pack([0, 1, None, None]),
            pack([1, 1, {}]),
            pack([1, "1", None, {}]),
            pack([1, 1, "error", None]),
            pack({}),
        ],
    )
    def test_what_is_none(self, body: bytes) -> None:
        with pytest.raises(ValueError):  # noqa: PT011
            decode_answer(body)


def test_codes_have_one_wire_name_each() -> None:
    assert len(CODE_BY_WIRE) == len(Code)
    assert {code.http for code in Code} <= set(range(400, 600))


def test_times_are_taken_in_any_offset() -> None:
    checked = decode_request(
        pack(
            [
                0,
                1,
                "schedule",
                {"text": "x", "send_at": "2030-01-31T18:00:00+01:00"},
            ]
        )
    ).params

    assert isinstance(checked, params.Schedule)
    assert checked.send_at == datetime(2030, 1, 31, 17, tzinfo=UTC)


def test_parameters_are_frozen() -> None:
    checked = decode_request(pack([0, 1, "send", {"text": "x"}])).params

    with pytest.raises(AttributeError):
        checked.text = "y"  # type: ignore[attr-defined]
    assert isinstance(checked, msgspec.Struct)


def test_keys_that_collide_are_refused_before_a_map_is_built() -> None:
    """Hashes of tuples are not keyed, so a stranger can compute them."""
    keys = b"".join(b"\x92" + pack(n) + pack(n) + b"\x00" for n in range(1000))
    body = b"\x94\x00\x01\xa5hello\xde\x03\xe8" + keys

    error = unreadable(body)

    assert (error.id, error.refused.code) == (1, Code.BAD_REQUEST)
    nested = b"\x94\x00\x01\xa7connect\x81\xa5token\xde\x03\xe8" + keys
    assert decode_request(nested).token is False


def outcome(read: Callable[[bytes], Request], body: bytes) -> object:
    """What a reader makes of a body, to be compared."""
    try:
        request = read(body)
    except Unreadable as unread:
        return unread.id, unread.method, unread.refused.to_wire()
    names = request.method.params.__struct_fields__
    return (
        request.id,
        request.method.name,
        request.token,
        [getattr(request.params, name) for name in names],
    )


REQUESTS = st.tuples(
    st.sampled_from([0, 0, 0, 1, -1, None]),
    st.integers(-1, 2**64 - 1) | st.none(),
    st.sampled_from([*sorted(METHOD_BY_NAME), "no_such"]) | st.none(),
    st.dictionaries(
        st.sampled_from(
            ["token", "text", "chat_id", "files", "seq", "ack", "other"]
        ),
        ANYTHING
        | st.sampled_from([ID, ID.upper(), [ID.upper()], "nul\0", "x" * 300]),
        max_size=4,
    )
    | ANYTHING,
)


class TestBothWaysOfReading:
    @given(REQUESTS, st.booleans())
    def test_requests(self, request_: tuple[object, ...], cut: bool) -> None:
        body = pack(request_[:3] if cut else request_)
        assert outcome(decode_request, body) == outcome(decode_carefully, body)

    @given(st.binary(max_size=60))
    def test_bytes(self, body: bytes) -> None:
        assert outcome(decode_request, body) == outcome(decode_carefully, body)

    @given(REQUESTS, st.integers(0, 400), st.integers(0, 255))
    def test_a_byte_is_another(
        self, request_: tuple[object, ...], place: int, byte: int
    ) -> None:
        changed = bytearray(pack(request_))
        changed[place % len(changed)] = byte
        body = bytes(changed)
        assert outcome(decode_request, body) == outcome(decode_carefully, body)

    @pytest.mark.parametrize(
        "parts",
        [
            [False, 1, "hello", {}],
            [0.0, 1, "hello", {}],
            [0, True, "hello", {}],
            [0, 1.0, "hello", {}],
            [0, 1, b"hello", {}],
            [0, 1, "hello", []],
            [0, 1, "hello", None],
            [0, 1, "hello", {}, 5],
            [0, 1, "status", {"token": 7}],
            [0, 1, "status", {"token": None}],
        ],
    )
    def test_values_that_are_nearly_right(self, parts: list[object]) -> None:
        body = pack(parts)
        assert outcome(decode_request, body) == outcome(decode_carefully, body)


class Twice(NamedTuple):
    """A map that MessagePack can carry and no dict can hold."""

    pairs: list[tuple[str, object]]

    def request(self, method: str) -> bytes:
        count = len(self.pairs)
        head = (
            bytes([0x80 | count])
            if count < 16
            else b"\xdf" + count.to_bytes(4, "big")
        )
        return b"".join(
            (
                b"\x94\x00\x05",
                pack(method),
                head,
                *(pack(key) + pack(value) for key, value in self.pairs),
            )
        )


class TestAParameterThatIsGivenTwice:
    @pytest.mark.parametrize(
        ("method", "pairs", "field"),
        [
            ("send", [("text", "a"), ("text", "b")], "text"),
            ("send", [("text", "a"), ("text", "a")], "text"),
            ("send", [("token", "x"), ("text", "a"), ("token", "x")], "token"),
            ("send", [("text", "a"), ("files", None), ("files", [])], "files"),
            ("chats", [("depth", 1), ("depth", 1)], "depth"),
            ("react", [("message_id", ID), ("emoji", "x")] * 2, "message_id"),
            ("unread", [("ack", False), ("ack", True)], "ack"),
            ("connect", [("name", "ann"), ("name", "bob")], "name"),
            ("rotate_token", [("token", "a"), ("token", "b")], "token"),
            (
                "schedule",
                [
                    ("text", "a"),
                    ("send_at", "2030-01-31T18:00:00+00:00"),
                    ("text", "b"),
                ],
                "text",
            ),
        ],
    )
    def test_it_is_refused_by_name(
        self, method: str, pairs: list[tuple[str, object]], field: str
    ) -> None:
        body = Twice(pairs).request(method)
        caught = unreadable(body)
        assert caught.id == 5
        assert caught.refused.code is Code.BAD_REQUEST
        assert caught.refused.message == (
            f"`{field}` is given twice. Give each parameter once."
        )
        assert caught.refused.data == {"field": field}
        assert outcome(decode_request, body) == outcome(decode_carefully, body)

    def test_thousands_of_times(self) -> None:
        pairs: list[tuple[str, object]] = [("text", "a")] * 20_000
        refusal = unreadable(Twice(pairs).request("send")).refused
        assert refusal.message == "A parameter is given twice. Give each once."
        assert refusal.data == {}

    def test_nil_is_not_taken_for_a_second_one(self) -> None:
        given = {"text": "a", "chat_id": None, "files": None, "token": None}
        assert decode_request(pack([0, 5, "send", given])).params

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["token", "text", "chat_id", "files"]),
                st.sampled_from([None, "x", ID, [ID]]),
            ),
            max_size=7,
        )
    )
    def test_both_ways_agree_and_none_takes_it(
        self, pairs: list[tuple[str, object]]
    ) -> None:
        body = Twice(pairs).request("send")
        found = outcome(decode_request, body)
        assert found == outcome(decode_carefully, body)
        names = [name for name, _ in pairs]
        if len(names) != len(set(names)):
            refusal = unreadable(body).refused
            assert refusal.code is Code.BAD_REQUEST

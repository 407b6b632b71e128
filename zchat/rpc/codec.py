"""Requests, answers and events as MessagePack bytes, and back.

A request is `[0, id, method, params]`, an answer
`[1, id, error, result]` (protocol.md, "RPC").
"""

from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from zchat.errors import Code, Refused
from zchat.rpc.complaints import complaint
from zchat.rpc.methods import METHOD_BY_NAME, TOKEN, Method
from zchat.rpc.params import Params

REQUEST: Final = 0
ANSWER: Final = 1
_MAX_ID: Final = 2**64


class Request(NamedTuple):
    """A request whose parameters were checked against its struct."""

    id: int
    method: Method
    token: object
    params: Params


class Unreadable(Exception):
    """A request that gets an error answer; `id` is None if unknown."""

    def __init__(self, id: int | None, refused: Refused) -> None:
        super().__init__(refused.message)
        self.id = id
        self.refused = refused


class Answer(NamedTuple):
    """An answer as a client sees it; one of the two is None."""

    id: int | None
    error: Refused | None
    result: Any


def _refuse_extension(code: int, data: memoryview) -> object:
    raise ValueError(f"extension type {code}")


_decode: Final = msgspec.msgpack.Decoder(ext_hook=_refuse_extension).decode
_encode: Final = msgspec.msgpack.Encoder().encode


def unpack(body: bytes) -> Any:
    """The object in a MessagePack body.

    Raises ValueError for whatever cannot be read: garbage, a claimed
    length beyond the body, text that is not UTF-8, extension types
    (but for timestamps, which `check_params` refuses).
    """
    try:
        return _decode(body)
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError,
            OverflowError) as error:
        raise ValueError(str(error) or type(error).__name__) from None


def pack(value: Any) -> bytes:
    """The MessagePack body of plain values."""
    return _encode(value)


def _bad(message: str, field: str | None = None) -> Refused:
    if field is None:
        return Refused(Code.BAD_REQUEST, message)
    return Refused(Code.BAD_REQUEST, message, field=field)


def decode_request(body: bytes) -> Request:
    """The request in a body; raises Unreadable with the answer to give."""
    kind, id, name, parameters = _four_parts(body)
    if type(kind) is not int or kind != REQUEST:
        raise Unreadable(id, _bad("A request begins with 0.", "type"))
    method = METHOD_BY_NAME.get(name) if type(name) is str else None
    if method is None:
        raise Unreadable(id, Refused(
            Code.UNKNOWN_METHOD, "There is no such method; see the table "
            "of methods in protocol.md."))
    if type(parameters) is not dict:
        raise Unreadable(id, _bad(
            "The parameters must be a map of names to values.", "params"))
    token = parameters.get(TOKEN)
    if TOKEN in parameters and not method.names_token:
        del parameters[TOKEN]
    try:
        return Request(
            id, method, token, check_params(method, parameters))
    except Refused as refused:
        raise Unreadable(id, refused) from None


def _four_parts(body: bytes) -> tuple[object, int, object, Any]:
    """Type, id, method and parameters, of which the id is checked."""
    try:
        request = unpack(body)
    except ValueError as error:
        raise Unreadable(None, _bad(
            "The body is not MessagePack that can be read here: "
            f"{error}. Send [0, id, method, params].")) from None
    if type(request) is not list or len(request) != 4:
        raise Unreadable(None, _bad(
            "A request is an array of four: [0, id, method, params]."))
    kind, id, name, parameters = request
    if type(id) is not int or not 0 <= id < _MAX_ID:
        raise Unreadable(None, _bad(
            "The id must be an unsigned integer.", "id"))
    return kind, id, name, parameters


def check_params(method: Method, parameters: dict[Any, Any]) -> Params:
    """The parameters as the method's struct; raises Refused."""
    try:
        checked = msgspec.convert(
            parameters, method.params, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise complaint(str(error)) from None
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise _bad(
            "A value of the parameters is out of bounds.") from None
    for name, value in parameters.items():
        if type(value) is datetime:
            raise _bad(
                f"`{name}` must be text; MessagePack's timestamps are not "
                "read here.", name)
        if type(value) is str and "\x00" in value and name != TOKEN:
            raise _bad(
                f"`{name}` must not hold a NUL character.", name)
    return checked


def encode_answer(id: int, result: msgspec.Struct) -> bytes:
    """The body of an answer that carries a result."""
    return _encode((ANSWER, id, None, result))


def encode_error(id: int | None, refused: Refused) -> bytes:
    """The body of an answer that carries an error."""
    return pack((ANSWER, id, refused.to_wire(), None))


def encode_request(id: int, method: str, params: dict[str, Any]) -> bytes:
    """The body of a request."""
    return pack((REQUEST, id, method, params))


def decode_answer(body: bytes) -> Answer:
    """The answer in a body; raises ValueError if it is none."""
    answer = unpack(body)
    if type(answer) is not list or len(answer) != 4 or answer[0] != ANSWER:
        raise ValueError("not an answer")
    _, id, error, result = answer
    if id is not None and type(id) is not int:
        raise ValueError("not an answer")
    if error is None:
        return Answer(id, None, result)
    if type(error) is not dict:
        raise ValueError("not an answer")
    return Answer(id, Refused.from_wire(error), None)

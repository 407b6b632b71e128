"""Requests, answers and events as MessagePack bytes, and back.

A request is `[0, id, method, params]`, an answer
`[1, id, error, result]` (docs/reference/protocol.md).

A request is read in two ways. The quick one decodes straight into typed
structs and takes only what is right in every part. Whatever it refuses
is read again part by part, which finds the request's id, where there is
one, and says what is wrong. What both take, they read as the same.

A map may carry a key twice, and a struct does not tell. A field with
another value than its default was given at least once; so where the map
has as many entries as there are such fields, each was given just once.
Only where it has more are its keys counted.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import ne
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import inspect
from msgspec.structs import astuple

from zchat.errors import Code, Refused
from zchat.rpc.methods import METHODS, TOKEN, Method
from zchat.rpc.params import ID_PATTERN, LOWER, Params
from zchat.rpc.validation_messages import complaint

REQUEST: Final = 0
ANSWER: Final = 1
IDS_KEPT: Final = 16_384
_NIL: Final = msgspec.Raw(b"\xc0")
_matches_id: Final = re.compile(ID_PATTERN).search
_MAPS: Final = frozenset(
    bytes([first]) for first in (*range(0x80, 0x90), 0xDE, 0xDF)
)
_MAPS_FROM: Final = 0x80
_MAP_16: Final = 0xDE
_NAMED_AT_MOST: Final = 64
"""Entries of a map that are looked through to name one."""
_EXTENSIONS: Final = frozenset(
    bytes([first]) for first in (*range(0xC7, 0xCA), *range(0xD4, 0xD9))
)
_ERRORS: Final = (
    msgspec.DecodeError,
    ValueError,
    TypeError,
    RecursionError,
    OverflowError,
)
_NOT_QUICKLY: Final = (*_ERRORS, KeyError, Refused)
_NOT_FOUR: Final = "A request is an array of four: [0, id, method, params]."


class Request(msgspec.Struct, frozen=True, gc=False):
    """A request whose parameters were checked against its struct."""

    id: int
    method: Method
    token: object
    params: Params


class Unreadable(Exception):
    """A request that gets an error answer.

    `id` is None if unknown, and `method` empty.
    """

    def __init__(
        self, id: int | None, refused: Refused, method: str = ""
    ) -> None:
        super().__init__(refused.message)
        self.id = id
        self.refused = refused
        self.method = method


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
    length beyond the body, text that is not UTF-8, extension types.
    For bodies of those that are trusted to make them: who makes the
    keys of a map can make them collide.
    """
    try:
        return _decode(body)
    except _ERRORS as error:
        raise ValueError(str(error) or type(error).__name__) from None


def pack(value: Any) -> bytes:
    """The MessagePack body of plain values."""
    return _encode(value)


def _bad(message: str, field: str | None = None) -> Refused:
    if field is None:
        return Refused(Code.BAD_REQUEST, message)
    return Refused(Code.BAD_REQUEST, message, field=field)


class _Reader:
    """Reads the parameters of one method, and the token beside them.

    All is read straight into typed fields: a map that a stranger made
    is never built, since its keys may be made to collide.
    """

    def __init__(self, method: Method) -> None:
        self._names_token = method.names_token
        self._decode = _decoder(_beside_token(method, msgspec.Raw, _NIL))
        params = inspect.type_info(method.params)
        assert isinstance(params, inspect.StructType)
        quick = _beside_token(
            method, str | None, None, [f for f in params.fields if _is_id(f)]
        )
        self._decode_quickly = _decoder(quick)
        self._moments = tuple(
            field.name for field in params.fields if _is_moment(field.type)
        )
        self._is_slow = method.names_token or bool(self._moments)
        self._lower = tuple(
            quick.__struct_fields__.index(field.name)
            for field in params.fields
            if _any_case(field.type) and not _is_id(field)
        )
        self._ids = tuple(
            quick.__struct_fields__.index(field.name)
            for field in params.fields
            if _is_id(field)
        )
        defaults = {field.name: _default_of(field) for field in params.fields}
        self._defaults = [
            defaults.get(name) for name in quick.__struct_fields__
        ]
        self._full = len(self._defaults) + _MAPS_FROM
        if any(value is not None for value in self._defaults):
            self._full = -1

    def read_quickly(self, body: bytes) -> tuple[object, Params]:
        """As `read`; raises Refused or one of _ERRORS at any doubt."""
        if self._is_slow:
            raise ValueError("only read part by part")
        given = self._decode_quickly(body)
        self._settle(body, given)
        return given.token, given

    def _settle(self, body: bytes, given: Any) -> None:
        """Each parameter once, ids in lower case, no text with a NUL."""
        values = astuple(given)
        if body[0] + values.count(None) != self._full:
            self._refuse_twice(body, values)
        for place in self._ids:
            value = values[place]
            if value is not None and _lower_id(value) != value:
                _to_lower(given, place, value)
        for place in self._lower:
            if values[place] is not None:
                _to_lower(given, place, values[place])
        if 0 in body:
            _refuse_nul(given)

    def _refuse_twice(self, body: bytes, values: Sequence[Any]) -> None:
        if body[0] != _MAPS_FROM + sum(map(ne, values, self._defaults)):
            _refuse_twice(body)

    def read(self, body: bytes) -> tuple[object, Params]:
        """The token and the parameters; raises Refused."""
        try:
            given = self._decode(body)
        except msgspec.ValidationError as error:
            raise complaint(str(error)) from None
        except _ERRORS:
            raise _bad("A parameter's value cannot be read.") from None
        _refuse_twice(body)
        for name in self._moments:
            _refuse_timestamp(body, name)
        self._settle(body, given)
        token = _typed(_decode_token, given.token, False)
        if self._names_token:
            given = msgspec.structs.replace(given, token=token)
        return token, given


def _beside_token(
    method: Method,
    token: Any,
    default: object,
    texts: Sequence[inspect.Field] = (),
) -> type[msgspec.Struct]:
    """A method's parameters, and a token of the given type.

    Fields in `texts` may be any text.
    """
    fields: list[Any] = [(TOKEN, token, default)]
    fields += [
        (field.name, str) if field.required else (field.name, str | None, None)
        for field in texts
    ]
    return msgspec.defstruct(
        method.params.__name__,
        fields,
        bases=(method.params,),
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )


def _is_moment(kind: inspect.Type) -> bool:
    """Whether a field holds a time, described or not."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return isinstance(kind, inspect.DateTimeType)


def _default_of(field: inspect.Field) -> object:
    return None if field.required else field.default


def _is_id(field: inspect.Field) -> bool:
    """Whether a field holds an id, or one or nothing."""
    kind = field.type
    if isinstance(kind, inspect.UnionType):
        kinds = [k for k in kind.types if not isinstance(k, inspect.NoneType)]
        kind = kinds[0] if len(kinds) == 1 else kind
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return isinstance(kind, inspect.StrType) and kind.pattern == ID_PATTERN


@lru_cache(maxsize=IDS_KEPT)
def _lower_id(text: str) -> str:
    """The id in lower case; raises ValueError where it is none.

    Matching a pattern takes longer than all else in a request that is
    read quickly, and most ids were seen just before.
    """
    if not _matches_id(text):
        raise ValueError("not an id")
    return text.lower()


def _any_case(kind: inspect.Type) -> bool:
    """Whether a field holds ids, or other text that has no case."""
    if isinstance(kind, inspect.Metadata):
        return LOWER in (kind.extra or {}) or _any_case(kind.type)
    if isinstance(kind, inspect.UnionType):
        return any(map(_any_case, kind.types))
    return isinstance(kind, inspect.ListType) and _any_case(kind.item_type)


def _to_lower(given: Params, place: int, value: str | list[str]) -> None:
    """Ids are kept in lower case, however they were sent."""
    lower = (
        value.lower()
        if isinstance(value, str)
        else [one.lower() for one in value]
    )
    if lower != value:
        name = given.__struct_fields__[place]
        msgspec.structs.force_setattr(given, name, lower)


def _refuse_twice(body: bytes) -> None:
    """Each key once; all are names of fields by now, so they are few."""
    count, start = _entries(body)
    if count == len(_decode_fields(body)):
        return
    if count > _NAMED_AT_MOST:
        raise _bad("A parameter is given twice. Give each once.")
    # The same bytes as a list: name, value, name, value …
    size = (2 * count).to_bytes(2, "big")
    keys = _decode_parts(b"\xdc" + size + body[start:])[::2]
    times = Counter(map(_decode_text, keys))
    name = max(times, key=lambda one: times[one])
    raise _bad(f"`{name}` is given twice. Give each parameter once.", name)


def _entries(body: bytes) -> tuple[int, int]:
    """How many entries a map has, and where they begin."""
    if body[0] < _MAP_16:
        return body[0] & 0x0F, 1
    size = 2 if body[0] == _MAP_16 else 4
    return int.from_bytes(body[1 : 1 + size], "big"), 1 + size


def _refuse_timestamp(body: bytes, name: str) -> None:
    """A time travels as text; MessagePack's own form is not read."""
    value = bytes(_decode_fields(body).get(name, _NIL))
    if value[:1] in _EXTENSIONS:
        raise _bad(
            f"`{name}` must be text; MessagePack's timestamps are not read "
            "here.",
            name,
        )


def _refuse_nul(given: Any) -> None:
    for name in given.__struct_fields__:
        value = getattr(given, name)
        if type(value) is str and "\x00" in value:
            raise _bad(f"`{name}` must not hold a NUL character.", name)


def _typed(
    decode: Callable[[Any], Any], raw: msgspec.Raw, otherwise: object
) -> Any:
    """The value of a part; `otherwise` where it is of another type."""
    try:
        return decode(raw)
    except _ERRORS:
        return otherwise


class _Frame(
    msgspec.Struct,
    array_like=True,
    forbid_unknown_fields=True,
    frozen=True,
    gc=False,
):
    """A request whose parameters have not been read yet."""

    kind: Literal[0]
    id: Annotated[int, msgspec.Meta(ge=0)]
    method: str
    params: msgspec.Raw


def decode_request(body: bytes) -> Request:
    """The request in a body; raises Unreadable with the answer to give."""
    try:
        frame = _decode_frame(body)
        method, reader = _READERS[frame.method]
        token, params = reader.read_quickly(bytes(frame.params))
    except _NOT_QUICKLY:
        return decode_carefully(body)
    return Request(frame.id, method, token, params)


def decode_carefully(body: bytes) -> Request:
    """As `decode_request`, part by part."""
    kind, id_body, name, parameters = _four_parts(body)
    id = _typed(_decode_id, id_body, None)
    if id is None:
        raise Unreadable(
            None, _bad("The request id must be an unsigned integer.", "id")
        )
    if _typed(_decode_id, kind, None) != REQUEST:
        raise Unreadable(id, _bad("A request must start with 0.", "type"))
    found = _READERS.get(_typed(_decode_text, name, None))
    if found is None:
        raise Unreadable(
            id,
            Refused(
                Code.UNKNOWN_METHOD,
                "Unknown method. docs/reference/methods.md lists them all.",
            ),
        )
    given = bytes(parameters)
    if given[:1] not in _MAPS:
        raise Unreadable(
            id,
            _bad("The parameters must be a map of names to values.", "params"),
        )
    method, reader = found
    try:
        token, params = reader.read(given)
    except Refused as refused:
        raise Unreadable(id, refused, method.name) from None
    return Request(id, method, token, params)


def _four_parts(body: bytes) -> list[msgspec.Raw]:
    """Type, id, method and parameters, as they came."""
    try:
        parts: list[msgspec.Raw] = _decode_parts(body)
    except msgspec.ValidationError:
        raise Unreadable(None, _bad(_NOT_FOUR)) from None
    except _ERRORS as error:
        raise Unreadable(
            None,
            _bad(
                "The body is not MessagePack that can be read here: "
                f"{error}. Send [0, id, method, params]."
            ),
        ) from None
    if len(parts) != 4:
        raise Unreadable(None, _bad(_NOT_FOUR))
    return parts


def _decoder(kind: Any) -> Callable[[Any], Any]:
    return msgspec.msgpack.Decoder(kind, ext_hook=_refuse_extension).decode


_decode_parts: Final = _decoder(list[msgspec.Raw])
_decode_fields: Final = _decoder(dict[str, msgspec.Raw])
_decode_id: Final = _decoder(Annotated[int, msgspec.Meta(ge=0)])
_decode_text: Final = _decoder(str)
_decode_token: Final = _decoder(str | None)
_decode_frame: Final = _decoder(_Frame)
_READERS: Final = {
    method.name: (method, _Reader(method)) for method in METHODS
}


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

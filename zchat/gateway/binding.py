"""From a request to a method's parameters, and from answers to HTTP."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect

from zchat.errors import Code, Refused
from zchat.gateway.messages import Request, Response
from zchat.gateway.router import Values
from zchat.rpc.methods import KEY, TOKEN, Method, Route
from zchat.rpc.validation_messages import complaint

_MOST_FIELDS: Final = 100
_LONGEST_NAME: Final = 64
# Some integers beyond 64 bits are text to msgspec.
_LARGE_INTEGER: Final = re.compile("-?[1-9][0-9]{17,400}")
_PLAIN: Final[dict[type[inspect.Type], type]] = {
    inspect.IntType: int,
    inspect.BoolType: bool,
    inspect.ListType: list,
}


class Call(msgspec.Struct):
    """A method to call: the token, and the other parameters.

    `claimed` is the public id that stood where a token may stand; it
    has to be the caller's own.
    """

    method: Method
    token: object
    params: dict[str, Any]
    claimed: object = None

    def wire(self) -> dict[str, Any]:
        """The parameters as they travel."""
        if self.token is None:
            return self.params
        return {TOKEN: self.token} | self.params

    def may_repeat(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.method.may_repeat(self.params)


class Binding:
    """How one route gives its method the parameters."""

    def __init__(self, method: Method, route: Route) -> None:
        self.method = method
        self.route = route
        self._names = set(method.params.__struct_fields__)
        self._field_of = {
            parameter: field for field, parameter in route.rename.items()
        }
        params = inspect.type_info(method.params)
        assert isinstance(params, inspect.StructType)
        self._read_text = {
            field.name: _reader_of(field.type) for field in params.fields
        }
        self._nullable = {
            field.name
            for field in params.fields
            if _may_be(inspect.NoneType, field.type)
        }
        self._whole = {
            field.name
            for field in params.fields
            if _may_be(inspect.IntType, field.type)
        }

    def call(self, request: Request, values: Values) -> Call:
        """The call that a request means; raises Refused.

        Parameters come from the path, the query and the JSON body, a
        body on GET included.
        """
        params: dict[str, Any] = {**self.route.fixed, **values}
        if request.query:
            self._merge(params, self._queried(request.query))
        if request.body and not self.route.raw:
            self._merge(params, _document(request.body).items())
        self._take_key(request, params)
        if request.method == "HEAD":
            self._check_changes_nothing(params)
        given = params.pop(TOKEN, None)
        bearer = bearer_token(request)
        if bearer is None or given in (None, bearer):
            return Call(self.method, bearer or given, params)
        return Call(self.method, bearer, params, given)

    def _check_changes_nothing(self, params: dict[str, Any]) -> None:
        """HEAD is safe (RFC 9110, 9.2.1), and its answer is not seen."""
        name = self.method.changes_if
        if name and params.get(name):
            raise _bad(f"`{name}` changes something. Use GET.", name)

    def _merge(
        self, params: dict[str, Any], fields: Iterator[tuple[str, Any]] | Any
    ) -> None:
        rename = self.route.rename
        for field, value in fields:
            name = rename.get(field, field)
            if name in params:
                raise _bad(f"{field} is given twice. Give it once.", field)
            params[name] = (
                _whole(value)
                if value.__class__ is float and name in self._whole
                else value
            )

    def _queried(self, query: str) -> Iterator[tuple[str, Any]]:
        try:
            pairs = parse_qsl(
                query,
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MOST_FIELDS,
            )
        except ValueError:
            raise _bad(
                "The query must be UTF-8 text of the form a=b&c=d.", "query"
            ) from None
        for field, text in pairs:
            name = self.route.rename.get(field, field)
            if not text and name in self._nullable:
                raise _bad(
                    f"`{field}` is empty. Leave it out, or give a value.",
                    field,
                )
            read = self._read_text.get(name)
            try:
                yield field, read(text) if read else text
            except msgspec.ValidationError as error:
                raise complaint(f"{error} - at `$.{field}`") from None

    def _take_key(self, request: Request, params: dict[str, Any]) -> None:
        header = request.headers.get(b"idempotency-key")
        if header is None or KEY not in self._names:
            return
        key = header.decode("latin-1")
        if params.setdefault(KEY, key) != key:
            raise _bad(
                "The Idempotency-Key header and the body give different "
                "keys. Give one.",
                KEY,
            )

    def refusal(self, refused: Refused) -> Refused:
        """A refusal of the method in the words of the route."""
        name = refused.data.get("field")
        field = self._field_of.get(name) if isinstance(name, str) else None
        if field is None:
            return refused
        message = refused.message.replace(f"`{name}`", f"`{field}`")
        if message.startswith(f"{name}: "):
            message = field + message.removeprefix(f"{name}")
        renamed = Refused(refused.code, message)
        renamed.data = refused.data | {"field": field}
        return renamed


def bearer_token(request: Request) -> str | None:
    """The token of the Authorization field, if there is that field."""
    header = request.headers.get(b"authorization")
    if header is None:
        return None
    scheme, _, token = header.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refused(
            Code.UNAUTHORIZED,
            "The Authorization header must be: Bearer TOKEN.",
        )
    return token.strip()


def json_answer(result: Any) -> Response:
    """A method's result as a line of JSON; bytes become base64."""
    return Response(200, msgspec.json.encode(result) + b"\n")


def _bad(message: str, field: str) -> Refused:
    return Refused(Code.BAD_REQUEST, message, field=field)


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise Refused(
            Code.BAD_REQUEST, "The body is not JSON: it is not UTF-8."
        ) from None
    except (msgspec.DecodeError, RecursionError) as error:
        if isinstance(error, msgspec.ValidationError):
            _name_the_number(body)
        raise Refused(
            Code.BAD_REQUEST, f"The body is not JSON: {error}."
        ) from None
    if not isinstance(document, dict):
        raise Refused(Code.BAD_REQUEST, "The body must be a JSON object.")
    return document


def _name_the_number(body: bytes) -> None:
    """Refuse the field whose number is beyond all that can be read."""
    try:
        pieces = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    for name, piece in pieces.items():
        try:
            msgspec.json.decode(piece)
        except msgspec.ValidationError:
            field = name[:_LONGEST_NAME]
            raise _bad(f"`{field}` is too large a number.", field) from None


def _whole(number: float) -> int | float:
    """To JSON, 5 and 5.0 are one number (RFC 8259, 6)."""
    return int(number) if number.is_integer() else number


def _kinds(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def _may_be(what: type[inspect.Type], kind: inspect.Type) -> bool:
    return any(isinstance(one, what) for one in _kinds(kind))


def _reader_of(kind: inspect.Type) -> Any:
    """What makes a parameter of the text in a query, or None for text."""
    plain = next(
        (_PLAIN[type(one)] for one in _kinds(kind) if type(one) in _PLAIN),
        None,
    )
    if plain is None:
        return None

    def read(text: str) -> Any:
        if plain is list:
            return text.split(",")
        if plain is int and _LARGE_INTEGER.fullmatch(text):
            return int(text)
        return msgspec.convert(text, plain, strict=False)

    return read

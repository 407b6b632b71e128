"""Damaged input for whatever reads what strangers send.

Each target takes bytes and must either read them or refuse them in its
own way; anything else it raises is a fault. The inputs are mutations of
good ones, so that they get past the first check. The same seed gives the
same inputs. `make fuzz` runs millions (`python -m tests.fuzzing`), the
tests thousands (tests/unit/test_fuzzing.py).
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec import inspect

from zchat.errors import Code
from zchat.gateway.body import StreamedBody
from zchat.gateway.exchange import Exchange
from zchat.gateway.limits import Limits
from zchat.gateway.messages import Headers, Refusal, Response
from zchat.gateway.reader import RequestReader
from zchat.gateway.states import Machine
from zchat.rpc.codec import (
    Request,
    Unreadable,
    decode_answer,
    decode_request,
    encode_error,
    encode_request,
)
from zchat.rpc.methods import METHODS, TOKEN

LONGEST: Final = 4_096
SHARE: Final = {"requests": 5, "answers": 2, "http": 3}
"""How the inputs are divided between the targets."""
_ID: Final = "0198f1a0-0000-7000-8000-000000000001"
_TEXTS: Final = (
    "",
    "x",
    _ID,
    "\0",
    "\ud800",
    "2026-01-01T00:00:00+00:00",
    "é" * 40,
    "a" * 64,
)
_BYTES: Final = (
    b"\xc0",
    b"\xc1",
    b"\x80",
    b"\xdf\xff\xff\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc7\x0c\xff",
    b"\xd6\xff\x00\x00\x00\x00",
    b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
    b"\x94" * 40,
    b"\x81\xa1x" * 40,
    b"\xa1\xff",
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b": ",
    b"Content-Length: 5\r\n",
    b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Host: a\r\nHost: b\r\n",
    b"ffffffffffffffff\r\n",
    b"0\r\n\r\n",
    b"%00%0d%0a",
    b"HTTP/9.9",
    b"\xff\xfe",
)
"""Pieces with a meaning to one reader or the other."""


class Fault(Exception):
    """A reader raised what it must not; `data` is the input."""

    def __init__(self, target: str, data: bytes, error: BaseException) -> None:
        super().__init__(f"{target}: {error!r} for {data!r}")
        self.data = data


class Tally(NamedTuple):
    """What became of the inputs of one target."""

    read: int
    refused: int


def read_request(data: bytes) -> bool:
    """Whether a request was read; a refusal must have an answer."""
    try:
        request = decode_request(data)
    except Unreadable as unreadable:
        encode_error(unreadable.id, unreadable.refused)
        return False
    assert type(request) is Request
    return True


def read_answer(data: bytes) -> bool:
    """Whether a client could read the answer."""
    try:
        decode_answer(data)
    except ValueError:
        return False
    return True


def read_http(data: bytes) -> bool:
    """Whether there was a request in the bytes, in two pieces."""
    taken: list[Exchange] = []
    reader = RequestReader(
        Limits(),
        Machine(),
        _allow,
        _upload_limit,
        lambda length: StreamedBody(length, lambda: None),
        taken.append,
    )
    cut = len(data) // 2
    try:
        reader.feed(data[:cut])
        reader.feed(data[cut:])
    except Refusal as refusal:
        if refusal.response.status not in _REFUSALS:
            raise ValueError("a refusal without a status") from refusal
    return bool(taken)


_REFUSALS: Final = frozenset(code.http for code in Code) | {
    405,
    411,
    414,
    415,
    417,
    431,
    501,
    505,
}


def _allow(host: bytes | None, headers: Headers) -> Response | None:
    return None


def _upload_limit(method: str, path: str) -> int | None:
    return 1_000 if (method, path) == ("POST", "/files") else None


def requests() -> list[bytes]:
    """A good request of each method, with each of its parameters."""
    found = [encode_request(1, "hello", {})]
    for method in METHODS:
        info = inspect.type_info(method.params)
        assert isinstance(info, inspect.StructType)
        params = {field.name: _sample(field.type) for field in info.fields}
        found.append(encode_request(7, method.name, params | {TOKEN: _ID}))
    return found


def _sample(kind: inspect.Type) -> object:
    """A value that a parameter of the type takes."""
    if isinstance(kind, inspect.Metadata):
        return _sample(kind.type)
    if isinstance(kind, inspect.UnionType):
        return _sample(kind.types[0])
    if isinstance(kind, inspect.IntType):
        return kind.ge or 0
    if isinstance(kind, inspect.ListType):
        return [_sample(kind.item_type)]
    if isinstance(kind, inspect.BytesType):
        return b"bytes"
    if isinstance(kind, inspect.BoolType):
        return True
    if isinstance(kind, inspect.DateTimeType):
        return "2030-01-01T00:00:00+00:00"
    pattern = getattr(kind, "pattern", None) or ""
    if "64" in pattern:
        return "a" * 64
    if "|" in pattern:
        return pattern.strip("^$()").split("|")[0]
    longest = getattr(kind, "max_length", None) or len(_ID)
    return _ID[:longest]


def answers() -> list[bytes]:
    """Answers as servers give them."""
    return [
        msgspec.msgpack.encode(answer)
        for answer in (
            (1, 7, None, {"id": _ID, "seq": 3}),
            (1, None, {"code": "conflict", "message": "x", "data": {}}, None),
            (1, 7, {"code": "new", "message": 5, "data": []}, None),
            (1, 7, None, [None, True, -1, 1.5, b"x", {"a": [1]}]),
        )
    ]


def http_requests() -> list[bytes]:
    """Requests of HTTP in the forms that there are."""
    host = b"Host: localhost:8000\r\n"
    return [
        b"GET /status HTTP/1.1\r\n"
        + host
        + b"Authorization: Bearer x\r\n\r\n",
        b"POST /send HTTP/1.1\r\n"
        + host
        + b"Content-Type: application/json\r\nContent-Length: 16\r\n\r\n"
        + b'{"message": "x"}',
        b"POST /files?chat_id=1&name=a HTTP/1.1\r\n"
        + host
        + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n",
        b"POST /files HTTP/1.1\r\n"
        + host
        + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\nabcd",
        b"GET http://other/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"HEAD / HTTP/1.1\r\n"
        + host
        + b"\r\nOPTIONS * HTTP/1.1\r\n"
        + host
        + b"\r\nDELETE /links/x HTTP/1.1\r\n"
        + host
        + b"\r\n",
        b"GET /events HTTP/1.1\r\n"
        + host
        + b"Last-Event-ID: 1\r\nRange: bytes=0-1\r\nOrigin: http://a\r\n\r\n",
    ]


def mutated(data: bytes, others: Sequence[bytes], by: random.Random) -> bytes:
    """The input with one to four kinds of damage."""
    made = bytearray(data)
    for _ in range(by.randrange(1, 5)):
        place = by.randrange(len(made) + 1)
        kind = by.randrange(8)
        if kind == 0 and made:
            made[place - 1] ^= 1 << by.randrange(8)
        elif kind == 1 and made:
            made[place - 1] = by.randrange(256)
        elif kind == 2:
            del made[place : place + by.randrange(1, 9)]
        elif kind == 3:
            del made[place:]
        elif kind == 4:
            made[place:place] = by.choice(_BYTES)
        elif kind == 5:
            other = by.choice(others)
            begin = by.randrange(len(other) + 1)
            made[place:] = other[begin:]
        elif kind == 6:
            made[place:place] = made[place : place + by.randrange(1, 40)]
        else:
            text = by.choice(_TEXTS).encode("utf-8", "surrogatepass")
            made[place:place] = bytes([0xA0 | (len(text) & 31)]) + text
    return bytes(made[:LONGEST])


TARGETS: Final[
    dict[str, tuple[Callable[[bytes], bool], Callable[[], list[bytes]]]]
] = {
    "requests": (read_request, requests),
    "answers": (read_answer, answers),
    "http": (read_http, http_requests),
}


def fuzz(target: str, count: int, seed: int) -> Tally:
    """Give a target so many damaged inputs; raises Fault."""
    read, corpus = TARGETS[target]
    good = corpus()
    by = random.Random(seed)
    was_read = 0
    for _ in range(count):
        data = mutated(by.choice(good), good, by)
        try:
            was_read += read(data)
        except Exception as error:
            raise Fault(target, data, error) from error
    return Tally(was_read, count - was_read)


def main() -> int:
    """Run all targets, and tell the figures; 1 after a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    for target, share in SHARE.items():
        count = given.inputs * share // sum(SHARE.values())
        began = time.monotonic()
        try:
            tally = fuzz(target, count, given.seed)
        except Fault as fault:
            path = Path(f"fuzz-{target}.bin")
            path.write_bytes(fault.data)
            print(f"{fault}\nkept in {path}")
            return 1
        seconds = time.monotonic() - began
        print(
            f"{target:9} {count:>10,} inputs  {tally.read:>9,} read  "
            f"{tally.refused:>9,} refused  {count / seconds:>8,.0f} a second",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

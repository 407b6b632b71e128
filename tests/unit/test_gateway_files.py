"""Files over HTTP where the world is not as it should be."""

import asyncio
import json
from collections.abc import AsyncGenerator
from hashlib import sha256
from typing import Any, NoReturn, cast

import pytest

from zchat.errors import Code, Refused
from zchat.gateway import files
from zchat.gateway.binding import Binding, Call
from zchat.gateway.calls import Caller
from zchat.gateway.files import Files
from zchat.gateway.messages import Request, Response
from zchat.rpc.methods import METHOD_BY_NAME


class Broker:
    """Answers downloads of one file, and knows every token."""

    def __init__(self, name: str, kind: str, data: bytes) -> None:
        self._found = {"name": name, "type": kind, "size": len(data)}
        self._data = data

    async def check_claim(self, call: Call) -> None:
        """Every claim is right."""

    async def user_id(self, token: object) -> str:
        return "a user"

    async def ask(
        self, method: str, params: dict[str, Any], may_repeat: bool = False
    ) -> Any:
        begin = params["offset"]
        end = begin + min(params["length"], 100)
        return self._found | {"data": self._data[begin:end]}


def binding(name: str) -> Binding:
    method = METHOD_BY_NAME[name]
    return Binding(method, method.routes[0])


async def ask(broker: Broker, range_: bytes | None, **more: bytes) -> Response:
    headers = {
        name.replace("_", "-").encode(): value for name, value in more.items()
    }
    if range_ is not None:
        headers[b"range"] = range_
    return await Files(cast(Caller, broker), 1000).download(
        binding("download"), Request("GET", "/files/x", "", headers), {}
    )


def asked_for(broker: Broker, range_: bytes) -> Response:
    """The answer without its body."""
    return asyncio.run(ask(broker, range_))


def download(
    broker: Broker, range_: bytes | None = None, **more: bytes
) -> tuple[Response, bytes]:
    async def get() -> tuple[Response, bytes]:
        answer = await ask(broker, range_, **more)
        assert answer.chunks is not None
        return answer, b"".join([chunk async for chunk in answer.chunks])

    return asyncio.run(get())


def test_a_file_is_put_together_of_pieces() -> None:
    data = bytes(range(250))
    answer, got = download(Broker("a", "text/plain", data))
    assert (got, answer.length, answer.content_type) == (
        data,
        250,
        "text/plain",
    )


@pytest.mark.parametrize(
    "kind", ["", "text", "a/b\r\nX: y", "text/html;", "é/a"]
)
def test_a_strange_type_is_any_type(kind: str) -> None:
    answer, _ = download(Broker("a", kind, b"a"))
    assert answer.content_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("name", "plain", "encoded"),
    [
        ('a"b', "a_b", "a%22b"),
        ("a\\b;c", "a_b_c", "a%5Cb%3Bc"),
        ("a\r\nX: b", "a__X_ b", "a%0D%0AX%3A%20b"),
        ("ф", "_", "%D1%84"),
    ],
)
def test_a_name_cannot_break_out_of_its_field(
    name: str, plain: str, encoded: str
) -> None:
    answer, _ = download(Broker(name, "text/plain", b"a"))
    assert dict(answer.fields)["Content-Disposition"] == (
        f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
    )


class Incoming:
    """A body without an announced length."""

    length = None

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        yield b"a" * 100


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, size: int) -> None:
            pass

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *error: object) -> None:
            """There is nothing to give back."""

        def write(self, data: bytes) -> NoReturn:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "SpooledTemporaryFile", Full)
    served = Files(cast(Caller, Broker("a", "text/plain", b"")), 1000)
    request = Request(
        "POST", "/files", "chat_id=c&name=a", {}, b"", cast(Any, Incoming())
    )
    with pytest.raises(Refused) as refused:
        asyncio.run(served.upload(binding("upload"), request, {}))
    assert refused.value.code is Code.UNAVAILABLE
    assert "No space left" in refused.value.message


def test_uploads_at_a_time_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "_UPLOADS_AT_ONCE", 0)
    served = Files(cast(Caller, Broker("a", "text/plain", b"")), 1000)
    with pytest.raises(Refused) as refused:
        asyncio.run(
            served.upload(
                binding("upload"), Request("POST", "/files", "", {}), {}
            )
        )
    assert refused.value.data["retry_after"] == 1


@pytest.mark.parametrize(
    ("field", "begin", "end"),
    [
        (b"bytes=0-9", 0, 10),
        (b"bytes=5-", 5, 250),
        (b"bytes=-5", 245, 250),
        (b"bytes=-999", 0, 250),
        (b"bytes=240-999", 240, 250),
        (b"bytes=249-249", 249, 250),
    ],
)
def test_a_range_is_a_part(field: bytes, begin: int, end: int) -> None:
    data = bytes(range(250))

    answer, got = download(Broker("a", "text/plain", data), field)

    assert got == data[begin:end]
    whole = (begin, end) == (0, 250)
    assert answer.status == (200 if whole else 206)
    told = None if whole else f"bytes {begin}-{end - 1}/250"
    assert dict(answer.fields).get("Content-Range") == told


@pytest.mark.parametrize(
    "field",
    [
        b"bytes=9-5",
        b"bytes=-",
        b"bytes=0-1,5-6",
        b"lines=0-1",
        b"bytes=1" + b"0" * 5_000 + b"-",
        b"bytes=\xb2-\xb3",
    ],
)
def test_what_is_no_range_is_everything(field: bytes) -> None:
    """RFC 9110, 14.2, allows it; a number may be as long as it likes."""
    answer, got = download(Broker("a", "text/plain", b"abc"), field)

    assert (answer.status, got) == (200, b"abc")


def test_a_range_of_what_it_may_not_be_any_longer_is_everything() -> None:
    """If-Range names a validator, and files have none."""
    broker = Broker("a", "text/plain", b"abc")

    answer, got = download(broker, b"bytes=1-1", if_range=b"Monday")

    assert (answer.status, got) == (200, b"abc")


@pytest.mark.parametrize("field", [b"bytes=3-", b"bytes=-0", b"bytes=9-12"])
def test_a_range_beyond_the_end_is_told_the_size(field: bytes) -> None:
    answer = asked_for(Broker("a", "text/plain", b"abc"), field)

    assert answer.status == 416
    assert dict(answer.fields)["Content-Range"] == "bytes */3"


def test_a_file_that_ends_too_soon_is_no_whole_file() -> None:
    """The connection breaks then (protocol.py), which the client sees."""
    broker = Broker("a", "text/plain", b"abc")
    broker._found["size"] = 4

    with pytest.raises(EOFError):
        download(broker)


class Uploads(Broker):
    """Takes one file in chunks of three bytes.

    `stands` is how much it has; `others` are numbers of bytes that
    another upload of the same file adds before each chunk of this one.
    """

    def __init__(self, data: bytes, stands: int = 0) -> None:
        super().__init__("a", "", b"")
        self.data = data
        self.stands = stands
        self.others: list[int] = []
        self.begun: dict[str, Any] = {}
        self.refused: Refused | None = None

    async def ask(
        self, method: str, params: dict[str, Any], may_repeat: bool = False
    ) -> Any:
        assert may_repeat
        if method == "upload":
            if self.refused is not None:
                raise self.refused
            self.begun = params
            return {
                "file_id": "f",
                "offset": self.stands,
                "chunk_size": 3,
            }
        offset, chunk = params["offset"], params["data"]
        assert chunk == self.data[offset : offset + 3]
        if self.others:
            self.stands += self.others.pop(0)
        if offset == self.stands:
            self.stands += len(chunk)
        return {
            "offset": self.stands,
            "complete": self.stands == len(self.data),
        }


class Body:
    """A body that comes in pieces of two bytes."""

    def __init__(self, data: bytes, length: int | None) -> None:
        self.length = length
        self._data = data
        self.is_read = False

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        for place in range(0, len(self._data), 2):
            yield self._data[place : place + 2]
        self.is_read = True


DATA = b"0123456789"
DIGEST = sha256(DATA).hexdigest()


def upload(
    broker: Broker, body: Body, query: str = "", **fields: str
) -> Response:
    """The answer to an upload; the whole of its body was read."""
    headers = {
        name.replace("_", "-").encode(): value.encode()
        for name, value in fields.items()
    }
    request = Request(
        "POST",
        "/files",
        f"chat_id=c&name=a{query}",
        headers,
        b"",
        cast(Any, body),
    )
    served = Files(cast(Caller, broker), 1000)
    answer = asyncio.run(served.upload(binding("upload"), request, {}))
    assert isinstance(answer, Response)
    assert body.is_read
    return answer


@pytest.mark.parametrize("stands", [0, 3, 7])
@pytest.mark.parametrize("length", [len(DATA), None])
def test_an_upload_goes_on_where_it_stands(
    stands: int, length: int | None
) -> None:
    """Also one whose length and hash are known at the end only."""
    broker = Uploads(DATA, stands)

    answer = upload(broker, Body(DATA, length), f"&sha256={DIGEST.upper()}")

    assert broker.stands == len(DATA)
    assert (broker.begun["size"], broker.begun["chat_id"]) == (10, "c")
    assert json.loads(answer.body) == {
        "file_id": "f",
        "name": "a",
        "size": 10,
        "sha256": DIGEST,
    }


def test_an_upload_whose_hash_is_unknown_is_hashed() -> None:
    broker = Uploads(DATA)

    upload(broker, Body(DATA, len(DATA)))

    assert broker.begun["sha256"] == DIGEST


def test_the_hash_may_be_a_header() -> None:
    broker = Uploads(DATA)

    upload(broker, Body(DATA, len(DATA)), x_content_sha256=DIGEST)

    assert broker.begun["sha256"] == DIGEST


def test_one_that_was_damaged_on_the_way_is_not_begun() -> None:
    broker = Uploads(DATA)

    with pytest.raises(Refused) as refused:
        upload(broker, Body(DATA, None), f"&sha256={'0' * 64}")

    assert refused.value.data["field"] == "sha256"
    assert broker.begun == {}


def test_two_uploads_of_one_file_help_each_other() -> None:
    """Each goes on where the other one got to."""
    broker = Uploads(DATA)
    broker.others = [0, 3, 0]

    upload(broker, Body(DATA, len(DATA)), f"&sha256={DIGEST}")

    assert broker.stands == len(DATA)


def test_one_that_comes_no_further_is_given_up() -> None:
    """The other one was discarded, and began again from the start."""
    broker = Uploads(DATA, stands=6)
    broker.others = [-6]

    with pytest.raises(Refused) as refused:
        upload(broker, Body(DATA, len(DATA)), f"&sha256={DIGEST}")

    assert refused.value.code is Code.CONFLICT


def test_a_refusal_is_told_in_the_callers_words() -> None:
    broker = Uploads(DATA)
    broker.refused = Refused(
        Code.BAD_REQUEST, "`chat_id` must be a UUID.", field="chat_id"
    )
    served = Files(cast(Caller, broker), 1000)
    request = Request("POST", "/files", "chat_id=c&name=a", {}, DATA)

    for _ in range(2):
        with pytest.raises(Refused) as refused:
            asyncio.run(served.upload(binding("upload"), request, {}))
        assert refused.value.data["field"] == "chat_id"
    assert served._uploads == 0

"""Files over HTTP where the world is not as it should be."""

import asyncio
from collections.abc import AsyncGenerator
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


def download(broker: Broker) -> tuple[Response, bytes]:
    async def get() -> tuple[Response, bytes]:
        answer = await Files(cast(Caller, broker), 1000).download(
            binding("download"), Request("GET", "/files/x", "", {}), {}
        )
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

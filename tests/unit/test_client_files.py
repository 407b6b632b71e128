"""Files in chunks, over connections that break."""

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from zchat.client import files
from zchat.client.connection import NoAnswer
from zchat.client.methods import Methods
from zchat.errors import Code, Refused

CHUNK = 4
CONTENT = b"0123456789"


class FileServer(Methods):
    """Keeps one file; `faults` are raised, one for each chunk asked.

    A fault of None is none. A chunk is kept although its answer is lost.
    """

    def __init__(self, *faults: Exception | None) -> None:
        self.kept = b""
        self.faults = list(faults)
        self.begun: list[dict[str, Any]] = []
        self.chunks: list[int] = []

    async def call(self, method: str, /, **params: object) -> Any:
        return getattr(self, f"_{method}")(**params)

    def _upload(self, **params: Any) -> dict[str, Any]:
        self.begun.append(params)
        return {"file_id": "f", "offset": len(self.kept), "chunk_size": CHUNK}

    def _upload_chunk(
        self, file_id: str, offset: int, data: bytes
    ) -> dict[str, Any]:
        self.chunks.append(offset)
        if offset == len(self.kept):
            self.kept += data
        self._maybe_fail()
        return {
            "offset": len(self.kept),
            "complete": len(self.kept) == self.begun[0]["size"],
        }

    def _download(
        self, file_id: str, offset: int = 0, length: int | None = None
    ) -> dict[str, Any]:
        self.chunks.append(offset)
        self._maybe_fail()
        return {
            "data": CONTENT[offset : offset + CHUNK],
            "size": len(CONTENT),
            "name": "n",
            "type": "t",
        }

    def _maybe_fail(self) -> None:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault


def upload(server: FileServer, source: bytes | Path = CONTENT) -> str:
    return asyncio.run(files.upload(server, source, "chat", "name"))


def test_bytes_are_uploaded_chunk_by_chunk() -> None:
    server = FileServer()
    assert upload(server) == "f"
    assert server.kept == CONTENT
    assert server.chunks == [0, 4, 8]
    assert server.begun == [
        {
            "chat_id": "chat",
            "name": "name",
            "size": 10,
            "sha256": sha256(CONTENT).hexdigest(),
        }
    ]


def test_a_path_is_uploaded(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    server = FileServer()
    upload(server, path)
    assert server.kept == CONTENT


def test_an_empty_file_is_complete_with_an_empty_chunk() -> None:
    server = FileServer()
    assert upload(server, b"") == "f"
    assert server.chunks == [0]


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("a.txt", "a.txt"),
        ("\u00e9" * 120 + ".txt", "\u00e9" * 88 + ".txt"),
        ("\u65e5" * 85, "\u65e5" * 60),
        ("a." + "b" * 300, "a." + "b" * 178),
    ],
)
def test_a_name_is_cut_by_its_bytes(name: str, short: str) -> None:
    assert files.short_name(name) == short


def test_an_upload_goes_on_where_it_stands() -> None:
    server = FileServer(None, NoAnswer("broken", sent=True))
    upload(server)
    assert server.kept == CONTENT
    assert server.chunks == [0, 4, 8]


def test_another_device_may_be_further() -> None:
    server = FileServer(Refused(Code.CONFLICT, "further", offset=8))
    upload(server)
    assert server.kept == CONTENT


def test_a_refusal_ends_an_upload() -> None:
    server = FileServer(Refused(Code.CONFLICT, "no", field="sha256"))
    with pytest.raises(Refused, match="no"):
        upload(server)
    assert server.chunks == [0]


def test_an_upload_that_breaks_off_too_often_is_given_up() -> None:
    server = FileServer(*[NoAnswer("broken", sent=True)] * 99)
    with pytest.raises(NoAnswer, match="Try again to resume it"):
        asyncio.run(files.upload(server, bytes(100), "chat", "name"))
    assert len(server.begun) == files.TRIES


def test_a_download_is_put_together() -> None:
    found = asyncio.run(files.download(FileServer(), "f"))
    assert found.data == CONTENT
    assert (found.name, found.type, found.size) == ("n", "t", 10)


def test_a_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    path = tmp_path / "file"
    server = FileServer(None, NoAnswer("broken", sent=True))
    with pytest.raises(NoAnswer):
        asyncio.run(files.download_to(server, "f", path))
    assert not path.exists()
    assert asyncio.run(files.download_to(server, "f", path)) == 10
    assert path.read_bytes() == CONTENT
    assert server.chunks == [0, 4, 4, 8]
    assert list(tmp_path.iterdir()) == [path]


def test_parts_of_two_files_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    server = FileServer(None, NoAnswer("broken", sent=True))
    with pytest.raises(NoAnswer):
        asyncio.run(files.download_to(server, "another", path))
    asyncio.run(files.download_to(server, "f", path))
    assert path.read_bytes() == CONTENT

"""Files on the real program: chunks, resuming, ranges, who may."""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.bare import CHUNK, Client, User, context
from tests.server import running

MOST = 2_000_000


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("files")
    with (
        running(folder, free_port(), "--max-file-bytes", str(MOST)) as server,
        context() as ctx,
    ):
        yield Client(ctx, server.rpc, server.events)


def described(data: bytes, **more: Any) -> dict[str, Any]:
    """The parameters of `upload` for these bytes."""
    return {
        "name": "photo.png",
        "size": len(data),
        "sha256": sha256(data).hexdigest(),
    } | more


def upload(user: User, chat_id: str, data: bytes) -> str:
    begun = user.call("upload", chat_id=chat_id, **described(data))
    for offset in range(begun["offset"], max(1, len(data)), CHUNK):
        stands = user.call(
            "upload_chunk",
            file_id=begun["file_id"],
            offset=offset,
            data=data[offset : offset + CHUNK],
        )
    assert stands == {"offset": len(data), "complete": True}
    file_id: str = begun["file_id"]
    return file_id


def test_a_file_goes_up_in_chunks_and_down_in_ranges(client: Client) -> None:
    ann, bob, eve = client.users(3)
    chat_id = ann.call("p2p", user_id=bob.id)["chat_id"]
    data = os.urandom(2 * CHUNK + 1000)
    file_id = upload(ann, chat_id, data)
    assert bob.refused("download", file_id=file_id).code == "not_found"
    sent = ann.send("", chat_id=chat_id, files=[file_id])
    [message] = bob.call("history", chat_id=chat_id)["messages"]
    assert message["id"] == sent["id"]
    [info] = message["files"]
    assert info == {
        "file_id": file_id,
        "name": "photo.png",
        "size": len(data),
        "type": "image/png",
        "sha256": sha256(data).hexdigest(),
    }
    got = b""
    while len(got) < len(data):
        got += bob.call("download", file_id=file_id, offset=len(got))["data"]
    assert got == data
    part = bob.call("download", file_id=file_id, offset=CHUNK - 5, length=10)
    assert part["data"] == data[CHUNK - 5 : CHUNK + 5]
    assert (part["size"], part["type"]) == (len(data), "image/png")
    past = bob.call("download", file_id=file_id, offset=len(data))
    assert past["data"] == b""
    assert eve.refused("download", file_id=file_id).code == "not_found"
    again = ann.refused("send", text="", chat_id=chat_id, files=[file_id])
    assert again.code == "conflict"
    bob.call("exit", chat_id=chat_id)
    assert bob.refused("download", file_id=file_id).code == "not_found"


def test_an_upload_resumes_after_kill(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with running(tmp_path, free_port()) as server, context() as ctx:
        client = Client(ctx, server.rpc, server.events)
        ann = client.user()
        data = os.urandom(3 * CHUNK + 77)
        begun = ann.call("upload", chat_id=ann.common, **described(data))
        assert (begun["offset"], begun["chunk_size"]) == (0, CHUNK)
        for offset in (0, CHUNK):
            ann.call(
                "upload_chunk",
                file_id=begun["file_id"],
                offset=offset,
                data=data[offset : offset + CHUNK],
            )
        server.kill()
        server.start()
        resumed = ann.call("upload", chat_id=ann.common, **described(data))
        assert resumed == begun | {"offset": 2 * CHUNK}
        file_id = upload(ann, ann.common, data)
        assert file_id == begun["file_id"]
        ann.send("", files=[file_id])
        part = ann.call("download", file_id=file_id, offset=3 * CHUNK)["data"]
        assert part == data[3 * CHUNK :]


def test_what_is_not_as_announced_is_refused(client: Client) -> None:
    ann = client.user()
    big = ann.refused(
        "upload", chat_id=ann.common, **described(b"", size=MOST + 1)
    )
    assert (big.code, big.data["limit"]) == ("too_large", MOST)
    for name in ("../etc/passwd", "a\\b", "..", "a\nb"):
        bad = ann.refused(
            "upload", chat_id=ann.common, **described(b"x", name=name)
        )
        assert (bad.code, bad.data["field"]) == ("bad_request", "name")
    begun = ann.call("upload", chat_id=ann.common, **described(b"right"))
    chunk = {"file_id": begun["file_id"], "offset": 0}
    for wrong in (b"", b"longer than it said"):
        refused = ann.refused("upload_chunk", data=wrong, **chunk)
        assert refused.code == "bad_request"
    hole = ann.refused(
        "upload_chunk", file_id=begun["file_id"], offset=3, data=b"ht"
    )
    assert (hole.code, hole.data["offset"]) == ("conflict", 0)
    false = ann.refused("upload_chunk", data=b"wrong", **chunk)
    assert (false.code, false.data["field"]) == ("conflict", "sha256")
    gone = ann.refused("upload_chunk", data=b"right", **chunk)
    assert gone.code == "not_found"
    assert upload(ann, ann.common, b"right") != begun["file_id"]


def test_somebody_elses_upload_is_not_there(client: Client) -> None:
    ann, bob = client.users(2)
    begun = ann.call("upload", chat_id=ann.common, **described(b"mine"))
    refused = bob.refused(
        "upload_chunk", file_id=begun["file_id"], offset=0, data=b"mine"
    )
    assert refused.code == "not_found"
    file_id = upload(ann, ann.common, b"mine")
    stolen = bob.refused("send", text="", files=[file_id])
    assert stolen.code == "not_found"


def test_sending_stays_quick_while_files_move(client: Client) -> None:
    uploaders = client.users(8)
    ann = client.user()
    waits: list[float] = []
    data = [os.urandom(6 * CHUNK) for _ in uploaders]
    begun = [
        user.call("upload", chat_id=user.common, **described(one))
        for user, one in zip(uploaders, data)
    ]
    for offset in range(0, 6 * CHUNK, CHUNK):
        for user, one, file in zip(uploaders, data, begun):
            user.post(
                "upload_chunk",
                file_id=file["file_id"],
                offset=offset,
                data=one[offset : offset + CHUNK],
            )
        for _ in range(5):
            began = time.monotonic()
            ann.send("quick")
            waits.append(time.monotonic() - began)
        for user in uploaders:
            assert user.caller.answer().error is None
    assert statistics.median(waits) < 0.2
    assert max(waits) < 1.0

"""Chunks that go to the disk ahead of the batch that counts them."""

from collections.abc import Iterator
from concurrent.futures import Future, wait
from hashlib import sha256
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest

from tests.harness import Asked, Person, World
from zchat.engine.batch import Call
from zchat.errors import Code, Refused, StoreBusy
from zchat.model import CHUNK_BYTES
from zchat.rpc import results
from zchat.storage.sqlite import files
from zchat.storage.sqlite.files import FileFolder
from zchat.storage.sqlite.search import SqliteSearch

DATA = bytes(range(256)) * 1500
"""Two chunks, the last one short."""
DEADLINE_SECONDS = 30


class Disk:
    """The disk under the folder: slow while `slow`, full while `full`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.goes_on = Event()
        self.goes_on.set()
        self.full = False
        self.writes = 0
        self.most_at_once = 0
        begun = 0
        write = FileFolder._write

        def slowly(folder: FileFolder, *chunk: Any) -> None:
            nonlocal begun
            begun += 1
            self.most_at_once = max(self.most_at_once, begun - self.writes)
            assert self.goes_on.wait(DEADLINE_SECONDS)
            self.writes += 1
            if self.full:
                raise OSError("no space left on device")
            write(folder, *chunk)

        monkeypatch.setattr(FileFolder, "_write", slowly)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk(monkeypatch)
    yield made
    made.goes_on.set()


def begin(world: World, who: Person, name: str = "a.bin") -> str:
    """The id of an upload that begins."""
    file_id: str = who(
        "upload",
        chat_id=world.common,
        name=name,
        size=len(DATA),
        sha256=sha256(DATA).hexdigest(),
    ).file_id
    return file_id


def chunk(
    who: Person, file_id: str, number: int = 0, data: bytes = DATA
) -> Asked:
    """The request that uploads a chunk, on the user's one connection."""
    start = number * CHUNK_BYTES
    part = data[start : start + CHUNK_BYTES]
    return Asked(
        who,
        "upload_chunk",
        {"file_id": file_id, "offset": start, "data": part},
        who.id,
    )


PutOff = dict[Call, Future[None]]


def run(world: World, calls: list[Call]) -> PutOff:
    """Run one batch; what was put off in it."""
    world.batches.run_once([call for call in calls if not call.done])
    return dict(world.batches.put_off)


def settle(put_off: PutOff) -> None:
    """Wait until it can go on."""
    assert not wait(put_off.values(), DEADLINE_SECONDS).not_done


def outcomes(calls: list[Call]) -> list[Any]:
    assert all(call.done for call in calls)
    return [call.outcome for call in calls]


def folder(world: World) -> FileFolder:
    return world.store._files


def test_others_do_not_wait_for_the_disk(
    world: World, ann: Person, bob: Person, disk: Disk
) -> None:
    file_id = begin(world, ann)
    disk.goes_on.clear()
    calls = world.calls([chunk(ann, file_id), bob.asks("send", text="x")])

    put_off = run(world, calls)
    assert list(put_off) == calls[:1]
    assert not calls[0].done
    assert bob.texts(world.common) == ["x"]
    assert world.store.rows("SELECT received FROM files") == [(0,)]

    disk.goes_on.set()
    settle(put_off)
    assert not run(world, calls)
    assert calls[0].outcome == results.Uploaded(
        offset=CHUNK_BYTES, complete=False
    )
    assert disk.writes == 1
    assert not folder(world).is_staged(file_id)


def test_a_batch_that_is_repeated_writes_the_bytes_once(
    world: World, ann: Person, bob: Person, disk: Disk
) -> None:
    file_id = begin(world, ann)
    disk.goes_on.clear()
    calls = world.calls([chunk(ann, file_id), bob.asks("send", text="x")])
    world.store.faults = [("write", StoreBusy("a deadlock"))] * 2

    put_off = run(world, calls)
    assert list(put_off) == calls[:1]
    disk.goes_on.set()
    settle(put_off)
    assert not run(world, calls)

    assert all(call.done for call in calls)
    assert disk.writes == 1
    assert not folder(world).is_staged(file_id)


def test_the_loop_is_woken_when_the_bytes_are_there(
    world: World, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken = Event()
    monkeypatch.setattr(SqliteSearch, "wake", lambda search: woken.set())

    assert run(world, world.calls([chunk(ann, begin(world, ann))]))

    assert woken.wait(DEADLINE_SECONDS)


def test_what_the_connection_sent_after_it_waits_too(
    world: World, ann: Person, disk: Disk
) -> None:
    file_id = begin(world, ann)
    disk.goes_on.clear()
    calls = world.calls(
        [
            chunk(ann, file_id),
            chunk(ann, file_id, 1),
            Asked(ann, "send", {"text": "", "files": [file_id]}, ann.id),
            Asked(ann, "history", {"chat_id": world.common}, ann.id),
        ]
    )
    put_off = run(world, calls)
    assert not any(call.done for call in calls)

    disk.goes_on.set()
    while put_off:
        settle(put_off)
        put_off = run(world, calls)

    *_, page = outcomes(calls)
    assert [file.file_id for file in page.messages[0].files] == [file_id]


def test_bytes_are_those_of_the_chunk_that_was_counted(
    world: World, ann: Person, bob: Person, disk: Disk
) -> None:
    """Whoever comes second does not write over what was first."""
    file_id = begin(world, ann)
    disk.goes_on.clear()
    false = bytes(len(DATA))
    first = world.calls([chunk(ann, file_id, data=false)])
    assert list(run(world, first)) == first
    Timer(0.1, disk.goes_on.set).start()

    second = world.calls([chunk(ann, file_id)])
    assert not run(world, second)
    assert not run(world, first)

    assert (disk.writes, disk.most_at_once) == (2, 1)
    uploaded = results.Uploaded(offset=CHUNK_BYTES, complete=False)
    assert outcomes([*first, *second]) == [uploaded, uploaded]
    world.batch([chunk(ann, file_id, 1)])
    ann("send", text="", files=[file_id])
    assert bob("download", file_id=file_id).data == DATA[:CHUNK_BYTES]


def test_a_chunk_whose_token_died_is_not_written_over_the_next(
    world: World, ann: Person, disk: Disk
) -> None:
    """The next one begins when the bytes of the first have arrived."""
    file_id = begin(world, ann)
    disk.goes_on.clear()
    old, rotating = world.calls(
        [
            chunk(ann, file_id, data=bytes(len(DATA)))._replace(origin=1),
            ann.asks("rotate_token"),
        ]
    )
    Timer(0.1, disk.goes_on.set).start()
    run(world, [rotating, old])
    assert isinstance(old.outcome, Refused)
    assert disk.writes == 1
    assert isinstance(rotating.outcome, results.NewToken)
    ann.token = rotating.outcome.token
    new = world.calls([chunk(ann, file_id)])

    settle(run(world, new))
    run(world, new)

    assert disk.writes == 2
    (path,) = folder(world).folder.glob("*/*")
    assert path.read_bytes() == DATA[:CHUNK_BYTES]


def test_a_disk_that_is_full_refuses_the_chunk_alone(
    world: World, ann: Person, bob: Person, disk: Disk
) -> None:
    """What comes in the batch of the second attempt shares its fate."""
    file_id = begin(world, ann)
    disk.full = True
    calls = world.calls([chunk(ann, file_id), bob.asks("send", text="x")])
    settle(run(world, calls))
    run(world, calls)

    refusal, _ = outcomes(calls)
    assert isinstance(refusal, Refused)
    assert refusal.code is Code.UNAVAILABLE
    assert bob.texts(world.common) == ["x"]
    assert not folder(world).is_staged(file_id)
    disk.full = False
    assert world.batch([chunk(ann, file_id)]) == [
        results.Uploaded(offset=CHUNK_BYTES, complete=False)
    ]


def test_a_file_that_goes_meanwhile_leaves_nothing(
    world: World, ann: Person, disk: Disk
) -> None:
    file_id = begin(world, ann)
    disk.goes_on.clear()
    calls = world.calls([chunk(ann, file_id)])
    put_off = run(world, calls)
    world.advance(86_400)
    world.wait(61)
    assert world.store.rows("SELECT id FROM files") == []

    disk.goes_on.set()
    settle(put_off)
    run(world, calls)
    world.store.feed()

    (refusal,) = outcomes(calls)
    assert isinstance(refusal, Refused)
    assert refusal.code is Code.NOT_FOUND
    left = [path for path in folder(world).folder.rglob("*") if path.is_file()]
    assert left == []
    assert world.store.rows("SELECT id FROM files_gone") == []


@pytest.mark.parametrize(
    "fields",
    [
        {"offset": 1, "data": b"x"},
        {"offset": 0, "data": b"x"},
        {"offset": 0, "data": b""},
    ],
    ids=["elsewhere", "short", "empty"],
)
def test_what_would_be_refused_is_not_written(
    world: World, ann: Person, disk: Disk, fields: dict[str, Any]
) -> None:
    file_id = begin(world, ann)
    calls = world.calls(
        [Asked(ann, "upload_chunk", {"file_id": file_id, **fields}, ann.id)]
    )

    assert not run(world, calls)
    assert isinstance(calls[0].outcome, Refused)
    assert disk.writes == 0


def test_nor_what_somebody_banned_uploads(
    world: World, ann: Person, disk: Disk
) -> None:
    file_id = begin(world, ann)
    world.operator("ban", user_id=ann.id, reason="x")
    calls = world.calls([chunk(ann, file_id)])

    assert not run(world, calls)
    assert disk.writes == 0


def test_so_many_chunks_go_ahead(
    world: World,
    ann: Person,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of others the commit waits; nobody is turned away."""
    monkeypatch.setattr(files, "MOST_STAGED", 2)
    ids = [begin(world, ann, f"{number}.bin") for number in range(4)]
    calls = world.calls([chunk(ann, id)._replace(origin=id) for id in ids])

    put_off = run(world, calls)
    assert list(put_off) == calls[:2]
    assert (
        outcomes(calls[2:])
        == [results.Uploaded(offset=CHUNK_BYTES, complete=False)] * 2
    )
    settle(put_off)
    run(world, calls)
    assert all(call.done for call in calls)
    kept = {path.name for path in Path(folder(world).folder).glob("*/*")}
    assert kept == set(ids)

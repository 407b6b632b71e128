"""Files: uploading in chunks that resume, and reading ranges."""

from hashlib import sha256
from typing import Any

import pytest

from tests.harness import NOWHERE, MakeWorld, Person, World, codes, refused
from zchat.chat.files import STALE_PAGE
from zchat.chat.hashes import Hashes
from zchat.chat.quotas import UNATTACHED_FILES
from zchat.errors import Code
from zchat.model import CHUNK_BYTES

DATA = bytes(range(256)) * 2500
"""Three chunks, the last one short."""
DAY = 86_400


def announce(
    world: World, data: bytes = DATA, name: str = "a.png", **fields: Any
) -> dict[str, Any]:
    return {
        "chat_id": world.common,
        "name": name,
        "size": len(data),
        "sha256": sha256(data).hexdigest(),
        **fields,
    }


def chunk(file_id: str, number: int, data: bytes = DATA) -> dict[str, Any]:
    start = number * CHUNK_BYTES
    return {
        "file_id": file_id,
        "offset": start,
        "data": data[start : start + CHUNK_BYTES],
    }


def test_in_chunks(world: World, ann: Person) -> None:
    begun = ann("upload", **announce(world))
    assert (begun.offset, begun.chunk_size) == (0, CHUNK_BYTES)

    states = [
        ann("upload_chunk", **chunk(begun.file_id, number))
        for number in range(3)
    ]

    assert [(s.offset, s.complete) for s in states] == [
        (CHUNK_BYTES, False),
        (2 * CHUNK_BYTES, False),
        (len(DATA), True),
    ]


def test_chunks_that_arrive_together(world: World, ann: Person) -> None:
    file_id = ann("upload", **announce(world)).file_id

    outcomes = world.batch(
        [
            ann.asks("upload_chunk", **chunk(file_id, number))
            for number in range(3)
        ]
    )

    assert codes(outcomes) == ["ok"] * 3
    assert outcomes[2].complete


@pytest.mark.parametrize(
    "size",
    [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES],
)
def test_any_size(world: World, ann: Person, bob: Person, size: int) -> None:
    data = DATA[:size]
    file_id = world.file(ann, world.common, data)
    ann("send", text="x", files=[file_id])

    pieces = [
        bob("download", file_id=file_id, offset=offset).data
        for offset in range(0, size + 1, CHUNK_BYTES)
    ]

    assert b"".join(pieces) == data


@pytest.mark.parametrize("restart", [True, False])
def test_the_same_four_resume(
    world: World, ann: Person, restart: bool
) -> None:
    file_id = ann("upload", **announce(world)).file_id
    ann("upload_chunk", **chunk(file_id, 0))
    if restart:
        world.restart()

    begun = ann("upload", **announce(world))

    assert (begun.file_id, begun.offset) == (file_id, CHUNK_BYTES)
    for number in (1, 2):
        last = ann("upload_chunk", **chunk(file_id, number))
    assert last.complete


def test_others_do_not_resume_it(
    world: World, ann: Person, bob: Person
) -> None:
    file_id = ann("upload", **announce(world)).file_id
    ann("upload_chunk", **chunk(file_id, 0))

    for one, fields in (
        (bob, {}),
        (ann, {"name": "b.png"}),
        (ann, {"chat_id": world.group(ann)}),
    ):
        begun = one("upload", **(announce(world) | fields))
        assert begun.file_id != file_id
        assert begun.offset == 0
    with refused(Code.NOT_FOUND):
        bob("upload_chunk", **chunk(file_id, 1))


def test_a_complete_one_is_not_resumed(world: World, ann: Person) -> None:
    file_id = world.file(ann, world.common, DATA, "a.png")

    begun = ann("upload", **announce(world))

    assert begun.file_id != file_id


def test_a_chunk_again_changes_nothing(world: World, ann: Person) -> None:
    file_id = ann("upload", **announce(world)).file_id
    for number in (0, 0, 1, 0, 2, 2, 1):
        state = ann("upload_chunk", **chunk(file_id, number))

    assert (state.offset, state.complete) == (len(DATA), True)


def test_a_chunk_out_of_turn(world: World, ann: Person) -> None:
    file_id = ann("upload", **announce(world)).file_id

    with refused(Code.CONFLICT, offset=0):
        ann("upload_chunk", **chunk(file_id, 1))
    ann("upload_chunk", **chunk(file_id, 0))
    with refused(Code.CONFLICT, offset=CHUNK_BYTES):
        ann("upload_chunk", **chunk(file_id, 2))


@pytest.mark.parametrize("data", [b"", b"x", bytes(CHUNK_BYTES + 1)])
def test_a_chunk_of_another_length(
    world: World, ann: Person, data: bytes
) -> None:
    file_id = ann("upload", **announce(world)).file_id

    with refused(Code.BAD_REQUEST, field="data"):
        ann("upload_chunk", file_id=file_id, offset=0, data=data)


def test_text_is_no_data(world: World, ann: Person) -> None:
    file_id = ann("upload", **announce(world)).file_id

    with refused(Code.BAD_REQUEST, field="data"):
        ann("upload_chunk", file_id=file_id, offset=0, data="AAAA")


@pytest.mark.parametrize("restart", [True, False])
def test_another_hash_than_announced(
    world: World, ann: Person, restart: bool
) -> None:
    file_id = ann("upload", **announce(world)).file_id
    false = bytes(len(DATA))
    for number in (0, 1):
        ann("upload_chunk", **chunk(file_id, number, false))
    if restart:
        world.restart()

    with refused(Code.CONFLICT, field="sha256"):
        ann("upload_chunk", **chunk(file_id, 2, DATA))

    for table in ("files", "file_chunks"):
        assert world.store.rows(f"SELECT * FROM {table}") == []
    begun = ann("upload", **announce(world))
    assert (begun.offset, begun.file_id != file_id) == (0, True)


def test_a_rolled_back_chunk_is_taken_again(world: World, ann: Person) -> None:
    file_id = ann("upload", **announce(world)).file_id
    ann("upload_chunk", **chunk(file_id, 0))
    world.store.faults = [("commit", OSError("the disk"))]
    with refused(Code.INTERNAL):
        ann("upload_chunk", **chunk(file_id, 1))

    for number in (1, 2):
        state = ann("upload_chunk", **chunk(file_id, number))
    assert state.complete


def test_limits(make_world: MakeWorld) -> None:
    world = make_world(max_file_bytes=10)
    ann = world.user()
    with refused(Code.TOO_LARGE, limit=10, field="size"):
        ann("upload", **announce(world, bytes(11)))
    world.file(ann, world.common, bytes(10))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", -1),
        ("size", 2**60),
        ("sha256", "x" * 64),
        ("sha256", "0" * 63),
        ("name", ""),
        ("name", "a/b"),
        ("name", "a\\b"),
        ("name", ".."),
        ("name", "a\nb"),
        ("name", "x" * 256),
        ("chat_id", "x"),
    ],
)
def test_what_is_refused(
    world: World, ann: Person, field: str, value: object
) -> None:
    with refused(Code.BAD_REQUEST, field=field):
        ann("upload", **(announce(world) | {field: value}))


def test_a_name_may_be_of_letters_only(world: World, ann: Person) -> None:
    assert ann("upload", **announce(world, name="X"))


def test_only_members_upload(world: World, ann: Person, bob: Person) -> None:
    group = world.group(ann, bob)
    file_id = bob("upload", **announce(world, chat_id=group)).file_id
    ann("remove", chat_id=group, user_id=bob.id)

    with refused(Code.NOT_FOUND):
        bob("upload_chunk", **chunk(file_id, 0))
    for chat_id in (group, NOWHERE):
        with refused(Code.NOT_FOUND):
            bob("upload", **announce(world, chat_id=chat_id))


class TestAttaching:
    def test_a_message_shows_its_files(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        ids = [
            world.file(ann, world.common, bytes(n), f"{n}.txt") for n in (3, 5)
        ]
        world.told()

        sent = ann("send", text="x", files=ids, idempotency_key="k")

        (body,) = world.told_in(world.common)
        (message,) = bob.chat(world.common).messages
        assert [
            (f.file_id, f.name, f.size, f.type, f.sha256)
            for f in message.files
        ] == [
            (ids[0], "3.txt", 3, "text/plain", sha256(bytes(3)).hexdigest()),
            (ids[1], "5.txt", 5, "text/plain", sha256(bytes(5)).hexdigest()),
        ]
        assert [f["file_id"] for f in body["message"]["files"]] == ids
        assert sent == ann("send", text="x", files=ids, idempotency_key="k")

    def test_a_file_is_on_one_message(self, world: World, ann: Person) -> None:
        file_id = world.file(ann, world.common, b"x")

        outcomes = world.batch(
            [ann.asks("send", text="x", files=[file_id])] * 2
        )

        assert codes(outcomes) == ["ok", "conflict"]
        assert outcomes[1].data["field"] == "files"

    def test_not_twice_on_one_message(self, world: World, ann: Person) -> None:
        file_id = world.file(ann, world.common, b"x")
        with refused(Code.CONFLICT, field="files"):
            ann("send", text="x", files=[file_id, file_id])

    def test_not_before_it_is_complete(
        self, world: World, ann: Person
    ) -> None:
        file_id = ann("upload", **announce(world)).file_id
        with refused(Code.CONFLICT, field="files"):
            ann("send", text="x", files=[file_id])

    def test_only_own_files_of_this_chat(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        group = world.group(ann)
        with refused(Code.NOT_FOUND, field="files"):
            ann("send", text="x", files=[world.file(ann, group, b"x")])
        with refused(Code.NOT_FOUND, field="files"):
            ann("send", text="x", files=[world.file(bob, world.common, b"x")])

    def test_ten_at_the_most(self, world: World, ann: Person) -> None:
        ids = [world.file(ann, world.common, b"x") for _ in range(11)]
        with refused(Code.BAD_REQUEST, field="files"):
            ann("send", text="x", files=ids)
        ann("send", text="x", files=ids[:10])


class TestDownload:
    @pytest.fixture
    def file_id(self, world: World, ann: Person) -> str:
        file_id = world.file(ann, world.common, DATA, "a.png")
        ann("send", text="x", files=[file_id])
        return file_id

    @pytest.mark.parametrize(
        ("offset", "length"),
        [
            (0, 10),
            (5, 0),
            (CHUNK_BYTES - 5, 10),
            (CHUNK_BYTES, 10),
            (100, CHUNK_BYTES),
            (100, 10**9),
            (len(DATA) - 3, 10),
            (len(DATA), 10),
            (10**9, 1),
            (2 * CHUNK_BYTES - 1, 2),
        ],
    )
    def test_ranges(
        self, bob: Person, file_id: str, offset: int, length: int
    ) -> None:
        got = bob("download", file_id=file_id, offset=offset, length=length)

        most = min(length, CHUNK_BYTES)
        assert got.data == DATA[offset : offset + most]
        assert (got.size, got.name, got.type) == (
            len(DATA),
            "a.png",
            "image/png",
        )

    def test_members_only(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        private = ann("p2p", user_id=bob.id).chat_id
        file_id = world.file(ann, private, b"x")
        ann("send", chat_id=private, text="x", files=[file_id])
        eve = world.user()

        assert bob("download", file_id=file_id).data == b"x"
        for id in (file_id, NOWHERE):
            with refused(Code.NOT_FOUND):
                eve("download", file_id=id)
        bob("exit", chat_id=private)
        with refused(Code.NOT_FOUND):
            bob("download", file_id=file_id)

    def test_not_what_was_before_a_newcomer(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        group = world.group(ann)
        file_id = world.file(ann, group, b"x")
        ann("send", chat_id=group, text="x", files=[file_id])
        ann("invite", chat_id=group, user_id=bob.id)

        with refused(Code.NOT_FOUND):
            bob("download", file_id=file_id)

    def test_the_unattached_is_its_uploaders(
        self, world: World, ann: Person, bob: Person
    ) -> None:
        file_id = world.file(ann, world.common, b"x")

        assert ann("download", file_id=file_id).data == b"x"
        with refused(Code.NOT_FOUND):
            bob("download", file_id=file_id)

    def test_the_incomplete_is_nobodys(
        self, world: World, ann: Person
    ) -> None:
        file_id = ann("upload", **announce(world)).file_id
        ann("upload_chunk", **chunk(file_id, 0))
        with refused(Code.NOT_FOUND):
            ann("download", file_id=file_id)


def test_a_false_one_that_is_dropped_makes_room(
    world: World, ann: Person
) -> None:
    for number in range(UNATTACHED_FILES - 1):
        ann("upload", **announce(world, name=str(number)))
    false = ann(
        "upload", chat_id=world.common, name="x", size=1, sha256="0" * 64
    ).file_id

    outcomes = world.batch(
        [
            ann.asks("upload_chunk", file_id=false, offset=0, data=b"x"),
            ann.asks("upload", **announce(world, name="y")),
            ann.asks("upload", **announce(world, name="z")),
        ]
    )

    assert codes(outcomes) == ["conflict", "ok", "conflict"]


class TestStale:
    def test_the_unattached_goes_after_a_day(
        self, world: World, ann: Person
    ) -> None:
        kept = world.file(ann, world.common, b"kept")
        ann("send", text="x", files=[kept])
        file_id = world.file(ann, world.common, b"gone")
        begun = ann("upload", **announce(world)).file_id
        ann("upload_chunk", **chunk(begun, 0))
        world.advance(DAY - 100)
        world.wait(61)
        assert ann("download", file_id=file_id).data == b"gone"

        world.wait(100)

        with refused(Code.NOT_FOUND):
            ann("download", file_id=file_id)
        with refused(Code.NOT_FOUND):
            ann("upload_chunk", **chunk(begun, 1))
        assert ann("download", file_id=kept).data == b"kept"
        chunks = world.store.rows("SELECT file_id, size FROM file_chunks")
        assert chunks == [(kept, 4)]

    def test_more_than_a_page_at_once(self, world: World) -> None:
        for name in "abc":
            one = world.user(name)
            for number in range(STALE_PAGE // 2):
                one("upload", **announce(world, name=str(number)))
        world.advance(DAY)

        world.wait(61)

        assert world.store.rows("SELECT * FROM files") == []

    def test_attaching_wins_or_finds_nothing(
        self, world: World, ann: Person
    ) -> None:
        file_id = world.file(ann, world.common, b"x")
        world.advance(DAY + 61)
        timers = world.timers.calls(world.now)
        asked = world.calls([ann.asks("send", text="x", files=[file_id])])

        world.run([*asked, *timers])

        assert codes([asked[0].outcome]) == ["ok"]
        assert ann("download", file_id=file_id).data == b"x"

    def test_so_many_on_no_message(self, world: World, ann: Person) -> None:
        outcomes = world.batch(
            [
                ann.asks("upload", **announce(world, name=str(number)))
                for number in range(UNATTACHED_FILES + 1)
            ]
        )

        assert codes(outcomes) == ["ok"] * UNATTACHED_FILES + ["conflict"]
        assert outcomes[-1].data == {"limit": UNATTACHED_FILES}
        assert (
            ann("upload", **announce(world, name="0")).file_id
            == outcomes[0].file_id
        )

    def test_attaching_one_makes_room(self, world: World, ann: Person) -> None:
        file_id = world.file(ann, world.common, b"x")
        for number in range(UNATTACHED_FILES - 1):
            ann("upload", **announce(world, name=str(number)))

        outcomes = world.batch(
            [
                ann.asks("upload", **announce(world, name="a")),
                ann.asks("send", text="x", files=[file_id]),
                ann.asks("upload", **announce(world, name="b")),
                ann.asks("upload", **announce(world, name="c")),
            ]
        )

        assert codes(outcomes) == ["conflict", "ok", "ok", "conflict"]


def hexadecimal(hashes: Hashes, file_id: str, offset: int) -> str | None:
    digest = hashes.at(file_id, offset)
    return digest and digest.hexdigest()


class TestHashes:
    def test_at_an_offset(self) -> None:
        hashes = Hashes()
        digest = sha256(b"ab")
        hashes.keep("x", 2, digest)

        assert hexadecimal(hashes, "x", 2) == digest.hexdigest()
        assert hashes.at("x", 1) is None
        assert hashes.at("y", 2) is None
        assert hexadecimal(hashes, "y", 0) == sha256().hexdigest()

    def test_what_is_taken_is_a_copy(self) -> None:
        hashes = Hashes()
        hashes.keep("x", 2, sha256(b"ab"))
        taken = hashes.at("x", 2)
        assert taken is not None
        taken.update(b"c")

        assert hexadecimal(hashes, "x", 2) == sha256(b"ab").hexdigest()

    def test_so_many_are_kept(self) -> None:
        hashes = Hashes(most=2)
        for name in ("x", "y", "x", "z"):
            hashes.keep(name, 1, sha256(b"a"))

        assert [hashes.at(name, 1) is None for name in "xyz"] == [
            False,
            True,
            False,
        ]

    def test_a_complete_file_needs_none(
        self, world: World, ann: Person
    ) -> None:
        file_id = world.file(ann, world.common, DATA)

        assert world.work.hashes.at(file_id, len(DATA)) is None

    def test_what_a_restart_lost_is_read_once(
        self, world: World, ann: Person
    ) -> None:
        file_id = ann("upload", **announce(world)).file_id
        for number in (0, 1):
            ann("upload_chunk", **chunk(file_id, number))
        world.restart()
        with refused(Code.BAD_REQUEST):
            ann(
                "upload_chunk",
                file_id=file_id,
                offset=2 * CHUNK_BYTES,
                data=b"x",
            )

        assert (
            hexadecimal(world.work.hashes, file_id, 2 * CHUNK_BYTES)
            == sha256(DATA[: 2 * CHUNK_BYTES]).hexdigest()
        )

"""Files in chunks: an upload or a download goes on where it broke off."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from zchat.client import values
from zchat.client.connection import NoAnswer
from zchat.client.methods import Methods
from zchat.errors import Code, Refused

Progress = Callable[[int, int], None]
"""Told how many bytes have arrived, and of how many."""

TRIES: Final = 5
NAME_BYTES: Final = 180
"""What of a file name is used: file systems take 255 with additions."""
_HASH_BYTES: Final = 1 << 20


def short_name(name: str) -> str:
    """The name in NAME_BYTES of UTF-8 at most, with its suffix."""
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(_utf8(suffix)) > NAME_BYTES // 2:
        stem, dot, suffix = name, "", ""
    room = NAME_BYTES - len(_utf8(dot + suffix))
    if len(_utf8(stem)) <= room:
        return name
    return _utf8(stem)[:room].decode(errors="ignore") + dot + suffix


def _utf8(name: str) -> bytes:
    return name.encode(errors="surrogateescape")


@contextmanager
def _opened(source: str | os.PathLike[str] | bytes) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield BytesIO(source)
        return
    with Path(source).open("rb") as stream:
        yield stream


def _size_and_hash(stream: BinaryIO) -> tuple[int, str]:
    digest = sha256()
    size = 0
    while piece := stream.read(_HASH_BYTES):
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()


def _piece(stream: BinaryIO, offset: int, length: int) -> bytes:
    stream.seek(offset)
    return stream.read(length)


async def upload(
    client: Methods,
    source: str | os.PathLike[str] | bytes,
    chat_id: str,
    name: str,
    progress: Progress = lambda done, size: None,
) -> str:
    """Upload a path or bytes for a chat; returns the file's id.

    What arrived before a break is not sent again. Raises OSError where
    the path cannot be read, else as every call.
    """
    with _opened(source) as stream:
        size, digest = await asyncio.to_thread(_size_and_hash, stream)
        for _ in range(TRIES):
            begun = await client.begin_upload(chat_id, name, size, digest)
            if await _send_chunks(client, stream, begun, size, progress):
                return begun.file_id
    raise NoAnswer(
        "The upload was interrupted too often. Try again to resume it.",
        sent=True,
    )


async def _send_chunks(
    client: Methods,
    stream: BinaryIO,
    begun: values.Upload,
    size: int,
    progress: Progress,
) -> bool:
    """Whether all arrived; if not, ask where the upload stands.

    An empty file is complete with an empty chunk.
    """
    offset = begun.offset
    progress(offset, size)
    while offset < size or size == 0:
        data = await asyncio.to_thread(
            _piece, stream, offset, begun.chunk_size
        )
        try:
            done = await client.upload_chunk(begun.file_id, offset, data)
        except NoAnswer:
            return False
        except Refused as refused:
            if refused.code is Code.CONFLICT and "offset" in refused.data:
                return False
            raise
        progress(done.offset, size)
        if done.complete:
            return True
        offset = done.offset
    return True


async def download(client: Methods, file_id: str) -> values.Download:
    """A whole file, in memory."""
    found = await client.download_range(file_id)
    pieces = [found.data]
    offset = len(found.data)
    while offset < found.size:
        piece = (await client.download_range(file_id, offset)).data
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
    return values.Download(
        data=b"".join(pieces),
        size=found.size,
        name=found.name,
        type=found.type,
    )


async def download_to(
    client: Methods,
    file_id: str,
    path: Path,
    progress: Progress = lambda done, size: None,
) -> int:
    """A whole file into a path; returns its size in bytes.

    It grows beside the path, under the file's id, and goes on there
    after a break; the path itself appears when all has come.
    """
    part = path.with_name(f"{short_name(path.name)}.{file_id}.part")
    with await asyncio.to_thread(part.open, "ab") as stream:
        while True:
            found = await client.download_range(file_id, stream.tell())
            await asyncio.to_thread(stream.write, found.data)
            progress(stream.tell(), found.size)
            if stream.tell() >= found.size or not found.data:
                break
    part.replace(path)
    return found.size

"""Files: uploading in chunks that resume, and reading ranges."""

from hashlib import sha256
from typing import Any, Final

from zchat.chat.errors import no_chat
from zchat.chat.expiry import visible_after
from zchat.chat.jobs import NoParams, Progress
from zchat.chat.moderation import banned_until, refuse_banned
from zchat.chat.phases import Reading, Turn, Writing
from zchat.chat.quotas import begin_file, drop_file, load_files
from zchat.chat.rules import reads, writes
from zchat.errors import Code, Refused
from zchat.model import (
    CHUNK_BYTES,
    FILE_CHUNKS,
    FILES,
    MESSAGES,
    SECOND,
    FileChunk,
    StoredFile,
)
from zchat.queries import (
    CHUNKS_OF,
    DELETE_CHUNKS_OF_FILE,
    STALE_UPLOADS,
)
from zchat.rpc import params as given
from zchat.rpc import results
from zchat.rpc.filetypes import file_type

BY_RESUME_KEY: Final = 0
UNATTACHED_SECONDS: Final = 86_400
STALE_PAGE: Final = 32


def _no_file() -> Refused:
    return Refused(
        Code.NOT_FOUND, "File not found, or you cannot download it."
    )


@writes("upload")
async def upload(
    work: Writing, caller_id: str, params: given.Upload
) -> results.Upload:
    """Begin an upload, or find where the same one stands."""
    chat_id = params.chat_id
    digest = params.sha256
    _check_name(params.name)
    resume_key = f"{caller_id}:{chat_id}:{params.size}:{digest}:{params.name}"
    await work.load_membership(chat_id, caller_id)
    await work.load_unique(FILES, BY_RESUME_KEY, resume_key)
    stored = await load_files(work, caller_id)
    turn = await work.turn()
    if turn.membership(chat_id, caller_id) is None:
        raise no_chat()
    refuse_banned(turn, turn.user(caller_id))
    limit = turn.rules.max_file_bytes
    if params.size > limit:
        raise Refused(
            Code.TOO_LARGE,
            f"A file can have at most {limit} bytes.",
            limit=limit,
            field="size",
        )
    file = turn.get_unique(FILES, BY_RESUME_KEY, resume_key)
    if file is None:
        begin_file(turn, caller_id, params.size, stored)
        file = turn.put(
            FILES,
            StoredFile(
                id=turn.entropy.id(turn.now),
                chat_id=chat_id,
                uploader_id=caller_id,
                name=params.name,
                size=params.size,
                sha256=digest,
                received=0,
                message_id=None,
                scheduled_id=None,
                created=turn.now,
                resume_key=resume_key,
            ),
        )
    return results.Upload(
        file_id=file.id, offset=file.received, chunk_size=CHUNK_BYTES
    )


def _check_name(name: str) -> None:
    if (
        not name.isprintable()
        or "/" in name
        or "\\" in name
        or name.strip(". ") == ""
    ):
        raise Refused(
            Code.BAD_REQUEST,
            "A file name must not contain slashes or control characters,"
            " or consist of dots.",
            field="name",
        )


@writes("upload_chunk")
async def upload_chunk(
    work: Writing, caller_id: str, params: given.UploadChunk
) -> results.Uploaded | Refused:
    """Add the next bytes; the last ones complete and verify the file."""
    file_id = params.file_id
    file = await work.load(FILES, file_id)
    if file is None or file.uploader_id != caller_id:
        raise _no_file()
    found = await work.load_membership(file.chat_id, caller_id)
    digest = await _digest_before(work, file, params.offset)
    if (
        found is not None
        and digest is not None
        and banned_until(work, work.user(caller_id)) is None
        and 0 < len(params.data) == _next_size(file)
    ):
        await work.stage(FileChunk(file_id, params.offset, params.data))
    turn = await work.turn()
    file = turn.get(FILES, file_id)
    if file is None or not turn.is_member(file.chat_id, caller_id):
        raise _no_file()
    refuse_banned(turn, turn.user(caller_id))
    if file.complete or params.offset + len(params.data) <= file.received > 0:
        return results.Uploaded(offset=file.received, complete=file.complete)
    _check_chunk(file, params)
    digest = turn.hashes.at(file_id, params.offset) or digest
    assert digest is not None
    digest.update(params.data)
    return _take_chunk(turn, file, params.data, digest)


async def _digest_before(
    work: Reading, file: StoredFile, offset: int
) -> Any | None:
    """The hash of what stands before `offset`, from memory or store."""
    if offset != file.received or file.complete:
        return None
    digest = work.hashes.at(file.id, offset)
    if digest is not None:
        return digest
    digest = sha256()
    for start in range(0, offset, CHUNK_BYTES):
        chunks = await work.ask(
            CHUNKS_OF, file_id=file.id, offset=start, limit=1
        )
        digest.update(chunks[0].data)
    work.hashes.keep(file.id, offset, digest)
    return work.hashes.at(file.id, offset)


def _check_chunk(file: StoredFile, params: given.UploadChunk) -> None:
    """Whether these bytes are the next ones."""
    if params.offset != file.received:
        raise Refused(
            Code.CONFLICT,
            f"The next chunk starts at offset {file.received}.",
            offset=file.received,
        )
    if len(params.data) != _next_size(file):
        raise Refused(
            Code.BAD_REQUEST,
            f"A chunk must have {CHUNK_BYTES} bytes, except the last one.",
            field="data",
        )


def _next_size(file: StoredFile) -> int:
    """How many bytes the next chunk must have."""
    return min(CHUNK_BYTES, file.size - file.received)


def _take_chunk(
    turn: Turn, file: StoredFile, data: bytes, digest: Any
) -> results.Uploaded | Refused:
    """The bytes are the file's next; those of a false file all go."""
    received = file.received + len(data)
    if received == file.size and digest.hexdigest() != file.sha256:
        drop(turn, file)
        return Refused(
            Code.CONFLICT,
            "The upload does not match its sha256 and was discarded. "
            "Upload it again from the start.",
            field="sha256",
        )
    if data:
        turn.put(FILE_CHUNKS, FileChunk(file.id, file.received, data))
    file = turn.change(
        FILES,
        file,
        received=received,
        resume_key=None if received == file.size else file.resume_key,
    )
    if file.complete:
        turn.hashes.forget(file.id)
    else:
        turn.hashes.keep(file.id, received, digest)
    return results.Uploaded(offset=received, complete=file.complete)


@reads("download")
async def download(
    work: Reading, caller_id: str, params: given.Download
) -> results.Download:
    """A range of a file; at most CHUNK_BYTES an answer."""
    file = await work.load(FILES, params.file_id)
    if file is None or not file.complete:
        raise _no_file()
    await _require_sight(work, caller_id, file)
    length = CHUNK_BYTES if params.length is None else params.length
    end = min(file.size, params.offset + min(length, CHUNK_BYTES))
    data = b""
    if params.offset < end:
        first = params.offset - params.offset % CHUNK_BYTES
        chunks = await work.ask(
            CHUNKS_OF,
            file_id=file.id,
            offset=first,
            limit=2 if end > first + CHUNK_BYTES else 1,
        )
        whole = b"".join(chunk.data for chunk in chunks)
        data = whole[params.offset - first : end - first]
    return results.Download(
        data=data, size=file.size, name=file.name, type=file_type(file.name)
    )


async def _require_sight(
    work: Reading, caller_id: str, file: StoredFile
) -> None:
    """Only members have it, if they may see the message it is on."""
    await work.load_membership(file.chat_id, caller_id)
    found = work.membership(file.chat_id, caller_id)
    if found is None:
        raise _no_file()
    if file.message_id is None:
        if file.uploader_id != caller_id:
            raise _no_file()
        return
    message = await work.load(MESSAGES, file.message_id)
    floor = await visible_after(work, found)
    if message is None or message.seq <= floor:
        raise _no_file()


def drop(turn: Turn, file: StoredFile) -> None:
    """A file that is on no message goes, and so do its bytes."""
    turn.hashes.forget(file.id)
    drop_file(turn, file)
    turn.delete(FILES, file)
    turn.run(DELETE_CHUNKS_OF_FILE, file_id=file.id)


async def drop_stale(
    work: Writing, caller_id: None, params: NoParams
) -> Progress:
    """Delete what was uploaded and not attached within a day."""
    at = work.now - UNATTACHED_SECONDS * SECOND
    stale = await work.ask(STALE_UPLOADS, at=at, limit=STALE_PAGE)
    await work.load_all(FILES, [file.id for file in stale])
    turn = await work.turn()
    for found in stale:
        file = turn.get(FILES, found.id)
        if file is not None and not file.in_use and file.created <= at:
            drop(turn, file)
    return Progress(more=len(stale) == STALE_PAGE)

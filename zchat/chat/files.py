"""Files: uploading in chunks that resume, and reading ranges."""

from hashlib import sha256
from typing import Any, Final

from zchat.chat.errors import no_chat
from zchat.chat.expiry import visible_after
from zchat.chat.jobs import NoParams, Progress
from zchat.chat.moderation import refuse_banned
from zchat.chat.unit_of_work import UnitOfWork
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
    COUNT_UPLOADS,
    DELETE_CHUNKS_OF_FILE,
    STALE_UPLOADS,
)
from zchat.rpc import params, results
from zchat.rpc.filetypes import file_type

BY_RESUME_KEY: Final = 0
UNATTACHED_SECONDS: Final = 86_400
UNATTACHED_FILES: Final = 50
STALE_PAGE: Final = 32


def _no_file() -> Refused:
    return Refused(
        Code.NOT_FOUND, "There is no such file, or you may not have it."
    )


async def upload(
    work: UnitOfWork, caller_id: str, p: params.Upload
) -> results.Upload:
    """Begin an upload, or find where the same one stands."""
    chat_id = p.chat_id.lower()
    digest = p.sha256.lower()
    _check_name(p.name)
    resume_key = f"{caller_id}:{chat_id}:{p.size}:{digest}:{p.name}"
    await work.load_membership(chat_id, caller_id)
    await work.load_unique(FILES, BY_RESUME_KEY, resume_key)
    unattached = await work.ask(COUNT_UPLOADS, user_id=caller_id)
    await work.turn()
    if work.membership(chat_id, caller_id) is None:
        raise no_chat()
    refuse_banned(work, work.user(caller_id))
    limit = work.rules.max_file_bytes
    if p.size > limit:
        raise Refused(
            Code.TOO_LARGE,
            f"A file may have {limit} bytes at the most.",
            limit=limit,
            field="size",
        )
    file = work.get_unique(FILES, BY_RESUME_KEY, resume_key)
    if file is None:
        count = unattached[0].count + work.count_adjustment(
            "uploads", caller_id
        )
        if count >= UNATTACHED_FILES:
            raise Refused(
                Code.CONFLICT,
                f"{UNATTACHED_FILES} of your files are on "
                "no message, which is the most; send some first.",
            )
        work.adjust_count(1, "uploads", caller_id)
        file = work.put(
            FILES,
            StoredFile(
                id=work.entropy.id(work.now),
                chat_id=chat_id,
                uploader_id=caller_id,
                name=p.name,
                size=p.size,
                sha256=digest,
                received=0,
                message_id=None,
                scheduled_id=None,
                created=work.now,
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
            "A file's name must not hold slashes or "
            "control characters, nor be dots alone.",
            field="name",
        )


async def upload_chunk(
    work: UnitOfWork, caller_id: str, p: params.UploadChunk
) -> results.Uploaded | Refused:
    """Add the next bytes; the last ones complete and verify the file."""
    file_id = p.file_id.lower()
    file = await work.load(FILES, file_id)
    if file is None or file.uploader_id != caller_id:
        raise _no_file()
    await work.load_membership(file.chat_id, caller_id)
    digest = await _digest_before(work, file, p.offset)
    await work.turn()
    file = work.get(FILES, file_id)
    if file is None or not work.is_member(file.chat_id, caller_id):
        raise _no_file()
    refuse_banned(work, work.user(caller_id))
    if file.complete or p.offset + len(p.data) <= file.received > 0:
        return results.Uploaded(offset=file.received, complete=file.complete)
    _check_chunk(file, p)
    digest = work.hashes.at(file_id, p.offset) or digest
    assert digest is not None
    digest.update(p.data)
    return _take_chunk(work, file, p.data, digest)


async def _digest_before(
    work: UnitOfWork, file: StoredFile, offset: int
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


def _check_chunk(file: StoredFile, p: params.UploadChunk) -> None:
    """Whether these bytes are the next ones."""
    if p.offset != file.received:
        raise Refused(
            Code.CONFLICT,
            f"The next bytes begin at {file.received}.",
            offset=file.received,
        )
    if len(p.data) != min(CHUNK_BYTES, file.size - file.received):
        raise Refused(
            Code.BAD_REQUEST,
            f"A chunk has {CHUNK_BYTES} bytes, but for "
            "the last one, which ends the file.",
            field="data",
        )


def _take_chunk(
    work: UnitOfWork, file: StoredFile, data: bytes, digest: Any
) -> results.Uploaded | Refused:
    """The bytes are the file's next; those of a false file all go."""
    received = file.received + len(data)
    if received == file.size and digest.hexdigest() != file.sha256:
        _drop(work, file)
        return Refused(
            Code.CONFLICT,
            "What came does not have the sha256 that was "
            "announced; upload it again from the start.",
            field="sha256",
        )
    if data:
        work.put(FILE_CHUNKS, FileChunk(file.id, file.received, data))
    file = work.change(
        FILES,
        file,
        received=received,
        resume_key=None if received == file.size else file.resume_key,
    )
    if file.complete:
        work.hashes.forget(file.id)
    else:
        work.hashes.keep(file.id, received, digest)
    return results.Uploaded(offset=received, complete=file.complete)


async def download(
    work: UnitOfWork, caller_id: str, p: params.Download
) -> results.Download:
    """A range of a file; at most CHUNK_BYTES an answer."""
    file = await work.load(FILES, p.file_id.lower())
    if file is None or not file.complete:
        raise _no_file()
    await _require_sight(work, caller_id, file)
    length = CHUNK_BYTES if p.length is None else p.length
    end = min(file.size, p.offset + min(length, CHUNK_BYTES))
    data = b""
    if p.offset < end:
        first = p.offset - p.offset % CHUNK_BYTES
        chunks = await work.ask(
            CHUNKS_OF,
            file_id=file.id,
            offset=first,
            limit=2 if end > first + CHUNK_BYTES else 1,
        )
        whole = b"".join(chunk.data for chunk in chunks)
        data = whole[p.offset - first : end - first]
    return results.Download(
        data=data, size=file.size, name=file.name, type=file_type(file.name)
    )


async def _require_sight(
    work: UnitOfWork, caller_id: str, file: StoredFile
) -> None:
    """Only members have it, if they may see the message it is on."""
    await work.load_membership(file.chat_id, caller_id)
    found = work.membership(file.chat_id, caller_id)
    if found is None:
        raise _no_file()
    chat, member = found
    if file.message_id is None:
        if file.uploader_id != caller_id:
            raise _no_file()
        return
    message = await work.load(MESSAGES, file.message_id)
    floor = max(await visible_after(work, member), chat.purged_seq)
    if message is None or message.seq <= floor:
        raise _no_file()


def _drop(work: UnitOfWork, file: StoredFile) -> None:
    """A file that is on no message goes, and so do its bytes."""
    work.hashes.forget(file.id)
    work.adjust_count(-1, "uploads", file.uploader_id)
    work.delete(FILES, file)
    work.run(DELETE_CHUNKS_OF_FILE, file_id=file.id)


async def drop_stale(
    work: UnitOfWork, caller_id: None, p: NoParams
) -> Progress:
    """Delete what was uploaded and not attached within a day."""
    stale = await work.ask(
        STALE_UPLOADS,
        at=work.now - UNATTACHED_SECONDS * SECOND,
        limit=STALE_PAGE,
    )
    await work.load_all(FILES, [file.id for file in stale])
    await work.turn()
    for found in stale:
        file = work.get(FILES, found.id)
        if file is not None and not file.in_use:
            _drop(work, file)
    return Progress(more=len(stale) == STALE_PAGE)

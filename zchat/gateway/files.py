"""Files over HTTP: streamed up in chunks, streamed down in ranges."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from hashlib import sha256
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final
from urllib.parse import quote

import msgspec

from zchat.errors import Code, Refused
from zchat.gateway.binding import Binding, Call, json_answer
from zchat.gateway.calls import Caller
from zchat.gateway.messages import Fields, Request, Response, problem
from zchat.gateway.router import Values
from zchat.rpc.methods import TOKEN

_UPLOADS_AT_ONCE: Final = 64
_SPOOLED_BYTES: Final = 1024 * 1024
_HASH: Final = b"x-content-sha256"
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_MEDIA_TYPE: Final = re.compile(
    r"[\w.+-]+/[\w.+-]+(; ?[\w.+-]+=[\w.+-]+)*", re.ASCII
)
_PLAIN_NAME: Final = re.compile(r"[^0-9A-Za-z ._()-]")


class UploadedFile(msgspec.Struct, frozen=True):
    """The answer to `POST /files`; `size` in bytes, `sha256` as hex."""

    file_id: str
    name: str
    size: int
    sha256: str


class Files:
    """The two routes that move a file's bytes.

    `limit_bytes` is the operator's limit, once the broker has told it.
    """

    def __init__(self, caller: Caller, limit_bytes: int) -> None:
        self._caller = caller
        self._uploads = 0
        self.limit_bytes = limit_bytes

    # -- upload

    async def upload(
        self, binding: Binding, request: Request, values: Values
    ) -> Response:
        """Take a file in: `POST /files?chat_id=…&name=…`, bytes as body.

        With its SHA-256 (field X-Content-SHA256, or `sha256` in the
        query) and a Content-Length the bytes pass through; without, they
        are kept in a temporary file until all are there and hashed.
        """
        call = binding.call(request, values)
        header = request.headers.get(_HASH)
        if header is not None:
            call.params["sha256"] = header.decode("latin-1")
        await self._caller.user_id(call.token)
        await self._caller.check_claim(call)
        if self._uploads >= _UPLOADS_AT_ONCE:
            raise Refused(
                Code.UNAVAILABLE,
                f"{_UPLOADS_AT_ONCE} uploads are in progress. "
                "Try again in a moment.",
                retry_after=1,
            )
        self._uploads += 1
        try:
            return await self._take(binding, request, call)
        except Refused as refused:
            raise binding.refusal(refused) from None
        finally:
            self._uploads -= 1

    async def _take(
        self, binding: Binding, request: Request, call: Call
    ) -> Response:
        body = _body_of(request)
        length = len(request.body)
        if request.stream is not None and request.stream.length is not None:
            length = request.stream.length
        is_length_known = request.stream is None or (
            request.stream.length is not None
        )
        if "sha256" in call.params and is_length_known:
            return await self._send(call, length, body)
        with SpooledTemporaryFile(_SPOOLED_BYTES) as spool:
            try:
                size, digest = await _spool(body, spool)
            except OSError as error:
                raise Refused(
                    Code.UNAVAILABLE,
                    "There is no room to keep the file "
                    f"while it comes ({error.strerror}); announce its "
                    "SHA-256, and it passes through.",
                ) from None
            if call.params.setdefault("sha256", digest).lower() != digest:
                raise Refused(
                    Code.BAD_REQUEST,
                    "The file does not match its SHA-256. Send it again.",
                    field="sha256",
                )
            return await self._send(call, size, _read(spool))

    async def _send(
        self, call: Call, size: int, pieces: AsyncIterator[bytes]
    ) -> Response:
        """Pass a file on in chunks, from where its upload stands."""
        token = {} if call.token is None else {TOKEN: call.token}
        begun = await self._caller.ask(
            "upload", token | call.params | {"size": size}, may_repeat=True
        )
        file_id, offset = begun["file_id"], begun["offset"]
        body = _Body(pieces)
        is_complete = False
        while not is_complete:
            chunk = await body.chunk_at(offset, begun["chunk_size"])
            answer = await self._caller.ask(
                "upload_chunk",
                token | {"file_id": file_id, "offset": offset, "data": chunk},
                may_repeat=True,
            )
            is_complete = answer["complete"]
            if answer["offset"] <= offset and not is_complete:
                raise Refused(
                    Code.CONFLICT,
                    "Another upload of this file got in the way. "
                    "Upload it again.",
                )
            offset = answer["offset"]
        await body.drain()
        return json_answer(
            UploadedFile(
                file_id,
                call.params["name"],
                size,
                call.params["sha256"].lower(),
            )
        )

    # -- download

    async def download(
        self, binding: Binding, request: Request, values: Values
    ) -> Response:
        """Give a file, or the range of it that is asked for."""
        call = binding.call(request, values)
        await self._caller.check_claim(call)
        found = await self._piece(call, 0, 0)
        size = found["size"]
        wanted = _wanted_range(request, size)
        if wanted is None:
            return problem(
                416,
                Code.BAD_REQUEST,
                f"The file has {size} bytes.",
                (("Content-Range", f"bytes */{size}"),),
            )
        first, end = wanted
        fields = _file_fields(found["name"])
        status = 200
        if (first, end) != (0, size):
            status = 206
            fields += (("Content-Range", f"bytes {first}-{end - 1}/{size}"),)
        kind = found["type"]
        if _MEDIA_TYPE.fullmatch(kind) is None:
            kind = "application/octet-stream"
        return Response(
            status,
            content_type=kind,
            fields=fields,
            chunks=self._pieces(call, first, end),
            length=end - first,
        )

    async def _pieces(
        self, call: Call, first: int, end: int
    ) -> AsyncGenerator[bytes, None]:
        while first < end:
            piece = await self._piece(call, first, end - first)
            data: bytes = piece["data"]
            if not data:
                raise EOFError("a file ended before its size")
            first += len(data)
            yield data

    async def _piece(self, call: Call, offset: int, length: int) -> Any:
        return await self._caller.ask(
            "download",
            call.wire() | {"offset": offset, "length": length},
            may_repeat=True,
        )


def _body_of(request: Request) -> AsyncIterator[bytes]:
    if request.stream is not None:
        return aiter(request.stream)
    return _one(request.body)


async def _one(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


async def _spool(
    pieces: AsyncIterator[bytes], spool: IO[bytes]
) -> tuple[int, str]:
    """Keep the bytes and return how many there are, and their SHA-256."""
    digest = sha256()
    size = 0
    async for piece in pieces:
        digest.update(piece)
        spool.write(piece)
        size += len(piece)
    spool.seek(0)
    return size, digest.hexdigest()


async def _read(spool: IO[bytes]) -> AsyncGenerator[bytes, None]:
    while piece := spool.read(_SPOOLED_BYTES // 4):
        yield piece


class _Body:
    """The bytes of a body by their offset in the file, read forward.

    The upload may stand anywhere beyond what was sent so far: another
    upload of the same file moves it too.
    """

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._held = bytearray()
        self._offset = 0

    async def chunk_at(self, offset: int, size: int) -> bytes:
        """The bytes from `offset`, `size` of them where there are."""
        while self._offset + len(self._held) < offset + size:
            piece = await anext(self._pieces, None)
            if piece is None:
                break
            self._held += piece
            self._skip_to(offset)
        self._skip_to(offset)
        chunk = bytes(self._held[:size])
        self._skip_to(self._offset + len(chunk))
        return chunk

    def _skip_to(self, offset: int) -> None:
        skipped = min(max(0, offset - self._offset), len(self._held))
        del self._held[:skipped]
        self._offset += skipped

    async def drain(self) -> None:
        """Read to the end what nobody needs any more."""
        async for _ in self._pieces:
            pass


def _wanted_range(request: Request, size: int) -> tuple[int, int] | None:
    """First byte and end of the range asked for; None: there is no such.

    Several ranges, and units other than bytes, give the whole file, as
    RFC 9110 (14.2) allows; so does If-Range, since no validator is given
    that could match.
    """
    field = request.headers.get(b"range")
    if b"if-range" in request.headers:
        return 0, size
    matched = field and _RANGE.fullmatch(field.decode("latin-1"))
    if not matched or matched.groups() == ("", ""):
        return 0, size
    first, last = matched.groups()
    if not first:
        begin = max(0, size - int(last))
        return (begin, size) if begin < size else None
    begin = int(first)
    end = min(int(last) + 1, size) if last else size
    if last and int(last) < begin:
        return 0, size
    return (begin, end) if begin < size else None


def _file_fields(name: str) -> Fields:
    """What keeps a browser from showing or running somebody's file."""
    plain = _PLAIN_NAME.sub("_", name)
    return (
        (
            "Content-Disposition",
            f"attachment; filename=\"{plain}\"; filename*=UTF-8''"
            f"{quote(name, safe='')}",
        ),
        ("Content-Security-Policy", "sandbox; default-src 'none'"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Accept-Ranges", "bytes"),
    )

"""The page of `zchat/web`, served from memory.

Every file is read, compressed and hashed once, at the start. A browser
keeps what it got and asks each time whether it is still the same
(`no-cache` with an ETag, RFC 9111), so a new version of the server is a
new page at once, and an old one costs 304s without bodies.
"""

import gzip
import re
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from typing import Final, NamedTuple

from zchat.gateway.messages import Fields, Request, Response
from zchat.gateway.router import Serve, Values

INDEX: Final = "index.html"
FOLDER: Final = "/web"
CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""What the page may do: run its own scripts, and talk to this server."""

_SHARED: Final[Fields] = (
    ("Cache-Control", "no-cache"),
    ("Vary", "Accept-Encoding"),
)
_OF_DOCUMENTS: Final[Fields] = (
    ("Content-Security-Policy", POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)
_DOCUMENTS: Final = frozenset(("text/html; charset=utf-8", "image/svg+xml"))
_GZIP: Final[Fields] = (("Content-Encoding", "gzip"),)
_ACCEPTS_GZIP: Final = re.compile(
    rb"(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q=(?P<weight>[0-9.]+)\s*)?(?=,|$)", re.I
)
_SMALLEST_GAIN: Final = 0.95
_COMMENT: Final = re.compile(
    r"^[ ]*(?:/\*(?:[^*]|\*(?!/))*\*/|//[^\n]*)$", re.MULTILINE
)
_INDENT: Final = re.compile(r"^[ ]+", re.MULTILINE)
_SQUEEZED: Final = frozenset((".js", ".css"))


class Page(NamedTuple):
    """One file in its two forms; `packed` None: packing gains nothing."""

    content_type: str
    plain: bytes
    packed: bytes | None
    hash: str

    def serve(self, request: Request, values: Values) -> Response:
        """The file as the client takes it, or 304 if it has it."""
        packed = self.packed if accepts_gzip(request) else None
        tag = f'"{self.hash}-gz"' if packed else f'"{self.hash}"'
        fields = (("ETag", tag), *_SHARED)
        if self.content_type in _DOCUMENTS:
            fields += _OF_DOCUMENTS
        if is_known(request, tag):
            return Response(304, fields=fields)
        if packed is None:
            return Response(200, self.plain, self.content_type, fields)
        return Response(200, packed, self.content_type, fields + _GZIP)


def page_of(content: bytes, content_type: str) -> Page:
    """A file's content, hashed and compressed."""
    packed = gzip.compress(content, 9, mtime=0)
    is_smaller = len(packed) < len(content) * _SMALLEST_GAIN
    digest = sha256(content_type.encode() + b"\n" + content).hexdigest()
    return Page(
        content_type, content, packed if is_smaller else None, digest[:20]
    )


def squeezed(source: str) -> str:
    """A script or style sheet without what only its readers need.

    Comments that fill their lines go, and so does indentation; the lines
    stay where they are, so an error names the line of the source. No
    source has a text of several lines, which this would change: a test
    looks.
    """
    bare = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), source)
    return _INDENT.sub("", bare)


def load_pages() -> dict[str, Page]:
    """The files of `zchat/web` by name."""
    found = {}
    for file in files("zchat").joinpath("web").iterdir():
        suffix = file.name[file.name.rfind(".") :]
        content_type = CONTENT_TYPES.get(suffix)
        if content_type is None:
            continue
        text = file.read_text("utf-8")
        if suffix in _SQUEEZED:
            text = squeezed(text)
        found[file.name] = page_of(text.encode(), content_type)
    return found


def page_routes() -> Iterator[tuple[str, Serve]]:
    """The paths of the page, each with what serves it.

    A link into a group opens the page too, which then asks to join.
    """
    pages = load_pages()
    yield "/", pages[INDEX].serve
    yield "/join/{link}", pages[INDEX].serve
    for name, page in pages.items():
        if name != INDEX:
            yield f"{FOLDER}/{name}", page.serve


def accepts_gzip(request: Request) -> bool:
    """Whether Accept-Encoding permits gzip (RFC 9110, 12.5.3)."""
    field = request.headers.get(b"accept-encoding", b"")
    matched = _ACCEPTS_GZIP.search(field)
    if matched is None:
        return False
    weight = matched["weight"]
    return weight is None or bool(weight.strip(b"0."))


def is_known(request: Request, tag: str) -> bool:
    """Whether If-None-Match names this tag (RFC 9110, 13.1.2)."""
    field = request.headers.get(b"if-none-match")
    if field is None:
        return False
    names = [name.strip() for name in field.decode("latin-1").split(",")]
    return "*" in names or tag in (name.removeprefix("W/") for name in names)

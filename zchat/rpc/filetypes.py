"""The media type of a file, by its name."""

from mimetypes import MimeTypes
from typing import Final

ANY_TYPE: Final = "application/octet-stream"
_TYPES: Final = MimeTypes(filenames=())


def file_type(name: str) -> str:
    """The type that the name's ending stands for, or the general one."""
    kind, encoding = _TYPES.guess_type(f"file:{name}")
    if kind is None or encoding is not None:
        return ANY_TYPE
    return kind

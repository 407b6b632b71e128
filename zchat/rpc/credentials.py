"""How tokens and links are known without being kept."""

from hashlib import sha256
from typing import Final

_LONGEST: Final = 256
_NOBODYS: Final = b"no token has this form"


def token_hash(token: object) -> bytes | None:
    """The SHA-256 by which a token is known; None: there is no token.

    A token of another form than text is one that nobody has.
    """
    if token is None:
        return None
    if not isinstance(token, str) or len(token) > _LONGEST:
        return _NOBODYS
    return sha256(token.encode(errors="replace")).digest()


def link_hash(link: str) -> bytes:
    """The SHA-256 by which an invitation link is known."""
    return sha256(link.encode(errors="replace")).digest()

"""The states of an HTTP connection, and what leads from one to the next.

A connection reads requests and owes answers. Its state says what the next
byte of the client means; the queue of answers that are due is beside it.

    IDLE ─ BEGAN ─> HEAD ─ BODY_COMES ───> BODY ───┐
     ^               │  └─ UPLOAD_COMES ─> UPLOAD ─┤
     └── COMPLETE ───┴─────────────────────────────┘

Three states read no more requests and answer what is due: LAST (the last
request said so), HALF_CLOSED (the client shut its side down) and REFUSED
(the client may still be sending what nobody will read). When the last
answer is out, the first two close at once. REFUSED first shuts its own
side down and goes on reading for a while (LINGERING): whoever closes a
connection with bytes unread resets it, and the client may lose the answer
that is on its way (RFC 9112, 9.6).

A pair that is not in the table is a fault of this program, and raises
KeyError.
"""

from enum import Enum
from typing import Final


class _Identical(Enum):
    """Members are hashed as the objects they are.

    Enum hashes their names, by a method in Python. The tables here are
    looked into a dozen times a request.
    """

    __hash__ = object.__hash__


class State(_Identical):
    """What the next byte of the client belongs to."""

    IDLE = "the next request"
    HEAD = "the head of a request"
    BODY = "a body that is read whole"
    UPLOAD = "a body that a route streams"
    LAST = "nothing: the last request was read"
    HALF_CLOSED = "nothing: the client has shut its side down"
    REFUSED = "nothing: what comes is thrown away"
    LINGERING = "nothing: all answers are out, and this side is shut down"
    CLOSING = "nothing: only what was written is still sent"
    CLOSED = "nothing: the connection is gone"


class Happening(_Identical):
    """What leads to another state."""

    BEGAN = "the first byte of a request came"
    BODY_COMES = "a head ended, and a body follows"
    UPLOAD_COMES = "a head ended, and a body that a route streams follows"
    COMPLETE = "a request is whole"
    WAS_LAST = "no request may follow"
    SHUT_DOWN = "the client sends no more"
    TURNED_AWAY = "what the client sends will not be served"
    ANSWERED = "everything that was due is written"
    LOST = "the connection is gone"


_S = State
_H = Happening

_WHATEVER_COMES: Final = (
    _H.BEGAN,
    _H.BODY_COMES,
    _H.UPLOAD_COMES,
    _H.COMPLETE,
    _H.WAS_LAST,
)

TRANSITIONS: Final[dict[State, dict[Happening, State]]] = {
    _S.IDLE: {
        _H.BEGAN: _S.HEAD,
        _H.WAS_LAST: _S.LAST,
        _H.SHUT_DOWN: _S.HALF_CLOSED,
        _H.TURNED_AWAY: _S.REFUSED,
        _H.ANSWERED: _S.CLOSING,
        _H.LOST: _S.CLOSED,
    },
    _S.HEAD: {
        _H.BODY_COMES: _S.BODY,
        _H.UPLOAD_COMES: _S.UPLOAD,
        _H.COMPLETE: _S.IDLE,
        _H.TURNED_AWAY: _S.REFUSED,
        _H.LOST: _S.CLOSED,
    },
    _S.BODY: {
        _H.COMPLETE: _S.IDLE,
        _H.TURNED_AWAY: _S.REFUSED,
        _H.LOST: _S.CLOSED,
    },
    _S.UPLOAD: {
        _H.COMPLETE: _S.IDLE,
        _H.TURNED_AWAY: _S.REFUSED,
        _H.LOST: _S.CLOSED,
    },
    _S.LAST: {
        **dict.fromkeys(_WHATEVER_COMES, _S.LAST),
        _H.SHUT_DOWN: _S.HALF_CLOSED,
        _H.TURNED_AWAY: _S.REFUSED,
        _H.ANSWERED: _S.CLOSING,
        _H.LOST: _S.CLOSED,
    },
    _S.HALF_CLOSED: {
        _H.WAS_LAST: _S.HALF_CLOSED,
        _H.ANSWERED: _S.CLOSING,
        _H.LOST: _S.CLOSED,
    },
    _S.REFUSED: {
        **dict.fromkeys(_WHATEVER_COMES, _S.REFUSED),
        _H.SHUT_DOWN: _S.HALF_CLOSED,
        _H.TURNED_AWAY: _S.REFUSED,
        _H.ANSWERED: _S.LINGERING,
        _H.LOST: _S.CLOSED,
    },
    _S.LINGERING: {_H.LOST: _S.CLOSED},
    _S.CLOSING: {_H.LOST: _S.CLOSED},
    _S.CLOSED: {_H.LOST: _S.CLOSED},
}

READING: Final = frozenset((_S.IDLE, _S.HEAD, _S.BODY, _S.UPLOAD))
"""Requests are read."""
ENDING: Final = frozenset((_S.LAST, _S.HALF_CLOSED, _S.REFUSED))
"""Answers are due, and the connection ends with the last of them."""
IN_A_BODY: Final = frozenset((_S.BODY, _S.UPLOAD))


class Machine:
    """The state of one connection."""

    def __init__(self) -> None:
        self.state = State.IDLE

    def happened(self, happening: Happening) -> None:
        """Go where the table says."""
        self.state = TRANSITIONS[self.state][happening]

"""A request from its frames to the call that a batch runs."""

from typing import Final

import msgspec

from zchat.chat.handlers import handler_of, immediate_of
from zchat.engine.batch import Call
from zchat.errors import Code, Refused
from zchat.rpc.codec import Request, Unreadable, decode_request

ENVELOPE_FRAMES: Final = 32
ENVELOPE_BYTES: Final = 4_096
HEAVY_BYTES: Final = 262_144
"""What a request counts for whose answer may be large."""
PENDING_BYTES: Final = 1_024
"""What a request takes besides its frames."""


class Pending(msgspec.Struct, frozen=True):
    """A request that waits for its answer.

    `user` is the token that it carries, None where it carries none:
    enough to share between users before anybody is looked up. `size` is
    in bytes; `cost` adds what the answer may take.
    """

    envelope: list[bytes]
    id: int | None
    method: str
    call: Call
    user: str | None = None
    size: int = 0
    cost: int = 0


def pending_of(frames: list[bytes], for_operator: bool = False) -> Pending:
    """The request in these frames; a bad one has its outcome already.

    What comes in by the operator's socket needs no token and can carry
    none.
    """
    envelope, body = frames[:-1], frames[-1]
    enveloped = sum(map(len, envelope))
    try:
        if len(envelope) > ENVELOPE_FRAMES or enveloped > ENVELOPE_BYTES:
            del envelope[1:]
            raise Unreadable(None, _large_envelope())
        request = decode_request(body)
        if for_operator and not request.method.for_operator:
            raise Unreadable(request.id, _not_here(), request.method.name)
    except Unreadable as unreadable:
        call = Call(handler_of("hello", True), None)
        call.end(unreadable.refused)
        return Pending(envelope, unreadable.id, unreadable.method, call)
    method = request.method
    call = call_of(request, (for_operator, *envelope), for_operator)
    token = call.token
    size = PENDING_BYTES + enveloped + len(body)
    is_heavy = method.reads or method.changes_if
    return Pending(
        envelope,
        request.id,
        method.name,
        call,
        token if isinstance(token, str) else None,
        size,
        size + HEAVY_BYTES if is_heavy else size,
    )


def call_of(request: Request, origin: object, for_operator: bool) -> Call:
    """The call that a request asks for; `origin` as in `Call`."""
    method = request.method
    reads = method.only_reads(request.params)
    is_known_by_token = method.takes_token and not for_operator
    return Call(
        handler_of(method.name, reads),
        request.params,
        reads=reads,
        needs_token=method.needs_token and not for_operator,
        token=request.token if is_known_by_token else None,
        origin=origin,
        immediate=immediate_of(method.name),
    )


def _not_here() -> Refused:
    return Refused(
        Code.FORBIDDEN,
        "The operator's socket serves operators' methods only. "
        "Send this to the RPC socket, with a token.",
    )


def _large_envelope() -> Refused:
    return Refused(
        Code.BAD_REQUEST,
        "The envelope is too large. At most "
        f"{ENVELOPE_FRAMES} frames and {ENVELOPE_BYTES} bytes are allowed.",
    )

"""From a request's frames to the call that a batch runs."""

from typing import Any

import pytest

from zchat.engine.requests import (
    ENVELOPE_BYTES,
    ENVELOPE_FRAMES,
    HEAVY_BYTES,
    Pending,
    pending_of,
)
from zchat.errors import Code, Refused
from zchat.rpc.codec import encode_request

TOKEN = "feed0000-0000-4000-8000-000000000001"


def pending(
    method: str,
    *envelope: bytes,
    for_operator: bool = False,
    **params: Any,
) -> Pending:
    body = encode_request(1, method, params)
    return pending_of([*(envelope or (b"ann",)), body], for_operator)


def refusal(request: Pending) -> Refused:
    assert request.call.done
    assert isinstance(request.call.outcome, Refused)
    return request.call.outcome


def test_an_envelope_may_be_so_large() -> None:
    many = [b"ann", *[b""] * (ENVELOPE_FRAMES - 1)]
    for envelope in (many, [b"x" * ENVELOPE_BYTES]):
        request = pending("hello", *envelope)
        assert not request.call.done
        assert request.envelope == envelope


@pytest.mark.parametrize(
    "envelope",
    [[b"ann"] * (ENVELOPE_FRAMES + 1), [b"ann", b"x" * ENVELOPE_BYTES]],
    ids=["frames", "bytes"],
)
def test_a_larger_one_is_refused_and_not_sent_back(
    envelope: list[bytes],
) -> None:
    request = pending("hello", *envelope)

    assert refusal(request).code is Code.BAD_REQUEST
    assert request.envelope == [b"ann"]
    assert request.id is None


class TestOperatorsSocket:
    def test_it_serves_operators(self) -> None:
        request = pending("stats", for_operator=True)

        assert not request.call.done
        assert not request.call.needs_token

    def test_it_serves_what_needs_no_token(self) -> None:
        assert not pending("hello", for_operator=True).call.done

    @pytest.mark.parametrize("method", ["status", "connect"])
    def test_it_serves_no_users(self, method: str) -> None:
        request = pending(method, for_operator=True)

        assert refusal(request).code is Code.FORBIDDEN
        assert (request.id, request.method) == (1, method)

    def test_a_token_says_nothing_there(self) -> None:
        """An operator is no user, also with the token of one."""
        request = pending("stats", for_operator=True, token=TOKEN)

        assert request.user is None
        assert request.call.token is None

    def test_its_connections_are_others(self) -> None:
        """A peer may have the same routing id at both sockets."""
        own = pending("stats", for_operator=True).call.origin

        assert own != pending("stats", token=TOKEN).call.origin


def test_what_a_request_counts_for() -> None:
    small = pending("typing", token=TOKEN, chat_id=TOKEN)
    large = pending("unread", token=TOKEN, ack=True)

    assert (small.user, large.user) == (TOKEN, TOKEN)
    assert small.cost == small.size
    assert large.cost == large.size + HEAVY_BYTES

"""Requests that were overtaken wait, and others are not held up."""

from zchat.chat.handlers import handler_of
from zchat.engine.batch import Call
from zchat.engine.deferred import WAITING_REQUESTS, Deferred, Pending
from zchat.errors import Code, Refused


def request(origin: bytes, id: int) -> Pending:
    return Pending(
        [origin],
        id,
        "hello",
        Call(handler_of("hello", True), None, origin=origin),
    )


def ids(requests: list[Pending]) -> list[int | None]:
    return [one.id for one in requests]


def test_nobody_waits_unless_late() -> None:
    late = Deferred()

    assert not late.takes(request(b"a", 1))
    assert not late.waiting


def test_one_of_each_connection_runs_in_its_order() -> None:
    late = Deferred()
    late.put_back([request(b"a", 1), request(b"b", 2), request(b"a", 3)])
    assert late.takes(request(b"a", 4))

    first = late.first_of_each()
    late.put_back([one for one in first if one.id == 1])

    assert ids(first) == [1, 2]
    assert ids(late.first_of_each()) == [1]
    late.put_back([])
    assert ids(late.first_of_each()) == [3]
    late.put_back([])
    assert ids(late.first_of_each()) == [4]
    late.put_back([])
    assert not late.waiting


def test_too_many_of_one_connection_are_refused() -> None:
    late = Deferred()
    late.put_back([request(b"a", 0)])
    for id in range(1, WAITING_REQUESTS):
        assert late.takes(request(b"a", id))

    excess = request(b"a", WAITING_REQUESTS)

    assert not late.takes(excess)
    assert isinstance(excess.call.outcome, Refused)
    assert excess.call.outcome.code is Code.UNAVAILABLE

"""What the broker is asked for HTTP clients, and what they are told."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from tests.harness import NOWHERE
from zchat.client.connection import Link, NoAnswer
from zchat.errors import Code, Refused
from zchat.gateway import calls
from zchat.gateway.binding import Binding
from zchat.gateway.calls import Caller
from zchat.gateway.messages import Request, Response
from zchat.rpc import codec
from zchat.rpc.methods import METHOD_BY_NAME

OWN = "01a209a3-c5ce-7000-a1f7-a004673faba9"
OTHERS = "01a209a3-c5ce-7000-a1f7-a004673fabaa"
USERS = {"own token": OWN, "other's token": OTHERS}

Outcome = Any
Answers = Callable[[str, dict[str, Any]], Outcome]


def knows_tokens(method: str, params: dict[str, Any]) -> Outcome:
    """A broker that knows the users, and does everything else."""
    if method != "status":
        return {}
    token = params.get("token")
    if token not in USERS:
        return Refused(Code.UNAUTHORIZED, "Unknown token.")
    return {"user": {"id": USERS[token]}}


class Broker:
    """A link to a broker that answers at once; `asked` is what it was."""

    def __init__(self, answers: Answers = knows_tokens) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.lanes: list[bytes] = []

    def request(
        self,
        method: str,
        params: dict[str, Any],
        reply: Any,
        *,
        resend: bool,
        lane: bytes,
    ) -> None:
        try:
            codec.pack(params)
        except (ValueError, OverflowError, RecursionError):
            raise Refused(Code.BAD_REQUEST, "Cannot be sent.") from None
        self.asked.append((method, dict(params)))
        self.lanes.append(lane)
        outcome = self.answers(method, params)
        if isinstance(outcome, Refused | NoAnswer):
            reply(outcome, None)
        else:
            reply(None, outcome)

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self.asked]


def run(broker: Broker, do: Callable[[Caller], Awaitable[Any]]) -> Any:
    """What comes of it, with a caller of this broker."""

    async def within() -> Any:
        return await do(Caller(cast(Link, broker)))

    return asyncio.run(within())


def serve(
    broker: Broker, name: str, *bodies: dict[str, Any]
) -> list[Response]:
    """The answers to requests of a route that come one after another."""
    method = METHOD_BY_NAME[name]

    async def do(caller: Caller) -> list[Response]:
        route = caller.serve(Binding(method, method.routes[0]))
        answers = []
        for body in bodies:
            request = Request(
                "POST",
                "/",
                "",
                {b"authorization": b"Bearer own token"},
                json.dumps(body).encode(),
            )
            answer = route(request, {})
            answers.append(
                answer if isinstance(answer, Response) else await answer
            )
        return answers

    found: list[Response] = run(broker, do)
    return found


def refusal(broker: Broker, name: str, body: dict[str, Any]) -> Refused:
    with pytest.raises(Refused) as caught:
        serve(broker, name, body)
    return caught.value


def test_an_answer_is_json() -> None:
    (answer,) = serve(
        Broker(lambda method, params: {"id": "x"}), "send", {"message": "a"}
    )

    assert (answer.status, json.loads(answer.body)) == (200, {"id": "x"})


def test_a_refusal_has_its_status_and_the_callers_words() -> None:
    broker = Broker(
        lambda method, params: Refused(
            Code.BAD_REQUEST, "`text` is missing.", field="text"
        )
    )

    (answer,) = serve(broker, "send", {"message": "a"})

    problem = json.loads(answer.body)
    assert (answer.status, problem["field"]) == (400, "message")
    assert problem["detail"] == "`message` is missing."


@pytest.mark.parametrize(
    ("sent", "told"),
    [(False, "Nothing was changed"), (True, "may have taken effect")],
)
def test_no_answer_says_whether_it_may_be_repeated(
    sent: bool, told: str
) -> None:
    broker = Broker(lambda method, params: NoAnswer("It is away.", sent))

    (answer,) = serve(broker, "send", {"message": "a"})

    problem = json.loads(answer.body)
    assert (answer.status, problem["code"]) == (503, "unavailable")
    assert told in problem["detail"]
    assert ("Retry-After", "1") in answer.fields


def test_a_link_that_takes_no_more_is_no_answer() -> None:
    class Full(Broker):
        def request(self, *args: Any, **more: Any) -> None:
            raise NoAnswer("Too many wait.", sent=False)

    assert refusal(Full(), "send", {"message": "a"}).code is Code.UNAVAILABLE


def test_an_answer_that_nobody_waits_for_is_dropped() -> None:
    """The client is gone; the broker answers all the same."""
    method = METHOD_BY_NAME["send"]
    replies: list[Any] = []

    class Late(Broker):
        def request(self, *args: Any, **more: Any) -> None:
            replies.append(args[2])

    async def do(caller: Caller) -> None:
        route = caller.serve(Binding(method, method.routes[0]))
        answer = route(Request("POST", "/", "", {}, b'{"message": "a"}'), {})
        asked = asyncio.ensure_future(caller.ask("hello", {}))
        await asyncio.sleep(0)
        assert isinstance(answer, asyncio.Future)
        for one in (answer, asked):
            one.cancel()
        await asyncio.sleep(0)
        for reply in replies:
            reply(None, {})
        assert answer.cancelled()
        assert len(replies) == 2

    run(Late(), do)


def test_what_cannot_be_sent_is_named() -> None:
    """MessagePack has no larger integers."""
    refused = refusal(Broker(), "send", {"message": "a", "comment_on": 2**64})

    assert refused.code is Code.BAD_REQUEST
    assert refused.data == {"field": "comment_on"}


def test_another_refusal_of_the_link_is_handed_on() -> None:
    kept = Refused(Code.BAD_REQUEST, "No.")

    class Picky(Broker):
        def request(self, *args: Any, **more: Any) -> None:
            raise kept

    assert refusal(Picky(), "send", {"message": "a"}) is kept


class TestClaims:
    """A request may name its user's id, but no other's."""

    def test_ones_own(self) -> None:
        broker = Broker()

        answers = serve(
            broker,
            "send",
            *[
                {"author_id": own, "message": "a"}
                for own in (OWN, OWN.upper())
            ],
        )

        assert [answer.status for answer in answers] == [200, 200]
        assert broker.methods == ["status", "send", "send"]

    def test_anothers(self) -> None:
        broker = Broker()

        refused = refusal(
            broker, "send", {"author_id": OTHERS, "message": "a"}
        )

        assert refused.code is Code.FORBIDDEN
        assert broker.methods == ["status"]

    def test_an_unknown_token(self) -> None:
        async def ask(caller: Caller) -> None:
            await caller.user_id("no token")

        with pytest.raises(Refused) as caught:
            run(Broker(), ask)
        assert caught.value.code is Code.UNAUTHORIZED

    def test_the_last_callers_are_known(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(calls, "_KNOWN_CALLERS", 2)
        broker = Broker(lambda method, params: {"user": {"id": OWN}})

        async def ask(caller: Caller) -> None:
            for token in "abacab":
                await caller.user_id(token)

        run(broker, ask)

        assert [params["token"] for _, params in broker.asked] == [*"abcb"]


class TestTheOther:
    """Where another user is meant, the id or the token may be given."""

    def serve(self, broker: Broker, other: str) -> int:
        (answer,) = serve(broker, "p2p", {"other_user_id": other})
        return answer.status

    def knows_ids(self, method: str, params: dict[str, Any]) -> Outcome:
        if method == "p2p" and params["user_id"] not in USERS.values():
            return Refused(Code.NOT_FOUND, "User not found.")
        return knows_tokens(method, params)

    def test_by_the_id(self) -> None:
        broker = Broker(self.knows_ids)

        assert self.serve(broker, OTHERS) == 200
        assert broker.methods == ["p2p"]

    def test_by_the_token(self) -> None:
        broker = Broker(self.knows_ids)

        assert self.serve(broker, "other's token") == 200
        assert broker.asked[-1][1]["user_id"] == OTHERS

    def test_by_neither(self) -> None:
        assert self.serve(Broker(self.knows_ids), NOWHERE) == 404


def test_requests_of_one_token_share_a_lane() -> None:
    """They keep their order, and wait for nobody else's."""
    broker = Broker()

    async def ask(caller: Caller) -> None:
        for token in ("a", "b", "a"):
            await caller.ask("send", {"token": token})
        await caller.ask("hello", {})

    run(broker, ask)

    a, b, again, none = broker.lanes
    assert a == again != b
    assert none == b""

"""Calls of the broker on behalf of HTTP clients."""

import asyncio
from collections import OrderedDict
from typing import Any, Final

from zchat.client.connection import Link, NoAnswer
from zchat.errors import Code, Refused
from zchat.gateway.binding import Binding, Call, json_answer
from zchat.gateway.messages import Request, Response, problem_of
from zchat.gateway.router import Serve, Values
from zchat.rpc import codec
from zchat.rpc.methods import TOKEN

_LANE_BYTES: Final = 8
_KNOWN_CALLERS: Final = 10_000
_LONGEST_NAME: Final = 64
_OTHER: Final = "other_user_id"
_UNSENDABLE: Final = (ValueError, TypeError, OverflowError, RecursionError)


class Caller:
    """Asks the broker, and knows whose token is whose."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._user_id_by_token: OrderedDict[str, str] = OrderedDict()

    def serve(self, binding: Binding) -> Serve:
        """What serves a route of the table as it stands."""
        if _OTHER in binding.route.rename:
            return lambda request, values: self._answer_by_other(
                binding, binding.call(request, values)
            )

        def serve(
            request: Request, values: Values
        ) -> "Response | asyncio.Future[Response]":
            call = binding.call(request, values)
            if call.claimed is not None:
                return asyncio.ensure_future(
                    self._answer_if_own(binding, call)
                )
            return self._answer(binding, call)

        return serve

    def _answer(
        self, binding: Binding, call: Call
    ) -> "asyncio.Future[Response]":
        """The answer of the broker as an answer of HTTP."""
        answer: asyncio.Future[Response] = self._loop.create_future()

        def reply(error: Refused | NoAnswer | None, result: Any) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(json_answer(result))
            else:
                answer.set_result(
                    problem_of(binding.refusal(_refusal_of(error)))
                )

        try:
            self._request(
                call.method.name, call.wire(), reply, call.may_repeat()
            )
        except Refused as refused:
            raise binding.refusal(refused) from None
        return answer

    async def _answer_if_own(self, binding: Binding, call: Call) -> Response:
        await self.check_claim(call)
        return await self._answer(binding, call)

    async def _answer_by_other(self, binding: Binding, call: Call) -> Response:
        """Also where the other is named by its token."""
        await self.check_claim(call)
        answer = await self._answer(binding, call)
        other = call.params.get("user_id")
        if answer.status != Code.NOT_FOUND.http or type(other) is not str:
            return answer
        try:
            call.params["user_id"] = await self.user_id(other)
        except Refused:
            return answer
        return await self._answer(binding, call)

    async def check_claim(self, call: Call) -> None:
        """Refuse a call in the name of another than the token's user."""
        if call.claimed is None:
            return
        own = await self.user_id(call.token)
        if str(call.claimed).lower() != own:
            raise Refused(
                Code.FORBIDDEN,
                "The id in the request is not yours. Leave it out, or "
                "give your own.",
            )

    async def user_id(self, token: object) -> str:
        """The public id of a token's user; raises Refused."""
        known = self._user_id_by_token
        if type(token) is str and token in known:
            known.move_to_end(token)
            return known[token]
        status = await self.ask("status", {TOKEN: token}, may_repeat=True)
        user_id = str(status["user"]["id"]).lower()
        if type(token) is str:
            known[token] = user_id
            if len(known) > _KNOWN_CALLERS:
                known.popitem(last=False)
        return user_id

    async def ask(
        self, method: str, params: dict[str, Any], may_repeat: bool = False
    ) -> Any:
        """The result of one method; raises Refused."""
        result: asyncio.Future[Any] = self._loop.create_future()

        def reply(error: Refused | NoAnswer | None, value: Any) -> None:
            if result.done():
                return
            if error is None:
                result.set_result(value)
            else:
                result.set_exception(_refusal_of(error))

        self._request(method, params, reply, may_repeat)
        return await result

    def _request(
        self, method: str, params: dict[str, Any], reply: Any, may_repeat: bool
    ) -> None:
        lane = _lane_of(params.get(TOKEN))
        try:
            self._link.request(
                method, params, reply, resend=may_repeat, lane=lane
            )
        except NoAnswer as error:
            raise _refusal_of(error) from None
        except Refused as refused:
            if refused.code is Code.BAD_REQUEST:
                raise _named(refused, params) from None
            raise


def _lane_of(token: object) -> bytes:
    """A caller's requests keep their order, and wait for no other's."""
    if type(token) is not str:
        return b""
    return hash(token).to_bytes(_LANE_BYTES, "big", signed=True)


def _named(refused: Refused, params: dict[str, Any]) -> Refused:
    """The refusal of what cannot be encoded, with the name of it."""
    for name, value in params.items():
        try:
            codec.pack({name: value})
        except _UNSENDABLE:
            field = name[:_LONGEST_NAME]
            return Refused(
                Code.BAD_REQUEST,
                f"`{field}` is too large, too deep, or "
                "not text that can be sent.",
                field=field,
            )
    return refused


def _refusal_of(error: Refused | NoAnswer) -> Refused:
    if isinstance(error, Refused):
        return error
    repeat = (
        (
            "The request may have taken effect. Repeat it with the same "
            "Idempotency-Key."
        )
        if error.sent
        else "Nothing was changed. Try again."
    )
    return Refused(
        Code.UNAVAILABLE, f"The server did not answer. {repeat}", retry_after=1
    )

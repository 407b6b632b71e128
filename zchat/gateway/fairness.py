"""Serves the requests of HTTP clients by turns (turns.py)."""

import asyncio
import re
from collections.abc import Hashable
from typing import Final

from zchat.gateway.messages import Request, Response
from zchat.gateway.router import Serve, Values
from zchat.gateway.turns import SHARE, WINDOW, Turns

_TOKEN: Final = re.compile(rb'"(?:user_id|author_id)"\s*:\s*"([0-9A-Za-z-]+)"')
_TOKEN_IN_QUERY: Final = re.compile(r"(?:^|&)user_id=([0-9A-Za-z-]+)")
_LOOKED_AT_BYTES: Final = 4096


def caller_of(request: Request) -> Hashable:
    """Whose turn a request takes: its token's, else its connection's.

    The token is looked for and not judged: one that is wrong has turns
    of its own, and loses them with its refusal.
    """
    header = request.headers.get(b"authorization")
    if header is not None:
        return header
    found = _TOKEN.search(request.body, 0, _LOOKED_AT_BYTES)
    if found is not None:
        return found[1]
    in_query = _TOKEN_IN_QUERY.search(request.query)
    return request.connection if in_query is None else in_query[1]


class FairTurns:
    """Makes routes wait for their callers' turns."""

    def __init__(self, window: int = WINDOW, share: int = SHARE) -> None:
        self._turns = Turns(window, share)

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return self._turns.waiting

    def fair(self, serve: Serve) -> Serve:
        """The route, served when it is its caller's turn."""

        def serve_in_turn(
            request: Request, values: Values
        ) -> "Response | asyncio.Future[Response]":
            caller = caller_of(request)
            if self._turns.take(caller):
                return self._start(caller, serve, request, values)
            answer: asyncio.Future[Response] = (
                asyncio.get_running_loop().create_future()
            )
            self._turns.wait(
                caller,
                lambda: self._start_later(
                    answer, caller, serve, request, values
                ),
            )
            return answer

        return serve_in_turn

    def _start(
        self, caller: Hashable, serve: Serve, request: Request, values: Values
    ) -> "Response | asyncio.Future[Response]":
        try:
            outcome = serve(request, values)
        except BaseException:
            self._turns.leave(caller)
            raise
        if isinstance(outcome, Response):
            self._turns.leave(caller)
            return outcome
        served = (
            outcome
            if isinstance(outcome, asyncio.Future)
            else asyncio.ensure_future(outcome)
        )
        served.add_done_callback(lambda _: self._turns.leave(caller))
        return served

    def _start_later(
        self,
        answer: "asyncio.Future[Response]",
        caller: Hashable,
        serve: Serve,
        request: Request,
        values: Values,
    ) -> None:
        """Serve a request that had to wait, if anybody still does."""
        if answer.done():
            self._turns.leave(caller)
            return
        try:
            outcome = self._start(caller, serve, request, values)
        except Exception as error:
            answer.set_exception(error)
            return
        if isinstance(outcome, Response):
            answer.set_result(outcome)
        else:
            outcome.add_done_callback(lambda done: _pass_on(done, answer))
            answer.add_done_callback(
                lambda done: done.cancelled() and outcome.cancel()
            )


def _pass_on(
    done: "asyncio.Future[Response]", answer: "asyncio.Future[Response]"
) -> None:
    """Let the outcome of one future be that of another."""
    if answer.done():
        return
    if done.cancelled():
        answer.cancel()
    elif (error := done.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(done.result())

"""A door: a ROUTER that requests come in by and answers go out by.

The broker has two. Anybody who can connect comes in by the one, and a
token says who calls. The operator comes in by the other, a socket file
that only its owner can open, and needs no token; only the methods of
operators are served there (rpc/methods.py). The requests of both run in
the same batches.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog

from zchat.engine import sockets
from zchat.engine.intake import Intake
from zchat.engine.meters import Meters
from zchat.engine.pipes import Pipes
from zchat.engine.requests import Pending
from zchat.engine.send_queue import SendQueue
from zchat.errors import Refused
from zchat.rpc.codec import encode_answer, encode_error

log = structlog.get_logger()


class Door:
    """Requests taken from a ROUTER, and the answers to them."""

    def __init__(
        self, router: Any, meters: Meters, for_operator: bool = False
    ) -> None:
        self.router = router
        pipes = Pipes(sockets.ANSWERS_WAITING, sockets.own_name(router))
        self.send_queue = SendQueue(sockets.sender(router), pipes)
        self.intake = Intake(
            partial(sockets.receive, router), pipes.seen, for_operator
        )
        self._meters = meters
        self._debug = structlog.get_logger().is_enabled_for(10)

    def answer(self, pending: Sequence[Pending]) -> None:
        """Send what has its outcome; the rest waits for the next batch."""
        for request in pending:
            if request.call.done:
                self._answer(request)
        self.intake.put_back([one for one in pending if not one.call.done])

    def shed(self, memory: int) -> None:
        """Drop slow clients while more than `memory` bytes wait."""
        self.send_queue.shed(memory - self.intake.held)

    def _answer(self, request: Pending) -> None:
        """Send the outcome back the way the request came."""
        self._meters.requests += 1
        outcome = request.call.outcome
        if isinstance(outcome, Refused):
            self._meters.refused(outcome.code)
            log.info("refused", code=outcome.code.wire, **_known(request))
            body = encode_error(request.id, outcome)
        else:
            assert outcome is not None
            assert request.id is not None
            if self._debug:
                log.debug("answered", **_known(request))
            body = encode_answer(request.id, outcome)
        self.send_queue.send(request.envelope, body)


def _known(request: Pending) -> dict[str, str]:
    """What the log says of a request: no more than could be read."""
    known = {"method": request.method, "user_id": request.call.caller_id}
    return {name: value for name, value in known.items() if value}

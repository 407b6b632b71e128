"""A door: where requests come in by and answers go out by.

Anybody who can connect comes in by a ROUTER, and a token says who calls.
The gateway that the broker started has a stream of its own
(gateway_stream.py), on which it speaks for its clients. The operator
comes in by a socket file that only its owner can open, and needs no
token; only the methods of operators are served there (rpc/methods.py).
The requests of all doors run in the same batches.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import structlog

from zchat.chat.jobs import BackUp
from zchat.engine.batch import Call
from zchat.engine.gateway_stream import GatewayStream
from zchat.engine.intake import Intake
from zchat.engine.meters import Meters
from zchat.engine.requests import Pending
from zchat.errors import Code, Refused, StoreError
from zchat.rpc.codec import encode_answer, encode_error
from zchat.rpc.operator_results import BackedUp
from zchat.storage.base import Copying

log = structlog.get_logger()


class Answers(Protocol):
    """Answers on their way to those who asked, as in SendQueue."""

    lost: int
    dropped: int

    def __len__(self) -> int: ...

    @property
    def waiting(self) -> bool: ...

    @property
    def is_quick(self) -> bool: ...

    @property
    def held(self) -> int: ...

    def send(self, envelope: list[bytes], body: bytes) -> None: ...

    def flush(self) -> None: ...

    def retry(self) -> None: ...

    def shed(self, most_bytes: int) -> None: ...

    def drain(self) -> None: ...


class Door:
    """Requests taken from a ROUTER, and the answers to them.

    `back_up` begins a backup; a door that is not the operator's has none.
    """

    def __init__(
        self,
        router: Any,
        intake: Intake,
        send_queue: Answers,
        meters: Meters,
        back_up: Callable[[Path], Copying] | None = None,
    ) -> None:
        self.router = router
        self.intake = intake
        self.send_queue = send_queue
        self._meters = meters
        self._back_up = back_up
        self._copying: list[tuple[Pending, Copying]] = []
        self._debug = structlog.get_logger().is_enabled_for(10)

    def has_arrived(self, ready: Mapping[Any, int]) -> bool:
        """Whether there are requests to take; `ready` was polled."""
        return self.router in ready

    @property
    def waiting(self) -> bool:
        """Whether requests wait that no poll tells of."""
        return self.intake.waiting

    @property
    def held(self) -> int:
        """The bytes of the requests and answers that wait."""
        return self.intake.held + self.send_queue.held

    @property
    def copying(self) -> bool:
        """Whether a backup is under way."""
        return bool(self._copying)

    def answer(
        self,
        pending: Sequence[Pending],
        put_off: Mapping[Call, Future[None]] = MappingProxyType({}),
    ) -> None:
        """Send what has its outcome; the rest waits for the next batch,
        or until what it was `put_off` for is done."""
        for request in pending:
            if not request.call.done:
                continue
            if isinstance(request.call.outcome, BackUp):
                self._begin_backup(request, request.call.outcome)
            else:
                self._answer(request)
        self.send_queue.flush()
        self.intake.put_back(
            [one for one in pending if not one.call.done], put_off
        )

    def _begin_backup(self, request: Pending, wanted: BackUp) -> None:
        """Begin it; the batch that asked for it is committed by now."""
        assert self._back_up is not None
        try:
            copying = self._back_up(Path(wanted.path))
        except StoreError as error:
            request.call.end(Refused(Code.CONFLICT, str(error)))
            self._answer(request)
        else:
            self._copying.append((request, copying))

    def answer_backups(self) -> None:
        """Answer those whose copies are finished, or failed."""
        for one in list(self._copying):
            request, copying = one
            if not copying.is_done:
                continue
            self._copying.remove(one)
            try:
                copied = copying.result()
            except StoreError as error:
                request.call.end(Refused(Code.UNAVAILABLE, str(error)))
            else:
                request.call.end(
                    BackedUp(bytes=copied.bytes, epoch=copied.epoch)
                )
            self._answer(request)

    def give_up_backups(self) -> None:
        """Leave nothing behind of those under way."""
        for _, copying in self._copying:
            copying.give_up()
        self._copying.clear()

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


class GatewayDoor(Door):
    """The door of the gateway that the broker started."""

    def __init__(self, stream: GatewayStream, meters: Meters) -> None:
        intake = Intake(stream.receive, lambda origin, descriptor: None)
        super().__init__(None, intake, stream, meters)
        self._stream = stream

    def has_arrived(self, ready: Mapping[Any, int]) -> bool:
        return self._stream.is_readable(ready)

    @property
    def waiting(self) -> bool:
        return self._stream.has_arrived or super().waiting


def _known(request: Pending) -> dict[str, str]:
    """What the log says of a request: no more than could be read."""
    known = {"method": request.method, "user_id": request.call.caller_id}
    return {name: value for name, value in known.items() if value}

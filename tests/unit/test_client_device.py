"""A device whose events nobody takes: it stops asking for more."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.unit.test_session import COMMON, GROUP, ME, chat, page, sync
from zchat.client import device as device_module
from zchat.client.device import Device
from zchat.client.session import Cursors, Session
from zchat.rpc import codec, events, results

LIMIT = 4
HELLO = results.Hello(
    protocol=1,
    server="zchat",
    epoch="e",
    events="tcp://127.0.0.1:1",
    heartbeat=5,
    limits=results.Limits(
        **dict.fromkeys(results.Limits.__struct_fields__, 1)
    ),
)


class Events:
    """An event connection that is up at once; whether it is paused."""

    def __init__(
        self,
        endpoint: str,
        received: object,
        up: Callable[[], None],
        *others: object,
    ) -> None:
        self.paused = False
        asyncio.get_running_loop().call_soon(up)

    def subscribe(
        self, wanted: Iterable[bytes], live: Callable[[], None]
    ) -> None:
        asyncio.get_running_loop().call_soon(live)

    def unsubscribe(self, unwanted: Iterable[bytes]) -> None: ...

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def close(self) -> None: ...


class Requests:
    """Answers `hello` and `sync`; of `history` only when it is told to."""

    endpoint = "tcp://127.0.0.1:2"
    keys = None

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = answers
        self.fetches: dict[tuple[str, int], Any] = {}

    def request(
        self, method: str, params: Any, reply: Any, *, resend: bool = False
    ) -> None:
        if method == "history":
            self.fetches[params["chat_id"], params["after"]] = reply
        else:
            answer = codec.unpack(codec.pack(self._answers[method]))
            asyncio.get_running_loop().call_soon(reply, None, answer)


async def turns() -> None:
    """Let the loop do all that is due."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_fetch_is_held_back_while_nobody_takes_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device_module, "QUEUE_LIMIT", LIMIT)
    chats = (chat(head=LIMIT), chat(GROUP, head=LIMIT))
    requests = Requests({"hello": HELLO, "sync": sync(*chats)})

    def answer(chat_id: str, *seqs: int) -> None:
        has_newer = seqs[-1] < LIMIT
        found = page(*seqs, head=LIMIT, has_newer=has_newer)
        reply = requests.fetches.pop((chat_id, seqs[0] - 1))
        reply(None, codec.unpack(codec.pack(found)))

    async def scenario() -> None:
        session = Session(
            ME, 5.0, cursors=Cursors.of("e", {COMMON: 0, GROUP: 0})
        )
        device = Device(requests, "token", session, connect=Events)
        await turns()
        answer(COMMON, 1, 2, 3, 4)
        answer(GROUP, 1, 2)
        await turns()
        assert requests.fetches == {}
        taken = [await device.next_event() for _ in range(LIMIT + 1)]
        await turns()
        assert list(requests.fetches) == [(GROUP, 2)]
        answer(GROUP, 3, 4)
        taken += [await device.next_event() for _ in range(3)]
        device.close()
        assert [
            (event.chat_id, event.seq)
            for event in taken
            if isinstance(event, events.MessageSent)
        ] == [(each, seq) for each in (COMMON, GROUP) for seq in range(1, 5)]

    asyncio.run(scenario())

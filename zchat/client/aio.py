"""The asyncio client."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from zchat.certificates import CurveKeys
from zchat.client import files
from zchat.client.addresses import DEFAULT_SERVER, rpc_endpoints
from zchat.client.connection import ANSWER_SECONDS, IN_FLIGHT, Link, NoAnswer
from zchat.client.device import Device
from zchat.client.methods import Methods, may_repeat
from zchat.client.session import ChatState, Event, Session, Start
from zchat.rpc import results

_KEPT_FREE: Final = 100
"""Places in the link that the device's own requests have."""


class Client(Methods):
    """One user on one connection, made by `await Client.connect()`.

    It reconnects by itself, to the next of several servers. Requests
    wait meanwhile, up to `answer_seconds`; see `methods.may_repeat` for
    what goes out again when an answer was lost.
    """

    def __init__(
        self,
        link: Link,
        hello: results.Hello,
        connected: results.Connected,
        cursors: Mapping[str, int] | None,
        start: Start,
    ) -> None:
        self._link = link
        self._slots = asyncio.Semaphore(IN_FLIGHT - _KEPT_FREE)
        self._cursors = cursors
        self._start = start
        self._device: Device | None = None
        self._closed = False
        self.token = connected.token
        self.user_id = connected.user_id
        self.name = connected.name
        self.chat_default = connected.chat_default
        self.limits = hello.limits
        self._heartbeat_seconds = hello.heartbeat

    @classmethod
    async def connect(
        cls,
        server: str = DEFAULT_SERVER,
        token: str | None = None,
        name: str | None = None,
        *,
        cursors: Mapping[str, int] | None = None,
        start: Start = Start.HEAD,
        answer_seconds: float = ANSWER_SECONDS,
        connect_seconds: float = ANSWER_SECONDS,
        on_up: Callable[[], None] = lambda: None,
        on_down: Callable[[], None] = lambda: None,
        keys: CurveKeys | None = None,
    ) -> Self:
        """Come in: as a new user, or with its token as one from before.

        `server` is one or several of HOST, HOST:PORT, tcp:// and ipc://,
        with commas between. `cursors` (from `cursors()`) and `start` say
        where the events begin. `on_up` and `on_down` are called when a
        connection comes and breaks. A server with CURVE wants `keys`
        (curve.load_keys). Raises Refused; NoAnswer where no server
        answers within `connect_seconds`, or none shakes hands.
        """
        link = Link(
            rpc_endpoints(server),
            answer_seconds=answer_seconds,
            on_up=on_up,
            on_down=on_down,
            keys=keys,
        )
        asked = {"token": token, "name": None if token else name}
        try:
            async with asyncio.timeout(connect_seconds):
                hello, connected = await asyncio.gather(
                    link.call("hello", {}, resend=True),
                    link.call(
                        "connect",
                        {
                            field: value
                            for field, value in asked.items()
                            if value is not None
                        },
                        resend=token is not None,
                    ),
                )
            return cls(
                link,
                msgspec.convert(hello, results.Hello),
                msgspec.convert(connected, results.Connected),
                cursors,
                start,
            )
        except TimeoutError:
            link.close()
            raise NoAnswer(
                f"No server answers at {server}; is it running?", sent=False
            ) from None
        except BaseException:
            link.close()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; iterations over events end."""
        self._closed = True
        if self._device is not None:
            self._device.close()
        self._link.close()

    @property
    def server(self) -> str:
        """The endpoint of the server in use, or being tried."""
        return self._link.endpoint

    @property
    def is_up(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._link.up

    async def call(self, method: str, /, **params: object) -> Any:
        """The plain result of any method; parameters of None are left out.

        Raises Refused or NoAnswer.
        """
        given = {
            name: value for name, value in params.items() if value is not None
        }
        given["token"] = self.token
        async with self._slots:
            return await self._link.call(
                method, given, resend=may_repeat(method, given)
            )

    async def rename(self, name: str) -> str:
        """Change the caller's name; returns it as it now stands."""
        self.name = await super().rename(name)
        return self.name

    # Events.

    async def events(self) -> AsyncIterator[Event]:
        """The events of all chats and the inbox, until `close`.

        Each message comes once and in order, whatever breaks meanwhile.
        """
        while (event := await self.next_event()) is not None:
            yield event

    async def next_event(self) -> Event | None:
        """The next event, waited for; None once the client is closed."""
        if self._device is None:
            if self._closed:
                return None
            self._device = Device(
                self._link,
                self.token,
                Session(
                    self.user_id,
                    self._heartbeat_seconds,
                    cursors=self._cursors,
                    start=self._start,
                ),
            )
        return await self._device.next_event()

    @property
    def events_waiting(self) -> int:
        """How many events have come that were not taken yet."""
        return 0 if self._device is None else self._device.waiting

    def cursors(self) -> dict[str, int]:
        """Where the events that were taken end, for the next `connect`."""
        if self._device is None:
            return dict(self._cursors or {})
        return self._device.cursors()

    @property
    def known_chats(self) -> Mapping[str, ChatState]:
        """The chats as events have told of them, by id."""
        return {} if self._device is None else self._device.chats

    # Files.

    async def upload(
        self,
        source: str | os.PathLike[str] | bytes,
        chat_id: str | None = None,
        name: str | None = None,
    ) -> str:
        """Upload a path or bytes, by default for the common chat.

        Returns the file's id, for `files` of `send`. The same upload
        again goes on where it broke off.
        """
        if name is None:
            name = "file" if isinstance(source, bytes) else Path(source).name
        return await files.upload(
            self, source, chat_id or self.chat_default, name
        )

    async def download(self, file_id: str) -> results.Download:
        """A whole file, in memory."""
        return await files.download(self, file_id)

    async def download_to(
        self, file_id: str, path: str | os.PathLike[str]
    ) -> int:
        """A whole file into a path; returns its size in bytes."""
        return await files.download_to(self, file_id, Path(path))

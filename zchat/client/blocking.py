"""The blocking client: the asyncio one on a thread of its own."""

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from zchat.certificates import CurveKeys
from zchat.client import aio
from zchat.client.addresses import DEFAULT_SERVER
from zchat.client.connection import ANSWER_SECONDS, NoAnswer
from zchat.client.session import ChatState, Event, Start

P = ParamSpec("P")
R = TypeVar("R")

_FINISH_SECONDS: Final = 1.0


class _Loop:
    """An event loop on a daemon thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(
            target=self.loop.run_forever, name="zchat-client", daemon=True
        )
        self.thread.start()

    def wait(self, work: Coroutine[Any, Any, R]) -> R:
        """The result of a coroutine that runs on the loop."""
        if self.loop.is_closed():
            work.close()
            raise NoAnswer("The client was closed.", sent=False)
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Let what still waits come to its end, then stop."""
        self.wait(self._finish())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    @staticmethod
    async def _finish() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            _, stuck = await asyncio.wait(others, timeout=_FINISH_SECONDS)
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)


def _blocking(
    method: Callable[Concatenate[aio.Client, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate["Client", P], R]:
    """The method of the asyncio client, waited for."""

    @functools.wraps(method)
    def call(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._loop.wait(method(self._client, *args, **kwargs))

    return call


class Client:
    """As `aio.Client`, method for method; made by `Client.connect()`.

    May be used from any thread.
    """

    def __init__(self, loop: _Loop, client: aio.Client) -> None:
        self._loop = loop
        self._client = client
        self._closed = False
        self.token = client.token
        self.user_id = client.user_id
        self.chat_default = client.chat_default
        self.limits = client.limits

    @classmethod
    def connect(
        cls,
        server: str = DEFAULT_SERVER,
        token: str | None = None,
        name: str | None = None,
        *,
        cursors: Mapping[str, int] | None = None,
        start: Start = Start.HEAD,
        answer_seconds: float = ANSWER_SECONDS,
        connect_seconds: float = ANSWER_SECONDS,
        keys: CurveKeys | None = None,
    ) -> Self:
        """Come in: as `aio.Client.connect`."""
        loop = _Loop()
        try:
            return cls(
                loop,
                loop.wait(
                    aio.Client.connect(
                        server,
                        token,
                        name,
                        cursors=cursors,
                        start=start,
                        answer_seconds=answer_seconds,
                        connect_seconds=connect_seconds,
                        keys=keys,
                    )
                ),
            )
        except BaseException:
            loop.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread."""
        if not self._closed:
            self._closed = True
            self._loop.wait(self._client.close())
            self._loop.stop()

    @property
    def name(self) -> str:
        """The user's name."""
        return self._client.name

    @property
    def server(self) -> str:
        """The endpoint of the server in use, or being tried."""
        return self._client.server

    @property
    def is_up(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._client.is_up

    @property
    def known_chats(self) -> Mapping[str, ChatState]:
        """The chats as events have told of them, by id."""
        return self._client.known_chats

    def events(self) -> Iterator[Event]:
        """The events of all chats and the inbox, until `close`."""
        while (event := self.next_event()) is not None:
            yield event

    def next_event(self, timeout_seconds: float | None = None) -> Event | None:
        """The next event; None once closed.

        Raises TimeoutError if none came in time; nothing is lost then.
        """

        async def take() -> Event | None:
            async with asyncio.timeout(timeout_seconds):
                return await self._client.next_event()

        try:
            return self._loop.wait(take())
        except NoAnswer:
            if self._closed:
                return None
            raise

    @property
    def events_waiting(self) -> int:
        """How many events have come that were not taken yet."""
        return self._client.events_waiting

    def cursors(self) -> dict[str, int]:
        """Where the events that were taken end, for the next `connect`."""

        async def taken() -> dict[str, int]:
            return self._client.cursors()

        if self._loop.loop.is_closed():
            return self._client.cursors()
        return self._loop.wait(taken())

    call = _blocking(aio.Client.call)
    hello = _blocking(aio.Client.hello)
    status = _blocking(aio.Client.status)
    send = _blocking(aio.Client.send)
    comment = _blocking(aio.Client.comment)
    chats = _blocking(aio.Client.chats)
    all_chats = _blocking(aio.Client.all_chats)
    chat = _blocking(aio.Client.chat)
    history = _blocking(aio.Client.history)
    comments = _blocking(aio.Client.comments)
    unread = _blocking(aio.Client.unread)
    read = _blocking(aio.Client.read)
    sync = _blocking(aio.Client.sync)
    p2p = _blocking(aio.Client.p2p)
    exit = _blocking(aio.Client.exit)
    report = _blocking(aio.Client.report)
    users = _blocking(aio.Client.users)
    all_users = _blocking(aio.Client.all_users)
    rename = _blocking(aio.Client.rename)
    schedule = _blocking(aio.Client.schedule)
    scheduled = _blocking(aio.Client.scheduled)
    cancel = _blocking(aio.Client.cancel)
    begin_upload = _blocking(aio.Client.begin_upload)
    upload_chunk = _blocking(aio.Client.upload_chunk)
    upload = _blocking(aio.Client.upload)
    download_range = _blocking(aio.Client.download_range)
    download = _blocking(aio.Client.download)
    download_to = _blocking(aio.Client.download_to)
    create_chat = _blocking(aio.Client.create_chat)
    rename_chat = _blocking(aio.Client.rename_chat)
    invite = _blocking(aio.Client.invite)
    remove = _blocking(aio.Client.remove)
    invite_link = _blocking(aio.Client.invite_link)
    invite_links = _blocking(aio.Client.invite_links)
    revoke_link = _blocking(aio.Client.revoke_link)
    join = _blocking(aio.Client.join)
    join_requests = _blocking(aio.Client.join_requests)
    approve = _blocking(aio.Client.approve)
    deny = _blocking(aio.Client.deny)

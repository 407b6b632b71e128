"""The blocking client: the asyncio one on a thread of its own."""

import asyncio
import concurrent.futures
import functools
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from zchat.certificates import CurveKeys
from zchat.client import aio
from zchat.client.addresses import DEFAULT_SERVER
from zchat.client.connection import ANSWER_SECONDS, NoAnswer
from zchat.client.events import Event
from zchat.client.session import Cursors, Start
from zchat.client.values import KnownChat, SyncUser

P = ParamSpec("P")
R = TypeVar("R")

_FINISH_SECONDS: Final = 1.0


class _Loop:
    """An event loop on a daemon thread, used from any thread until `stop`.

    What is handed to the loop and the decision to stop go through one
    lock: whatever was taken before the stop is finished by it, and what
    comes later is refused. So nobody waits for a loop that runs no more.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(
            target=self._run, name="zchat-client", daemon=True
        )
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def wait(self, work: Coroutine[Any, Any, R]) -> R:
        """The result of a coroutine that runs on the loop.

        Raises NoAnswer once the loop was told to stop.
        """
        with self._lock:
            if self._stopping:
                work.close()
                raise NoAnswer("The client was closed.", sent=False)
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise NoAnswer("The client was closed.", sent=True) from None
        except BaseException:
            future.cancel()
            raise

    def stop(self, last: Coroutine[Any, Any, None]) -> None:
        """Run this, let what still waits come to its end, then stop.

        Returns when the thread has ended, whichever thread stopped it.
        """
        with self._lock:
            is_first, self._stopping = not self._stopping, True
            if is_first:
                asyncio.run_coroutine_threadsafe(
                    self._finish(last), self._loop
                )
        if not is_first:
            last.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    async def _finish(self, last: Coroutine[Any, Any, None]) -> None:
        try:
            await last
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:
                _, stuck = await asyncio.wait(others, timeout=_FINISH_SECONDS)
                for task in stuck:
                    task.cancel()
                await asyncio.gather(*stuck, return_exceptions=True)
        finally:
            self._loop.call_soon(self._loop.stop)


async def _nothing() -> None:
    """What a loop does last that has no client to close."""


def _blocking(
    method: Callable[Concatenate[aio.Client, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate["BlockingClient", P], R]:
    """The method of the asyncio client, waited for."""

    @functools.wraps(method)
    def call(
        self: "BlockingClient", /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        return self._loop.wait(method(self._client, *args, **kwargs))

    return call


class BlockingClient:
    """As `Client`, method for method, on a thread of its own.

    Made by `BlockingClient.connect()`. May be used from any thread; when
    one closes it, what the others wait for ends with NoAnswer, and
    iterations over events end.
    """

    def __init__(self, loop: _Loop, client: aio.Client) -> None:
        self._loop = loop
        self._client = client
        self.user_id = client.user_id
        self.chat_default = client.chat_default
        self.limits = client.limits

    @property
    def token(self) -> str:
        """The user's token; `rotate_token` replaces it."""
        return self._client.token

    @classmethod
    def connect(
        cls,
        server: str = DEFAULT_SERVER,
        token: str | None = None,
        name: str | None = None,
        *,
        cursors: Cursors | None = None,
        start: Start = Start.HEAD,
        listen: bool = True,
        answer_seconds: float = ANSWER_SECONDS,
        connect_seconds: float = ANSWER_SECONDS,
        keys: CurveKeys | None = None,
        invite: str | None = None,
    ) -> Self:
        """Connect: as `Client.connect`."""
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
                        listen=listen,
                        answer_seconds=answer_seconds,
                        connect_seconds=connect_seconds,
                        keys=keys,
                        invite=invite,
                    )
                ),
            )
        except BaseException:
            loop.stop(_nothing())
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
        self._loop.stop(self._client.close())

    @property
    def name(self) -> str:
        """The user's name."""
        return self._client.name

    @property
    def user(self) -> SyncUser | None:
        """Role, ban and settings of the user; None if not listening."""
        return self._client.user

    @property
    def scheduled_count(self) -> int:
        """How many scheduled messages wait, as the last sync counted."""
        return self._client.scheduled_count

    @property
    def server(self) -> str:
        """The endpoint of the server in use, or being tried."""
        return self._client.server

    @property
    def is_up(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._client.is_up

    @property
    def known_chats(self) -> Mapping[str, KnownChat]:
        """The user's chats by id, as events have told of them by now."""
        return self._on_loop(
            lambda: MappingProxyType(dict(self._client.known_chats))
        )

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
            return None

    @property
    def events_waiting(self) -> int:
        """How many events have come that were not taken yet."""
        return self._client.events_waiting

    def cursors(self) -> Cursors:
        """Where the events that were taken end, for the next `connect`."""
        return self._on_loop(self._client.cursors)

    def _on_loop(self, look: Callable[[], R]) -> R:
        """What this finds while nothing else moves, also once closed."""

        async def work() -> R:
            return look()

        try:
            return self._loop.wait(work())
        except NoAnswer:
            self.close()
            return look()

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
    edit = _blocking(aio.Client.edit)
    delete = _blocking(aio.Client.delete)
    react = _blocking(aio.Client.react)
    changes = _blocking(aio.Client.changes)
    search = _blocking(aio.Client.search)
    typing = _blocking(aio.Client.typing)
    settings = _blocking(aio.Client.settings)
    rotate_token = _blocking(aio.Client.rotate_token)
    accounts = _blocking(aio.Client.accounts)
    complaints = _blocking(aio.Client.complaints)
    resolve = _blocking(aio.Client.resolve)
    ban = _blocking(aio.Client.ban)
    unban = _blocking(aio.Client.unban)
    set_role = _blocking(aio.Client.set_role)
    reset_token = _blocking(aio.Client.reset_token)
    close_account = _blocking(aio.Client.close_account)
    delete_message = _blocking(aio.Client.delete_message)
    announce = _blocking(aio.Client.announce)
    create_invite = _blocking(aio.Client.create_invite)
    invites = _blocking(aio.Client.invites)
    revoke_invite = _blocking(aio.Client.revoke_invite)
    audit = _blocking(aio.Client.audit)
    stats = _blocking(aio.Client.stats)

"""The asyncio client."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from zchat.certificates import CurveKeys
from zchat.client import files
from zchat.client.addresses import DEFAULT_SERVER, rpc_endpoints
from zchat.client.connection import ANSWER_SECONDS, IN_FLIGHT, Link, NoAnswer
from zchat.client.device import Device
from zchat.client.events import Event, event_of
from zchat.client.methods import Methods, may_repeat, read_answer
from zchat.client.session import Cursors, Session, Start
from zchat.client.values import Download, KnownChat, SyncUser
from zchat.rpc import results

_log = logging.getLogger("zchat.client")

_KEPT_FREE: Final = 100
"""Places in the link that the device's own requests have."""


async def _enter(
    link: Link, token: str | None, name: str | None, invite: str | None
) -> tuple[results.Hello, results.Connected]:
    """Ask who answers, and connect as a new user or as the token's."""
    wanted = {"token": token} if token else {"name": name, "invite": invite}
    asked = {field: value for field, value in wanted.items() if value}
    hello, connected = await asyncio.gather(
        link.call("hello", {}, resend=True),
        link.call("connect", asked, resend=token is not None),
    )
    return (
        read_answer(hello, results.Hello),
        read_answer(connected, results.Connected),
    )


class KnownChats(Mapping[str, KnownChat]):
    """The chats of a session, each handed out as a frozen value."""

    def __init__(self, session: Session) -> None:
        self._chats = session.chats

    def __getitem__(self, chat_id: str) -> KnownChat:
        return msgspec.convert(
            self._chats[chat_id], KnownChat, from_attributes=True
        )

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._chats))

    def __len__(self) -> int:
        return len(self._chats)


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
        session: Session,
    ) -> None:
        self._link = link
        self._slots = asyncio.Semaphore(IN_FLIGHT - _KEPT_FREE)
        self._session = session
        self._device: Device | None = None
        self._closed = False
        self._token = connected.token
        self.user_id = connected.user_id
        self.chat_default = connected.chat_default
        self.limits = hello.limits

    @classmethod
    async def connect(
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
        on_up: Callable[[], None] = lambda: None,
        on_down: Callable[[], None] = lambda: None,
        keys: CurveKeys | None = None,
        invite: str | None = None,
    ) -> Self:
        """Connect as a new user, or as the user of a token.

        `server` is one or several of HOST, HOST:PORT, tcp:// and ipc://,
        with commas between. Events count from now on, whenever they are
        taken; with `cursors` (from `cursors()`) or `start` from earlier.
        They are kept, up to a bound beyond which they are fetched when
        their turn comes. A program that takes none says `listen=False`,
        which saves the event connection.

        `answer_seconds` is how long a request may wait, `connect_seconds`
        how long this call may. `on_up` and `on_down` are called when a
        connection is made and lost. An encrypted server wants `keys`
        (`load_keys`), one that admits newcomers by code an `invite`.
        Raises Refused, or NoAnswer where no server answers in time or
        none accepts the keys.
        """
        link = Link(
            rpc_endpoints(server),
            answer_seconds=answer_seconds,
            on_up=on_up,
            on_down=on_down,
            keys=keys,
        )
        try:
            async with asyncio.timeout(connect_seconds):
                hello, connected = await _enter(link, token, name, invite)
            session = Session(
                connected.user_id,
                hello.heartbeat,
                cursors=cursors,
                start=start,
                name=connected.name,
            )
            client = cls(link, hello, connected, session)
            if listen:
                await client._listen()
            return client
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
    def token(self) -> str:
        """The user's token; `rotate_token` replaces it."""
        return self._token

    @property
    def name(self) -> str:
        """The user's name, also where another device changed it."""
        return self._session.name

    @property
    def user(self) -> SyncUser | None:
        """Role, ban and settings of the user; None if not listening."""
        known = self._session.user
        if known is None:
            return None
        return msgspec.convert(known, SyncUser, from_attributes=True)

    @property
    def scheduled_count(self) -> int:
        """How many scheduled messages wait, as the last sync counted."""
        return self._session.scheduled

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
        given["token"] = self._token
        async with self._slots:
            return await self._link.call(
                method, given, resend=may_repeat(method, given)
            )

    async def rename(self, name: str) -> str:
        """Change the caller's name; returns it as it now stands."""
        self._session.name = await super().rename(name)
        return self.name

    async def rotate_token(self) -> str:
        """Replace the caller's token; this client goes on with the new one.

        Every other device of the user has to be given it.
        """
        self._token = await super().rotate_token()
        if self._device is not None:
            self._device.use_token(self._token)
        return self._token

    async def read(self, chat_id: str, seq: int) -> int:
        """Move the read position forward; returns where it stands.

        `known_chats` has it from then on.
        """
        moved = await super().read(chat_id, seq)
        if self._device is not None:
            self._device.was_read(chat_id, moved)
        return moved

    # Events.

    async def _listen(self) -> None:
        """Let events count from now on.

        Where the server goes away just now they count from when it is
        back: the user that was made must not be lost with its token.
        """
        begun = None
        try:
            found = await self._link.call(
                "sync", {"token": self._token}, resend=True
            )
            begun = read_answer(found, results.Sync)
        except NoAnswer as error:
            _log.warning("events begin later: %s", error)
        self._device = Device(self._link, self._token, self._session, begun)

    async def events(self) -> AsyncIterator[Event]:
        """The events of all chats and the inbox, until `close`.

        Each message comes once and in order, whatever breaks meanwhile.
        """
        while (event := await self.next_event()) is not None:
            yield event

    async def next_event(self) -> Event | None:
        """The next event, waited for; None once the client is closed.

        Raises Refused where the server no longer knows the user. It may
        be cancelled, as by a timeout, and loses nothing.
        """
        if self._device is None:
            if self._closed:
                return None
            self._device = Device(self._link, self.token, self._session)
        told = await self._device.next_event()
        return None if told is None else event_of(told)

    @property
    def events_waiting(self) -> int:
        """How many events have come that were not taken yet."""
        return 0 if self._device is None else self._device.waiting

    def cursors(self) -> Cursors:
        """Where the events that were taken end, for the next `connect`."""
        if self._device is None:
            return self._session.cursors()
        return self._device.cursors()

    @property
    def known_chats(self) -> Mapping[str, KnownChat]:
        """The user's chats by id, as events have told of them.

        Read-only, and up to date whenever it is read.
        """
        return KnownChats(self._session)

    # Files.

    async def upload(
        self,
        source: str | os.PathLike[str] | bytes,
        chat_id: str | None = None,
        name: str | None = None,
        *,
        progress: files.Progress = lambda done, size: None,
    ) -> str:
        """Upload a path or bytes, by default for the common chat.

        Returns the file's id, for `files` of `send`. The same upload
        again goes on where it broke off. `progress` is told how many
        bytes have arrived, and of how many.
        """
        if name is None:
            name = "file" if isinstance(source, bytes) else Path(source).name
        return await files.upload(
            self, source, chat_id or self.chat_default, name, progress
        )

    async def download(self, file_id: str) -> Download:
        """A whole file, in memory."""
        return await files.download(self, file_id)

    async def download_to(
        self,
        file_id: str,
        path: str | os.PathLike[str],
        *,
        progress: files.Progress = lambda done, size: None,
    ) -> int:
        """A whole file into a path; returns its size in bytes.

        `progress` is told how many bytes have come, and of how many.
        """
        return await files.download_to(self, file_id, Path(path), progress)

"""How a person enters a server: with the token that is kept, or as new."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from zchat.client import Client, NoAnswer, Start
from zchat.client.addresses import rpc_endpoints
from zchat.client.console.identity import Identity, Profile, Taken
from zchat.client.console.probe import speaks_http
from zchat.client.curve import load_keys
from zchat.errors import Code, ConfigError, Refused

_PROBE_SECONDS: Final = 0.5


class Options(Struct, frozen=True):
    """What all commands of the console take."""

    server: str
    profile: str
    config_dir: Path
    name: str | None
    timeout: float
    server_key: Path | None = None
    client_key: Path | None = None
    invite: str | None = None


class UnknownToken(Refused):
    """The server does not know the token that is kept for it."""


def _meant(server: str) -> str:
    """What to type where the port of HTTP was given."""
    host, _, port = server.removeprefix("tcp://").rpartition(":")
    return (
        f"{host}:{port} speaks HTTP. The console needs the address of RPC, "
        f"usually one port further: --server {host}:{int(port) + 1}."
    )


def nothing() -> None:
    """Do nothing: the default of what is called."""


class Entry:
    """The way in for one profile."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.servers = rpc_endpoints(options.server)
        self.profile = Profile(options.config_dir, options.profile)

    @property
    def kept(self) -> Identity | None:
        """Who we are on this server; None before the first use."""
        return self.profile.identity(self.servers)

    async def connect(
        self,
        name: str | None = None,
        *,
        invite: str | None = None,
        chat_id: str | None = None,
        resume: bool = False,
        listen: bool = False,
        answer_seconds: float | None = None,
        on_up: Callable[[], None] = nothing,
        on_down: Callable[[], None] = nothing,
    ) -> Client:
        """A client for the kept user, who is made at the first use.

        With `resume`, events begin at the kept cursors, or with what is
        unread. Raises Refused, UnknownToken, NoAnswer, ConfigError.
        """
        options = self.options
        kept = self.kept
        cursors = None
        if kept and resume:
            cursors = self.profile.cursors(kept.user_id, chat_id)
        connect = partial(
            Client.connect,
            options.server,
            cursors=cursors,
            start=Start.UNREAD if resume else Start.HEAD,
            listen=resume or listen,
            answer_seconds=answer_seconds or options.timeout,
            connect_seconds=options.timeout,
            keys=load_keys(options.server_key, options.client_key),
            on_up=on_up,
            on_down=on_down,
        )
        try:
            if kept is not None:
                return await self._reach(connect(token=kept.token))
        except Refused as refused:
            if refused.code is not Code.UNAUTHORIZED:
                raise
            raise UnknownToken(refused.code, self._unknown()) from None
        client = await self._reach(
            connect(name=name or options.name, invite=invite or options.invite)
        )
        try:
            self.profile.keep_identity(
                self.servers, client.token, client.user_id
            )
        except Taken:
            await client.close()
            first = self.kept
            assert first is not None
            return await connect(token=first.token)
        return client

    async def _reach(self, connecting: Coroutine[Any, Any, Client]) -> Client:
        """Wait for the client; say so if HTTP is what answers there."""
        task = asyncio.ensure_future(connecting)
        try:
            await asyncio.wait([task], timeout=_PROBE_SECONDS)
            if not task.done():
                await self._refuse_http()
            return await task
        except NoAnswer:
            await self._refuse_http()
            raise
        finally:
            task.cancel()

    async def _refuse_http(self) -> None:
        """Raise ConfigError if one of the servers speaks HTTP."""
        for server in self.servers:
            if await speaks_http(server):
                raise ConfigError(_meant(server))

    def _unknown(self) -> str:
        options = self.options
        profile = (
            ""
            if options.profile == "default"
            else f" --profile {options.profile}"
        )
        return (
            f"{options.server} does not know the token kept in "
            f"{options.config_dir}. To begin there as a new user, say "
            f"`zchat forget{profile} --server {options.server}`."
        )


@asynccontextmanager
async def entered(
    options: Options,
    *,
    chat_id: str | None = None,
    resume: bool = False,
    listen: bool = False,
    answer_seconds: float | None = None,
    on_up: Callable[[], None] = nothing,
    on_down: Callable[[], None] = nothing,
) -> AsyncIterator[Client]:
    """A client as `Entry.connect` makes it, closed in the end."""
    client = await Entry(options).connect(
        chat_id=chat_id,
        resume=resume,
        listen=listen,
        answer_seconds=answer_seconds,
        on_up=on_up,
        on_down=on_down,
    )
    async with client:
        yield client

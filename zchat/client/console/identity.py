"""Who this person is on each server: tokens and cursors in files.

A token is readable by its owner only (mode 0600); files appear whole
or not at all.
"""

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from zchat.client import Cursors
from zchat.client.console.settings import ScreenSettings
from zchat.errors import ConfigError

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
DEFAULT_PROFILE: Final = "default"

Kept = TypeVar("Kept")


class Identity(Struct, frozen=True):
    """A user of one server, with the secret that proves it."""

    server: str
    token: str
    user_id: str


class Taken(Exception):
    """Another program made a user for this server first."""


def default_folder(environment: Mapping[str, str]) -> Path:
    """`zchat` in XDG_CONFIG_HOME or ~/.config."""
    base = environment.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "zchat"


class Profile:
    """The identities and cursors that are kept under one name."""

    def __init__(self, folder: Path, name: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            raise ConfigError(
                f"{name!r} is no profile; use letters, digits, - and _."
            )
        self._folder = folder / name

    def identity(self, servers: Sequence[str]) -> Identity | None:
        """Who we are on the first of these servers that knows us."""
        for server in servers:
            found = self._read(self._token_path(server), Identity)
            if found is not None:
                return found
        return None

    def keep_identity(
        self, servers: Sequence[str], token: str, user_id: str
    ) -> None:
        """Keep who we are; raises Taken if that was settled meanwhile."""
        for number, server in enumerate(servers):
            path = self._token_path(server)
            draft = self._draft(path, Identity(server, token, user_id))
            try:
                path.hardlink_to(draft)
            except FileExistsError:
                if number == 0:
                    raise Taken from None
            finally:
                draft.unlink()

    def cursors(self, user_id: str, chat_id: str | None) -> Cursors | None:
        """The cursors kept for reading all chats, or this one."""
        return self._read(self._cursors_path(user_id, chat_id), Cursors)

    def keep_cursors(
        self, user_id: str, chat_id: str | None, cursors: Cursors
    ) -> None:
        """Keep the cursors."""
        path = self._cursors_path(user_id, chat_id)
        self._draft(path, cursors).replace(path)

    def forget(self, servers: Sequence[str]) -> bool:
        """Drop who we are on these servers; whether there was anything."""
        paths = [self._token_path(server) for server in servers]
        found = [path for path in paths if path.exists()]
        for path in found:
            path.unlink()
        return bool(found)

    def screen_settings(self) -> ScreenSettings:
        """How the full screen was left."""
        found = self._read(self._folder / "screen.json", ScreenSettings)
        return found or ScreenSettings()

    def keep_screen_settings(self, settings: ScreenSettings) -> None:
        """Keep how the full screen looks."""
        path = self._folder / "screen.json"
        self._draft(path, settings).replace(path)

    def paste_path(self, now: datetime) -> Path:
        """A new file for a paste that goes out as one."""
        return self._folder / f"paste-{now:%Y%m%d-%H%M%S}.txt"

    def _token_path(self, server: str) -> Path:
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", server)
        return self._folder / f"token-{name}.json"

    def _cursors_path(self, user_id: str, chat_id: str | None) -> Path:
        name = "-".join(part for part in ("cursors", user_id, chat_id) if part)
        return self._folder / f"{name}.json"

    def _read(self, path: Path, kind: type[Kept]) -> Kept | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise ConfigError(f"cannot read {path}: {error}") from None

    def _draft(self, path: Path, value: object) -> Path:
        """A whole file beside the path, for its owner only."""
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        try:
            self._folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
            descriptor = os.open(
                draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE
            )
            with open(descriptor, "wb") as stream:
                stream.write(msgspec.json.encode(value))
                stream.flush()
                os.fsync(descriptor)
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error}") from None
        return draft

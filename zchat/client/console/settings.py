"""What a person chose for the looks of the full screen."""

from typing import Any

from msgspec import Struct, structs


class ScreenSettings(Struct, frozen=True):
    """Kept with the profile; None: as it suits the terminal."""

    theme: str | None = None
    chats: bool | None = None
    members: bool | None = None

    def changed(self, **changes: Any) -> "ScreenSettings":
        """The settings with these changes."""
        return structs.replace(self, **changes)

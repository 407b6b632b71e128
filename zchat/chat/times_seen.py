"""When each user last made a request to this broker, in memory."""

from typing import Final

from zchat.model import SECOND

ONLINE_SECONDS: Final = 120


class TimesSeen:
    """The times of users who were here lately, in microseconds."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._unsaved: dict[str, None] = {}

    def note(self, user_id: str, now: int) -> None:
        """The user made a request just now."""
        self._last[user_id] = now
        self._unsaved[user_id] = None

    def last(self, user_id: str, saved: int | None) -> int | None:
        """When the user was last seen here or, as saved, anywhere."""
        times = self._last.get(user_id), saved
        return max((at for at in times if at is not None), default=None)

    def take_unsaved(self, now: int, limit: int) -> dict[str, int]:
        """Users whose time is to be saved; who is gone is forgotten."""
        taken = {
            user_id: self._last[user_id]
            for _, user_id in zip(range(limit), self._unsaved)
        }
        for user_id, at in taken.items():
            del self._unsaved[user_id]
            if not is_online(at, now):
                del self._last[user_id]
        return taken


def is_online(last_seen: int | None, now: int) -> bool:
    """Whether somebody who was last seen then is there now."""
    return last_seen is not None and now < last_seen + ONLINE_SECONDS * SECOND

"""The times that a person types."""

import re
from datetime import datetime, time, timedelta
from typing import Final

from zchat.errors import ConfigError

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DELAY: Final = re.compile(r"\+(\d{1,6})([smhd])")
_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})")


def moment(text: str, now: datetime) -> datetime:
    """The time meant by `+10m`, `18:30` or an RFC 3339 time.

    A clock time is the next such time after `now`; a time without an
    offset is in the zone of `now`. Raises ConfigError.
    """
    delay = _DELAY.fullmatch(text)
    if delay:
        return now + timedelta(seconds=int(delay[1]) * _UNITS[delay[2]])
    clock = _CLOCK.fullmatch(text)
    try:
        if clock:
            today = datetime.combine(
                now.date(), time(int(clock[1]), int(clock[2])), now.tzinfo
            )
            return today if today > now else today + timedelta(days=1)
        given = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is no time; write +10m, 18:30 or "
            "2026-12-24T18:00:00+01:00."
        ) from None
    return given if given.tzinfo else given.replace(tzinfo=now.tzinfo)

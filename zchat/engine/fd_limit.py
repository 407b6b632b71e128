"""A warning before the system gives no more file descriptors.

Every connection takes one, and at the limit nobody can connect any
longer (docs/explanation/zeromq-traps.md, "Memory").
"""

import os
import resource
import time
from typing import Final

import structlog

HIGH_SHARE: Final = 0.8
LOOK_SECONDS: Final = 2
QUIET_SECONDS: Final = 60
_FOLDER: Final = "/dev/fd"

log = structlog.get_logger()


class DescriptorLimit:
    """Looks now and then, and warns at most once a minute."""

    def __init__(self) -> None:
        self._look_at = 0.0

    def watch(self) -> None:
        """Look, if it is time for it."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        try:
            share = len(os.listdir(_FOLDER)) / limit
        except OSError:
            share = 1.0
        if share >= HIGH_SHARE:
            self._look_at = now + QUIET_SECONDS
            log.warning("open_files_high", share=round(share, 2), limit=limit)

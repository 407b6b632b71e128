"""The clients: a pure session, the sockets, asyncio, blocking, console."""

import logging

logging.getLogger(__name__).addHandler(logging.NullHandler())

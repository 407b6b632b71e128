"""What tests of every tier share: Hypothesis's settings and free ports."""

import random
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import settings

FIRST_PORT, LAST_PORT = 20_000, 32_000
"""Below the ports that Linux gives to outgoing connections."""
PORTS_OF_ONE_SERVER = 3

settings.register_profile("zchat", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=2_000)
settings.load_profile("zchat")


def is_free(port: int) -> bool:
    """Whether a server could listen on the port and the two after it."""
    with ExitStack() as stack:
        for offset in range(PORTS_OF_ONE_SERVER):
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port + offset))
            except OSError:
                return False
    return True


def candidates() -> Iterator[int]:
    """Ports in a circle, begun at a random one: workers seldom meet."""
    ports = range(FIRST_PORT, LAST_PORT, PORTS_OF_ONE_SERVER)
    start = random.SystemRandom().randrange(len(ports))
    while True:
        yield from ports[start:]
        yield from ports[:start]


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Gives the port of a new server; the next two are free as well."""
    numbers = candidates()
    return lambda: next(port for port in numbers if is_free(port))

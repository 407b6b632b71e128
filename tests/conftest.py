"""What tests of every tier share: free ports, servers, settings."""

import os
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import settings

from tests.http_server import Client, Served, serving
from tests.program import Program, User
from tests.server import Server

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
    """Ports in a circle, begun at a random one; no two workers meet."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").lstrip("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = range(FIRST_PORT, LAST_PORT, PORTS_OF_ONE_SERVER)[worker::workers]
    start = random.SystemRandom().randrange(len(ports))
    while True:
        yield from ports[start:]
        yield from ports[:start]


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Gives the port of a new server; the next two are free as well."""
    numbers = candidates()
    return lambda: next(port for port in numbers if is_free(port))


@pytest.fixture(scope="module")
def flags() -> tuple[str, ...]:
    """Flags of a module's program; a module may have its own."""
    return ()


@pytest.fixture(scope="module")
def program(
    tmp_path_factory: pytest.TempPathFactory,
    free_port: Callable[[], int],
    flags: tuple[str, ...],
) -> Iterator[Program]:
    """The real program with its gateway, which outlives all its tests."""
    server = Server(
        tmp_path_factory.mktemp("store"), free_port(), *flags, http=True
    )
    running = Program(server)
    running.start()
    yield running
    assert server.stop() == 0
    assert "Traceback" not in server.log.text
    assert server.log.events("gateway_died") == []


@pytest.fixture
def ann(program: Program) -> User:
    """A user of the program."""
    return program.user()


@pytest.fixture
def bob(program: Program) -> User:
    """Another user of the program."""
    return program.user()


@pytest.fixture
def served() -> Iterator[Served]:
    """The HTTP front alone, in front of routes of the tests."""
    with serving() as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    """A connection to the HTTP front."""
    with Client(served.port) as one:
        yield one

"""Where servers are: what a person types, and what ZeroMQ wants."""

import re
from typing import Final

from zchat.errors import ConfigError
from zchat.listening import LOCAL_HOST_BY_WILDCARD

DEFAULT_SERVER: Final = "127.0.0.1"
RPC_PORT: Final = 8001
_NOT_IN_HOSTS: Final = re.compile(r"[/\s]")


def rpc_endpoints(servers: str) -> tuple[str, ...]:
    """The endpoints in `a,b`: each a host, host:port, tcp:// or ipc://.

    Raises ConfigError for what is none of these.
    """
    endpoints = tuple(
        _rpc_endpoint(server.strip())
        for server in servers.split(",")
        if server.strip()
    )
    if not endpoints:
        raise ConfigError("No server was given. Try --server 127.0.0.1.")
    return endpoints


def _rpc_endpoint(server: str) -> str:
    if server.startswith("ipc://"):
        return server
    if server.startswith(("http://", "https://")):
        raise ConfigError(
            f"{server!r} is where HTTP is. The client needs the address of "
            "RPC, usually HOST:PORT one port further."
        )
    rest = server.removeprefix("tcp://")
    host, port = _host_and_port(rest)
    if _NOT_IN_HOSTS.search(rest) or not host or not _is_port(port):
        raise ConfigError(
            f"{server!r} is not an address. Write HOST, HOST:PORT, "
            "tcp://HOST:PORT or ipc://PATH."
        )
    return f"tcp://{host}:{port or RPC_PORT}"


def _is_port(port: str) -> bool:
    return not port or (
        port.isascii() and port.isdecimal() and 0 < int(port) < 65536
    )


def _host_and_port(address: str) -> tuple[str, str]:
    if address.startswith("["):
        host, bracket, rest = address.partition("]")
        return host + bracket, rest.removeprefix(":")
    if address.count(":") > 1:
        return f"[{address}]", ""
    host, _, port = address.partition(":")
    return host, port


def events_endpoint(told: str, reached: str) -> str:
    """The event endpoint that `hello` told of, made reachable.

    A server that listens everywhere tells a wildcard: its host is then
    the one at which RPC was reached.
    """
    if not told.startswith("tcp://"):
        return told
    host, port = _host_and_port(told.removeprefix("tcp://"))
    if host not in LOCAL_HOST_BY_WILDCARD:
        return told
    if not reached.startswith("tcp://"):
        return f"tcp://{DEFAULT_SERVER}:{port}"
    return f"tcp://{_host_and_port(reached.removeprefix('tcp://'))[0]}:{port}"

"""Where servers listen, and what the system has to allow them."""

import resource
import socket
from ipaddress import ip_address
from typing import Final

BACKLOG: Final = 1024
"""Connections that wait to be accepted; the system may cap it."""

LOCAL_HOST_BY_WILDCARD: Final = {
    "*": "127.0.0.1",
    "0.0.0.0": "127.0.0.1",
    "[::]": "[::1]",
    "::": "[::1]",
}
"""Hosts that mean all addresses, each with one that reaches this machine."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what is bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def tcp_listener(host: str, port: int) -> socket.socket:
    """A socket that listens on an IP address; raises OSError.

    Port 0: the system chooses one.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def claim_descriptors() -> int:
    """Raise the limit on open files as far as it goes; the new limit.

    Every connection takes one; -1 is no limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard

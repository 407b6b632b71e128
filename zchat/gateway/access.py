"""Which Host and Origin a request may name: no rebinding, no strangers.

A web page must not reach a gateway on its reader's own machine: neither
by a name that it made point to 127.0.0.1 (the Host gives it away), nor
by a request across origins (the Origin gives it away).
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from zchat.errors import Code
from zchat.gateway.messages import Fields, Headers, Response, problem
from zchat.listening import is_loopback

_AUTHORITY: Final = re.compile(
    rb"(?P<name>[0-9A-Za-z._~-]+|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]{0,5})?"
)
_LOCAL_NAMES: Final = frozenset((b"localhost", b"127.0.0.1", b"[::1]"))
_PREFLIGHT: Final[Fields] = (
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE, OPTIONS"),
    (
        "Access-Control-Allow-Headers",
        ", ".join(
            (
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "Last-Event-ID",
                "Range",
                "X-Content-SHA256",
            )
        ),
    ),
    ("Access-Control-Max-Age", "600"),
)
_EXPOSED: Final = "Content-Disposition, Content-Range, Retry-After"
_KNOWN_HOSTS: Final = 1000


class AccessPolicy:
    """Judges Host and Origin for a server bound to `host`:`port`.

    `allowed_origins` are origins as browsers write them
    (`https://chat.example`), `allowed_hosts` names of the server, such
    as that of a proxy in front of it. Behind a proxy a page may come by
    http or https, so both are origins of the server itself. `scheme` is
    what the server speaks.
    """

    def __init__(
        self,
        host: str,
        port: int,
        allowed_origins: Iterable[str] = (),
        allowed_hosts: Iterable[str] = (),
        scheme: str = "http",
    ) -> None:
        allowed = [origin.lower() for origin in allowed_origins]
        names = frozenset(map(_bracketed, allowed_hosts))
        self._allowed = frozenset(origin.encode() for origin in allowed)
        self._scheme = scheme.encode()
        self._names = (
            _LOCAL_NAMES
            | {_bracketed(host)}
            | {
                _bracketed(urlsplit(origin).hostname or "")
                for origin in allowed
            }
            | names
        )
        self._own = frozenset(
            b"%b://%b:%d" % (self._scheme, name, port)
            for name in _LOCAL_NAMES | {_bracketed(host)}
        ) | {
            b"%b://%b" % (either, name)
            for name in names
            for either in (b"http", b"https")
        }
        self._is_loopback = is_loopback(host)
        self._known_hosts: set[bytes] = set()

    def refusal(self, host: bytes | None, headers: Headers) -> Response | None:
        """The answer to a request from where none may come, or None.

        `host` is the authority that the request is meant for; None in
        HTTP/1.0 only.
        """
        if host is not None and host not in self._known_hosts:
            refused = self._judge_host(host)
            if refused is not None:
                return refused
            if len(self._known_hosts) < _KNOWN_HOSTS:
                self._known_hosts.add(host)
        origin = headers.get(b"origin")
        if (
            origin is None
            or self._is_own(origin, host)
            or (self._is_allowed(origin))
        ):
            return None
        return problem(
            403,
            Code.FORBIDDEN,
            "This server does not accept requests from other origins. "
            "Allow this one with --allow-origin.",
        )

    def cross_origin_fields(self, headers: Headers) -> Fields:
        """The CORS fields for the answer, if an allowed origin asks."""
        origin = headers.get(b"origin")
        if origin is None or not self._is_allowed(origin):
            return ()
        return (
            ("Access-Control-Allow-Origin", origin.decode("ascii")),
            ("Access-Control-Expose-Headers", _EXPOSED),
            ("Vary", "Origin"),
        )

    def preflight(self, method: str, headers: Headers) -> Response | None:
        """The answer to a CORS preflight of an allowed origin."""
        if method != "OPTIONS" or (
            b"access-control-request-method" not in headers
        ):
            return None
        origin = headers.get(b"origin")
        if origin is None or not self._is_allowed(origin):
            return None
        return Response(204, fields=_PREFLIGHT)

    def _judge_host(self, host: bytes) -> Response | None:
        matched = _AUTHORITY.fullmatch(host)
        if matched is None:
            return problem(
                400,
                Code.BAD_REQUEST,
                "The Host header must be a host name with an optional port.",
                field="Host",
            )
        name = matched["name"].lower()
        if name in self._names or self._is_other_address(name):
            return None
        return problem(
            421,
            Code.FORBIDDEN,
            "This server does not answer to that name. "
            "Start it with --allow-host to add one.",
            field="Host",
        )

    def _is_other_address(self, name: bytes) -> bool:
        """Whether it is an address, where others than loopback may be.

        Only names can be rebound: whoever asks for an address means it.
        """
        return not self._is_loopback and _is_address(name)

    def _is_own(self, origin: bytes, host: bytes | None) -> bool:
        """Whether a page that this very server gave out is asking.

        A name that is no address may have been rebound, so only known
        names and literal addresses are believed.
        """
        origin = origin.lower()
        if origin in self._own:
            return True
        if host is None or origin != self._scheme + b"://" + host.lower():
            return False
        matched = _AUTHORITY.fullmatch(host)
        if matched is None:
            return False
        name = matched["name"].lower()
        return name in self._names or _is_address(name)

    def _is_allowed(self, origin: bytes) -> bool:
        return origin.lower() in self._allowed


def _is_address(name: bytes) -> bool:
    try:
        ip_address(name.decode("ascii").strip("[]"))
    except ValueError:
        return False
    return True


def _bracketed(host: str) -> bytes:
    """A host as it stands in a URL: an IPv6 address in brackets."""
    host = host.lower()
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return host.encode()

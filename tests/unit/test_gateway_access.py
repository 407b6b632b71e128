"""Who may speak to the gateway: Host and Origin, judged purely."""

import pytest

from zchat.gateway import access
from zchat.gateway.access import AccessPolicy
from zchat.listening import is_loopback

LOCAL = AccessPolicy("127.0.0.1", 8000, ["https://chat.example"])
OPEN = AccessPolicy("0.0.0.0", 8000)


def status(
    policy: AccessPolicy, host: str | None, origin: str | None = None
) -> int:
    headers = {} if origin is None else {b"origin": origin.encode()}
    refused = policy.refusal(None if host is None else host.encode(), headers)
    return 200 if refused is None else refused.status


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "127.0.0.1",
        "127.0.0.1:9",
        "[::1]",
        "[::1]:8000",
        "chat.example",
        None,
    ],
)
def test_names_of_this_machine_are_known(host: str | None) -> None:
    assert status(LOCAL, host) == 200


@pytest.mark.parametrize(
    "host",
    ["evil", "127.0.0.2", "localhost.", "127.0.0.1.", "[::ffff:127.0.0.1]"],
)
def test_other_names_are_refused(host: str) -> None:
    assert status(LOCAL, host) == 421
    is_address = host in ("127.0.0.2", "[::ffff:127.0.0.1]")
    assert status(OPEN, host) == (200 if is_address else 421)


@pytest.mark.parametrize("host", ["proxied.example", "Proxied.Example:80"])
def test_a_name_may_be_allowed(host: str) -> None:
    for bound in ("127.0.0.1", "0.0.0.0"):
        policy = AccessPolicy(bound, 8000, (), ["proxied.example"])
        assert status(policy, host) == 200
        for origin in ("http://proxied.example", "https://proxied.example"):
            assert status(policy, host, origin) == 200
            assert status(policy, "127.0.0.1:8000", origin) == 200
        for origin in ("https://proxied.example:9", "https://a.example"):
            assert status(policy, host, origin) == 403


def test_a_server_that_speaks_tls_gives_out_pages_by_https() -> None:
    policy = AccessPolicy("0.0.0.0", 8443, (), (), "https")
    assert status(policy, "192.0.2.1:8443", "https://192.0.2.1:8443") == 200
    assert status(policy, "192.0.2.1:8443", "http://192.0.2.1:8443") == 403


@pytest.mark.parametrize("host", ["", "a b", "a,b", "a/b", "a@b", "[::1", "é"])
def test_what_is_no_host_is_malformed(host: str) -> None:
    assert status(LOCAL, host) == status(OPEN, host) == 400


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://localhost:8000", "localhost:8000"),
        ("http://localhost:8000", "127.0.0.1:8000"),
        ("http://localhost:9000", "localhost:9000"),
        ("https://chat.example", "127.0.0.1:8000"),
        ("HTTPS://chat.example", "127.0.0.1:8000"),
    ],
)
def test_own_and_allowed_origins_pass(origin: str, host: str) -> None:
    assert status(LOCAL, host, origin) == 200


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:3000", "127.0.0.1:8000"),
        ("https://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://chat.example", "127.0.0.1:8000"),
        ("null", "127.0.0.1:8000"),
        ("", "127.0.0.1:8000"),
    ],
)
def test_foreign_origins_are_refused(origin: str, host: str) -> None:
    assert status(LOCAL, host, origin) == 403


def test_an_own_origin_is_believed_for_addresses_only() -> None:
    assert status(OPEN, "192.0.2.1:8000", "http://192.0.2.1:8000") == 200
    assert status(OPEN, "rebound.example", "http://rebound.example") == 421


def test_a_server_on_an_address_of_its_own() -> None:
    policy = AccessPolicy("2001:db8::1", 8000)

    assert status(policy, "[2001:db8::1]:8000") == 200
    own = "http://[2001:db8::1]:8000"
    assert status(policy, "[2001:db8::1]:8000", own) == 200
    assert status(policy, "[2001:db8::1]:8000", "http://[::2]:8000") == 403


def test_names_beyond_number_are_judged_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So many are known by heart; a stranger can make up more."""
    monkeypatch.setattr(access, "_KNOWN_HOSTS", 2)
    policy = AccessPolicy("0.0.0.0", 8000)

    for _ in range(2):
        for number in range(5):
            assert status(policy, f"192.0.2.{number}") == 200
            assert status(policy, f"evil{number}") == 421
    assert len(policy._known_hosts) == 2


def test_cors_is_for_allowed_origins() -> None:
    allowed = {
        b"origin": b"https://chat.example",
        b"access-control-request-method": b"POST",
    }
    own = {**allowed, b"origin": b"http://localhost:8000"}
    assert (
        dict(LOCAL.cross_origin_fields(allowed))["Access-Control-Allow-Origin"]
        == "https://chat.example"
    )
    assert LOCAL.cross_origin_fields(own) == ()
    preflight = LOCAL.preflight("OPTIONS", allowed)
    assert preflight is not None
    assert preflight.status == 204
    assert LOCAL.preflight("OPTIONS", own) is None
    assert LOCAL.preflight("POST", allowed) is None


def test_what_is_loopback() -> None:
    assert is_loopback("localhost")
    assert is_loopback("127.9.9.9")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("chat.example")

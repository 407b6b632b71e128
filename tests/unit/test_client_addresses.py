"""What a person may write for a server."""

import pytest

from zchat.client.addresses import events_endpoint, rpc_endpoints
from zchat.errors import ConfigError


@pytest.mark.parametrize(
    ("written", "endpoints"),
    [
        ("127.0.0.1", ("tcp://127.0.0.1:8001",)),
        ("chat.example", ("tcp://chat.example:8001",)),
        ("chat.example:9001", ("tcp://chat.example:9001",)),
        ("tcp://chat.example:9001", ("tcp://chat.example:9001",)),
        ("tcp://chat.example", ("tcp://chat.example:8001",)),
        ("::1", ("tcp://[::1]:8001",)),
        ("[::1]:9001", ("tcp://[::1]:9001",)),
        ("ipc:///run/zchat", ("ipc:///run/zchat",)),
        ("a, b:9 ,", ("tcp://a:8001", "tcp://b:9")),
    ],
)
def test_servers(written: str, endpoints: tuple[str, ...]) -> None:
    assert rpc_endpoints(written) == endpoints


@pytest.mark.parametrize(
    "written",
    [
        "",
        " , ",
        "a:b",
        "a:0",
        "a:65536",
        "a b",
        "http://a",
        "a/b",
        ":8001",
        "a:٣",
    ],
)
def test_what_is_no_server(written: str) -> None:
    with pytest.raises(ConfigError):
        rpc_endpoints(written)


@pytest.mark.parametrize(
    ("told", "reached", "endpoint"),
    [
        ("tcp://10.0.0.1:8002", "tcp://chat:8001", "tcp://10.0.0.1:8002"),
        ("tcp://0.0.0.0:8002", "tcp://chat:8001", "tcp://chat:8002"),
        ("tcp://*:8002", "tcp://chat:8001", "tcp://chat:8002"),
        ("tcp://[::]:8002", "tcp://[::1]:8001", "tcp://[::1]:8002"),
        ("tcp://*:8002", "ipc:///run/zchat", "tcp://127.0.0.1:8002"),
        ("ipc:///run/events", "tcp://chat:8001", "ipc:///run/events"),
    ],
)
def test_a_wildcard_is_where_rpc_was_reached(
    told: str, reached: str, endpoint: str
) -> None:
    assert events_endpoint(told, reached) == endpoint

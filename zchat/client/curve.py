"""The keys with which a client reaches an encrypted server."""

import os
from pathlib import Path

import zmq

from zchat.certificates import CurveKeys, read_certificate, read_pair
from zchat.errors import ConfigError


def load_keys(
    server_key: str | os.PathLike[str] | None,
    client_key: str | os.PathLike[str] | None,
) -> CurveKeys | None:
    """The keys in these certificates; None where none are given.

    Without `client_key` the pair is made for the occasion: a server
    started with --curve-any lets it in. Raises ConfigError.
    """
    if server_key is None:
        if client_key is not None:
            raise ConfigError(
                "--client-key is of no use alone. Give --server-key too."
            )
        return None
    server = read_certificate(Path(server_key)).public
    pair = (
        zmq.curve_keypair()
        if client_key is None
        else read_pair(Path(client_key))
    )
    return CurveKeys(server, *pair)

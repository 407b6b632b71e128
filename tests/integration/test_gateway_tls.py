"""HTTPS: a certificate that is used, renewed, and refused when it is none."""

import http.client
import socket
import ssl
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.http_server import serving
from tests.program import wait_until
from tests.server import PROGRAM, environment, running
from zchat.errors import ConfigError
from zchat.tls import Certificate, certificate


class Pair(NamedTuple):
    """The files of a certificate and its key."""

    chain: Path
    key: Path

    def write(self, serial: int) -> None:
        """Make a new certificate that signs itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "zchat")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(
                x509.SubjectAlternativeName(
                    [x509.IPAddress(ip_address("127.0.0.1"))]
                ),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(True, None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self.chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    @property
    def flags(self) -> tuple[str, ...]:
        return "--tls-cert", str(self.chain), "--tls-key", str(self.key)

    def client(self, port: int) -> http.client.HTTPSConnection:
        """A client that trusts this certificate only."""
        context = ssl.create_default_context(cafile=str(self.chain))
        return http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=20, context=context
        )


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    made = Pair(tmp_path / "chain.pem", tmp_path / "key.pem")
    made.write(1)
    return made


def serial_at(port: int) -> int:
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=20)
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def test_the_program_speaks_https(
    pair: Pair, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()

    def is_ready() -> bool:
        client = pair.client(port)
        try:
            client.request("GET", "/readyz")
            return client.getresponse().status == 200
        except OSError:
            return False
        finally:
            client.close()

    with running(tmp_path, port, *pair.flags, http=True):
        wait_until(is_ready)
        with closing(pair.client(port)) as client:
            for _ in range(2):
                origin = {"Origin": f"https://127.0.0.1:{port}"}
                client.request("POST", "/connect", b"{}", origin)
                answer = client.getresponse()
                assert answer.status == 200
                assert answer.read().startswith(b'{"token":')
            client.request("GET", "/nothing", headers={"Connection": "close"})
            assert client.getresponse().status == 404
        plain = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        with closing(plain):
            plain.request("GET", "/status")
            with pytest.raises((OSError, http.client.HTTPException)):
                plain.getresponse()
    assert f"https://127.0.0.1:{port}" in (tmp_path / "stdout").read_text()


def test_a_refusal_is_read_though_the_client_still_sends(pair: Pair) -> None:
    """TLS has no half of a connection that could be shut down."""
    tls = Certificate(str(pair.chain), str(pair.key))
    with (
        serving(certificate=tls) as served,
        closing(pair.client(served.port)) as client,
    ):
        client.connect()
        assert client.sock is not None
        client.sock.sendall(b"NONSENSE\r\n\r\n" + b"x" * 10_000)
        assert client.sock.recv(65536).startswith(b"HTTP/1.1 400 ")
        served.pass_seconds(3)
        served.wait_for(lambda: served.server.connections == 0)


def test_a_renewed_certificate_is_used(pair: Pair) -> None:
    tls = Certificate(str(pair.chain), str(pair.key))
    with serving(certificate=tls) as served:
        assert serial_at(served.port) == 1
        pair.write(2)
        served.pass_seconds(1)
        assert serial_at(served.port) == 2


@pytest.mark.parametrize("text", [None, b"", b"not PEM"])
def test_files_that_cannot_be_used_change_nothing(
    pair: Pair, text: bytes | None
) -> None:
    tls = Certificate(str(pair.chain), str(pair.key))
    with serving(certificate=tls) as served:
        if text is None:
            pair.key.unlink()
        else:
            pair.key.write_bytes(text)
        served.pass_seconds(1)
        assert serial_at(served.port) == 1
        pair.write(3)
        served.pass_seconds(1)
        assert serial_at(served.port) == 3


def test_the_key_of_another_certificate_changes_nothing(pair: Pair) -> None:
    tls = Certificate(str(pair.chain), str(pair.key))
    with serving(certificate=tls) as served:
        chain = pair.chain.read_bytes()
        pair.write(2)
        pair.chain.write_bytes(chain)
        served.pass_seconds(1)
        assert serial_at(served.port) == 1


def test_a_connection_without_a_handshake_holds_up_nobody(pair: Pair) -> None:
    tls = Certificate(str(pair.chain), str(pair.key))
    with serving(certificate=tls) as served:
        silent = [
            socket.create_connection(("127.0.0.1", served.port))
            for _ in range(50)
        ]
        silent[0].sendall(os_noise())
        assert serial_at(served.port) == 1
        for one in silent:
            one.close()


def os_noise() -> bytes:
    return bytes(range(256)) * 4


def test_no_certificate_is_plain_http() -> None:
    assert certificate(None, None) is None


@pytest.mark.parametrize("what", ["missing", "empty", "swapped", "encrypted"])
def test_a_certificate_that_is_none_stops_the_start(
    pair: Pair, tmp_path: Path, free_port: Callable[[], int], what: str
) -> None:
    flags = list(pair.flags)
    if what == "missing":
        pair.chain.unlink()
    elif what == "empty":
        pair.key.write_bytes(b"")
    elif what == "swapped":
        flags[1], flags[3] = flags[3], flags[1]
    else:
        key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )
    with pytest.raises(ConfigError):
        certificate(flags[1], flags[3])
    ended = subprocess.run(
        [*PROGRAM, "--port", str(free_port()), *flags],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.count(b"\n") == 1
    assert b"--tls-" in ended.stderr or b"PEM" in ended.stderr

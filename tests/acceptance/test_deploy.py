"""The files of deploy/: what they name exists, and proxies pass it on.

nginx, Caddy, promtool and systemd-analyze are asked where they are
installed; `deploy/README.md` says what cannot be run here.
"""

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.program import Program, wait_until
from tests.server import Server
from zchat.options import OPTION_BY_NAME

DEPLOY: Final = Path(__file__).resolve().parents[2] / "deploy"
SITE: Final = "chat.example.org"


def needs(program: str) -> pytest.MarkDecorator:
    """Skips where Debian's package is not installed."""
    return pytest.mark.skipif(
        shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None,
        reason=f"{program} is not installed",
    )


def run(*command: str | Path) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


@pytest.mark.parametrize("name", ["compose.yaml", "zchat.service"])
def test_every_flag_is_one(name: str) -> None:
    text = (DEPLOY / name).read_text(encoding="utf-8")
    flags = set(re.findall(r"--([a-z-]+)[= ]?", text))
    known = set(OPTION_BY_NAME) | {"config"}
    assert flags
    assert flags <= known


def test_the_unit_tells_wrong_settings_from_what_may_come() -> None:
    unit = (DEPLOY / "zchat.service").read_text(encoding="utf-8")
    assert "\nRestartPreventExitStatus=2\n" in unit
    assert "\nRestart=on-failure\n" in unit


@needs("systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = (DEPLOY / "zchat.service").read_text(encoding="utf-8")
    path = tmp_path / "zchat.service"
    path.write_text(unit.replace("/opt/zchat/bin/zchat", "/bin/true"))
    assert run("systemd-analyze", "verify", path) == ""
    judged = run("systemd-analyze", "security", "--offline=true", path)
    level = re.search(r"exposure level for zchat\.service: ([0-9.]+)", judged)
    assert level
    assert float(level[1]) < 2


@needs("promtool")
def test_the_alerts_go_off_when_they_should() -> None:
    run("promtool", "test", "rules", DEPLOY / "alerts.test.yml")
    run("promtool", "check", "config", DEPLOY / "prometheus.yml")


@needs("promtool")
def test_the_dashboard_can_be_asked(tmp_path: Path) -> None:
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    queries = [t["expr"] for p in board["panels"] for t in p["targets"]]
    rules = [
        {"record": f"zchat:panel{number}", "expr": query}
        for number, query in enumerate(queries)
    ]
    text = json.dumps({"groups": [{"name": "panels", "rules": rules}]})
    path = tmp_path / "panels.yml"
    path.write_text(text.replace("$__rate_interval", "5m"))
    run("promtool", "check", "rules", path)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for the site that nobody signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, SITE)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(SITE)]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


class Site:
    """The site behind a proxy, spoken to over TLS."""

    def __init__(self, port: int, authority: Path) -> None:
        self._port = port
        self._tls = ssl.create_default_context(cafile=str(authority))

    def connection(self) -> http.client.HTTPConnection:
        """A connection that believes the site's own certificate alone."""
        made = http.client.HTTPSConnection(
            SITE, self._port, timeout=20, context=self._tls
        )
        plain = socket.create_connection(("127.0.0.1", self._port), 20)
        made.sock = self._tls.wrap_socket(plain, server_hostname=SITE)
        return made

    def ask(
        self,
        verb: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """The status and what JSON there is in the answer."""
        connection = self.connection()
        try:
            connection.request(
                verb, path, body, {"Host": SITE} | (headers or {})
            )
            answer = connection.getresponse()
            text = answer.read()
            kind = answer.headers.get("Content-Type", "")
            return answer.status, json.loads(text) if "json" in kind else text
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """Whether all the way to the broker stands."""
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False


@contextmanager
def proxied(
    command: list[str], environment: dict[str, str], site: Site
) -> Iterator[Site]:
    """The site while the proxy's program runs."""
    with subprocess.Popen(
        command,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until(site.is_ready)
            yield site
        finally:
            process.terminate()


@contextmanager
def nginx(folder: Path, http_port: int, port: int) -> Iterator[Site]:
    """`deploy/nginx.conf`, with the paths and ports of this test."""
    cert, key = certificate(folder)
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    for there, here in (
        (f"/etc/letsencrypt/live/{SITE}/fullchain.pem", str(cert)),
        (f"/etc/letsencrypt/live/{SITE}/privkey.pem", str(key)),
        ("127.0.0.1:8000", f"127.0.0.1:{http_port}"),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("listen [::]:443 ssl http2;", ""),
        ("listen 80", f"listen 127.0.0.1:{port + 1}"),
        ("listen [::]:80;", ""),
    ):
        assert there in text
        text = text.replace(there, here)
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        "events {}\nhttp {\naccess_log off;\n"
        + "".join(
            f"{kind}_temp_path {folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        + text
        + "}\n"
    )
    command = ["/usr/sbin/nginx", "-c", str(config), "-p", str(folder)]
    with proxied(command, {}, Site(port, cert)) as site:
        yield site


@contextmanager
def caddy(folder: Path, http_port: int, port: int) -> Iterator[Site]:
    """`deploy/Caddyfile`, with a certificate and ports of this test."""
    cert, key = certificate(folder)
    text = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    config = folder / "Caddyfile"
    opening = "{$ZCHAT_SITE:localhost} {"
    assert opening in text
    config.write_text(
        f"{{\n admin off\n http_port {port + 1}\n https_port {port}\n"
        " default_bind 127.0.0.1\n}\n"
        + text.replace(opening, f"{opening}\n tls {cert} {key}\n")
    )
    command = ["caddy", "run", "--config", str(config)]
    environment = {
        "ZCHAT_SITE": SITE,
        "ZCHAT_HTTP": f"127.0.0.1:{http_port}",
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
    }
    with proxied(command, environment, Site(port, cert)) as site:
        yield site


@pytest.fixture(scope="module")
def program(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Program]:
    server = Server(
        tmp_path_factory.mktemp("server"),
        free_port(),
        "--allow-origin",
        f"https://{SITE}",
        http=True,
    )
    made = Program(server)
    try:
        made.start()
        yield made
    finally:
        server.close()


@pytest.mark.parametrize(
    "proxy",
    [
        pytest.param(nginx, marks=needs("nginx")),
        pytest.param(caddy, marks=needs("caddy")),
    ],
    ids=["nginx", "caddy"],
)
def test_a_proxy_passes_everything_on(
    proxy: Any,
    program: Program,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> None:
    with proxy(tmp_path, program.port, free_port()) as site:
        status, made = site.ask("POST", "/connect")
        assert status == 200
        bearer = {"Authorization": f"Bearer {made['token']}"}
        own = {"Origin": f"https://{SITE}"}
        assert site.ask("GET", "/status", headers=bearer | own)[0] == 200
        foreign = {"Origin": "https://evil.example"}
        assert site.ask("GET", "/status", headers=bearer | foreign)[0] == 403
        assert site.ask("GET", "/metrics")[0] == 404
        _check_files(site, made["chat_default"], bearer)
        _check_events(site, bearer)


def _check_files(site: Site, chat_id: str, bearer: dict[str, str]) -> None:
    data = os.urandom(3_000_000)
    status, file = site.ask(
        "POST", f"/files?chat_id={chat_id}&name=a.bin", data, bearer
    )
    assert status == 200, file
    sent = {"message": "", "files": [file["file_id"]]}
    assert site.ask("POST", "/send", json.dumps(sent).encode(), bearer)[0] in (
        200,
        201,
    )
    found = site.ask("GET", f"/files/{file['file_id']}", headers=bearer)
    assert found == (200, data)


def _check_events(site: Site, bearer: dict[str, str]) -> None:
    """An event comes while the stream is open, not when it ends."""
    connection = site.connection()
    try:
        connection.request("GET", "/events", headers={"Host": SITE} | bearer)
        answer = connection.getresponse()
        assert answer.status == 200
        _read_until(answer, b"event: caught_up")
        body = json.dumps({"message": "passed on"}).encode()
        assert site.ask("POST", "/send", body, bearer)[0] == 200
        _read_until(answer, b"passed on")
    finally:
        connection.close()


def _read_until(answer: http.client.HTTPResponse, words: bytes) -> None:
    ends = time.monotonic() + 20
    while words not in answer.readline():
        assert time.monotonic() < ends

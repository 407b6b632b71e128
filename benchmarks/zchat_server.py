"""zchat under measure: a broker on a new store, and people in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.process import Process, free_port, listens, python, running
from benchmarks.wire import Caller


class Zchat(NamedTuple):
    """A running zchat and where it listens."""

    process: Process
    port: int

    @property
    def rpc(self) -> str:
        return f"tcp://127.0.0.1:{self.port + 1}"

    @property
    def events(self) -> str:
        return f"tcp://127.0.0.1:{self.port + 2}"


class Room(NamedTuple):
    """A group and the tokens of its members, the owner's first."""

    chat_id: str
    tokens: list[str]


@contextmanager
def zchat(
    *flags: str, store: Path | str | None = None, http: bool = False
) -> Iterator[Zchat]:
    """`zchat serve` on a store, by default a new one that goes after."""
    with TemporaryDirectory(prefix="zchat-bench-") as folder:
        port = free_port()
        command = python(
            "zchat",
            "serve",
            "--port",
            str(port),
            "--store",
            str(store or Path(folder) / "bench.db"),
            "--log-level",
            "warning",
            *([] if http else ["--no-http"]),
            "--new-users",
            "0",
            *flags,
        )
        ready = listens(port if http else port + 1)
        with running(command, ready) as process:
            yield Zchat(process, port)


def room_of(endpoint: str, members: int) -> Room:
    """A new group of so many new users."""
    with Caller(endpoint) as caller:
        users = [caller.call("connect") for _ in range(members)]
        owner = users[0]["token"]
        chat_id = caller.call("create_chat", token=owner, name="bench")[
            "chat_id"
        ]
        for user in users[1:]:
            caller.call(
                "invite", token=owner, chat_id=chat_id, user_id=user["user_id"]
            )
        return Room(chat_id, [user["token"] for user in users])

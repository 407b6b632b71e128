"""Kills the primary of a synchronous pair under load, and counts.

`make torture-cluster` runs it. In each round two brokers serve from a
primary with one synchronous standby. Under load all processes of the
primary get SIGKILL and the standby is promoted. Then every message that
was acknowledged must be there once, and none that was refused.
"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

import msgpack
import psycopg
import zmq

from benchmarks.process import free_port
from benchmarks.wire import Caller, request
from tests.postgres import Cluster
from tests.server import Server, running

PRIMARY_PORT, STANDBY_PORT = 5432, 5433
SENDERS: Final = 8
WINDOW: Final = 16
LOAD_SECONDS: Final = 3.0
RETRY_SECONDS: Final = 0.05
WAIT_SECONDS: Final = 60.0
POLL_MILLISECONDS: Final = 20
EPOCH: Final = "SELECT value FROM meta WHERE name = 'epoch'"
SETTINGS: Final = {
    "wal_level": "replica",
    "synchronous_commit": "on",
    "synchronous_standby_names": "standby",
    "wal_retrieve_retry_interval": "200ms",
}


class Outcome(NamedTuple):
    """What one round showed; times in seconds since the kill."""

    acknowledged: int
    refused: int
    doubtful: int
    missing: int
    doubled: int
    wrongly_refused: int
    same_epoch: bool
    promoted: float
    next_acknowledged: float

    @property
    def clean(self) -> bool:
        """Whether every promise was kept."""
        return self.same_epoch and not (
            self.missing or self.doubled or self.wrongly_refused
        )

    def __str__(self) -> str:
        return (
            f"acknowledged {self.acknowledged}, missing {self.missing}, "
            f"doubled {self.doubled}; refused {self.refused}, of them in "
            f"doubt {self.doubtful}, there nevertheless "
            f"{self.wrongly_refused}; promoted after {self.promoted:.2f} s, "
            f"next acknowledged after {self.next_acknowledged:.2f} s"
        )


class Sender(threading.Thread):
    """Sends messages to the common chat until it is told to stop.

    With `keys` a refused message is repeated until it is acknowledged;
    without, it is given up, and must not turn up unless in doubt.
    """

    def __init__(self, endpoint: str, keys: bool) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._keys = keys
        self._sent: dict[int, tuple[float, str]] = {}
        self._again: list[tuple[float, str]] = []
        self._next_id = 0
        self.stopping = threading.Event()
        self.acknowledged: dict[str, tuple[int, str]] = {}
        self.moments: list[float] = []
        self.refused: set[str] = set()
        self.doubtful: set[str] = set()

    def run(self) -> None:
        with Caller(self._endpoint) as caller:
            token = caller.call("connect")["token"]
            ends = None
            while ends is None or self._open(ends):
                if self.stopping.is_set() and ends is None:
                    ends = time.monotonic() + WAIT_SECONDS
                self._fill(caller.socket, token, ends is None)
                self._take(caller.socket)

    def _open(self, ends: float) -> bool:
        """Whether answers are still waited for."""
        if time.monotonic() > ends:
            raise RuntimeError(f"{len(self._sent)} answers did not come")
        return bool(self._sent or self._again)

    def _fill(self, socket: Any, token: str, more: bool) -> None:
        """Keep so many requests in flight."""
        while len(self._sent) < WINDOW:
            now = time.monotonic()
            if self._again and self._again[0][0] <= now:
                text = self._again.pop(0)[1]
            elif more and len(self._again) < WINDOW:
                text = str(uuid4())
            else:
                return
            key = {"idempotency_key": text} if self._keys else {}
            self._next_id += 1
            self._sent[self._next_id] = now, text
            socket.send(
                request(self._next_id, "send", token=token, text=text, **key)
            )

    def _take(self, socket: Any) -> None:
        """Take the answers that have come."""
        socket.poll(POLL_MILLISECONDS)
        while True:
            try:
                body = socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            _, id, error, result = msgpack.unpackb(body)
            _, text = self._sent.pop(id)
            if error is None:
                self.acknowledged[text] = result["seq"], result["id"]
                self.moments.append(time.monotonic())
            else:
                self._refuse(text, error)

    def _refuse(self, text: str, error: dict[str, Any]) -> None:
        if error["code"] != "unavailable":
            raise RuntimeError(f"refused: {error}")
        self.refused.add(text)
        if error["data"].get("in_doubt"):
            self.doubtful.add(text)
        if self._keys:
            self._again.append((time.monotonic() + RETRY_SECONDS, text))


@contextmanager
def databases(folder: Path) -> Iterator[tuple[Cluster, Cluster]]:
    """A primary, and the standby whose word every commit waits for."""
    primary = Cluster(folder / "primary", PRIMARY_PORT)
    with ExitStack() as stack:
        primary.create(SETTINGS | {"synchronous_standby_names": ""})
        stack.callback(primary.stop)
        primary.start()
        standby = primary.standby(folder / "standby", STANDBY_PORT, "standby")
        stack.callback(standby.stop)
        primary.configure(SETTINGS)
        primary.execute("SELECT pg_reload_conf()")
        ends = time.monotonic() + WAIT_SECONDS
        while primary.execute(
            "SELECT sync_state FROM pg_stat_replication"
        ) != [("sync",)]:
            if time.monotonic() > ends:
                raise RuntimeError("the standby does not follow")
            time.sleep(0.02)
        yield primary, standby


def failover(folder: Path, load_seconds: float = LOAD_SECONDS) -> Outcome:
    """One round, in an empty folder."""
    with ExitStack() as stack:
        primary, standby = stack.enter_context(databases(folder))
        url = (
            f"postgresql://postgres@/postgres"
            f"?host={primary.folder},{standby.folder}"
            f"&port={PRIMARY_PORT},{STANDBY_PORT}"
            "&target_session_attrs=read-write"
        )
        servers = [
            stack.enter_context(_broker(folder / name, url))
            for name in ("first", "second")
        ]
        senders = [
            Sender(servers[place % 2].rpc, keys=place % 4 < 2)
            for place in range(SENDERS)
        ]
        epoch = primary.execute(EPOCH)
        for sender in senders:
            sender.start()
        time.sleep(load_seconds)
        killed = time.monotonic()
        primary.kill()
        standby.promote()
        promoted = time.monotonic()
        _wait_for_acknowledgements(senders, promoted)
        time.sleep(load_seconds / 2)
        for sender in senders:
            sender.stopping.set()
        for sender in senders:
            sender.join()
        return _outcome(standby, senders, epoch, killed, promoted)


@contextmanager
def _broker(folder: Path, url: str) -> Iterator[Server]:
    folder.mkdir()
    with running(folder, free_port(), "--store", url) as server:
        yield server


def _wait_for_acknowledgements(
    senders: Sequence[Sender], since: float
) -> None:
    """Wait until each sender is served again."""
    ends = time.monotonic() + WAIT_SECONDS
    while not all(
        sender.moments and sender.moments[-1] > since for sender in senders
    ):
        if time.monotonic() > ends:
            raise RuntimeError("the brokers did not come back")
        time.sleep(0.005)


def _outcome(
    database: Cluster,
    senders: Sequence[Sender],
    epoch: list[Any],
    killed: float,
    promoted: float,
) -> Outcome:
    """Compare what was answered with what is there."""
    with closing(psycopg.connect(database.url())) as connection:
        kept = connection.execute(
            "SELECT text, seq, id::text FROM messages ORDER BY seq"
        ).fetchall()
    if [seq for _, seq, _ in kept] != list(range(1, len(kept) + 1)):
        raise RuntimeError("seq has holes")
    place = {text: (seq, id) for text, seq, id in kept}
    acknowledged: dict[str, tuple[int, str]] = {}
    for sender in senders:
        acknowledged |= sender.acknowledged
    refused = set().union(*(sender.refused for sender in senders))
    doubtful = set().union(*(sender.doubtful for sender in senders))
    moments = [m for sender in senders for m in sender.moments]
    return Outcome(
        acknowledged=len(acknowledged),
        refused=len(refused),
        doubtful=len(doubtful),
        missing=sum(
            place.get(text) != answer for text, answer in acknowledged.items()
        ),
        doubled=len(kept) - len(place),
        wrongly_refused=len(
            (refused - doubtful - acknowledged.keys()) & place.keys()
        ),
        same_epoch=database.execute(EPOCH) == epoch,
        promoted=promoted - killed,
        next_acknowledged=min(m for m in moments if m > promoted) - killed,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rounds; the exit status is 1 where a promise broke."""
    parser = argparse.ArgumentParser(prog="make torture-cluster")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args(arguments).rounds
    clean = True
    for number in range(1, rounds + 1):
        folder = Path(tempfile.mkdtemp(prefix="zchat-torture-"))
        folder.chmod(0o755)
        try:
            outcome = failover(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        clean &= outcome.clean
        print(f"round {number}: {outcome}", flush=True)
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())

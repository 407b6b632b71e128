"""Tries what `make dist` built: installs it where nothing is, and runs it.

`python -m tests.distribution dist` takes the newest wheel and sdist of a
folder. Each goes into an empty virtual environment: first alone, where the
client must import and `zchat serve` must say what is missing; then with
the extra `server`, where a message goes from one user to another.
"""

import os
import socket
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Final

SECONDS: Final = 60
MISSING: Final = "pip install 'zchat[server]'"
TALK: Final = """
import sys
from zchat.client import BlockingClient, MessageEvent
with BlockingClient.connect(sys.argv[1]) as ada:
    with BlockingClient.connect(sys.argv[1]) as bob:
        ada.send("It runs.")
        for event in bob.events():
            if isinstance(event, MessageEvent):
                print(event.message.text)
                break
"""


def free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
        try:
            for number in range(count):
                with socket.socket() as each:
                    each.bind(("127.0.0.1", port + number))
        except (OSError, OverflowError):
            continue
        return port


def run(*command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a program with nothing of this checkout in reach."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONPATH" and not name.startswith("ZCHAT_")
    }
    return subprocess.run(
        command,
        cwd=folder,
        env=inherited,
        capture_output=True,
        text=True,
        timeout=SECONDS * 5,
        check=False,
    )


def checked(ended: "subprocess.CompletedProcess[str]") -> str:
    """What it printed; ends this program if it failed."""
    if ended.returncode:
        sys.exit(f"{ended.args} failed:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def try_archive(archive: Path, folder: Path) -> None:
    """Install an archive and run what it brings."""
    venv.create(folder / "env", with_pip=True)
    programs = folder / "env" / "bin"
    python, zchat = str(programs / "python"), str(programs / "zchat")
    pip = (python, "-m", "pip", "install", "--quiet")
    checked(run(*pip, str(archive), folder=folder))
    checked(run(python, "-c", "import zchat.client", folder=folder))
    alone = run(zchat, "serve", folder=folder)
    if alone.returncode != 2 or MISSING not in alone.stderr:
        sys.exit(f"`zchat serve` without its packages: {alone.stderr}")
    checked(run(*pip, f"{archive}[server]", folder=folder))
    port = free_ports(3)
    with subprocess.Popen(
        [zchat, "serve", "--port", str(port), "--store", "t.db"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            address = f"127.0.0.1:{port + 1}"
            said = checked(run(python, "-c", TALK, address, folder=folder))
        finally:
            server.terminate()
    if said != "It runs.\n" or server.returncode:
        sys.exit(f"the server ended with {server.returncode}: {said!r}")


def main() -> None:
    """Try the newest archives of the folder given."""
    built = Path(sys.argv[1]).resolve()
    for pattern in ("*.whl", "*.tar.gz"):
        archive = max(
            built.glob(pattern), key=lambda path: path.stat().st_mtime
        )
        with tempfile.TemporaryDirectory() as folder:
            try_archive(archive, Path(folder))
        print(f"{archive.name}: installs and runs")


if __name__ == "__main__":
    main()

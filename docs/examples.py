"""Runs the examples in the pages, and writes what they really answer.

A block fenced as `console` holds commands after `$ ` (their next lines
after `> `) and what they print. `zchat serve` and `make run` start a
server that stays; `^C` stops it. A block fenced as `python` below a line
that ends with `NAME`: becomes the file of that name. All blocks of a
page run in one shell, in one new folder. `python -m docs.examples
PAGE …` writes the answers into pages; a test compares them.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from threading import Timer
from types import TracebackType
from typing import Final, NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

ROOT: Final = Path(__file__).parents[1]
PORTS: Final = (8000, 8001, 8002)
"""The ports in the pages; another server is used when they are run."""
START_SECONDS: Final = 20.0
COMMAND_SECONDS: Final = 120.0
_SERVER: Final = re.compile(r"(?:zchat serve|make run)\b")
_BLOCK: Final = re.compile(
    r"`(?P<name>[\w.]+)`:\n\n```python\n(?P<code>.*?)^```$"
    r"|^```console\n(?P<console>.*?)^```$",
    re.M | re.S,
)
_SHORT: Final = (
    (
        re.compile(
            r"\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-"
            r"[0-9a-f]{12}\b"
        ),
        r"\1…",
    ),
    (re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b"), r"\1…"),
)
_VARYING: Final = (
    (re.compile(r"\b[0-9a-f]{8}…"), "ID"),
    (re.compile(r"user-[2-9a-z]{6}"), "NAME"),
    (re.compile(r"\b([a-z]+)-\d{1,5}(?=\")"), r"\1-NUMBER"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(?:\+00:00|Z)"), "TIME"),
    (
        re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?|\b\d\d:\d\d(:\d\d)?\b"),
        "TIME",
    ),
    (re.compile(r"((?:pid|retry_after|try again in)\W+)\d+"), r"\1N"),
)


class Example(NamedTuple):
    """A command of a page, and what the page says that it prints."""

    command: str
    output: str


def examples(block: str) -> list[Example]:
    """The commands of one block; `^C` stands alone."""
    found: list[tuple[list[str], list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ ") or line == "^C":
            found.append(([line.removeprefix("$ ")], []))
        elif f"{line} ".startswith("> ") and not found[-1][1]:
            found[-1][0].append(line[2:])
        else:
            found[-1][1].append(line)
    return [
        Example("\n".join(command), "".join(f"{line}\n" for line in output))
        for command, output in found
    ]


def written(example: Example) -> str:
    """The example as it stands in a page."""
    if example.command == "^C":
        return "^C\n"
    lines = example.command.split("\n")
    return (
        "".join(
            f"{mark} {line}".rstrip() + "\n"
            for mark, line in zip(["$", *">" * len(lines)], lines)
        )
        + example.output
    )


def can_run(text: str) -> bool:
    """Whether there are examples in a page."""
    return _BLOCK.search(text) is not None


def comparable(output: str) -> str:
    """Output without what differs from run to run."""
    for pattern, stand_in in _VARYING:
        output = pattern.sub(stand_in, output)
    return output


def shape(text: str) -> str:
    """A page without what depends on what the store held before it."""
    return re.sub(r"\d+", "N", comparable(text))


class Stage:
    """One folder with a shell in it, and at times a server.

    `port` is the first of three free ones. `python` runs zchat. Stages in
    the same folder share a store and what the clients remember.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._ports = tuple(range(port, port + len(PORTS)))
        self._server: subprocess.Popen[bytes] | None = None
        self._said = folder / "said"
        self._log = folder / "log"
        self._folder = folder / "here"
        self._folder.mkdir(exist_ok=True)
        self._environment = _environment(folder, port)
        self._shell = subprocess.Popen(
            ["bash", "--norc"],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> "Stage":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._end_shell()
        self._shell.wait()
        self._shell.stdin.close()
        self._shell.stdout.close()

    def _end_shell(self) -> None:
        """End the shell, and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)

    def run(self, command: str) -> str:
        """What the command prints, in the words of a page."""
        if command == "^C":
            return self._stop()
        command = self._elsewhere(command)
        output = (
            self._serve(command)
            if _SERVER.match(command)
            else self._ask(command)
        )
        for shown, real in zip(PORTS, self._ports):
            output = output.replace(f":{real}", f":{shown}")
        for pattern, short in _SHORT:
            output = pattern.sub(short, output)
        lines = [line.rstrip() for line in output.splitlines()]
        return "".join(f"{line}\n" for line in lines)

    def keep(self, name: str, code: str) -> None:
        """Write a file into the folder."""
        (self._folder / name).write_text(
            self._elsewhere(code), encoding="utf-8"
        )

    def _elsewhere(self, text: str) -> str:
        """The text of a page with the ports of this server."""
        for shown, real in zip(PORTS, self._ports):
            text = re.sub(rf":{shown}\b", f":{real}", text)
        return text

    def _ask(self, command: str) -> str:
        """Run a command in the shell."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        mark = b"\x01done\x01\n"
        self._shell.stdin.write(
            f"{{ {command}\n}} </dev/null\necho $'\\001done\\001'\n".encode()
        )
        self._shell.stdin.flush()
        output = b""
        limit = Timer(COMMAND_SECONDS, self._end_shell)
        limit.start()
        while not output.endswith(mark):
            line = self._shell.stdout.readline()
            if not line:
                limit.cancel()
                raise RuntimeError(
                    f"ended or took {COMMAND_SECONDS} s: {command}"
                )
            output += line
        limit.cancel()
        return output.removesuffix(mark).decode()

    def _serve(self, command: str) -> str:
        """Start a server, and wait until it answers."""
        assert self._server is None, "stop the first server with ^C"
        words = _SERVER.sub("exec zchat serve", command)
        words = re.sub(r'ARGS="([^"]*)"', r"\1", words)
        with self._said.open("wb") as said, self._log.open("wb") as log:
            self._server = subprocess.Popen(
                ["bash", "-c", words],
                cwd=self._folder,
                env=self._environment,
                stdout=said,
                stderr=log,
            )
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(
                    f"{words} does not answer: {self._log.read_text()}"
                )
            time.sleep(0.02)
        elsewhere = f" --server tcp://127.0.0.1:{self._ports[1]}"
        printed = self._said.read_text(encoding="utf-8").replace(elsewhere, "")
        if command.startswith("make run"):
            # There, zchat is not on the PATH, as it is here.
            printed = printed.replace("\n  zchat ", "\n  .venv/bin/zchat ")
        return printed

    def _answers(self) -> bool:
        """Whether HTTP reaches the broker."""
        try:
            with urlopen(
                f"http://127.0.0.1:{self._ports[0]}/readyz", timeout=1
            ) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def _stop(self) -> str:
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(START_SECONDS)
            self._server = None
        return ""


def _environment(folder: Path, port: int) -> dict[str, str]:
    """A clean one, in which `zchat` and `python` are those of here."""
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    for name, arguments in (("zchat", "-m zchat "), ("python", "")):
        tool = tools / name
        tool.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n'
        )
        tool.chmod(0o755)
    return {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "COLUMNS": "79",
        "ZCHAT_PORT": str(port),
        "ZCHAT_SERVER": f"127.0.0.1:{port + 1}",
    }


def rerun(text: str, folder: Path, port: int) -> str:
    """The text of a page with what its examples print now.

    Output that differs only as it does from run to run stays.
    """
    with Stage(folder, port) as stage:

        def renewed(block: "re.Match[str]") -> str:
            if block["name"]:
                stage.keep(block["name"], block["code"])
                return block[0]
            shown = "".join(
                written(_renewed(stage, one))
                for one in examples(block["console"])
            )
            return f"```console\n{shown}```"

        return _BLOCK.sub(renewed, text)


def _renewed(stage: Stage, example: Example) -> Example:
    output = stage.run(example.command)
    if _SERVER.match(example.command) and not example.output:
        return example
    same = comparable(output) == comparable(example.output)
    return example if same else example._replace(output=output)


def main(pages: list[str]) -> None:
    """Write the answers into pages."""
    from tempfile import TemporaryDirectory

    for name in pages:
        page = Path(name)
        with TemporaryDirectory() as folder:
            text = rerun(
                page.read_text(encoding="utf-8"), Path(folder), free_port()
            )
        page.write_text(text, encoding="utf-8")
        print(page)


def free_port() -> int:
    """The first of three ports on which nobody listens."""
    while True:
        port = SystemRandom().randrange(20_000, 32_000)
        try:
            for number in range(port, port + len(PORTS)):
                with socket.socket() as listener:
                    listener.bind(("127.0.0.1", number))
        except OSError:
            continue
        return port


if __name__ == "__main__":
    main(sys.argv[1:])

"""`python -m benchmarks [NAMES] [--rounds N] [--peers] [--json FILE]`."""

import argparse
import os
import platform
import sqlite3
import sys
import sysconfig
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

import zmq

from benchmarks.options import Options
from benchmarks.plot import svg_of
from benchmarks.report import Comparison, as_json, text_of


class Workload(NamedTuple):
    """A module whose `run` measures; `usual`: also when none is named."""

    module: str
    summary: str
    usual: bool = True


WORKLOADS: Final = {
    "W1": Workload("sends", "durable sends beside a bare echo"),
    "W2": Workload("latency", "one send until another member has it"),
    "W3": Workload("fanout", "events for 10, 100 and 1000 subscribers"),
    "W4": Workload("history", "pages of small and big chats, warm, cold"),
    "W5": Workload("web", "POST /send beside FastAPI"),
    "W6": Workload("growth", "idle subscribers, active and new users"),
    "W7": Workload("brokers", "brokers on one PostgreSQL", usual=False),
    "W8": Workload("files", "sends while files are uploaded"),
    "W9": Workload("searching", "searches, and what the index costs"),
}


def main() -> int:
    """Measure, print, and write what was asked for."""
    given = _arguments()
    options = Options(given.rounds, given.peers)
    names = given.names or [
        name for name, workload in WORKLOADS.items() if workload.usual
    ]
    print(_interpreter(), flush=True)
    started = time.monotonic()
    compared: list[Comparison] = []
    for name in names:
        run = _runner(WORKLOADS[name])
        for comparison in run(options):
            compared.append(comparison)
            print(text_of(comparison), flush=True)
    print(f"{time.monotonic() - started:.0f} s")
    if given.json:
        given.json.write_bytes(as_json(compared, _facts(options)))
    if given.plot:
        given.plot.write_text(svg_of(compared), "utf-8")
    return 0


def _runner(workload: Workload) -> Callable[[Options], list[Comparison]]:
    run: Callable[[Options], list[Comparison]] = import_module(
        f"benchmarks.{workload.module}"
    ).run
    return run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="; ".join(
            f"{name}: {workload.summary}"
            for name, workload in WORKLOADS.items()
        ),
    )
    parser.add_argument(
        "names",
        nargs="*",
        choices=[[], *WORKLOADS],
        metavar="NAME",
        help="workloads; all but W7 when none is named",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--peers", action="store_true", help="Valkey and NATS beside W1"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="SVG")
    return parser.parse_args()


def _interpreter() -> str:
    """Which Python measures and is measured, and how it was built."""
    flags = sysconfig.get_config_var("CONFIG_ARGS") or ""
    is_optimised = "--enable-optimizations" in flags
    return (
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"built with{'' if is_optimised else 'out'} optimisations "
        f"({platform.python_compiler()}): {sys.executable}"
    )


def _facts(options: Options) -> dict[str, Any]:
    """On what all was measured."""
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": _interpreter(),
        "libzmq": zmq.zmq_version(),
        "pyzmq": zmq.__version__,
        "sqlite": sqlite3.sqlite_version,
        "rounds": options.rounds,
    }


if __name__ == "__main__":
    sys.exit(main())

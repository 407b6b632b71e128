"""The log: its form, what is never in it, and that it harms nobody."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
import structlog

from zchat import logs

Lines = Callable[[], str]


@pytest.fixture(autouse=True)
def fresh_log() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Lines:
    """Gives what was logged since it was last asked."""
    return lambda: capsys.readouterr().err


class Letter(msgspec.Struct):
    text: str


def test_a_json_line(logged: Lines) -> None:
    logs.configure("info", as_json=True)
    structlog.get_logger().info("user_made", user_id=UUID(int=7), count=2)
    text = logged()
    line = json.loads(text)
    moment = datetime.fromisoformat(line.pop("timestamp"))
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)
    assert line == {
        "level": "info",
        "event": "user_made",
        "count": 2,
        "user_id": "00000000-0000-0000-0000-000000000007",
    }
    assert text.count("\n") == 1


def test_a_line_for_people(logged: Lines) -> None:
    logs.configure("info", as_json=False)
    structlog.get_logger().warning("slow", seconds=2.5)
    line = logged()
    assert line.count("\n") == 1
    assert line.partition(" ")[0].endswith("Z")
    assert "[warning" in line
    assert "seconds=2.5" in line
    assert "\x1b" not in line


def test_a_name_cannot_forge_a_line(logged: Lines) -> None:
    logs.configure("info", as_json=False)
    structlog.get_logger().info("renamed", name="a\nb\x1b[31m")
    line = logged()
    assert line.count("\n") == 1
    assert "\x1b" not in line


@pytest.mark.parametrize("as_json", [True, False])
def test_nothing_secret_is_logged(as_json: bool, logged: Lines) -> None:
    logs.configure("debug", as_json=as_json)
    log = structlog.get_logger().bind(token="hush")
    log.debug(
        "request",
        text="hush",
        idempotency_key="hush",
        secret=b"hush",
        params={"token": "hush", "deep": [{"data": b"hush"}]},
        letter=Letter("hush"),
        body=b"hush",
        letters=[Letter("hush")],
        store="postgresql://ann:hush@h/d",
        link="hush",
        error=ValueError("postgresql://ann:hush@h/d"),
    )
    line = logged()
    assert "hush" not in line
    assert line.count(logs.REDACTED) == 7
    assert "[4 bytes]" in line
    assert line.count("[Letter]") == 2
    assert line.count("ann:***@h/d") == 2


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_shows_no_variables(
    as_json: bool,
    logged: Lines,
) -> None:
    logs.configure("info", as_json=as_json)
    token = "hu" + "sh"
    try:
        raise LookupError(len(token))
    except LookupError:
        structlog.get_logger().exception("incident")
    text = logged()
    assert "LookupError: 4" in text
    assert "hush" not in text


@pytest.mark.parametrize("as_json", [True, False])
def test_anything_can_be_logged(as_json: bool, logged: Lines) -> None:
    logs.configure("info", as_json=as_json)
    structlog.get_logger().info(
        "odd",
        lone="\udc80",
        none=None,
        number=float("nan"),
        thing=object(),
        day=date(2026, 1, 2),
    )
    line = logged()
    assert line.count("\n") == 1
    assert "2026-01-02" in line


def test_what_is_below_the_level_costs_next_to_nothing(
    logged: Lines,
) -> None:
    logs.configure("info", as_json=True)
    log = structlog.get_logger().bind()
    start = time.perf_counter()
    for _ in range(10_000):
        log.debug("request", text="x")
    assert time.perf_counter() - start < 0.1
    assert logged() == ""


def test_libraries_log_here_too(logged: Lines) -> None:
    logs.configure("info", as_json=True)
    logging.getLogger("asyncio").log(37, "lost %s", "x")
    logging.getLogger("asyncio").info("chatter")
    line = json.loads(logged())
    assert (line["event"], line["level"]) == ("library", "warning")
    assert (line["logger"], line["message"]) == ("asyncio", "lost x")


def test_a_full_disk_does_not_stop_the_server() -> None:
    program = (
        "import structlog; from zchat import logs\n"
        "logs.configure('info', as_json=True)\n"
        "for _ in range(1000): structlog.get_logger().info('x' * 100)\n"
        "print('alive')"
    )
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=full,
            check=False,
            timeout=30,
        )
    assert (result.returncode, result.stdout) == (0, b"alive\n")


@pytest.mark.parametrize(
    ("at_terminal", "no_color", "coloured"),
    [
        (True, "", True),
        (True, "1", False),
        (False, "", False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch,
    at_terminal: bool,
    no_color: str,
    coloured: bool,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: at_terminal)
    monkeypatch.setenv("NO_COLOR", no_color)

    line = logs.console()(None, "info", {"event": "started", "level": "info"})

    assert ("\x1b[" in str(line)) is coloured

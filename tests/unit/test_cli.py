"""The command line: what it says, how it ends, what it loads."""

import subprocess
import sys
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner

from zchat import __version__
from zchat.cli import CONSOLE_COMMANDS, main, program
from zchat.config import Settings, arguments, load
from zchat.engine.greeting import greeting
from zchat.engine.greeting import program as called_by
from zchat.options import OPTIONS


@pytest.fixture
def started(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[Settings]:
    """Collects the settings that a program of this name was run with."""
    seen: list[Settings] = []

    def run(settings: Settings) -> int:
        seen.append(settings)
        return 7

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("zchat.logs.configure", lambda *_, **__: None)
    monkeypatch.setitem(
        main.commands, "serve", program("serve", "Start.", run)
    )
    return seen


def zchat(
    line: str, variables: dict[str, str] | None = None
) -> tuple[
    int,
    str,
    str,
]:
    result = CliRunner(env=variables).invoke(
        main, line.split(), prog_name="zchat"
    )
    return result.exit_code, result.stdout, result.stderr


def test_help_lists_every_command() -> None:
    status, text, _ = zchat("--help")
    assert status == 0
    for name in ("serve", "gateway", *CONSOLE_COMMANDS):
        assert f"\n  {name} " in text


@pytest.mark.parametrize("command", ["serve", "gateway"])
def test_help_lists_every_flag_that_applies(command: str) -> None:
    status, text, _ = zchat(f"{command} --help")
    assert status == 0
    for option in OPTIONS:
        listed = f"\n  {option.flag}" in text
        assert listed == (command in option.commands), option.flag


def test_the_version() -> None:
    assert zchat("--version") == (0, f"zchat, version {__version__}\n", "")


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("--rate-limit --port 9000", "rate_limit", 20),
        ("--rate-limit", "rate_limit", 20),
        ("--rate-limit 5", "rate_limit", 5),
        ("--rate-limit=off", "rate_limit", None),
        ("", "rate_limit", None),
        ("--message-ttl --log-json", "message_ttl", 3600),
        ("--message-ttl 60", "message_ttl", 60),
        ("--no-http", "no_http", True),
        (
            "--allow-origin http://a --allow-origin http://b",
            "allow_origin",
            ("http://a", "http://b"),
        ),
        ("--store x.db", "store", "x.db"),
    ],
)
def test_flags_become_settings(
    line: str,
    field: str,
    value: object,
    started: list[Settings],
) -> None:
    status, _, errors = zchat(f"serve {line}")
    assert (status, errors) == (7, "")
    assert msgspec.structs.asdict(started[0])[field] == value


def test_a_variable_and_a_file(started: list[Settings]) -> None:
    Path("other.toml").write_text("port = 9000\n")
    zchat("serve --config other.toml", {"ZCHAT_RATE_LIMIT": "on"})
    assert (started[0].port, started[0].rate_limit) == (9000, 20)


def test_arguments_are_a_command_line(started: list[Settings]) -> None:
    settings = load(
        "serve",
        {
            "port": "9000",
            "rate-limit": "on",
            "log-json": True,
            "allow-origin": ["http://a", "http://b"],
        },
        {},
    )
    result = CliRunner().invoke(main, ["serve", *arguments(settings, "serve")])
    assert result.exit_code == 7, result.stderr
    assert started == [settings]


@pytest.mark.parametrize(
    "line", ["serve --port x", "gateway --port x", "serve --config no.toml"]
)
def test_a_wrong_setting_is_one_line_and_status_2(line: str) -> None:
    status, text, errors = zchat(line)
    assert (status, text) == (2, "")
    assert errors.startswith("zchat: ")
    assert errors.count("\n") == 1


def test_an_unknown_flag_is_status_2() -> None:
    status, _, errors = zchat("serve --prot 1")
    assert status == 2
    assert "--port" in errors


def test_a_name_that_is_no_command() -> None:
    status, _, errors = zchat("serv")
    assert status == 2
    assert "serv" in errors


def test_a_console_command_is_loaded_when_called() -> None:
    context = click.Context(main)
    for name in CONSOLE_COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        assert command.name == name


@pytest.mark.parametrize("line", ["--help", "serve --help"])
def test_help_loads_no_server_and_no_client(line: str) -> None:
    program = (
        "import sys; from zchat.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "print(sorted({'zmq', 'asyncio', 'structlog', 'sqlite3',\n"
        "              'textual', 'cryptography'} & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *line.split()],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert result.stdout.endswith("[]\n"), result.stdout


def test_python_m_zchat() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "zchat", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert result.stdout == f"zchat, version {__version__}\n"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--ban-seconds", "-1"], "--ban-seconds must be a whole number"),
        (["--nonsense"], "No such option '--nonsense'"),
        (["--port"], "requires an argument"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(
    flags: list[str], told: str
) -> None:
    result = CliRunner().invoke(main, ["serve", *flags])

    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("zchat: ")
    assert told in line


class TestGreeting:
    """What a person sees when the server has started."""

    def shown(self, **flags: object) -> list[str]:
        return greeting(load("serve", flags, {})).splitlines()

    def test_by_default(self) -> None:
        lines = self.shown()

        assert lines[0] == (
            "Open http://127.0.0.1:8000/ in a browser. "
            "Ctrl-C here stops zchat."
        )
        assert lines[2] == "  RPC     tcp://127.0.0.1:8001"
        assert lines[-2].endswith(" chat")
        assert lines[-1] == "  curl -X POST http://127.0.0.1:8000/connect"

    def test_the_console_is_told_of_another_place(self) -> None:
        lines = self.shown(
            rpc="tcp://*:9001", registration="open", insecure=True
        )

        assert lines[-2].endswith(" chat --server tcp://127.0.0.1:9001")

    def test_without_http_there_is_no_page(self) -> None:
        lines = self.shown(**{"no-http": True})

        assert lines[0] == "zchat is running; Ctrl-C stops it."
        assert "http" not in "".join(lines)

    def test_a_command_that_works_from_here(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On the path, beside Python, or a module of it."""
        monkeypatch.chdir(tmp_path)
        python = tmp_path / "bin" / "python"
        python.parent.mkdir()
        monkeypatch.setattr(sys, "executable", str(python))
        beside = python.with_name("zchat")

        monkeypatch.setenv("PATH", "")
        assert called_by() == "bin/python -m zchat"
        beside.touch(0o755)
        assert called_by() == "bin/zchat"
        monkeypatch.setenv("PATH", str(python.parent))
        assert called_by() == "zchat"


def test_insecure_is_warned_of() -> None:
    flags = {"host": "0.0.0.0", "insecure": True, "registration": "open"}

    assert greeting(load("serve", {**flags}, {})).startswith(
        "Warning: --insecure lets"
    )
    assert "Warning" not in greeting(load("serve", {}, {}))

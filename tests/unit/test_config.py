"""Settings: where they come from, which wins, what is refused and how."""

import re
from pathlib import Path

import msgspec
import pytest

import zchat
from zchat.config import OTHER_VARIABLES, Settings, arguments, load
from zchat.errors import ConfigError
from zchat.model import Rules
from zchat.options import OPTION_BY_NAME, OPTIONS, Option


@pytest.fixture(autouse=True)
def in_empty_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)


def serve(**flags: object) -> Settings:
    return load(
        "serve",
        {name.replace("_", "-"): value for name, value in flags.items()},
        {},
    )


def refusal(
    flags: dict[str, object] | None = None,
    environment: dict[str, str] | None = None,
    command: str = "serve",
    config_file: str | None = None,
) -> str:
    with pytest.raises(ConfigError) as caught:
        load(command, flags or {}, environment or {}, config_file)
    line = str(caught.value)
    assert "\n" not in line
    return line


class TestTable:
    """The table and the settings say the same."""

    def test_a_field_for_each_option_and_no_other(self) -> None:
        assert [option.field for option in OPTIONS] == [
            *Settings.__struct_fields__
        ]

    def test_every_flag_of_the_mission(self) -> None:
        assert (
            set(
                "host port rpc events no-http store history-depth rate-limit "
                "rate-period message-ttl max-warnings ban-seconds "
                "max-file-bytes max-text durability log-level log-json".split()
            )
            <= OPTION_BY_NAME.keys()
        )

    @pytest.mark.parametrize(
        "option",
        [option for option in OPTIONS if not option.shown_default],
        ids=lambda option: option.name,
    )
    def test_a_default_is_a_value_that_may_be_given(
        self,
        option: Option,
    ) -> None:
        raw = "off" if option.default is None else option.default
        assert option.kind.parse(raw) == option.default

    def test_variables_spelled_in_the_code_are_known(self) -> None:
        known = OTHER_VARIABLES | {option.variable for option in OPTIONS}
        for path in Path(zchat.__file__).parent.rglob("*.py"):
            spelled = set(
                re.findall(
                    r"\bZCHAT_[A-Z][A-Z_]*\b", path.read_text(encoding="utf-8")
                )
            )
            assert spelled <= known, (
                f"{path}: name it in OTHER_VARIABLES, or `zchat serve` "
                "refuses to start beside it"
            )


class TestDefaults:
    """What holds when nothing is given."""

    def test_settings(self) -> None:
        assert serve() == Settings(
            host="127.0.0.1",
            port=8000,
            rpc="tcp://127.0.0.1:8001",
            events="tcp://127.0.0.1:8002",
            no_http=False,
            insecure=False,
            curve_keys=None,
            curve_any=False,
            server_key=None,
            client_key=None,
            allow_origin=(),
            allow_host=(),
            tls_cert=None,
            tls_key=None,
            http_memory=268435456,
            rpc_memory=268435456,
            store="zchat.db",
            operator_socket="zchat.db.sock",
            durability="full",
            registration="open",
            history_depth=20,
            rate_limit=None,
            rate_period=3600,
            message_ttl=None,
            max_warnings=3,
            ban_seconds=14400,
            max_file_bytes=5242880,
            max_text=4096,
            new_users=600,
            max_users=100000,
            unattached_bytes=67108864,
            user_file_bytes=1073741824,
            all_file_bytes=10737418240,
            reporter_age=0,
            reporter_messages=0,
            edit_seconds=86400,
            log_level="info",
            log_json=False,
        )

    def test_rules(self) -> None:
        assert serve().rules() == Rules()

    def test_rules_follow_settings(self) -> None:
        settings = serve(
            history_depth="1",
            rate_limit="2",
            rate_period="3",
            message_ttl="4",
            max_warnings="5",
            ban_seconds="6",
            max_file_bytes="7",
            max_text="8",
            edit_seconds="9",
            new_users="10",
            max_users="11",
            unattached_bytes="12",
            user_file_bytes="13",
            all_file_bytes="14",
            reporter_age="15",
            reporter_messages="16",
            registration="closed",
        )
        assert msgspec.structs.astuple(settings.rules()) == (
            1,
            2,
            3,
            4,
            5,
            6,
            7,
            8,
            10,
            11,
            12,
            13,
            14,
            15,
            16,
            9,
            "closed",
        )


class TestSources:
    """Flags beat variables, which beat the file."""

    def test_each_source_gives(self) -> None:
        Path("zchat.toml").write_text("port = 9000\nmax-warnings = 7\n")
        environment = {"ZCHAT_PORT": "9100", "ZCHAT_BAN_SECONDS": "60"}
        settings = load("serve", {"port": "9200"}, environment)
        assert (settings.port, settings.ban_seconds) == (9200, 60)
        assert settings.max_warnings == 7
        assert load("serve", {}, environment).port == 9100
        assert load("serve", {}, {}).port == 9000

    def test_flags_not_given_are_left_to_others(self) -> None:
        settings = load(
            "serve",
            {"port": None, "allow-origin": ()},
            {"ZCHAT_PORT": "9100", "ZCHAT_ALLOW_ORIGIN": "http://a"},
        )
        assert settings.port == 9100
        assert settings.allow_origin == ("http://a",)

    def test_other_files(self) -> None:
        Path("zchat.toml").write_text("port = 9000\n")
        Path("one.toml").write_text("port = 9001\n")
        Path("two.toml").write_text("port = 9002\n")
        environment = {"ZCHAT_CONFIG": "one.toml"}
        assert load("serve", {}, environment).port == 9001
        assert load("serve", {}, environment, "two.toml").port == 9002
        assert load("serve", {}, {"ZCHAT_CONFIG": ""}).port == 9000

    def test_an_empty_variable_is_not_given(self) -> None:
        assert load("serve", {}, {"ZCHAT_RATE_LIMIT": ""}).rate_limit is None

    def test_other_peoples_variables_are_theirs(self) -> None:
        assert load("serve", {}, {"PATH": "x", "XZCHAT_PORT": "1"}) == serve()

    @pytest.mark.parametrize(
        ("text", "field", "value"),
        [
            ("rate-limit = 5", "rate_limit", 5),
            ("rate-limit = 'on'", "rate_limit", 20),
            ("rate-limit = true", "rate_limit", 20),
            ("rate-limit = false", "rate_limit", None),
            ("message-ttl = 'off'", "message_ttl", None),
            ("no-http = true", "no_http", True),
            ("log-json = 'yes'", "log_json", True),
            ("store = '~/x.db'", "store", "HOME/x.db"),
            (
                "allow-origin = ['http://a', 'https://B:443']",
                "allow_origin",
                ("http://a", "https://b"),
            ),
        ],
    )
    def test_what_the_file_may_say(
        self,
        text: str,
        field: str,
        value: object,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("HOME", "HOME")
        Path("zchat.toml").write_text(text)
        assert msgspec.structs.asdict(serve())[field] == value

    @pytest.mark.parametrize(
        ("variable", "value", "field", "result"),
        [
            ("ZCHAT_RATE_LIMIT", "on", "rate_limit", 20),
            ("ZCHAT_MESSAGE_TTL", "on", "message_ttl", 3600),
            ("ZCHAT_MESSAGE_TTL", "off", "message_ttl", None),
            ("ZCHAT_NO_HTTP", "1", "no_http", True),
            ("ZCHAT_NO_HTTP", "False", "no_http", False),
            (
                "ZCHAT_ALLOW_ORIGIN",
                "http://a:1, http://[::1]:2",
                "allow_origin",
                ("http://a:1", "http://[::1]:2"),
            ),
            (
                "ZCHAT_ALLOW_HOST",
                "Chat.example.org, laptop",
                "allow_host",
                ("chat.example.org", "laptop"),
            ),
            ("ZCHAT_STORE", "postgres://h/d", "store", "postgresql://h/d"),
        ],
    )
    def test_what_a_variable_may_say(
        self,
        variable: str,
        value: str,
        field: str,
        result: object,
    ) -> None:
        settings = load("serve", {}, {variable: value})
        assert msgspec.structs.asdict(settings)[field] == result


class TestRefusals:
    """One line, which names the place of the mistake."""

    @pytest.mark.parametrize(
        ("name", "raw"),
        [
            ("port", "0"),
            ("port", "65534"),
            ("port", "-1"),
            ("port", "8e3"),
            ("port", "٨٠٠٠"),
            ("port", "1" * 40),
            ("port", ""),
            ("host", "example.org"),
            ("host", ""),
            ("host", "127.1"),
            ("rpc", "tcp://127.0.0.1"),
            ("rpc", "tcp://127.0.0.1:0"),
            ("rpc", "tcp://127.0.0.1:65536"),
            ("rpc", "tcp://127.0.0.1:*"),
            ("rpc", "inproc://x"),
            ("rpc", "ipc://"),
            ("rpc", "8001"),
            ("events", "ipc://" + "x" * 108),
            ("events", "tcp://a/b:1"),
            ("store", ""),
            ("store", ":memory:"),
            ("store", "mysql://h/d"),
            ("store", "a\0b"),
            ("history-depth", "0"),
            ("history-depth", "201"),
            ("rate-limit", "0"),
            ("rate-limit", "many"),
            ("rate-limit", "ON"),
            ("rate-period", "0"),
            ("message-ttl", "0"),
            ("max-warnings", "0"),
            ("ban-seconds", "off"),
            ("max-file-bytes", "5M"),
            ("max-text", "65537"),
            ("durability", "none"),
            ("log-level", "INFO"),
            ("allow-origin", ("*",)),
            ("allow-origin", ("http://a/",)),
            ("allow-origin", ("http://u@a",)),
            ("allow-origin", ("http://a b",)),
            ("allow-origin", ("a.org",)),
            ("allow-host", ("*",)),
            ("allow-host", ("https://a.org",)),
            ("allow-host", ("a.org:80",)),
            ("allow-host", ("",)),
            ("http-memory", "16777215"),
        ],
    )
    def test_a_wrong_flag(self, name: str, raw: object) -> None:
        assert refusal({name: raw}).startswith(f"--{name} must ")

    def test_a_wrong_variable(self) -> None:
        assert refusal(environment={"ZCHAT_PORT": "x"}) == (
            "ZCHAT_PORT must be a whole number from 1 to 65533, not 'x'"
        )

    @pytest.mark.parametrize(
        "text",
        [
            "port = true",
            "port = 1.5",
            "port = [1]",
            "host = 1",
            "rpc = 1",
            "store = 1",
            "no-http = 1",
            "log-level = 1",
            "allow-origin = 1",
            "allow-origin = [1]",
            "rate-limit = 1.0",
            "port = {}",
        ],
    )
    def test_a_wrong_type_in_the_file(self, text: str) -> None:
        Path("zchat.toml").write_text(text)
        name = text.partition(" ")[0]
        assert refusal().startswith(f"zchat.toml: {name} must be ")

    def test_unknown_names_and_what_was_meant(self) -> None:
        assert refusal(environment={"ZCHAT_PROT": "1"}) == (
            "the environment: ZCHAT_PROT is not a setting; "
            "did you mean ZCHAT_PORT?"
        )
        Path("zchat.toml").write_text("history_depth = 5")
        assert refusal() == (
            "zchat.toml: 'history_depth' is not a setting; "
            "did you mean history-depth?"
        )
        Path("zchat.toml").write_text("[xyzzy]\nport = 1")
        assert "`zchat serve --help` lists them" in refusal()

    def test_files_that_cannot_be_read(self) -> None:
        assert refusal(config_file="no.toml") == "no.toml: no such file"
        assert refusal(config_file="") == "'': Is a directory"
        assert refusal(environment={"ZCHAT_CONFIG": "a\nb"}) == (
            "'a\\nb': no such file"
        )
        Path("zchat.toml").write_text("port =")
        assert refusal().startswith("zchat.toml: Invalid value")
        Path("zchat.toml").write_bytes(b"\xff")
        assert refusal().startswith("zchat.toml: 'utf-8' codec")

    def test_a_password_is_not_repeated(self) -> None:
        line = refusal({"store": "mysql://ann:hunter2@h/d"})
        assert "hunter2" not in line


class TestEndpoints:
    """Where the sockets are, and who may reach them."""

    def test_they_follow_host_and_port(self) -> None:
        settings = serve(host="::1", port="9000")
        assert settings.rpc == "tcp://[::1]:9001"
        assert settings.events == "tcp://[::1]:9002"

    def test_given_ones_stand(self) -> None:
        settings = serve(rpc="ipc:///tmp/a", events="tcp://localhost:7")
        assert settings.rpc == "ipc:///tmp/a"
        assert settings.events == "tcp://127.0.0.1:7"

    def test_two_sockets_on_one_endpoint(self) -> None:
        assert refusal({"rpc": "tcp://127.0.0.1:8000"}) == (
            "--host and --rpc put two sockets on tcp://127.0.0.1:8000; "
            "give them different ports"
        )
        assert refusal({"rpc": "ipc://x", "events": "ipc://x"}).startswith(
            "--rpc and --events"
        )
        assert serve(rpc="tcp://127.0.0.1:8000", no_http=True).no_http

    @pytest.mark.parametrize(
        "flags",
        [
            {"host": "0.0.0.0"},
            {"host": "::"},
            {"host": "192.0.2.1"},
            {"rpc": "tcp://*:8001"},
            {"events": "tcp://eth0:8002"},
            {"rpc": "tcp://[::]:8001"},
            {"no-http": True, "host": "0.0.0.0"},
        ],
    )
    def test_a_bind_that_others_reach(self, flags: dict[str, object]) -> None:
        line = refusal(flags)
        assert line.startswith(tuple(f"--{name}" for name in flags))
        assert "--registration" in line
        flags = {**flags, "registration": "invite"}
        line = refusal(flags)
        assert "--insecure" in line
        assert load("serve", {**flags, "insecure": True}, {}).insecure

    def test_encryption_lets_others_connect(self) -> None:
        flags: dict[str, object] = {
            "rpc": "tcp://*:8001",
            "events": "tcp://*:8002",
            "curve-keys": "keys",
        }
        assert "--registration" in refusal(flags)
        flags["registration"] = "closed"
        settings = load("serve", flags, {})
        assert (settings.curve_keys, settings.insecure) == ("keys", False)
        assert settings.rules().registration == "closed"
        flags["host"] = "0.0.0.0"
        assert "--tls-cert" in refusal(flags)

    @pytest.mark.parametrize(
        ("alone", "other"),
        [
            ({"curve-any": True}, "--curve-keys"),
            ({"client-key": "x"}, "--server-key"),
        ],
    )
    def test_keys_that_mean_nothing_alone(
        self, alone: dict[str, object], other: str
    ) -> None:
        assert other in refusal(alone)

    def test_its_origin_is_told(self) -> None:
        assert refusal(environment={"ZCHAT_HOST": "0.0.0.0"}).startswith(
            "ZCHAT_HOST lets other machines connect (tcp://0.0.0.0:8000)"
        )

    def test_without_http_the_address_of_http_is_free(self) -> None:
        settings = serve(
            no_http=True, host="0.0.0.0", rpc="ipc://a", events="ipc://b"
        )
        assert not settings.insecure


class TestGateway:
    """`zchat gateway` connects where a broker binds."""

    @pytest.mark.parametrize(
        ("rpc", "events"),
        [
            ("tcp://127.0.0.1:8001", "tcp://127.0.0.1:8002"),
            ("tcp://broker.example:9001", "tcp://broker.example:9002"),
            ("tcp://[::1]:9001", "tcp://[::1]:9002"),
        ],
    )
    def test_events_beside_rpc(self, rpc: str, events: str) -> None:
        settings = load("gateway", {"rpc": rpc}, {})
        assert (settings.rpc, settings.events) == (rpc, events)

    def test_a_wildcard_is_this_machine(self) -> None:
        settings = load("gateway", {"host": "0.0.0.0", "insecure": True}, {})
        assert settings.rpc == "tcp://127.0.0.1:8001"
        assert settings.events == "tcp://127.0.0.1:8002"
        settings = load("gateway", {"rpc": "tcp://[::]:1"}, {})
        assert settings.rpc == "tcp://[::1]:1"

    def test_gateway_of_several_brokers(self) -> None:
        settings = load(
            "gateway", {"rpc": "tcp://*:1, tcp://10.0.0.2:8001,ipc://a,b"}, {}
        )
        assert settings.rpc == (
            "tcp://127.0.0.1:1,tcp://10.0.0.2:8001,ipc://a,b"
        )
        assert refusal({"rpc": "tcp://127.0.0.1:1,ipc://a"}).startswith(
            "--rpc is where a broker listens"
        )

    @pytest.mark.parametrize("rpc", ["ipc://a", "tcp://127.0.0.1:65535"])
    def test_events_that_cannot_be_known(self, rpc: str) -> None:
        line = refusal({"rpc": rpc}, command="gateway")
        assert line.startswith("--events must be given too")

    def test_http_for_others_needs_a_word(self) -> None:
        line = refusal({"host": "0.0.0.0"}, command="gateway")
        assert "--insecure" in line


class TestArguments:
    """A child gets exactly its parent's settings, by flags."""

    def parsed(self, line: list[str]) -> dict[str, object]:
        flags: dict[str, object] = {}
        words = iter(line[2:])
        for word in words:
            option = OPTION_BY_NAME[word.removeprefix("--")]
            value = True if option.bare is True else next(words)
            if option.repeats:
                earlier = flags.get(option.name, [])
                assert isinstance(earlier, list)
                flags[option.name] = [*earlier, value]
            else:
                flags[option.name] = value
        return flags

    @pytest.mark.parametrize(
        "flags",
        [
            {},
            {
                "port": "9000",
                "log-json": True,
                "rate-limit": "on",
                "allow-origin": ["http://a", "http://b"],
                "store": "-x",
            },
            {
                "host": "0.0.0.0",
                "insecure": True,
                "registration": "open",
                "message-ttl": "7",
            },
        ],
    )
    def test_serve_again(self, flags: dict[str, object]) -> None:
        settings = load("serve", flags, {})
        Path("zchat.toml").write_text("not even TOML")
        line = arguments(settings, "serve")
        assert line[0] == "--config"
        again = load("serve", self.parsed(line), {}, line[1])
        assert again == settings

    def test_a_gateway_beside_the_broker(self) -> None:
        settings = serve(
            host="0.0.0.0",
            port="9000",
            insecure=True,
            registration="open",
            rpc="ipc://a",
            events="ipc://b",
            max_text="9",
            log_level="debug",
        )
        line = arguments(settings, "gateway")
        gateway = load("gateway", self.parsed(line), {}, line[1])
        assert (gateway.host, gateway.port) == ("0.0.0.0", 9000)
        assert (gateway.rpc, gateway.events) == ("ipc://a", "ipc://b")
        assert gateway.log_level == "debug"
        assert "--max-text" not in line


@pytest.mark.parametrize(
    ("store", "shown"),
    [
        ("zchat.db", "zchat.db"),
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgresql://ann@h/d", "postgresql://ann@h/d"),
        ("postgresql://ann:p@ss@h1,h2/d", "postgresql://ann:***@h1,h2/d"),
        (
            "postgresql://h/d?password=p&x=1",
            "postgresql://h/d?password=***&x=1",
        ),
    ],
)
def test_a_password_is_not_shown(store: str, shown: str) -> None:
    assert serve(store=store).shown_store() == shown

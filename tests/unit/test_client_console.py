"""The parts of the console: harmless text, times, kept tokens, slashes."""

import asyncio
import json
import re
import stat
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.client import Cursors, FileInfo, Message, NoAnswer, Person
from zchat.client.console import conversation, identity, paths, slash, text
from zchat.client.console.when import moment
from zchat.errors import Code, ConfigError, Refused

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=1)))
ME, OTHER = "me", "other"
SERVERS = ("tcp://a:8001", "tcp://b:8001")


def message(
    words: str,
    *,
    author: str = "Ann",
    comments: int = 0,
    comment_on: str | None = None,
    files: tuple[FileInfo, ...] = (),
) -> Message:
    return Message(
        id="id",
        seq=7,
        created=datetime(2026, 3, 1, 10, 30, tzinfo=UTC),
        author=Person(id=ME if author == "me" else OTHER, name=author),
        text=words,
        is_comment_on=comment_on,
        comments=comments,
        files=files,
    )


class TestText:
    @given(st.text())
    def test_no_text_controls_the_terminal(self, words: str) -> None:
        for shown in text.harmless(words):
            assert (
                shown in text._JOINERS
                or unicodedata.category(shown) not in text._CONTROLS
            )

    @given(st.text())
    def test_no_text_looks_like_two_messages(self, words: str) -> None:
        line = text.message_line(message(words), ME, NOW)
        first, *others = line.split("\n")
        assert first.startswith("11:30 #7 Ann:")
        assert all(other.startswith("      | ") for other in others)
        assert not set(line) & set("\r\x1b\x9b\u2028\u202e\v\f\x85")

    def test_a_plain_text_stays_as_it_is(self) -> None:
        family = "👩\u200d👧 Grüße, שלום, 你好"
        assert text.harmless(family) == family

    def test_controls_are_seen(self) -> None:
        assert text.harmless("\x1b[2J\x07\x7f\u202e") == "␛[2J␇␡\ufffd"

    def test_a_message_with_all_that_it_may_have(self) -> None:
        file = FileInfo(
            file_id="f", name="a\x1b.txt", size=2048, type="t", sha256="s"
        )
        assert text.message_line(
            message(
                "hi", author="me", comments=2, comment_on="x", files=(file,)
            ),
            ME,
            NOW,
        ) == ("11:30 #7 you: (comment) hi [file a␛.txt, 2.0 KiB] (2 comments)")

    def test_another_day_is_told(self) -> None:
        assert (
            text.clock_time(datetime(2026, 2, 28, 10, 30, tzinfo=UTC), NOW)
            == "2026-02-28 11:30"
        )

    @pytest.mark.parametrize(
        ("size", "shown"),
        [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (5 << 20, "5.0 MiB"),
        ],
    )
    def test_sizes(self, size: int, shown: str) -> None:
        assert text.size_text(size) == shown

    @given(st.text())
    def test_json_is_one_line_of_printable_ascii(self, words: str) -> None:
        line = text.json_line(message(words))
        assert re.fullmatch("[ -~]*", line)
        assert json.loads(line)["text"] == words


class TestWhen:
    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("+30s", NOW + timedelta(seconds=30)),
            ("+10m", NOW + timedelta(minutes=10)),
            ("+2h", NOW + timedelta(hours=2)),
            ("+1d", NOW + timedelta(days=1)),
            ("18:30", NOW.replace(hour=18, minute=30)),
            ("9:05", NOW.replace(hour=9, minute=5) + timedelta(days=1)),
            ("12:00", NOW + timedelta(days=1)),
            (
                "2026-12-24T18:00:00+00:00",
                datetime(2026, 12, 24, 18, tzinfo=UTC),
            ),
            (
                "2026-12-24T18:00",
                datetime(2026, 12, 24, 18, tzinfo=NOW.tzinfo),
            ),
        ],
    )
    def test_times(self, typed: str, meant: datetime) -> None:
        assert moment(typed, NOW) == meant
        assert moment(typed, NOW).tzinfo is not None

    @pytest.mark.parametrize(
        "typed", ["", "soon", "+10", "10m", "25:00", "12:60", "+9999999s"]
    )
    def test_what_is_no_time(self, typed: str) -> None:
        with pytest.raises(ConfigError, match="is no time"):
            moment(typed, NOW)


class TestIdentity:
    def test_what_is_kept_is_found_for_each_server(
        self, tmp_path: Path
    ) -> None:
        profile = identity.Profile(tmp_path, "default")
        assert profile.identity(SERVERS) is None
        profile.keep_identity(SERVERS, "token", "id")
        for server in SERVERS:
            found = profile.identity([server])
            assert found == identity.Identity(server, "token", "id")
        assert profile.identity(["tcp://c:8001"]) is None

    def test_only_the_owner_may_read_it(self, tmp_path: Path) -> None:
        profile = identity.Profile(tmp_path / "zchat", "default")
        profile.keep_identity(SERVERS, "token", "id")
        profile.keep_cursors("id", None, Cursors.of("e", {"chat": 1}))
        folder = tmp_path / "zchat" / "default"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        files = list(folder.iterdir())
        assert len(files) == 3
        for path in files:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_the_first_of_two_programs_settles_it(
        self, tmp_path: Path
    ) -> None:
        profile = identity.Profile(tmp_path, "default")
        profile.keep_identity(SERVERS, "first", "id")
        with pytest.raises(identity.Taken):
            profile.keep_identity(SERVERS, "second", "id")
        found = profile.identity(SERVERS)
        assert found is not None
        assert found.token == "first"
        assert len(list((tmp_path / "default").iterdir())) == 2

    def test_profiles_are_apart(self, tmp_path: Path) -> None:
        identity.Profile(tmp_path, "one").keep_identity(SERVERS, "token", "id")
        assert identity.Profile(tmp_path, "two").identity(SERVERS) is None

    @pytest.mark.parametrize("name", ["", "..", "a/b", "a\n", "x" * 65])
    def test_what_is_no_profile(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ConfigError, match="is no profile"):
            identity.Profile(tmp_path, name)

    def test_cursors_of_all_chats_and_of_one(self, tmp_path: Path) -> None:
        profile = identity.Profile(tmp_path, "default")
        assert profile.cursors("id", None) is None
        profile.keep_cursors("id", None, Cursors.of("e", {"chat": 1}))
        profile.keep_cursors("id", None, Cursors.of("e", {"chat": 2}))
        profile.keep_cursors("id", "chat", Cursors.of("e", {"chat": 9}))
        assert profile.cursors("id", None) == Cursors.of("e", {"chat": 2})
        assert profile.cursors("id", "chat") == Cursors.of("e", {"chat": 9})

    def test_a_broken_file_is_told(self, tmp_path: Path) -> None:
        profile = identity.Profile(tmp_path, "default")
        profile.keep_cursors("id", None, Cursors())
        [path] = (tmp_path / "default").iterdir()
        path.write_text("{")
        with pytest.raises(ConfigError, match="cannot read"):
            profile.cursors("id", None)

    def test_a_folder_that_cannot_be_written_is_told(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        profile = identity.Profile(tmp_path / "file", "default")
        with pytest.raises(ConfigError, match="cannot"):
            profile.keep_cursors("id", None, Cursors())

    @pytest.mark.parametrize(
        ("environment", "folder"),
        [
            ({"XDG_CONFIG_HOME": "/x"}, Path("/x/zchat")),
            ({"XDG_CONFIG_HOME": ""}, Path.home() / ".config/zchat"),
            ({}, Path.home() / ".config/zchat"),
        ],
    )
    def test_where_it_is_kept(
        self, environment: Mapping[str, str], folder: Path
    ) -> None:
        assert identity.default_folder(environment) == folder


class TestSlash:
    @pytest.mark.parametrize(
        ("name", "rest", "words"),
        [
            ("chats", "", []),
            ("open", " 2 ", ["2"]),
            ("history", "", []),
            ("comment", "7 well  said", ["7", "well  said"]),
            ("name", "Ann Other", ["Ann Other"]),
            ("upload", "a.txt", ["a.txt"]),
            ("upload", "a.txt look at this", ["a.txt", "look at this"]),
        ],
    )
    def test_arguments(self, name: str, rest: str, words: list[str]) -> None:
        assert slash.SLASH_BY_NAME[name].words(rest) == words

    @pytest.mark.parametrize(
        ("name", "rest"),
        [
            ("chats", "now"),
            ("open", ""),
            ("open", "a b"),
            ("comment", "7"),
            ("name", ""),
            ("download", "1 2 3"),
        ],
    )
    def test_wrong_arguments_get_the_usage(self, name: str, rest: str) -> None:
        with pytest.raises(ConfigError, match=f"Type /{name}"):
            slash.SLASH_BY_NAME[name].words(rest)

    def test_each_is_named_once_and_explained(self) -> None:
        names = [each.name for each in slash.SLASHES]
        names += [each.also for each in slash.SLASHES if each.also]
        assert sorted(slash.SLASH_BY_NAME) == sorted(names)
        assert all(each.summary.endswith(".") for each in slash.SLASHES)

    def test_an_unknown_one_is_told(self) -> None:
        with pytest.raises(ConfigError, match="/help"):
            asyncio.run(slash.dispatch(None, "nonsense"))  # type: ignore

    @pytest.mark.parametrize(
        ("name", "saved"),
        [
            ("a.txt", "a.txt"),
            ("../../etc/passwd", "_.._etc_passwd"),
            (".bashrc", "bashrc"),
            ("..", "file"),
            ("", "file"),
            ("a\\b", "a_b"),
            ("\x1b[2J", "␛[2J"),
            ("x" * 300, "x" * 180),
        ],
    )
    def test_a_file_lands_in_the_folder(
        self, tmp_path: Path, name: str, saved: str
    ) -> None:
        assert paths.free_path(tmp_path, name) == tmp_path / saved

    def test_no_file_is_written_over(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").touch()
        path = paths.free_path(tmp_path, "a.txt")
        assert path == tmp_path / "a (2).txt"
        path.touch()
        assert paths.free_path(tmp_path, "a.txt").name == "a (3).txt"


class TestTalk:
    @pytest.mark.parametrize(
        ("error", "shown"),
        [
            (Refused(Code.FORBIDDEN, "owner\x1bonly"), "owner␛only"),
            (
                Refused(Code.BANNED, "x", until="2026-03-01T11:30:00+00:00"),
                "You are banned until 12:30.",
            ),
            (NoAnswer("nobody there", sent=False), "No answer: nobody there"),
        ],
    )
    def test_failures(self, error: Refused | NoAnswer, shown: str) -> None:
        assert conversation.failure(error, NOW) == shown

    @pytest.mark.parametrize(
        ("written", "is_id"),
        [
            ("01a209c3-663f-7000-ac48-f2ccaa8ee39c", True),
            ("01A209C3-663F-7000-AC48-F2CCAA8EE39C", True),
            ("01a209c3663f7000ac48f2ccaa8ee39c", False),
            ("ann", False),
        ],
    )
    def test_ids(self, written: str, is_id: bool) -> None:
        assert conversation.is_id(written) is is_id

"""Certificates: what is written is read, and nothing else is."""

import os
import stat
from pathlib import Path

import pytest
from zmq.auth import create_certificates, load_certificate

from zchat.certificates import read_certificate, read_pair
from zchat.client.curve import load_keys
from zchat.engine import keyring
from zchat.engine.keyring import Keyring
from zchat.errors import ConfigError
from zchat.operator.keygen import make_keys

KEY = "a" * 40


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keygen_writes_what_pyzmq_reads(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "keys"
    written = make_keys(folder, ("laptop", "phone.2"))
    assert {path.relative_to(folder).as_posix() for path in written} == {
        "server.key",
        "server.key_secret",
        "clients/laptop.key",
        "clients/laptop.key_secret",
        "clients/phone.2.key",
        "clients/phone.2.key_secret",
    }
    for path in written:
        assert mode(path) == (0o600 if "secret" in path.name else 0o644)
        assert load_certificate(path) == tuple(read_certificate(path))
    assert mode(folder / "clients") == 0o700
    public, secret = read_pair(folder / "server.key_secret")
    assert read_certificate(folder / "server.key") == (public, None)
    assert secret not in (folder / "server.key").read_bytes()


def test_what_pyzmq_writes_is_read(tmp_path: Path) -> None:
    public, secret = create_certificates(tmp_path, "any", {"place": "here"})
    assert read_certificate(Path(public)) == load_certificate(public)
    assert read_pair(Path(secret)) == load_certificate(secret)


def test_keygen_writes_over_nothing(tmp_path: Path) -> None:
    make_keys(tmp_path, ("ann",))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.key*")}
    with pytest.raises(ConfigError, match="exists already"):
        make_keys(tmp_path, ("ben", "ann"))
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.key*")} == before
    assert len(make_keys(tmp_path, ("ben",))) == 2
    assert all(path.read_bytes() == old for path, old in before.items())


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "ü", "a b"])
def test_a_name_that_is_no_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a key"):
        make_keys(tmp_path / "keys", (name,))
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "curve\n",
        f'public-key = "{KEY}"\n',
        f'metadata\n    public-key = "{KEY}"\n',
        f'curve\n    public-key = "{KEY[1:]}"\n',
        f'curve\n    public-key = "{KEY[1:]}|"\n',
        f'curve\n    public-key = "{KEY}"\n    secret-key = "short"\n',
        "\0\0",
    ],
)
def test_a_file_that_is_no_certificate(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.key"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"a\.key"):
        read_certificate(path)


def test_what_cannot_be_read_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.key")
    (tmp_path / "bytes.key").write_bytes(b"\xff\xfe")
    for name in ("pipe.key", "bytes.key", "missing.key", "."):
        with pytest.raises(ConfigError):
            read_certificate(tmp_path / name)


def test_a_client_needs_the_servers_key(tmp_path: Path) -> None:
    make_keys(tmp_path, ("ann",))
    server = tmp_path / "server.key"
    secret = tmp_path / "clients" / "ann.key_secret"
    assert load_keys(None, None) is None
    keys = load_keys(server, secret)
    assert keys is not None
    assert keys.server == read_certificate(server).public
    assert (keys.public, keys.secret) == read_pair(secret)
    one, other = load_keys(server, None), load_keys(server, None)
    assert one is not None
    assert other is not None
    assert one.public != other.public
    with pytest.raises(ConfigError, match="--server-key"):
        load_keys(None, secret)
    with pytest.raises(ConfigError, match="public key only"):
        load_keys(server, secret.with_suffix(".key"))


class TestKeyring:
    """Which keys a server lets in, while its folder changes."""

    def at(self, folder: Path, **options: bool) -> tuple[Keyring, list[float]]:
        now = [0.0]
        return Keyring(folder, clock=lambda: now[0], **options), now

    def key(self, folder: Path, name: str) -> bytes:
        return read_certificate(folder / "clients" / f"{name}.key").public

    def test_those_in_the_folder(self, tmp_path: Path) -> None:
        make_keys(tmp_path, ("ann",))
        ring, now = self.at(tmp_path)
        assert ring.allows(self.key(tmp_path, "ann"))
        assert not ring.allows(KEY.encode())
        assert not ring.allows(ring.public)
        make_keys(tmp_path, ("ben",))
        now[0] += 2
        assert ring.allows(self.key(tmp_path, "ben"))
        gone = self.key(tmp_path, "ann")
        (tmp_path / "clients" / "ann.key").unlink()
        now[0] += 2
        assert not ring.allows(gone)
        assert ring.allows(self.key(tmp_path, "ben"))

    def test_a_damaged_file_harms_no_other(self, tmp_path: Path) -> None:
        make_keys(tmp_path, ("ann", "ben"))
        ann, ben = (self.key(tmp_path, name) for name in ("ann", "ben"))
        ring, now = self.at(tmp_path)
        (tmp_path / "clients" / "ann.key").write_text("curve")
        (tmp_path / "clients" / "dir.key").mkdir()
        now[0] += 2
        assert not ring.allows(ann)
        assert ring.allows(ben)

    def test_a_folder_that_is_gone_lets_nobody_in(
        self, tmp_path: Path
    ) -> None:
        make_keys(tmp_path, ("ann",))
        ann = self.key(tmp_path, "ann")
        ring, now = self.at(tmp_path)
        own = ring.issue()
        assert ring.allows(ann)
        (tmp_path / "clients").rename(tmp_path / "away")
        now[0] += 2
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                ring.allows(ann)
        assert ring.allows(own.public)
        (tmp_path / "away").rename(tmp_path / "clients")
        assert ring.allows(ann)

    def test_a_folder_that_is_too_full_lets_nobody_in(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is read while connections wait."""
        monkeypatch.setattr(keyring, "LARGEST_FOLDER", 2)
        make_keys(tmp_path, ("ann", "ben"))
        ring, now = self.at(tmp_path)
        assert ring.allows(self.key(tmp_path, "ann"))
        make_keys(tmp_path, ("eve",))
        now[0] += 2

        with pytest.raises(ConfigError, match="more than 2 keys"):
            ring.allows(self.key(tmp_path, "ann"))

    def test_any_key(self, tmp_path: Path) -> None:
        make_keys(tmp_path, ())
        ring, _ = self.at(tmp_path, any_key=True)
        assert ring.allows(KEY.encode())

    def test_the_servers_key_is_its_own(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="No such file"):
            self.at(tmp_path)
        make_keys(tmp_path, ())
        secret = tmp_path / "server.key_secret"
        secret.chmod(0o640)
        with pytest.raises(ConfigError, match="chmod 600"):
            self.at(tmp_path)
        secret.chmod(0o600)
        (tmp_path / "clients").rmdir()
        with pytest.raises(FileNotFoundError):
            self.at(tmp_path)
        assert self.at(tmp_path, any_key=True)

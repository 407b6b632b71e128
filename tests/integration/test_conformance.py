"""`zchat conformance`: our own client passes, a careless one does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import PROJECT, environment
from zchat.conformance.cases import CASES

OWN = PROJECT / "examples" / "conformance_client.py"
SECONDS = 55
CARELESS = """
import json
import sys
import threading

import msgpack
import zmq

context = zmq.Context()
rpc = context.socket(zmq.REQ)
rpc.connect(sys.argv[-1])


def call(method, **params):
    rpc.send(msgpack.packb([0, 1, method, params]))
    return msgpack.unpackb(rpc.recv())[3]


where = call("hello")["events"]
me = call("connect")
sub = context.socket(zmq.SUB)
sub.connect(where)
sub.subscribe(b"c" + bytes.fromhex(me["chat_default"].replace("-", "")))
sub.subscribe(b"b" + bytes(16))
call("sync", token=me["token"])


def listen():
    while True:
        topic, body = sub.recv_multipart()
        if topic[:1] == b"b":
            continue
        event = msgpack.unpackb(body)
        if event.get("event") == "message":
            found = event["message"]
            line = {name: found[name] for name in ("seq", "text")}
            line["chat_id"] = event["chat_id"]
            print(json.dumps(line), flush=True)


threading.Thread(target=listen, daemon=True).start()
sys.stdin.read()
"""


def conformance(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "zchat", "conformance", *arguments],
        env=environment(),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_our_own_client_passes() -> None:
    ended = conformance(
        *("--jobs", "5", "--quiet", "0.4", "--patience", "30"),
        *(sys.executable, str(OWN)),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1] == (
        f"{len(CASES)} of {len(CASES)} cases"
    )


def test_a_careless_client_is_told_what_it_misses(tmp_path: Path) -> None:
    careless = tmp_path / "careless.py"
    careless.write_text(CARELESS)
    ended = conformance(
        *("--jobs", "4", "--quiet", "0.4", "--patience", "5"),
        *("--only", "holes", "--only", "repeats"),
        *("--only", "last message lost", "--only", "the future"),
        *(sys.executable, str(careless)),
    )
    assert ended.returncode == 1, ended.stderr
    failed, passed = {}, []
    for line in ended.stdout.splitlines()[:-1]:
        verdict, _, rest = line.partition("  ")
        name, _, reason = rest.strip().partition(": ")
        if verdict == "FAIL":
            failed[name] = reason
        else:
            passed.append(name)
    assert failed.keys() == {"holes", "repeats", "last message lost"}
    assert passed == ["the future"]
    assert "the messages are delivered: #1 'one', #2 'lost'" in failed["holes"]
    assert ended.stdout.splitlines()[-1] == "1 of 4 cases"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Give the adapter"),
        (("no-such-program-here",), "Give the adapter"),
        (("--only", "nothing", "true"), "There is no case 'nothing'"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], said: str) -> None:
    ended = conformance(*arguments)
    assert ended.returncode == 2
    assert said in ended.stderr


def test_an_adapter_that_prints_nonsense(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.py"
    nonsense.write_text("print('hello', flush=True)\ninput()\n")
    ended = conformance("--only", "holes", sys.executable, str(nonsense))
    assert ended.returncode == 1
    assert (
        "the adapter printed 'hello\\n', which is no message" in ended.stdout
    )


def test_the_cases_are_listed() -> None:
    lines = conformance("--list").stdout.splitlines()
    assert len(lines) == len(CASES)
    assert lines[1].startswith("holes ")

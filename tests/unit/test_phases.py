"""The phases of a rule: a rule cannot change anything out of its turn.

The type checker refuses each of the mistakes below, and at run time it
raises (tests/unit/test_batch.py, TestPoison).
"""

import re
import sys
from pathlib import Path
from subprocess import run

import pytest

MISTAKES = """
from zchat.chat.phases import Reading, Turn, Writing
from zchat.chat.rules import reads, writes
from zchat.model import CHATS
from zchat.queries import COUNT_CHATS
from zchat.rpc import params, results


async def reader_that_changes(work: Reading) -> None:
    chat = work.chat(work.common_id)
    work.change(CHATS, chat, name="x")  # expect: no attribute "change"


async def reader_that_wants_a_turn(work: Reading) -> None:
    await work.turn()  # expect: no attribute "turn"


async def change_before_the_turn(work: Writing) -> None:
    chat = work.chat(work.common_id)
    work.change(CHATS, chat, name="x")  # expect: no attribute "change"
    await work.turn()


async def turn_that_was_not_awaited(work: Writing) -> None:
    turn = work.turn()
    turn.delete(CHATS, work.chat("x"))  # expect: no attribute "delete"


async def load_in_the_turn(work: Writing) -> None:
    turn = await work.turn()
    await turn.load(CHATS, "x")  # expect: no attribute "load"
    await turn.ask(COUNT_CHATS)  # expect: no attribute "ask"


def writes_given_to_a_reader(work: Reading, turn: Turn) -> None:
    change_before_the_turn(work)  # expect: expected "Writing"
    reader_that_changes(turn)  # expect: expected "Reading"


@reads("sync")  # expect: Value of type variable "Reads"
async def bound_as_a_reader(
    work: Writing, caller_id: str, given: params.Sync
) -> results.Sync:
    raise NotImplementedError


async def as_it_should_be(work: Writing) -> None:
    chat = await work.load(CHATS, work.common_id)
    turn = await work.turn()
    if chat is not None:
        turn.change(CHATS, turn.chat(chat.id), name="x")


@writes("exit")
async def may_only_read(
    work: Reading, caller_id: str, given: params.Exit
) -> results.Empty:
    return results.Empty()
"""


@pytest.mark.timeout(240)
def test_the_type_checker_refuses_what_is_out_of_turn(
    tmp_path: Path,
) -> None:
    source = tmp_path / "mistakes.py"
    source.write_text(MISTAKES)

    checked = run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--no-error-summary"),
            *("--hide-error-context", "--no-color-output", str(source)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    found = {
        int(line): text
        for line, text in re.findall(
            r"mistakes\.py:(\d+): error: (.*)", checked.stdout
        )
    }
    expected = {
        number: line.partition("# expect: ")[2]
        for number, line in enumerate(MISTAKES.splitlines(), 1)
        if "# expect: " in line
    }
    assert set(found) == set(expected), checked.stdout + checked.stderr
    for number, text in expected.items():
        assert text in found[number]

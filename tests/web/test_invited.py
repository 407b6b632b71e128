"""A server that lets newcomers in by code."""

import json
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.program import Program
from tests.server import environment
from tests.web.conftest import Someone


@pytest.fixture(scope="module")
def flags() -> tuple[str, ...]:
    return ("--registration", "invite")


def code_of(program: Program) -> str:
    """A code that the operator makes."""
    made = subprocess.run(
        [sys.executable, "-m", "zchat", "admin", "invite", "--json"],
        cwd=program.server.folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    code: str = json.loads(made.stdout)["code"]
    return code


def test_the_code_is_asked_for_where_one_is_needed(
    someone: Someone, program: Program
) -> None:
    new = someone()
    new.page.goto(new.url)
    code = new.page.get_by_role("textbox", name="Invite code")
    expect(code).to_be_hidden()
    new.page.get_by_role("textbox", name="Your name").fill("invited")
    new.button("Start chatting").click()
    expect(new.page.get_by_role("alert")).to_contain_text("invite code")
    code.fill(code_of(program))
    new.button("Start chatting").click()
    expect(new.input).to_be_visible()
    new.say("let in")
    new.sees("let in", "invited")

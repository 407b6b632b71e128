"""What the page offers to a moderator, and to nobody else."""

import subprocess
import sys

from playwright.sync_api import expect

from tests.program import Program
from tests.server import environment
from tests.web.conftest import Someone


def make_moderator(program: Program, name: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "zchat", "admin", "role", name, "moderator"],
        cwd=program.server.folder,
        env=environment(),
        check=True,
        capture_output=True,
    )


def test_a_moderator_bans_and_lifts_the_ban(
    someone: Someone, program: Program
) -> None:
    ann, ben = someone("m-ann"), someone("m-ben")
    ben.say("something rude")
    ann.sees("something rude").get_by_role("button", name="m-ben").click()
    expect(
        ann.dialog("m-ben").get_by_role("button", name="Ban")
    ).to_have_count(0)
    ann.button("Close").click()
    make_moderator(program, "m-ann")

    ann.sees("something rude").get_by_role("button", name="m-ben").click()
    ann.dialog("m-ben").get_by_role("button", name="Ban", exact=True).click()
    form = ann.dialog("Ban m-ben")
    form.get_by_role("button", name="Ban", exact=True).click()
    expect(form.get_by_role("alert")).to_contain_text("Reason is missing.")
    form.get_by_role("textbox", name="Reason").fill("rude")
    form.get_by_role("combobox", name="For").select_option("an hour")
    form.get_by_role("button", name="Ban", exact=True).click()
    expect(form).to_have_count(0)
    expect(ann.page.get_by_text("m-ben is banned until")).to_be_visible()
    expect(ben.page.get_by_text("You are banned")).to_be_visible()

    for answer in ("m-ben may write again.", "This user is not banned."):
        ann.sees("something rude").get_by_role("button", name="m-ben").click()
        ann.dialog("m-ben").get_by_role("button", name="Lift ban").click()
        expect(ann.page.get_by_text(answer)).to_be_visible()
    ben.say("sorry")
    ann.sees("sorry")

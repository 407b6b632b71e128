"""Two or three people talk: chats, groups, comments, files, reports."""

import re
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.program import Program, wait_until
from tests.web.conftest import Someone

# One pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360f8cf500f0003840181b50b2a600000000049454e44"
    "ae426082"
)


@pytest.fixture(scope="module")
def flags() -> tuple[str, ...]:
    return ("--max-warnings", "2", "--max-file-bytes", "300000")


def test_what_one_writes_the_other_reads(someone: Someone) -> None:
    ann, ben = someone("t-ann"), someone("t-ben")
    ann.say("good morning")
    theirs = ben.sees("good morning", "t-ann")
    expect(theirs).not_to_have_class(re.compile("own"))
    ben.input.fill("one")
    ben.input.press("Shift+Enter")
    ben.input.press_sequentially("two")
    ben.input.press("Enter")
    received = ann.sees("two", "t-ben").get_by_role("paragraph")
    expect(received).to_have_text("one\ntwo")


def test_messages_are_grouped_by_author_and_day(someone: Someone) -> None:
    gus, hal = someone("t-gus"), someone("t-hal")
    for text in ("first of three", "second of three", "third of three"):
        gus.say(text)
    head = hal.sees("first of three").get_by_role("button", name="t-gus")
    expect(head).to_be_visible()
    follower = hal.sees("third of three", "t-gus")
    expect(follower.get_by_role("button", name="t-gus")).to_have_count(0)
    expect(hal.log.get_by_text("Today")).to_have_count(1)


def test_a_private_chat_by_a_click_on_a_name(someone: Someone) -> None:
    ida, jon = someone("t-ida"), someone("t-jon")
    ida.say("click on me")
    jon.sees("click on me").get_by_role("button", name="t-ida").click()
    jon.dialog("t-ida").get_by_role("button", name="Private message").click()
    expect(
        jon.page.get_by_role("heading", name="t-ida", exact=True)
    ).to_be_visible()
    jon.say("between us")
    waiting = ida.chat("t-jon")
    expect(waiting).to_be_visible()
    expect(waiting).to_have_accessible_description(
        re.compile("between us.*1 unread", re.DOTALL)
    )
    expect(ida.page).to_have_title(re.compile(r"^\(1\) "))
    waiting.click()
    ida.sees("between us", "t-jon")
    expect(ida.page).not_to_have_title(re.compile(r"^\("))
    expect(ida.chat("t-jon")).not_to_have_accessible_description(
        re.compile("unread")
    )


def test_what_came_meanwhile_stands_behind_a_line(someone: Someone) -> None:
    kim, leo = someone("t-kim"), someone("t-leo")
    leo.say("before the line")
    kim.sees("before the line")
    kim.page.goto("about:blank")
    leo.say("after the line")
    kim.page.goto(kim.url)
    kim.sees("after the line")
    expect(kim.log.get_by_text("New", exact=True)).to_be_visible()


def test_a_group_its_members_and_its_name(someone: Someone) -> None:
    owner, guest = someone("t-owner"), someone("t-guest")
    owner.button("New group").click()
    owner.dialog("New group").get_by_role("textbox").fill("Harbour")
    owner.button("Create group").click()
    expect(owner.page.get_by_role("heading", name="Harbour")).to_be_visible()
    owner.button("Chat menu").click()
    owner.button("Add people").click()
    owner.dialog("Add people").get_by_role("textbox").fill("t-guest")
    owner.button("Add t-guest").click()
    owner.button("Close").click()
    guest.chat("Harbour").click()
    guest.say("ahoy")
    owner.sees("ahoy", "t-guest")
    owner.button("Chat menu").click()
    owner.button("Rename").click()
    owner.dialog("Rename group").get_by_role("textbox").fill("Port")
    owner.dialog("Rename group").get_by_role("button", name="Rename").click()
    expect(guest.chat("Port")).to_be_visible()
    guest.button("Chat menu").click()
    guest.button("Leave").click()
    guest.dialog("Leave Port?").get_by_role("button", name="Leave").click()
    expect(guest.chat("Port")).to_have_count(0)
    expect(guest.page.get_by_role("heading", name="default")).to_be_visible()


def test_the_open_menu_learns_who_owns_the_group(someone: Someone) -> None:
    owner = someone("m-owner")
    held: list[Route] = []
    is_open = threading.Event()

    def hold(route: Route) -> None:
        route.continue_() if is_open.is_set() else held.append(route)

    owner.page.route("**/changes?*", hold)
    owner.button("New group").click()
    owner.dialog("New group").get_by_role("textbox").fill("Pier")
    owner.button("Create group").click()
    expect(owner.page.get_by_role("heading", name="Pier")).to_be_visible()
    owner.button("Chat menu").click()
    expect(owner.button("Leave")).to_be_visible()
    expect(owner.button("Add people")).to_have_count(0)
    is_open.set()
    for route in held:
        route.continue_()
    expect(owner.button("Add people")).to_be_visible()


def test_a_removed_member_is_told(someone: Someone) -> None:
    owner, guest = someone("r-owner"), someone("r-guest")
    chat_id = owner.call("POST", "/chats", {"name": "Attic"})["chat_id"]
    guest_id = guest.call("GET", "/status")["user"]["id"]
    owner.call("POST", f"/chats/{chat_id}/invite", {"user_id": guest_id})
    guest.chat("Attic").click()
    owner.chat("Attic").click()
    owner.button("Members").click()
    panel = owner.page.get_by_role("complementary", name="Details")
    panel.get_by_role("button", name=re.compile("r-guest")).click()
    owner.button("Remove from group").click()
    owner.button("Remove").click()
    expect(
        guest.page.get_by_text("You are no longer in Attic.")
    ).to_be_visible()
    expect(guest.chat("Attic")).to_have_count(0)


def test_a_link_opens_the_page_and_the_owner_lets_in(
    someone: Someone,
) -> None:
    owner = someone("l-owner")
    owner.call("POST", "/chats", {"name": "Cellar"})
    owner.chat("Cellar").click()
    owner.button("Members").click()
    owner.button("Invite link").click()
    owner.button("Make a link").click()
    link = owner.page.get_by_role("textbox", name="Invite link")
    address = link.input_value()
    assert address.startswith(f"{owner.url}join/")
    owner.button("Close").click()

    guest = someone()
    guest.page.goto(address)
    expect(guest.page.get_by_text("You are invited")).to_be_visible()
    guest.page.get_by_role("textbox", name="Your name").fill("l-guest")
    guest.button("Start chatting").click()
    guest.button("Ask to join").click()
    expect(guest.page.get_by_text("has to let you in")).to_be_visible()
    assert "join" not in guest.page.url
    owner.button("Let l-guest in").click()
    guest.chat("Cellar").click()
    guest.say("thanks")
    owner.sees("thanks", "l-guest")

    stranger = someone("l-stranger")
    stranger.page.goto(f"{stranger.url}join/nonsense")
    stranger.button("Ask to join").click()
    expect(stranger.page.get_by_text("invalid or has expired")).to_be_visible()


def test_a_comment_shows_what_it_is_on(someone: Someone) -> None:
    mia, ned = someone("t-mia"), someone("t-ned")
    mia.say("shall we ship on Friday")
    ned.do("shall we ship on Friday", "Comment")
    expect(ned.page.get_by_text("Commenting on t-mia")).to_be_visible()
    ned.say("better on Monday")
    comment = mia.sees("better on Monday", "t-ned")
    expect(comment).to_contain_text("shall we ship on Friday")
    commented = mia.article("shall we ship on Friday", "t-mia")
    commented.get_by_role("button", name="1 comment").click()
    panel = mia.page.get_by_role("complementary", name="Details")
    expect(panel.get_by_text("better on Monday")).to_be_visible()


def test_a_comment_leads_to_its_message_far_away(
    someone: Someone, program: Program
) -> None:
    far = someone("t-far")
    old = far.call("POST", "/send", {"message": "the very old one"})
    writer = program.user("t-busy")
    for number in range(230):
        program.ask(
            "POST", "/send", {"message": f"busy {number}"}, writer.bearer
        )
    far.call("POST", "/comment", {"message_id": old["id"], "message": "late"})
    chat_id = old["chat_id"]
    far.call("POST", "/read", {"chat_id": chat_id, "seq": 1_000_000})
    far.page.reload()
    far.sees("late", "t-far").get_by_role(
        "button", name=re.compile("an earlier message")
    ).click()
    expect(far.article("the very old one").first).to_be_in_viewport()
    far.button("Jump to newest").click()
    expect(far.article("late").last).to_be_in_viewport()


def test_files_are_sent_shown_and_saved(
    someone: Someone, tmp_path: Path
) -> None:
    ola, pam = someone("t-ola"), someone("t-pam")
    picture, text = tmp_path / "dot.png", tmp_path / "notes.txt"
    picture.write_bytes(PNG)
    text.write_text("what was said")
    ola.page.get_by_label("Files to attach").set_input_files([picture, text])
    ola.say("two files")
    message = pam.sees("two files", "t-ola")
    shown = message.get_by_role("img", name="dot.png")
    expect(shown).to_be_visible()
    wait_until(
        lambda: bool(shown.evaluate("image => image.naturalWidth === 1"))
    )
    with pam.page.expect_download() as saving:
        message.get_by_role("button", name=re.compile("notes.txt")).click()
    assert saving.value.suggested_filename == "notes.txt"
    assert Path(saving.value.path()).read_text() == "what was said"


def test_files_are_pasted_and_dropped(someone: Someone) -> None:
    quin = someone("t-quin")
    give = (
        "(target, [kind, name]) => { const data = new DataTransfer();"
        "data.items.add(new File(['x'], name, {type: 'text/plain'}));"
        "target.dispatchEvent(kind === 'paste' ? new ClipboardEvent(kind,"
        " {clipboardData: data, bubbles: true}) : new DragEvent(kind,"
        " {dataTransfer: data, bubbles: true, cancelable: true})); }"
    )
    quin.input.evaluate(give, ["paste", "pasted.txt"])
    quin.log.evaluate(give, ["dragover", "dropped.txt"])
    quin.log.evaluate(give, ["drop", "dropped.txt"])
    expect(quin.page.get_by_text("dropped.txt")).to_be_visible()
    quin.input.press("Enter")
    message = quin.sees("pasted.txt", "t-quin")
    expect(message).to_contain_text("dropped.txt")


def test_a_file_that_is_too_large_is_explained(
    someone: Someone, tmp_path: Path
) -> None:
    rob = someone("t-rob")
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(300_001))
    rob.page.get_by_label("Files to attach").set_input_files(large)
    expect(
        rob.page.get_by_role("alert").filter(has_text="large.bin")
    ).to_contain_text("too large")
    rob.button("Remove large.bin").click()
    rob.say("without it")
    rob.sees("without it")


def test_a_message_is_sent_later_or_cancelled(someone: Someone) -> None:
    sue = someone("t-sue")
    sue.input.fill("not yet")
    sue.button("Send later").click()
    later = datetime.now().astimezone() + timedelta(days=1)
    sue.page.get_by_label("When").fill(later.strftime("%Y-%m-%dT%H:%M"))
    sue.button("Schedule").click()
    expect(sue.page.get_by_text("It will be sent")).to_be_visible()
    expect(sue.input).to_have_value("")
    sue.button("Send later").click()
    dialog = sue.dialog("Send later")
    expect(dialog.get_by_role("listitem")).to_contain_text("not yet")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog.get_by_text("Nothing is waiting.")).to_be_visible()
    dialog.get_by_label("Text").fill("into the past")
    dialog.get_by_label("When").fill("2020-01-01T00:00")
    dialog.get_by_role("button", name="Schedule").click()
    expect(dialog.get_by_role("alert")).not_to_be_empty()


def test_reports_lead_to_a_ban_that_is_shown(someone: Someone) -> None:
    una, vic, rude = someone("t-una"), someone("t-vic"), someone("t-rude")
    rude.say("something rude")
    for reporter in (una, vic):
        reporter.do("something rude", "Report")
        dialog = reporter.dialog("Report t-rude")
        dialog.get_by_role("button", name="Send report").click()
        expect(dialog.get_by_role("alert")).to_have_text("Reason is missing.")
        dialog.get_by_role("textbox", name="Reason").fill("rude words")
        dialog.get_by_role("button", name="Send report").click()
        expect(
            reporter.page.get_by_text("Your report about t-rude was sent")
        ).to_be_visible()
    expect(rude.page.get_by_text("You are banned until")).to_be_visible()
    expect(rude.input).to_be_disabled()
    una.say("peace again")
    rude.sees("peace again")
    rude.page.reload()
    expect(rude.page.get_by_text("You are banned until")).to_be_visible()


def test_a_new_name_is_shown_to_others(someone: Someone) -> None:
    will, xena = someone("t-will"), someone("t-xena")
    will.page.get_by_role("button", name="Settings").click()
    field = will.page.get_by_role("textbox", name="Name", exact=True)
    field.fill("t-xena")
    will.button("Change name").click()
    expect(will.page.get_by_role("alert").first).to_contain_text("taken")
    field.fill("t-willem")
    will.button("Change name").click()
    will.button("Close").click()
    will.say("by another name")
    xena.sees("by another name", "t-willem")

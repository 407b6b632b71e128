"""What happens to a message after it was sent, and who is there."""

import re

from playwright.sync_api import expect

from tests.program import wait_until
from tests.web.conftest import Someone


def test_an_edit_reaches_everybody(someone: Someone) -> None:
    ann, ben = someone("e-ann"), someone("e-ben")
    ann.say("teh typo")
    ben.sees("teh typo")
    ann.do("teh typo", "Edit")
    expect(ann.page.get_by_text("Editing your message")).to_be_visible()
    expect(ann.input).to_have_value("teh typo")
    ann.input.fill("the typo")
    ann.input.press("Enter")
    for person in (ann, ben):
        expect(person.sees("the typo", "e-ann")).to_contain_text("edited")
        expect(person.article("teh typo")).to_have_count(0)
    ann.input.press("ArrowUp")
    expect(ann.input).to_have_value("the typo")
    ann.input.press("Escape")
    expect(ann.input).to_have_value("")


def test_only_ones_own_messages_offer_an_edit(someone: Someone) -> None:
    ann, ben = someone("o-ann"), someone("o-ben")
    ann.say("mine alone")
    message = ben.sees("mine alone")
    message.hover()
    expect(message.get_by_role("button", name="Report")).to_be_visible()
    for name in ("Edit", "Delete"):
        expect(message.get_by_role("button", name=name)).to_have_count(0)


def test_a_deleted_message_leaves_a_tombstone(someone: Someone) -> None:
    ann, ben = someone("d-ann"), someone("d-ben")
    ann.say("better unsaid")
    ben.sees("better unsaid")
    ann.do("better unsaid", "Delete")
    for person in (ann, ben):
        expect(person.article("better unsaid")).to_have_count(0)
        person.sees("This message was deleted.", "d-ann")
    ann.page.reload()
    ann.sees("This message was deleted.", "d-ann")


def test_a_deletion_can_be_undone_for_a_moment(someone: Someone) -> None:
    ann = someone("u-ann")
    ann.say("kept after all")
    ann.do("kept after all", "Delete")
    expect(ann.article("kept after all")).to_have_count(0)
    ann.button("Undo").click()
    ann.sees("kept after all")
    ann.page.wait_for_timeout(3000)
    ann.page.reload()
    ann.sees("kept after all")


def test_reactions_are_counted_and_taken_back(someone: Someone) -> None:
    ann, ben = someone("r-ann"), someone("r-ben")
    ann.say("who is hungry")
    for person in (ann, ben):
        person.do("who is hungry", "React")
        person.button("👍").click()
    for person in (ann, ben):
        expect(
            person.sees("who is hungry").get_by_role(
                "button", name=re.compile("^👍 2"), pressed=True
            )
        ).to_be_visible()
    ben.sees("who is hungry").get_by_role(
        "button", name=re.compile("^👍")
    ).click()
    expect(
        ann.sees("who is hungry").get_by_role(
            "button", name=re.compile("^👍 1")
        )
    ).to_be_visible()
    ben.do("who is hungry", "React")
    other = ben.page.get_by_role("textbox", name="Another emoji")
    other.fill("🥨")
    other.press("Enter")
    expect(
        ann.sees("who is hungry").get_by_role(
            "button", name=re.compile("^🥨 1")
        )
    ).to_be_visible()


def test_what_changed_while_away_is_there_afterwards(
    someone: Someone,
) -> None:
    ann, ben = someone("w-ann"), someone("w-ben")
    ann.say("first version")
    ann.say("soon gone")
    ben.sees("soon gone")
    ben.context.set_offline(True)
    ben.page.evaluate("dispatchEvent(new Event('offline'))")
    ann.do("first version", "Edit")
    ann.input.fill("second version")
    ann.input.press("Enter")
    ann.sees("second version")
    ann.do("soon gone", "Delete")
    ann.page.wait_for_timeout(3000)
    ben.context.set_offline(False)
    ben.sees("second version", "w-ann")
    expect(ben.article("soon gone")).to_have_count(0)


def test_mentions_are_completed_marked_and_counted(
    someone: Someone,
) -> None:
    ann, ben = someone("m-ann"), someone("m-ben")
    ann.button("New group").click()
    ann.dialog("New group").get_by_role("textbox").fill("Mentions")
    ann.button("Create group").click()
    expect(ann.page.get_by_role("heading", name="Mentions")).to_be_visible()
    chat_id = ann.page.url.rsplit("#", 1)[1]
    ben_id = ben.call("GET", "/status")["user"]["id"]
    ann.call("POST", f"/chats/{chat_id}/invite", {"user_id": ben_id})
    expect(ben.chat("Mentions")).to_be_visible()
    ann.page.reload()
    expect(ann.page.get_by_role("heading", name="Mentions")).to_be_visible()
    expect(ann.page.get_by_text("2 members")).to_be_visible()
    ann.input.press_sequentially("ask @m-b")
    expect(ann.page.get_by_role("option", name="m-ben")).to_have_attribute(
        "aria-selected", "true"
    )
    ann.input.press("Enter")
    expect(ann.input).to_have_value("ask @m-ben ")
    ann.input.press("Enter")
    expect(ben.chat("Mentions")).to_have_accessible_description(
        re.compile("@.*1 unread")
    )
    ben.chat("Mentions").click()
    mention = ben.sees("ask @m-ben", "m-ann").locator(".mention.me")
    expect(mention).to_have_text("@m-ben")


def test_a_search_leads_to_the_message(someone: Someone) -> None:
    ann, ben = someone("s-ann"), someone("s-ben")
    ann.say("Привет из порта")
    for number in range(40):
        ann.call("POST", "/send", {"message": f"filler {number}"})
    ben.page.reload()
    expect(
        ben.page.get_by_role("log").get_by_text("filler 39")
    ).to_be_visible()
    box = ben.page.get_by_role("searchbox", name="Search")
    box.fill("привет")
    result = ben.page.get_by_role("button", name=re.compile("Привет"))
    expect(result.get_by_text("Привет", exact=True)).to_be_visible()
    result.click()
    expect(ben.article("Привет из порта")).to_be_in_viewport()
    box.fill("nothing at all like it")
    expect(ben.page.get_by_text("No message contains")).to_be_visible()
    box.press("Escape")
    expect(box).to_have_value("")
    expect(ben.page.get_by_text("No message contains")).to_have_count(0)


def test_typing_online_and_how_far_the_other_has_read(
    someone: Someone,
) -> None:
    ann, ben = someone("p-ann"), someone("p-ben")
    ben_id = ben.call("GET", "/status")["user"]["id"]
    ann.call("POST", "/connect_p2p", {"other_user_id": ben_id})
    ann.chat("p-ben").click()
    expect(ann.page.get_by_text("Online", exact=True)).to_be_visible()
    ben.chat("p-ann").click()
    expect(
        ben.page.get_by_role("heading", name="p-ann", exact=True)
    ).to_be_visible()
    ben.input.press_sequentially("hm")
    expect(ann.page.get_by_text("p-ben is typing…").first).to_be_visible()
    ben.input.fill("")
    ann.say("read me")
    ben.sees("read me")
    expect(ann.sees("read me").get_by_text("Seen", exact=True)).to_be_visible()
    ben.button("p-ben Settings").click()
    ben.page.get_by_label("Show others how far I have read").uncheck()
    wait_until(lambda: not ben.call("POST", "/settings", {})["receipts"])
    ben.button("Close").click()
    ann.say("unseen")
    ben.sees("unseen")
    ann.page.wait_for_timeout(1000)
    expect(ann.sees("unseen").get_by_text("Seen", exact=True)).to_have_count(0)

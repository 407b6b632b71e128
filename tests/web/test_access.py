"""Everybody can use it: by keyboard, with a screen reader, on a small
screen, in the dark."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.program import wait_until
from tests.web.browser import PHONE, Person
from tests.web.conftest import Someone

AXE = Path("node_modules/axe-core/axe.min.js")
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
RUN = (
    "rules => axe.run(document, {runOnly: rules.concat('best-practice')})"
    ".then(found => found.violations.map(one =>"
    " `${one.id}: ${one.nodes.map(node => node.html).join(' ')}`))"
)


def findings(page: Page) -> list[str]:
    """What axe finds wrong on the page as it is now."""
    assert AXE.exists(), "axe-core is missing: run make test-web"
    # Evaluated from outside the page, since its policy admits no script.
    page.evaluate(AXE.read_text("utf-8"))
    found: list[str] = page.evaluate(RUN, list(RULES))
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(someone: Someone, scheme: Any) -> None:
    first = someone(color_scheme=scheme)
    first.page.goto(first.url)
    expect(first.button("Start chatting")).to_be_visible()
    assert findings(first.page) == []

    name = f"x-{scheme}"
    friend = someone(f"{name}-friend")
    reader = someone(name, color_scheme=scheme)
    friend.say(f"see `code` and https://example.org/{scheme} @{name}")
    friend.say("```\na block\n```")
    reader.say(f"answer in the {scheme}")
    reader.sees(f"answer in the {scheme}").hover()
    assert findings(reader.page) == []

    reader.button("Members").click()
    assert findings(reader.page) == []
    reader.button("Chat menu").click()
    assert findings(reader.page) == []
    reader.page.keyboard.press("Escape")
    for opener in (f"{name} Settings", "New group", "Send later"):
        reader.button(opener).click()
        expect(reader.page.get_by_role("dialog")).to_be_visible()
        assert findings(reader.page) == []
        reader.button("Close").click()
    reader.page.get_by_role("searchbox", name="Search").fill("answer")
    expect(reader.page.locator(".result").first).to_be_visible()
    assert findings(reader.page) == []


def focused(page: Page) -> Locator:
    return page.locator(":focus")


def tab_to(person: Person, name: str, most: int = 40) -> None:
    """Press Tab until a control of that name has the focus."""
    for _ in range(most):
        person.page.keyboard.press("Tab")
        label = person.page.evaluate(
            "(one => one.ariaLabel || one.labels?.[0]?.textContent"
            " || one.textContent)(document.activeElement)"
        )
        if re.search(name, label):
            return
    raise AssertionError(f"Tab never came to {name}")


def test_the_keyboard_alone_suffices(someone: Someone) -> None:
    other = someone("kb-other")
    me = someone()
    page = me.page
    page.goto(me.url)
    expect(page.get_by_role("textbox", name="Your name")).to_be_focused()
    page.keyboard.type("kb-me")
    page.keyboard.press("Enter")
    expect(me.input).to_be_focused()
    page.keyboard.type("typed without a mouse")
    page.keyboard.press("Enter")
    other.sees("typed without a mouse", "kb-me")
    other.say("reach me")
    me.sees("reach me")

    # Into the log, to a message, and to one of its buttons.
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(me.log).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(me.article("reach me")).to_be_focused()
    tab_to(me, "^Comment$")
    page.keyboard.press("Enter")
    expect(me.input).to_be_focused()
    page.keyboard.type("reached")
    page.keyboard.press("Enter")
    expect(other.sees("reached", "kb-me")).to_contain_text("reach me")

    # A group: made, and found again in the list.
    tab_to(me, "^New group$")
    page.keyboard.press("Enter")
    expect(me.dialog("New group")).to_be_visible()
    expect(page.get_by_role("textbox", name="Group name")).to_be_focused()
    page.keyboard.type("Keys")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    tab_to(me, "^default$")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="default")).to_be_visible()

    # A dialog is left with Escape, and the focus is where it was.
    tab_to(me, "Settings$")
    page.keyboard.press("Enter")
    expect(me.dialog("Settings")).to_be_visible()
    page.keyboard.press("Escape")
    expect(me.dialog("Settings")).to_have_count(0)
    expect(focused(page)).to_have_accessible_name("kb-me Settings")


def test_it_fits_320_pixels_and_a_thumb(someone: Someone) -> None:
    friend = someone("p-friend")
    phone = someone(viewport=PHONE, has_touch=True, is_mobile=True)
    phone.page.goto(phone.url)
    phone.page.get_by_role("textbox", name="Your name").fill("p-phone")
    phone.button("Start chatting").tap()
    expect(phone.input).to_be_visible()
    phone.say("from a small screen")
    friend.say("an answer with a long-word-" + "x" * 80)
    message = phone.sees("an answer with", "p-friend")
    wide = "document.scrollingElement.scrollWidth > innerWidth"
    assert not phone.page.evaluate(wide)

    box = message.bounding_box()
    assert box is not None
    place = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    touch = phone.context.new_cdp_session(phone.page)
    points = [{"x": place[0], "y": place[1]}]
    touch.send(
        "Input.dispatchTouchEvent",
        {"type": "touchStart", "touchPoints": points},
    )
    expect(message.get_by_role("button", name="Report")).to_be_visible()
    touch.send(
        "Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []}
    )
    message.get_by_role("button", name="Comment").tap()
    expect(phone.page.get_by_text("Commenting on p-friend")).to_be_visible()

    phone.button("All chats").tap()
    expect(phone.chat("default")).to_be_visible()
    expect(phone.log).not_to_be_visible()
    assert not phone.page.evaluate(wide)
    phone.chat("default").tap()
    expect(phone.input).to_be_visible()
    phone.button("Members").tap()
    expect(phone.button("Close panel")).to_be_visible()
    assert not phone.page.evaluate(wide)
    assert findings(phone.page) == []


def test_new_messages_are_read_out(someone: Someone) -> None:
    speaker, listener = someone("a-speaker"), someone("a-listener")
    speaker.say("please read this aloud")
    expect(
        listener.page.get_by_role("status").filter(
            has_text="a-speaker: please read this aloud"
        )
    ).to_have_count(1)
    expect(listener.log).to_have_attribute("aria-live", "off")


def test_animations_stop_where_they_are_not_wanted(someone: Someone) -> None:
    calm = someone("a-calm", reduced_motion="reduce")
    calm.button("New group").click()
    durations = calm.page.evaluate(
        "[...document.querySelectorAll('*')].map(one =>"
        " getComputedStyle(one).transitionDuration)"
    )
    assert set(durations) == {"0s"}


def test_the_look_can_be_chosen(someone: Someone) -> None:
    owl = someone("a-owl", color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = owl.page.evaluate(paper)
    owl.button("a-owl Settings").click()
    owl.page.get_by_role("radio", name="Dark").check()
    dark = owl.page.evaluate(paper)
    assert light != dark
    owl.page.reload()
    expect(owl.input).to_be_visible()
    assert owl.page.evaluate(paper) == dark


def test_notifications_come_when_asked_for(someone: Someone) -> None:
    hidden, friend = someone("n-hidden"), someone("n-friend")
    hidden.context.grant_permissions(["notifications"])
    hidden.button("n-hidden Settings").click()
    hidden.page.get_by_label("Notify me of private messages").check()
    hidden.button("Close").click()
    hidden.page.evaluate(
        "() => { window.shown = []; window.Notification = class {"
        " static permission = 'granted';"
        " constructor(title, options) {"
        " window.shown.push(`${title}: ${options.body}`); } }; }"
    )
    hidden_id = hidden.call("GET", "/status")["user"]["id"]
    chat_id = friend.call(
        "POST", "/connect_p2p", {"other_user_id": hidden_id}
    )["chat_id"]
    friend.say("to all, which is no reason")
    friend.call("POST", "/send", {"chat_id": chat_id, "message": "psst"})
    wait_until(lambda: bool(hidden.page.evaluate("window.shown.length")))
    assert hidden.page.evaluate("window.shown") == ["n-friend: psst"]

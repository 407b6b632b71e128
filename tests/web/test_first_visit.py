"""From an address to a conversation; coming back; being several people."""

import re

from playwright.sync_api import Route, expect

from tests.program import Program, wait_until
from tests.web.conftest import Someone


def test_a_name_is_all_that_is_needed(someone: Someone) -> None:
    ada = someone("ada")
    expect(ada.page.get_by_role("heading", name="default")).to_be_visible()
    ada.say("Hello, everyone!")
    message = ada.sees("Hello, everyone!", "ada")
    expect(message).to_have_class(re.compile("own"))


def test_who_types_at_once_loses_nothing(someone: Someone) -> None:
    """Before the chats came, that is: the list of them is held back."""
    hasty = someone()
    held: list[Route] = []
    is_over = False

    def hold(route: Route) -> None:
        if is_over:
            route.continue_()
        else:
            held.append(route)

    hasty.page.route("**/sync", hold)
    hasty.page.goto(hasty.url)
    hasty.page.get_by_role("textbox", name="Your name").fill("hasty")
    hasty.button("Start chatting").click()
    hasty.input.fill("typed before anything came")
    hasty.input.press("Enter")
    wait_until(lambda: bool(hasty.page.evaluate("1") and held))
    is_over = True
    for route in held:
        route.continue_()
    hasty.sees("typed before anything came", "hasty")
    expect(hasty.input).to_have_value("")


def test_a_newcomer_sees_the_last_twenty_messages(
    someone: Someone, program: Program
) -> None:
    writer = program.user("writer")
    for number in range(25):
        program.ask(
            "POST", "/send", {"message": f"line {number}."}, writer.bearer
        )
    eve = someone("eve")
    eve.sees("line 24.", "writer")
    eve.sees("line 5.")
    expect(eve.article("line 4.")).to_have_count(0)


def test_a_refused_name_is_explained_where_it_was_typed(
    someone: Someone,
) -> None:
    someone("taken")
    other = someone()
    other.page.goto(other.url)
    name = other.page.get_by_role("textbox", name="Your name")
    name.fill("taken")
    name.press("Enter")
    expect(other.page.get_by_role("alert")).to_contain_text("taken")
    name.fill("untaken")
    name.press("Enter")
    expect(other.input).to_be_visible()


def test_next_time_one_is_there_at_once(someone: Someone) -> None:
    bob = someone("bob")
    bob.say("I shall return")
    bob.sees("I shall return")
    bob.page.reload()
    bob.sees("I shall return", "bob")
    expect(bob.page.get_by_role("textbox", name="Your name")).to_have_count(0)


def test_signing_out_forgets_the_token_and_can_be_undone(
    someone: Someone,
) -> None:
    carol = someone("carol")
    carol.button("Sign out").click()
    expect(carol.page.get_by_role("textbox", name="Your name")).to_be_visible()
    assert carol.page.evaluate("JSON.stringify(localStorage)").count("-") == 0
    carol.button("Undo").click()
    expect(carol.chat("default")).to_be_visible()
    expect(carol.button("carol Settings")).to_be_visible()


def test_another_device_signs_in_with_the_token(someone: Someone) -> None:
    dora = someone("dora")
    dora.say("from the first device")
    dora.page.get_by_role("button", name="Settings").click()
    dora.button("Show my token").click()
    shown = dora.page.get_by_role("textbox", name="Token")
    expect(shown).to_have_value(dora.token())
    expect(
        dora.page.get_by_role("img", name="A QR code that signs you in")
    ).to_be_visible()
    second = someone()
    second.page.goto(second.url)
    second.page.get_by_text("I have a token").click()
    second.page.get_by_role("textbox", name="Token").fill(dora.token())
    second.button("Sign in").click()
    second.sees("from the first device", "dora")


def test_a_scanned_code_signs_in_and_leaves_no_trace(
    someone: Someone,
) -> None:
    dan = someone("dan")
    token = dan.token()
    phone = someone()
    phone.page.goto(f"{phone.url}#sign-in={token}")
    expect(phone.page.get_by_role("textbox", name="Token")).to_have_value(
        token
    )
    assert token not in phone.page.url
    phone.button("Sign in").click()
    expect(phone.chat("default")).to_be_visible()
    assert token not in phone.page.url


def test_one_browser_may_be_several_people(someone: Someone) -> None:
    both = someone("first-me")
    both.page.get_by_role("button", name="Settings").click()
    both.button("Add a person").click()
    both.page.get_by_role("textbox", name="Your name").fill("second-me")
    both.button("Start chatting").click()
    both.say("as the second")
    both.sees("as the second", "second-me")
    both.page.get_by_role("button", name="Settings").click()
    both.button("Continue as first-me").click()
    expect(both.dialog("Settings")).to_have_count(0)
    both.say("as the first")
    both.sees("as the first", "first-me")
    expect(both.article("as the second")).not_to_have_class(re.compile("own"))


def test_a_token_that_is_no_longer_valid_is_said(someone: Someone) -> None:
    gone = someone("gone")
    gone.page.evaluate(
        "localStorage.setItem('zchat.identities', JSON.stringify("
        "[{token: 'ffffffff-ffff-4fff-8fff-ffffffffffff',"
        " user_id: 'x', name: 'gone'}]))"
    )
    gone.page.reload()
    expect(
        gone.page.get_by_text("Your token is no longer valid")
    ).to_be_visible()
    expect(gone.page.get_by_role("textbox", name="Your name")).to_be_visible()

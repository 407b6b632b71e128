"""Lost connections: said, come back from, and nothing lost or doubled."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.program import Program, has_status, wait_until
from tests.server import Server
from tests.web.browser import Person, person_in
from tests.web.conftest import Someone
from zchat.client import BlockingClient

LOST = re.compile("Connection lost")


@pytest.fixture
def own_program(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Program:
    """A server that a test may kill."""
    folder = tmp_path_factory.mktemp("killed")
    running = Program(Server(folder, free_port(), http=True))
    running.start()
    return running


def gateway_of(program: Program) -> int:
    """The process that serves HTTP: the broker's one child."""
    pid = program.server.pid
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def expect_lost(person: Person) -> None:
    expect(
        person.page.get_by_role("status").filter(has_text=LOST)
    ).to_be_visible()


def expect_found(person: Person) -> None:
    expect(
        person.page.get_by_role("status").filter(has_text=LOST)
    ).to_have_count(0)


def test_offline_and_back(someone: Someone) -> None:
    far, near = someone("c-far"), someone("c-near")
    far.say("still here")
    near.sees("still here")
    far.context.set_offline(True)
    far.page.evaluate("dispatchEvent(new Event('offline'))")
    far.say("written on the train")
    waiting = far.article("written on the train")
    expect(waiting).to_contain_text(re.compile("Sending|Waiting"))
    for number in range(3):
        near.say(f"meanwhile {number}")
    far.context.set_offline(False)
    for number in range(3):
        far.sees(f"meanwhile {number}", "c-near")
    far.sees("written on the train")
    near.sees("written on the train", "c-far")


def test_what_waits_survives_a_reload_and_is_sent_once(
    someone: Someone,
) -> None:
    poster, reader = someone("c-poster"), someone("c-reader")
    poster.page.route("**/send", lambda route: route.abort())
    poster.say("kept in the browser")
    expect(poster.article("kept in the browser")).to_have_class(
        re.compile("pending")
    )
    poster.page.unroute("**/send")
    poster.page.reload()
    poster.sees("kept in the browser")
    reader.sees("kept in the browser", "c-poster")


def test_an_answer_that_was_lost_doubles_nothing(someone: Someone) -> None:
    """The server took it, and the page does not know: it asks again."""
    eager = someone("c-eager")
    dropped: list[int] = []

    def drop_first(route: Route) -> None:
        if dropped:
            route.continue_()
            return
        dropped.append(route.fetch().status)
        route.abort()

    eager.page.route("**/send", drop_first)
    eager.say("exactly once")
    eager.sees("exactly once")
    expect(eager.log.locator(".pending")).to_have_count(0)
    eager.say("and then this")
    eager.sees("and then this")
    eager.sees("exactly once")
    assert dropped == [200]


def test_a_killed_broker_comes_back(
    browser: Browser, own_program: Program
) -> None:
    with person_in(browser, own_program) as ada:
        ada.start("k-ada")
        ada.say("before the crash")
        ada.sees("before the crash")
        own_program.server.kill()
        expect_lost(ada)
        ada.say("into the dark")
        own_program.start()
        ada.sees("into the dark")
        ada.sees("before the crash")
        expect_found(ada)
        with person_in(browser, own_program) as bob:
            bob.start("k-bob")
            bob.sees("into the dark", "k-ada")
    own_program.server.close()


def test_a_killed_gateway_comes_back(
    browser: Browser, own_program: Program
) -> None:
    with person_in(browser, own_program) as ada:
        ada.start("g-ada")
        ada.say("through the first gateway")
        ada.sees("through the first gateway")
        os.kill(gateway_of(own_program), signal.SIGKILL)
        ada.say("through the second")
        ada.sees("through the second")
        wait_until(lambda: has_status(own_program.port, "/readyz", 200))
        expect_found(ada)
        ada.sees("through the first gateway")
    own_program.server.close()


def test_a_name_that_changed_meanwhile(
    browser: Browser, own_program: Program
) -> None:
    with (
        person_in(browser, own_program) as ada,
        person_in(browser, own_program) as bob,
    ):
        ada.start("n-ada")
        bob.start("n-bob")
        bob.say("who am I")
        ada.sees("who am I", "n-bob")
        ada.page.route("**/events*", lambda route: route.abort())
        os.kill(gateway_of(own_program), signal.SIGKILL)
        expect_lost(ada)
        wait_until(lambda: has_status(own_program.port, "/readyz", 200))
        bob.call("POST", "/rename", {"name": "n-robert"})
        ada.sees("who am I", "n-bob")
        ada.page.unroute("**/events*")
        expect_found(ada)
        ada.sees("who am I", "n-robert")
    own_program.server.close()


def test_two_tabs_and_a_console_of_one_user_agree(
    someone: Someone, program: Program
) -> None:
    one, other = someone("c-one"), someone("c-other")
    tab = one.tab()
    tab.goto(one.url)
    second = tab.get_by_role("log", name="Messages")
    console = BlockingClient.connect(program.server.rpc, one.token())
    try:
        one.say("from the first tab")
        expect(second.get_by_text("from the first tab")).to_have_count(1)
        console.send("from the console")
        one.sees("from the console", "c-one")
        expect(second.get_by_text("from the console")).to_have_count(1)
        tab.get_by_role("textbox", name="Message").fill("from the second")
        tab.get_by_role("textbox", name="Message").press("Enter")
        one.sees("from the second", "c-one")
        other.sees("from the console", "c-one")
        other.sees("from the second", "c-one")

        chat_id = console.p2p(other.call("GET", "/status")["user"]["id"])
        expect(one.chat("c-other")).to_be_visible()
        expect(
            tab.get_by_role("link", name="c-other", exact=True)
        ).to_be_visible()
        other.chat("c-one").click()
        other.say("for all of you")
        for page in (one.page, tab):
            expect(
                page.get_by_role("link", name="c-other", exact=True)
            ).to_have_accessible_description(re.compile("1 unread"))
        (unread,) = [
            chat
            for chat in one.call("GET", "/unread")["chats"]
            if chat["id"] == chat_id
        ]
        console.read(chat_id, unread["messages"][-1]["seq"])
        for page in (one.page, tab):
            expect(
                page.get_by_role("link", name="c-other", exact=True)
            ).not_to_have_accessible_description(re.compile("unread"))
    finally:
        console.close()


def test_a_refusal_is_shown_at_the_message_and_can_be_tried_again(
    someone: Someone,
) -> None:
    long = someone("c-long")
    long.say("x" * 4097)
    failed = long.log.locator(".pending")
    expect(failed.get_by_role("alert")).to_contain_text("4096")
    failed.get_by_role("button", name="Try again").click()
    expect(failed.get_by_role("alert")).to_contain_text("4096")
    failed.get_by_role("button", name="Discard").click()
    expect(failed).to_have_count(0)
    long.say("shorter")
    long.sees("shorter")

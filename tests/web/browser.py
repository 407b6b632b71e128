"""Chromium, and people in it: what the tests of the page share."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Playwright,
    expect,
)

from tests.program import Program

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
PATIENCE_MILLISECONDS = 20_000
DESKTOP = {"width": 1200, "height": 800}
PHONE = {"width": 320, "height": 640}
# What a browser logs by itself when a request fails or is refused.
_EXPECTED = re.compile(r"Failed to load resource|net::ERR_")

expect.set_options(timeout=PATIENCE_MILLISECONDS)


def chromium() -> str:
    """The path of the browser; a test without one fails and says how."""
    wanted = os.environ.get("CHROMIUM")
    for name in (wanted,) if wanted else NAMES:
        found = shutil.which(name)
        if found:
            return found
    raise AssertionError(
        f"There is no browser {wanted or NAMES[0]!r}. Install one (apt-get "
        "install chromium), or name yours in CHROMIUM."
    )


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(
        executable_path=chromium(), args=list(FLAGS)
    )


class Person:
    """Somebody at a browser of their own, on one page of the chat."""

    def __init__(self, context: BrowserContext, program: Program) -> None:
        self.context = context
        self.program = program
        self.faults: list[str] = []
        self.page = self.tab()

    def tab(self) -> Page:
        """Another tab of this browser; nothing may go wrong in it."""
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE_MILLISECONDS)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._logged)
        return page

    def _logged(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not _EXPECTED.search(message.text):
            self.faults.append(message.text)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.program.port}/"

    def start(self, name: str) -> "Person":
        """Open the page for the first time and choose a name."""
        self.page.goto(self.url)
        self.page.get_by_role("textbox", name="Your name").fill(name)
        self.page.get_by_role("button", name="Start chatting").click()
        expect(
            self.page.get_by_role("heading", name="default")
        ).to_be_visible()
        return self

    @property
    def input(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message", exact=True)

    @property
    def log(self) -> Locator:
        return self.page.get_by_role("log", name="Messages")

    @property
    def nav(self) -> Locator:
        return self.page.get_by_role("navigation", name="Chats")

    def chat(self, title: str) -> Locator:
        return self.nav.get_by_role("link", name=title, exact=True)

    def article(self, text: str, author: str | None = None) -> Locator:
        """The message that holds a text."""
        found = self.log.get_by_role(
            "article", name=re.compile(re.escape(author)) if author else None
        )
        return found.filter(has_text=text)

    def say(self, text: str) -> None:
        self.input.fill(text)
        self.input.press("Enter")
        expect(self.input).to_have_value("")

    def sees(self, text: str, author: str | None = None) -> Locator:
        """Wait until a message is there, once and for good."""
        found = self.article(text, author)
        expect(found).to_have_count(1)
        expect(found).to_be_visible()
        expect(found).not_to_have_class(re.compile("pending"))
        return found

    def do(self, text: str, action: str) -> None:
        """Reach a message by pointer and press one of its buttons."""
        message = self.sees(text)
        message.hover()
        message.get_by_role("button", name=action, exact=True).click()

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def dialog(self, title: str) -> Locator:
        return self.page.get_by_role("dialog", name=title)

    def token(self) -> str:
        found: list[dict[str, Any]] = self.page.evaluate(
            "JSON.parse(localStorage.getItem('zchat.identities'))"
        )
        token: str = found[0]["token"]
        return token

    def call(self, verb: str, path: str, body: Any = None) -> Any:
        """The same user over HTTP, as another program would."""
        answer = self.program.ask(
            verb, path, body, {"Authorization": f"Bearer {self.token()}"}
        )
        assert answer.status == 200, answer.body
        return answer.json


@contextmanager
def person_in(
    browser: Browser, program: Program, **options: Any
) -> Iterator[Person]:
    """A person with a fresh browser profile; at the end nothing failed."""
    context = browser.new_context(**{"viewport": DESKTOP, **options})
    person = Person(context, program)
    try:
        yield person
        assert person.faults == []
    finally:
        context.close()

"""A browser for all tests of the page."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.program import Program
from tests.web.browser import Person, launch, person_in

Someone = Callable[..., Person]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = launch(playwright)
        yield running
        running.close()


@pytest.fixture
def someone(browser: Browser, program: Program) -> Iterator[Someone]:
    """Makes people with browsers of their own; without a name they are
    still at the first page."""
    with ExitStack() as stack:

        def make(name: str | None = None, **options: Any) -> Person:
            person = stack.enter_context(
                person_in(browser, program, **options)
            )
            return person.start(name) if name else person

        yield make

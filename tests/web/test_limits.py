"""A rate limit and an invite code, where the operator asked for them."""

import pytest
from playwright.sync_api import expect

from tests.web.conftest import Someone


@pytest.fixture(scope="module")
def flags() -> tuple[str, ...]:
    return ("--rate-limit", "2")


def test_the_quota_is_shown_and_its_end_explained(someone: Someone) -> None:
    ann = someone("q-limited")
    expect(ann.page.get_by_text("2 of 2 messages left")).to_be_visible()
    ann.say("one")
    expect(ann.page.get_by_text("1 of 2 messages left")).to_be_visible()
    ann.say("two")
    expect(ann.page.get_by_text("0 of 2 messages left")).to_be_visible()
    ann.say("three")
    failed = ann.log.locator(".pending")
    expect(failed.get_by_role("alert")).not_to_be_empty()
    expect(failed).to_contain_text("three")
    failed.get_by_role("button", name="Discard").click()
    expect(failed).to_have_count(0)

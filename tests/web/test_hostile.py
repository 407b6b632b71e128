"""What somebody writes stays text, and looks like theirs."""

import re

import pytest
from playwright.sync_api import expect

from tests.program import Program
from tests.web.conftest import Someone

MARKUP = (
    "<script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 1'>",
    "<svg/onload=window.pwned=1>",
    "\"><iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
    "`<b onclick=window.pwned=1>`",
    "```\n<style>*{display:none}</style>\n```",
    "{{constructor.constructor('window.pwned=1')()}}",
    "&lt;b&gt; &#60;script&#62;",
    "</textarea></article></div><h1>outside</h1>",
)
ADDRESSES = (
    "javascript:window.pwned=1",
    "data:text/html,<script>window.pwned=1</script>",
    "https://example.org/\"onmouseover='window.pwned=1'",
    "vbscript:msgbox(1)",
)


@pytest.mark.parametrize("text", MARKUP)
def test_markup_is_shown_as_it_was_written(
    someone: Someone, program: Program, text: str
) -> None:
    mallory = program.user()
    eve = someone("h-eve")
    sent = program.ask("POST", "/send", {"message": text}, mallory.bearer).json
    message = eve.log.locator(f'[data-id="{sent["id"]}"]')
    shown = re.sub(r"```\n?|`", "", text).strip()
    expect(message.locator(".text")).to_have_text(shown)
    assert eve.page.evaluate("window.pwned") is None
    assert (
        message.locator(".text").locator("script, img, svg, iframe, b").count()
        == 0
    )
    eve.call("POST", "/rename", {"name": f"h-eve-{MARKUP.index(text)}"})


def test_only_web_addresses_become_links(
    someone: Someone, program: Program
) -> None:
    mallory = program.user()
    for address in ADDRESSES:
        program.ask("POST", "/send", {"message": address}, mallory.bearer)
    program.ask(
        "POST",
        "/send",
        {"message": "the last https://example.org/a"},
        mallory.bearer,
    )
    reader = someone("h-reader")
    reader.sees("the last")
    links = reader.log.get_by_role("link")
    for index in range(links.count()):
        link = links.nth(index)
        href = link.get_attribute("href") or ""
        assert href.startswith("https://example.org/")
        assert '"' not in href
        assert link.get_attribute("rel") == "noopener noreferrer nofollow"
    assert links.count() == 2


def test_a_script_that_got_in_would_not_run(someone: Someone) -> None:
    """The policy holds where everything else has failed."""
    reader = someone("h-policy")
    page = reader.page
    refused = page.evaluate(
        """() => {
          const tries = [
            () => { document.body.innerHTML = '<b>x</b>'; },
            () => document.body.setAttribute('onclick', 'window.pwned = 1')
              || document.body.click() || window.pwned,
          ];
          return tries.map((one) => {
            try { return one() ?? 'ran'; } catch (error) { return error.name; }
          });
        }"""
    )
    assert refused == ["TypeError", "TypeError"]
    assert page.evaluate("window.pwned") is None
    sent = page.evaluate(
        "fetch('http://127.0.0.1:9/').then(() => 1, (e) => e.name)"
    )
    assert sent == "TypeError"
    assert len(reader.faults) >= 3
    reader.faults.clear()


def test_a_line_in_another_direction_turns_nothing_else_around(
    someone: Someone, program: Program
) -> None:
    mallory = program.user()
    for text in ("\u202egnp.exe ", "מה שלומך? abc", "\u2067\u2067\u2067 open"):
        program.ask("POST", "/send", {"message": text}, mallory.bearer)
    reader = someone("h-rtl")
    reader.say("left to right")
    hebrew = reader.sees("מה שלומך").get_by_role("paragraph")
    assert hebrew.evaluate("one => getComputedStyle(one).direction") == "rtl"
    own = reader.sees("left to right").get_by_role("paragraph")
    assert own.evaluate("one => getComputedStyle(one).direction") == "ltr"
    assert (
        own.evaluate("one => getComputedStyle(one).unicodeBidi") == "isolate"
    )


def test_the_largest_and_the_strangest_texts_fit(
    someone: Someone, program: Program
) -> None:
    mallory = program.user("и" * 32)
    for text in (
        "W" * 4096,
        "\n" * 2000 + "end of the lines",
        "a\u0300" * 2000,
        "👨‍👩‍👧‍👦" * 300,
        "https://example.org/" + "x" * 1900,
    ):
        assert (
            program.ask(
                "POST", "/send", {"message": text}, mallory.bearer
            ).status
            == 200
        )
    reader = someone("h-large", viewport={"width": 320, "height": 600})
    reader.say("still usable")
    expect(reader.article("still usable")).to_be_in_viewport()
    assert not reader.page.evaluate(
        "document.scrollingElement.scrollWidth > innerWidth"
    )
    assert not reader.log.evaluate("log => log.scrollWidth > log.clientWidth")


def test_hostile_file_names_and_types_are_text_and_downloads(
    someone: Someone, program: Program
) -> None:
    mallory = program.user()
    chat_id = program.ask("GET", "/chats", None, mallory.bearer).json["chats"][
        0
    ]["id"]
    made = program.ask(
        "POST",
        f"/files?chat_id={chat_id}&name=%3Cimg%20src=x%20onerror=alert(1)"
        "%3E.svg",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='pwned=1'/>",
        mallory.bearer,
    ).json
    program.ask(
        "POST",
        "/send",
        {"message": "look", "files": [made["file_id"]]},
        mallory.bearer,
    )
    reader = someone("h-files")
    message = reader.sees("look")
    name = message.get_by_text("<img src=x onerror=alert(1)>.svg")
    expect(name).to_have_count(1)
    assert message.get_by_role("img").count() == 0

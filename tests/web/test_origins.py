"""What pages of other origins may do: what the operator permitted."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page

from tests.program import Program
from tests.web.conftest import Someone


class Hello(BaseHTTPRequestHandler):
    """An empty page, whatever is asked for."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>hi</title>")

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture(scope="module")
def neighbour() -> Iterator[int]:
    """The port of another web server of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def flags(neighbour: int) -> tuple[str, ...]:
    return ("--allow-origin", f"http://127.0.0.1:{neighbour}")


def status_from(page: Page, program: Program, token: str) -> str:
    found: str = page.evaluate(
        """async ([url, token]) => {
          try {
            const answer = await fetch(url, {
              headers: { Authorization: `Bearer ${token}` },
            });
            return (await answer.json()).user.name;
          } catch (error) { return error.name; }
        }""",
        [f"http://127.0.0.1:{program.port}/status", token],
    )
    return found


def test_a_permitted_page_may_call_and_no_other(
    someone: Someone, program: Program, neighbour: int
) -> None:
    token = program.user("far-away").token
    visitor = someone()
    visitor.page.goto(f"http://127.0.0.1:{neighbour}/")
    assert status_from(visitor.page, program, token) == "far-away"
    visitor.page.goto(f"http://localhost:{neighbour}/")
    assert status_from(visitor.page, program, token) == "TypeError"
    assert visitor.faults
    visitor.faults.clear()


def test_no_other_page_may_frame_it(someone: Someone, neighbour: int) -> None:
    visitor = someone()
    page = visitor.page
    page.goto(f"http://127.0.0.1:{neighbour}/")
    page.evaluate(
        "url => { const frame = document.createElement('iframe');"
        " frame.src = url; document.body.append(frame); return new"
        " Promise(done => { frame.onload = done; }); }",
        visitor.url,
    )
    assert page.frames[1].locator("input").count() == 0
    assert visitor.faults
    visitor.faults.clear()

"""Takes the pictures of the page for README and docs: `make pictures`."""

import struct
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, expect, sync_playwright

from tests.conftest import candidates, is_free
from tests.program import Program
from tests.server import Server
from tests.web.browser import launch, person_in

FOLDER: Final = Path("docs/pictures")
DESK: Final = {"width": 1120, "height": 700}
PHONE: Final = {"width": 360, "height": 700}
NAMES: Final = ("grace", "linus", "Анна", "margaret")
CODE: Final = (
    '```\ndef greet(name: str) -> str:\n    return f"Hello, {name}"\n```'
)


def room_picture() -> bytes:
    """A small PNG of colours that run into one another."""
    width, height = 300, 130
    rows = b"".join(
        b"\0"
        + bytes(
            part
            for x in range(width)
            for part in (67 + x // 4, 83 + y // 2, 201 - x // 8)
        )
        for y in range(height)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return (
            struct.pack(">I", len(data))
            + body
            + struct.pack(">I", zlib.crc32(body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", head),
            chunk(b"IDAT", zlib.compress(rows, 9)),
            chunk(b"IEND", b""),
        )
    )


class Stage:
    """A server with people who talk over HTTP."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._users = {name: program.user(name) for name in NAMES}

    def call(self, name: str, verb: str, path: str, body: Any) -> Any:
        user = self._users[name]
        answer = self._program.ask(verb, path, body, user.bearer)
        assert answer.status == 200, answer.body
        return answer.json

    def say(self, name: str, text: str, **more: Any) -> Any:
        return self.call(name, "POST", "/send", {"message": text, **more})

    def morning(self, ada_id: str, say_as_ada: Any) -> None:
        self.say("grace", "Good morning! The workshop starts at ten.")
        asked = self.say("linus", "Has anybody the code from yesterday?")
        say_as_ada("Yes, one moment.")
        say_as_ada(CODE)
        self.say("linus", "Thank you, exactly that!", comment_on=asked["id"])
        hello = self.say("Анна", "Привет! `make run`, и всё работает.")
        for name in ("grace", "linus", "margaret"):
            self.call(
                name,
                "POST",
                f"/messages/{hello['id']}/reactions",
                {"emoji": "🎉"},
            )
        chat_id = hello["chat_id"]
        picture = self.call(
            "grace",
            "POST",
            f"/files?chat_id={chat_id}&name=room-3.png",
            room_picture(),
        )
        self.say("grace", "Room 3:", files=[picture["file_id"]])
        private = self.call(
            "margaret", "POST", "/connect_p2p", {"other_user_id": ada_id}
        )["chat_id"]
        self.say("margaret", "Lunch at one?", chat_id=private)
        group = self.call("linus", "POST", "/chats", {"name": "Compilers"})
        self.call(
            "linus",
            "POST",
            f"/chats/{group['chat_id']}/invite",
            {"user_id": ada_id},
        )
        self.say("linus", "The parser is green", chat_id=group["chat_id"])


def take(browser: Browser, program: Program) -> None:
    """The page of one person: light, dark, and on a phone."""
    with person_in(browser, program, viewport=DESK) as ada:
        ada.start("ada")
        ada_id = ada.call("GET", "/status")["user"]["id"]
        Stage(program).morning(ada_id, ada.say)
        token = ada.token()
        expect(ada.chat("Compilers")).to_be_visible()
        ada.sees("Room 3:")
        ada.page.mouse.move(1, 1)
        ada.page.wait_for_timeout(1500)
        ada.page.screenshot(path=FOLDER / "light.png")
    looks: dict[str, dict[str, Any]] = {
        "dark": {"viewport": DESK, "color_scheme": "dark"},
        "phone": {"viewport": PHONE, "has_touch": True, "is_mobile": True},
    }
    for name, options in looks.items():
        with person_in(browser, program, **options) as ada:
            ada.page.goto(f"{ada.url}#sign-in={token}")
            ada.button("Sign in").click()
            ada.sees("Room 3:")
            ada.page.mouse.move(1, 1)
            ada.page.wait_for_timeout(1500)
            ada.page.screenshot(path=FOLDER / f"{name}.png")


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    port = next(port for port in candidates() if is_free(port))
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
    ):
        program = Program(Server(Path(folder), port, http=True))
        program.start()
        try:
            take(launch(playwright), program)
        finally:
            program.server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

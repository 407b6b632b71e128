"""The full screen as a person uses it, before a real broker."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.widgets import Input

from tests.screen import LARGE, SMALL, Screen, screen
from tests.server import Server, environment, running
from zchat.client import Client, Refused
from zchat.client.console.identity import Profile
from zchat.client.console.wrapping import cells

HOSTILE = "\x1b]0;title\x07\x1b[31mred\x9b2J\u202egnp.exe\nann  09:00\n forged"


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server"), free_port()) as made:
        yield made


class Scene:
    """Ben before the screen, and whoever else there is."""

    def __init__(self, stack: AsyncExitStack, server: Server, home: Path):
        self._stack = stack
        self._server = server
        self._suffix = os.urandom(4).hex()
        self.home = home

    def name(self, name: str) -> str:
        """A name of this test's own."""
        return f"{name}-{self._suffix}"

    async def client(self, name: str, invite: str | None = None) -> Client:
        """Somebody who is on no console."""
        return await self._stack.enter_async_context(
            await Client.connect(
                self._server.rpc,
                name=self.name(name),
                listen=False,
                invite=invite,
            )
        )

    async def ben(self, **more: Any) -> Screen:
        """Ben's screen; it is there when the chat is."""
        more.setdefault("name", self.name("ben"))
        shown = more.pop("shown", self.name("ben"))
        made = await self._stack.enter_async_context(
            screen(self.home, self._server.rpc, **more)
        )
        await made.until(
            lambda: (
                made.app.desk is not None
                and made.app.desk.is_caught_up
                and shown in made.text
            ),
            "the chat is there",
        )
        return made


def play(
    server: Server,
    home: Path,
    act: Callable[[Scene], Coroutine[Any, Any, None]],
) -> None:
    """Run one scene to its end."""

    async def whole() -> None:
        async with AsyncExitStack() as stack:
            await act(Scene(stack, server, home))

    asyncio.run(whole())


def keys(words: str) -> list[str]:
    """The keys that type this."""
    return ["minus" if each == "-" else each for each in words]


def test_a_first_start_asks_for_a_name(server: Server, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        ann = await scene.client("ann")
        await ann.send("hello there")
        async with screen(tmp_path, server.rpc) as ben:
            await ben.shows("What should others call you?")
            await ben.press(*keys(ann.name), "enter")
            await ben.shows("taken")
            await ben.press("end", *keys("-2"), "enter")
            await ben.shows("● ", "hello there", ann.name, "default")
        again = await scene.ben(name=None, shown=f"{ann.name}-2")
        await again.shows("hello there")

    play(server, tmp_path, act)


def test_a_later_start_shows_where_one_left_off(
    server: Server, tmp_path: Path
) -> None:
    async def act(scene: Scene) -> None:
        ann = await scene.client("ann")
        async with screen(tmp_path, server.rpc, scene.name("ben")) as ben:
            await ben.shows("● ")
            chat = await ann.p2p(ben.desk.client.user_id)
            await ann.send("seen", chat)
            await ben.until(lambda: ben.desk.next_unread(), "it came")
            await ben.press("alt+a")
            await ben.shows("seen")
            await ben.until(
                lambda: ben.desk.client.known_chats[chat].read == 1, "read"
            )
        for number in range(80):
            await ann.send(f"missed {number}", chat)
        again = await scene.ben(chat=ann.name)
        await again.shows("── new ──", "seen", "missed 0")
        await again.press("ctrl+end")
        await again.shows("missed 79")

    play(server, tmp_path, act)


def test_a_name_that_changes(server: Server, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        ann = await scene.client("ann")
        ben = await scene.ben()
        await ann.send("who am I")
        await ben.shows(ann.name, "who am I")
        name = await ann.rename(f"{ann.name}.new")
        await ben.shows(name, "who am I")

    play(server, tmp_path, act)


def test_a_conversation(server: Server, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        ann = await scene.client("ann")
        ben = await scene.ben()
        sent = await ann.send("what is the question?")
        await ben.shows("what is the question?")
        await ben.type("first line", enter=False)
        await ben.press("ctrl+j")
        await ben.type("second line")
        await ben.shows("▎ first line\n".split("\n")[0], "▎ second line")
        await ben.press("up", "up", "c")
        await ben.shows(f"Comment on {ann.name}: what is")
        await ben.type("the answer")
        await ben.shows(f"↱ {ann.name}", "▎ the answer", "1 comment")
        page = await ann.history(ann.chat_default, after=sent.seq)
        assert [(each.text, each.is_comment_on) for each in page.messages] == [
            ("first line\nsecond line", None),
            ("the answer", sent.id),
        ]
        assert ben.text.count("the answer") == 1

    play(server, tmp_path, act)


def test_private_chats_drafts_and_switching(
    server: Server, tmp_path: Path
) -> None:
    async def act(scene: Scene) -> None:
        ann = await scene.client("ann")
        ben = await scene.ben()
        await ann.send("hi")
        await ben.shows(ann.name)
        await ben.type("half a thou", enter=False)
        await ben.press("ctrl+k")
        await ben.shows("Go to a chat or a person")
        await ben.press(*keys(ann.name))
        await ben.shows("write in private")
        await ben.press("enter")
        await ben.shows(f"{ann.name}  ·  private")
        await ben.until(lambda: ben.panes.composer.text == "", "own draft")
        await ben.type("just you")
        await ben.shows("▎ just you")
        await ben.press("alt+up")
        await ben.until(
            lambda: ben.panes.composer.text == "half a thou", "the draft"
        )
        (_, private) = await ann.all_chats()
        page = await ann.history(private.id)
        assert [each.text for each in page.messages] == ["just you"]
        await ann.send("an answer", private.id)
        await ben.until(
            lambda: ben.desk.lines()[1].unread == 1, "one is unread"
        )
        await ben.press("alt+a")
        await ben.shows("an answer")
        await ben.until(
            lambda: ben.desk.client.known_chats[private.id].unread == 0,
            "it is read",
        )

    play(server, tmp_path, act)


def test_tab_and_the_text_sent_before(server: Server, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        ann = await scene.client("ann")
        ben = await scene.ben()
        await ben.until(lambda: ann.name in ben.desk.names(), "she is here")
        await ben.type(f"@{ann.name[:-2]}", enter=False)
        await ben.press("tab")
        assert ben.panes.composer.text == f"@{ann.name} "
        await ben.type("look")
        await ben.shows(f"@{ann.name} look")
        await ben.type("/sta", enter=False)
        await ben.press("tab")
        assert ben.panes.composer.text == "/status "
        await ben.press("ctrl+c")
        assert ben.panes.composer.text == ""
        await ben.press("ctrl+up", "ctrl+up")
        assert ben.panes.composer.text == f"@{ann.name} look"
        await ben.press("ctrl+down", "ctrl+down")
        assert ben.panes.composer.text == ""
        await ben.press("ctrl+c")
        await ben.shows("Ctrl+Q or /quit closes the program.")

    play(server, tmp_path, act)


def test_a_group_and_who_asks_to_come_in(
    server: Server, tmp_path: Path
) -> None:
    async def act(scene: Scene) -> None:
        ann = await scene.client("ann")
        ben = await scene.ben(size=LARGE)
        await ben.type("/group friends")
        await ben.shows("friends  ·  1 member")
        await ben.type("/link 3")
        await ben.shows("(until ")
        (link,) = re.findall(r"· (\S+) \(until ", ben.text)
        assert (await ann.join(link)).state == "pending"
        await ben.shows(f"{ann.name} asks to")
        await ben.type(f"/approve {ann.name}")
        await ben.shows("2 members")
        await ben.type("/rename comrades")
        await ben.shows("comrades  ·  2 members")
        await ben.type(f"/remove {ann.name}")
        await ben.shows("comrades  ·  1 member")
        await ben.type("/leave")
        await ben.shows("default  ·")
        assert len(await ann.all_chats()) == 1

    play(server, tmp_path, act)


def test_files_go_up_and_come_down(server: Server, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        ben = await scene.ben(size=LARGE)
        path = tmp_path / "picture.png"
        path.write_bytes(os.urandom(600_000))
        await ben.type(f"/upload {path} look")
        await ben.shows("▎ look", "▤ picture.png  585.9 KiB")
        await ben.hides("uploading")
        folder = tmp_path / "out"
        folder.mkdir()
        (message,) = ben.desk.timeline.messages[-1:]
        await ben.type(f"/download {message.seq} {folder}")
        await ben.shows("saved")
        assert (folder / "picture.png").read_bytes() == path.read_bytes()
        await ben.type("/upload /nowhere/at/all")
        await ben.shows("✗ No such file or directory")

    play(server, tmp_path, act)


def test_scheduled_messages(server: Server, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        ben = await scene.ben()
        await ben.type("/schedule +1h see you")
        await ben.shows("waits until", "◷ ")
        await ben.press("up", "x")
        await ben.hides("◷ ")
        found = await ben.desk.client.scheduled()
        assert [each.state for each in found] == ["cancelled"]
        await ben.type("/schedule never x")
        await ben.shows("✗ ")

    play(server, tmp_path, act)


def test_reporting_and_wrong_commands(server: Server, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        ann = await scene.client("ann")
        ben = await scene.ben()
        await ann.send("something rude")
        await ben.shows("something rude")
        await ben.press("up", "exclamation_mark")
        await ben.shows(f"Report {ann.name}: something rude")
        await ben.press(*keys("rude"), "enter")
        await ben.shows("· reported")
        await ben.press("escape")
        await ben.type("/lnk")
        await ben.shows("✗ Unknown command /lnk. Did you mean /link?")
        await ben.type("/msg")
        await ben.shows("✗ Type /msg USER [TEXT...]")

    play(server, tmp_path, act)


def test_what_is_too_long_stays(server: Server, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        ben = await scene.ben()
        await ben.type("x" * 4097)
        await ben.shows("4,097 of 4,096", "Shorten it")
        assert len(ben.panes.composer.text) == 4097

    play(server, tmp_path, act)


def test_what_becomes_of_a_message(server: Server, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        ann = await scene.client("ann")
        ben = await scene.ben()
        chat = await ann.p2p(ben.desk.client.user_id)
        theirs = await ann.send("shall we?", chat)
        await ben.until(lambda: ben.desk.next_unread(), "it came")
        await ben.press("alt+a")
        await ben.shows("shall we?")
        await ben.press("up", "plus")
        await ben.shows("React with", "👍  thumbs up")
        await ben.press(*"thumbsup")
        await ben.hides("fire")
        await ben.press("enter")
        await ben.shows("👍 1")
        await ann.react(theirs.id, "👍")
        await ben.shows("👍 2")
        await ben.press("e")
        assert ben.panes.composer.text == ""
        await ben.press("escape")
        await ben.type("of cuorse")
        await ben.shows("▎ of cuorse")
        await ben.press("up", "e")
        await ben.shows(f"Edit {scene.name('ben')}")
        ben.panes.composer.write("of course")
        await ben.press("enter")
        await ben.shows("▎ of course (edited)")
        await ben.press("up", "d")
        await ben.shows("Delete this message")
        await ben.press("d")
        await ben.shows("▎ message deleted")
        await ann.edit(theirs.id, f"shall we, @{scene.name('ben')}?")
        await ben.shows("shall we, @")

    play(server, tmp_path, act)


def test_who_is_there_who_types_and_who_has_read(
    server: Server, tmp_path: Path
) -> None:
    async def act(scene: Scene) -> None:
        ann = await scene.client("ann")
        ben = await scene.ben(size=LARGE)
        await ben.type(f"/msg {ann.name} are you there?")
        await ben.shows(f"{ann.name}  ·  private", "▎ are you there?", "● ben")
        chat = ben.desk.chat_id
        await ann.typing(chat)
        await ben.shows(f"{ann.name} is typing …")
        await ann.read(chat, 1)
        await ben.shows("private  ·  seen")
        sent = await ann.send("yes", chat)
        await ben.hides("is typing", "·  seen")
        await ben.until(
            lambda: ben.desk.client.known_chats[chat].read == sent.seq, "read"
        )

    play(server, tmp_path, act)


def test_being_mentioned_comes_first(server: Server, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        ann = await scene.client("ann")
        ben = await scene.ben()
        groups = [await ann.create_chat(f"group {n}") for n in range(2)]
        for group in groups:
            await ann.invite(group, ben.desk.client.user_id)
        await ann.send("just so", groups[0])
        await ann.send(f"@{scene.name('ben')} look", groups[1])
        await ben.until(
            lambda: ben.desk.next_unread() == groups[1], "the mention first"
        )
        await ben.press("alt+a")
        await ben.shows("group 1  ·", "▎ @ben")
        await ben.press("alt+a")
        await ben.shows("group 0  ·", "just so")

    play(server, tmp_path, act)


def test_a_large_paste_asks(server: Server, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        ben = await scene.ben()
        large = "\n".join(f"line {n}" for n in range(30))
        ben.panes.composer.post_message(events.Paste("small\r\npaste"))
        await ben.until(
            lambda: ben.panes.composer.text == "small\npaste", "it is one text"
        )
        await ben.press("enter")
        await ben.shows("▎ small", "▎ paste")
        ben.panes.composer.post_message(events.Paste(large))
        await ben.shows("Paste 30 lines")
        await ben.press("escape")
        assert ben.panes.composer.text == ""
        ben.panes.composer.post_message(events.Paste(large))
        await ben.shows("Paste 30 lines")
        await ben.press("f")
        await ben.shows("▤ paste-")
        ben.panes.composer.post_message(events.Paste(large))
        await ben.shows("Paste 30 lines")
        await ben.press("enter")
        await ben.until(lambda: ben.panes.composer.text == large, "all of it")

    play(server, tmp_path, act)


def test_searching_all_chats(server: Server, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        ann = await scene.client("ann")
        ben = await scene.ben()
        chat = await ann.p2p(ben.desk.client.user_id)
        for number in range(60):
            await ann.send(f"number {number}", chat)
        await ben.press("ctrl+f")
        await ben.shows("Search all chats")
        await ben.press(*"NUMBER 1")
        await ben.shows("number 19", f"in {ann.name}")
        await ben.press("down", "up", "enter")
        await ben.shows(f"{ann.name}  ·  private", "number 19", "number 21")
        await ben.until(
            lambda: ben.panes.log_pane.selected == 20, "it is selected"
        )

    play(server, tmp_path, act)


def test_a_banned_user_is_told_where_one_types(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    async def act(scene: Scene) -> None:
        ann = await scene.client("ann")
        ben = await scene.ben()
        await ben.shows("2 of 2 left")
        await ben.type("one")
        await ben.shows("1 of 2 left")
        await ben.type("two")
        await ben.type("three")
        await ben.shows("✗ not sent: ", "↑ then r sends it again")
        await ann.report(ben.desk.client.user_id, "too many numbers")
        await ben.shows("You are banned until")
        await ben.press("up", "x")
        await ben.hides("not sent")

    with running(
        tmp_path, free_port(), "--rate-limit", "2", "--max-warnings", "1"
    ) as own:
        play(own, tmp_path, act)


def admin(folder: Path, *words: str) -> Any:
    """What `zchat admin` answers, beside the store of a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "zchat", "admin", *words],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout or "{}")


def is_moderator(who: Screen) -> bool:
    user = who.desk.client.user
    return user is not None and user.role == "moderator"


def test_a_moderator_who_came_by_an_invite(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    async def act(scene: Scene) -> None:
        code = admin(tmp_path, "invite", "--uses", "3", "--json")["code"]
        ann, kim = [
            await scene.client(name, invite=code) for name in ("ann", "kim")
        ]
        async with screen(tmp_path, own.rpc, "ben") as ben:
            await ben.shows("Your invite code", "Ask its operator")
            await ben.press("x", "enter")
            await ben.until(
                lambda: ben.app.screen.query(Input).last().value == "",
                "it asks again",
            )
            ben.app.screen.query_one(Input).value = code
            await ben.press("enter")
            await ben.shows("● ben")
            await ben.type("/complaints")
            await ben.shows("✗ ")
            me = ben.desk.client.user_id
            admin(tmp_path, "role", me, "moderator", "--json")
            await ben.until(lambda: is_moderator(ben), "he is told")
            sent = await ann.send("something rude")
            await kim.report(ann.user_id, "rude", message_id=sent.id)
            await ben.type("/complaints")
            await ben.shows(f"1 {kim.name} about {ann.name}: rude")
            await ben.type("/resolve 1 dismissed")
            await ben.shows("· dismissed")
            await ben.type(f"/ban {ann.name} enough of it")
            await ben.shows("· banned until")
            with pytest.raises(Refused, match="banned"):
                await ann.send("more")
            await ben.type(f"/unban {ann.name}")
            await ben.shows("· the ban was lifted")
            await ann.send("thank you")
            await ben.shows("thank you")
            await ben.type(f"/ban {kim.name}")
            await ben.until(
                lambda: admin(tmp_path, "accounts", "--banned", "--json")[
                    "users"
                ],
                "a ban needs no reason here",
            )
            await ben.press("up", "d")
            await ben.shows("Delete this message")
            await ben.press("d")
            await ben.shows("message deleted")

    with running(tmp_path, free_port(), "--registration", "invite") as own:
        play(own, tmp_path, act)


def test_over_a_killed_broker(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    async def act(scene: Scene) -> None:
        ben = await scene.ben()
        await ben.type("before")
        await ben.shows("▎ before")
        await asyncio.to_thread(own.kill)
        await ben.shows("○ ", "connection lost, trying again")
        await ben.type("meanwhile")
        await ben.shows("… waiting for the server")
        await asyncio.to_thread(own.start)
        await ben.shows("● ")
        await ben.hides("… waiting for the server")
        ann = await scene.client("ann")
        await ann.send("after")
        await ben.shows("after")
        page = await ann.history(ann.chat_default)
        assert [each.text for each in page.messages] == [
            "before",
            "meanwhile",
            "after",
        ]
        assert ben.text.count("meanwhile") == 1

    with running(tmp_path, free_port()) as own:
        play(own, tmp_path, act)


def test_a_token_that_the_server_does_not_know(
    server: Server, tmp_path: Path
) -> None:
    async def act(scene: Scene) -> None:
        Profile(tmp_path, "default").keep_identity(
            (server.rpc,), "01a209c3-663f-4000-ac48-f2ccaa8ee39c", "id"
        )
        async with screen(tmp_path, server.rpc) as ben:
            await ben.shows("does not know you")
            await ben.press("n")
            await ben.shows("What should others call you?")
            await ben.press(*keys(scene.name("ben")), "enter")
            await ben.shows(f"● {scene.name('ben')}")

    play(server, tmp_path, act)


def test_a_server_that_comes_later(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    async def act(scene: Scene) -> None:
        async with screen(tmp_path, own.rpc, "ben", wait_seconds=0.5) as ben:
            await ben.shows("No server answers", "Trying again")
            await asyncio.to_thread(own.start)
            await ben.shows("● ben")

    own = Server(tmp_path, free_port())
    try:
        play(own, tmp_path, act)
    finally:
        own.close()


def test_hostile_text_is_harmless(server: Server, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        ann = await scene.client("ann")
        ben = await scene.ben(size=LARGE)
        chat = await ann.p2p(ben.desk.client.user_id)
        await ann.send(HOSTILE, chat)
        await ann.send("w" * 4000, chat)
        await ann.send("e" + "\u0301" * 3000, chat)
        await ben.until(lambda: ben.desk.next_unread(), "it came")
        await ben.press("alt+a")
        await ben.shows("␛[31mred", "   forged", "more rows")
        assert not set("\x1b\x07\x9b\u202e\r") & set(ben.text)
        assert ben.text.count("\u0301") <= 6
        widths = {cells(line) for line in ben.text.split("\n")}
        assert max(widths) <= 200

    play(server, tmp_path, act)


@pytest.mark.parametrize("size", [SMALL, LARGE, (40, 12), (20, 6)])
def test_it_fits_any_screen(
    server: Server, tmp_path: Path, size: tuple[int, int]
) -> None:
    async def act(scene: Scene) -> None:
        ben = await scene.ben(size=size, shown="●")
        await ben.type("x")
        await ben.shows("x")
        for key in ("f7", "f8", "f9", "f9", "f9", "f1", "escape"):
            await ben.press(key)
        for width, height in ((200, 60), (10, 5), size):
            await ben.pilot.resize_terminal(width, height)
        await ben.shows("●")

    play(server, tmp_path, act)

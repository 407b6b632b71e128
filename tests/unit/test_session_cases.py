"""The session on the cases that the page's session passes too.

`tests/cases/session.json` says what goes in and what must come out;
`tests/web/session.test.js` plays the same to zchat/web/session.js.
Subscribing is not in the cases, because the gateway does it for the
page: here every barrier comes back at once, and the sync that it asks
for gets the answer that the case gave last.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from zchat.client import session as s
from zchat.rpc import codec, events, results, sealing, topics

ME = "00000000-0000-7000-8000-0000000000aa"
OTHER = "00000000-0000-7000-8000-0000000000bb"
ID_OF = {
    "common": "00000000-0000-7000-8000-000000000001",
    "group": "00000000-0000-7000-8000-000000000002",
}
NAME_OF = {chat_id: name for name, chat_id in ID_OF.items()}
Question = TypeVar("Question", s.Fetch, s.AskChanges)
INBOX: dict[str, dict[str, Any]] = {
    "chat_added": {"name": "group", "title": "group", "kind": "group"},
    "renamed": {"name": "me"},
}
"""What an event of the inbox has besides what a case says of it."""
SECRET = b"s" * 32
FILE = Path(__file__).parent.parent / "cases" / "session.json"
CASES = json.loads(FILE.read_text())


def message(
    seq: int, author: str = "other", revision: int = 0
) -> dict[str, Any]:
    return {
        "id": f"00000000-0000-7000-8000-{seq:012x}",
        "seq": seq,
        "created": "2026-01-01T00:00:00.000000+00:00",
        "author": {"id": ME if author == "me" else OTHER, "name": author},
        "text": f"text {seq}",
        "is_comment_on": None,
        "comments": 0,
        "files": [],
        "revision": revision,
    }


def sync(given: dict[str, Any]) -> results.Sync:
    key = {"id": 1, "secret": SECRET}
    chats = [
        {
            "id": ID_OF[one["chat"]],
            "name": one.get("name", one["chat"]),
            "title": one.get("name", one["chat"]),
            "kind": "common" if one["chat"] == "common" else "group",
            "head": one.get("head", 0),
            "revision": one.get("revision", 0),
            "read": one.get("read", 0),
            "unread": one.get("unread", 0),
            "mentions": 0,
            "requests": 0,
            "event_key": None if one["chat"] == "common" else key,
        }
        for one in given["chats"]
    ]
    user = {
        "id": ME,
        "name": "me",
        "role": "member",
        "banned_until": None,
        "quota": None,
        "receipts": True,
    }
    document = {
        "epoch": given.get("epoch", "e"),
        "gaps": 0,
        "inbox": given.get("inbox", 0),
        "inbox_key": key,
        "user": user,
        "scheduled": 0,
        "chats": chats,
    }
    return msgspec.convert(document, results.Sync)


class Script:
    """A session that is told the steps of a case."""

    def __init__(self) -> None:
        self.session = s.Session(ME, 5.0)
        self.now = 0.0
        self._sync = sync({"chats": []})
        self._asked: list[s.Fetch | s.AskChanges] = []
        self._revisions: Counter[str] = Counter()

    def take(self, step: dict[str, Any]) -> list[str]:
        commands = self._commands(step)
        return [text for text in map(self._text, commands) if text]

    def _commands(self, step: dict[str, Any]) -> list[s.Command]:
        match step["do"]:
            case "connect":
                return self._live(self.session.connected(self.now), True)
            case "disconnect":
                return self.session.disconnected()
            case "tick":
                return self._live(self.session.tick(self.now))
            case "sync":
                self._sync = sync(step)
                return self._live(self.session.synced(self._sync))
            case "refuse_sync":
                return self.session.sync_refused()
            case "page":
                return self._live(self._page(step))
            case "refuse":
                fetch = self._question(s.Fetch, step["chat"])
                return self._live(self.session.fetch_refused(fetch))
            case "changes":
                return self._live(self._changes(step))
            case _:
                return self._live(self._published(step))

    def _live(
        self, commands: list[s.Command], is_first: bool = False
    ) -> list[s.Command]:
        """The commands, with each barrier come back."""
        found: list[s.Command] = []
        for command in commands:
            if not isinstance(command, s.Subscribe):
                found.append(command)
                continue
            more = self.session.live(command)
            if is_first:
                found += more
                continue
            assert s.AskSync() in more
            found += [one for one in more if one != s.AskSync()]
            found += self._live(self.session.synced(self._sync))
        return found

    def _published(self, step: dict[str, Any]) -> list[s.Command]:
        event = {"event": step["do"]}
        for name in ("seq", "name", "revision", "inbox", "user"):
            if name in step:
                event[name] = step[name]
        chat_id = ID_OF.get(step.get("chat", ""))
        if chat_id is not None:
            event["chat_id"] = chat_id
        if step["do"] == "inbox":
            event |= INBOX.get(step["event"], {}) | {"event": step["event"]}
            return self._send(topics.inbox_topic(ME), event, True)
        assert chat_id is not None
        if step["do"] == "message":
            event["message"] = message(
                step["seq"], step.get("author", "other")
            )
        if step["do"] == "change":
            event["event"] = "message_changed"
            event["message"] = message(step["seq"], revision=step["revision"])
            del event["seq"]
        if step["do"] == "rename":
            event["event"] = "chat_renamed"
            self._revisions[chat_id] += 1
            event["revision"] = self._revisions[chat_id]
        if step["do"] == "head":
            event.setdefault("revision", 0)
        topic = topics.chat_topic(chat_id)
        return self._send(topic, event, step["chat"] != "common")

    def _send(
        self, topic: bytes, event: dict[str, Any], is_sealed: bool
    ) -> list[s.Command]:
        plain = codec.pack(event)
        body = (
            sealing.seal(1, SECRET, topic, plain, b"n" * 12)
            if is_sealed
            else plain
        )
        return self.session.published(topic, body)

    def _page(self, step: dict[str, Any]) -> list[s.Command]:
        page = msgspec.convert(
            {
                "messages": [message(seq) for seq in step["seqs"]],
                "has_older": False,
                "has_newer": step.get("has_newer", False),
                "head": step["head"],
            },
            results.History,
        )
        fetch = self._question(s.Fetch, step["chat"])
        return self.session.fetched(fetch, page)

    def _changes(self, step: dict[str, Any]) -> list[s.Command]:
        name = step["chat"]
        key = None if name == "common" else {"id": 1, "secret": SECRET}
        found = msgspec.convert(
            {
                "revision": step["revision"],
                "more": step.get("more", False),
                "messages": [
                    message(seq, revision=revision)
                    for seq, revision in step["changed"]
                ],
                "renamed": [
                    {"id": OTHER, "name": "other", "revision": revision}
                    for revision in step.get("renamed", [])
                ],
                "chat": {
                    "name": name,
                    "title": name,
                    "owner_id": None,
                    "size": 2,
                    "event_key": key,
                },
            },
            results.Changes,
        )
        return self.session.changed(self._question(s.AskChanges, name), found)

    def _question(self, kind: type[Question], chat: str) -> Question:
        """The oldest question of that kind about a chat."""
        for one in self._asked:
            if isinstance(one, kind) and one.chat_id == ID_OF[chat]:
                self._asked.remove(one)
                return one
        raise AssertionError(f"no {kind.__name__} of {chat} was asked")

    def _text(self, command: s.Command) -> str:
        match command:
            case s.AskSync():
                return "sync"
            case s.Fetch(chat_id, after):
                self._asked.append(command)
                return f"fetch {NAME_OF[chat_id]} {after}"
            case s.AskChanges(chat_id, after):
                self._asked.append(command)
                return f"changes {NAME_OF[chat_id]} {after}"
            case s.Deliver(events.MessageSent(chat_id=chat_id, seq=seq)):
                return f"message {NAME_OF[chat_id]} {seq}"
            case s.Deliver(events.Event() as event):
                name = events.name_of(type(event))
                about = getattr(event, "chat_id", None)
                return f"{name} {NAME_OF[about]}" if about else name
            case s.Deliver(s.CaughtUp()):
                return "caught_up"
            case s.Deliver(s.Restored()):
                return "restored"
            case _:
                return ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case: dict[str, Any]) -> None:
    script = Script()
    if "chats" in case:
        script.take({"do": "connect"})
        script.take(
            {
                "do": "sync",
                "chats": case["chats"],
                "inbox": case.get("inbox", 0),
            }
        )
    for index, step in enumerate(case["steps"]):
        assert script.take(step) == step["out"], f"step {index}"
        for chat, unread in step.get("unread", {}).items():
            assert script.session.chats[ID_OF[chat]].unread == unread

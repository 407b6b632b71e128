"""The model that sessions are tried against, held to the real rules.

The same acts on both must give the same answers and the same events, so that
the model behaves no better than a broker.
"""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.session_servers import ModelServer, RuleServer, Server
from tests.unit.test_session_model import real_server
from zchat.client.session import AskChanges, Fetch
from zchat.rpc import events, sealing, topics

ACTS = ("post", "own", "edit", "rename", "rename_me", "read", "come_or_go")
TOLD_APART = {"head", "inbox_head"}
"""Told by a timer, which the two servers run at other times."""


def act(server: Server, name: str, number: int) -> None:
    chat, back = number % 3, number // 3
    match name:
        case "post":
            server.post(chat)
        case "own":
            server.post(chat, mine=True)
        case "edit":
            server.edit(chat, back)
        case "rename":
            server.rename(chat)
        case "rename_me":
            server.rename_me()
        case "read":
            server.read(chat)
        case "come_or_go":
            server.come_or_go(chat)


def state(server: Server, revisions: dict[str, int]) -> Any:
    """What a device can ask, without ids and the words of names.

    Counts are told from where the server began.
    """
    sync = server.sync()
    numbers = {id: number for number, id in enumerate(server.chats)}
    found: dict[int, Any] = {}
    for chat in sync.chats:
        start = revisions[chat.id]
        pages = [
            page and [message.seq for message in page.messages]
            for after in range(chat.head + 1)
            for page in [server.history(Fetch(chat.id, after, 200))]
        ]
        ends = [
            page and (page.has_older, page.has_newer, page.head)
            for after in range(chat.head + 1)
            for page in [server.history(Fetch(chat.id, after, 200))]
        ]
        changes = [
            page
            and (
                page.revision - start,
                page.more,
                [(m.seq, m.revision - start) for m in page.messages],
            )
            for after in range(start, chat.revision + 1)
            for page in [server.changes(AskChanges(chat.id, after, 200))]
        ]
        found[numbers[chat.id]] = (
            chat.kind,
            chat.head,
            chat.revision - start,
            chat.read,
            chat.unread,
            chat.mentions,
            chat.requests,
            pages,
            ends,
            changes,
        )
    return found


def told(server: Server) -> list[tuple[str, str]]:
    """Names and topics of what was published since the last look."""
    keys: dict[bytes, dict[int, bytes]] = {}
    sync = server.sync()
    inbox = topics.inbox_topic(server.me)
    keys[inbox] = {sync.inbox_key.id: sync.inbox_key.secret}
    numbers = {
        topics.chat_topic(id): f"chat {number}"
        for number, id in enumerate(server.chats)
    }
    numbers[inbox] = "inbox"
    found = []
    for topic, body in server.published:
        if topic not in numbers:
            continue
        plain: bytes | None = body
        number = sealing.key_number(body)
        if topic == inbox and number is not None:
            plain = sealing.unseal(keys[topic][number], topic, body)
        elif topic != topics.chat_topic(server.chats[0]):
            plain = None
        event = events.decode_event(plain) if plain else None
        name = events.name_of(type(event)) if event else "sealed"
        if name not in TOLD_APART:
            found.append((name, numbers[topic]))
    server.published.clear()
    return found


@given(
    st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 8)), max_size=25)
)
@settings(max_examples=25, deadline=None)
def test_the_model_answers_as_the_rules_do(
    acts: list[tuple[str, int]],
) -> None:
    with real_server() as real:
        model = ModelServer()
        start, model_start = real.revisions(), model.revisions()
        for name, number in acts:
            act(real, name, number)
            act(model, name, number)
            assert told(model) == told(real), name
        assert state(model, model_start) == state(real, start)


@pytest.mark.parametrize("chat", [0, 1, 2])
def test_who_is_not_in_a_chat_gets_nothing(tmp_path: Path, chat: int) -> None:
    server = RuleServer(tmp_path)
    for each in (server, ModelServer()):
        page = each.history(Fetch(each.chats[chat], 0, 200))
        assert (page is None) is (chat == 2)
    server.close()

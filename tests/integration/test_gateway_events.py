"""`GET /events` of the real program: decrypted, in order, resumable."""

import pytest

from tests.event_stream import Stream
from tests.program import Program, User, wait_until


def send(
    program: Program, user: User, text: str, chat: str | None = None
) -> None:
    sent = program.ask(
        "POST", "/send", {"message": text, "chat_id": chat}, user.bearer
    )
    assert sent.status == 200


def p2p(program: Program, user: User, other: User) -> str:
    made = program.ask(
        "POST", "/connect_p2p", {"other_user_id": other.id}, user.bearer
    )
    found: str = made.json["chat_id"]
    return found


def test_messages_and_notices_come_decrypted(
    program: Program, ann: User, bob: User
) -> None:
    with Stream(program.port, ann) as stream:
        stream.until("caught_up")
        send(program, bob, "to all")
        event = stream.until("message")[-1]
        assert event.data["message"]["text"] == "to all"
        assert event.data["message"]["author"]["id"] == bob.id
        assert event.data["seq"] == event.data["message"]["seq"]
        chat = p2p(program, bob, ann)
        assert stream.until("chat_added")[-1].data["chat_id"] == chat
        send(program, bob, "to you", chat)
        event = stream.until("message")[-1]
        assert (event.data["chat_id"], event.data["message"]["text"]) == (
            chat,
            "to you",
        )


def test_a_stream_goes_on_after_the_last_event_id(
    program: Program, ann: User, bob: User
) -> None:
    chat = p2p(program, ann, bob)
    with Stream(program.port, ann) as stream:
        stream.until("caught_up")
        send(program, bob, "seen", chat)
        last_id = stream.until("message")[-1].id
    for number in range(3):
        send(program, bob, f"private {number}", chat)
    carol = program.user()
    new_chat = p2p(program, carol, ann)
    send(program, carol, "from a chat made meanwhile", new_chat)
    with Stream(program.port, ann, last_id) as stream:
        events = stream.until("caught_up")
        came = [
            event.data["message"]["text"]
            for event in events
            if event.name == "message"
        ]
        in_new_chat = [
            event.name
            for event in events
            if event.data.get("chat_id") == new_chat
        ]
        assert in_new_chat == ["chat_added", "message"]
        assert sorted(came) == [
            "from a chat made meanwhile",
            "private 0",
            "private 1",
            "private 2",
        ]
        assert [text for text in came if "private" in text] == [
            "private 0",
            "private 1",
            "private 2",
        ]
        send(program, bob, "after", chat)
        assert stream.texts(1) == ["after"]


def test_every_id_resumes_where_it_was_given(
    program: Program, ann: User, bob: User
) -> None:
    chat = p2p(program, ann, bob)
    with Stream(program.port, ann) as stream:
        ids = [stream.until("caught_up")[-1].id]
        for number in range(4):
            send(program, bob, str(number), chat)
            ids.append(stream.until("message")[-1].id)
    assert len(set(ids)) == 5
    for number, last_id in enumerate(ids):
        with Stream(program.port, ann, last_id) as stream:
            texts = [
                event.data["message"]["text"]
                for event in stream.until("caught_up")
                if event.name == "message"
            ]
            assert texts == [str(later) for later in range(number, 4)]


def test_who_is_no_member_hears_nothing(
    program: Program, ann: User, bob: User
) -> None:
    stranger = program.user()
    chat = p2p(program, ann, bob)
    with Stream(program.port, stranger) as stream:
        stream.until("caught_up")
        send(program, ann, "secret", chat)
        send(program, ann, "open")
        assert stream.texts(1) == ["open"]


def test_one_who_was_removed_hears_no_more(
    program: Program, ann: User, bob: User
) -> None:
    chat = program.ask("POST", "/chats", {"name": "garden"}, ann.bearer).json[
        "chat_id"
    ]
    program.ask(
        "POST", f"/chats/{chat}/invite", {"user_id": bob.id}, ann.bearer
    )
    with Stream(program.port, bob) as stream:
        stream.until("caught_up")
        send(program, ann, "before", chat)
        assert stream.texts(1) == ["before"]
        program.ask(
            "POST", f"/chats/{chat}/remove", {"user_id": bob.id}, ann.bearer
        )
        assert stream.until("chat_removed")[-1].data["chat_id"] == chat
        send(program, ann, "after", chat)
        send(program, ann, "to all")
        assert stream.texts(1) == ["to all"]


def test_two_streams_of_one_user_hear_the_same(
    program: Program, ann: User, bob: User
) -> None:
    with (
        Stream(program.port, ann) as first,
        Stream(program.port, ann) as second,
    ):
        for stream in (first, second):
            stream.until("caught_up")
        for number in range(20):
            send(program, bob, str(number))
        texts = [str(number) for number in range(20)]
        assert first.texts(20) == second.texts(20) == texts


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", {}, 401),
        ("?user_id=nobody", {}, 401),
        ("?user_id=TOKEN&bogus=1", {}, 400),
        ("?user_id=TOKEN", {"Last-Event-ID": "AAAA"}, 400),
        ("?user_id=TOKEN", {"Last-Event-ID": "\xe9"}, 400),
        ("?user_id=TOKEN&last_event_id=!", {}, 400),
        ("?ticket=", {}, 401),
        ("?ticket=unknown", {}, 401),
        ("?user_id=TOKEN&ticket=unknown", {}, 400),
    ],
)
def test_a_faulty_stream_is_refused_before_it_begins(
    program: Program,
    ann: User,
    query: str,
    headers: dict[str, str],
    status: int,
) -> None:
    answer = program.ask(
        "GET", f"/events{query.replace('TOKEN', ann.token)}", None, headers
    )
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_stream_begins_with_where_it_stands(
    program: Program, ann: User
) -> None:
    with Stream(program.port, ann) as stream:
        first = stream.event()
        assert first.name == "open"
        assert first.data["user_id"] == ann.id
        assert first.data["resumed"] is False
        ready = program.ask("GET", "/readyz").json
        assert first.data["epoch"] == ready["epoch"]
        last_id = stream.until("caught_up")[-1].id
    with Stream(program.port, ann, last_id) as stream:
        names = [event.name for event in stream.until("caught_up")]
        assert names == ["open", "caught_up"]
    with Stream(program.port, ann, last_id) as stream:
        assert stream.event().data["resumed"] is True


def ticket_of(program: Program, user: User) -> str:
    answer = program.ask("POST", "/events/ticket", None, user.bearer)
    assert answer.status == 200
    assert answer.json["expires_in"] == 30
    found: str = answer.json["ticket"]
    assert user.token not in found
    return found


def test_a_ticket_opens_one_stream_of_its_user(
    program: Program, ann: User, bob: User
) -> None:
    ticket = ticket_of(program, ann)
    with Stream(program.port, query=f"ticket={ticket}") as stream:
        assert stream.event().data["user_id"] == ann.id
        last_id = stream.until("caught_up")[-1].id
    again = program.ask("GET", f"/events?ticket={ticket}")
    assert (again.status, again.json["code"]) == (401, "unauthorized")
    send(program, bob, "meanwhile")
    query = f"ticket={ticket_of(program, ann)}&last_event_id={last_id}"
    with Stream(program.port, query=query) as stream:
        assert stream.texts(1) == ["meanwhile"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (None, {}, 401),
        ({"user_id": "nobody"}, {}, 401),
        ({"bogus": 1}, {"Authorization": "Bearer TOKEN"}, 400),
        ({"user_id": "other"}, {"Authorization": "Bearer TOKEN"}, 403),
    ],
)
def test_only_a_user_gets_a_ticket(
    program: Program,
    ann: User,
    body: object,
    headers: dict[str, str],
    status: int,
) -> None:
    named = {
        name: value.replace("TOKEN", ann.token)
        for name, value in headers.items()
    }
    answer = program.ask("POST", "/events/ticket", body, named)
    assert answer.status == status


def test_a_closed_stream_is_forgotten(program: Program, ann: User) -> None:
    def are_open(count: int) -> bool:
        page = program.ask("GET", "/metrics").body.decode()
        return f"zchat_http_event_streams {count}.0" in page

    wait_until(lambda: are_open(0))
    with Stream(program.port, ann) as stream:
        stream.until("caught_up")
        assert are_open(1)
    wait_until(lambda: are_open(0))
    assert program.ask("HEAD", "/events", None, ann.bearer).status == 200
    wait_until(lambda: are_open(0))

"""Groups and links on the real program."""

from collections.abc import Callable, Iterator

import pytest

from tests.bare import Client, Failed, User, context, wait_until
from tests.server import running


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("rooms")
    with running(folder, free_port()) as server, context() as ctx:
        yield Client(ctx, server.rpc, server.events)


def members(user: User, chat_id: str) -> set[str]:
    people = user.call("users", chat_id=chat_id)["users"]
    return {person["id"] for person in people}


def group(owner: User, *others: User) -> str:
    chat_id: str = owner.call("create_chat", name="Club")["chat_id"]
    for other in others:
        owner.call("invite", chat_id=chat_id, user_id=other.id)
    return chat_id


def test_the_invited_see_what_comes_after_them(client: Client) -> None:
    ann, bob = client.users(2)
    chat_id = group(ann)
    ann.send("before", chat_id=chat_id)
    ann.call("invite", chat_id=chat_id, user_id=bob.id)
    ann.send("after", chat_id=chat_id)
    assert bob.texts(chat_id) == ["after"]
    assert ann.texts(chat_id) == ["before", "after"]
    ann.call("rename_chat", chat_id=chat_id, name="Society")
    [found] = [
        chat for chat in bob.call("chats")["chats"] if chat["id"] == chat_id
    ]
    assert (found["name"], found["kind"], found["size"]) == (
        "Society",
        "group",
        2,
    )


def test_only_the_owner_may_do_what_is_the_owners(client: Client) -> None:
    ann, bob, eve = client.users(3)
    chat_id = group(ann, bob)
    for method, params in (
        ("rename_chat", {"name": "Mine"}),
        ("invite", {"user_id": eve.id}),
        ("remove", {"user_id": ann.id}),
        ("invite_link", {}),
        ("invite_links", {}),
        ("join_requests", {}),
        ("approve", {"user_id": eve.id}),
        ("deny", {"user_id": eve.id}),
    ):
        member = bob.refused(method, chat_id=chat_id, **params)
        stranger = eve.refused(method, chat_id=chat_id, **params)
        assert (method, member.code) == (method, "forbidden")
        assert (method, stranger.code) == (method, "not_found")


def test_a_stranger_comes_in_when_the_owner_approves(client: Client) -> None:
    ann, bob, carl = client.users(3)
    chat_id = group(ann)
    made = ann.call("invite_link", chat_id=chat_id, max_uses=1)
    for user in (bob, carl, bob):
        assert user.call("join", link=made["link"]) == {"state": "pending"}
    waiting = ann.call("join_requests", chat_id=chat_id)["requests"]
    assert [request["user"]["id"] for request in waiting] == [bob.id, carl.id]
    assert bob.refused("history", chat_id=chat_id).code == "not_found"
    [link] = ann.call("invite_links", chat_id=chat_id)["links"]
    assert (link["uses"], link["max_uses"]) == (0, 1)
    ann.call("deny", chat_id=chat_id, user_id=carl.id)
    ann.call("approve", chat_id=chat_id, user_id=bob.id)
    assert members(bob, chat_id) == {ann.id, bob.id}
    assert ann.call("invite_links", chat_id=chat_id)["links"] == []
    assert ann.call("join_requests", chat_id=chat_id)["requests"] == []


def test_a_link_for_one_lets_one_in(client: Client) -> None:
    """Two wait; the use that counts is the first approval."""
    ann, bob, carl = client.users(3)
    chat_id = group(ann)
    link = ann.call("invite_link", chat_id=chat_id, max_uses=1)["link"]
    for user in (bob, carl):
        user.call("join", link=link)
    ids = [
        ann.post("approve", chat_id=chat_id, user_id=user.id)
        for user in (bob, carl)
    ]
    answers = ann.caller.answers(2)
    assert answers[ids[0]].error is None
    refusal = answers[ids[1]].error
    assert refusal is not None
    assert refusal["code"] in ("conflict", "not_found")
    assert members(ann, chat_id) == {ann.id, bob.id}


def test_every_dead_link_gets_the_same_answer(client: Client) -> None:
    ann, bob, carl = client.users(3)
    chat_id = group(ann)

    def link(**how: int) -> str:
        made: str = ann.call("invite_link", chat_id=chat_id, **how)["link"]
        return made

    expired, used, revoked = link(expires_in=1), link(max_uses=1), link()
    bob.call("join", link=used)
    ann.call("approve", chat_id=chat_id, user_id=bob.id)
    ann.call("revoke_link", link=revoked)
    unknown = "01890000-0000-4000-8000-000000000000"

    def answer(dead: str) -> tuple[str, str, str]:
        try:
            return ("alive", str(carl.call("join", link=dead)), "")
        except Failed as failed:
            return failed.code, failed.message, str(failed.data)

    wait_until(lambda: answer(expired)[0] != "alive", "the link expires")
    answers = {answer(dead) for dead in (expired, used, revoked, unknown, "x")}
    assert len(answers) == 1
    assert answers.pop()[0] == "not_found"
    assert carl.refused("revoke_link", link=link()).code == "not_found"


def test_the_removed_are_out_with_their_next_request(client: Client) -> None:
    ann, bob = client.users(2)
    chat_id = group(ann, bob)
    bob.send("still here", chat_id=chat_id)
    ann.call("remove", chat_id=chat_id, user_id=bob.id)
    for method, params in (
        ("send", {"text": "x"}),
        ("history", {}),
        ("users", {}),
        ("read", {"seq": 1}),
    ):
        refused = bob.refused(method, chat_id=chat_id, **params)
        assert refused.code == "not_found"
    own = ann.refused("remove", chat_id=chat_id, user_id=ann.id)
    assert own.code == "bad_request"


def test_an_owners_exit_hands_over_and_the_last_ones_deletes(
    client: Client,
) -> None:
    ann, bob, carl = client.users(3)
    before = ann.call("status")["chats_count"]
    chat_id = group(ann, bob, carl)
    ann.call("exit", chat_id=chat_id)
    bob.call("rename_chat", chat_id=chat_id, name="Bob's")
    bob.call("exit", chat_id=chat_id)
    carl.call("invite", chat_id=chat_id, user_id=ann.id)
    for user in (carl, ann):
        user.call("exit", chat_id=chat_id)
    assert ann.call("status")["chats_count"] == before
    assert carl.refused("history", chat_id=chat_id).code == "not_found"


def test_many_come_and_go_at_once(client: Client) -> None:
    """Pipelined invitations and exits leave the right size behind."""
    ann, *others = client.users(12)
    chat_id = group(ann)
    for _ in range(3):
        for user in others:
            ann.post("invite", chat_id=chat_id, user_id=user.id)
        ann.caller.answers(len(others))
        for user in others:
            user.post("exit", chat_id=chat_id)
        for user in others:
            assert user.caller.answer().error is None
    found = ann.call("chats", chat_id=chat_id)["history"]
    assert found["size"] == 1
    assert members(ann, chat_id) == {ann.id}

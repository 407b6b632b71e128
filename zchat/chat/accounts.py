"""Users: making one, coming back, names, and the state of the server."""

from typing import Final

from zchat.chat.expiry import NOTHING_EARLIER, Earlier, load_earlier
from zchat.chat.memberships import enter, refuse_to_return_yet
from zchat.chat.moderation import quota_of
from zchat.chat.phases import Reading, StaleRead, Turn, Writing
from zchat.chat.rules import reads, writes
from zchat.errors import Code, Refused
from zchat.model import CHATS, CHUNK_BYTES, USERS, Chat, User, time_text
from zchat.queries import COUNT_CHATS, COUNT_CHATS_OF_USER
from zchat.rpc import (
    FILES_PER_MESSAGE,
    HEARTBEAT_SECONDS,
    PAGE_LIMIT,
    PROTOCOL,
    REQUEST_BYTES,
    SCHEDULED_LIMIT,
    results,
)
from zchat.rpc import (
    params as given,
)
from zchat.rpc.credentials import token_hash

BY_NAME: Final = 1


@reads("hello")
async def hello(
    work: Reading, caller_id: str | None, params: given.Hello
) -> results.Hello:
    """Who answers, where the events are, and the limits."""
    rules = work.rules
    return results.Hello(
        protocol=PROTOCOL,
        server=f"zchat/{work.facts.version}",
        epoch=work.facts.epoch,
        events=work.facts.events,
        heartbeat=HEARTBEAT_SECONDS,
        limits=results.Limits(
            text=rules.max_text,
            name=32,
            page=PAGE_LIMIT,
            history_depth=rules.history_depth,
            file_bytes=rules.max_file_bytes,
            files_per_message=FILES_PER_MESSAGE,
            chunk_size=CHUNK_BYTES,
            request_bytes=REQUEST_BYTES,
            scheduled=SCHEDULED_LIMIT,
            idempotency_key=64,
        ),
    )


@writes("connect")
async def connect(
    work: Writing, caller_id: str | None, params: given.Connect
) -> results.Connected:
    """Make a user in the common chat, or come back as one."""
    if caller_id is not None:
        return await _come_back(work, caller_id, params.token)
    name = params.name
    if name is None:
        name = f"user-{work.entropy.word()}"
    _check_name(name)
    await work.load_unique(USERS, BY_NAME, name.casefold())
    await work.load(CHATS, work.common_id)
    turn = await work.turn()
    if turn.get_unique(USERS, BY_NAME, name.casefold()) is not None:
        if params.name is None:
            raise StaleRead
        raise _name_taken()
    token = turn.entropy.token()
    digest = token_hash(token)
    assert digest is not None
    user = turn.put(
        USERS,
        User(
            id=turn.entropy.id(turn.now),
            token_hash=digest,
            name=name,
            name_key=name.casefold(),
            created=turn.now,
            inbox_number=1,
            inbox_secret=turn.entropy.secret(32),
        ),
    )
    turn.note("user_made", user_id=user.id)
    _enter_common(turn, turn.chat(turn.common_id), user, NOTHING_EARLIER)
    return results.Connected(
        token=token,
        user_id=user.id,
        name=user.name,
        chat_default=turn.common_id,
    )


async def _come_back(
    work: Writing, caller_id: str, token: str
) -> results.Connected:
    await work.load_membership(work.common_id, caller_id)
    earlier = await load_earlier(work, work.common_id, caller_id)
    turn = await work.turn()
    user = turn.user(caller_id)
    if turn.membership(turn.common_id, caller_id) is None:
        refuse_to_return_yet(turn, turn.common_id, caller_id)
        _enter_common(turn, turn.chat(turn.common_id), user, earlier)
    return results.Connected(
        token=token,
        user_id=user.id,
        name=user.name,
        chat_default=turn.common_id,
    )


def _enter_common(
    turn: Turn, chat: Chat, user: User, earlier: Earlier
) -> None:
    """A newcomer sees the last `history_depth` messages before it."""
    first = max(1, chat.head - turn.rules.history_depth + 1)
    enter(turn, chat, user, first, earlier)


def _check_name(name: str) -> None:
    if name != name.strip() or not name.isprintable():
        raise Refused(
            Code.BAD_REQUEST,
            (
                "A name must not start or end with a space or contain "
                "control characters."
            ),
            field="name",
        )


def _name_taken() -> Refused:
    return Refused(
        Code.CONFLICT,
        (
            "This name is taken. Choose another, or connect with the token "
            "of that user."
        ),
        field="name",
    )


@writes("rename")
async def rename(
    work: Writing, caller_id: str, params: given.Rename
) -> results.NewName:
    """Change the caller's name; unique without regard to case."""
    _check_name(params.name)
    await work.load_unique(USERS, BY_NAME, params.name.casefold())
    turn = await work.turn()
    holder = turn.get_unique(USERS, BY_NAME, params.name.casefold())
    if holder is not None and holder.id != caller_id:
        raise _name_taken()
    user = turn.user(caller_id)
    if user.name != params.name:
        user = turn.change(
            USERS, user, name=params.name, name_key=params.name.casefold()
        )
        turn.tell_user(user, "renamed", name=user.name)
    return results.NewName(name=user.name)


@reads("status")
async def status(
    work: Reading, caller_id: str, params: given.Status
) -> results.Status:
    """The server's state and the caller's."""
    chats = await work.ask(COUNT_CHATS)
    own = await work.ask(COUNT_CHATS_OF_USER, user_id=caller_id)
    user = work.user(caller_id)
    banned = user.banned_until is not None and user.banned_until > work.now
    most, now = work.facts.connections()
    return results.Status(
        time=time_text(work.now),
        connections_db_max=most,
        connections_db_now=now,
        chat_default=work.common_id,
        chats_count=chats[0].count,
        chats_with_user_count=own[0].count,
        user=results.StatusUser(
            id=user.id,
            name=user.name,
            banned_until=time_text(user.banned_until or 0) if banned else None,
            quota=quota_of(work, user),
        ),
    )

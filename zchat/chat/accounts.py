"""Users: making one, coming back, names, and the state of the server."""

from typing import Final

from zchat.chat.awaitables import gather
from zchat.chat.chats import places_of
from zchat.chat.expiry import NOTHING_EARLIER, Earlier, load_earlier
from zchat.chat.jobs import NoParams, Progress
from zchat.chat.memberships import enter, person, refuse_to_return_yet
from zchat.chat.moderation import banned_until, quota_of
from zchat.chat.names import (
    BY_LOOKS,
    BY_NAME,
    LONGEST_NAME,
    kept_name,
    name_key,
    problem_of,
    skeleton,
)
from zchat.chat.paces import Pace
from zchat.chat.phases import Reading, StaleRead, Turn, View, Writing
from zchat.chat.quotas import admit_user
from zchat.chat.registration import invited, load_invite, use_invite
from zchat.chat.rules import reads, writes
from zchat.chat.subjects import Subject
from zchat.errors import Code, Refused
from zchat.model import (
    CHATS,
    CHUNK_BYTES,
    MEMBERS,
    USERS,
    Chat,
    User,
    time_text,
)
from zchat.queries import COUNT_CHATS, COUNT_CHATS_OF_USER, PLAIN_NAMES
from zchat.rpc import (
    FILES_PER_MESSAGE,
    HEARTBEAT_SECONDS,
    PAGE_LIMIT,
    PROTOCOL,
    REACTIONS_LIMIT,
    REQUEST_BYTES,
    SCHEDULED_LIMIT,
    events,
    results,
)
from zchat.rpc import (
    params as given,
)
from zchat.rpc.credentials import token_hash
from zchat.rpc.sealing import SECRET_BYTES

NAMES_PAGE: Final = 200


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
        registration=rules.registration,
        limits=results.Limits(
            text=rules.max_text,
            name=LONGEST_NAME,
            page=PAGE_LIMIT,
            history_depth=rules.history_depth,
            file_bytes=rules.max_file_bytes,
            files_per_message=FILES_PER_MESSAGE,
            chunk_size=CHUNK_BYTES,
            request_bytes=REQUEST_BYTES,
            scheduled=SCHEDULED_LIMIT,
            idempotency_key=64,
            edit_seconds=rules.edit_seconds,
            reactions=REACTIONS_LIMIT,
        ),
    )


@writes("connect")
async def connect(
    work: Writing, caller_id: str | None, params: given.Connect
) -> results.Connected:
    """Make a user in the common chat, or come back as one."""
    if caller_id is not None:
        return await _come_back(work, caller_id, params.token)
    await load_invite(work, params.invite)
    if params.name is None:
        name = f"user-{work.entropy.word()}"
    else:
        name = _checked_name(params.name)
    await _load_namesakes(work, name)
    await work.load(CHATS, work.common_id)
    turn = await work.turn()
    invite = invited(turn, params.invite)
    if _namesakes(turn, name):
        if params.name is None:
            raise StaleRead
        raise _name_taken()
    admit_user(turn)
    use_invite(turn, invite)
    token = turn.entropy.token()
    digest = token_hash(token)
    assert digest is not None
    user = turn.put(
        USERS,
        User(
            id=turn.entropy.id(turn.now),
            token_hash=digest,
            name=name,
            name_key=name_key(name),
            created=turn.now,
            inbox_number=1,
            inbox_secret=turn.entropy.secret(SECRET_BYTES),
            last_seen=turn.now,
            name_skeleton=skeleton(name),
        ),
    )
    turn.note("user_made", user_id=user.id)
    enter_common(turn, turn.chat(turn.common_id), user, NOTHING_EARLIER)
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
        enter_common(turn, turn.chat(turn.common_id), user, earlier)
    return results.Connected(
        token=token,
        user_id=user.id,
        name=user.name,
        chat_default=turn.common_id,
    )


def enter_common(turn: Turn, chat: Chat, user: User, earlier: Earlier) -> None:
    """A newcomer sees the last `history_depth` messages before it."""
    first = max(1, chat.head - turn.rules.history_depth + 1)
    enter(turn, chat, user, first, earlier)


def _checked_name(name: str) -> str:
    """The name as it is kept; refused where nobody may have it."""
    kept = kept_name(name)
    problem = problem_of(kept)
    if problem is not None:
        raise Refused(Code.BAD_REQUEST, problem, field="name")
    return kept


async def _load_namesakes(work: Writing, name: str) -> None:
    await work.load_unique(USERS, BY_NAME, name_key(name))
    await work.load_unique(USERS, BY_LOOKS, skeleton(name))


def _namesakes(view: View, name: str) -> set[str]:
    """The ids of the users who have this name, or one that looks it."""
    holders = (
        view.get_unique(USERS, BY_NAME, name_key(name)),
        view.get_unique(USERS, BY_LOOKS, skeleton(name)),
    )
    return {user.id for user in holders if user is not None}


def _name_taken() -> Refused:
    return Refused(
        Code.CONFLICT,
        "This name is taken, or looks like one that is. Choose another, "
        "or connect with the token of that user.",
        field="name",
    )


@writes("rename")
async def rename(
    work: Writing, caller_id: str, params: given.Rename
) -> results.NewName:
    """Change the caller's name; all chats of the caller are told."""
    name = _checked_name(params.name)
    await _load_namesakes(work, name)
    places = await places_of(work, caller_id)
    turn = await work.turn()
    turn.require_fresh(Subject.CHATS_OF, caller_id)
    if _namesakes(turn, name) - {caller_id}:
        raise _name_taken()
    user = turn.user(caller_id)
    if user.name == name:
        return results.NewName(name=name)
    turn.spend(Pace.RENAMES, caller_id)
    user = turn.change(
        USERS,
        user,
        name=name,
        name_key=name_key(name),
        name_skeleton=skeleton(name),
    )
    for place in places:
        chat = turn.tell_change(
            events.MemberRenamed(chat_id=place.chat.id, user=person(user))
        )
        member = turn.place(chat.id, user.id).member
        turn.change(MEMBERS, member, renamed=chat.revision)
    turn.tell_user(user.id, events.Renamed(name=name))
    return results.NewName(name=name)


async def compare_names(
    work: Writing, caller_id: None, params: NoParams
) -> Progress:
    """Work out how a page of older names look, once.

    Where one looks like another user's, both keep theirs; only the
    first is what new names are compared with.
    """
    plain = await work.ask(PLAIN_NAMES, limit=NAMES_PAGE)
    await work.load_all(USERS, [found.id for found in plain])
    await gather(
        [
            work.load_unique(
                USERS, BY_LOOKS, skeleton(work.user(found.id).name)
            )
            for found in plain
        ]
    )
    turn = await work.turn()
    for found in plain:
        user = turn.user(found.id)
        if user.name_skeleton is None:
            looks = skeleton(user.name)
            if turn.get_unique(USERS, BY_LOOKS, looks) is not None:
                looks = f"={user.id}"
            turn.change(USERS, user, name_skeleton=looks)
    return Progress(more=len(plain) == NAMES_PAGE)


@reads("status")
async def status(
    work: Reading, caller_id: str, params: given.Status
) -> results.Status:
    """The server's state and the caller's."""
    chats = await work.ask(COUNT_CHATS)
    own = await work.ask(COUNT_CHATS_OF_USER, user_id=caller_id)
    user = work.user(caller_id)
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
            banned_until=banned_until(work, user),
            quota=quota_of(work, user),
        ),
    )

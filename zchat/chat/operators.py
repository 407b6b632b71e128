"""What operators do: accounts and roles, announcements, the audit log,
and how the server is."""

from typing import Final

import msgspec

from zchat.chat.accounts import enter_common
from zchat.chat.changes import bury, load_burial
from zchat.chat.chats import hand_on, places_of
from zchat.chat.erasure import begin
from zchat.chat.expiry import NOTHING_EARLIER
from zchat.chat.jobs import BackUp
from zchat.chat.memberships import NIL_ID, leave
from zchat.chat.mentions import load_mentioned, mentioned_in
from zchat.chat.messages import Draft, append, check_text
from zchat.chat.names import BY_NAME, name_key
from zchat.chat.own_account import replace_token
from zchat.chat.phases import Reading, Turn, Writing
from zchat.chat.roles import (
    open_subject,
    record,
    require,
    require_operator,
    subject,
)
from zchat.chat.rules import reads, writes
from zchat.chat.subjects import Subject
from zchat.errors import Code, Refused
from zchat.model import (
    ADMIN,
    CHATS,
    ERASURES,
    GROUP,
    LAST_ID,
    MEMBER,
    MESSAGES,
    OPERATOR_ID,
    USERS,
    Membership,
    User,
    time_text,
)
from zchat.queries import (
    ACCOUNTS_PAGE,
    AUDIT_PAGE,
    CANCEL_SCHEDULED,
    COUNT_ALL,
    NEXT_OWNER,
    RELEASE_SCHEDULED_FILES,
    WITHDRAW_REQUESTS,
)
from zchat.rpc import PAGE_LIMIT, events
from zchat.rpc import operator_params as given
from zchat.rpc import operator_results as results
from zchat.rpc.credentials import token_hash
from zchat.rpc.results import Empty, Person, Sent
from zchat.rpc.sealing import SECRET_BYTES

LAST_CHARACTER: Final = "\U0010ffff"
ANY: Final = -1
_OPERATOR_NAME: Final = "operator"
_decode_detail: Final = msgspec.json.Decoder(dict[str, str | int]).decode


@reads("accounts")
async def accounts(
    work: Reading, caller_id: str | None, params: given.Accounts
) -> results.Accounts:
    """A page of accounts by id; `name` is how their names begin."""
    require(work, caller_id, ADMIN)
    begins = name_key(params.name or "")
    found = await work.ask(
        ACCOUNTS_PAGE,
        now=work.now,
        after=params.after or NIL_ID,
        name=begins,
        beyond=begins + LAST_CHARACTER,
        first_id=params.user_id or NIL_ID,
        last_id=params.user_id or LAST_ID,
        role=params.role or "",
        banned=ANY if params.banned is None else int(params.banned),
        limit=params.limit or PAGE_LIMIT,
    )
    return results.Accounts(
        users=[
            results.Account(
                id=row.id,
                name=row.name,
                role=row.role,
                created=time_text(row.created),
                last_seen=_text(row.last_seen),
                banned_until=_text(
                    row.banned_until
                    if row.banned_until and row.banned_until > work.now
                    else None
                ),
                closed=_text(row.closed),
                warnings=row.warnings,
                chats=row.chats,
                scheduled=row.scheduled,
            )
            for row in found
        ]
    )


def _text(moment: int | None) -> str | None:
    return None if moment is None else time_text(moment)


@writes("set_role")
async def set_role(
    work: Writing, caller_id: str | None, params: given.SetRole
) -> Empty:
    """Give a user another role."""
    require(work, caller_id, ADMIN)
    await work.load(USERS, params.user_id)
    turn = await work.turn()
    actor = require(turn, caller_id, ADMIN)
    user = open_subject(turn, actor, params.user_id)
    if user.role != params.role:
        turn.change(USERS, user, role=params.role)
        turn.tell_user(user.id, events.RoleChanged(role=params.role))
        record(
            turn, actor, "set_role", user.id, was=user.role, role=params.role
        )
    return Empty()


@writes("reset_token")
async def reset_token(
    work: Writing, caller_id: str | None, params: given.ResetToken
) -> results.ResetToken:
    """Give a user a new token; the old one and its keys open nothing."""
    require(work, caller_id, ADMIN)
    await work.load(USERS, params.user_id)
    places = await places_of(work, params.user_id)
    turn = await work.turn()
    actor = require(turn, caller_id, ADMIN)
    user = open_subject(turn, actor, params.user_id)
    turn.require_fresh(Subject.CHATS_OF, user.id)
    token = replace_token(turn, user.id, places)
    record(turn, actor, "reset_token", user.id)
    return results.ResetToken(token=token)


@writes("close_account")
async def close_account(
    work: Writing, caller_id: str | None, params: given.CloseAccount
) -> Empty:
    """End an account: its token is dead, it is in no chat and waits for
    none.

    To erase, it may have been closed before.
    """
    require(work, caller_id, ADMIN)
    user_id = params.user_id
    await work.load_each(((USERS, user_id), (ERASURES, user_id)))
    places = await places_of(work, user_id)
    heirs = await _load_heirs(work, user_id, places)
    turn = await work.turn()
    actor = require(turn, caller_id, ADMIN)
    allowed = subject if params.erase else open_subject
    user = allowed(turn, actor, user_id)
    if user.closed is None:
        _close(turn, user_id, places, heirs)
    if params.erase:
        begin(turn, user_id)
    detail = {"erase": 1} if params.erase else {}
    record(turn, actor, "close_account", user_id, **detail)
    return Empty()


def _close(
    turn: Turn,
    user_id: str,
    places: list[Membership],
    heirs: dict[str, str | None],
) -> None:
    turn.require_fresh(Subject.CHATS_OF, user_id)
    for place in places:
        if turn.chat(place.chat.id).owner_id == user_id:
            turn.require_fresh(Subject.MEMBERS, place.chat.id)
    for place in places:
        _leave(turn, place, heirs)
    turn.run(RELEASE_SCHEDULED_FILES, user_id=user_id, now=turn.now)
    turn.run(CANCEL_SCHEDULED, user_id=user_id)
    turn.run(WITHDRAW_REQUESTS, user_id=user_id)
    _shut_out(turn, turn.user(user_id))
    turn.change(USERS, turn.user(user_id), closed=turn.now, role=MEMBER)


async def _load_heirs(
    work: Writing, user_id: str, places: list[Membership]
) -> dict[str, str | None]:
    """Who gets each group that the user owns; None: nobody is left."""
    heirs: dict[str, str | None] = {}
    for chat, _ in places:
        if chat.kind == GROUP and chat.owner_id == user_id:
            found = await work.ask(
                NEXT_OWNER, chat_id=chat.id, user_id=user_id
            )
            heirs[chat.id] = found[0].id if found else None
            await work.load_all(USERS, [heir.id for heir in found])
    return heirs


def _leave(
    turn: Turn, place: Membership, heirs: dict[str, str | None]
) -> None:
    chat, member = turn.place(place.chat.id, place.member.user_id)
    heir = heirs.get(chat.id)
    if heir is not None:
        chat = hand_on(turn, chat, heir)
    leave(turn, chat, member, turn.user(member.user_id))


def _nobodys_token(turn: Turn) -> bytes:
    """The hash of a token that nobody is ever told."""
    digest = token_hash(turn.entropy.secret(SECRET_BYTES).hex())
    assert digest is not None
    return digest


def _shut_out(turn: Turn, user: User) -> None:
    """No token, and an inbox that the old devices cannot open."""
    turn.change(
        USERS,
        user,
        token_hash=_nobodys_token(turn),
        inbox_number=user.inbox_number + 1,
        inbox_secret=turn.entropy.secret(SECRET_BYTES),
    )


@writes("announce")
async def announce(
    work: Writing, caller_id: str | None, params: given.Announce
) -> Sent:
    """Say something to all in a chat, as the user `operator`."""
    require(work, caller_id, ADMIN)
    chat_id = params.chat_id or work.common_id
    await work.load_each(
        ((USERS, OPERATOR_ID), (CHATS, work.common_id), (CHATS, chat_id))
    )
    await work.load_unique(USERS, BY_NAME, _OPERATOR_NAME)
    await work.load_membership(work.common_id, OPERATOR_ID)
    everybody = await load_mentioned(work, chat_id, OPERATOR_ID, params.text)
    turn = await work.turn()
    actor = require(turn, caller_id, ADMIN)
    check_text(turn, params.text)
    if turn.get(CHATS, chat_id) is None:
        raise Refused(Code.NOT_FOUND, "Chat not found. Give its id.")
    author = turn.get(USERS, OPERATOR_ID) or _operator(turn)
    sent = append(
        turn,
        turn.chat(chat_id),
        author,
        Draft(
            author_id=author.id,
            chat_id=chat_id,
            text=params.text,
            comment_on=None,
        ),
        None,
        [],
        mentioned_in(
            turn, turn.chat(chat_id), author.id, params.text, everybody
        ),
    )
    record(turn, actor, "announce", sent.id, chat=chat_id)
    return sent


def _operator(turn: Turn) -> User:
    """The user that announcements are from, made with the first one.

    Whoever had the name before it was reserved keeps it.
    """
    name = _OPERATOR_NAME
    if turn.get_unique(USERS, BY_NAME, name) is not None:
        name = f"operator-{turn.entropy.word()}"
    user = turn.put(
        USERS,
        User(
            id=OPERATOR_ID,
            token_hash=_nobodys_token(turn),
            name=name,
            name_key=name,
            created=turn.now,
            inbox_number=1,
            inbox_secret=turn.entropy.secret(SECRET_BYTES),
        ),
    )
    enter_common(turn, turn.chat(turn.common_id), user, NOTHING_EARLIER)
    return turn.user(user.id)


@reads("audit")
async def audit(
    work: Reading, caller_id: str | None, params: given.AuditPage
) -> results.AuditEntries:
    """A page of what operators and moderators did, newest first."""
    require(work, caller_id, ADMIN)
    found = await work.ask(
        AUDIT_PAGE,
        before=params.after or LAST_ID,
        limit=params.limit or PAGE_LIMIT,
    )
    return results.AuditEntries(
        entries=[
            results.AuditEntry(
                id=row.id,
                created=time_text(row.created),
                actor=Person(id=row.actor_id, name=row.actor_name or "")
                if row.actor_id
                else None,
                action=row.action,
                subject=row.subject_id,
                subject_name=row.subject_name,
                detail=_decode_detail(row.detail),
            )
            for row in found
        ]
    )


@writes("delete_message")
async def delete_message(
    work: Writing, caller_id: str | None, params: given.DeleteMessage
) -> Empty:
    """Leave of any message the tombstone only."""
    require(work, caller_id, ADMIN)
    message = await work.load(MESSAGES, params.message_id)
    if message is not None:
        await load_burial(work, message)
    turn = await work.turn()
    actor = require(turn, caller_id, ADMIN)
    message = turn.get(MESSAGES, params.message_id)
    if message is None or turn.get(CHATS, message.chat_id) is None:
        raise Refused(Code.NOT_FOUND, "Message not found. Give its id.")
    if message.deleted is None:
        bury(turn, message)
        record(turn, actor, "delete", message.author_id, message=message.id)
    return Empty()


@writes("backup")
async def backup(
    work: Writing, caller_id: str | None, params: given.Backup
) -> results.BackedUp | BackUp:
    """Have the store copied into a new file of the server's machine."""
    require_operator(caller_id)
    turn = await work.turn()
    record(turn, None, "backup", None, path=params.path)
    return BackUp(params.path)


@reads("stats")
async def stats(
    work: Reading, caller_id: str | None, params: given.Stats
) -> results.Stats:
    """How the server is, and how much there is in its store."""
    require(work, caller_id, ADMIN)
    (counts,) = await work.ask(COUNT_ALL)
    most, now = work.facts.connections()
    return results.Stats(
        time=time_text(work.now),
        version=work.facts.version,
        epoch=work.facts.epoch,
        connections_db_max=most,
        connections_db_now=now,
        broker=work.facts.figures(),
        counts=results.Counts(
            users=counts.users,
            chats=counts.chats,
            messages=counts.messages,
            files=counts.files,
            file_bytes=counts.file_bytes,
            scheduled=counts.scheduled,
            complaints=counts.complaints,
        ),
    )

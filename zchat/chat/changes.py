"""What happens to a message after it was sent: edit, delete, react.

Each change makes the chat's next revision, which the message keeps as
its own, and is told as a whole message. So a device that was away asks
for the messages whose revisions are beyond the last one it has, and gets
each as it is now (`changes`).

A deleted message leaves a tombstone: its place, time, author, and what
it commented on. What it said, its files, reactions and mentions are gone
from the store. What a complaint keeps as evidence is a copy.
"""

from typing import Any, Final, NamedTuple
from unicodedata import category

from zchat.chat.errors import no_chat, no_message
from zchat.chat.expiry import visible_after
from zchat.chat.keys import (
    load_key,
    other_content,
    refuse_used,
    text_hash,
)
from zchat.chat.memberships import title_for, wire_name
from zchat.chat.mentions import (
    change_mentions,
    load_mentioned,
    load_mentions,
    mentioned_in,
)
from zchat.chat.messages import check_text, fitting
from zchat.chat.moderation import refuse_banned
from zchat.chat.paces import Pace
from zchat.chat.phases import Reading, Turn, View, Writing
from zchat.chat.quotas import drop_attached
from zchat.chat.rendering import (
    files_of,
    kept,
    reactions_of,
    rendered,
    shown,
)
from zchat.chat.roles import record
from zchat.chat.rules import reads, writes
from zchat.chat.subjects import Subject
from zchat.chat.sync import key_of
from zchat.errors import Code, Refused
from zchat.model import (
    ADMIN,
    CHATS,
    COMMON,
    EDITS,
    FILES,
    GROUP,
    MESSAGES,
    MODERATOR,
    REACTORS,
    SECOND,
    USERS,
    Edit,
    Membership,
    Message,
    Reactor,
    User,
    time_text,
)
from zchat.queries import (
    BLANK_SCHEDULE,
    CHANGED_AFTER,
    DELETE_CHUNKS_OF_FILE,
    FORGET_EDITS,
    FORGET_REACTORS,
    REACTORS_ON,
    RENAMED_AFTER,
)
from zchat.rpc import (
    PAGE_LIMIT,
    REACTIONS_LIMIT,
    REACTORS_LISTED,
    events,
    results,
)
from zchat.rpc import params as given

_JOINERS: Final = frozenset({"\u200d", *map(chr, range(0xE0020, 0xE0080))})
"""Characters without a look of their own that emoji are made with."""


class _Seen(NamedTuple):
    """A message, and up to where the caller sees none of its chat."""

    message_id: str
    chat_id: str
    floor: int


async def _load_seen(
    work: Reading, caller_id: str, message_id: str
) -> tuple[_Seen, Message]:
    """Load a message that the caller may see, with its author."""
    message = await work.load(MESSAGES, message_id)
    if message is None:
        raise no_message()
    place = await work.load_membership(message.chat_id, caller_id)
    if place is None:
        raise no_message()
    floor = await visible_after(work, place)
    await work.load(USERS, message.author_id)
    return _Seen(message_id, message.chat_id, floor), message


def _still_seen(
    view: View, caller_id: str, seen: _Seen
) -> tuple[Message, Membership]:
    """The message and the caller's membership, as they now stand."""
    message = view.get(MESSAGES, seen.message_id)
    place = view.membership(seen.chat_id, caller_id)
    if (
        message is None
        or place is None
        or message.seq <= max(seen.floor, place.visible_after)
    ):
        raise no_message()
    return message, place


def _change(turn: Turn, message: Message, **fields: Any) -> Message:
    """Change a message as its chat's next revision, and tell the chat.

    An event reaches all members, also those of a group who came after
    the message and may not see it.
    """
    chat = turn.chat(message.chat_id)
    revision = chat.revision + 1
    changed = turn.change(MESSAGES, message, revision=revision, **fields)
    if chat.kind == GROUP and message.seq < chat.shared_from:
        turn.tell_hint(chat.id)
        return changed
    author = turn.user(message.author_id)
    turn.tell_change(
        events.MessageChanged(
            chat_id=message.chat_id, message=rendered(changed, author.name)
        )
    )
    return changed


def _refuse_deleted(message: Message) -> None:
    if message.deleted is not None:
        raise Refused(Code.CONFLICT, "This message was deleted.")


@writes("edit")
async def edit(
    work: Writing, caller_id: str, params: given.Edit
) -> results.Edited:
    """Change the text of a message."""
    key = params.idempotency_key
    seen, message = await _load_seen(work, caller_id, params.message_id)
    await load_key(work, caller_id, key)
    everybody = await load_mentioned(
        work, seen.chat_id, caller_id, params.text
    )
    await load_mentions(work, message)
    turn = await work.turn()
    message, place = _still_seen(turn, caller_id, seen)
    _refuse_deleted(message)
    earlier = turn.find(EDITS, (caller_id, key)) if key else None
    if earlier is not None:
        return _repeated(earlier, params)
    refuse_used(turn, caller_id, key, within=EDITS)
    _require_editable(turn, turn.user(caller_id), message)
    check_text(turn, params.text)
    turn.spend(Pace.EDITS, caller_id)
    mentioned = mentioned_in(
        turn, place.chat, caller_id, params.text, everybody
    )
    changed = _change(
        turn,
        message,
        text=params.text,
        edited=turn.now,
        mentions=kept(mentioned),
        sent_hash=_sent_hash(message),
    )
    change_mentions(turn, message, changed)
    if key:
        turn.put(
            EDITS,
            Edit(
                author_id=caller_id,
                idempotency_key=key,
                message_id=message.id,
                text_hash=text_hash(params.text),
                revision=changed.revision,
                edited=turn.now,
            ),
        )
    return results.Edited(revision=changed.revision, edited=turn.now_text)


def _repeated(earlier: Edit, params: given.Edit) -> results.Edited:
    """The first answer again, where the content is the same."""
    same = earlier.message_id == params.message_id
    if not same or earlier.text_hash != text_hash(params.text):
        raise other_content()
    return results.Edited(
        revision=earlier.revision, edited=time_text(earlier.edited)
    )


def _require_editable(view: View, user: User, message: Message) -> None:
    """Refuse who is not the author, is banned, or comes too late."""
    if message.author_id != user.id:
        raise Refused(Code.FORBIDDEN, "Only the author can edit a message.")
    refuse_banned(view, user)
    seconds = view.rules.edit_seconds
    if view.now >= message.created + seconds * SECOND:
        raise Refused(
            Code.FORBIDDEN,
            f"A message can be edited for {seconds} s after it was sent."
            if seconds
            else "Messages cannot be edited on this server.",
        )


def _sent_hash(message: Message) -> bytes | None:
    """What tells a repeat of the `send` from other content later."""
    if message.idempotency_key is None or message.sent_hash is not None:
        return message.sent_hash
    return text_hash(message.text)


@writes("delete")
async def delete(
    work: Writing, caller_id: str, params: given.Delete
) -> results.Changed:
    """Delete a message; a tombstone stays."""
    seen, message = await _load_seen(work, caller_id, params.message_id)
    await load_burial(work, message)
    turn = await work.turn()
    message, place = _still_seen(turn, caller_id, seen)
    if message.deleted is not None:
        return results.Changed(revision=message.revision)
    caller = turn.user(caller_id)
    _require_deletable(turn, caller, place, message)
    if message.author_id == caller_id:
        turn.spend(Pace.EDITS, caller_id)
    elif place.chat.owner_id == caller_id:
        turn.note("message_deleted", message_id=message.id, by=caller_id)
    else:
        record(turn, caller, "delete", message.author_id, message=message.id)
    return results.Changed(revision=bury(turn, message).revision)


def _require_deletable(
    view: View, user: User, place: Membership, message: Message
) -> None:
    """Refuse who is not the author, the owner, or a moderator here.

    A banned moderator may delete no more than other users may.
    """
    if message.author_id == user.id or place.chat.owner_id == user.id:
        return
    if place.chat.kind == COMMON and user.role in (MODERATOR, ADMIN):
        refuse_banned(view, user)
        return
    raise Refused(
        Code.FORBIDDEN,
        "Only the author can delete a message, or the owner of the group, "
        "or in the common chat a moderator.",
    )


async def load_burial(work: Reading, message: Message) -> None:
    """Load what `bury` looks at."""
    await work.load_each(
        (
            (CHATS, message.chat_id),
            (USERS, message.author_id),
            *((FILES, file.file_id) for file in files_of(message)),
        )
    )
    await load_mentions(work, message)


def bury(turn: Turn, message: Message) -> Message:
    """Leave of a message the tombstone only, and tell the chat.

    What `load_burial` loads must have been loaded.
    """
    for info in files_of(message):
        file = turn.find(FILES, info.file_id)
        if file is not None:
            drop_attached(turn, file)
            turn.delete(FILES, file)
        turn.run(DELETE_CHUNKS_OF_FILE, file_id=info.file_id)
    for statement in (FORGET_EDITS, FORGET_REACTORS, BLANK_SCHEDULE):
        turn.run(statement, message_id=message.id)
    buried = _change(
        turn,
        message,
        text="",
        files=None,
        edited=None,
        deleted=turn.now,
        mentions=None,
        reactions=None,
        sent_hash=None,
    )
    change_mentions(turn, message, buried)
    return buried


@writes("react")
async def react(
    work: Writing, caller_id: str, params: given.React
) -> results.Changed:
    """Put an emoji on a message, or take it off."""
    _check_emoji(params.emoji)
    seen, _ = await _load_seen(work, caller_id, params.message_id)
    key = (params.message_id, params.emoji, caller_id)
    await work.load(REACTORS, key)
    first = await work.ask(
        REACTORS_ON,
        message_id=params.message_id,
        emoji=params.emoji,
        limit=REACTORS_LISTED + 1,
    )
    turn = await work.turn()
    message, _ = _still_seen(turn, caller_id, seen)
    _refuse_deleted(message)
    reactor = turn.get(REACTORS, key)
    if params.on == (reactor is not None):
        return results.Changed(revision=message.revision)
    refuse_banned(turn, turn.user(caller_id))
    reactions = reactions_of(message)
    if reactor is None:
        reactions = _with(reactions, params.emoji, caller_id)
        turn.spend(Pace.REACTIONS, caller_id)
        turn.put(REACTORS, Reactor(*key, created=turn.now))
    else:
        turn.require_fresh(Subject.REACTIONS, message.id)
        listed = [found.id for found in first if found.id != caller_id]
        reactions = _without(reactions, params.emoji, listed)
        turn.spend(Pace.REACTIONS, caller_id)
        turn.delete(REACTORS, reactor)
    turn.invalidate(Subject.REACTIONS, message.id)
    changed = _change(turn, message, reactions=kept(reactions))
    return results.Changed(revision=changed.revision)


def _check_emoji(emoji: str) -> None:
    for character in emoji:
        if category(character)[0] in "ZC" and character not in _JOINERS:
            raise Refused(
                Code.BAD_REQUEST,
                "`emoji` must not contain spaces or control characters.",
                field="emoji",
            )


def _with(
    reactions: list[results.Reaction], emoji: str, user_id: str
) -> list[results.Reaction]:
    """The reactions when one more user has put the emoji there."""
    if all(one.emoji != emoji for one in reactions):
        if len(reactions) >= REACTIONS_LIMIT:
            raise Refused(
                Code.CONFLICT,
                f"This message has {REACTIONS_LIMIT} different emoji, the "
                "maximum. Use one of them.",
                limit=REACTIONS_LIMIT,
            )
        return [
            *reactions,
            results.Reaction(emoji=emoji, count=1, users=[user_id]),
        ]
    return [
        results.Reaction(
            emoji=emoji,
            count=one.count + 1,
            users=[*one.users, user_id][:REACTORS_LISTED],
        )
        if one.emoji == emoji
        else one
        for one in reactions
    ]


def _without(
    reactions: list[results.Reaction], emoji: str, listed: list[str]
) -> list[results.Reaction]:
    """The reactions when one user less has put the emoji there.

    `listed` are the first of those who still have.
    """
    return [
        results.Reaction(
            emoji=emoji,
            count=one.count - 1,
            users=listed[:REACTORS_LISTED],
        )
        if one.emoji == emoji
        else one
        for one in reactions
        if one.emoji != emoji or one.count > 1
    ]


@reads("changes")
async def changes(
    work: Reading, caller_id: str, params: given.Changes
) -> results.Changes:
    """What happened to a chat after a revision."""
    place = await work.load_membership(params.chat_id, caller_id)
    if place is None:
        raise no_chat()
    chat = place.chat
    limit = params.limit or PAGE_LIMIT
    rows = await work.ask(
        CHANGED_AFTER,
        chat_id=chat.id,
        after=params.after,
        floor=await visible_after(work, place),
        limit=limit + 1,
    )
    taken = min(limit, fitting(rows))
    more = len(rows) > taken
    through = rows[taken - 1].revision if more else chat.revision
    renamed = await work.ask(
        RENAMED_AFTER, chat_id=chat.id, after=params.after, limit=PAGE_LIMIT
    )
    return results.Changes(
        revision=chat.revision,
        messages=[shown(row) for row in rows[:taken]],
        chat=results.ChatFacts(
            name=wire_name(chat),
            title=await title_for(work, chat, caller_id),
            owner_id=chat.owner_id,
            size=chat.size,
            event_key=key_of(chat),
        ),
        more=more,
        renamed=[
            results.RenamedMember(
                id=one.id, name=one.name, revision=one.revision
            )
            for one in renamed
            if one.revision <= through
        ],
    )

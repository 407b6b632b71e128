"""Messages: sending, commenting, and reading pages of them."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from zchat.chat.errors import no_chat, no_message
from zchat.chat.expiry import visible_after
from zchat.chat.keys import (
    BY_KEY,
    load_key,
    other_content,
    refuse_used,
    text_hash,
)
from zchat.chat.mentions import load_mentioned, mention, mentioned_in
from zchat.chat.moderation import refuse_banned, spend_quota
from zchat.chat.phases import Reading, Turn, View, Writing
from zchat.chat.quotas import attach_file
from zchat.chat.rendering import files_of, kept, shown
from zchat.chat.rules import reads, without_waiting, writes
from zchat.chat.subjects import Subject
from zchat.errors import Code, Refused
from zchat.model import (
    CHATS,
    COMMON,
    FILES,
    MEMBERS,
    MESSAGES,
    AuthoredMessage,
    Chat,
    Membership,
    Message,
    StoredFile,
    Table,
    User,
    time_text,
)
from zchat.queries import COMMENTS_ON, MESSAGES_AFTER, MESSAGES_BEFORE
from zchat.rpc import PAGE_LIMIT, results
from zchat.rpc import params as given
from zchat.rpc.filetypes import file_type

NEWEST: Final = 2**53
PAGE_BYTES: Final = 262_144


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A message as somebody wants it sent."""

    author_id: str
    chat_id: str
    text: str
    comment_on: str | None = None
    file_ids: tuple[str, ...] = ()
    key: str | None = None
    scheduled_id: str | None = None


@writes("send")
async def send(
    work: Writing, caller_id: str, params: given.Send
) -> results.Sent:
    "Send a message to a chat, by default the common one."
    draft = draft_of(work, caller_id, params)
    loaded = await load_draft(work, draft)
    turn = await work.turn()
    return deliver(turn, draft, loaded)


@writes("comment")
async def comment(
    work: Writing, caller_id: str, params: given.Comment
) -> results.Sent:
    """Put a message on another one of the same chat."""
    target_id = params.message_id
    earlier = None
    if params.idempotency_key is not None:
        earlier = await work.load_unique(
            MESSAGES, BY_KEY, (caller_id, params.idempotency_key)
        )
    repeats = earlier is not None and earlier.is_comment_on == target_id
    beside = earlier if repeats else await work.load(MESSAGES, target_id)
    if beside is None:
        raise no_message()
    draft = Draft(
        author_id=caller_id,
        chat_id=beside.chat_id,
        text=params.text,
        comment_on=target_id,
        key=params.idempotency_key,
    )
    loaded = await load_draft(work, draft)
    turn = await work.turn()
    if not repeats and not turn.is_member(draft.chat_id, caller_id):
        raise no_message()
    return deliver(turn, draft, loaded)


def draft_of(
    view: View, caller_id: str, params: given.Send | given.Schedule
) -> Draft:
    """The draft that the parameters of `send` or `schedule` describe."""
    return Draft(
        caller_id,
        params.chat_id or view.common_id,
        params.text,
        params.comment_on,
        tuple(params.files) if params.files else (),
        params.idempotency_key,
    )


class LoadedDraft(NamedTuple):
    """Who is everybody, where that counts, and the draft's floor."""

    everybody: Sequence[str] = ()
    floor: int = 0


PLAIN: Final = LoadedDraft()
"""What is loaded of a draft that has a text, and no `@` in it."""


async def load_draft(work: Reading, draft: Draft) -> LoadedDraft:
    """Load what `deliver` looks at."""
    await work.load_each(rows_of(draft))
    await load_key(work, draft.author_id, draft.key)
    return LoadedDraft(
        await load_mentioned(work, draft.chat_id, draft.author_id, draft.text),
        await load_floor(work, draft),
    )


async def load_floor(work: Reading, draft: Draft) -> int:
    """The seq up to which the author can comment on nothing.

    0 where the draft is no comment. Its rows must have been loaded.
    """
    if draft.comment_on is None:
        return 0
    place = work.membership(draft.chat_id, draft.author_id)
    return 0 if place is None else await visible_after(work, place)


def rows_of(draft: Draft) -> list[tuple[Table[Any], Any]]:
    """The rows that a draft's checks look at, but for its key's."""
    rows: list[tuple[Table[Any], Any]] = [
        (CHATS, draft.chat_id),
        (MEMBERS, (draft.chat_id, draft.author_id)),
    ]
    if draft.comment_on is not None:
        rows.append((MESSAGES, draft.comment_on))
    rows.extend((FILES, file_id) for file_id in draft.file_ids)
    return rows


def deliver(
    turn: Turn, draft: Draft, loaded: LoadedDraft = PLAIN
) -> results.Sent:
    """Check and append a loaded draft, or answer its repeat."""
    if draft.key is not None:
        refuse_used(turn, draft.author_id, draft.key, within=MESSAGES)
        earlier = turn.get_unique(
            MESSAGES, BY_KEY, (draft.author_id, draft.key)
        )
        if earlier is not None:
            turn.require_fresh(Subject.MESSAGES_GONE, earlier.chat_id)
            return _repeated(earlier, draft)
    author = turn.user(draft.author_id)
    chat, target, files = check_draft(turn, author, draft, loaded.floor)
    if chat.kind == COMMON:
        spend_quota(turn, author)
    mentioned = mentioned_in(
        turn, chat, author.id, draft.text, loaded.everybody
    )
    return append(turn, chat, author, draft, target, files, mentioned)


@without_waiting("send", deliver)
def plain_draft(
    view: View, caller_id: str, params: given.Send
) -> Draft | None:
    """The draft of a `send` that looks only at rows that are loaded."""
    draft = draft_of(view, caller_id, params)
    is_plain = (
        draft.comment_on is None
        and draft.key is None
        and not draft.file_ids
        and "@" not in draft.text
    )
    if is_plain and view.is_loaded(
        (CHATS, draft.chat_id), (MEMBERS, (draft.chat_id, caller_id))
    ):
        return draft
    return None


def _repeated(earlier: Message, draft: Draft) -> results.Sent:
    """The first answer again, where the content is the same.

    Of a deleted message nothing is kept that its content could be
    compared with; it is not sent again.
    """
    same = (
        earlier.chat_id == draft.chat_id
        and earlier.is_comment_on == draft.comment_on
    )
    if earlier.deleted is None:
        same = same and _has_content_of(earlier, draft)
    if not same:
        raise other_content()
    return results.Sent(
        id=earlier.id,
        seq=earlier.seq,
        chat_id=earlier.chat_id,
        created=time_text(earlier.created),
    )


def _has_content_of(earlier: Message, draft: Draft) -> bool:
    """Whether the message was sent with what the draft holds."""
    if tuple(f.file_id for f in files_of(earlier)) != draft.file_ids:
        return False
    if earlier.sent_hash is not None:
        return earlier.sent_hash == text_hash(draft.text)
    return earlier.text == draft.text


def check_draft(
    view: View, author: User, draft: Draft, floor: int
) -> tuple[Chat, Message | None, list[StoredFile]]:
    """Whether the author may send this now; changes nothing."""
    found = view.membership(draft.chat_id, author.id)
    if found is None:
        raise no_chat()
    refuse_banned(view, author)
    check_text(view, draft.text)
    return (
        found.chat,
        _target(view, found, draft, floor),
        _attachables(view, draft) if draft.file_ids else [],
    )


def check_text(view: View, text: str) -> None:
    """Refuse a text that is too long."""
    if len(text) > view.rules.max_text:
        raise Refused(
            Code.TOO_LARGE,
            f"The text has {len(text)} characters; "
            f"{view.rules.max_text} are allowed.",
            limit=view.rules.max_text,
            field="text",
        )


def _target(
    view: View, place: Membership, draft: Draft, floor: int
) -> Message | None:
    """The message commented on; it must be visible to the author.

    For a scheduled comment it was when that was scheduled: it may have
    expired since, but not be deleted.
    """
    if draft.comment_on is None:
        return None
    hidden = max(floor, place.visible_after)
    if draft.scheduled_id is not None:
        hidden = place.stored_after
    target = view.get(MESSAGES, draft.comment_on)
    if (
        target is None
        or target.chat_id != place.chat.id
        or target.seq <= hidden
    ):
        raise no_message()
    return target


def _attachables(view: View, draft: Draft) -> list[StoredFile]:
    return [_attachable(view, draft, id) for id in draft.file_ids]


def _attachable(view: View, draft: Draft, file_id: str) -> StoredFile:
    """A complete file of the author's that is on no message yet."""
    file = view.get(FILES, file_id)
    if (
        file is None
        or file.chat_id != draft.chat_id
        or file.uploader_id != draft.author_id
    ):
        raise Refused(
            Code.NOT_FOUND,
            f"There is no file {file_id} of yours in this "
            "chat; upload it there first.",
            field="files",
        )
    taken = (
        file.message_id is not None or file.scheduled_id != draft.scheduled_id
    )
    if not file.complete or taken or draft.file_ids.count(file_id) > 1:
        raise Refused(
            Code.CONFLICT,
            f"The file {file_id} is not complete, or is on a message already.",
            field="files",
        )
    return file


def append(
    turn: Turn,
    chat: Chat,
    author: User,
    draft: Draft,
    target: Message | None,
    files: Sequence[StoredFile],
    mentioned: list[str],
) -> results.Sent:
    """The message takes the chat's next seq."""
    seq = chat.head + 1
    message_id = turn.entropy.id(turn.now)
    infos = _infos(files) if files else []
    message = turn.add(
        MESSAGES,
        Message(
            message_id,
            chat.id,
            seq,
            author.id,
            turn.now,
            draft.text,
            draft.comment_on,
            files=kept(infos),
            idempotency_key=draft.key,
            mentions=kept(mentioned),
        ),
    )
    chat = turn.change(CHATS, chat, head=seq)
    for file in files:
        attach_file(turn, file)
        turn.change(FILES, file, message_id=message_id, scheduled_id=None)
    if target is not None:
        turn.change(MESSAGES, target, comments=target.comments + 1)
    turn.tell_message(
        chat,
        results.Message(
            id=message_id,
            seq=seq,
            created=turn.now_text,
            author=results.Person(id=author.id, name=author.name),
            text=draft.text,
            is_comment_on=draft.comment_on,
            comments=0,
            files=infos,
            mentions=mentioned,
        ),
    )
    if mentioned:
        mention(turn, message)
    return results.Sent(
        id=message_id, seq=seq, chat_id=chat.id, created=turn.now_text
    )


def _infos(files: Sequence[StoredFile]) -> list[results.FileInfo]:
    """The files of a message as they are shown with it."""
    return [
        results.FileInfo(
            file_id=file.id,
            name=file.name,
            size=file.size,
            type=file_type(file.name),
            sha256=file.sha256,
        )
        for file in files
    ]


@reads("history")
async def history(
    work: Reading, caller_id: str, params: given.History
) -> results.History:
    """A page of a chat's messages: before, after, around, or newest."""
    if (
        sum(
            x is not None for x in (params.before, params.after, params.around)
        )
        > 1
    ):
        raise Refused(
            Code.BAD_REQUEST,
            "Give only one of before, after and around.",
            field="before",
        )
    chat_id = params.chat_id
    await work.load_membership(chat_id, caller_id)
    found = work.membership(chat_id, caller_id)
    if found is None:
        raise no_chat()
    chat = found.chat
    floor = await visible_after(work, found)
    limit = params.limit or work.rules.history_depth or 20
    rows = await _page(work, chat_id, floor, params, limit)
    last = _place_of_empty(params, floor, chat.head)
    if rows:
        last = rows[-1].seq
    first = rows[0].seq if rows else last + 1
    return results.History(
        messages=[shown(row) for row in rows],
        has_older=first > floor + 1,
        has_newer=last < chat.head,
        head=chat.head,
    )


def _place_of_empty(params: given.History, floor: int, head: int) -> int:
    """The seq that an empty page comes right after.

    No page stands before what the member may see, nor after the head.
    """
    place = head
    if params.after is not None:
        place = params.after
    elif params.before is not None:
        place = params.before - 1
    return max(floor, min(place, head))


async def _page(
    work: Reading, chat_id: str, floor: int, params: given.History, limit: int
) -> Sequence[AuthoredMessage]:
    """The rows of a page, oldest first."""
    if params.after is not None:
        rows = await work.ask(
            MESSAGES_AFTER,
            chat_id=chat_id,
            after=max(params.after, floor),
            limit=limit,
        )
        return rows[: fitting(rows)]
    if params.around is not None:
        older = await newest(work, chat_id, floor, limit // 2, params.around)
        newer = await work.ask(
            MESSAGES_AFTER,
            chat_id=chat_id,
            after=max(params.around - 1, floor),
            limit=limit - len(older),
        )
        return [*reversed(older), *newer[: fitting(newer)]]
    before = NEWEST if params.before is None else params.before
    return (await newest(work, chat_id, floor, limit, before))[::-1]


def size_of(text: str) -> int:
    """The bytes that the text takes on the wire."""
    return len(text) if text.isascii() else len(text.encode())


def fitting(rows: Sequence[AuthoredMessage]) -> int:
    """How many of the rows an answer takes, from the first on.

    Texts are cut off at PAGE_BYTES bytes in all, but one message is
    always taken.
    """
    left = PAGE_BYTES
    for count, row in enumerate(rows):
        left -= size_of(row.text)
        if left < 0 and count:
            return count
    return len(rows)


async def newest(
    work: Reading,
    chat_id: str,
    floor: int,
    limit: int,
    before: int = NEWEST,
) -> list[AuthoredMessage]:
    """The newest visible messages, newest first."""
    rows = await work.ask(
        MESSAGES_BEFORE,
        chat_id=chat_id,
        floor=floor,
        before=before,
        limit=limit,
    )
    return rows[: fitting(rows)]


@reads("comments")
async def comments(
    work: Reading, caller_id: str, params: given.Comments
) -> results.Messages:
    """The comments on a message, oldest first."""
    target: Any = await work.load(MESSAGES, params.message_id)
    if target is None:
        raise no_message()
    await work.load_membership(target.chat_id, caller_id)
    found = work.membership(target.chat_id, caller_id)
    if found is None:
        raise no_message()
    floor = await visible_after(work, found)
    if target.seq <= floor:
        raise no_message()
    rows = await work.ask(
        COMMENTS_ON,
        message_id=target.id,
        after=max(params.after or 0, floor),
        limit=params.limit or PAGE_LIMIT,
    )
    return results.Messages(
        messages=[shown(row) for row in rows[: fitting(rows)]]
    )

"""Mentions: `@name` in a text, where the name is that of a member.

`@all` mentions everybody in a group of at most EVERYBODY_LIMIT, if its
owner writes it; elsewhere it is text. Whoever is mentioned is told in
the inbox, and the mention counts as unread until the read position has
passed it. Nobody mentions themselves.
"""

from collections.abc import Sequence
from typing import Final
from unicodedata import category

from zchat.chat.awaitables import gather
from zchat.chat.memberships import NIL_ID
from zchat.chat.names import BY_NAME, LONGEST_NAME, PUNCTUATION, name_key
from zchat.chat.phases import Reading, Turn, View
from zchat.chat.rendering import mentions_of
from zchat.model import (
    GROUP,
    MEMBERS,
    MENTIONS,
    USERS,
    Chat,
    Mention,
    Message,
)
from zchat.queries import MEMBERS_PAGE
from zchat.rpc import EVERYBODY_LIMIT, MENTIONS_LIMIT, events

EVERYBODY: Final = "all"


def name_keys(text: str) -> list[str]:
    """The keys of the names after each `@`, in order, each once.

    An `@` within a word begins no name, so an address mentions nobody.
    Punctuation at the end may be part of a name, or end a sentence:
    both are tried.
    """
    keys: dict[str, None] = {}
    before, *parts = text.split("@")
    for part in parts:
        if not before or not _is_of_name(before[-1]):
            name = _leading_name(part)
            if name:
                keys[name_key(name)] = None
                keys[name_key(name.rstrip(PUNCTUATION))] = None
        before = part or "@"
        if len(keys) >= MENTIONS_LIMIT:
            break
    keys.pop("", None)
    return list(keys)[:MENTIONS_LIMIT]


def _leading_name(text: str) -> str:
    """What the text begins with that may be a name."""
    length = 0
    for character in text[: LONGEST_NAME + 1]:
        if not _is_of_name(character):
            break
        length += 1
    return text[:length] if length <= LONGEST_NAME else ""


def _is_of_name(character: str) -> bool:
    return (
        character.isalnum()
        or character in PUNCTUATION
        or category(character).startswith("M")
    )


async def load_mentioned(
    work: Reading, chat_id: str, author_id: str, text: str
) -> list[str]:
    """Load whom the text may mention; the ids of all where it is all."""
    if "@" not in text:
        return []
    keys = name_keys(text)
    users = await gather(
        [work.load_unique(USERS, BY_NAME, key) for key in keys]
    )
    everybody: list[str] = []
    place = await work.load_membership(chat_id, author_id)
    if (
        place
        and EVERYBODY in keys
        and _owns_small_group(place.chat, author_id)
    ):
        members = await work.ask(
            MEMBERS_PAGE, chat_id=chat_id, after=NIL_ID, limit=EVERYBODY_LIMIT
        )
        everybody = [member.id for member in members]
    named = [user.id for user in users if user is not None]
    await work.load_each(
        [
            *((USERS, user_id) for user_id in everybody),
            *((MEMBERS, (chat_id, id)) for id in (*named, *everybody)),
        ]
    )
    return everybody


def _owns_small_group(chat: Chat, user_id: str) -> bool:
    return (
        chat.kind == GROUP
        and chat.owner_id == user_id
        and chat.size <= EVERYBODY_LIMIT
    )


def mentioned_in(
    view: View,
    chat: Chat,
    author_id: str,
    text: str,
    everybody: Sequence[str],
) -> list[str]:
    """The ids of the members whom a text mentions, as things stand now.

    `everybody` is what `load_mentioned` returned.
    """
    if "@" not in text:
        return []
    found: dict[str, None] = {}
    for key in name_keys(text):
        if key == EVERYBODY and _owns_small_group(chat, author_id):
            found.update(dict.fromkeys(everybody))
            continue
        user = view.get_unique(USERS, BY_NAME, key)
        if user is not None:
            found[user.id] = None
    found.pop(author_id, None)
    return [id for id in found if view.is_member(chat.id, id)]


async def load_mentions(work: Reading, message: Message) -> None:
    """Load the mentions that an edit or a deletion may take back."""
    ids = mentions_of(message)
    await work.load_each(
        [
            *((USERS, id) for id in ids),
            *((MENTIONS, (id, message.chat_id, message.seq)) for id in ids),
        ]
    )


def mention(turn: Turn, message: Message) -> None:
    """Tell those whom a new message mentions."""
    for user_id in mentions_of(message):
        _tell(turn, message, user_id, on=True)


def change_mentions(turn: Turn, old: Message, new: Message) -> None:
    """Tell those whom a change of a message concerns."""
    before, now = mentions_of(old), mentions_of(new)
    for user_id in now:
        if user_id not in before:
            _tell(turn, new, user_id, on=True)
    for user_id in before:
        if user_id not in now:
            _tell(turn, new, user_id, on=False)


def _tell(turn: Turn, message: Message, user_id: str, *, on: bool) -> None:
    key = (user_id, message.chat_id, message.seq)
    row = turn.find(MENTIONS, key)
    if on:
        turn.put(MENTIONS, Mention(*key, created=turn.now))
    elif row is not None:
        turn.delete(MENTIONS, row)
    if turn.find(USERS, user_id) is not None and turn.is_member(
        message.chat_id, user_id
    ):
        turn.tell_user(
            user_id,
            events.Mentioned(
                chat_id=message.chat_id,
                message_id=message.id,
                seq=message.seq,
                on=on,
            ),
        )

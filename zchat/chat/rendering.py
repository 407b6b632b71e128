"""A message as results and events show it, from its row."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from zchat.model import AuthoredMessage, Message, time_text
from zchat.rpc import results

_decode_files: Final = msgspec.json.Decoder(list[results.FileInfo]).decode
_decode_ids: Final = msgspec.json.Decoder(list[str]).decode
_decode_reactions: Final = msgspec.json.Decoder(list[results.Reaction]).decode


def kept(values: Sequence[Any]) -> str | None:
    """What a message's row keeps of a list: JSON, or None for nothing."""
    return msgspec.json.encode(values).decode() if values else None


def files_of(message: Message) -> list[results.FileInfo]:
    """What is attached to a message."""
    return _decode_files(message.files) if message.files else []


def mentions_of(message: Message) -> list[str]:
    """The ids of the members whom a message mentions."""
    return _decode_ids(message.mentions) if message.mentions else []


def reactions_of(message: Message) -> list[results.Reaction]:
    """The emoji on a message, in the order in which they came there."""
    return _decode_reactions(message.reactions) if message.reactions else []


def rendered(message: Message, author_name: str) -> results.Message:
    """The message as it is shown, under its author's present name."""
    return results.Message(**_fields(message, author_name))


def shown(message: AuthoredMessage) -> results.Message:
    """A message of a query as it is shown."""
    return rendered(message, message.author_name)


def found(message: AuthoredMessage) -> results.FoundMessage:
    """A message of a search, with its chat."""
    return results.FoundMessage(
        **_fields(message, message.author_name), chat_id=message.chat_id
    )


def _fields(message: Message, author_name: str) -> dict[str, Any]:
    return {
        "id": message.id,
        "seq": message.seq,
        "created": time_text(message.created),
        "author": results.Person(id=message.author_id, name=author_name),
        "text": message.text,
        "is_comment_on": message.is_comment_on,
        "comments": message.comments,
        "files": files_of(message),
        "mentions": mentions_of(message),
        "revision": message.revision,
        "edited": _time(message.edited),
        "deleted": _time(message.deleted),
        "reactions": reactions_of(message),
    }


def _time(at: int | None) -> str | None:
    return None if at is None else time_text(at)

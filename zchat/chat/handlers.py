"""The rules of all methods, bound: what the broker looks up."""

from zchat.chat import (
    accounts,
    chats,
    files,
    groups,
    links,
    messages,
    moderation,
    operators,
    reading,
    schedule,
    sync,
)
from zchat.chat.rules import READING, WRITING, Rule

SUBJECTS = (
    accounts,
    chats,
    files,
    groups,
    links,
    messages,
    moderation,
    operators,
    reading,
    schedule,
    sync,
)
"""Each module binds its rules when it is imported."""


def handler_of(method: str, reads: bool) -> Rule:
    """The rule that answers the method when it reads, or writes."""
    return READING[method] if reads else WRITING[method]

"""The rules of all methods, bound: what the broker looks up."""

from zchat.chat import (
    accounts,
    changes,
    chats,
    files,
    groups,
    links,
    messages,
    moderation,
    moderators,
    operators,
    own_account,
    reading,
    registration,
    schedule,
    search,
    sync,
    typing,
)
from zchat.chat.rules import IMMEDIATE, READING, WRITING, Immediate, Rule

SUBJECTS = (
    accounts,
    typing,
    search,
    own_account,
    changes,
    chats,
    files,
    groups,
    links,
    messages,
    moderation,
    moderators,
    operators,
    reading,
    registration,
    schedule,
    sync,
)
"""Each module binds its rules when it is imported."""


def handler_of(method: str, reads: bool) -> Rule:
    """The rule that answers the method when it reads, or writes."""
    return READING[method] if reads else WRITING[method]


def immediate_of(method: str) -> Immediate | None:
    """The method's rule in the form that does not wait, if it has one."""
    return IMMEDIATE.get(method)

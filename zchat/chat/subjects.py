"""What an answer of the store may be about, and become untrue about.

A rule asks before its turn, and rules before it in the same batch may
change what it asked about. There are two cures, each over an enum, so
that a subject that one rule requires and none invalidates is found by
a test (tests/unit/test_subjects.py):

- A `Subject` is stale once a rule invalidated it; a rule that requires
  it fresh is then run again in the next batch.
- A `Counted` is a number of rows. Rules that add or remove such rows
  adjust it, so that the count of the store plus the adjustment is right
  without running anything again.
"""

from enum import Enum, auto


class Subject(Enum):
    """What is required fresh, with the ids that complete it."""

    MEMBERS = auto()
    """Who is in a chat: chat id."""
    CHATS_OF = auto()
    """Which chats a user is in: user id."""
    LEFT = auto()
    """A user left a chat in this batch: chat id, user id."""
    UNREAD = auto()
    """A user's read positions: user id."""
    MESSAGES_GONE = auto()
    """Messages were deleted from a chat: chat id."""
    REACTIONS = auto()
    """Who put which emoji on a message: message id."""
    COMPLAINTS = auto()
    """A complaint was decided on, or a ban set or lifted: the id of the
    user it is about."""


class Counted(Enum):
    """What is counted, with the id of whose they are."""

    GROUPS = auto()
    """The chats that a user is in by groups: user id."""
    COMPLAINTS = auto()
    """The reporters of a user in this round: user id."""
    LINKS = auto()
    """The live links into a group: chat id."""
    SCHEDULED = auto()
    """A user's messages that wait for their time: user id."""
    UPLOADS = auto()
    """A user's files that are on no message: user id."""
    UPLOAD_BYTES = auto()
    """The bytes of those: user id."""
    FILE_BYTES = auto()
    """The bytes of all of a user's files: user id."""

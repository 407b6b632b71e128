"""The refusals that several subjects share."""

from zchat.errors import Code, Refused


def no_chat() -> Refused:
    """A chat that is missing, or that the caller is not in."""
    return Refused(Code.NOT_FOUND, "Chat not found, or you are not a member.")


def no_message() -> Refused:
    """A message that is missing, or that the caller may not see."""
    return Refused(Code.NOT_FOUND, "Message not found, or you cannot see it.")


def no_user() -> Refused:
    """A user who is missing, or in no chat with the caller."""
    return Refused(
        Code.NOT_FOUND, "User not found in any chat that you share."
    )


def owner_only() -> Refused:
    """Something that only a group's owner may do."""
    return Refused(Code.FORBIDDEN, "Only the owner of the group can do this.")

"""What users do to their own accounts: settings, and another token."""

from collections.abc import Sequence

from zchat.chat.chats import places_of
from zchat.chat.memberships import change_key
from zchat.chat.paces import Pace
from zchat.chat.phases import Turn, Writing
from zchat.chat.rules import writes
from zchat.chat.subjects import Subject
from zchat.model import COMMON, USERS, Membership
from zchat.rpc import events, results
from zchat.rpc import params as given
from zchat.rpc.credentials import token_hash
from zchat.rpc.sealing import SECRET_BYTES


@writes("settings")
async def settings(
    work: Writing, caller_id: str, params: given.ChangeSettings
) -> results.UserSettings:
    """Show or change the caller's settings; other devices are told."""
    turn = await work.turn()
    user = turn.user(caller_id)
    receipts = params.receipts
    if receipts is not None and receipts != bool(user.receipts):
        turn.change(USERS, user, receipts=int(receipts))
        user = turn.tell_user(
            caller_id, events.SettingsChanged(receipts=receipts)
        )
    return results.UserSettings(receipts=bool(user.receipts))


@writes("rotate_token")
async def rotate_token(
    work: Writing, caller_id: str, params: given.RotateToken
) -> results.NewToken:
    """Replace the caller's token; the old one is dead at once."""
    places = await places_of(work, caller_id)
    turn = await work.turn()
    turn.require_fresh(Subject.CHATS_OF, caller_id)
    turn.spend(Pace.TOKENS, caller_id)
    return results.NewToken(token=replace_token(turn, caller_id, places))


def replace_token(
    turn: Turn, user_id: str, places: Sequence[Membership]
) -> str:
    """Give a user a new token, and new keys to all that it opened.

    Whoever had the old token had the keys of the inbox and of the
    user's private chats too. `places` are all chats of the user.
    """
    token = turn.entropy.token()
    digest = token_hash(token)
    assert digest is not None
    user = turn.user(user_id)
    turn.change(
        USERS,
        user,
        token_hash=digest,
        inbox_number=user.inbox_number + 1,
        inbox_secret=turn.entropy.secret(SECRET_BYTES),
    )
    for place in places:
        if place.chat.kind != COMMON:
            change_key(turn, turn.chat(place.chat.id))
    turn.note("token_replaced", user_id=user_id)
    return token

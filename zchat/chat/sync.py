"""What a device needs to start or to catch up."""

from zchat.chat.awaitables import gather
from zchat.chat.chats import places_of, unread_count
from zchat.chat.memberships import name_for
from zchat.chat.phases import Reading
from zchat.chat.rules import reads
from zchat.model import Membership
from zchat.rpc import params as given
from zchat.rpc import results


@reads("sync")
async def sync(
    work: Reading, caller_id: str, params: given.Sync
) -> results.Sync:
    """All that a device needs to start or to catch up."""
    user = work.user(caller_id)
    return results.Sync(
        epoch=work.facts.epoch,
        gaps=work.facts.gaps,
        inbox_key=results.EventKey(
            id=user.inbox_number, secret=user.inbox_secret
        ),
        chats=await gather(
            [
                _synced(work, place)
                for place in await places_of(work, caller_id)
            ]
        ),
    )


async def _synced(work: Reading, place: Membership) -> results.SyncChat:
    chat, member = place
    key = None
    if chat.event_key is not None:
        key = results.EventKey(
            id=chat.event_key.number, secret=chat.event_key.secret
        )
    return results.SyncChat(
        id=chat.id,
        name=await name_for(work, chat, member.user_id),
        kind=chat.kind,
        head=chat.head,
        read=member.read_seq,
        unread=await unread_count(work, place),
        event_key=key,
    )

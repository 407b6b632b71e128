"""What a device needs to start or to catch up."""

from zchat.chat.chats import Place, places_of, unread_count
from zchat.chat.memberships import name_for
from zchat.chat.unit_of_work import UnitOfWork, gather
from zchat.rpc import params, results


async def sync(
    work: UnitOfWork, caller_id: str, p: params.Sync
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


async def _synced(work: UnitOfWork, place: Place) -> results.SyncChat:
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

"""What a device needs to start or to catch up."""

from zchat.chat.awaitables import gather
from zchat.chat.chats import places_of, unread_count
from zchat.chat.expiry import visible_after
from zchat.chat.memberships import title_for, wire_name
from zchat.chat.moderation import banned_until, quota_of
from zchat.chat.phases import Reading
from zchat.chat.rules import reads
from zchat.model import Chat, Membership
from zchat.queries import COUNT_PENDING, MENTIONS_OF, REQUESTS_OF_OWNER
from zchat.rpc import params as given
from zchat.rpc import results


@reads("sync")
async def sync(
    work: Reading, caller_id: str, params: given.Sync
) -> results.Sync:
    """All that a device needs to start or to catch up."""
    user = work.user(caller_id)
    waiting = await work.ask(COUNT_PENDING, author_id=caller_id)
    mentions = {
        found.id: found.count
        for found in await work.ask(MENTIONS_OF, user_id=caller_id)
    }
    requests = {
        found.id: found.count
        for found in await work.ask(REQUESTS_OF_OWNER, user_id=caller_id)
    }
    places = await places_of(work, caller_id)
    return results.Sync(
        epoch=work.facts.epoch,
        gaps=work.facts.gaps,
        inbox=user.inbox,
        inbox_key=results.EventKey(
            id=user.inbox_number, secret=user.inbox_secret
        ),
        user=results.SyncUser(
            id=user.id,
            name=user.name,
            role=user.role,
            banned_until=banned_until(work, user),
            quota=quota_of(work, user),
            receipts=bool(user.receipts),
        ),
        scheduled=waiting[0].count,
        chats=await gather(
            [
                _synced(
                    work,
                    place,
                    mentions.get(place.chat.id, 0),
                    requests.get(place.chat.id, 0),
                )
                for place in places
            ]
        ),
    )


async def _synced(
    work: Reading, place: Membership, mentions: int, requests: int
) -> results.SyncChat:
    chat, member = place
    return results.SyncChat(
        id=chat.id,
        name=wire_name(chat),
        title=await title_for(work, chat, member.user_id),
        kind=chat.kind,
        head=chat.head,
        revision=chat.revision,
        read=member.read_seq,
        unread=await unread_count(work, place),
        mentions=mentions,
        requests=requests,
        event_key=key_of(chat),
        visible_after=await visible_after(work, place),
    )


def key_of(chat: Chat) -> results.EventKey | None:
    """The chat's event key as members get it."""
    if chat.event_key is None:
        return None
    return results.EventKey(
        id=chat.event_key.number, secret=chat.event_key.secret
    )

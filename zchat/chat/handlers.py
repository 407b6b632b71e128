"""Which rule answers which method."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from msgspec import Struct

from zchat.chat import (
    accounts,
    chats,
    files,
    groups,
    links,
    messages,
    moderation,
    reading,
    schedule,
    sync,
)
from zchat.chat.unit_of_work import UnitOfWork
from zchat.errors import Refused

Handler = Callable[
    [UnitOfWork, Any, Any], Coroutine[Any, Any, Struct | Refused | None]
]

HANDLERS: Final[dict[str, Handler]] = {
    "hello": accounts.hello,
    "connect": accounts.connect,
    "status": accounts.status,
    "send": messages.send,
    "comment": messages.comment,
    "chats": chats.chats,
    "history": messages.history,
    "comments": messages.comments,
    "unread": reading.unread,
    "read": reading.read,
    "sync": sync.sync,
    "p2p": chats.p2p,
    "exit": chats.exit_chat,
    "report": moderation.report,
    "users": chats.users,
    "rename": accounts.rename,
    "schedule": schedule.schedule,
    "scheduled": schedule.scheduled,
    "cancel": schedule.cancel,
    "upload": files.upload,
    "upload_chunk": files.upload_chunk,
    "download": files.download,
    "create_chat": groups.create_chat,
    "rename_chat": groups.rename_chat,
    "invite": groups.invite,
    "remove": groups.remove,
    "invite_link": links.invite_link,
    "invite_links": links.invite_links,
    "revoke_link": links.revoke_link,
    "join": links.join,
    "join_requests": links.join_requests,
    "approve": links.approve,
    "deny": links.deny,
}

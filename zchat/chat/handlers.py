"""Which rule answers which method."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from msgspec import Struct

from zchat.chat import (
    accounts,
    files,
    messages,
    moderation,
    rooms,
    schedule,
    unread,
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
    "chats": unread.chats,
    "history": messages.history,
    "comments": messages.comments,
    "unread": unread.unread,
    "read": unread.read,
    "sync": unread.sync,
    "p2p": rooms.p2p,
    "exit": rooms.exit_chat,
    "report": moderation.report,
    "users": rooms.users,
    "rename": accounts.rename,
    "schedule": schedule.schedule,
    "scheduled": schedule.scheduled,
    "cancel": schedule.cancel,
    "upload": files.upload,
    "upload_chunk": files.upload_chunk,
    "download": files.download,
    "create_chat": rooms.create_chat,
    "rename_chat": rooms.rename_chat,
    "invite": rooms.invite,
    "remove": rooms.remove,
    "invite_link": rooms.invite_link,
    "invite_links": rooms.invite_links,
    "revoke_link": rooms.revoke_link,
    "join": rooms.join,
    "join_requests": rooms.join_requests,
    "approve": rooms.approve,
    "deny": rooms.deny,
}

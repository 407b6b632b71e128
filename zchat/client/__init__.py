"""The client library: talk to a zchat server and miss nothing of it.

`Client` is for asyncio, `BlockingClient` for everything else; both have one
method for each method of the server, reconnect by themselves, and hand out
frozen values. What is
named here is the public API; the modules below are not.
"""

import logging

from zchat.client.aio import Client
from zchat.client.blocking import BlockingClient
from zchat.client.connection import NoAnswer
from zchat.client.events import (
    Banned,
    CaughtUp,
    ChatAdded,
    ChatRemoved,
    ChatRenamed,
    Event,
    Expired,
    JoinDecided,
    JoinRequested,
    KeyChanged,
    MemberJoined,
    MemberLeft,
    MessageEvent,
    OtherEvent,
    ReadMoved,
    Renamed,
    Restored,
    ScheduledChanged,
    ScheduledFailed,
    ScheduledSent,
)
from zchat.client.session import ChatCursor, Cursors, Start
from zchat.client.values import (
    Chat,
    Download,
    FileInfo,
    Hello,
    History,
    Joined,
    JoinRequest,
    KnownChat,
    Limits,
    LinkInfo,
    Message,
    NewLink,
    Person,
    Quota,
    Scheduled,
    ScheduledMessage,
    Sent,
    Status,
    StatusUser,
    Sync,
    SyncChat,
    Unread,
    UnreadChat,
    Upload,
    Uploaded,
)
from zchat.errors import Code, ConfigError, Refused, ZchatError

__all__ = [
    "Banned",
    "BlockingClient",
    "CaughtUp",
    "Chat",
    "ChatAdded",
    "ChatCursor",
    "ChatRemoved",
    "ChatRenamed",
    "Client",
    "Code",
    "ConfigError",
    "Cursors",
    "Download",
    "Event",
    "Expired",
    "FileInfo",
    "Hello",
    "History",
    "JoinDecided",
    "JoinRequest",
    "JoinRequested",
    "Joined",
    "KeyChanged",
    "KnownChat",
    "Limits",
    "LinkInfo",
    "MemberJoined",
    "MemberLeft",
    "Message",
    "MessageEvent",
    "NewLink",
    "NoAnswer",
    "OtherEvent",
    "Person",
    "Quota",
    "ReadMoved",
    "Refused",
    "Renamed",
    "Restored",
    "Scheduled",
    "ScheduledChanged",
    "ScheduledFailed",
    "ScheduledMessage",
    "ScheduledSent",
    "Sent",
    "Start",
    "Status",
    "StatusUser",
    "Sync",
    "SyncChat",
    "Unread",
    "UnreadChat",
    "Upload",
    "Uploaded",
    "ZchatError",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())

"""The state of one device, pure: what came goes in, commands come out.

The rules of docs/reference/protocol.md, without a socket, a clock or a loop: a
shell (`client/device.py`) carries out the commands and reports the outcome of
each. What must hold:

- Each message is delivered once and, within its chat, in order, whatever the
  event socket drops, repeats or delays. So is each change of a chat, by its
  revision; a message that changed again meanwhile comes as it is now.
- Nothing is delivered that the store no longer has: after a restore all is
  forgotten, and `Restored` says so first.
- `CaughtUp` comes when nothing is known to be missing, and not before.
- Whatever arrives, memory stays bounded: what is held while a hole is fetched,
  what waits for a key, and the requests under way have limits. What goes over
  a limit is dropped and fetched later.

The parts: `handshake` (subscribe, barrier, sync), `pulse` (heartbeats),
`key_ring` (event keys), `chat_log` (one chat's counts and holes), `inbox` (the
inbox's count), `cursors` (what is saved), `commands` (what a session wants and
tells), and `session`, which puts them together.
"""

from zchat.client.session.chat_log import HELD_LIMIT, ChatLog
from zchat.client.session.commands import (
    AskChanges,
    AskSync,
    CaughtUp,
    Command,
    Deliver,
    Event,
    Fetch,
    Missed,
    Notice,
    Reconnect,
    Restored,
    Subscribe,
    Unsubscribe,
)
from zchat.client.session.cursors import ChatCursor, Cursors
from zchat.client.session.key_ring import KEPT_KEYS, UNOPENED_LIMIT
from zchat.client.session.pulse import MISSED_HEARTBEATS
from zchat.client.session.session import FETCHES_AT_ONCE, Session, Start

__all__ = [
    "FETCHES_AT_ONCE",
    "HELD_LIMIT",
    "KEPT_KEYS",
    "MISSED_HEARTBEATS",
    "UNOPENED_LIMIT",
    "AskChanges",
    "AskSync",
    "CaughtUp",
    "ChatCursor",
    "ChatLog",
    "Command",
    "Cursors",
    "Deliver",
    "Event",
    "Fetch",
    "Missed",
    "Notice",
    "Reconnect",
    "Restored",
    "Session",
    "Start",
    "Subscribe",
    "Unsubscribe",
]

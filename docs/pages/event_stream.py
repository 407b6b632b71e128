"""The section on `GET /events`, from the gateway's structs."""

from typing import Final

import msgspec

from zchat.gateway.stream_text import (
    HANDLED_HERE,
    RETRY_MILLISECONDS,
    STREAM_EVENTS,
)
from zchat.gateway.tickets import TICKET_SECONDS, TICKETS_PER_USER
from zchat.rpc.events import EVENTS, name_of

_HEAD: Final = f"""\
## POST /events/ticket

Get a ticket that opens one event stream, for a client that cannot send an
`Authorization` header (a browser's `EventSource`) and should put no token into
an address. It is good for one `GET /events` at this gateway, within
{TICKET_SECONDS} seconds; of one user the newest {TICKETS_PER_USER} are kept.
Answers `ticket` and `expires_in`, in seconds.

| field | |
|---|---|
| `user_id` | token |

## GET /events

Stream your events, decrypted, as `text/event-stream`: everything that a
device of yours would see, each message once and in the order of its `seq`.
What is lost between the broker and the gateway is fetched before it is
missed.

| field | |
|---|---|
| `user_id` | token |
| `ticket` | a ticket of `POST /events/ticket`, in place of the token |
| `last_event_id` | where to resume, as the header `Last-Event-ID` says it |

Each event has the fields `event` (its name) and `data` (a JSON object with the
name in `event` too), and an `id` once the stream has caught up. `retry` is
{RETRY_MILLISECONDS} milliseconds. These events are about the stream itself:

| event | data | meaning |
|---|---|---|
"""
_TAIL: Final = """\

All others are the events of [events.md](events.md): {names}.

**To miss nothing**, keep the `id` of the last event you took, and give it when
you connect again: everything since then comes first, then `caught_up`. An id
carries the epoch of the store. After a restore the old ids count messages that
no longer exist; the stream then begins with `reset`, at the newest messages,
and you load again what you show. A chat that the id does not know is sent from
the first message that you may see. An id that no stream gave is `bad_request`.

A stream may end at any time: the gateway stops, the token is no longer known,
or you read too slowly. Connect again with the last `id`.
A connection without any event for 45 seconds is dead, since `heartbeat` comes
every 15. With `EventSource`, a ticket is spent by its first connection, so get
a new one after every error:

```js
let lastId = "";

async function listen() {{
  const answer = await fetch("/events/ticket", {{
    method: "POST",
    headers: {{ Authorization: `Bearer ${{token}}` }},
  }});
  const {{ ticket }} = await answer.json();
  const query = new URLSearchParams({{ ticket, last_event_id: lastId }});
  const source = new EventSource(`/events?${{query}}`);
  source.addEventListener("message", (event) => {{
    lastId = event.lastEventId || lastId;
    show(JSON.parse(event.data));
  }});
  source.onerror = () => {{
    source.close();
    setTimeout(listen, 2000);
  }};
}}
```
"""


def event_stream_section() -> str:
    """What `POST /events/ticket` and `GET /events` take and give."""
    names = ", ".join(
        f"`{name_of(event)}`" for event in EVENTS if event not in HANDLED_HERE
    )
    rows = "".join(
        f"| `{event.__struct_config__.tag}` | {_fields(event)} "
        f"| {_meaning(event)} |\n"
        for event in STREAM_EVENTS
    )
    return _HEAD + rows + _TAIL.format(names=names)


def _fields(event: type[msgspec.Struct]) -> str:
    return ", ".join(f"`{name}`" for name in event.__struct_fields__)


def _meaning(event: type[msgspec.Struct]) -> str:
    return " ".join((event.__doc__ or "").split())

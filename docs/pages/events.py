"""The page of all events, from the table in `zchat/rpc/methods.py`."""

from typing import Final

from zchat.rpc.methods import EVENTS, EventKind

HEAD: Final = """\
# Events

This page comes from `zchat/rpc/methods.py`; `make docs` writes it. How events
travel, how they are sealed, and how a client misses none stands in
[protocol.md](protocol.md#events).

An event is a map with its name under `event`, and the fields below. Over HTTP
the same maps come as JSON from [`GET /events`](http.md#get-events), but for
`head` and `key_changed`, which the gateway handles.

"""
PLACES: Final = {
    False: ("Events of a chat", "They reach every member of the chat."),
    True: ("Events of an inbox", "They reach every device of one user."),
}


def events_page() -> str:
    """The events of chats, then those of inboxes."""
    return HEAD + "\n".join(
        _place(inbox, *words) for inbox, words in PLACES.items()
    )


def _place(inbox: bool, title: str, sentence: str) -> str:
    sections = [_section(event) for event in EVENTS if event.inbox is inbox]
    return f"## {title}\n\n{sentence}\n\n" + "\n".join(sections)


def _section(event: EventKind) -> str:
    rows = "".join(
        f"| `{name}` | {meaning} |\n" for name, meaning in event.fields.items()
    )
    return (
        f"### {event.name}\n\n{event.summary}\n\n"
        f"| field | |\n|---|---|\n{rows}"
    )

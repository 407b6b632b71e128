"""The keys of the full screen: one table.

The screen's bindings, the help (F1) and the page in docs/ are made of
it, so that none of them can say something else. Keys that a terminal
swallows or sends twice are avoided: every one here comes through ssh
and tmux, and none needs a mouse.
"""

from enum import Enum
from typing import Final

from msgspec import Struct


class Where(Enum):
    """Where a key works; the value is the heading in the help."""

    ANYWHERE = "Anywhere"
    WRITING = "While you write"
    SELECTED = "On a selected message"


class Key(Struct, frozen=True):
    """What one key does: `action` is the method of the screen.

    `keys` are Textual's names, `shown` is what a person reads. With a
    `hint` the key stands in the status bar.
    """

    action: str
    keys: str
    shown: str
    summary: str
    where: Where = Where.ANYWHERE
    hint: str = ""


KEYS: Final[tuple[Key, ...]] = (
    Key("help", "f1", "F1", "Show this help.", hint="help"),
    Key(
        "next_unread",
        "alt+a",
        "Alt+A",
        "Go to the next unread chat: where you were named, then private "
        "chats, then the others.",
        hint="next unread",
    ),
    Key(
        "switch",
        "ctrl+k",
        "Ctrl+K",
        "Go to a chat or a person by name.",
        hint="switch",
    ),
    Key("neighbour(-1)", "alt+up", "Alt+↑", "Go to the chat above."),
    Key("neighbour(1)", "alt+down", "Alt+↓", "Go to the chat below."),
    Key("search", "ctrl+f", "Ctrl+F", "Search messages."),
    Key("palette", "ctrl+p", "Ctrl+P", "Find a command by its name."),
    Key("page(-1)", "pageup", "PgUp", "Scroll up a page."),
    Key("page(1)", "pagedown", "PgDn", "Scroll down a page."),
    Key("oldest", "ctrl+home", "Ctrl+Home", "Go to the oldest message here."),
    Key("newest", "ctrl+end", "Ctrl+End", "Go to the newest message."),
    Key("read_all", "alt+r", "Alt+R", "Mark this chat as read."),
    Key("toggle_chats", "f7", "F7", "Show or hide the list of chats."),
    Key("toggle_members", "f8", "F8", "Show or hide the members."),
    Key("toggle_theme", "f9", "F9", "Switch between dark and light."),
    Key("redraw", "ctrl+l", "Ctrl+L", "Draw the screen again."),
    Key("suspend", "ctrl+z", "Ctrl+Z", "Back to the shell; fg returns."),
    Key("leave", "ctrl+q", "Ctrl+Q", "Close the program."),
    Key("send", "enter", "Enter", "Send.", Where.WRITING),
    Key(
        "newline",
        "alt+enter,ctrl+j,shift+enter",
        "Alt+Enter",
        "Begin a new line; Ctrl+J does too.",
        Where.WRITING,
    ),
    Key(
        "complete",
        "tab",
        "Tab",
        "Complete a name, a command, a chat or a path; again for the next.",
        Where.WRITING,
    ),
    Key(
        "recall(-1)",
        "ctrl+up",
        "Ctrl+↑",
        "Bring back what you sent before.",
        Where.WRITING,
    ),
    Key(
        "recall(1)",
        "ctrl+down",
        "Ctrl+↓",
        "Forward again, to what you were writing.",
        Where.WRITING,
    ),
    Key(
        "select",
        "up",
        "↑",
        "In an empty line: select a message.",
        Where.WRITING,
    ),
    Key(
        "clear",
        "ctrl+c",
        "Ctrl+C",
        "Empty the line; Ctrl+↑ brings the text back.",
        Where.WRITING,
    ),
    Key(
        "back",
        "escape",
        "Esc",
        "Stop commenting or editing; go to the newest message.",
        Where.WRITING,
    ),
    Key("move(-1)", "up,k", "↑ k", "Select the one above.", Where.SELECTED),
    Key("move(1)", "down,j", "↓ j", "Select the one below.", Where.SELECTED),
    Key(
        "comment",
        "c,enter",
        "c Enter",
        "Comment on it.",
        Where.SELECTED,
        hint="comment",
    ),
    Key("react", "plus", "+", "Put an emoji on it.", Where.SELECTED, "react"),
    Key("edit", "e", "e", "Edit it, if it is yours.", Where.SELECTED, "edit"),
    Key(
        "delete",
        "d,delete",
        "d",
        "Delete it: yours, or as an owner or moderator.",
        Where.SELECTED,
        "delete",
    ),
    Key("copy", "y", "y", "Copy its text.", Where.SELECTED, hint="copy"),
    Key(
        "open",
        "o",
        "o",
        "Open it in full; on a comment, go to what it is about.",
        Where.SELECTED,
        hint="open",
    ),
    Key(
        "save", "s", "s", "Save its files.", Where.SELECTED, hint="save files"
    ),
    Key(
        "report",
        "exclamation_mark",
        "!",
        "Report it.",
        Where.SELECTED,
        hint="report",
    ),
    Key(
        "private",
        "m",
        "m",
        "Write to its author alone.",
        Where.SELECTED,
    ),
    Key(
        "retry",
        "r",
        "r",
        "Send again what was not sent.",
        Where.SELECTED,
    ),
    Key(
        "drop",
        "x",
        "x",
        "Drop what was not sent; cancel what is scheduled.",
        Where.SELECTED,
    ),
    Key("app.help", "question_mark", "?", "Show this help.", Where.SELECTED),
    Key("unselect", "escape,q", "Esc q", "Back to writing.", Where.SELECTED),
)


def keys_of(where: Where) -> list[Key]:
    """The keys that work there."""
    return [key for key in KEYS if key.where is where]

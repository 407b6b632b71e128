"""The lists to pick from: chats and people, messages, commands, emoji."""

from collections.abc import Sequence
from typing import Final

from zchat.client.console.composing import matches
from zchat.client.console.desk import Desk
from zchat.client.console.dialogs import Choice, Picker
from zchat.client.console.keys import KEYS, Where
from zchat.client.console.rows import excerpt, moment_text
from zchat.client.console.slash import SLASHES
from zchat.client.console.text import harmless

SEARCH_SECONDS: Final = 0.2
"""How long a search waits for the next letter."""
_LISTED: Final = 100
_REACTIONS: Final = {
    "👍": "thumbs up, yes",
    "👎": "thumbs down, no",
    "❤": "heart, love",
    "😂": "laughing",
    "🎉": "party, congratulations",
    "👀": "eyes, looking",
    "🙏": "thank you, please",
    "✅": "done, check",
    "😮": "surprised",
    "😢": "sad",
    "🔥": "fire",
    "🤔": "thinking",
}


def chat_picker(desk: Desk) -> Picker:
    """A chat or a person by name; gives `chat ID` or `user ID`."""

    async def find(typed: str) -> Sequence[Choice]:
        chats = [
            Choice(
                f"chat {line.id}",
                line.title,
                f"{line.unread} unread" if line.unread else "",
            )
            for line in desk.lines()
            if matches(typed, line.title)
        ]
        people = [
            Choice(f"user {user_id}", harmless(name), "write in private")
            for user_id, name in sorted(
                desk.people.items(), key=lambda each: each[1].casefold()
            )
            if typed
            and user_id != desk.client.user_id
            and matches(typed, name)
        ]
        return [*chats, *people][:_LISTED]

    return Picker("Go to a chat or a person", find, "Nothing is called so.")


def message_picker(desk: Desk) -> Picker:
    """A message of any chat by its text; gives `CHAT_ID SEQ`."""

    async def find(typed: str) -> Sequence[Choice]:
        return [
            Choice(
                f"{chat_id} {message.seq}",
                excerpt(message, 44),
                f"{harmless(message.author.name)} in "
                f"{desk.chat_name(chat_id)}, "
                f"{moment_text(message.created, desk.now())}",
            )
            for chat_id, message in await desk.search(typed)
        ]

    return Picker("Search all chats", find, "Nothing found.", SEARCH_SECONDS)


def command_picker() -> Picker:
    """A command; gives `key N`, a place in KEYS, or `slash NAME`."""

    async def find(typed: str) -> Sequence[Choice]:
        keys = [
            Choice(f"key {number}", key.summary, key.shown)
            for number, key in enumerate(KEYS)
            if key.where is Where.ANYWHERE and matches(typed, key.summary)
        ]
        slashes = [
            Choice(f"slash {slash.name}", slash.summary, slash.usage)
            for slash in SLASHES
            if matches(typed, f"{slash.name} {slash.summary}")
        ]
        return [*keys, *slashes]

    return Picker("Do …", find, "There is no such thing.")


def emoji_picker() -> Picker:
    """An emoji by its name, or any that is typed."""

    async def find(typed: str) -> Sequence[Choice]:
        found = [
            Choice(emoji, f"{emoji}  {name}")
            for emoji, name in _REACTIONS.items()
            if matches(typed, name)
        ]
        if typed and not found:
            found.append(Choice(typed, harmless(typed)))
        return found

    return Picker("React with", find, "Type a name or an emoji.")

"""The wire, pure: structs, the table of methods, codec and sealing."""

from typing import Final

PROTOCOL: Final = 1
HEARTBEAT_SECONDS: Final = 5
PAGE_LIMIT: Final = 200
CHATS_MESSAGES: Final = 4_000
"""The most messages that a page of chats holds in all."""
AUTHORS_LIMIT: Final = 200
SCHEDULED_LIMIT: Final = 50
MEMBERSHIPS_LIMIT: Final = 1_000
"""The most chats that a user may be in by groups."""
SCHEDULE_DAYS: Final = 120
FILES_PER_MESSAGE: Final = 10
REQUEST_BYTES: Final = 524_288
TOPIC_LIMIT_BYTES: Final = 64
EMOJI_LENGTH: Final = 32
"""The most characters of one emoji; a flag or a family has several."""
REACTIONS_LIMIT: Final = 20
"""The most different emoji on one message."""
REACTORS_LISTED: Final = 50
"""The most users listed with one emoji."""
MENTIONS_LIMIT: Final = 50
"""The most names that are looked for in one text."""
EVERYBODY_LIMIT: Final = 200
"""The largest group in which `@all` mentions everybody."""
RECEIPTS_LIMIT: Final = 100
"""The largest group in which read receipts are told."""
SEARCH_SHORTEST: Final = 2
SEARCH_LONGEST: Final = 256

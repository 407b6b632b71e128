"""The line above the conversation: which chat it is, and who asks in."""

from textual.widgets import Static

from zchat.client.console.desk import Desk


class Heading(Static):
    """The open chat's name, its size, and what waits for its owner."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("", id="heading", markup=False)
        self._desk = desk

    def show(self) -> None:
        """Draw what the desk has now."""
        desk = self._desk
        chat = desk.chat
        size = desk.presence.of(desk.chat_id).size
        parts = [desk.chat_name(desk.chat_id)]
        if chat is not None and chat.kind != "p2p" and size:
            plural = "s" * (size != 1)
            parts.append(f"{size} member{plural}")
        elif chat is not None and chat.kind == "p2p":
            parts.append("private")
            if desk.is_seen():
                parts.append("seen")
        if chat is not None and (asking := chat.requests):
            verb = "asks" if asking == 1 else "ask"
            parts.append(f"{asking} {verb} to come in: /requests")
        self.update("  ·  ".join(parts))

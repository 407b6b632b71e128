"""Every RPC method as a typed call; how it travels is the client's."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from zchat.client import values
from zchat.client.connection import NoAnswer
from zchat.client.operator_methods import OperatorMethods
from zchat.rpc import results
from zchat.rpc.methods import METHOD_BY_NAME

Answer = TypeVar("Answer", bound=msgspec.Struct)


def may_repeat(method: str, params: Mapping[str, Any]) -> bool:
    """Whether sending this twice does no more than sending it once."""
    row = METHOD_BY_NAME.get(method)
    return row is not None and row.may_repeat(params)


def read_answer(plain: object, kind: type[Answer]) -> Answer:
    """The result as a value of this kind; NoAnswer if it is none."""
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        raise NoAnswer(
            f"The server's answer cannot be read ({error}); is this "
            "client too old for it?",
            sent=True,
        ) from None


class Methods(OperatorMethods):
    """The methods of rpc/methods.py but `connect`, one call each.

    All raise Refused with the server's code, or NoAnswer.
    """

    async def _ask(
        self, kind: type[Answer], method: str, **params: object
    ) -> Answer:
        return read_answer(await self.call(method, **params), kind)

    async def hello(self) -> values.Hello:
        """Who answers, where the events are, and the limits."""
        return await self._ask(values.Hello, "hello")

    async def status(self) -> values.Status:
        """The server's and the caller's state."""
        return await self._ask(values.Status, "status")

    async def send(
        self,
        text: str,
        chat_id: str | None = None,
        *,
        comment_on: str | None = None,
        files: Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> values.Sent:
        """Send a message, by default to the common chat: once.

        Without a key one is made, so that a lost answer doubles nothing.
        """
        return await self._ask(
            values.Sent,
            "send",
            text=text,
            chat_id=chat_id,
            comment_on=comment_on,
            files=list(files) or None,
            idempotency_key=idempotency_key or secrets.token_hex(16),
        )

    async def comment(
        self, message_id: str, text: str, *, idempotency_key: str | None = None
    ) -> values.Sent:
        """Put a message on another message; as `send`."""
        return await self._ask(
            values.Sent,
            "comment",
            message_id=message_id,
            text=text,
            idempotency_key=idempotency_key or secrets.token_hex(16),
        )

    async def chats(
        self,
        *,
        depth: int | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> tuple[values.Chat, ...]:
        """A page of the caller's chats, the common one first."""
        page = await self._ask(
            values.Chats, "chats", depth=depth, limit=limit, after=after
        )
        return page.chats

    async def all_chats(self, depth: int = 0) -> tuple[values.Chat, ...]:
        """All of the caller's chats, page by page."""
        found: list[values.Chat] = []
        while page := await self.chats(
            depth=depth, after=found[-1].id if found else None
        ):
            found += page
        return tuple(found)

    async def chat(
        self, chat_id: str, *, depth: int | None = None
    ) -> values.Chat:
        """One chat with its newest messages: `chats` with a `chat_id`."""
        found = await self.call("chats", chat_id=chat_id, depth=depth)
        return read_answer(found.get("history"), values.Chat)

    async def history(
        self,
        chat_id: str,
        *,
        before: int | None = None,
        after: int | None = None,
        around: int | None = None,
        limit: int | None = None,
    ) -> values.History:
        """A page of messages, oldest first; by default the newest."""
        return await self._ask(
            values.History,
            "history",
            chat_id=chat_id,
            before=before,
            after=after,
            around=around,
            limit=limit,
        )

    async def comments(
        self,
        message_id: str,
        *,
        after: int | None = None,
        limit: int | None = None,
    ) -> tuple[values.Message, ...]:
        """The comments on a message, oldest first."""
        found = await self._ask(
            values.Messages,
            "comments",
            message_id=message_id,
            after=after,
            limit=limit,
        )
        return found.messages

    async def unread(
        self, *, ack: bool = False, limit: int | None = None
    ) -> values.Unread:
        """What came since the read positions; `ack` moves them past it.

        They are moved by `read`, after the messages have arrived: the
        server's own `ack` would lose them together with its answer.
        """
        found = await self._ask(values.Unread, "unread", limit=limit)
        if ack:
            for chat in found.chats:
                if chat.messages:
                    await self.read(chat.id, chat.messages[-1].seq)
        return found

    async def read(self, chat_id: str, seq: int) -> int:
        """Move the read position forward; returns where it stands."""
        moved = await self._ask(
            results.ReadPosition, "read", chat_id=chat_id, seq=seq
        )
        return moved.seq

    async def sync(self) -> values.Sync:
        """All that a device needs to start or to catch up."""
        return await self._ask(values.Sync, "sync")

    async def p2p(self, user_id: str) -> str:
        """The id of the private chat with another user."""
        found = await self._ask(results.ChatId, "p2p", user_id=user_id)
        return found.chat_id

    async def exit(self, chat_id: str) -> None:
        """Leave a chat."""
        await self._ask(results.Empty, "exit", chat_id=chat_id)

    async def report(
        self, user_id: str, reason: str, *, message_id: str | None = None
    ) -> str:
        """Complain about a user; returns the complaint's id."""
        made = await self._ask(
            results.ReportId,
            "report",
            user_id=user_id,
            reason=reason,
            message_id=message_id,
        )
        return made.id

    async def users(
        self,
        chat_id: str,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> tuple[values.ListedUser, ...]:
        """A page of a chat's members, by user id."""
        found = await self._ask(
            values.Users, "users", chat_id=chat_id, after=after, limit=limit
        )
        return found.users

    async def all_users(self, chat_id: str) -> tuple[values.ListedUser, ...]:
        """All members of a chat, page by page."""
        found: list[values.ListedUser] = []
        while page := await self.users(
            chat_id, after=found[-1].id if found else None
        ):
            found += page
        return tuple(found)

    async def edit(
        self,
        message_id: str,
        text: str,
        *,
        idempotency_key: str | None = None,
    ) -> values.Edited:
        """Change the text of a message; it is given a key if it has none."""
        return await self._ask(
            values.Edited,
            "edit",
            message_id=message_id,
            text=text,
            idempotency_key=idempotency_key or secrets.token_hex(16),
        )

    async def delete(self, message_id: str) -> int:
        """Delete a message; returns the chat's revision that this made."""
        made = await self._ask(values.Changed, "delete", message_id=message_id)
        return made.revision

    async def react(
        self, message_id: str, emoji: str, *, on: bool = True
    ) -> int:
        """Put an emoji on a message, or take it off.

        Returns the chat's revision that this made.
        """
        made = await self._ask(
            values.Changed,
            "react",
            message_id=message_id,
            emoji=emoji,
            on=on,
        )
        return made.revision

    async def changes(
        self, chat_id: str, after: int, *, limit: int | None = None
    ) -> values.Changes:
        """What happened to a chat after a revision, a page of it."""
        return await self._ask(
            values.Changes,
            "changes",
            chat_id=chat_id,
            after=after,
            limit=limit,
        )

    async def search(
        self,
        text: str,
        *,
        chat_id: str | None = None,
        author_id: str | None = None,
        has_file: bool | None = None,
        before: str | None = None,
        limit: int | None = None,
    ) -> values.Found:
        """Messages that hold a text, newest first, a page of them.

        `before` is the `next` of the page before.
        """
        return await self._ask(
            values.Found,
            "search",
            text=text,
            chat_id=chat_id,
            author_id=author_id,
            has_file=has_file,
            before=before,
            limit=limit,
        )

    async def typing(self, chat_id: str) -> None:
        """Tell a chat that the caller is writing."""
        await self._ask(results.Empty, "typing", chat_id=chat_id)

    async def settings(
        self, *, receipts: bool | None = None
    ) -> values.UserSettings:
        """Show the caller's settings, or change those that are given."""
        return await self._ask(
            values.UserSettings, "settings", receipts=receipts
        )

    async def rotate_token(self) -> str:
        """Replace the caller's token; the old one is dead at once."""
        made = await self._ask(values.NewToken, "rotate_token")
        return made.token

    async def rename(self, name: str) -> str:
        """Change the caller's name; returns it as it now stands."""
        renamed = await self._ask(results.NewName, "rename", name=name)
        return renamed.name

    async def schedule(
        self,
        text: str,
        send_at: datetime | str,
        chat_id: str | None = None,
        *,
        comment_on: str | None = None,
        files: Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> values.Scheduled:
        """Send a message at a time (RFC 3339 or with a time zone)."""
        return await self._ask(
            values.Scheduled,
            "schedule",
            text=text,
            chat_id=chat_id,
            comment_on=comment_on,
            files=list(files) or None,
            send_at=send_at
            if isinstance(send_at, str)
            else send_at.isoformat(),
            idempotency_key=idempotency_key or secrets.token_hex(16),
        )

    async def scheduled(
        self, state: str | None = None
    ) -> tuple[values.ScheduledMessage, ...]:
        """The caller's scheduled messages, or those in one state."""
        found = await self._ask(
            values.ScheduledMessages, "scheduled", state=state
        )
        return found.messages

    async def cancel(self, scheduled_id: str) -> None:
        "Cancel a pending scheduled message."
        await self._ask(results.Empty, "cancel", id=scheduled_id)

    async def begin_upload(
        self, chat_id: str, name: str, size: int, sha256: str
    ) -> values.Upload:
        """The method `upload`: begin a file, or learn where it stands."""
        return await self._ask(
            values.Upload,
            "upload",
            chat_id=chat_id,
            name=name,
            size=size,
            sha256=sha256,
        )

    async def upload_chunk(
        self, file_id: str, offset: int, data: bytes
    ) -> values.Uploaded:
        "Upload the next chunk of a file."
        return await self._ask(
            values.Uploaded,
            "upload_chunk",
            file_id=file_id,
            offset=offset,
            data=data,
        )

    async def download_range(
        self, file_id: str, offset: int = 0, length: int | None = None
    ) -> values.Download:
        """The method `download`: a range of a file."""
        return await self._ask(
            values.Download,
            "download",
            file_id=file_id,
            offset=offset,
            length=length,
        )

    async def create_chat(self, name: str) -> str:
        """Make a group; returns its id."""
        made = await self._ask(results.ChatId, "create_chat", name=name)
        return made.chat_id

    async def rename_chat(self, chat_id: str, name: str) -> None:
        "Rename a group; owner only."
        await self._ask(
            results.Empty, "rename_chat", chat_id=chat_id, name=name
        )

    async def invite(self, chat_id: str, user_id: str) -> None:
        """Add a user to a group; owner only."""
        await self._ask(
            results.Empty, "invite", chat_id=chat_id, user_id=user_id
        )

    async def remove(self, chat_id: str, user_id: str) -> None:
        """Remove a member from a group; owner only."""
        await self._ask(
            results.Empty, "remove", chat_id=chat_id, user_id=user_id
        )

    async def invite_link(
        self,
        chat_id: str,
        *,
        expires_in: int | None = None,
        max_uses: int | None = None,
    ) -> values.NewLink:
        """Make a link into a group; `expires_in` is in seconds."""
        return await self._ask(
            values.NewLink,
            "invite_link",
            chat_id=chat_id,
            expires_in=expires_in,
            max_uses=max_uses,
        )

    async def invite_links(self, chat_id: str) -> tuple[values.LinkInfo, ...]:
        """The live links of a group; owner only."""
        found = await self._ask(values.Links, "invite_links", chat_id=chat_id)
        return found.links

    async def revoke_link(self, link: str) -> None:
        """Make a link useless, by the link or its id; owner only."""
        await self._ask(results.Empty, "revoke_link", link=link)

    async def join(self, link: str) -> values.Joined:
        "Ask to join a group with a link."
        return await self._ask(values.Joined, "join", link=link)

    async def join_requests(
        self, chat_id: str
    ) -> tuple[values.JoinRequest, ...]:
        """Who waits to come in, longest first; owner only."""
        found = await self._ask(
            values.JoinRequests, "join_requests", chat_id=chat_id
        )
        return found.requests

    async def approve(self, chat_id: str, user_id: str) -> None:
        "Approve a join request; owner only."
        await self._ask(
            results.Empty, "approve", chat_id=chat_id, user_id=user_id
        )

    async def deny(self, chat_id: str, user_id: str) -> None:
        "Deny a join request; owner only."
        await self._ask(
            results.Empty, "deny", chat_id=chat_id, user_id=user_id
        )

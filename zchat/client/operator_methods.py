"""The methods of moderators and admins as typed calls.

The server decides by the caller's role; everybody else gets `forbidden`.
"""

from abc import ABC, abstractmethod
from typing import Any, TypeVar

import msgspec

from zchat.client import operator_values as values
from zchat.client.values import Sent
from zchat.rpc import operator_results, results

Answer = TypeVar("Answer", bound=msgspec.Struct)


class OperatorMethods(ABC):
    """What a client can do whose user is a moderator or an admin."""

    @abstractmethod
    async def call(self, method: str, /, **params: object) -> Any:
        """The plain result of a method; parameters of None are left out."""

    @abstractmethod
    async def _ask(
        self, kind: type[Answer], method: str, **params: object
    ) -> Answer:
        """The result of a method as a value of this kind."""

    async def accounts(
        self,
        *,
        name: str | None = None,
        user_id: str | None = None,
        role: str | None = None,
        banned: bool | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> tuple[values.Account, ...]:
        """A page of accounts by id, those that fit; admins only."""
        found = await self._ask(
            values.Accounts,
            "accounts",
            name=name,
            user_id=user_id,
            role=role,
            banned=banned,
            after=after,
            limit=limit,
        )
        return found.users

    async def complaints(
        self,
        *,
        state: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> tuple[values.ComplaintInfo, ...]:
        """A page of complaints, oldest first; moderators."""
        found = await self._ask(
            values.Complaints,
            "complaints",
            state=state,
            after=after,
            limit=limit,
        )
        return found.complaints

    async def resolve(self, complaint_id: str, verdict: str) -> None:
        """Call a complaint `dismissed` or `upheld`; moderators."""
        await self._ask(
            results.Empty, "resolve", id=complaint_id, verdict=verdict
        )

    async def ban(
        self,
        user_id: str,
        *,
        reason: str,
        seconds: int | None = None,
    ) -> values.BanEnd:
        """Ban a user, by default as long as the server's rule; moderators."""
        return await self._ask(
            values.BanEnd,
            "ban",
            user_id=user_id,
            seconds=seconds,
            reason=reason,
        )

    async def unban(self, user_id: str) -> None:
        """End a ban; moderators."""
        await self._ask(results.Empty, "unban", user_id=user_id)

    async def set_role(self, user_id: str, role: str) -> None:
        """Make a user `member`, `moderator` or `admin`; admins only."""
        await self._ask(results.Empty, "set_role", user_id=user_id, role=role)

    async def reset_token(self, user_id: str) -> str:
        """A new token for a user who lost theirs; admins only."""
        made = await self._ask(
            operator_results.ResetToken, "reset_token", user_id=user_id
        )
        return made.token

    async def close_account(
        self, user_id: str, *, erase: bool = False
    ) -> None:
        """Close an account; `erase` takes all texts and files of it
        away, also where it is closed already; admins only."""
        await self._ask(
            results.Empty, "close_account", user_id=user_id, erase=erase
        )

    async def delete_message(self, message_id: str) -> None:
        """Delete any message; a tombstone stays; admins only."""
        await self._ask(results.Empty, "delete_message", message_id=message_id)

    async def announce(self, text: str, chat_id: str | None = None) -> Sent:
        """Send a message as the user `operator`; admins only."""
        return await self._ask(Sent, "announce", text=text, chat_id=chat_id)

    async def create_invite(
        self, *, uses: int | None = None, expires_in: int | None = None
    ) -> values.NewInvite:
        """A code that lets newcomers in; `expires_in` is in seconds."""
        return await self._ask(
            values.NewInvite, "create_invite", uses=uses, expires_in=expires_in
        )

    async def invites(self) -> tuple[values.InviteInfo, ...]:
        """The invites that still let somebody in; admins only."""
        return (await self._ask(values.Invites, "invites")).invites

    async def revoke_invite(self, invite_id: str) -> None:
        """Make an invite useless; admins only."""
        await self._ask(results.Empty, "revoke_invite", id=invite_id)

    async def audit(
        self, *, after: str | None = None, limit: int | None = None
    ) -> tuple[values.AuditEntry, ...]:
        """A page of what operators and moderators did, newest first."""
        found = await self._ask(
            values.AuditEntries, "audit", after=after, limit=limit
        )
        return found.entries

    async def stats(self) -> Any:
        """How the server is, as plain numbers; admins only."""
        return await self.call("stats")

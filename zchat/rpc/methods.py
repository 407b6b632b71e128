"""The table of methods: names, parameters, results, and HTTP routes.

The RPC dispatcher, the gateway's routes, the OpenAPI text and the
reference in `docs/` are read off this table.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from msgspec import Struct, field

from zchat.rpc import operator_params, operator_results, params, results
from zchat.rpc.params import Params
from zchat.rpc.results import Result

TOKEN: Final = "token"
KEY: Final = "idempotency_key"
MODERATOR, ADMIN, OPERATOR = "moderator", "admin", "operator"
_USER: Final = {"user_id": TOKEN}
_AUTHOR: Final = {"author_id": TOKEN, "message": "text"}


class Route(Struct, frozen=True):
    """One endpoint: `rename` maps body fields to parameters.

    Path parameters stand in braces and are parameters of the method.
    A raw route moves a file's bytes instead of JSON. `fixed` are
    parameters that the route itself stands for.
    """

    verb: str
    path: str
    rename: Mapping[str, str] = field(default_factory=dict)
    raw: bool = False
    fixed: Mapping[str, Any] = field(default_factory=dict)


class Method(Struct, frozen=True, dict=True):
    """One method: what clients, the gateway and the docs know of it.

    `reads` says that it never changes anything; with `changes_if`, it
    changes something only if that parameter is true. `repeatable` says
    that a second call with the same parameters changes nothing more.
    `command` is the command of `zchat` that does the same at a shell.
    `role` says who may call it: users who have that role or a higher one
    (MODERATOR, ADMIN), and whoever may open the operator's socket;
    OPERATOR is for that socket alone.
    The server's rule is bound to it in `zchat/chat/rules.py`.
    """

    name: str
    summary: str
    params: type[Params]
    result: type[Result]
    reads: bool = False
    routes: tuple[Route, ...] = ()
    needs_token: bool = True
    changes_if: str = ""
    repeatable: bool = False
    command: str = ""
    role: str = ""

    @cached_property
    def takes_token(self) -> bool:
        """Whether a token says who calls."""
        return self.needs_token or self.names_token

    @cached_property
    def for_operator(self) -> bool:
        """Whether the operator's socket serves it."""
        return bool(self.role) or not (self.needs_token or self.names_token)

    @cached_property
    def names_token(self) -> bool:
        """Whether the token is one of the parameters."""
        return TOKEN in self.params.__struct_fields__

    def only_reads(self, checked: Params) -> bool:
        """Whether a call with these parameters changes nothing."""
        if self.changes_if:
            return not getattr(checked, self.changes_if)
        return self.reads

    def may_repeat(self, given: Mapping[str, Any]) -> bool:
        """Whether sending this twice does no more than sending it once.

        So it may go out again when the answer was lost. A method that
        takes an idempotency key needs one.
        """
        if KEY in self.params.__struct_fields__:
            return given.get(KEY) is not None
        if self.changes_if:
            return not given.get(self.changes_if)
        return self.reads or self.repeatable


METHODS: tuple[Method, ...] = (
    Method(
        "hello",
        "Return the server's version, events endpoint and limits.",
        params.Hello,
        results.Hello,
        reads=True,
        needs_token=False,
    ),
    Method(
        "connect",
        "Create a user, or reconnect with a token.",
        params.Connect,
        results.Connected,
        needs_token=False,
        routes=(Route("POST", "/connect", _USER),),
    ),
    Method(
        "status",
        "Show server and user status.",
        params.Status,
        results.Status,
        command="status",
        reads=True,
        routes=(Route("GET", "/status", _USER),),
    ),
    Method(
        "send",
        "Send a message to a chat, by default the common one.",
        params.Send,
        results.Sent,
        command="send",
        routes=(Route("POST", "/send", _AUTHOR),),
    ),
    Method(
        "comment",
        "Comment on a message.",
        params.Comment,
        results.Sent,
        routes=(Route("POST", "/comment", _AUTHOR),),
    ),
    Method(
        "chats",
        "List the caller's chats with their newest messages.",
        params.Chats,
        results.Chats,
        command="chats",
        reads=True,
        routes=(Route("GET", "/chats", _USER),),
    ),
    Method(
        "history",
        "Read a page of a chat's messages.",
        params.History,
        results.History,
        reads=True,
        routes=(Route("GET", "/history", _USER),),
    ),
    Method(
        "comments",
        "List the comments on a message.",
        params.Comments,
        results.Messages,
        reads=True,
        routes=(Route("GET", "/comments", _USER),),
    ),
    Method(
        "unread",
        "Return messages since the last poll, in pages.",
        params.Unread,
        results.Unread,
        changes_if="ack",
        routes=(Route("GET", "/unread", _USER),),
    ),
    Method(
        "read",
        "Move the read position of a chat forward.",
        params.Read,
        results.ReadPosition,
        repeatable=True,
        routes=(Route("POST", "/read", _USER),),
    ),
    Method(
        "sync",
        "Return everything a device needs to start or catch up.",
        params.Sync,
        results.Sync,
        reads=True,
        routes=(Route("GET", "/sync", _USER),),
    ),
    Method(
        "p2p",
        "Open the private chat with another user.",
        params.P2P,
        results.ChatId,
        repeatable=True,
        routes=(
            Route(
                "POST",
                "/connect_p2p",
                {"user_id": TOKEN, "other_user_id": "user_id"},
            ),
        ),
    ),
    Method(
        "exit",
        "Leave a chat.",
        params.Exit,
        results.Empty,
        routes=(Route("POST", "/chats/exit", _USER),),
    ),
    Method(
        "report",
        "Report a user.",
        params.Report,
        results.ReportId,
        routes=(
            Route(
                "POST",
                "/report_user",
                {"user_id": TOKEN, "reported_user_id": "user_id"},
            ),
        ),
    ),
    Method(
        "users",
        "List the members of a chat.",
        params.Users,
        results.Users,
        reads=True,
        routes=(Route("GET", "/users", _USER),),
    ),
    Method(
        "rename",
        "Change the caller's name.",
        params.Rename,
        results.NewName,
        repeatable=True,
        routes=(Route("POST", "/rename", _USER),),
    ),
    Method(
        "schedule",
        "Schedule a message.",
        params.Schedule,
        results.Scheduled,
        routes=(Route("POST", "/scheduled", _AUTHOR),),
    ),
    Method(
        "scheduled",
        "List the caller's scheduled messages.",
        params.ScheduledList,
        results.ScheduledMessages,
        reads=True,
        routes=(Route("GET", "/scheduled", _USER),),
    ),
    Method(
        "cancel",
        "Cancel a pending scheduled message.",
        params.Cancel,
        results.Empty,
        routes=(Route("DELETE", "/scheduled/{id}", _USER),),
    ),
    Method(
        "upload",
        "Start or resume a file upload.",
        params.Upload,
        results.Upload,
        repeatable=True,
        routes=(Route("POST", "/files", _USER, raw=True),),
    ),
    Method(
        "upload_chunk",
        "Upload the next chunk of a file.",
        params.UploadChunk,
        results.Uploaded,
        repeatable=True,
    ),
    Method(
        "download",
        "Download a range of a file.",
        params.Download,
        results.Download,
        reads=True,
        routes=(Route("GET", "/files/{file_id}", _USER, raw=True),),
    ),
    Method(
        "create_chat",
        "Create a group, owned by the caller.",
        params.CreateChat,
        results.ChatId,
        routes=(Route("POST", "/chats", _USER),),
    ),
    Method(
        "rename_chat",
        "Rename a group; owner only.",
        params.RenameChat,
        results.Empty,
        repeatable=True,
        routes=(Route("POST", "/chats/{chat_id}/rename"),),
    ),
    Method(
        "invite",
        "Add a user to a group; owner only.",
        params.ChatAndUser,
        results.Empty,
        routes=(Route("POST", "/chats/{chat_id}/invite"),),
    ),
    Method(
        "remove",
        "Remove a member from a group; owner only.",
        params.ChatAndUser,
        results.Empty,
        routes=(Route("POST", "/chats/{chat_id}/remove"),),
    ),
    Method(
        "invite_link",
        "Create an invitation link to a group; owner only.",
        params.InviteLink,
        results.NewLink,
        routes=(Route("POST", "/chats/{chat_id}/links", _USER),),
    ),
    Method(
        "invite_links",
        "List the valid links of a group; owner only.",
        params.OneChat,
        results.Links,
        reads=True,
        routes=(Route("GET", "/chats/{chat_id}/links", _USER),),
    ),
    Method(
        "revoke_link",
        "Revoke a link; owner only.",
        params.OneLink,
        results.Empty,
        routes=(Route("DELETE", "/links/{link}", _USER),),
    ),
    Method(
        "join",
        "Ask to join a group with a link.",
        params.OneLink,
        results.Joined,
        routes=(Route("POST", "/join/{link}", _USER),),
    ),
    Method(
        "join_requests",
        "List pending join requests; owner only.",
        params.OneChat,
        results.JoinRequests,
        reads=True,
        routes=(Route("GET", "/chats/{chat_id}/requests", _USER),),
    ),
    Method(
        "approve",
        "Approve a join request; owner only.",
        params.ChatAndUser,
        results.Empty,
        routes=(Route("POST", "/chats/{chat_id}/requests/{user_id}/approve"),),
    ),
    Method(
        "deny",
        "Deny a join request; owner only.",
        params.ChatAndUser,
        results.Empty,
        routes=(Route("POST", "/chats/{chat_id}/requests/{user_id}/deny"),),
    ),
    Method(
        "edit",
        "Change the text of a message.",
        params.Edit,
        results.Edited,
        routes=(Route("POST", "/messages/{message_id}/edit", _AUTHOR),),
    ),
    Method(
        "delete",
        "Delete a message; a tombstone stays.",
        params.Delete,
        results.Changed,
        repeatable=True,
        routes=(Route("DELETE", "/messages/{message_id}", _USER),),
    ),
    Method(
        "react",
        "Put an emoji on a message, or take it off.",
        params.React,
        results.Changed,
        repeatable=True,
        routes=(
            Route("POST", "/messages/{message_id}/reactions", _USER),
            Route(
                "DELETE",
                "/messages/{message_id}/reactions/{emoji}",
                _USER,
                fixed={"on": False},
            ),
        ),
    ),
    Method(
        "changes",
        "Return what happened to a chat's messages and to the chat.",
        params.Changes,
        results.Changes,
        reads=True,
        routes=(Route("GET", "/changes", _USER),),
    ),
    Method(
        "search",
        "Find messages by a part of their text.",
        params.Search,
        results.Found,
        reads=True,
        routes=(Route("GET", "/search", _USER),),
    ),
    Method(
        "typing",
        "Tell a chat that the caller is writing.",
        params.Typing,
        results.Empty,
        repeatable=True,
        routes=(Route("POST", "/typing", _USER),),
    ),
    Method(
        "settings",
        "Show or change the caller's settings.",
        params.ChangeSettings,
        results.UserSettings,
        repeatable=True,
        routes=(Route("POST", "/settings", _USER),),
    ),
    Method(
        "rotate_token",
        "Replace the caller's token; the old one is dead at once.",
        params.RotateToken,
        results.NewToken,
        routes=(Route("POST", "/rotate_token", _USER),),
    ),
    Method(
        "accounts",
        "List accounts.",
        operator_params.Accounts,
        operator_results.Accounts,
        reads=True,
        role=ADMIN,
        routes=(Route("GET", "/accounts"),),
        command="admin accounts",
    ),
    Method(
        "complaints",
        "List complaints with their evidence.",
        operator_params.Complaints,
        operator_results.Complaints,
        reads=True,
        role=MODERATOR,
        routes=(Route("GET", "/complaints"),),
        command="admin complaints",
    ),
    Method(
        "resolve",
        "Dismiss or uphold a complaint.",
        operator_params.Resolve,
        results.Empty,
        role=MODERATOR,
        routes=(Route("POST", "/complaints/{id}/resolve"),),
        command="admin resolve",
    ),
    Method(
        "ban",
        "Ban a user.",
        operator_params.Ban,
        operator_results.BanEnd,
        role=MODERATOR,
        routes=(Route("POST", "/accounts/{user_id}/ban"),),
        command="admin ban",
    ),
    Method(
        "unban",
        "End a ban.",
        operator_params.Unban,
        results.Empty,
        role=MODERATOR,
        routes=(Route("POST", "/accounts/{user_id}/unban"),),
        command="admin unban",
    ),
    Method(
        "set_role",
        "Make a user a member, moderator or admin.",
        operator_params.SetRole,
        results.Empty,
        role=ADMIN,
        routes=(Route("POST", "/accounts/{user_id}/role"),),
        command="admin role",
        repeatable=True,
    ),
    Method(
        "reset_token",
        "Give a user who lost the token a new one.",
        operator_params.ResetToken,
        operator_results.ResetToken,
        role=ADMIN,
        routes=(Route("POST", "/accounts/{user_id}/token"),),
        command="admin reset-token",
    ),
    Method(
        "close_account",
        "Close an account.",
        operator_params.CloseAccount,
        results.Empty,
        role=ADMIN,
        routes=(Route("POST", "/accounts/{user_id}/close"),),
        command="admin close",
    ),
    Method(
        "announce",
        "Send a message as the server's operator.",
        operator_params.Announce,
        results.Sent,
        role=ADMIN,
        routes=(Route("POST", "/announcements"),),
        command="admin announce",
    ),
    Method(
        "create_invite",
        "Create a code that lets newcomers in.",
        operator_params.CreateInvite,
        operator_results.NewInvite,
        role=ADMIN,
        routes=(Route("POST", "/invites"),),
        command="admin invite",
    ),
    Method(
        "invites",
        "List the invites that still let somebody in.",
        operator_params.Invites,
        operator_results.Invites,
        reads=True,
        role=ADMIN,
        routes=(Route("GET", "/invites"),),
        command="admin invites",
    ),
    Method(
        "revoke_invite",
        "Revoke an invite.",
        operator_params.RevokeInvite,
        results.Empty,
        role=ADMIN,
        routes=(Route("DELETE", "/invites/{id}"),),
        command="admin revoke-invite",
        repeatable=True,
    ),
    Method(
        "audit",
        "List what operators and moderators did.",
        operator_params.AuditPage,
        operator_results.AuditEntries,
        reads=True,
        role=ADMIN,
        routes=(Route("GET", "/audit"),),
        command="admin audit",
    ),
    Method(
        "delete_message",
        "Delete any message; a tombstone stays.",
        operator_params.DeleteMessage,
        results.Empty,
        role=ADMIN,
        command="admin delete",
        repeatable=True,
    ),
    Method(
        "backup",
        "Copy the store into a new file on the server.",
        operator_params.Backup,
        operator_results.BackedUp,
        role=OPERATOR,
        command="backup",
    ),
    Method(
        "stats",
        "Show how the server is and how much it holds.",
        operator_params.Stats,
        operator_results.Stats,
        reads=True,
        role=ADMIN,
        routes=(Route("GET", "/stats"),),
        command="admin stats",
    ),
)

METHOD_BY_NAME: dict[str, Method] = {method.name: method for method in METHODS}


def schema_types() -> list[Any]:
    """Every struct of the table, for JSON Schema."""
    return list(
        dict.fromkeys(
            kind
            for method in METHODS
            for kind in (method.params, method.result)
        )
    )

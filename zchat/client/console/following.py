"""Follows the events, and keeps the desk up with them."""

import asyncio

from zchat.client import (
    Banned,
    CaughtUp,
    ChatRemoved,
    ChatRenamed,
    Event,
    Expired,
    JoinRequested,
    MemberJoined,
    MemberLeft,
    MemberRenamed,
    Message,
    MessageChanged,
    MessageEvent,
    OwnerChanged,
    Restored,
    ScheduledChanged,
    ScheduledFailed,
    ScheduledSent,
    Seen,
    Typing,
)
from zchat.client.console.conversation import notice
from zchat.client.console.desk import Desk


class Follower:
    """Does on the desk what each event says."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def run(self, chat: str | None = None) -> None:
        """Follow until cancelled; raises what ends the events.

        `chat` is the name of the chat to open first.
        """
        tasks = [
            asyncio.create_task(work)
            for work in (
                self._take_events(),
                self._desk.sender.run(),
                self._desk.marks.run(),
                self._begin(chat),
            )
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._desk.drop_chores()

    async def _begin(self, chat: str | None) -> None:
        desk = self._desk
        await desk.attempt(desk.look_at_standing())
        await desk.attempt(desk.look_at_scheduled())
        if chat is not None:
            await desk.attempt(self._open_named(chat))

    async def _open_named(self, chat: str) -> None:
        await self._desk.open(self._desk.chat_named(chat))

    async def _take_events(self) -> None:
        desk = self._desk
        async for event in desk.client.events():
            self._happened(event)
            desk.changed()
            if not desk.client.events_waiting:
                await asyncio.sleep(0)

    def _happened(self, event: Event) -> None:
        desk = self._desk
        match event:
            case CaughtUp():
                desk.is_caught_up = True
                desk.marks.tell_again()
                if desk.timeline.is_loaded:
                    desk.look_at_members()
                else:
                    desk.chore(desk.open(desk.chat_id))
            case MessageEvent(chat_id, message):
                self._message_came(chat_id, message)
            case MessageChanged(chat_id, message):
                desk.timelines.message_changed(chat_id, message)
            case Expired(chat_id, seq):
                desk.timeline_of(chat_id).expired(seq)
            case Restored():
                self._restored()
            case Typing() | Seen():
                self._somebody_did(event)
            case _:
                self._told(event)

    def _somebody_did(self, event: Typing | Seen) -> None:
        desk = self._desk
        match event:
            case Typing(chat_id, user):
                if user.id != desk.client.user_id:
                    desk.presence.types(chat_id, user.name)
            case Seen(chat_id, user_id, seq):
                desk.presence.has_read(chat_id, user_id, seq)

    def _restored(self) -> None:
        """Another store: what is loaded counts no more."""
        desk = self._desk
        desk.timelines.restored()
        desk.marks.restored()
        desk.presence.restored()
        desk.say("the server's store was restored from a copy")

    def _message_came(self, chat_id: str, message: Message) -> None:
        desk = self._desk
        timeline = desk.timeline_of(chat_id)
        desk.people[message.author.id] = message.author.name
        desk.presence.wrote(chat_id, message.author.name)
        timeline.came(message)
        if message.is_comment_on is not None:
            timeline.commented(message.is_comment_on)
        if message.author.id == desk.client.user_id:
            desk.sender.confirm(chat_id, message)
            return
        known = desk.client.known_chats.get(chat_id)
        is_private = known is not None and known.kind == "p2p"
        if is_private or desk.client.user_id in message.mentions:
            desk.called()

    def _told(self, event: Event) -> None:
        desk = self._desk
        told = notice(desk, event)
        place = self._place_of(event)
        match event:
            case ChatRemoved(chat_id):
                desk.timelines.forget(chat_id)
                desk.presence.forget(chat_id)
                if desk.came_out(chat_id):
                    desk.chore(desk.open(desk.chat_id))
            case MemberRenamed(chat_id, user):
                desk.name(chat_id, {user.id: user.name})
                desk.members_changed(chat_id)
            case MemberJoined(chat_id) | MemberLeft(chat_id):
                desk.members_changed(chat_id)
            case OwnerChanged(chat_id):
                desk.members_changed(chat_id)
            case Banned():
                desk.chore(desk.look_at_standing())
            case ScheduledSent() | ScheduledChanged() | ScheduledFailed():
                desk.chore(desk.look_at_scheduled())
        if told:
            is_error = isinstance(event, Banned | ScheduledFailed)
            desk.timeline_of(place or desk.chat_id).note(
                told, is_error=is_error
            )

    @staticmethod
    def _place_of(event: Event) -> str | None:
        """The chat in which an event is told; None: where one is."""
        match event:
            case (
                MemberJoined(chat_id)
                | MemberLeft(chat_id)
                | ChatRenamed(chat_id)
                | JoinRequested(chat_id)
            ):
                return chat_id
            case _:
                return None

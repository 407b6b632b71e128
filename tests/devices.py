"""Devices that follow events as docs/reference/protocol.md says.

A `Device` is told raw events of a `World`, of which any may be lost, and
asks the server for what its counts show to be missing. It stands for a
client without a socket or a clock, to compare what devices end with that
were there all along, lost events, or came later.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec

from tests.harness import Person, Told, World
from zchat.errors import Code, Refused
from zchat.rpc.codec import unpack
from zchat.rpc.sealing import key_number, unseal
from zchat.rpc.topics import chat_topic, inbox_topic


class Chat:
    """What a device has of one chat."""

    def __init__(self) -> None:
        self.seq = 0
        self.revision = 0
        self.messages: dict[int, dict[str, Any]] = {}


class Device:
    """One running client of one user."""

    def __init__(self, world: World, person: Person) -> None:
        self._world = world
        self._person = Person(world, person.id, person.token, person.name)
        self.user_id = person.id
        self.chats: dict[str, Chat] = {}
        self.now: Any = None
        self._keys: dict[bytes, Any] = {}
        self._is_behind = False
        self.catch_up()

    def catch_up(self) -> None:
        """Ask for the state of everything, and fetch what is missing."""
        while True:
            self._learn()
            try:
                for chat in self.now.chats:
                    self._fetch(chat.id, chat.head)
                    self._fetch_changes(chat.id, chat.revision)
            except Refused as refused:
                if refused.code is not Code.NOT_FOUND:
                    raise
                continue  # a chat that was left meanwhile
            return

    def _learn(self) -> None:
        """Ask for the state of everything but messages."""
        self._is_behind = False
        self.now = self._person("sync")
        self._keys = {inbox_topic(self.user_id): self.now.inbox_key}
        for chat in self.now.chats:
            self._keys[chat_topic(chat.id)] = chat.event_key
            known = self.chats.setdefault(chat.id, Chat())
            for seq in list(known.messages):
                if seq <= chat.visible_after:
                    del known.messages[seq]
        ours = {chat.id for chat in self.now.chats}
        for chat_id in self.chats.keys() - ours:
            del self.chats[chat_id]

    def _fetch(self, chat_id: str, head: int) -> None:
        chat = self.chats[chat_id]
        while chat.seq < head:
            page = self._person(
                "history", chat_id=chat_id, after=chat.seq, limit=7
            )
            for message in page.messages:
                self._take_message(chat, msgspec.to_builtins(message))
            if not page.has_newer:
                chat.seq = max(chat.seq, head)

    def _fetch_changes(self, chat_id: str, revision: int) -> None:
        chat = self.chats[chat_id]
        while chat.revision < revision:
            page = self._person(
                "changes", chat_id=chat_id, after=chat.revision, limit=5
            )
            for message in page.messages:
                chat.messages[message.seq] = msgspec.to_builtins(message)
                chat.revision = message.revision
            for one in page.renamed:
                self._name(chat, one.id, one.name)
            if not page.more:
                chat.revision = page.revision

    def _take_message(self, chat: Chat, message: dict[str, Any]) -> None:
        if message["seq"] > chat.seq:
            chat.seq = message["seq"]
            chat.messages[chat.seq] = message

    @staticmethod
    def _name(chat: Chat, id: str, name: str) -> None:
        """Call an author as a member is called now."""
        for message in chat.messages.values():
            if message["author"]["id"] == id:
                message["author"] = {"id": id, "name": name}

    def take(self, told: Told) -> None:
        """An event that was not lost."""
        topic = told.raw.topic
        if topic not in self._keys:
            return
        event = self._opened(topic, told.raw.body)
        if event is None:
            self._is_behind = True
        elif topic == inbox_topic(self.user_id):
            self._is_behind |= event["inbox"] > self.now.inbox
        else:
            self._take_event(event)

    def settle(self) -> None:
        """Do what the events taken so far ask for."""
        if self._is_behind:
            self.catch_up()

    def _opened(self, topic: bytes, body: bytes) -> Any:
        key = self._keys[topic]
        if key is None:
            return unpack(body)
        if key_number(body) != key.id:
            return None
        plain = unseal(key.secret, topic, body)
        return None if plain is None else unpack(plain)

    def _take_event(self, event: dict[str, Any]) -> None:
        chat_id = event["chat_id"]
        chat = self.chats[chat_id]
        try:
            if event["event"] == "message":
                self._fetch(chat_id, event["seq"] - 1)
                self._take_message(chat, event["message"])
            elif event["event"] == "head":
                self._fetch(chat_id, event["seq"])
            revision = event.get("revision", 0)
            if event["event"] != "head" and revision == chat.revision + 1:
                chat.revision = revision
                if event["event"] == "message_changed":
                    message = event["message"]
                    chat.messages[message["seq"]] = message
                elif event["event"] in ("member_renamed", "member_joined"):
                    self._name(chat, **event["user"])
            self._fetch_changes(chat_id, revision)
        except Refused as refused:
            if refused.code is not Code.NOT_FOUND:
                raise
            self._is_behind = True
        if revision:
            # Titles, unread counts and members follow from `sync`.
            self._is_behind = True

    def shown(self) -> Any:
        """All that the device shows, but for what counts differently.

        How many comments a message has, and the name of an author who
        has left, are of the time when it was read.
        """
        self._learn()
        return {
            "user": self.now.user,
            "scheduled": self._person("scheduled").messages,
            "chats": [
                (chat, self._messages(chat.id)) for chat in self.now.chats
            ],
        }

    def _messages(self, chat_id: str) -> list[dict[str, Any]]:
        members = {
            user.id for user in self._person("users", chat_id=chat_id).users
        }
        return [
            {
                **message,
                "comments": 0,
                "author": message["author"]
                if message["author"]["id"] in members
                else message["author"]["id"],
            }
            for _, message in sorted(self.chats[chat_id].messages.items())
        ]


class Crowd:
    """Devices of several users at one broker, with their fates.

    Of each user one hears everything, one loses a third, and one is
    away until the end.
    """

    def __init__(
        self, world: World, people: Sequence[Person], chance: Random
    ) -> None:
        self._world = world
        self._people = people
        self._chance = chance
        self._steady = [Device(world, person) for person in people]
        self._lossy = [Device(world, person) for person in people]
        self._away = [Device(world, person) for person in people]
        world.told()

    def hear(self, events: Sequence[Told]) -> None:
        """Some events come, or do not."""
        for told in events:
            for device in self._steady:
                device.take(told)
            for device in self._lossy:
                if self._chance.random() > 1 / 3:
                    device.take(told)
        for device in self._steady:
            device.settle()
        for device in self._chance.sample(self._lossy, 2):
            device.settle()

    def hear_all(self, events: Sequence[Told]) -> None:
        """The last events come to all, with the heads among them."""
        for device in (*self._steady, *self._lossy):
            for told in events:
                device.take(told)
            device.settle()
        for device in self._away:
            device.catch_up()

    def compare(self) -> None:
        """All devices of a user show what a new one shows."""
        for person, *devices in zip(
            self._people, self._steady, self._lossy, self._away
        ):
            expected = Device(self._world, person).shown()
            for device in devices:
                assert device.shown() == expected

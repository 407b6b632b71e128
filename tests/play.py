"""Random requests of several users, for tests that compare devices."""

import random
from collections.abc import Callable, Sequence
from contextlib import suppress

from tests.harness import Person, World
from zchat.errors import Code, Refused

EXPECTED = frozenset(
    {
        Code.BAD_REQUEST,
        Code.CONFLICT,
        Code.FORBIDDEN,
        Code.NOT_FOUND,
        Code.RATE_LIMITED,
    }
)
EMOJI = ("👍", "🎉", "❤️")


class Play:
    """Users of one or several brokers, doing one thing after another."""

    def __init__(
        self,
        worlds: Sequence[World],
        people: Sequence[Person],
        chance: random.Random,
    ) -> None:
        self._worlds = worlds
        self._people = list(people)
        self._chance = chance
        self._names = len(people)
        self.done = 0
        self._deeds: list[tuple[int, Callable[[Person], object]]] = [
            (12, self._send),
            (3, self._comment),
            (5, self._edit),
            (3, self._delete),
            (6, self._react),
            (4, self._read),
            (2, self._unread),
            (1, self._rename),
            (1, self._rename_chat),
            (1, self._group),
            (2, self._invite),
            (1, self._remove),
            (1, self._exit),
            (1, self._p2p),
            (2, self._schedule),
            (1, self._cancel),
            (1, self._settings),
            (1, self._typing),
            (2, self._wait),
        ]

    def step(self) -> None:
        """One request of somebody at some broker."""
        weights = [weight for weight, _ in self._deeds]
        ((_, deed),) = self._chance.choices(self._deeds, weights)
        person = self._chance.choice(self._people)
        person.world = self._chance.choice(self._worlds)
        try:
            deed(person)
        except Refused as refused:
            if refused.code not in EXPECTED:
                raise
        else:
            self.done += 1

    def _chat_of(self, person: Person) -> str:
        chats = person("chats", depth=0).chats
        chat_id: str = self._chance.choice(chats).id
        return chat_id

    def _message_of(self, person: Person, own: bool = False) -> str:
        page = person("history", chat_id=self._chat_of(person), limit=20)
        found = [
            message.id
            for message in page.messages
            if not own or message.author.id == person.id
        ]
        if not found:
            raise Refused(Code.NOT_FOUND, "nothing to choose from")
        message_id: str = self._chance.choice(found)
        return message_id

    def _other(self, person: Person) -> Person:
        return self._chance.choice(
            [other for other in self._people if other is not person]
        )

    def _text(self, person: Person) -> str:
        number = self._chance.randrange(1000)
        name = self._other(person).name
        return self._chance.choice(
            (f"text {number}", f"text {number} @{name}", f"@all {number}")
        )

    def _send(self, person: Person) -> None:
        person("send", chat_id=self._chat_of(person), text=self._text(person))

    def _comment(self, person: Person) -> None:
        person(
            "comment",
            message_id=self._message_of(person),
            text=self._text(person),
        )

    def _edit(self, person: Person) -> None:
        person(
            "edit",
            message_id=self._message_of(person, own=True),
            text=self._text(person),
        )

    def _delete(self, person: Person) -> None:
        person("delete", message_id=self._message_of(person, own=True))

    def _react(self, person: Person) -> None:
        person(
            "react",
            message_id=self._message_of(person),
            emoji=self._chance.choice(EMOJI),
            on=self._chance.random() < 0.7,
        )

    def _read(self, person: Person) -> None:
        person(
            "read",
            chat_id=self._chat_of(person),
            seq=self._chance.randrange(60),
        )

    def _unread(self, person: Person) -> None:
        person("unread", ack=True, limit=3)

    def _rename(self, person: Person) -> None:
        self._names += 1
        person.name = person("rename", name=f"name{self._names:03}").name

    def _rename_chat(self, person: Person) -> None:
        person(
            "rename_chat",
            chat_id=self._chat_of(person),
            name=f"room {self._chance.randrange(99)}",
        )

    def _group(self, person: Person) -> None:
        person("create_chat", name=f"room {self._chance.randrange(99)}")

    def _invite(self, person: Person) -> None:
        person(
            "invite",
            chat_id=self._chat_of(person),
            user_id=self._other(person).id,
        )

    def _remove(self, person: Person) -> None:
        person(
            "remove",
            chat_id=self._chat_of(person),
            user_id=self._other(person).id,
        )

    def _exit(self, person: Person) -> None:
        chat_id = self._chat_of(person)
        if chat_id != person.world.common:
            person("exit", chat_id=chat_id)

    def _p2p(self, person: Person) -> None:
        person("p2p", user_id=self._other(person).id)

    def _schedule(self, person: Person) -> None:
        person(
            "schedule",
            chat_id=self._chat_of(person),
            text=self._text(person),
            send_at=person.world.at(self._chance.randrange(1, 20)),
        )

    def _cancel(self, person: Person) -> None:
        pending = person("scheduled", state="pending").messages
        if pending:
            person("cancel", id=self._chance.choice(pending).id)

    def _settings(self, person: Person) -> None:
        person("settings", receipts=self._chance.random() < 0.5)

    def _typing(self, person: Person) -> None:
        person("typing", chat_id=self._chat_of(person))

    def _wait(self, person: Person) -> None:
        seconds = self._chance.randrange(1, 5)
        for world in self._worlds:
            with suppress(Refused):
                world.wait(seconds)

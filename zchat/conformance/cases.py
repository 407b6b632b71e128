"""The cases: what a client must get right, one function each.

Each says what a broker does and what the client must make of it
(docs/reference/protocol.md, docs/howto/conformance.md).
"""

from typing import Final

from zchat.conformance.runner import Case, Failed, Stage
from zchat.conformance.server import COMMON, GROUP, Request


def plain_messages(stage: Stage) -> None:
    """Messages come in order, each once, and what is sent arrives once."""
    stage.listening()
    stage.server.post(COMMON, "one")
    stage.server.post(COMMON, "two")
    stage.expect((COMMON, 1, "one"), (COMMON, 2, "two"))
    stage.adapter.say("three")
    stage.expect((COMMON, 3, "three"))


def holes(stage: Stage) -> None:
    """An event that was lost is fetched before what follows it."""
    stage.listening()
    stage.server.post(COMMON, "one")
    stage.server.post(COMMON, "lost", lose=True)
    stage.server.post(COMMON, "three")
    stage.expect((COMMON, 1, "one"), (COMMON, 2, "lost"), (COMMON, 3, "three"))


def last_message_lost(stage: Stage) -> None:
    """`head` shows that the last message was lost."""
    stage.listening()
    stage.server.post(COMMON, "lost", lose=True)
    stage.server.tell_head(COMMON)
    stage.expect((COMMON, 1, "lost"))


def repeats(stage: Stage) -> None:
    """An event that comes again is dropped."""
    stage.listening()
    stage.server.post(COMMON, "one")
    stage.server.tell_head(COMMON)
    message = stage.server.chats[COMMON].messages[0]
    for _ in range(2):
        stage.server.tell_map(
            COMMON,
            {
                "event": "message",
                "chat_id": COMMON,
                "seq": 1,
                "message": message,
            },
        )
    stage.server.post(COMMON, "two")
    stage.expect((COMMON, 1, "one"), (COMMON, 2, "two"))


def the_future(stage: Stage) -> None:
    """Unknown fields and events, and bodies that are none, do no harm."""
    stage.listening()
    stage.server.post(COMMON, "one", extra={"mood": [{"is": "good"}]})
    stage.server.tell_map(COMMON, {"event": "sparkle", "chat_id": COMMON})
    stage.server.tell_map(COMMON, {"no": "event"})
    stage.server.post(COMMON, "two")
    stage.expect((COMMON, 1, "one"), (COMMON, 2, "two"))


def sealed_chat(stage: Stage) -> None:
    """A chat that is added is subscribed to, and its events are opened."""
    stage.listening()
    stage.server.add_to_group()
    stage.rest()
    stage.server.post(GROUP, "sealed")
    stage.expect((GROUP, 1, "sealed"))


def first_message_of_a_new_chat(stage: Stage) -> None:
    """What is sent before the subscription is live comes as well."""
    stage.listening()
    stage.server.add_to_group()
    stage.server.post(GROUP, "at once")
    stage.expect((GROUP, 1, "at once"))


def keys_change(stage: Stage) -> None:
    """A new key is asked for, whether or not `key_changed` came."""
    stage.listening()
    stage.server.add_to_group()
    stage.rest()
    stage.server.change_key(GROUP, lose=False)
    stage.server.post(GROUP, "told")
    stage.expect((GROUP, 1, "told"))
    stage.server.change_key(GROUP, lose=True)
    stage.server.post(GROUP, "not told")
    stage.expect((GROUP, 2, "not told"))


def edits(stage: Stage) -> None:
    """A change is told; one that was lost is asked for with `changes`."""
    stage.listening()
    stage.server.post(COMMON, "one")
    stage.server.post(COMMON, "two")
    stage.expect((COMMON, 1, "one"), (COMMON, 2, "two"))
    stage.server.edit(COMMON, 1, "one, edited", lose=False)
    stage.expect((COMMON, 1, "one, edited"))
    stage.server.edit(COMMON, 2, "two, edited", lose=True)
    stage.server.tell_head(COMMON)
    stage.expect((COMMON, 2, "two, edited"))
    if not stage.server.asked_for("changes"):
        raise Failed("`changes` was never asked")


def silence(stage: Stage) -> None:
    """Three heartbeats that do not come mean a dead connection."""
    stage.listening()
    stage.server.is_silent = True
    stage.server.post(COMMON, "lost", lose=True)
    syncs = len(stage.server.asked_for("sync"))
    stage.until(
        lambda: len(stage.server.asked_for("sync")) > syncs,
        "the client subscribes again and calls sync",
    )
    stage.server.is_silent = False
    stage.expect((COMMON, 1, "lost"))


def standing_barrier(stage: Stage) -> None:
    """A barrier that comes unasked means a new connection."""
    stage.listening()
    stage.server.post(COMMON, "lost", lose=True)
    if not stage.server.repeat_barrier():
        raise Failed("no barrier stays subscribed")
    stage.expect((COMMON, 1, "lost"))


def broken_connections(stage: Stage) -> None:
    """Connections that break are made again, and nothing is missed."""
    stage.listening()
    stage.server.post(COMMON, "one")
    stage.expect((COMMON, 1, "one"))
    stage.server.post(COMMON, "lost", lose=True)
    stage.server.break_off()
    stage.expect((COMMON, 2, "lost"))


def lost_answer(stage: Stage) -> None:
    """A send whose answer was lost goes out again, under the same key."""
    stage.listening()
    sends: list[Request] = []

    def lose(request: Request) -> bool:
        if request.method != "send":
            return False
        sends.append(request)
        return len(sends) == 1

    stage.server.holds = lose
    stage.adapter.say("once")
    stage.until(lambda: sends, "the message is sent")
    stage.server.carry_out(sends[0])
    stage.server.break_off()
    stage.until(lambda: len(sends) > 1, "it is sent again")
    keys = {request.params.get("idempotency_key") for request in sends}
    if len(keys) != 1 or None in keys:
        raise Failed(f"the keys were {keys}, not one and the same")
    stage.expect((COMMON, 1, "once"))


def answers_in_any_order(stage: Stage) -> None:
    """Answers may come in another order than their requests."""
    stage.listening()
    stage.server.holds = lambda request: request.method in {"send", "history"}
    stage.adapter.say("mine")
    stage.server.post(COMMON, "lost", lose=True)
    stage.server.post(COMMON, "two")
    stage.until(
        lambda: (
            {one.method for one in stage.server.held} >= {"send", "history"}
        ),
        "a request goes out while another waits",
    )
    held, stage.server.held = stage.server.held, []
    stage.server.holds = lambda request: False
    for request in reversed(held):
        stage.server.answer(request)
    stage.expect((COMMON, 1, "lost"), (COMMON, 2, "two"), (COMMON, 3, "mine"))


def restored_store(stage: Stage) -> None:
    """In a new epoch the old numbers count nothing."""
    stage.listening()
    for text in ("one", "two", "three"):
        stage.server.post(COMMON, text)
    stage.expect((COMMON, 1, "one"), (COMMON, 2, "two"), (COMMON, 3, "three"))
    stage.server.epoch += 1
    del stage.server.chats[COMMON].messages[1:]
    stage.server.chats[COMMON].read = 1
    for text in ("other two", "other three", "other four"):
        stage.server.post(COMMON, text, lose=True)
    stage.server.break_off()
    stage.expect(
        (COMMON, 2, "other two"),
        (COMMON, 3, "other three"),
        (COMMON, 4, "other four"),
    )


CASES: Final = tuple(
    Case(play.__name__.replace("_", " "), play)
    for play in (
        plain_messages,
        holes,
        last_message_lost,
        repeats,
        the_future,
        sealed_chat,
        first_message_of_a_new_chat,
        keys_change,
        edits,
        silence,
        standing_barrier,
        broken_connections,
        lost_answer,
        answers_in_any_order,
        restored_store,
    )
)

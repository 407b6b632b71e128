"""The commands behind a slash that moderators have."""

from datetime import datetime
from typing import Final

from zchat.client.console.conversation import Conversation
from zchat.client.console.slash_row import Slash
from zchat.client.console.text import clock_time, harmless
from zchat.errors import ConfigError


async def _complaints(talk: Conversation) -> None:
    found = await talk.client.call("complaints", state="open")
    complaints = found["complaints"]
    talk.listed["complaints"] = [each["id"] for each in complaints]
    for number, each in enumerate(complaints, 1):
        talk.show(
            f"{number:4} {harmless(each['reporter']['name'])} about "
            f"{harmless(each['offender']['name'])}: "
            f"{harmless(each['reason'])}"
        )
        if each["evidence"]:
            talk.show(f"     {harmless(each['evidence'])}")
    if not complaints:
        talk.say("no complaint is open")


async def _resolve(talk: Conversation, number: str, verdict: str) -> None:
    if verdict not in ("dismissed", "upheld"):
        raise ConfigError("Type /resolve NUMBER dismissed, or upheld.")
    complaint = talk.numbered("complaints", number)
    if complaint is None:
        raise ConfigError(f"There is no complaint {number}. See /complaints.")
    await talk.client.call("resolve", id=complaint, verdict=verdict)
    talk.say(f"{verdict}")


async def _ban(
    talk: Conversation, person: str, reason: str = "No reason given."
) -> None:
    ended = await talk.client.call(
        "ban", user_id=await talk.person(person), reason=reason
    )
    until = datetime.fromisoformat(ended["until"])
    talk.say(f"banned until {clock_time(until, talk.now())}")


async def _unban(talk: Conversation, person: str) -> None:
    await talk.client.call("unban", user_id=await talk.person(person))
    talk.say("the ban was lifted")


MODERATOR_SLASHES: Final[tuple[Slash, ...]] = (
    Slash("complaints", (), "Moderators: list open complaints.", _complaints),
    Slash(
        "resolve",
        ("NUMBER", "VERDICT"),
        "Moderators: call a complaint dismissed or upheld.",
        _resolve,
    ),
    Slash("ban", ("USER", "[REASON...]"), "Moderators: ban a user.", _ban),
    Slash("unban", ("USER",), "Moderators: lift a ban.", _unban),
)

"""A bot that repeats whatever it is told in private chats, exactly once.

    python examples/echo_bot.py --server 127.0.0.1 --state echo_bot.json

It keeps its token and its cursors in a file. Kill it at any moment and start
it again: it goes on where it was, misses no message and answers none twice,
because each answer has an idempotency key made from the message's id.
"""

import argparse
import asyncio
import os
from pathlib import Path

import msgspec

from zchat.client import Client, Cursors, MessageEvent, Refused, Restored


class State(msgspec.Struct):
    """What the bot keeps between two runs."""

    token: str
    cursors: Cursors | None = None


def load(path: Path) -> State | None:
    """The state of the run before, if there was one."""
    if not path.exists():
        return None
    return msgspec.json.decode(path.read_bytes(), type=State)


def save(path: Path, state: State) -> None:
    """Write the state whole or not at all; nobody else may read it."""
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(msgspec.json.encode(state))
    draft.replace(path)


async def answer(client: Client, event: MessageEvent) -> None:
    """Repeat a message of somebody else in a private chat."""
    chat = client.known_chats.get(event.chat_id)
    message = event.message
    if chat is None or chat.kind != "p2p":
        return
    if message.author.id == client.user_id or message.deleted:
        return
    try:
        await client.send(
            f"You said: {message.text}",
            event.chat_id,
            comment_on=message.id,
            idempotency_key=f"echo-{message.id}",
        )
    except Refused as refused:
        print(f"not answered: {refused.message}", flush=True)


async def run(server: str, path: Path) -> None:
    """Answer until interrupted."""
    known = load(path)
    client = await Client.connect(
        server,
        known.token if known else None,
        cursors=known.cursors if known else None,
    )
    async with client:
        save(path, State(client.token, client.cursors()))
        print(f"I am {client.name}, {client.user_id}", flush=True)
        async for event in client.events():
            if isinstance(event, MessageEvent):
                await answer(client, event)
            elif isinstance(event, Restored):
                print("the server was restored from a copy", flush=True)
            if not client.events_waiting:
                save(path, State(client.token, client.cursors()))


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--server", default="127.0.0.1")
    parser.add_argument("--state", type=Path, default=Path("echo_bot.json"))
    options = parser.parse_args()
    try:
        asyncio.run(run(options.server, options.state))
    except KeyboardInterrupt:
        print("stopped")


if __name__ == "__main__":
    main()

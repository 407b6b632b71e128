"""The adapter of this library for `zchat conformance`.

    zchat conformance python examples/conformance_client.py

It prints each message that the library delivers, and each that changed, as a
line of JSON, and sends each line of its standard input to the common chat. An
adapter of another library does the same (docs/howto/conformance.md).
"""

import asyncio
import json
import sys

from zchat.client import Client, MessageChanged, MessageEvent


async def print_messages(client: Client) -> None:
    """Print what is delivered, until the client is closed."""
    async for event in client.events():
        if isinstance(event, MessageEvent | MessageChanged):
            line = {
                "chat_id": event.chat_id,
                "seq": event.message.seq,
                "text": event.message.text,
            }
            print(json.dumps(line), flush=True)


async def send_lines(client: Client) -> None:
    """Send what is typed, until the end of the input."""
    sends: set[asyncio.Task[object]] = set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        task = asyncio.create_task(client.send(line.rstrip("\n")))
        sends.add(task)
        task.add_done_callback(sends.discard)


async def main(server: str) -> None:
    """Do both, until the end of the input."""
    async with await Client.connect(server) as client:
        printing = asyncio.create_task(print_messages(client))
        await send_lines(client)
        await client.close()
        await printing


if __name__ == "__main__":
    asyncio.run(main(sys.argv[-1]))

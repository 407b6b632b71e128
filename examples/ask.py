"""Ask everybody a question, perhaps with a file, and print the answers.

    python examples/ask.py "Shall we deploy?" --file plan.txt --seconds 60

An answer is a comment on the question. This is the blocking client: nothing
but calls and one loop.
"""

import argparse
import sys
import time
from pathlib import Path

from zchat.client import BlockingClient, MessageEvent, ZchatError


def ask(client: BlockingClient, text: str, paths: list[Path]) -> str:
    """Send the question to the common chat; returns its id."""
    files = [client.upload(path) for path in paths]
    return client.send(text, files=files).id


def print_answers(
    client: BlockingClient, question: str, seconds: float
) -> int:
    """Print comments on the question as they come; returns how many."""
    ends = time.monotonic() + seconds
    count = 0
    while (left := ends - time.monotonic()) > 0:
        try:
            event = client.next_event(left)
        except TimeoutError:
            break
        if (
            isinstance(event, MessageEvent)
            and event.message.is_comment_on == question
        ):
            count += 1
            author = event.message.author.name
            print(f"{author}: {event.message.text}", flush=True)
    return count


def main() -> int:
    """Ask; the exit status says whether anybody answered."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("question")
    parser.add_argument("--server", default="127.0.0.1")
    parser.add_argument("--name", help="your name, if it is still free")
    parser.add_argument("--file", type=Path, action="append", default=[])
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    try:
        with BlockingClient.connect(
            options.server, name=options.name
        ) as client:
            question = ask(client, options.question, options.file)
            print("asked", flush=True)
            count = print_answers(client, question, options.seconds)
    except (ZchatError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main())

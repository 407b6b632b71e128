"""What was typed, on its way: in its order, and each message once.

A message keeps one idempotency key until the server has confirmed or
refused it, through any number of broken connections. What is on its way
stands in the conversation until its own event has come, so it is neither
missing nor there twice.
"""

import asyncio
import secrets
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from zchat.client import Client, Message, NoAnswer
from zchat.client.console.conversation import failure, file_failure
from zchat.client.console.timeline import Outgoing, State, Timeline
from zchat.errors import Code, Refused

_RETRY_SECONDS: Final = 1.0


class _Task(Struct, frozen=True):
    """A message that waits for its turn."""

    chat_id: str
    key: str


class Sender:
    """Sends what is put in, one after the other.

    `timeline_of` gives a chat's conversation, in which each message
    shows how it stands; `changed` is called when it stands otherwise,
    and `ended` when one was taken or refused.
    """

    def __init__(
        self,
        client: Client,
        now: Callable[[], datetime],
        timeline_of: Callable[[str], Timeline],
        changed: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        self._client = client
        self._now = now
        self._timeline_of = timeline_of
        self._changed = changed
        self._ended = ended
        self._tasks: deque[_Task] = deque()
        self._came = asyncio.Event()
        self._up = asyncio.Event()
        self._sent: dict[str, str] = {}
        self._uploaded: defaultdict[str, list[str]] = defaultdict(list)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._came.wait()
            self._came.clear()
            while self._tasks:
                task = self._tasks[0]
                while await self._send_or_wait(task):
                    await asyncio.sleep(_RETRY_SECONDS)
                    await self._up.wait()
                self._tasks.popleft()

    def came_up(self) -> None:
        """There is a connection."""
        self._up.set()
        self._set_states(State.WAITING, State.SENDING)

    def went_down(self) -> None:
        """There is none."""
        self._up.clear()
        self._set_states(State.SENDING, State.WAITING)

    def _set_states(self, before: State, after: State) -> None:
        for task in self._tasks:
            timeline = self._timeline_of(task.chat_id)
            for outgoing in list(timeline.outgoing):
                if outgoing.state is before:
                    timeline.update(outgoing._replace(state=after))

    def submit(
        self,
        text: str,
        chat_id: str,
        *,
        comment_on: str | None = None,
        paths: Sequence[str] = (),
    ) -> None:
        """Put a message behind those that wait."""
        outgoing = Outgoing(
            secrets.token_hex(16),
            text,
            comment_on,
            tuple(paths),
            tuple(Path(path).name for path in paths),
            State.SENDING if self._up.is_set() else State.WAITING,
        )
        self._timeline_of(chat_id).put(outgoing)
        self._queue(chat_id, outgoing.key)

    def retry(self, chat_id: str, key: str) -> None:
        """Send once more what was refused."""
        timeline = self._timeline_of(chat_id)
        for outgoing in timeline.outgoing:
            if outgoing.key == key and outgoing.state is State.FAILED:
                timeline.update(outgoing._replace(state=State.SENDING))
                self._queue(chat_id, key)

    def _queue(self, chat_id: str, key: str) -> None:
        self._tasks.append(_Task(chat_id, key))
        self._came.set()
        self._changed()

    async def _send_or_wait(self, task: _Task) -> bool:
        """Try to send it; True: later again."""
        outgoing = next(
            (
                each
                for each in self._timeline_of(task.chat_id).outgoing
                if each.key == task.key
            ),
            None,
        )
        if outgoing is None:
            return False
        try:
            await self._send(task.chat_id, outgoing)
            self._ended()
        except NoAnswer:
            self._stands(task, State.WAITING)
            return True
        except Refused as refused:
            if refused.code is Code.UNAVAILABLE:
                self._stands(task, State.WAITING)
                return True
            self._fail(task, failure(refused, self._now()))
        except OSError as error:
            self._fail(task, file_failure(error))
        finally:
            self._changed()
        return False

    def _fail(self, task: _Task, reason: str) -> None:
        self._stands(task, State.FAILED, reason=reason)
        self._ended()

    def _stands(
        self,
        task: _Task,
        state: State,
        *,
        done: float = 0.0,
        reason: str = "",
    ) -> None:
        """Show how a message stands, unless it was taken away."""
        timeline = self._timeline_of(task.chat_id)
        for outgoing in timeline.outgoing:
            if outgoing.key == task.key:
                timeline.update(
                    outgoing._replace(state=state, done=done, reason=reason)
                )
                return

    async def _send(self, chat_id: str, outgoing: Outgoing) -> None:
        files = await self._upload(_Task(chat_id, outgoing.key), outgoing)
        sent = await self._client.send(
            outgoing.text,
            chat_id,
            comment_on=outgoing.comment_on,
            files=files,
            idempotency_key=outgoing.key,
        )
        self._uploaded.pop(outgoing.key, None)
        timeline = self._timeline_of(chat_id)
        if timeline.last >= sent.seq or timeline.has_newer:
            timeline.drop(outgoing.key)
        else:
            self._sent[sent.id] = outgoing.key

    async def _upload(self, task: _Task, outgoing: Outgoing) -> list[str]:
        """The ids of its files; what is uploaded already is not again."""
        files = self._uploaded[outgoing.key]
        count = len(outgoing.paths)
        for number in range(len(files), count):

            def tell(done: int, size: int, number: int = number) -> None:
                part = (number + done / max(1, size)) / count
                self._stands(task, State.UPLOADING, done=part)
                self._changed()

            files.append(
                await self._client.upload(
                    outgoing.paths[number], task.chat_id, progress=tell
                )
            )
        if count:
            self._stands(task, State.SENDING)
        return files

    def confirm(self, chat_id: str, message: Message) -> None:
        """An own message came: what stood for it goes."""
        timeline = self._timeline_of(chat_id)
        key = self._sent.pop(message.id, None)
        if key is None:
            for outgoing in timeline.outgoing:
                if (
                    outgoing.state is State.SENDING
                    and outgoing.text == message.text
                    and outgoing.comment_on == message.is_comment_on
                    and len(outgoing.files) == len(message.files)
                ):
                    key = outgoing.key
                    break
        if key is not None:
            timeline.drop(key)

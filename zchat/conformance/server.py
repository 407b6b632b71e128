"""A server of one user, made of lists: it loses what a case tells it to lose.

It speaks the protocol on real sockets, and knows what a broker may do to a
client on a bad day: events that do not come, come twice or come sealed with a
key not told yet; answers that come late, in another order, or never.
"""

import os
import time
from collections.abc import Callable
from typing import Any, Final

import zmq
from msgspec import Struct, field

from zchat.errors import Code, Refused
from zchat.rpc import PROTOCOL, codec, events, results, sealing, topics
from zchat.rpc.methods import METHOD_BY_NAME, TOKEN

HEARTBEAT_SECONDS: Final = 1
COMMON: Final = "00000000-0000-7000-8000-000000000001"
GROUP: Final = "00000000-0000-7000-8000-000000000002"
USER: Final = "00000000-0000-7000-8000-0000000000aa"
OTHER: Final = "00000000-0000-7000-8000-0000000000bb"
SECRET_TOKEN: Final = "00000000-0000-4000-8000-00000000feed"
TIME: Final = "2026-01-01T00:00:00.000000+00:00"
_ANY_PORT: Final = "tcp://127.0.0.1:*"
_BIND_SECONDS: Final = 5.0
_POLL_MILLISECONDS: Final = 20
_EPOCH: Final = "00000000-0000-7000-8000-00000000e00{}"
_LIMITS: Final = dict.fromkeys(results.Limits.__struct_fields__, 1_000) | {
    "page": 200,
    "request_bytes": 524_288,
}


class Chat(Struct):
    """A chat: its messages by seq, and which revision changed which."""

    id: str
    is_member: bool = True
    messages: list[results.Message] = field(default_factory=list)
    revision: int = 0
    key: int = 1
    read: int = 0

    @property
    def event_key(self) -> results.EventKey | None:
        """The key that is told; the common chat has none."""
        if self.id == COMMON:
            return None
        return results.EventKey(id=self.key, secret=bytes([self.key]) * 32)


class Request(Struct, frozen=True):
    """A request as it came; `answer_to` is whom to answer."""

    answer_to: tuple[bytes, ...]
    id: int
    method: str
    params: dict[str, Any]


class ScriptedServer:
    """Sockets and state; `asked` are the requests that came, in order."""

    def __init__(self) -> None:
        self._context = zmq.Context()
        self.rpc = self.events = _ANY_PORT
        self.chats = {id: Chat(id) for id in (COMMON, GROUP)}
        self.chats[GROUP].is_member = False
        self.epoch = 1
        self.inbox = 0
        self.asked: list[Request] = []
        self.faults: list[str] = []
        self.barriers: list[bytes] = []
        self.is_silent = False
        self.holds: Callable[[Request], bool] = lambda request: False
        self.held: list[Request] = []
        self._next_beat = 0.0
        self._is_losing = False
        self._methods: dict[str, Callable[[dict[str, Any]], Any]] = {
            "hello": self._hello,
            "connect": self._connect,
            "sync": self._sync,
            "history": self._history,
            "changes": self._changes,
            "send": self._send,
            "read": self._read,
            "status": self._status,
        }
        self._sent: dict[str, results.Sent] = {}
        self._open()

    def _open(self) -> None:
        self._router: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._router.linger = 0
        self.rpc = _bound(self._router, self.rpc)
        self._pub: zmq.Socket[bytes] = self._context.socket(zmq.XPUB)
        self._pub.linger = 0
        self._pub.setsockopt(zmq.XPUB_VERBOSE, 1)
        self.events = _bound(self._pub, self.events)

    def close(self) -> None:
        """Close all sockets."""
        self._router.close(0)
        self._pub.close(0)
        self._context.term()

    def break_off(self) -> None:
        """Break every connection, and listen again."""
        self._router.close(0)
        self._pub.close(0)
        self.barriers.clear()
        self.held.clear()
        self._open()

    # What the client does.

    def serve(self, until: Callable[[], object], seconds: float) -> bool:
        """Answer until it holds; whether it did so in time."""
        ends = time.monotonic() + seconds
        while not until():
            if time.monotonic() > ends:
                return False
            self._turn()
        return True

    def serve_for(self, seconds: float) -> None:
        """Answer for a while."""
        self.serve(lambda: False, seconds)

    def _turn(self) -> None:
        now = time.monotonic()
        if now >= self._next_beat and not self.is_silent:
            self._next_beat = now + HEARTBEAT_SECONDS
            self._publish(
                topics.HEARTBEAT,
                codec.pack({"epoch": self.epoch_id, "time": TIME, "gaps": 0}),
            )
        if self._router.poll(_POLL_MILLISECONDS):
            self._take_request(self._router.recv_multipart())
        while self._pub.poll(0):
            self._take_subscription(self._pub.recv())

    def _take_subscription(self, frame: bytes) -> None:
        topic = frame[1:]
        if frame[:1] == b"\x01" and topics.is_barrier(topic):
            self.barriers.append(topic)
            self._publish(topic, b"")
        if frame[:1] == b"\x00" and topic in self.barriers:
            self.barriers.remove(topic)

    def repeat_barrier(self) -> bool:
        """Answer the barrier that stands once more; False: there is none."""
        if self.barriers:
            self._publish(self.barriers[-1], b"")
        return bool(self.barriers)

    def _take_request(self, frames: list[bytes]) -> None:
        try:
            kind, id, method, params = codec.unpack(frames[-1])
            if (kind, type(id), type(method)) != (0, int, str):
                raise ValueError("[0, id, method, params] is the form")
            request = Request(tuple(frames[:-1]), id, method, dict(params))
        except (ValueError, TypeError) as error:
            self.faults.append(f"a request cannot be read: {error}")
            return
        self.asked.append(request)
        if self.holds(request):
            self.held.append(request)
        else:
            self.answer(request)

    def carry_out(self, request: Request) -> None:
        """Do what is asked, and lose the answer and its event."""
        self._is_losing = True
        self._methods[request.method](request.params)
        self._is_losing = False

    def answer(self, request: Request) -> None:
        """Answer a request as the server now is."""
        try:
            self._check(request)
            answered = self._methods[request.method](request.params)
            body = [1, request.id, None, answered]
        except Refused as refused:
            body = [1, request.id, refused.to_wire(), None]
        self._router.send_multipart([*request.answer_to, codec.pack(body)])

    def _check(self, request: Request) -> None:
        method = METHOD_BY_NAME.get(request.method)
        if method is None or request.method not in self._methods:
            raise Refused(Code.UNKNOWN_METHOD, "This server plays a script.")
        known = set(method.params.__struct_fields__) | {TOKEN}
        for name in request.params.keys() - known:
            self.faults.append(f"{request.method} has no parameter {name}")
        if method.needs_token and request.params.get(TOKEN) != SECRET_TOKEN:
            self.faults.append(f"{request.method} came without the token")

    def asked_for(self, method: str) -> list[Request]:
        """The requests of one method."""
        return [one for one in self.asked if one.method == method]

    # The methods.

    @property
    def epoch_id(self) -> str:
        """The epoch as it is told."""
        return _EPOCH.format(self.epoch)

    def _hello(self, params: dict[str, Any]) -> results.Hello:
        return results.Hello(
            protocol=PROTOCOL,
            server="conformance",
            epoch=self.epoch_id,
            events=self.events,
            heartbeat=HEARTBEAT_SECONDS,
            limits=results.Limits(**_LIMITS),
        )

    def _connect(self, params: dict[str, Any]) -> results.Connected:
        return results.Connected(
            token=SECRET_TOKEN,
            user_id=USER,
            name="conformance",
            chat_default=COMMON,
        )

    def _sync(self, params: dict[str, Any]) -> results.Sync:
        return results.Sync(
            epoch=self.epoch_id,
            gaps=0,
            inbox=self.inbox,
            inbox_key=_INBOX_KEY,
            user=results.SyncUser(
                id=USER,
                name="conformance",
                role="member",
                banned_until=None,
                quota=None,
                receipts=True,
            ),
            scheduled=0,
            chats=[
                results.SyncChat(
                    id=chat.id,
                    name="default" if chat.id == COMMON else "group",
                    title="default" if chat.id == COMMON else "group",
                    kind="common" if chat.id == COMMON else "group",
                    head=len(chat.messages),
                    revision=chat.revision,
                    read=chat.read,
                    unread=len(chat.messages) - chat.read,
                    mentions=0,
                    requests=0,
                    event_key=chat.event_key,
                )
                for chat in self.chats.values()
                if chat.is_member
            ],
        )

    def _history(self, params: dict[str, Any]) -> results.History:
        chat = self._chat(params)
        after, limit = params.get("after"), params.get("limit", 20)
        head = len(chat.messages)
        if after is None:
            after = max(0, params.get("before", head + 1) - 1 - limit)
        found = chat.messages[after : after + limit]
        return results.History(
            messages=found,
            has_older=after > 0,
            has_newer=after + len(found) < head,
            head=head,
        )

    def _changes(self, params: dict[str, Any]) -> results.Changes:
        chat = self._chat(params)
        changed = sorted(
            (
                message
                for message in chat.messages
                if message.revision > params["after"]
            ),
            key=lambda message: message.revision,
        )
        return results.Changes(
            revision=chat.revision,
            messages=changed,
            chat=results.ChatFacts(
                name="default" if chat.id == COMMON else "group",
                title="default" if chat.id == COMMON else "group",
                owner_id=None,
                size=2,
                event_key=chat.event_key,
            ),
            more=False,
        )

    def _send(self, params: dict[str, Any]) -> results.Sent:
        key = params.get("idempotency_key")
        if key in self._sent:
            return self._sent[key]
        chat = self.chats[params.get("chat_id") or COMMON]
        message = self.post(chat.id, params["text"], author=USER)
        sent = results.Sent(
            id=message.id, seq=message.seq, chat_id=chat.id, created=TIME
        )
        if key is not None:
            self._sent[key] = sent
        return sent

    def _read(self, params: dict[str, Any]) -> results.ReadPosition:
        chat = self._chat(params)
        chat.read = max(chat.read, min(params["seq"], len(chat.messages)))
        return results.ReadPosition(seq=chat.read)

    def _status(self, params: dict[str, Any]) -> results.Status:
        return results.Status(
            time=TIME,
            connections_db_max=1,
            connections_db_now=1,
            chat_default=COMMON,
            chats_count=2,
            chats_with_user_count=1,
            user=results.StatusUser(
                id=USER, name="conformance", banned_until=None, quota=None
            ),
        )

    def _chat(self, params: dict[str, Any]) -> Chat:
        chat = self.chats.get(str(params.get("chat_id")))
        if chat is None or not chat.is_member:
            raise Refused(Code.NOT_FOUND, "There is no such chat.")
        return chat

    # What happens on the server.

    def post(
        self,
        chat_id: str,
        text: str,
        *,
        author: str = OTHER,
        lose: bool = False,
        extra: dict[str, Any] | None = None,
    ) -> results.Message:
        """A message is sent; with `lose` its event never comes."""
        chat = self.chats[chat_id]
        seq = len(chat.messages) + 1
        message = results.Message(
            id=f"00000000-0000-7000-8000-{chat_id[-2:]}{seq:010x}",
            seq=seq,
            created=TIME,
            author=results.Person(id=author, name="somebody"),
            text=text,
            is_comment_on=None,
            comments=0,
            files=[],
        )
        chat.messages.append(message)
        if not (lose or self._is_losing):
            self.tell(
                events.MessageSent(chat_id=chat_id, seq=seq, message=message),
                extra,
            )
        return message

    def edit(self, chat_id: str, seq: int, text: str, lose: bool) -> None:
        """A message is edited; with `lose` its event never comes."""
        chat = self.chats[chat_id]
        chat.revision += 1
        known = chat.messages[seq - 1]
        message = results.Message(
            **{name: getattr(known, name) for name in known.__struct_fields__}
            | {"text": text, "revision": chat.revision, "edited": TIME}
        )
        chat.messages[seq - 1] = message
        if not lose:
            self.tell(
                events.MessageChanged(
                    chat_id=chat_id, revision=chat.revision, message=message
                )
            )

    def tell_head(self, chat_id: str) -> None:
        """Tell the counts of a chat again."""
        chat = self.chats[chat_id]
        self.tell(
            events.Head(
                chat_id=chat_id,
                seq=len(chat.messages),
                revision=chat.revision,
            )
        )

    def change_key(self, chat_id: str, lose: bool) -> None:
        """The chat gets another event key."""
        chat = self.chats[chat_id]
        chat.revision += 1
        if not lose:
            self.tell(
                events.KeyChanged(chat_id=chat_id, revision=chat.revision)
            )
        chat.key += 1

    def add_to_group(self) -> None:
        """The user is added to the group."""
        self.chats[GROUP].is_member = True
        self.inbox += 1
        self.tell_inbox(
            events.ChatAdded(
                chat_id=GROUP,
                name="group",
                title="group",
                kind="group",
                inbox=self.inbox,
            )
        )

    def tell(
        self, event: events.ChatEvent, extra: dict[str, Any] | None = None
    ) -> None:
        """Publish an event of a chat; `extra` are fields of the future."""
        plain = codec.unpack(codec.pack(event)) | (extra or {})
        self.tell_map(event.chat_id, plain)

    def tell_map(self, chat_id: str, plain: dict[str, Any]) -> None:
        """Publish any map on a chat's topic."""
        key = self.chats[chat_id].event_key
        topic = topics.chat_topic(chat_id)
        self._publish(topic, _sealed(key, topic, codec.pack(plain)))

    def tell_inbox(self, event: events.InboxEvent) -> None:
        """Publish an event of the inbox."""
        topic = topics.inbox_topic(USER)
        self._publish(topic, _sealed(_INBOX_KEY, topic, codec.pack(event)))

    def _publish(self, topic: bytes, body: bytes) -> None:
        self._pub.send_multipart([topic, body])


def _bound(socket: "zmq.Socket[bytes]", endpoint: str) -> str:
    """Bind; what listened there before may take a moment to let go."""
    ends = time.monotonic() + _BIND_SECONDS
    while True:
        try:
            socket.bind(endpoint)
            return (
                bytes(socket.getsockopt(zmq.LAST_ENDPOINT))
                .rstrip(b"\0")
                .decode()
            )
        except zmq.ZMQError:
            if time.monotonic() > ends:
                raise
            time.sleep(_POLL_MILLISECONDS / 1000)


_INBOX_KEY: Final = results.EventKey(id=1, secret=b"i" * 32)


def _sealed(key: results.EventKey | None, topic: bytes, plain: bytes) -> bytes:
    if key is None:
        return plain
    nonce = os.urandom(sealing.NONCE_BYTES)
    return sealing.seal(key.id, key.secret, topic, plain, nonce)

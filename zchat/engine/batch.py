"""One batch of requests as one transaction.

Lockstep. A rule is a coroutine that awaits rows, answers or its turn
(chat/awaitables.py). All rules that write are advanced together up to
what they await; that is fetched for the whole batch, one query per
table, and all are resumed, until each has ended or waits for its turn.
Then each takes its turn and runs to its end, in the order of arrival;
then all changes are flushed, the rules that only read run in lockstep
over what is now true, and the transaction is committed. So a batch means
what its requests would mean one after another, at the cost of a few
queries and one commit. (DataLoader and Haxl are built on this idea.)

At once. A call that waits for nothing needs no coroutine: it is prepared
where that would start, and finished in its turn (chat/rules.py).

Staleness. What a rule loaded by key it looks up again in its turn, and
sees what the rules before it made of that. What it asked (a count, a
page) cannot be looked up again. Rules that make such answers untrue
invalidate their subject; a rule that requires it fresh then raises
StaleRead before it has changed anything, and its call is left undone,
for the next batch. What came later over the same connection stays
behind it, writes and reads alike, for one connection's requests take
effect in the order sent.

Staging. A rule that has many bytes for the disk lets them go ahead. Its
call is left undone, and those of its connection after it, until they are
there; so nobody's commit waits for them, and the batch that counts them
finds them durable. `run`, which has nowhere to put a call, and the second
attempts of a batch that failed leave it to the commit to wait.

What may fail, and what it takes with it:

- A rule that refuses, or fails before its turn: that call alone.
- A rule that fails in its turn, or a flush that breaks a constraint: the
  batch is rolled back, and its calls run again one by one, so that only
  the one at fault gets an error.
- Other brokers are in the way (a deadlock): the whole batch again, with
  the locks of all attempts taken at once, in the order of all brokers.
- The store is away: calls that write are refused; calls that only read
  are tried once more without them.
"""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Final

import structlog
from msgspec import Struct

from zchat.chat.awaitables import Question, Several, Staging, Want
from zchat.chat.phases import Event, StaleRead
from zchat.chat.rules import Immediate, Rule
from zchat.chat.unit_of_work import UnitOfWork
from zchat.errors import (
    Code,
    Refused,
    StoreBusy,
    StoreDoubtful,
    StoreError,
    StoreRejected,
)
from zchat.model import SECOND, USERS, Table
from zchat.queries import PRIMARY, KeyLookup
from zchat.rpc.codec import pack
from zchat.rpc.credentials import token_hash
from zchat.rpc.sealing import NONCE_BYTES, seal
from zchat.storage.base import Outgoing, Store

BY_TOKEN: Final = 0
REPEATS: Final = 20
RETRY_AFTER_SECONDS: Final = 1
CLOCK_BACK_SECONDS: Final = 3_600

log = structlog.get_logger()


class Call(Struct, eq=False):
    """A request in a batch, and after it its outcome.

    The broker's own duties are calls as well; they carry no token and
    nobody waits for their outcome. `origin` is the connection: the
    writes of one connection take effect in the order sent.
    """

    handler: Rule
    params: Any
    reads: bool = False
    needs_token: bool = False
    token: object = None
    outcome: Struct | Refused | None = None
    done: bool = False
    caller_id: str | None = None
    coroutine: Coroutine[Any, Any, Struct | Refused | None] | None = None
    origin: Any = None
    token_hash: bytes | None = None
    immediate: Immediate | None = None
    prepared: Any = None

    def end(self, outcome: Struct | Refused | None) -> None:
        """The outcome is there.

        A refusal lets go of where it was raised, which holds the call.
        """
        self.outcome = outcome
        self.done = True
        if isinstance(outcome, Refused):
            outcome.__traceback__ = outcome.__context__ = None
        if self.coroutine is not None:
            self.coroutine.close()
            self.coroutine = None

    def again(self) -> None:
        """The batch was rolled back: as if the call had just come."""
        self.end(None)
        self.done = False
        self.caller_id = None
        self.prepared = None


class Batches:
    """Runs batches against one store.

    `clock` gives the time in microseconds. `put_off` has the calls that
    `run_once` left undone until their bytes are on the disk.
    """

    def __init__(
        self, store: Store, work: UnitOfWork, clock: Callable[[], int]
    ) -> None:
        self.store = store
        self.work = work
        self._clock = clock
        self._wanted: dict[tuple[str, int], KeyLookup] = {}
        self.put_off: dict[Call, Future[None]] = {}
        self._puts_off = False
        self._owners: set[Call] = set()

    def run(self, calls: Sequence[Call]) -> None:
        """Give every call its outcome; what changed is durable then."""
        while calls:
            self._run_once(calls, puts_off=False)
            calls = [call for call in calls if not call.done]

    def run_once(self, calls: Sequence[Call]) -> None:
        """Run a batch; calls that must wait for the next are not done."""
        self._run_once(calls, puts_off=True)
        if self._owners:
            for owner in self._owners:
                if owner.done:
                    self.store.unstage(owner)
            self._owners = {one for one in self._owners if not one.done}

    def _run_once(self, calls: Sequence[Call], puts_off: bool) -> None:
        self._puts_off = puts_off
        try:
            self._attempt_repeatedly(calls)
        except StoreRejected as error:
            log.warning("batch_rejected", error=str(error))
            self._run_singly(calls, _unavailable)
        except StoreError as error:
            log.error("store_away", error=str(error))
            self._refuse_writers(
                calls,
                _doubtful()
                if isinstance(error, StoreDoubtful)
                else _unavailable(),
            )
        except Exception:
            self._run_singly(calls, lambda: _fault(self.work))

    def _run_singly(
        self, calls: Sequence[Call], alone: Callable[[], Refused]
    ) -> None:
        """One by one, so that one harms none; `alone` if it was one."""
        if len(calls) == 1:
            refusal = alone()
            calls[0].again()
            calls[0].end(refusal)
            return
        for call in calls:
            call.again()
            self.run([call])

    def _refuse_writers(self, calls: Sequence[Call], refusal: Refused) -> None:
        """The store cannot be written; it may still be readable.

        Where it is not, there are requests that ask nothing of it.
        """
        readers = [call for call in calls if call.reads]
        if len(readers) == len(calls):
            self._run_singly(readers, lambda: refusal)
            return
        for call in calls:
            call.again()
            if not call.reads:
                call.end(refusal)
        if readers:
            self.run(readers)

    def _attempt_repeatedly(self, calls: Sequence[Call]) -> None:
        """Run the batch, again where other brokers were in its way.

        What an attempt locked in steps, the next one locks at once, in
        the order of all brokers; so two cannot hinder each other twice.
        """
        self._wanted.clear()
        for _ in range(REPEATS):
            try:
                return self._attempt(calls)
            except (StoreBusy, StoreRejected) as error:
                if len(calls) > 1 and isinstance(error, StoreRejected):
                    raise
                log.info("batch_repeated", error=str(error))
                for call in calls:
                    call.again()
        raise StoreRejected(f"given up after {REPEATS} repeats")

    def _attempt(self, calls: Sequence[Call]) -> None:
        work = self.work
        work.begin(self._time())
        self.put_off.clear()
        try:
            self.store.begin()
            if self._wanted:
                self._load(list(self._wanted.values()), [], lock=True)
            self._authorise(calls)
            writers = [c for c in calls if not c.reads and not c.done]
            self._advance(
                [c for c in writers if c.prepared is None], lock=True
            )
            late = self._take_turns(writers)
            changes = work.changes()
            if changes:
                self.store.write(changes)
            self._read([c for c in calls if c.reads and not c.done], late)
            self.store.commit([finished(e, work) for e in work.events])
        except BaseException:
            work.abandon()
            self.store.rollback()
            raise
        for event, fields in work.notes:
            log.info(event, **fields)
        work.settle()

    def _time(self) -> int:
        """The time of the next batch, in microseconds.

        A clock that is set back a little stands still meanwhile, so that
        what comes later is not older. One that is set back far was wrong
        before, and is believed.
        """
        now, last = self._clock(), self.work.now
        if now >= last:
            return now
        if last - now <= CLOCK_BACK_SECONDS * SECOND:
            return last
        log.warning("clock_set_back", seconds=(last - now) // SECOND)
        return now

    def _authorise(self, calls: Sequence[Call]) -> None:
        """Who calls; all tokens of the batch are looked up in one go,
        and each is hashed once."""
        digests = {
            token: token_hash(token)
            for token in dict.fromkeys(call.token for call in calls)
        }
        keys = [digest for digest in digests.values() if digest]
        unknown = self.work.unknown(USERS, BY_TOKEN, keys)
        if unknown:
            self._load(
                [KeyLookup(USERS, BY_TOKEN, unknown)],
                [],
                lock=not all(call.reads for call in calls),
            )
        callers: dict[bytes | None, str] = {}
        for known in keys:
            user = self.work.get_unique(USERS, BY_TOKEN, known)
            if user is not None:
                self.work.times_seen.note(user.id, self.work.now)
                callers[known] = user.id
        for call in calls:
            digest = call.token_hash = digests[call.token]
            caller_id = callers.get(digest)
            if caller_id is not None or not (digest or call.needs_token):
                self._start(call, caller_id)
            else:
                call.end(_unauthorized(call.token))

    def _shut_out(self, call: Call) -> bool:
        """End a call whose token was replaced since the batch began.

        A token is dead from the turn on that replaces it, and what only
        reads runs after all turns: it would be told the new keys.
        """
        digest = call.token_hash
        if (
            digest is None
            or not self.work.may_lack(USERS)
            or self.work.get_unique(USERS, BY_TOKEN, digest)
        ):
            return False
        call.end(_unauthorized(call.token))
        return True

    def _start(self, call: Call, caller_id: str | None) -> None:
        call.caller_id = caller_id
        if call.immediate is not None:
            call.prepared = call.immediate.prepare(
                self.work.writing, caller_id, call.params
            )
            if call.prepared is not None:
                return
        work = self.work.reading if call.reads else self.work.writing
        call.coroutine = call.handler(work, caller_id, call.params)

    def _read(self, calls: Sequence[Call], late: set[Any]) -> None:
        """Run what only reads, after the changes were flushed.

        A late connection's reads wait with its writes.
        """
        readers = []
        for call in calls:
            if late and call.origin in late:
                call.again()
            elif not self._shut_out(call):
                readers.append(call)
        self._advance(readers, lock=False)

    def _advance(self, calls: Iterable[Call], lock: bool) -> None:
        """Load what the calls wait for until none waits for rows."""
        running = list(calls)
        turn = self.work.turn_wait
        while running:
            waiting: list[Call] = []
            wanted: dict[tuple[str, int], KeyLookup] = {}
            questions: list[Question] = []
            for call in running:
                want = self._step(call)
                if want is None or want is turn:
                    continue
                if isinstance(want, Staging):
                    if not self._put_off(call, want):
                        waiting.append(call)
                    continue
                waiting.append(call)
                _gather(wanted, questions, want)
            if wanted or questions:
                self._load(list(wanted.values()), questions, lock)
            running = waiting

    def _put_off(self, call: Call, wanted: Staging) -> bool:
        """Whether the call has to wait until its bytes are on the disk."""
        staged = (
            self.store.stage(call, wanted.chunk) if self._puts_off else None
        )
        if staged is None:
            return False
        self.put_off[call] = staged
        self._owners.add(call)
        return True

    def _load(
        self, sources: list[KeyLookup], questions: list[Question], lock: bool
    ) -> None:
        shared = lock and not self.store.cacheable
        for source in sources if shared else ():
            _want(self._wanted, *source)
        found, answers = self.store.load(
            sources, [question.ask for question in questions], lock
        )
        for source, rows in zip(sources, found) if shared else ():
            _want(
                self._wanted,
                source.table,
                PRIMARY,
                map(source.table.key_of, rows),
            )
        self.work.learn(sources, found)
        for question, rows in zip(questions, answers):
            question.rows = rows

    def _step(self, call: Call) -> Any:
        """Advance a call up to what it waits for; None: it has ended."""
        assert call.coroutine is not None
        try:
            return call.coroutine.send(None)
        except StopIteration as stop:
            call.coroutine = None
            call.end(stop.value)
        except Refused as refused:
            call.end(refused)
        except Exception:
            call.end(_fault(self.work))
        return None

    def _take_turns(self, calls: Iterable[Call]) -> set[Any]:
        """The rest of each rule, in the order of arrival.

        One whose answers from the store were overtaken in this batch, or
        whose bytes are not on the disk, waits for a later one, and its
        connection's later ones with it: those connections are returned.
        """
        late: set[Any] = set()
        for call in calls:
            if call.done:
                continue
            if late and call.origin in late:
                call.again()
            elif not self._shut_out(call) and not self._take_turn(call):
                call.again()
                if call.origin is not None:
                    late.add(call.origin)
        return late

    def _take_turn(self, call: Call) -> bool:
        """The rest of a rule, which checks and changes; False: later."""
        if self.put_off and call in self.put_off:
            return False
        try:
            if call.immediate is not None and call.prepared is not None:
                call.end(call.immediate.finish(self.work.turn, call.prepared))
                return True
            assert call.coroutine is not None
            call.coroutine.send(None)
        except StopIteration as stop:
            call.coroutine = None
            call.end(stop.value)
        except StaleRead:
            return False
        except Refused as refused:
            call.end(refused)
        else:
            raise RuntimeError("a rule waits after its turn")
        return True


def _gather(
    wanted: dict[tuple[str, int], KeyLookup],
    questions: list[Question],
    want: Want | Question | Several,
) -> None:
    """Add what one rule waits for to what the batch wants."""
    if isinstance(want, Question):
        questions.append(want)
        return
    if isinstance(want, Several):
        for one in want.wants:
            _gather(wanted, questions, one)
        return
    for table, index, key in want.entries:
        source = wanted.get((table.name, index))
        if source is None:
            wanted[table.name, index] = KeyLookup(table, index, {key: None})
        else:
            source.keys[key] = None


def _want(
    wanted: dict[tuple[str, int], KeyLookup],
    table: Table[Any],
    unique: int,
    keys: Iterable[Any],
) -> None:
    """Add rows of a table to what the batch wants."""
    source = wanted.setdefault(
        (table.name, unique), KeyLookup(table, unique, {})
    )
    source.keys.update(dict.fromkeys(keys))


def finished(event: Event, work: UnitOfWork) -> Outgoing:
    """The event as it goes onto the socket."""
    body = pack(event.body)
    if event.key is not None:
        body = seal(
            event.key.number,
            event.key.secret,
            event.topic,
            body,
            work.entropy.secret(NONCE_BYTES),
        )
    return Outgoing(
        event.topic,
        body,
        event.chat_id,
        event.seq,
        event.counted,
        event.local,
    )


def _fault(work: UnitOfWork) -> Refused:
    incident = work.entropy.token()
    log.exception("internal_fault", incident=incident)
    return Refused(
        Code.INTERNAL,
        "Internal server error; nothing was changed. Report the incident"
        " number to the operator.",
        incident=incident,
    )


def _unauthorized(token: object) -> Refused:
    if token is None:
        return Refused(
            Code.UNAUTHORIZED,
            "This call needs a token. Call `connect` to get one.",
        )
    return Refused(
        Code.UNAUTHORIZED,
        "Unknown token. Call `connect` without a token to create a user.",
    )


def _unavailable() -> Refused:
    return Refused(
        Code.UNAVAILABLE,
        "The store is unavailable; nothing was changed. Try again shortly.",
        retry_after=RETRY_AFTER_SECONDS,
    )


def _doubtful() -> Refused:
    return Refused(
        Code.UNAVAILABLE,
        "The store became unavailable during the commit, so this may "
        "have taken effect. Check, or repeat it with the same "
        "idempotency_key.",
        retry_after=RETRY_AFTER_SECONDS,
        in_doubt=True,
    )

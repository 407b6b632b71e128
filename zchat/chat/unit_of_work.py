"""The unit of work: the rows, changes and events of one batch.

It is the identity map under all rules of a batch (each row is in memory
once, and every rule sees the same), and the list of what is to be
written and told when all have run. The rules hold it through one of its
phases (phases.py); the runner of batches holds the whole:

    begin → learn … (rules change rows) → changes → settle or abandon

`settle` keeps rows of cacheable tables for the next batch where this
broker is the only one that changes them; `abandon` keeps nothing, since
after a rollback memory and store may disagree.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from zchat.chat.awaitables import TurnWait
from zchat.chat.environment import Entropy, Facts
from zchat.chat.hashes import Hashes
from zchat.chat.paces import Paces
from zchat.chat.phases import Event, Reading, Shared, Turn, Writing
from zchat.chat.table_state import Changes, TableState
from zchat.chat.times_seen import TimesSeen
from zchat.chat.totals import Totals
from zchat.model import TABLES, Row, Rules, Table, time_text
from zchat.queries import KeyLookup


class UnitOfWork:
    """What the rules of one batch read and change.

    `cacheable` says that rows may outlive the batch. `now` is the
    batch's time in microseconds.
    """

    def __init__(
        self,
        rules: Rules,
        facts: Facts,
        entropy: Entropy,
        common_id: str,
        cacheable: bool = False,
    ) -> None:
        self.rules = rules
        self.facts = facts
        self.entropy = entropy
        self.common_id = common_id
        self.cacheable = cacheable
        self.now = 0
        self.hashes = Hashes()
        self.totals = Totals()
        self.paces = Paces()
        self.times_seen = TimesSeen()
        self.events: list[Event] = []
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self._states = {table.name: TableState(table) for table in TABLES}
        self._shared = Shared(
            rules,
            entropy,
            common_id,
            self.hashes,
            self.paces,
            self.times_seen,
            self.totals,
            self._states,
            self.events,
            self.notes,
            [],
            set(),
            Counter(),
        )
        self.turn = Turn(self._shared, facts)
        self.turn_wait = TurnWait(self.turn)
        self.reading = Reading(self._shared, facts)
        self.writing = Writing(self._shared, facts, self.turn_wait)

    def begin(self, now: int) -> None:
        """A batch begins at the time `now`, in microseconds."""
        self.now = now
        self.paces.begin(now)
        now_text = time_text(now)
        for phase in (self.reading, self.writing, self.turn):
            phase.now = now
            phase.now_text = now_text
            phase.facts = self.facts

    def unknown(
        self, table: Table[Any], index: int, values: Sequence[Any]
    ) -> dict[Any, None]:
        """Those of the values that have not been loaded, each once."""
        knows = self._states[table.name].knows
        return {value: None for value in values if not knows(index, value)}

    def may_lack(self, table: Table[Any]) -> bool:
        """Whether this batch found or made something missing: a row, or
        the old value of a unique field."""
        return bool(self._states[table.name].absent)

    def get_unique(
        self, table: Table[Row], index: int, value: Any
    ) -> Row | None:
        """The loaded row whose unique fields have the value."""
        return self.reading.get_unique(table, index, value)

    def learn(
        self, sources: list[KeyLookup], found: Sequence[Sequence[Any]]
    ) -> None:
        """What the store answered for the sources."""
        for source, rows in zip(sources, found):
            self._states[source.table.name].learn(
                source.unique, source.keys, rows
            )

    def changes(self) -> Changes:
        """All that is to be written."""
        return Changes(
            [
                state
                for state in self._states.values()
                if state.inserts or state.updates or state.deletes
            ],
            self._shared.statements,
        )

    def settle(self) -> None:
        """The batch is committed: start anew for the next one."""
        self.paces.settle()
        self._end(self.cacheable)

    def abandon(self) -> None:
        """The batch was rolled back: nothing in memory is true now."""
        self.paces.abandon()
        self._end(False)

    def _end(self, keep: bool) -> None:
        forgets_older = self.cacheable and not keep
        for state in self._states.values():
            if state.rows or state.absent or forgets_older:
                state.settle(keep and state.table.cacheable)
        self.events.clear()
        self.notes.clear()
        self._shared.statements.clear()
        self._shared.stale.clear()
        self._shared.adjustments.clear()

"""A model of the lease protocol over failovers, small enough to try every order.

What runs: some processes, one worker id that is watched, and a database that may lose
what it had committed. A standby may stop at any commit, and any standby may be promoted
at any time: so any earlier state of the database may come back, also one of an earlier
incarnation, and also one that an earlier failover has promoted already. Each promotion
begins an *incarnation*.

- *note*: the first transaction that finds an incarnation new to the table notes it with
  the tick that a clock shows, which begins its quarantine. The next failover may lose
  the note. Any process of the system may do it, also one that is not in the model.
- *claim*: one transaction: read the incarnation, then the clock; take over the row if
  it was released or has lapsed. Ordinary worker ids are claimed outside a quarantine,
  reserved ones in it, by the parity of the number of the incarnation.
- *renew*, *release*: one transaction each, on the row of the process only.
- *mint* the watched tick, up to ``lead`` ticks before a clock shows it.
- *drop*: a process forgets its lease: a crash, or a comparison after a reconnect, which
  is never needed for what is to be shown here.
- *clock*: time goes on by ticks. A reading gives any tick from the time to ``skew``
  ticks after it, so any two readings at one time differ by up to ``skew``. A process
  that takes no step while others do is suspended.

What makes the search small, and why nothing is lost by it:

1. **One tick of one worker id is watched**, the last tick of the search. A lease that
   is claimed later begins later. An earlier tick that is minted twice is a later one of
   a world that began earlier. Other worker ids matter to this one by the notes alone.
2. **Ends beyond the watched tick are alike**, and so are ends in the past.
3. **A process has a lease as long as it may mint the watched tick.** With a lease that
   it has used, it could only make the row last longer, which forbids steps to others.
4. **The states that come back are chosen early**: a standby stops, before a commit. No
   more of them are kept than there are failovers left.
5. **Processes are alike**, and a row is known by the process whose lease it is, if any.

What the model of one incarnation shows (``lease_model``) is assumed here: a transaction
is carried out at once, and its answer arrives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from verification.model.failover_rules import ODD, ORDINARY, Bounds
from verification.model.failover_state import (
    NOBODY,
    Database,
    Lease,
    Note,
    Row,
    Standby,
    State,
    Step,
    renamed,
    sortable,
    subsets,
    with_lease,
    without_owner,
)

#: How many notes matter: those of the present incarnation and the two before it.
RECENT = 3


@dataclass(frozen=True)
class Model:
    """The steps of the protocol with a worker id of one kind."""

    bounds: Bounds
    kind: str
    number: str = "counter"
    reserve: str = "halves"
    #: The name of the safeguard that is missing, if any.
    mutation: str = ""

    def start(self) -> State:
        """Return the state after the migration, which notes the first incarnation."""
        notes = () if self.mutation == "first_is_free" else (Note(0, 0),)
        return State(
            time=0,
            minted=False,
            failovers=0,
            noted=bool(notes),
            number=0,
            database=Database(Row(), notes),
            standbys=(),
            leases=(None,) * self.bounds.processes,
        )

    def steps(self, state: State) -> Iterator[Step]:
        """Return all that may happen next."""
        if state.time < self.bounds.watched:
            later = state._replace(time=state.time + 1)
            yield Step(0, "the time is {}", (later.time,), later)
        yield from self._promote(state)
        if not state.noted:
            for database in self._noted(state):
                over = database.notes[-1].over
                what = "the incarnation is noted, with a quarantine until {}"
                yield from self._commits(state, database, Step(0, what, (over,), state))
        if None in state.leases:
            yield from self._claim(state, state.leases.index(None) + 1)
        for who, lease in enumerate(state.leases, 1):
            if lease is not None:
                yield from self._hold(state, who, lease)

    # The database.

    def _promote(self, state: State) -> Iterator[Step]:
        """Fail over to a standby, or to one that lacks nothing."""
        left = self.bounds.failovers - state.failovers - 1
        if left < 0:
            return
        here = Standby(state.database, state.number)
        for standby in {here, *state.standbys}:
            number = {
                "counter": state.failovers + 1,
                "timeline": standby.number + 1,
                "table": 0,
            }[self.number]
            promoted = state._replace(
                failovers=state.failovers + 1,
                noted=False,
                number=number,
                database=standby.database,
                leases=tuple(self._outdated(lease, number) for lease in state.leases),
            )
            what = "failover to " + (
                "a standby that lacks nothing"
                if standby == here
                else "an earlier state, whose row ends at {}"
            )
            for standbys in subsets({here, *state.standbys}, left):
                after = promoted._replace(standbys=standbys)
                yield Step(0, what, (standby.database.row.end,), after)

    def _outdated(self, lease: Lease | None, number: int) -> Lease | None:
        if lease is None:
            return None
        same = self.mutation == "known_by_number" and lease.number == number
        return lease._replace(current=lease.current and same)

    def _commits(self, state: State, database: Database, step: Step) -> Iterator[Step]:
        """Return ``step`` with ``database``; a standby may stop before that."""
        after = step.state._replace(database=database, noted=True)
        yield step._replace(state=after)
        before = Standby(state.database, state.number)
        left = self.bounds.failovers - state.failovers
        if (
            database != state.database
            and len(state.standbys) < left
            and before not in state.standbys
        ):
            standbys = tuple(sorted((*state.standbys, before)))
            yield step._replace(
                what=step.what + "; a standby stops before that",
                state=after._replace(standbys=standbys),
            )

    def _noted(self, state: State) -> Iterator[Database]:
        """Return the database with a note of the present incarnation."""
        database = state.database
        if state.noted:
            yield database
            return
        number = state.number
        if self.number == "table":
            number = database.notes[-1].number + 1 if database.notes else 0
        for first_seen in self._readings(state, early="early_clock"):
            note = self._note(number, first_seen)
            if self.mutation == "first_is_free" and not database.notes:
                note = Note(number, 0)
            yield database._replace(notes=(*database.notes, note)[-RECENT:])

    def _note(self, number: int, first_seen: int) -> Note:
        bounds = self.bounds
        skews = bounds.in_quarantine * bounds.skew
        skew = 0 if self.mutation == "no_skew" else skews
        over = first_seen + bounds.lease + bounds.lead + skew
        skew = 0 if self.mutation == "short_without_skew" else skews
        ready = first_seen + bounds.short + bounds.lead + skew
        if self.mutation == "no_quarantine":
            over = 0
        if self.mutation == "short_at_once" or self.reserve != "short":
            ready = 0
        return Note(number, self._end(over), self._end(ready))

    # The clock.

    def _readings(self, state: State, early: str = "") -> range:
        """Return what a clock may show; or may have shown, with a mutation."""
        first = 0 if early and early == self.mutation else state.time
        return range(first, state.time + self.bounds.skew + 1)

    def _end(self, tick: int) -> int:
        return min(tick, self.bounds.watched + 1)

    # Without a lease.

    def _claim(self, state: State, who: int) -> Iterator[Step]:
        for database in self._noted(state):
            for now in self._readings(state):
                row = database.row
                start = max(row.end, now)
                end = self._new_end(start, database)
                free = row.released or row.end <= now
                if not (free and start <= self.bounds.watched and start < end):
                    continue
                if not self._may_claim(database.notes, now):
                    continue
                claimed = database._replace(row=Row(end, who, released=False))
                after = with_lease(state, who, Lease(end, number=state.number))
                what = "claims [{}, {})"
                step = Step(who, what, (start, end), after)
                yield from self._commits(state, claimed, step)

    def _may_claim(self, notes: tuple[Note, ...], now: int) -> bool:
        """Tell whether a worker id of this kind may be claimed at ``now``."""
        present = notes[-1]
        if self.kind == ORDINARY:
            return now >= present.over or self.mutation == "ordinary_in_quarantine"
        if now >= present.over:
            return False
        if self.reserve == "short":
            return now >= present.ready
        own_half = present.number % 2 == (self.kind == ODD)
        if not own_half and self.mutation != "one_reserve":
            return False
        return self._has_settled(notes, now)

    def _has_settled(self, notes: tuple[Note, ...], now: int) -> bool:
        """Tell whether all that the same half leased in an earlier quarantine ended.

        Two incarnations before the present one are of the same parity. Their leases end
        with their quarantine, and before that of the incarnation between. No note, or
        another number, proves nothing: a failover may have lost them.
        """
        if self.mutation == "third_at_once":
            return True
        if self.mutation == "third_by_notes":
            return sum(now < note.over for note in notes) < RECENT
        before = (notes[-1].number - 1, notes[-1].number - 2)
        return any(note.number in before and now >= note.over for note in notes)

    def _new_end(self, start: int, database: Database) -> int:
        """Return the end of a lease of this kind that begins at ``start``."""
        if self.kind == ORDINARY:
            return self._end(start + self.bounds.lease)
        if self.reserve == "short" and self.mutation != "short_long":
            return self._end(start + self.bounds.short)
        end = self._end(start + self.bounds.lease)
        if self.mutation == "short_long":
            return end
        if self.mutation == "reserved_uncapped":
            return end
        return min(end, database.notes[-1].over)

    # With a lease.

    def _hold(self, state: State, who: int, lease: Lease) -> Iterator[Step]:
        watched = self.bounds.watched
        dropped = with_lease(state, who, None)
        yield Step(who, "drops its lease", (), dropped)
        if lease.end > watched:
            minted = dropped._replace(minted=True)
            yield Step(who, "mints tick {}", (watched,), minted, state.minted)
        yield from self._release(state, who, lease)
        if lease.end <= watched:
            yield from self._renew(state, who, lease)

    def _furthest(self, state: State) -> int:
        """Return the last tick that may be minted at present."""
        return self._readings(state)[-1] + self.bounds.lead

    def _release(self, state: State, who: int, lease: Lease) -> Iterator[Step]:
        row = state.database.row
        other = row.owner != who
        if other and (lease.current or self.mutation != "any_row_released"):
            return
        # Any earlier end is as good as the present time.
        for end in range(state.time, min(lease.end, self._furthest(state) + 1) + 1):
            released = state.database._replace(row=Row(end, NOBODY, released=True))
            after = with_lease(state, who, None)
            step = Step(who, "releases its lease at {}", (end,), after)
            for done in self._commits(state, released, step):
                yield done._replace(state=done.state._replace(noted=state.noted))

    def _renew(self, state: State, who: int, lease: Lease) -> Iterator[Step]:
        if state.database.row.owner != who:
            return
        for database in self._noted(state):
            for now in self._readings(state, early=self._early_renewal(lease)):
                if not self._may_renew(lease, database.notes[-1], now):
                    continue
                end = self._new_end(now, database)
                if self.mutation == "reserved_kept":
                    end = self._end(now + self.bounds.lease)
                if end <= max(lease.end, database.row.end):
                    continue
                row = database.row._replace(end=end, released=False)
                renewed = database._replace(row=row)
                new = Lease(end, number=state.number)
                after = with_lease(state, who, new, keeps_row=True)
                step = Step(who, "renews its lease until {}", (end,), after)
                yield from self._commits(state, renewed, step)

    def _early_renewal(self, lease: Lease) -> str:
        return "" if lease.current else "early_clock_renewal"

    def _may_renew(self, lease: Lease, present: Note, now: int) -> bool:
        if self.kind != ORDINARY:
            if lease.current:
                return now < present.over or self.mutation == "reserved_kept"
            if self.mutation != "reserved_over_failover":
                return False
        if lease.current or self.mutation == "lapsed_renewed":
            return True
        if self.mutation == "renewed_without_skew":
            return now < lease.end
        return now + self.bounds.in_margin * self.bounds.skew < lease.end

    # States that are alike.

    def canonical(self, state: State) -> tuple[State, list[int]]:
        """Return the state that stands for all like ``state``.

        With it comes for each of its processes the place it has in ``state``.
        """
        time = state.time
        last = state.failovers == self.bounds.failovers
        standbys = () if last else state.standbys
        plain = [
            Standby(self._past(each.database, time), self._known(each.number))
            for each in standbys
        ]
        plain = sorted(set(plain), key=without_owner)
        database = self._past(state.database, time)
        owners = [database.row.owner, *(each.database.row.owner for each in plain)]
        leases = [
            lease if lease and self._can_do(state, who, lease, owners) else None
            for who, lease in enumerate(state.leases, 1)
        ]
        keys = [
            (sortable(lease), [owner == who for owner in owners])
            for who, lease in enumerate(leases, 1)
        ]
        order = sorted(range(len(leases)), key=keys.__getitem__)
        new = {
            old + 1: place if leases[old] else NOBODY
            for place, old in enumerate(order, 1)
        }
        new[NOBODY] = NOBODY
        after = state._replace(
            number=self._known(state.number),
            database=renamed(database, new),
            standbys=tuple(
                sorted(
                    each._replace(database=renamed(each.database, new))
                    for each in plain
                )
            ),
            leases=tuple(self._known_lease(leases[old]) for old in order),
        )
        return after, order

    def _can_do(self, state: State, who: int, lease: Lease, owners: list[int]) -> bool:
        """Tell whether a lease can still lead to a mint, or change a row."""
        if self.mutation or lease.end > self.bounds.watched:
            return True
        if who not in owners:
            return False
        return lease.current or lease.end > state.time

    def _known(self, number: int) -> int:
        """Return the number of an incarnation, if it has any effect."""
        return 0 if self.number == "table" else number

    def _known_lease(self, lease: Lease | None) -> Lease | None:
        if lease is None or self.mutation == "known_by_number":
            return lease
        return lease._replace(number=0)

    def _past(self, database: Database, time: int) -> Database:
        """Return ``database`` with 0 for each tick that no clock shows any more."""
        row = database.row
        notes = database.notes
        if self.kind == ORDINARY or self.reserve == "short":
            notes = tuple(note._replace(number=0) for note in notes[-1:])
        notes = tuple(
            Note(
                note.number,
                note.over if note.over > time else 0,
                note.ready if note.ready > time else 0,
            )
            for note in notes
        )
        if row.end <= time:
            row = Row(0, row.owner, released=True)
        return Database(row, notes)

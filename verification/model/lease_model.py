"""A model of the lease protocol, small enough to try every order of events.

What runs: some processes, some worker ids, and the worker table. Every step of a
process and every statement on the server is a step of its own, in any order:

- *claim*: read a row (or see that a worker id was never used), then ``take_over`` or
  ``start_term`` on the server, then the answer reaches the process, then the process
  begins to mint with it. With the clock stepped back, the old lease is released then.
- *renew*: ask for a later end, the UPDATE on the server, the answer; where no row was
  changed, a SELECT that tells whether the lease is lost.
- *release*: forget the lease, then send the UPDATE. A claim or a renewal that was under
  way is given back when its answer comes, or is used by the next claim (``LateWork``).
- *mint*, *crash* (a process with nothing in its memory goes on in its place), *give up*
  a statement: it was lost, or it is *late* and is carried out at any later time, after
  the crash of its process and after a takeover too. An answer that is lost is a late
  statement that runs at once.
- *suspension* needs no step: a process that takes no step while others do is suspended.
- *clock*: every reading of a clock gives any tick there is. There is no order between
  two readings, in one process or in two; so clocks may be wrong, differ, and jump.

A fork is no matter of the protocol: a child begins with no lease, as after a crash.

The table holds for each worker id the end of its last row. Rows before that are sealed.

What makes the search small, and why nothing is lost by it:

1. **One UID is watched.** A duplicate is a tick of a worker id that is minted twice.
   For each tick there is a search of its own, which notes only whether that one was
   minted. Each duplicate is found by the search that watches its tick. Worker ids are
   alike to the model, so the one that is watched is always the first.
2. **Processes are alike.** A state and one with two processes exchanged have the same
   future. The search sorts them.
3. **Choices are made late.** The position of a process moves on from any tick to any
   later one, and is looked at only when the watched tick is minted and when the lease
   is released. ``low`` is the lowest tick where it can be; where it is, is chosen on
   release. A successor begins at any tick from the end that was seen on: chosen when
   the server carries the claim out. No step between looks at what was chosen, so to
   choose early and to choose late reach the same.
4. **Sealed rows are alike.** No statement changes one, and none succeeds on one, so
   one mark, ``SEALED``, stands for all. A late statement for one does nothing: it is
   dropped. (For a mutation that lets sealed rows change, the mark is a row that can.)
5. **A process forgets with its lease.** With no lease, a position only limits where the
   next one is used. Here that may be used from its beginning, as after a restart of the
   position: more than the library does, so nothing is missed.

The model is allowed more than the library: any row may be taken over, not only one that
seems to have ended, and a claim or a renewal is begun at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

#: The end of the last row of a worker id that was never used.
NEVER = -1

#: The worker id whose watched tick is to be minted once.
WATCHED = 0

#: The row of a lease or statement: the last one of its worker id, or one before it.
SEALED, LAST = 0, 1

#: The safeguards, each with what is done in its place.
MUTATIONS = {
    "no_seal": "take_over inserts the successor, but does not seal the row",
    "no_comparison": "take_over does not compare reserved_until with what was seen",
    "no_unique_constraint": "start_term inserts a row of a worker id that is used",
    "renew_sealed": "renew changes a sealed row too",
    "renew_shortens": "renew lacks the condition reserved_until < new",
    "successor_at_now": "the successor begins at now, not at max(seen, now)",
    "end_asked_for": "a process mints up to the end that it asked for",
    "claim_asked_for": "a process mints with a claim that it gave up",
    "loss_ignored": "a process mints on, renewed, when it finds the lease lost",
    "used_after_release": "a process mints on with a lease whose release it sent",
    "release_below_minted": "release ends the row before ticks that were minted",
    "position_back": "the position moves back with the old lease",
    "late_claim_twice": "two threads get the same late claim; one gives it back",
}


class Bounds(NamedTuple):
    """How large the model is."""

    processes: int
    worker_ids: int
    #: Clocks show, and leases cover, the ticks from 0 to this, not included.
    ticks: int
    #: Length of a lease that is claimed. A renewal may reach any tick.
    lease: int
    #: How many statements may be late at one time.
    late: int


class Statement(NamedTuple):
    """A statement that was sent. Each is atomic on the server."""

    #: "start_term", "take_over", "renew" or "release".
    verb: str
    worker_id: int
    row: int = LAST
    #: The end that was seen (take_over), or that the row is to have.
    end: int = 0
    #: Whether what it gives is released as soon as it was carried out.
    unwanted: bool = False
    #: The end of that release, for a renewal.
    next_tick: int = 0

    def __str__(self) -> str:
        if self.verb == "start_term":
            return f"start_term({self.worker_id})"
        word = "seen" if self.verb == "take_over" else "until"
        return f"{self.verb}({self.worker_id}, {word}={self.end})"

    def released_at(self, end: int) -> Statement:
        """Return the release of the same row."""
        return Statement("release", self.worker_id, self.row, end)

    def needs(self, worker_id: int) -> bool:
        """Tell whether this does nothing once the last row of a worker id is sealed.

        A late start_term stays, for the mutation that lets it insert.
        """
        return self.worker_id == worker_id and self.verb != "start_term"


class Lease(NamedTuple):
    """A lease as a process has it in its memory: it mints the ticks [low, end)."""

    worker_id: int
    row: int
    low: int
    end: int

    def __str__(self) -> str:
        return f"worker id {self.worker_id} in [{self.low}, {self.end})"


class Answer(NamedTuple):
    """What the server said, and the process has not read yet."""

    #: "claimed", or "one row" or "no row" of a renewal.
    what: str
    lease: Lease


class Process(NamedTuple):
    """The memory of a process: its lease, and what it waits for."""

    lease: Lease | None = None
    waits: Statement | Answer | None = None


class World(NamedTuple):
    """What the processes share."""

    #: Whether the watched tick was minted.
    minted: bool
    #: For each worker id the end of its last row, or NEVER.
    ends: tuple[int, ...]
    late: tuple[Statement, ...]


class Step(NamedTuple):
    """What may happen next."""

    what: str
    world: World
    process: Process
    #: The worker id whose last row became a sealed one, if any.
    sealed: int | None = None
    duplicate: bool = False


class Claimed(NamedTuple):
    """What a claim did: the lease, and the worker id of a row that was sealed."""

    world: World
    lease: Lease | None
    sealed: int | None


#: A process that has just started.
BLANK = Process()


@dataclass(frozen=True)
class Model:
    """The steps of one process, and of statements that run late."""

    bounds: Bounds
    #: The tick that is watched, of worker id 0.
    watched: int
    #: The name of the safeguard that is missing, if any.
    mutation: str = ""

    def start(self) -> World:
        """Return the world with an empty table."""
        return World(minted=False, ends=(NEVER,) * self.bounds.worker_ids, late=())

    def steps(self, world: World, process: Process) -> Iterator[Step]:
        """Return all that a process, or the server for it, may do next."""
        waits = process.waits
        if process.lease is not None:
            yield from self._mint(world, process, process.lease)
        if waits is None:
            yield from self._claim(world, process)
            yield from self._renew(world, process)
        elif isinstance(waits, Statement):
            yield from self._serve(world, process, waits)
            yield from self._give_up(world, process, waits)
        else:
            yield from self._read(world, process, waits)
            yield Step("loses the answer", world, process._replace(waits=None))
        if process != BLANK:
            yield from self._close(world, process)
            yield from self._crash(world, process)

    # Minting.

    def _mint(self, world: World, process: Process, lease: Lease) -> Iterator[Step]:
        tick = self.watched
        end = self._usable_end(process, lease)
        if lease.worker_id == WATCHED and lease.low <= tick < end:
            yield Step(
                f"mints tick {tick} of worker id {WATCHED}",
                world._replace(minted=True),
                process._replace(lease=lease._replace(low=tick + 1)),
                duplicate=world.minted,
            )
        if self.mutation == "position_back" and lease.low > 0:
            moved = process._replace(lease=lease._replace(low=0))
            yield Step("moves its position back to tick 0", world, moved)

    def _usable_end(self, process: Process, lease: Lease) -> int:
        """Return the end of ``lease`` as the process sees it."""
        waits = process.waits
        if isinstance(waits, Statement) and waits.verb == "renew":
            return waits.end if self.mutation == "end_asked_for" else lease.end
        return lease.end

    # What a process asks for.

    def _claim(self, world: World, process: Process) -> Iterator[Step]:
        for worker_id, end in enumerate(world.ends):
            if end == NEVER:
                claim = Statement("start_term", worker_id)
                what = f"reads that worker id {worker_id} is unused"
            elif end < self.bounds.ticks:
                claim = Statement("take_over", worker_id, end=end)
                what = f"reads that worker id {worker_id} ends at {end}"
            else:
                continue
            yield Step(f"{what}, sends {claim}", world, process._replace(waits=claim))

    def _renew(self, world: World, process: Process) -> Iterator[Step]:
        lease = process.lease
        if lease is None:
            return
        for end in range(lease.end + 1, self.bounds.ticks + 1):
            renewal = Statement("renew", lease.worker_id, lease.row, end)
            yield Step(f"sends {renewal}", world, process._replace(waits=renewal))

    def _give_up(
        self, world: World, process: Process, statement: Statement
    ) -> Iterator[Step]:
        kept = process._replace(waits=None)
        yield Step(f"gives up {statement}, which is lost", world, kept)
        for later in self._with_late(world, statement):
            yield Step(f"gives up {statement}, which is late", later, kept)
            if self.mutation == "claim_asked_for" and statement.verb != "renew":
                for start in range(statement.end, self.bounds.ticks):
                    lease = self._new_lease(statement.worker_id, start)
                    what = f"gives up {statement}, and mints with {lease}"
                    yield Step(what, later, Process(lease))

    # What the server does.

    def _serve(
        self, world: World, process: Process, statement: Statement
    ) -> Iterator[Step]:
        """Carry out the statement that a process waits for."""
        if statement.verb != "renew":
            for claimed in self._claimed(world, statement):
                yield self._answered(process, statement, claimed)
            return
        assert process.lease is not None
        lease = process.lease._replace(end=statement.end)
        after = self._renewed(world, statement)
        answer = Answer("no row" if after is None else "one row", lease)
        what = f"has {statement} carried out: {answer.what}"
        yield Step(what, after or world, process._replace(waits=answer))

    @staticmethod
    def _answered(process: Process, claim: Statement, claimed: Claimed) -> Step:
        world, lease, sealed = claimed
        if lease is None:
            what = f"has {claim} refused"
            return Step(what, world, process._replace(waits=None))
        own = process if sealed is None else after_seal(process, sealed)
        what = f"has {claim} carried out: {lease}"
        return Step(what, world, own._replace(waits=Answer("claimed", lease)), sealed)

    def late_steps(self, world: World) -> Iterator[Step]:
        """Return what statements that nobody waits for may do next."""
        for statement in sorted(set(world.late)):
            late = list(world.late)
            late.remove(statement)
            rest = world._replace(late=tuple(late))
            what = f"{statement} is carried out late"
            for after, sealed in self._carried_out(rest, statement):
                yield Step(what, after, BLANK, sealed)

    def _carried_out(
        self, world: World, statement: Statement
    ) -> Iterator[tuple[World, int | None]]:
        if statement.verb == "release":
            yield _with_end(world, statement.worker_id, statement.end), None
        elif statement.verb == "renew":
            after = self._renewed(world, statement) or world
            yield after, None
            if statement.unwanted:
                release = statement.released_at(statement.next_tick)
                for later in self._with_late(after, release):
                    yield later, None
        else:
            for after, lease, sealed in self._claimed(world, statement):
                yield after, sealed
                if statement.unwanted and lease is not None:
                    for later in self._given_back(after, lease):
                        yield later, sealed

    def _claimed(self, world: World, claim: Statement) -> Iterator[Claimed]:
        """Carry out a claim, with each tick at which the lease may begin."""
        end = world.ends[claim.worker_id]
        if not self._may_claim(claim, end):
            yield Claimed(world, None, None)
            return
        first = 0 if self.mutation == "successor_at_now" else claim.end
        late = tuple(late for late in world.late if not late.needs(claim.worker_id))
        sealed = None if end == NEVER else claim.worker_id
        for start in range(first, self.bounds.ticks):
            lease = self._new_lease(claim.worker_id, start)
            after = _with_end(world, claim.worker_id, lease.end)
            yield Claimed(after._replace(late=late), lease, sealed)

    def _may_claim(self, claim: Statement, end: int) -> bool:
        if claim.verb == "start_term":
            return end == NEVER or self.mutation == "no_unique_constraint"
        return end == claim.end or self.mutation == "no_comparison"

    def _new_lease(self, worker_id: int, start: int) -> Lease:
        end = min(start + self.bounds.lease, self.bounds.ticks)
        return Lease(worker_id, LAST, start, end)

    def _renewed(self, world: World, renewal: Statement) -> World | None:
        """Carry out a renewal; return None where it changes no row."""
        if renewal.row == SEALED:
            return world if self.mutation in ("no_seal", "renew_sealed") else None
        end = world.ends[renewal.worker_id]
        if renewal.end <= end and self.mutation != "renew_shortens":
            return None
        return _with_end(world, renewal.worker_id, renewal.end)

    # What a process does with an answer.

    def _read(self, world: World, process: Process, answer: Answer) -> Iterator[Step]:
        if answer.what == "claimed":
            yield from self._installed(world, process, answer.lease)
            return
        lease = process.lease
        assert lease is not None
        if answer.what == "one row" or self.mutation == "loss_ignored":
            renewed = lease._replace(end=answer.lease.end)
            yield Step(f"mints until {renewed.end}", world, Process(renewed))
        elif lease.row == SEALED:
            yield Step("looks why, and finds its lease lost", world, BLANK)
        else:
            found = Answer("one row", answer.lease)
            what = "looks why, and finds that its lease reaches further"
            yield Step(what, world, process._replace(waits=found))

    def _installed(self, world: World, process: Process, new: Lease) -> Iterator[Step]:
        """Begin to mint with a lease; the old one is dropped or released."""
        after = Process(new)
        yield Step(f"begins to mint with {new}", world, after)
        for later, release in self._released(world, process.lease):
            what = f"begins to mint with {new}, sends {release} for the old one"
            yield Step(what, later, after)
        if self.mutation == "late_claim_twice":
            for later in self._given_back(world, new):
                what = f"begins to mint with {new}, while another thread gives it back"
                yield Step(what, later, after)

    # The end of a lease, and of a process.

    def _close(self, world: World, process: Process) -> Iterator[Step]:
        """Release the lease. What is under way is given back, or used later."""
        if self.mutation == "used_after_release":
            for later, release in self._released(world, process.lease):
                yield Step(f"sends {release}, and mints on", later, process)
        for later, left in self._after_close(world, process):
            yield Step("closes, which is lost on the server", later, left)
            for released, release in self._released(later, process.lease):
                yield Step(f"closes, sends {release}", released, left)

    def _after_close(
        self, world: World, process: Process
    ) -> Iterator[tuple[World, Process]]:
        lease, waits = process
        if isinstance(waits, Answer):
            if waits.what == "claimed":
                yield world, Process(waits=waits)
                for later in self._given_back(world, waits.lease):
                    yield later, BLANK
            else:
                yield world, BLANK
            return
        if waits is None or waits.verb != "renew":
            yield world, Process(waits=waits)
        if waits is not None:
            yield from self._left_running(world, lease, waits)

    def _left_running(
        self, world: World, lease: Lease | None, statement: Statement
    ) -> Iterator[tuple[World, Process]]:
        """Have a statement given back as soon as it is carried out."""
        ends = range(lease.low, lease.end + 1) if lease is not None else [0]
        if statement.verb != "renew":
            ends = [0]
        for next_tick in ends:
            unwanted = statement._replace(unwanted=True, next_tick=next_tick)
            for later in self._with_late(world, unwanted):
                yield later, BLANK

    def _crash(self, world: World, process: Process) -> Iterator[Step]:
        yield Step("crashes and starts anew", world, BLANK)
        if isinstance(process.waits, Statement):
            for later in self._with_late(world, process.waits):
                what = f"crashes and starts anew; {process.waits} is late"
                yield Step(what, later, BLANK)

    def _released(
        self, world: World, lease: Lease | None
    ) -> Iterator[tuple[World, Statement]]:
        """Send the release of a lease, at each tick where the position may be."""
        if lease is None:
            return
        low = 0 if self.mutation == "release_below_minted" else lease.low
        for end in range(low, lease.end + 1):
            release = Statement("release", lease.worker_id, lease.row, end)
            for later in self._with_late(world, release):
                yield later, release

    def _given_back(self, world: World, lease: Lease) -> Iterator[World]:
        """Send the release of a lease that was never minted with."""
        for later, _ in self._released(world, lease):
            yield later

    def _with_late(self, world: World, statement: Statement) -> Iterator[World]:
        """Let a statement run late, if there is room and it can still do anything."""
        can_do = statement.row == LAST
        if can_do and len(world.late) < self.bounds.late:
            yield world._replace(late=tuple(sorted((*world.late, statement))))


def _with_end(world: World, worker_id: int, end: int) -> World:
    ends = list(world.ends)
    ends[worker_id] = end
    return world._replace(ends=tuple(ends))


def after_seal(process: Process, worker_id: int) -> Process:
    """Return what ``process`` has, after the last row of a worker id was sealed."""
    lease, waits = process
    if lease is not None and lease.worker_id == worker_id:
        lease = lease._replace(row=SEALED)
    if isinstance(waits, Answer):
        if waits.lease.worker_id == worker_id:
            waits = waits._replace(lease=waits.lease._replace(row=SEALED))
    elif waits is not None and waits.worker_id == worker_id:
        # A claim of what is a sealed row by now can only be refused.
        waits = waits._replace(row=SEALED) if waits.verb == "renew" else None
    return Process(lease, waits)

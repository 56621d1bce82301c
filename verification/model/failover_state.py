"""What there is in the model of failovers at one time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

#: The owner of a row that is the lease of no process any more.
NOBODY = 0


class Note(NamedTuple):
    """An incarnation in the table: its number, and the tick its quarantine ends."""

    number: int
    over: int
    #: The tick from which on reserved ids may be claimed, if in short leases.
    ready: int = 0


class Row(NamedTuple):
    """The last row of the worker id."""

    end: int = 0
    #: The process whose lease it is, from 1 on.
    owner: int = NOBODY
    released: bool = True


class Database(NamedTuple):
    """What a failover may lose."""

    row: Row
    notes: tuple[Note, ...]


class Standby(NamedTuple):
    """A state that may be promoted, and the number of its incarnation."""

    database: Database
    number: int


class Lease(NamedTuple):
    """A lease as a process has it in its memory. It began by the watched tick."""

    end: int
    #: Whether it was last written under the incarnation that is the present one.
    current: bool = True
    number: int = 0


class State(NamedTuple):
    """All there is at one time."""

    time: int
    minted: bool
    failovers: int
    #: Whether the present incarnation is noted, and its number.
    noted: bool
    number: int
    database: Database
    standbys: tuple[Standby, ...]
    leases: tuple[Lease | None, ...]


class Step(NamedTuple):
    """What may happen next: a verb with its figures, by a process (from 1) or none."""

    who: int
    what: str
    figures: tuple[int, ...]
    state: State
    duplicate: bool = False

    def told(self, names: str) -> str:
        """Return it in words, with a name for each process."""
        who = f"process {names[self.who - 1]} " if self.who else ""
        return who + self.what.format(*self.figures)


def sortable(lease: Lease | None) -> tuple[int, ...]:
    return () if lease is None else tuple(lease)


def without_owner(standby: Standby) -> tuple[object, ...]:
    row = standby.database.row
    return row.end, row.released, standby.database.notes, standby.number


def renamed(database: Database, new: dict[int, int]) -> Database:
    row = database.row
    return database._replace(row=row._replace(owner=new[row.owner]))


def subsets(standbys: set[Standby], size: int) -> Iterator[tuple[Standby, ...]]:
    """Return each way to keep as many standbys as may still be promoted."""
    return combinations(sorted(standbys), min(size, len(standbys)))


def with_lease(
    state: State, who: int, lease: Lease | None, *, keeps_row: bool = False
) -> State:
    """Return ``state`` with a lease of a process; rows of its old one are nobody's."""
    leases = list(state.leases)
    leases[who - 1] = lease
    state = state._replace(leases=tuple(leases))
    if keeps_row:
        return state
    new = {owner: owner for owner in range(len(leases) + 1)}
    new[who] = NOBODY
    return state._replace(
        database=renamed(state.database, new),
        standbys=tuple(
            each._replace(database=renamed(each.database, new))
            for each in state.standbys
        ),
    )

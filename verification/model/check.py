"""Try every order of events of the lease protocol, up to some bounds.

``python -m verification.model.check`` searches the states of the model breadth first
for a tick of a worker id that is minted twice, then takes out each safeguard in turn
and prints the shortest way to a duplicate. The exit status is 0 if there is none with
the safeguards, and one without each of them. It needs nothing but Python.
With no bounds given, the model of failovers is searched as well.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from verification.model import failover_check
from verification.model.lease_model import (
    BLANK,
    MUTATIONS,
    Bounds,
    Model,
    Process,
    Step,
    World,
    after_seal,
)

Thing = TypeVar("Thing", bound=Hashable)

#: The numbers of a world and of its processes, these in ascending order.
State = tuple[int, ...]

USUAL = Bounds(processes=3, worker_ids=2, ticks=4, lease=2, late=1)
QUICK = Bounds(processes=2, worker_ids=2, ticks=3, lease=2, late=1)
#: Two late statements at a time; beside the usual bounds, not in their place.
FULL = Bounds(processes=3, worker_ids=2, ticks=3, lease=2, late=2)

#: What goes wrong for two processes and one worker id goes wrong for more: the others
#: may do nothing.
FOR_MUTATIONS = Bounds(processes=2, worker_ids=1, ticks=4, lease=2, late=1)


class Numbered(Generic[Thing]):
    """Things, each with a number: states are compared by small numbers."""

    def __init__(self) -> None:
        self.things: list[Thing] = []
        self._numbers: dict[Thing, int] = {}

    def number(self, thing: Thing) -> int:
        """Return the number of ``thing``."""
        number = self._numbers.setdefault(thing, len(self.things))
        if number == len(self.things):
            self.things.append(thing)
        return number


class Move(NamedTuple):
    """A step in numbers."""

    world: int
    process: int
    sealed: int | None
    duplicate: bool


@dataclass(frozen=True)
class Result:
    """What a search came to."""

    watched: int
    states: int
    steps: int
    depth: int
    seconds: float
    #: The shortest way to a duplicate, or None.
    trace: list[str] | None


class Search:
    """A search of all states of a model in which one tick is watched."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._worlds: Numbered[World] = Numbered()
        self._processes: Numbered[Process] = Numbered()
        self._moves: dict[tuple[int, int], list[Move]] = {}
        self._late_moves: dict[int, list[Move]] = {}
        self._after_seal: dict[tuple[int, int], int] = {}
        start = self._state(model.start(), [BLANK] * model.bounds.processes)
        #: Each state that was reached, and the one it was reached from.
        self._reached_from: dict[State, State | None] = {start: None}
        self._frontier = [start]
        self._steps = 0
        #: A state in which the next mint is a duplicate.
        self._duplicate_after: State | None = None

    def run(self) -> Result:
        """Search until a duplicate was found, or there are no more states."""
        begin = time.perf_counter()
        depth = 0
        while self._frontier and self._duplicate_after is None:
            frontier, self._frontier = self._frontier, []
            for state in frontier:
                self._expand(state)
            depth += bool(self._frontier)
        return Result(
            watched=self._model.watched,
            states=len(self._reached_from),
            steps=self._steps,
            depth=depth,
            seconds=time.perf_counter() - begin,
            trace=self._trace(),
        )

    def _state(self, world: World, processes: Iterable[Process]) -> State:
        numbers = sorted(map(self._processes.number, processes))
        return (self._worlds.number(world), *numbers)

    def _expand(self, state: State) -> None:
        """Reach all states that are one step away."""
        world, *processes = state
        for place, process in enumerate(processes):
            if place and process == processes[place - 1]:
                continue  # what the process before it does
            others = processes[:place] + processes[place + 1 :]
            moves = self._moves.get((world, process))
            if moves is None:
                moves = self._moves[world, process] = self._find_moves(world, process)
            self._reach(state, moves, others, moves_process=True)
        late_moves = self._late_moves.get(world)
        if late_moves is None:
            late_moves = self._late_moves[world] = self._find_late_moves(world)
        self._reach(state, late_moves, processes, moves_process=False)

    def _reach(
        self,
        state: State,
        moves: list[Move],
        others: list[int],
        *,
        moves_process: bool,
    ) -> None:
        reached_from, frontier = self._reached_from, self._frontier
        self._steps += len(moves)
        for world, process, sealed, duplicate in moves:
            if duplicate and self._duplicate_after is None:
                self._duplicate_after = state
            now = others if sealed is None else self._sealed(others, sealed)
            if moves_process:
                now = [process, *now]
            now = sorted(now)
            after = (world, *now)
            if after not in reached_from:
                reached_from[after] = state
                frontier.append(after)

    def _sealed(self, processes: list[int], worker_id: int) -> list[int]:
        """Return ``processes`` after the last row of a worker id was sealed."""
        known = self._after_seal
        for process in processes:
            if (process, worker_id) not in known:
                after = after_seal(self._processes.things[process], worker_id)
                known[process, worker_id] = self._processes.number(after)
        return [known[process, worker_id] for process in processes]

    def _find_moves(self, world: int, process: int) -> list[Move]:
        return self._numbered(
            self._model.steps(
                self._worlds.things[world], self._processes.things[process]
            )
        )

    def _find_late_moves(self, world: int) -> list[Move]:
        return self._numbered(self._model.late_steps(self._worlds.things[world]))

    def _numbered(self, steps: Iterable[Step]) -> list[Move]:
        """Return steps in numbers, each once: some differ only in what they say."""
        moves = (
            Move(
                self._worlds.number(step.world),
                self._processes.number(step.process),
                step.sealed,
                step.duplicate,
            )
            for step in steps
        )
        return list(dict.fromkeys(moves))

    # The way to a duplicate, in words.

    def _trace(self) -> list[str] | None:
        if self._duplicate_after is None:
            return None
        path: list[State] = []
        state: State | None = self._duplicate_after
        while state is not None:
            path.append(state)
            state = self._reached_from[state]
        told = _Replay(self)
        for state in path[-2::-1]:
            told.go_to(state)
        told.go_to_duplicate()
        return told.lines


class _Replay:
    """A way through the states, with processes that keep their names."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._world = search._model.start()
        self._processes = [BLANK] * search._model.bounds.processes
        self.lines: list[str] = []

    def _steps(self) -> Iterable[tuple[str, Step, list[Process]]]:
        """Return what may happen: who does what, and the processes after it."""
        model = self._search._model
        for place, process in enumerate(self._processes):
            for step in model.steps(self._world, process):
                after = self._after(step, place)
                yield f"process {'ABCDEFGH'[place]} {step.what}", step, after
        for step in model.late_steps(self._world):
            yield f"the server: {step.what}", step, self._after(step, None)

    def _after(self, step: Step, place: int | None) -> list[Process]:
        processes = list(self._processes)
        if step.sealed is not None:
            processes = [after_seal(process, step.sealed) for process in processes]
        if place is not None:
            processes[place] = step.process
        return processes

    def go_to(self, state: State) -> None:
        """Take the step that leads to ``state``."""
        for line, step, processes in self._steps():
            if self._search._state(step.world, processes) == state:
                self._world, self._processes = step.world, processes
                self.lines.append(line)
                return
        raise AssertionError("no step leads there")

    def go_to_duplicate(self) -> None:
        """Take the step that mints a tick again."""
        self.lines.append(
            next(line for line, step, _ in self._steps() if step.duplicate)
        )


def models(bounds: Bounds, mutation: str = "") -> list[Model]:
    """Return a model for each tick that can be watched."""
    return [Model(bounds, watched, mutation) for watched in range(bounds.ticks)]


def check(bounds: Bounds, mutation: str = "") -> list[Result]:
    """Search once for each tick that can be watched."""
    return [Search(model).run() for model in models(bounds, mutation)]


def shortest_duplicate(mutation: str, bounds: Bounds = FOR_MUTATIONS) -> Result | None:
    """Return the search that found the shortest way to a duplicate, if one did."""
    found = [result for result in check(bounds, mutation) if result.trace is not None]
    return min(found, key=lambda result: len(result.trace or ()), default=None)


# The program.


def _search(model: Model) -> Result:
    # There are no cycles to collect, and millions of tuples to look at.
    gc.disable()
    return Search(model).run()


def _search_in_parallel(bounds: Bounds) -> Iterator[Result]:
    with ProcessPoolExecutor() as pool:
        yield from pool.map(_search, models(bounds))


def _print_check(bounds: Bounds) -> bool:
    """Check the protocol, print how it went, and tell whether it holds."""
    print(
        f"{bounds.processes} processes, {bounds.worker_ids} worker ids, ticks 0 to "
        f"{bounds.ticks - 1}, leases of {bounds.lease} ticks, "
        f"late statements at a time: {bounds.late}"
    )
    results = []
    begin = time.perf_counter()
    for result in _search_in_parallel(bounds):
        results.append(result)
        found = "no duplicate" if result.trace is None else "DUPLICATE"
        print(
            f"  watching tick {result.watched}: {result.states:,} states, "
            f"{result.steps:,} steps, depth {result.depth}, "
            f"{result.seconds:.1f} s: {found}",
            flush=True,
        )
        _print_trace(result.trace or [])
    print(
        f"  in all: {sum(result.states for result in results):,} states, "
        f"{sum(result.steps for result in results):,} steps, depth "
        f"{max(result.depth for result in results)}, "
        f"{time.perf_counter() - begin:.1f} s"
    )
    return all(result.trace is None for result in results)


def _print_mutation(mutation: str) -> bool:
    """Take a safeguard out, print what goes wrong, and tell whether anything does."""
    print(f"{mutation}: {MUTATIONS[mutation]}")
    result = shortest_duplicate(mutation)
    if result is None:
        print("  NOT REFUTED")
        return False
    trace = result.trace or []
    print(f"  refuted in {len(trace)} steps")
    _print_trace(trace)
    return True


def _print_trace(trace: list[str]) -> None:
    for number, line in enumerate(trace, 1):
        print(f"    {number:2} {line}")


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m verification.model.check")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a small check, in seconds")
    size.add_argument("--full", action="store_true", help="a second check, of minutes")
    for name in Bounds._fields:
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, metavar="N", help="instead of the usual")
    return parser.parse_args(arguments)


def _failovers(given: argparse.Namespace) -> failover_check.Size:
    if given.full:
        return failover_check.FULL
    return failover_check.QUICK if given.quick else failover_check.USUAL


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    given = _arguments(arguments)
    numbers = {
        name: getattr(given, name)
        for name in Bounds._fields
        if getattr(given, name) is not None
    }
    holds = _print_check((QUICK if given.quick else USUAL)._replace(**numbers))
    if given.full:
        holds &= _print_check(FULL)
    print("\nWithout one safeguard:")
    refuted = [_print_mutation(mutation) for mutation in MUTATIONS]
    if not numbers:
        after_failovers, more = failover_check.run(_failovers(given))
        holds &= after_failovers
        refuted += more
    print(f"\nWith all safeguards: {'no duplicate' if holds else 'DUPLICATE'}")
    print(f"Mutations refuted: {sum(refuted)} of {len(refuted)}")
    return 0 if holds and all(refuted) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Search the states of the model of failovers for a duplicate, or walk at random."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from verification.model.failover import Model
from verification.model.failover_state import State, Step

NAMES = "ABCDEFGH"


@dataclass(frozen=True)
class Found:
    """What a search came to."""

    states: int
    steps: int
    depth: int
    seconds: float
    #: The way to a duplicate, the shortest one if all states were searched, or None.
    trace: list[str] | None


def search(model: Model) -> Found:
    """Search all states, breadth first, until there is a duplicate or no other."""
    begin = time.perf_counter()
    start, _ = model.canonical(model.start())
    reached_from: dict[State, State | None] = {start: None}
    frontier, steps, depth = [start], 0, 0
    duplicate_after: State | None = None
    while frontier and duplicate_after is None:
        reached: list[State] = []
        for state in frontier:
            for step in model.steps(state):
                steps += 1
                if step.duplicate:
                    duplicate_after = duplicate_after or state
                after, _ = model.canonical(step.state)
                if after not in reached_from:
                    reached_from[after] = state
                    reached.append(after)
        frontier = reached
        depth += bool(frontier)
    return Found(
        states=len(reached_from),
        steps=steps,
        depth=depth,
        seconds=time.perf_counter() - begin,
        trace=_trace(model, reached_from, duplicate_after),
    )


def _trace(
    model: Model, reached_from: dict[State, State | None], last: State | None
) -> list[str] | None:
    """Return the way to a duplicate in words; processes keep their names."""
    if last is None:
        return None
    path: list[State] = []
    state: State | None = last
    while state is not None:
        path.append(state)
        state = reached_from[state]
    names, lines = NAMES, []
    for before, after in pairwise(reversed(path)):
        step, order = _step_to(model, before, after)
        lines.append(step.told(names))
        names = "".join(names[place] for place in order)
    lines.append(next(s.told(names) for s in model.steps(last) if s.duplicate))
    return lines


def _step_to(model: Model, before: State, after: State) -> tuple[Step, list[int]]:
    for step in model.steps(before):
        state, order = model.canonical(step.state)
        if state == after:
            return step, order
    raise AssertionError("no step leads there")


def walk(model: Model, walks: int, seed: int) -> Found:
    """Walk at random, ``walks`` times, each with a watched tick drawn at random.

    Each kind of step is as likely as any other, however many ways it has.
    """
    begin = time.perf_counter()
    chance = random.Random(seed)
    depth = steps = 0
    for _ in range(walks):
        watched = chance.randint(model.bounds.lease, model.bounds.watched)
        drawn = replace(model, bounds=model.bounds._replace(watched=watched))
        lines: list[str] = []
        for step in _one_walk(drawn, chance):
            lines.append(step.told(NAMES))
            if step.duplicate:
                return Found(0, steps, depth, time.perf_counter() - begin, lines)
        steps += len(lines)
        depth = max(depth, len(lines))
    return Found(0, steps, depth, time.perf_counter() - begin, None)


def _one_walk(model: Model, chance: random.Random) -> Iterator[Step]:
    state = model.start()
    while state.time <= model.bounds.watched:
        kinds: dict[str, list[Step]] = {}
        for step in model.steps(state):
            if step.duplicate:
                yield step
                return
            kinds.setdefault(step.what, []).append(step)
        if not kinds:
            return
        step = chance.choice(kinds[chance.choice(sorted(kinds))])
        yield step
        state = step.state

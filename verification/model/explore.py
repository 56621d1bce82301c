"""Search the states of a model, breadth first or at random, for a duplicate."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from verification.model.failover_state import State, Step


class Explorable(Protocol):
    def start(self) -> State: ...
    def steps(self, state: State) -> Iterator[Step]: ...
    def canonical(self, state: State) -> tuple[State, list[int]]: ...


@dataclass(frozen=True)
class Found:
    """What a search came to."""

    states: int
    steps: int
    depth: int
    seconds: float
    #: The way to a duplicate, or None.
    trace: list[str] | None


def search(model: Explorable, limit: int | None = None) -> Found:
    """Search all states, up to ``limit``, until a duplicate is found."""
    begin = time.perf_counter()
    start, _ = model.canonical(model.start())
    reached_from: dict[State, State | None] = {start: None}
    frontier = [start]
    steps = depth = 0
    last: State | None = None
    while frontier and last is None:
        reached: list[State] = []
        for state in frontier:
            for step in model.steps(state):
                steps += 1
                if step.duplicate:
                    last = state
                    break
                after, _ = model.canonical(step.state)
                if after not in reached_from:
                    reached_from[after] = state
                    reached.append(after)
            if last is not None:
                break
        frontier = reached
        depth += bool(frontier)
        if limit is not None and len(reached_from) > limit:
            break
    path = []
    while last is not None:
        path.append(last)
        last = reached_from[last]
    return Found(len(reached_from), steps, depth, time.perf_counter() - begin, replay(model, path[::-1]) if path else None)


def replay(model: Explorable, path: list[State]) -> list[str]:
    names = "ABCDEFGH"
    lines = []
    for state, target in pairwise(path):
        for step in model.steps(state):
            after, order = model.canonical(step.state)
            if after == target:
                lines.append(step.told(names))
                names = "".join(names[place] for place in order)
                break
    lines.append(next(s.told(names) for s in model.steps(path[-1]) if s.duplicate))
    return lines

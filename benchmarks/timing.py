"""Time things in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

#: Returns the nanoseconds that one call, or one item, took.
Measure = Callable[[], float]


def calls(function: Callable[[], object], count: int) -> Measure:
    """Return a measure of one call of ``function``, the loop around it included."""

    def measure() -> float:
        turns = range(count)
        begin = time.perf_counter_ns()
        for _ in turns:
            function()
        return (time.perf_counter_ns() - begin) / count

    return measure


def batches(function: Callable[[], object], size: int, count: int) -> Measure:
    """Return a measure of one of the ``size`` items that a call returns."""
    per_call = calls(function, count)
    return lambda: per_call() / size


def in_turns(
    measures: Mapping[str, Measure], rounds: int, *, pause: float = 0.0
) -> dict[str, float]:
    """Return the median of each measure over ``rounds`` rounds of all of them.

    ``pause``: seconds before each, in which a generator that is ahead of the clock, or
    a stock, comes to where it is at rest.
    """
    results: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            time.sleep(pause)
            results[name].append(measure())
    return {name: statistics.median(values) for name, values in results.items()}

"""Fail when a figure is far from its target, so that speed cannot rot unseen.

    python -m benchmarks.guard

The cheap ones of the hot path, three tries, the best of which counts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from benchmarks import hot_path, ours, targets
from benchmarks.targets import Target

#: How much worse than its target a figure may be.
FACTOR = 1.5
TRIES = 3


def figures() -> dict[str, float]:
    """Return what can be measured within a few seconds on a busy machine."""
    rate, greatest = hot_path.sustained(ours.cached(), 1.0)
    unbounded, _ = hot_path.sustained(hot_path.baidu(), 1.0)
    return {
        **hot_path.ratios(9),
        "sustained 10 s, default layout: share of 4.096 M/s": rate / 4.096e6,
        "sustained 10 s, default layout: greatest lead in s": greatest,
        "sustained 10 s, layout and settings like Baidu's: M/s": unbounded / 1e6,
        "8 threads together / 1 thread": hot_path.threads(1),
    }


def best(tries: list[Mapping[str, float]], name: str, target: Target) -> float:
    """Return the best figure of ``name``."""
    values = [values[name] for values in tries]
    return min(values) if target.at_most else max(values)


def far_off(
    measure: Callable[[], Mapping[str, float]],
    wanted: Mapping[str, Target] = targets.HOT_PATH,
) -> list[str]:
    """Return a line for each figure that was too bad in every try."""
    tries: list[Mapping[str, float]] = []
    lines: list[str] = []
    for _ in range(TRIES):
        tries.append(measure())
        lines = [
            f"{name}: {best(tries, name, target):.3g}, and the target is {target}"
            for name, target in wanted.items()
            if name in tries[0]
            and not target.is_met_roughly(best(tries, name, target), FACTOR)
        ]
        if not lines:
            break
    return lines


def main() -> int:
    """Measure; return 1 if a figure is too bad."""

    def measure() -> dict[str, float]:
        found = figures()
        for name, value in found.items():
            print(f"{name:<60} {value:.3g}")
        return found

    lines = far_off(measure)
    for line in lines:
        print(f"TOO FAR OFF: {line}")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())

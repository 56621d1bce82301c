"""How far the time in a UID is from the clock, under load and idle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import ours, targets
from benchmarks.report import Row, Section, judged
from django_uidgen.core.generators import UidGenerator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Of Baidu's CachedUidGenerator: UIDs of one second, with 13 bits of sequence. It reads
#: the clock at its start, and fills its ring with whole seconds from the next one on,
#: one after the other, however fast they are taken out.
BAIDU_SECOND = 1 << 13


class Sample(NamedTuple):
    """When a UID was handed out, how far ahead it was, and Baidu's in its place."""

    passed: float
    lead: float
    baidu: float


class Run:
    """One pattern of load."""

    def __init__(self, generator: UidGenerator) -> None:
        self.generator = generator
        self.samples: list[Sample] = []
        self.count = 0
        self.begin = time.monotonic()

    @property
    def passed(self) -> float:
        """Seconds since the begin."""
        return time.monotonic() - self.begin

    def mint(self) -> None:
        """Mint one UID, and keep how far ahead it was."""
        uid = self.generator.uid()
        lead = ours.lead(self.generator, uid)
        passed = self.passed
        baidu = 1 + self.count // BAIDU_SECOND - passed
        self.count += 1
        self.samples.append(Sample(passed, lead, baidu))

    def mint_many(self, count: int) -> None:
        """Mint so many in a list, and keep the extremes."""
        uids = self.generator.uids(count)
        for uid in (uids[0], uids[-1]):
            lead = ours.lead(self.generator, uid)
            passed = self.passed
            baidu = 1 + self.count // BAIDU_SECOND - passed
            self.samples.append(Sample(passed, lead, baidu))
        self.count += count


def idle(run: Run, seconds: float) -> None:
    """Mint at the begin, and at the end."""
    run.mint()
    time.sleep(seconds)
    for _ in range(20):
        run.mint()


def paced(rate: float) -> Callable[[Run, float], None]:
    """Return a pattern that mints so often a second."""

    def mint(run: Run, seconds: float) -> None:
        for number in range(int(rate * seconds)):
            time.sleep(max(0.0, number / rate - run.passed))
            run.mint()

    return mint


def bursts(run: Run, seconds: float) -> None:
    """Mint 100,000 at once, one by one, once a second."""
    for number in range(int(seconds)):
        time.sleep(max(0.0, number - run.passed))
        for _ in range(100_000):
            run.mint()


def flat_out(run: Run, seconds: float) -> None:
    """Mint as fast as can be."""
    while run.passed < seconds:
        run.mint_many(1000)


PATTERNS: dict[str, Callable[[Run, float], None]] = {
    "idle": idle,
    "1 a second": paced(1),
    "1,000 a second": paced(1000),
    "bursts of 100,000": bursts,
    "flat out": flat_out,
}


def thinned(samples: list[Sample], most: int = 400) -> Iterator[Sample]:
    """Give so many of the samples at the most, for a plot."""
    return iter(samples[:: max(1, len(samples) // most)])


def run(*, quick: bool) -> Section:
    """Mint by each pattern, one after the other."""
    seconds = 3.0 if quick else 15.0
    runs = {}
    for name, pattern in PATTERNS.items():
        runs[name] = Run(ours.cached())
        pattern(runs[name], seconds)
    rows: list[Row] = []
    for name, one in runs.items():
        leads = [sample.lead for sample in one.samples]
        rows += [
            Row(
                f"{name}: greatest lead", max(leads), "s", remark=f"{one.count:,} UIDs"
            ),
            Row(f"{name}: greatest lag", -min(leads), "s"),
            Row(
                f"{name}: Baidu's scheme at the end, computed",
                one.samples[-1].baidu,
                "s",
                remark="ahead" if one.samples[-1].baidu > 0 else "behind",
            ),
        ]
    every = [sample.lead for one in runs.values() for sample in one.samples]
    values = {"greatest lead in s": max(every), "greatest lag in s": -min(every)}

    def draw(axes: Axes) -> None:
        for number, (name, one) in enumerate(runs.items()):
            points = list(thinned(one.samples))
            passed = [point.passed for point in points]
            color = f"C{number}"
            axes.plot(
                passed,
                [point.lead for point in points],
                ".",
                ms=3,
                color=color,
                label=name,
            )
            axes.plot(
                passed, [point.baidu for point in points], "--", lw=1, color=color
            )
        axes.axhspan(-1, 1, alpha=0.15, color="gray", label="MAX_AGE to MAX_LEAD")
        axes.plot([], [], "--", color="black", label="Baidu's scheme, computed")
        axes.set_yscale("symlog", linthresh=1)
        axes.set_xlabel("seconds since the begin of the load")
        axes.set_ylabel("seconds that a UID is ahead of the clock")
        axes.legend(fontsize=7)

    return Section("truth", judged(values, targets.TRUTH) + rows, {"lead": draw})

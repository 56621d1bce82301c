"""The hot path against its targets."""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks import ours, peers, targets
from benchmarks.report import Section, judged
from benchmarks.timing import calls, in_turns
from django_uidgen.core.generators import UidGenerator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What the ratios are made of: the measures of ``peers``.
RATIOS = {
    "uid() / deque.popleft": ("uid()", "deque.popleft (the floor)"),
    "uid() / ulid-transform": (
        "uid()",
        "ulid-transform ulid_now (C++, 128 bits as text)",
    ),
    "uid() from the stock / ulid-transform": (
        "uid(), from the stock",
        "ulid-transform ulid_now (C++, 128 bits as text)",
    ),
    "uid() / sonyflake-turbo, 200 machine ids": (
        "uid()",
        "sonyflake-turbo, 200 machine ids (C)",
    ),
    "uid() / snowflake-id": ("uid()", "snowflake-id"),
    "uids(1000) / list(range(1000))": (
        "uids(1000), per UID",
        "list(range(1000)) (the floor), per item",
    ),
    "DefaultUidGenerator.uid() / snowflake-id": (
        "DefaultUidGenerator.uid()",
        "snowflake-id",
    ),
}

#: Calls of ``uid()`` of which the distribution is taken.
SINGLE_CALLS = 2_000_000

#: Calls of ``uid()`` of all threads together: long beside CPython's switch interval.
CALLS_OF_THREADS = 8_000_000

#: Calls of ``uid()`` in each of the processes that mint at once.
CALLS_OF_A_PROCESS = 5_000_000


def ratios(rounds: int) -> dict[str, float]:
    """Return what one id takes beside others."""
    needed = {name for pair in RATIOS.values() for name in pair}
    measures = {name: one for name, one in peers.measures().items() if name in needed}
    found = in_turns(measures, rounds, pause=peers.PAUSE)
    return {name: found[one] / found[other] for name, (one, other) in RATIOS.items()}


def use_up_lead(generator: UidGenerator) -> None:
    """Mint until UIDs are as far ahead of the clock as they may be.

    What comes then is what the layout and the clock give.
    """
    limit = generator.options.max_lead
    while limit and ours.lead(generator, generator.uids(1000)[-1]) < 0.98 * limit:
        pass


def sustained(generator: UidGenerator, seconds: float) -> tuple[float, float]:
    """Mint in lists of a thousand; return UIDs a second, and the greatest lead in s."""
    use_up_lead(generator)
    count = greatest = 0.0
    begin = time.perf_counter()
    while (passed := time.perf_counter() - begin) < seconds:
        last = generator.uids(1000)[-1]
        count += 1000
        greatest = max(greatest, ours.lead(generator, last))
    return count / passed, greatest


def sustained_singly(generator: UidGenerator, seconds: float) -> float:
    """Mint one by one; return UIDs a second."""
    use_up_lead(generator)
    batch, count = 10_000, 0
    timed = calls(generator.uid, batch)
    begin = time.perf_counter()
    while (passed := time.perf_counter() - begin) < seconds:
        timed()
        count += batch
    return count / passed


def baidu() -> UidGenerator:
    """Return a generator with layout and settings as in Baidu's own run."""
    return ours.cached(ours.BAIDU, ours.UNBOUNDED)


def threads(rounds: int) -> float:
    """Return UIDs a second of eight threads, of one generator, beside those of one."""
    return _beside_one(rounds, 8, _in_threads)


def processes(rounds: int) -> float:
    """Return UIDs a second of two processes beside those of one."""
    return _beside_one(rounds, 2, _in_processes)


def _beside_one(rounds: int, count: int, rate: Callable[[int], float]) -> float:
    found = [rate(count) / rate(1) for _ in range(rounds)]
    return statistics.median(found)


def _in_threads(count: int) -> float:
    # With this layout no thread has to wait for the clock.
    generator, calls_of_each = baidu(), CALLS_OF_THREADS // count
    barrier = threading.Barrier(count + 1)

    def mint() -> None:
        timed = calls(generator.uid, calls_of_each)
        barrier.wait()
        timed()

    started = [threading.Thread(target=mint) for _ in range(count)]
    for thread in started:
        thread.start()
    barrier.wait()
    begin = time.perf_counter()
    for thread in started:
        thread.join()
    passed = time.perf_counter() - begin
    generator.close()
    return count * calls_of_each / passed


def _mint_in_process(ready: Any, results: Any) -> None:
    """Mint as soon as all are ready; tell when that began and ended."""
    timed = calls(baidu().uid, CALLS_OF_A_PROCESS)
    ready.wait()
    begin = time.monotonic()
    timed()
    results.put((begin, time.monotonic()))


def _in_processes(count: int) -> float:
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(count), context.SimpleQueue()
    started = [
        context.Process(target=_mint_in_process, args=(ready, results))
        for _ in range(count)
    ]
    for process in started:
        process.start()
    # The clock is one for all processes of the machine.
    begins, ends = zip(*[results.get() for _ in started], strict=True)
    for process in started:
        process.join()
    return count * CALLS_OF_A_PROCESS / float(max(ends) - min(begins))


def durations(function: Callable[[], object], count: int) -> array[int]:
    """Return the nanoseconds of each of ``count`` calls, as a caller sees them."""
    found = array("q", bytes(8 * count))
    now = time.perf_counter_ns
    for turn in range(count):
        begin = now()
        function()
        found[turn] = now() - begin
    return found


def nothing() -> None:
    """Be called: what the machine adds to anything."""


def percentile(found: list[int], percent: float) -> int:
    """Return a percentile of sorted numbers."""
    return found[min(len(found) - 1, round(len(found) * percent / 100))]


def distribution(count: int) -> dict[str, list[int]]:
    """Return the sorted durations of ``uid()``, and of a function that does nothing.

    They take turns, so that the same disturbances meet both. The last is ``uid()``
    where more is asked for than the layout holds.
    """
    every = {"uid()": ours.cached().uid, "an empty function": nothing}
    parts = 10
    found: dict[str, list[int]] = {name: [] for name in every}
    for _ in range(parts):
        for name, function in every.items():
            found[name] += durations(function, count // parts)
    busy = ours.cached()
    use_up_lead(busy)
    found["uid() at the ceiling"] = list(durations(busy.uid, count))
    return {name: sorted(values) for name, values in found.items()}


def run(*, quick: bool) -> Section:
    """Measure each target."""
    seconds = 1.0 if quick else 10.0
    values = ratios(7 if quick else 60)
    rate, greatest = sustained(ours.cached(), seconds)
    singly = sustained_singly(ours.cached(), seconds)
    values |= {
        "sustained 10 s, default layout: share of 4.096 M/s": rate / 4.096e6,
        "sustained 10 s, default layout: greatest lead in s": greatest,
        "sustained 10 s, uid() one by one: share of 4.096 M/s": singly / 4.096e6,
        "sustained 10 s, layout and settings like Baidu's: M/s": (
            sustained(baidu(), seconds)[0] / 1e6
        ),
        "the same, uid() one by one: M/s": sustained_singly(baidu(), seconds) / 1e6,
        "8 threads together / 1 thread": threads(1 if quick else 5),
        "2 processes together / 1 process": processes(1 if quick else 5),
    }
    found = distribution(SINGLE_CALLS // 10 if quick else SINGLE_CALLS)
    for name, percent in [("p50", 50), ("p99", 99), ("p99.9", 99.9), ("p99.99", 99.99)]:
        for what, ordered in found.items():
            values[f"{what} {name} in µs"] = percentile(ordered, percent) / 1000
    remarks = {
        "uid() / ulid-transform": "with the UIDs made meanwhile",
        "sustained 10 s, default layout: share of 4.096 M/s": (
            "begun when the lead was used up"
        ),
        "uid() at the ceiling p99.99 in µs": "waits for the clock are among them",
    }

    def draw(axes: Axes) -> None:
        for name, ordered in found.items():
            shares = [10 ** (-exponent / 20) for exponent in range(110)]
            axes.plot(
                [1 / share for share in shares],
                [percentile(ordered, 100 * (1 - share)) / 1000 for share in shares],
                label=name,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("one call in so many takes at least so long")
        axes.set_ylabel("µs, the clock reads around it included")
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend()

    return Section(
        "hot_path",
        judged(values, targets.HOT_PATH, remarks),
        {"durations": draw},
        packages=peers.PACKAGES,
    )
